"""The triangle mesh that every stage works on.

Letters: V vertices, F faces, M materials, T textures.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from stages.errors import ItemError


def _empty(*shape: int, dtype: type = np.float32) -> np.ndarray:
    return np.zeros(shape, dtype)


@dataclass(frozen=True)
class Mesh:
    """Triangles with materials, in whatever frame its owner says (cached shapes: canonical).

    Vertices are split where normals or texture coordinates are; nothing may rely on shared
    indices for connectivity. Faces need not be watertight, oriented or free of intersections.
    Colours are sRGB as stored in files, 0..1. Texture rows run top to bottom; `uv` (0, 0) is the
    lower left corner, and coordinates outside 0..1 repeat.
    """

    vertices: np.ndarray  # (V, 3) float32
    faces: np.ndarray  # (F, 3) int32, rows of `vertices`
    normals: np.ndarray  # (V, 3) float32, unit length, for smooth shading
    uv: np.ndarray  # (V, 2) float32, zeros where there is no texture
    face_material: np.ndarray  # (F,) int32, rows of `material_rgba`
    material_rgba: np.ndarray  # (M, 4) float32, multiplies the texture where there is one
    material_texture: np.ndarray  # (M,) int32, index into `textures`, -1 for none
    textures: tuple[np.ndarray, ...] = ()  # T arrays (h, w, 4) uint8, RGBA
    keypoints: np.ndarray = field(default_factory=lambda: _empty(0, 3))  # (K, 3) float32
    keypoint_names: tuple[str, ...] = ()  # K names

    @classmethod
    def plain(
        cls, vertices: np.ndarray, faces: np.ndarray, rgba: tuple[float, ...] = (0.7, 0.7, 0.7, 1.0)
    ) -> Mesh:
        """The mesh of one colour over (V, 3) vertices and (F, 3) faces, normals computed."""
        vertices = np.ascontiguousarray(vertices, np.float32)
        faces = np.ascontiguousarray(faces, np.int32)
        return cls(
            vertices=vertices,
            faces=faces,
            normals=vertex_normals(vertices, faces),
            uv=_empty(len(vertices), 2),
            face_material=_empty(len(faces), dtype=np.int32),
            material_rgba=np.array([rgba], np.float32),
            material_texture=np.full(1, -1, np.int32),
        )

    @property
    def triangles(self) -> np.ndarray:
        """(F, 3, 3) float32 corner positions."""
        return self.vertices[self.faces]

    def bounds(self) -> np.ndarray:
        """(2, 3) float32: the lowest and the highest corner of the box around the used vertices."""
        used = self.vertices[np.unique(self.faces)]
        return np.stack([used.min(0), used.max(0)])

    def moved(self, rotation: np.ndarray, scale: float, offset: np.ndarray) -> Mesh:
        """The mesh at `scale * rotation @ x + offset`; `rotation` (3, 3) may be a reflection."""
        matrix = np.asarray(rotation, np.float64)

        def place(points: np.ndarray) -> np.ndarray:
            return (scale * (points.astype(np.float64) @ matrix.T) + offset).astype(np.float32)

        changes = {
            "vertices": place(self.vertices),
            "normals": (self.normals @ matrix.T).astype(np.float32),
            "keypoints": place(self.keypoints),
        }
        if np.linalg.det(matrix) < 0:  # keep the outside outside
            changes["faces"] = np.ascontiguousarray(self.faces[:, ::-1])
        return Mesh(**{**self.__dict__, **changes})

    def to_arrays(self) -> dict[str, np.ndarray]:
        """The mesh as named arrays for the store; textures become one flat run of bytes."""
        shapes = np.array([t.shape for t in self.textures], np.int32).reshape(-1, 3)
        flat = [t.reshape(-1) for t in self.textures]
        return {
            "vertices": self.vertices,
            "faces": self.faces,
            "normals": self.normals,
            "uv": self.uv,
            "face_material": self.face_material,
            "material_rgba": self.material_rgba,
            "material_texture": self.material_texture,
            "texture_shapes": shapes,  # (T, 3) height, width, channels
            "texture_bytes": np.concatenate(flat) if flat else _empty(0, dtype=np.uint8),
            "keypoints": self.keypoints,
            "keypoint_names": np.array([n.encode() for n in self.keypoint_names], "S32"),
        }

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray]) -> Mesh:
        """The inverse of `to_arrays`."""
        ends = np.cumsum([int(np.prod(s)) for s in arrays["texture_shapes"]], dtype=np.int64)
        starts = np.concatenate([[0], ends])[:-1]
        textures = tuple(
            arrays["texture_bytes"][a:b].reshape(tuple(s))
            for a, b, s in zip(starts, ends, arrays["texture_shapes"])
        )
        same = ("vertices", "faces", "normals", "uv", "face_material", "material_rgba")
        return cls(
            **{name: arrays[name] for name in (*same, "material_texture", "keypoints")},
            textures=textures,
            keypoint_names=tuple(n.decode() for n in arrays["keypoint_names"]),
        )


def refuse_broken(mesh: Mesh) -> None:
    """Raises ItemError for what compiled loops must never see.

    That is a mesh without faces, a face of vertices or of a material that are not there, a material
    of a texture that is not there, a vertex without normal or place in the texture, a vertex that
    is not finite, a texture that is no picture.
    """
    if not len(mesh.faces):
        raise ItemError("the mesh has no faces")
    if not _within(mesh.faces, 0, len(mesh.vertices)):
        raise ItemError("a face names a vertex that is not there")
    if not np.isfinite(mesh.vertices).all():
        raise ItemError("a vertex is not finite")
    if not len(mesh.normals) == len(mesh.uv) == len(mesh.vertices):
        raise ItemError("a vertex has no normal, or no place in the texture")
    if not len(mesh.face_material) == len(mesh.faces):
        raise ItemError("a face has no material")
    materials = len(mesh.material_rgba)
    if not _within(mesh.face_material, 0, materials) or len(mesh.material_texture) != materials:
        raise ItemError("a face names a material that is not there")
    if not _within(mesh.material_texture, -1, len(mesh.textures)):
        raise ItemError("a material names a texture that is not there")
    if any(t.ndim != 3 or t.shape[2] != 4 or not t.size for t in mesh.textures):
        raise ItemError("a texture is no picture")


def _within(rows: np.ndarray, low: int, end: int) -> bool:
    return bool(rows.min(initial=low) >= low and rows.max(initial=end - 1) < end)


def vertex_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(V, 3) float32 unit normals: area-weighted means of the faces at the same position.

    Vertices at exactly equal positions are averaged together, so that seams do not show;
    a vertex without a proper face gets +z.
    """
    corners = vertices[faces].astype(np.float64)  # (F, 3, 3)
    face_normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    _, place = np.unique(vertices, axis=0, return_inverse=True)
    place = place.reshape(-1)
    total = np.zeros((place.max(initial=-1) + 1, 3))
    for corner in range(3):
        np.add.at(total, place[faces[:, corner]], face_normals)
    length = np.linalg.norm(total, axis=1, keepdims=True)
    total = np.where(length > 0, total / np.where(length > 0, length, 1), [0.0, 0.0, 1.0])
    return total[place].astype(np.float32)

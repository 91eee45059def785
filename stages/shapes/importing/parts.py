"""The parts of a model as its file gives them, and how they become one Mesh.

Letters: V vertices, F faces, M materials.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from stages.errors import ItemError
from stages.geometry.mesh import Mesh
from stages.shapes.importing.normals import complete_normals, places

MAX_FACES = 20_000_000  # instances can multiply a small file without end
MAX_COLOURS = 256  # materials that the colours of vertices or faces may become
# Below this share of the squared diagonal, all faces together are a point or a line.
_MIN_AREA = 1e-10
_FAR = 1e100  # squares of coordinates must be numbers
_NO_AREA = 1e-16  # of one face, likewise: nothing that float32 vertices could still show


@dataclass(frozen=True, eq=False)
class Material:
    """One colour, times a texture where there is one. Compared by identity."""

    rgba: tuple[float, ...] = (0.7, 0.7, 0.7, 1.0)  # sRGB, 0..1
    texture: np.ndarray | None = None  # (h, w, 4) uint8


PLAIN = Material()


@dataclass(frozen=True)
class Part:
    """Some triangles of a model, in the frame of its file."""

    vertices: np.ndarray  # (V, 3) float64
    faces: np.ndarray  # (F, 3) int64
    materials: Sequence[Material] = (PLAIN,)
    face_material: np.ndarray | None = None  # (F,) rows of `materials`, None: all the first
    normals: np.ndarray | None = None  # (V, 3), rows of NaN or zero where the file has none
    uv: np.ndarray | None = None  # (V, 2), (0, 0) the lower left corner


def fan(sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Polygons cut into triangles from their first corner.

    `sizes` (P,) are their numbers of corners, each at least 3, laid out one after the other.
    Returns (F, 3) the corners of the triangles, and (F,) the polygon of each.
    """
    polygon = np.repeat(np.arange(len(sizes)), sizes - 2)
    first = np.cumsum(sizes) - sizes
    step = np.arange(len(polygon)) - (np.cumsum(sizes - 2) - (sizes - 2))[polygon]
    start = first[polygon]
    return np.stack([start, start + step + 1, start + step + 2], -1), polygon


def from_colours(rgba: np.ndarray) -> tuple[list[Material], np.ndarray]:
    """Materials for (F, 4) uint8 colours of faces, and (F,) the material of each.

    At most MAX_COLOURS: more are reduced by median cut (octree where some are translucent).
    """
    colours, index = np.unique(rgba, axis=0, return_inverse=True)
    index = index.reshape(-1)
    if len(colours) > MAX_COLOURS:
        opaque = bool((rgba[:, 3] == 255).all())
        pixels = Image.fromarray(np.ascontiguousarray(rgba[None, :, : 3 if opaque else 4]))
        method = Image.Quantize.MEDIANCUT if opaque else Image.Quantize.FASTOCTREE
        few = pixels.quantize(MAX_COLOURS, method, dither=Image.Dither.NONE)
        colours, index = np.unique(np.asarray(few.convert("RGBA"))[0], axis=0, return_inverse=True)
        index = index.reshape(-1)
    return [Material(tuple((c / 255).tolist())) for c in colours], index


def painted(part: Part, rgba: np.ndarray) -> Part:
    """The part with (F, 4) uint8 colours of faces."""
    materials, index = from_colours(rgba)
    return replace(part, materials=materials, face_material=index)


def face_colours(rgba: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(F, 4) uint8: the mean colour of each face's corners, of (V, 4) colours 0..255."""
    return np.rint(np.clip(np.nan_to_num(rgba[faces]), 0, 255).mean(1)).astype(np.uint8)


def check(part: Part) -> Part:
    """The part, if its numbers make sense; ItemError with the reason if not."""
    if part.vertices.shape[1:] != (3,) or part.faces.shape[1:] != (3,):
        raise ItemError("its vertices are no points in space, or its faces no triangles")
    if len(part.faces) and len(part.vertices):
        low, high = int(part.faces.min()), int(part.faces.max())
        if low < 0 or high >= len(part.vertices):
            wrong = low if low < 0 else high
            raise ItemError(f"a face names vertex {wrong}, there are {len(part.vertices)}")
    elif len(part.faces):
        raise ItemError("its faces name vertices, there are none")
    finite = np.isfinite(part.vertices).all(1)
    if not finite.all():
        raise ItemError(f"vertex {int(np.argmin(finite))} is not finite")
    return part


def placed(part: Part, matrix: np.ndarray) -> Part:
    """The part moved by a (4, 4) matrix, possibly a reflection."""
    if not np.isfinite(matrix).all():
        raise ItemError("a node of its scene has a transform that is not finite")
    linear = matrix[:3, :3]
    sign = np.linalg.det(linear)
    normals = part.normals
    if normals is not None:
        # Cofactors: the inverse transpose times the determinant, which also a flat scale has.
        a, b, c = linear
        cofactors = np.stack([np.cross(b, c), np.cross(c, a), np.cross(a, b)])
        normals = np.nan_to_num(normals) @ cofactors.T * (-1 if sign < 0 else 1)
    return replace(
        part,
        vertices=part.vertices @ linear.T + matrix[:3, 3],
        faces=part.faces[:, ::-1] if sign < 0 else part.faces,
        normals=normals,
    )


def join(parts: Sequence[Part]) -> Mesh:
    """One mesh of all parts: box centred, diagonal 1, axes as in the file.

    Faces of no area are left out, normals that the file does not give are computed
    (`complete_normals`), materials and textures are kept once, in the order of first use.
    Raises ItemError when nothing with an area is left.
    """
    parts = [check(part) for part in parts if len(part.faces)]
    if not parts:
        raise ItemError("it has no faces")
    if sum(len(part.faces) for part in parts) > MAX_FACES:
        raise ItemError(f"it has more than {MAX_FACES} faces")
    vertices = np.concatenate([part.vertices for part in parts])
    starts = np.cumsum([0, *(len(part.vertices) for part in parts)])
    faces = np.concatenate([part.faces + n for part, n in zip(parts, starts)])
    materials, face_material = _materials(parts)
    vertices, keep = _normalised(vertices, faces)
    faces, face_material = faces[keep], face_material[keep]
    uv = np.nan_to_num(_stacked(parts, "uv", 2), posinf=0, neginf=0)
    given = np.nan_to_num(_stacked(parts, "normals", 3), posinf=0, neginf=0)
    # Vertices that are equal in all become one: STL files have three for every face.
    place = places(np.concatenate([vertices, uv, given], 1))
    _, first = np.unique(place, return_index=True)
    rows, faces, normals = complete_normals(vertices, first[place][faces], given)
    used, face_material = np.unique(face_material, return_inverse=True)
    chosen = [materials[m] for m in used]
    textures = list({id(m.texture): m.texture for m in chosen if m.texture is not None}.values())
    number = {id(texture): n for n, texture in enumerate(textures)}
    return Mesh(
        vertices=vertices[rows].astype(np.float32),
        faces=faces.astype(np.int32),
        normals=normals.astype(np.float32),
        uv=np.clip(uv[rows], -1e6, 1e6).astype(np.float32),
        face_material=face_material.reshape(-1).astype(np.int32),
        material_rgba=np.array([m.rgba for m in chosen], np.float32),
        material_texture=np.array([number.get(id(m.texture), -1) for m in chosen], np.int32),
        textures=tuple(textures),
    )


def _stacked(parts: Sequence[Part], name: str, width: int) -> np.ndarray:
    """One array of all parts' vertices; NaN where a part has none."""
    arrays = [getattr(part, name) for part in parts]
    return np.concatenate(
        [
            np.full((len(part.vertices), width), np.nan) if a is None else np.asarray(a, np.float64)
            for part, a in zip(parts, arrays)
        ]
    )


def _materials(parts: Sequence[Part]) -> tuple[list[Material], np.ndarray]:
    """All materials once, and (F,) the row of each face."""
    number: dict[tuple, int] = {}
    materials: list[Material] = []
    rows = []
    for part in parts:
        own = []
        for material in part.materials:
            key = (material.rgba, id(material.texture))
            if key not in number:
                number[key] = len(materials)
                materials.append(material)
            own.append(number[key])
        index = np.zeros(len(part.faces), int) if part.face_material is None else part.face_material
        rows.append(np.array(own)[index])
    return materials, np.concatenate(rows)


def _normalised(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(V, 3) float64 vertices with the faces' box centred and its diagonal 1, and (F,) bool, which
    faces have an area. Done in float64: coordinates of maps are large and far from the origin."""
    keep = np.ones(len(faces), bool)
    for _ in range(2):  # the box is that of the faces with an area, the area relative to the box
        used = vertices[np.unique(faces[keep])]
        low, high = used.min(0), used.max(0)
        if max(-low.min(), high.max()) > _FAR:
            raise ItemError(f"it has coordinates beyond {_FAR:g}")
        diagonal = float(np.linalg.norm(high - low))
        if diagonal <= 1 / _FAR:
            raise ItemError("it has no extent: all its vertices are one point")
        vertices = (vertices - (low + high) / 2) / diagonal
        corners = vertices[faces]
        area = np.linalg.norm(
            np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1
        )
        keep = area > _NO_AREA
        if not area.sum() / 2 > _MIN_AREA:
            raise ItemError("it has no surface: all its faces lie on one line")
    return vertices, keep

"""From closed parts to one mesh: materials, named keypoints, crease-split smooth normals.

Parts keep x to the object's own left, -y front, z up; the mesh is moved to the canonical frame at
the end. Letters: V vertices, F faces.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from stages.geometry.mesh import Mesh
from stages.shapes.generate.freedom import Rgb
from stages.shapes.generate.primitives import Solid

CREASE_DEG = 42.0  # faces that meet at a sharper angle are shaded apart
# Left is the object's own left, as of a driver: +x when the front is -y and up is z.
LEFT = 1.0


class Model:
    """Parts of an object under construction.

    `solids` are the closed parts in the order they were added; materials exist from their first
    use on.
    """

    def __init__(self, colours: dict[str, Rgb]) -> None:
        self.solids: list[Solid] = []
        self._colours = colours
        self._materials: list[np.ndarray] = []  # per solid (F,) rows of `_used`
        self._used: list[str] = []
        self._keypoints: dict[str, np.ndarray] = {}

    def add(self, solid: Solid, *materials: str) -> None:
        """Adds a part; its band b gets `materials[b]`. Raises KeyError for an unknown colour."""
        for name in materials:
            if name not in self._used:
                self._colours[name]  # an unknown name is an error here, not at the end
                self._used.append(name)
        rows = np.array([self._used.index(name) for name in materials])
        self.solids.append(solid)
        self._materials.append(rows[solid.bands])

    def add_pair(self, solid: Solid, *materials: str) -> None:
        """Adds a part and its mirror image on the other side."""
        self.add(solid, *materials)
        self.add(solid.mirrored(), *materials)

    def keypoint(self, name: str, point: ArrayLike) -> None:
        """Names a point of the surface."""
        self._keypoints[name] = np.asarray(point, np.float64)

    def keypoint_pair(self, pattern: str, point: ArrayLike) -> None:
        """Names a point and its mirror image: `{}` becomes left or right by the sign of x."""
        x, y, z = np.asarray(point, np.float64)
        self.keypoint(pattern.format("left"), (LEFT * abs(x), y, z))
        self.keypoint(pattern.format("right"), (-LEFT * abs(x), y, z))

    def mesh(self) -> Mesh:
        """The parts as one mesh in the canonical frame: box centred, diagonal 1, sharp edges split.

        Materials that no face has are left out.
        """
        starts = np.cumsum([0, *(len(s.vertices) for s in self.solids)])
        vertices = np.concatenate([s.vertices for s in self.solids])
        faces = np.concatenate([s.faces + n for s, n in zip(self.solids, starts)])
        material = np.concatenate(self._materials)
        group, normals = smooth_corners(vertices, faces)
        _, first = np.unique(group, return_index=True)
        used, material = np.unique(material, return_inverse=True)
        rgba = np.array([[*self._colours[self._used[m]], 1.0] for m in used], np.float32)
        mesh = Mesh(
            vertices=vertices[faces.reshape(-1)[first]].astype(np.float32),
            faces=group.reshape(-1, 3).astype(np.int32),
            normals=normals.astype(np.float32),
            uv=np.zeros((len(first), 2), np.float32),
            face_material=material.astype(np.int32),
            material_rgba=rgba,
            material_texture=np.full(len(rgba), -1, np.int32),
            keypoints=np.array(list(self._keypoints.values()), np.float32).reshape(-1, 3),
            keypoint_names=tuple(self._keypoints),
        )
        low, high = vertices.min(0), vertices.max(0)
        scale = 1 / float(np.linalg.norm(high - low))
        return mesh.moved(np.eye(3), scale, -scale * (low + high) / 2)


def smooth_corners(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Groups the corners of faces that are shaded as one.

    Corners at a vertex belong together when one can walk from face to face between them across
    edges that bend by less than CREASE_DEG. Every edge must have two faces (closed parts).
    Returns (3F,) the group of each corner, numbered from 0, and (groups, 3) float64 unit normals:
    means of the faces, weighted by area (large flat faces stay flat beside rounded edges) and by
    the angle at the corner (it does not matter which diagonal cuts a quad).
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    count = 3 * len(faces)
    area, angle = _areas_and_angles(vertices[faces])
    unit = area / np.linalg.norm(area, axis=1, keepdims=True)
    # Half-edge k of a face runs from corner k to corner k + 1; its twin runs the other way.
    tail, head = faces, np.roll(faces, -1, axis=1)
    key = (np.minimum(tail, head) * len(vertices) + np.maximum(tail, head)).reshape(-1)
    pairs = np.argsort(key, kind="stable").reshape(-1, 2)  # corner numbers 3f + k
    one, two = pairs[:, 0], pairs[:, 1]
    flat = np.einsum("ij,ij->i", unit[one // 3], unit[two // 3]) > np.cos(np.radians(CREASE_DEG))
    one, two = one[flat], two[flat]
    after = one + np.where(one % 3 == 2, -2, 1)
    after_two = two + np.where(two % 3 == 2, -2, 1)
    rows, columns = np.concatenate([one, after]), np.concatenate([after_two, two])
    graph = coo_array((np.ones(len(rows), bool), (rows, columns)), shape=(count, count))
    groups, label = connected_components(graph, directed=False)
    weighted = (angle[..., None] * area[:, None]).reshape(-1, 3)
    total = np.stack([np.bincount(label, weighted[:, k], minlength=groups) for k in range(3)], -1)
    return label, total / np.linalg.norm(total, axis=1, keepdims=True)


def _areas_and_angles(corners: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of (F, 3, 3) faces: (F, 3) normals as long as twice the area, (F, 3) angles in radians."""
    edge = np.roll(corners, -1, axis=1) - corners  # from corner k to corner k + 1
    unit = edge / np.linalg.norm(edge, axis=2, keepdims=True)
    cosine = -np.einsum("fki,fki->fk", unit, np.roll(unit, 1, axis=1))
    return np.cross(edge[:, 0], -edge[:, 2]), np.arccos(np.clip(cosine, -1, 1))

"""What a page shows in three dimensions: coloured triangles or points, small enough to be sent.

Canonical frame (world, z up, front towards -y). Letters: V vertices, F faces, N points.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from stages.geometry.mesh import Mesh
from stages.sphere import grids

TRUE, TOLD = (89, 140, 191), (217, 115, 51)  # as the pictures of `stages.export` have them
GREY = (178, 178, 178)
MOST_FACES = 6_000
MOST_POINTS = 6_000
_STEPS = 65_535  # places along each axis of the box
_WELD, _FINEST = 4096, 192  # cells a side: vertices at one place, and where thinning begins


@dataclass(frozen=True)
class Solid:
    """Triangles over vertices, or points where there are no faces."""

    label: str
    vertices: np.ndarray  # (V, 3) float
    faces: np.ndarray  # (F, 3) int
    colours: np.ndarray  # (F, 3) uint8 of faces, (V, 3) of points, (1, 3) one for all

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to be seen."""
        return not len(self.vertices)


def from_mesh(label: str, mesh: Mesh, colour: Sequence[int] | None = None) -> Solid:
    """A mesh in one colour, or in those of its materials and of the texels amid its faces."""
    colours = np.array([colour], np.uint8) if colour is not None else _face_colours(mesh)
    return Solid(label, mesh.vertices, mesh.faces, colours)


def _face_colours(mesh: Mesh) -> np.ndarray:
    """(F, 3) uint8: the material, times the texture at the centre of the face."""
    rgb = mesh.material_rgba[mesh.face_material][:, :3].astype(np.float64)
    texture = mesh.material_texture[mesh.face_material]
    middle = mesh.uv[mesh.faces].mean(1) % 1.0
    for number, image in enumerate(mesh.textures):
        mine = np.flatnonzero(texture == number)
        height, width = image.shape[:2]
        row = ((1 - middle[mine, 1]) * height).astype(int).clip(0, height - 1)
        column = (middle[mine, 0] * width).astype(int).clip(0, width - 1)
        rgb[mine] *= image[row, column, :3] / 255
    return (rgb * 255).round().clip(0, 255).astype(np.uint8)


def from_points(label: str, points: np.ndarray, colour: Sequence[int] = TOLD) -> Solid:
    """(N, 3) points in one colour."""
    return Solid(label, points, np.zeros((0, 3), int), np.array([colour], np.uint8))


def from_voxels(
    label: str,
    filled: np.ndarray,
    origin: np.ndarray,
    extent: float,
    colour: Sequence[int] = TRUE,
) -> Solid:
    """The outer faces of the filled cells of a (res, res, res) grid, two triangles each."""
    padded = np.pad(np.asarray(filled, bool), 1)
    corners, triangles = [], []
    count = 0
    for axis in range(3):
        for side in (0, 1):
            open_ = padded & ~np.roll(padded, 1 - 2 * side, axis)
            cells = np.argwhere(open_) - 1
            square = np.zeros((4, 3))
            square[:, axis] = side
            square[:, (axis + 1) % 3] = (0, 1, 1, 0)
            square[:, (axis + 2) % 3] = (0, 0, 1, 1)
            turn = square if side else square[::-1]  # counter-clockwise seen from outside
            corners.append((cells[:, None] + turn).reshape(-1, 3))
            quads = count + 4 * np.arange(len(cells))[:, None]
            triangles += [quads + np.array(corner) for corner in ((0, 1, 2), (0, 2, 3))]
            count += 4 * len(cells)
    places, index = np.unique(np.concatenate(corners), axis=0, return_inverse=True)
    vertices = places / len(filled) * extent + np.asarray(origin)
    faces = index.reshape(-1)[np.concatenate(triangles)]
    return Solid(label, vertices, faces, np.array([colour], np.uint8))


def from_map(
    label: str, lengths: np.ndarray, colour: Sequence[int] = TRUE, grid: str = "midpoint"
) -> Solid:
    """The star-shaped surface of a sphere map (n, n) of ray lengths, [colatitude, longitude].

    Where a ray hit nothing its length is 0, and the surface falls to the centre.
    """
    rows, columns = lengths.shape
    vertices = (lengths[..., None] * grids.directions(rows, grid)).reshape(-1, 3)
    row, column = np.meshgrid(np.arange(rows - 1), np.arange(columns), indexing="ij")
    here, beside = row * columns + column, row * columns + (column + 1) % columns
    below, across = here + columns, beside + columns
    faces = np.concatenate(
        [np.stack(t, -1).reshape(-1, 3) for t in ((here, below, across), (here, across, beside))]
    )
    return Solid(label, vertices, faces, np.array([colour], np.uint8))


def from_sticks(
    label: str,
    points: np.ndarray,
    edges: Sequence[tuple[int, int]],
    colour: Sequence[int] = TOLD,
    thickness: float = 0.012,
) -> Solid:
    """A skeleton: a four-sided stick along each edge of (K, 3) points, `thickness` to each side."""
    vertices, faces = [np.zeros((0, 3))], [np.zeros((0, 3), int)]
    for a, b in edges:
        along = points[b] - points[a]
        length = np.linalg.norm(along)
        if not length > 0:
            continue
        away = np.eye(3)[np.abs(along).argmin()]
        first = np.cross(along / length, away)
        first *= thickness / np.linalg.norm(first)
        second = np.cross(along / length, first)
        ring = np.stack([first, second, -first, -second])
        start = sum(len(v) for v in vertices)
        vertices.append(np.concatenate([points[a] + ring, points[b] + ring]))
        around = [(n, (n + 1) % 4) for n in range(4)]
        sides = [f for n, m in around for f in ((n, m, m + 4), (n, m + 4, n + 4))]
        ends = [(0, 2, 1), (0, 3, 2), (4, 5, 6), (4, 6, 7)]
        faces.append(start + np.array([*sides, *ends]))
    colours = np.array([colour], np.uint8)
    return Solid(label, np.concatenate(vertices), np.concatenate(faces), colours)


def simplified(solid: Solid, faces: int = MOST_FACES, points: int = MOST_POINTS) -> Solid:
    """The solid with no more than so many faces or points.

    Points are thinned out evenly. Vertices of faces are drawn together in cells of a grid, as
    coarse as it takes (Rossignac and Borrel 1993); what falls into one cell loses its faces.
    """
    if not len(solid.faces):
        keep = np.linspace(0, len(solid.vertices) - 1, points).astype(int)
        if len(solid.vertices) <= points:
            return solid
        colours = solid.colours[keep] if len(solid.colours) > 1 else solid.colours
        return replace(solid, vertices=solid.vertices[keep], colours=colours)
    small = _clustered(solid, _WELD)  # seams of normals and textures are not seen here
    cells = _FINEST
    while len(small.faces) > faces and cells > 2:
        small = _clustered(solid, cells)
        cells = int(cells * 0.8)
    return small


def _clustered(solid: Solid, cells: int) -> Solid:
    low, high = solid.vertices.min(0), solid.vertices.max(0)
    side = max(float((high - low).max()), 1e-9) / cells
    cell = ((solid.vertices - low) / side).astype(np.int64).clip(0, cells - 1)
    _, owner = np.unique(cell @ (1, cells, cells * cells), return_inverse=True)
    owner = owner.reshape(-1)
    count = np.bincount(owner)
    middle = np.stack([np.bincount(owner, solid.vertices[:, a]) / count for a in range(3)], -1)
    faces = owner[solid.faces]
    whole = (faces != np.roll(faces, 1, 1)).all(1)
    _, first = np.unique(np.sort(faces[whole], 1), axis=0, return_index=True)
    chosen = np.flatnonzero(whole)[np.sort(first)]
    colours = solid.colours[chosen] if len(solid.colours) > 1 else solid.colours
    return replace(solid, vertices=middle, faces=faces[chosen], colours=colours)


def to_json(solid: Solid) -> dict[str, Any]:
    """The solid as plain values for `viewer.js`: places in 65,536 steps of its box, base64.

    Arrays are little-endian: `at` uint16 (V, 3), `faces` uint16 or uint32 (F, 3), `rgb` uint8.
    """
    vertices = np.asarray(solid.vertices, np.float64)
    low = vertices.min(0, initial=0) if not len(vertices) else vertices.min(0)
    size = np.ptp(vertices, axis=0).max(initial=0.0) if len(vertices) else 0.0
    size = float(size) or 1.0
    places = ((vertices - low) / size * _STEPS).round().astype("<u2")
    wide = len(vertices) > _STEPS
    return {
        "label": solid.label,
        "low": [round(float(v), 6) for v in low],
        "step": size / _STEPS,
        "at": _base64(places),
        "wide": wide,
        "faces": _base64(solid.faces.astype("<u4" if wide else "<u2")),
        "rgb": _base64(solid.colours.astype(np.uint8)),
    }


def _base64(array: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()

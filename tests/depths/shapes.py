"""Meshes for the tests of depth maps, and how far points are from a surface."""

from __future__ import annotations

import numpy as np

from stages.geometry.mesh import Mesh
from tests.render.models import box, joined
from tests.shapes.generated import surface_distance

# An L whose arms, thickness and place differ along every axis: no swap of axes, mirror or half turn
# maps it to itself. Two boxes that touch: lowest and highest corners.
L_BOXES = (
    ((-0.30, -0.10, -0.25), (-0.14, 0.16, 0.30)),  # the upright, to the object's right
    ((-0.14, -0.10, -0.25), (0.22, 0.16, -0.07)),  # the foot, towards +x
)


def ell() -> Mesh:
    """The L."""
    return joined(*(box(low, high) for low, high in L_BOXES))


def soup(count: int, side: float, seed: int) -> Mesh:
    """So many triangles of that size in the ball of radius 0.45, corners not shared."""
    rng = np.random.default_rng(seed)
    middle = rng.normal(size=(count, 1, 3))
    middle *= (
        rng.uniform(0, 0.45 - side, (count, 1, 1)) / np.linalg.norm(middle, axis=-1)[..., None]
    )
    corners = middle + rng.uniform(-side, side, (count, 3, 3)) / 3**0.5
    return Mesh.plain(corners.reshape(-1, 3), np.arange(3 * count).reshape(-1, 3))


def slabs(boxes, points: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """(n,) distances along `direction` from (n, 3) points to the nearest box, infinite for none."""
    nearest = np.full(len(points), np.inf)
    for low, high in boxes:
        with np.errstate(divide="ignore"):
            ends = (np.array([low, high])[:, None] - points) / direction  # (2, n, 3)
        enter, leave = ends.min(0).max(-1), ends.max(0).min(-1)
        nearest = np.where(enter <= leave, np.minimum(nearest, enter), nearest)
    return nearest


def distances(points: np.ndarray, mesh: Mesh, within: float) -> np.ndarray:
    """(n,) float64 distances of (n, 3) points to the triangles of a mesh that have an area.

    Infinite where the box around no triangle comes within `within`: such points are farther away.
    """
    corners = mesh.triangles.astype(np.float64)
    edges = corners[:, 1:] - corners[:, :1]
    corners = corners[np.cross(edges[:, 0], edges[:, 1]).any(1)]
    low, high = corners.min(1) - within, corners.max(1) + within
    result = np.full(len(points), np.inf)
    for n, point in enumerate(points.astype(np.float64)):
        near = ((low <= point) & (point <= high)).all(1)
        if near.any():
            result[n] = surface_distance(point[None], corners[near])[0]
    return result

"""What the kernels compute, in plain numpy, one ray or one axis at a time; and test shapes."""

from __future__ import annotations

import numpy as np
import trimesh

from stages.geometry.mesh import Mesh
from stages.stage import Item
from stages.voxelize import Params, process


def grid(triangles: np.ndarray, **params) -> np.ndarray:
    """(res, res, res) voxels of (F, 3, 3) triangles, by the stage."""
    return run(as_mesh(triangles), **params)["voxels"]


def as_mesh(triangles: np.ndarray) -> Mesh:
    """The mesh of (F, 3, 3) triangles that share no vertices."""
    return Mesh.plain(triangles.reshape(-1, 3), np.arange(3 * len(triangles)).reshape(-1, 3))


def run(mesh: Mesh, **params) -> dict[str, np.ndarray]:
    """The arrays of the stage for one mesh."""
    item = Item("test/shape", {"shapes": mesh.to_arrays()})
    return process(item, Params(**params), np.random.default_rng(0))


def centres(res: int) -> np.ndarray:
    """(res, res, res, 3) voxel centres of the grid over [-0.5, 0.5]^3."""
    steps = (np.arange(res) + 0.5) / res - 0.5
    return np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), -1)


def canonical(mesh: trimesh.Trimesh, seed: int | None = None) -> np.ndarray:
    """(F, 3, 3) float32 triangles, turned at random if seeded, box centred, diagonal 1."""
    mesh = mesh.copy()
    if seed is not None:
        draws = np.random.default_rng(seed).random(3)
        mesh.apply_transform(trimesh.transformations.random_rotation_matrix(draws))
    mesh.apply_translation(-mesh.bounds.mean(0))
    mesh.apply_scale(1 / np.linalg.norm(mesh.extents))
    vertices = np.asarray(mesh.vertices, np.float32)  # shared corners stay equal to the last bit
    return vertices[mesh.faces]


def hits(triangles: np.ndarray, res: int, axis: int) -> list[list[np.ndarray]]:
    """[row][column] coordinates along `axis` at which rays through voxel centres meet triangles.

    Möller and Trumbore (1997), float64, rays from outside of the grid.
    """
    a, b, c = np.moveaxis(triangles.astype(np.float64), 1, 0)
    direction = np.eye(3)[axis]
    edge1, edge2 = b - a, c - a
    p = np.cross(direction, edge2)
    determinant = (edge1 * p).sum(-1)
    with np.errstate(divide="ignore"):
        inverse = 1 / determinant  # a face along the ray: u and v become infinite or NaN, no hit
    steps = (np.arange(res) + 0.5) / res - 0.5
    found: list[list[np.ndarray]] = []
    for row in steps:
        found.append([])
        for column in steps:
            origin = np.insert([row, column], axis, -10.0)
            t = origin - a
            with np.errstate(invalid="ignore"):
                u = (t * p).sum(-1) * inverse
                q = np.cross(t, edge1)
                v = (q @ direction) * inverse
                inside = (u >= 0) & (v >= 0) & (u + v <= 1)
            found[-1].append((edge2 * q).sum(-1)[inside] * inverse[inside] - 10)
    return found


def solid(triangles: np.ndarray, res: int) -> tuple[np.ndarray, float]:
    """Occupancy by the rule of `stages.voxelize.solid`, ray by ray, and the axes' disagreement."""
    steps = (np.arange(res) + 0.5) / res - 0.5
    inside = np.zeros((3, res, res, res), int)  # 1 inside, -1 outside, 0 no vote
    unseen = np.zeros((3, res, res, res), bool)
    for axis in range(3):
        inside_axis, unseen_axis = (
            np.moveaxis(inside[axis], axis, -1),
            np.moveaxis(unseen[axis], axis, -1),
        )
        for row, columns in enumerate(hits(triangles, res, axis)):
            for column, at in enumerate(columns):
                before = (at[:, None] < steps).sum(0)  # hits before each voxel of the column
                if len(at) % 2 == 0:
                    inside_axis[row, column] = np.where(before % 2, 1, -1)
                unseen_axis[row, column] = (before > 0) & (before < len(at))
    voxels = (inside.sum(0) > 0) | unseen.all(0)
    return voxels, 1 - (inside == 1).all(0).sum() / voxels.sum()


def touched(triangles: np.ndarray, res: int) -> np.ndarray:
    """(res, res, res) voxels that no one of thirteen axes separates from some triangle."""
    points = (centres(res).reshape(-1, 3) + 0.5) * res
    occupied = np.zeros(len(points), bool)
    for triangle in (triangles.astype(np.float64) + 0.5) * res:
        edges = np.roll(triangle, -1, 0) - triangle
        crossed = [np.cross(edge, unit) for edge in edges for unit in np.eye(3)]
        meets = np.ones(len(points), bool)
        for axis in [*np.eye(3), np.cross(edges[0], edges[1]), *crossed]:
            shadow, middle, reach = triangle @ axis, points @ axis, np.abs(axis).sum() / 2
            meets &= (middle + reach >= shadow.min()) & (middle - reach <= shadow.max())
        occupied |= meets
    return occupied.reshape(res, res, res)


def iou(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union."""
    return float((a & b).sum() / (a | b).sum())


def box(low: tuple, high: tuple) -> trimesh.Trimesh:
    """An axis-aligned box of twelve triangles."""
    return trimesh.creation.box(bounds=[low, high])


def joined(*meshes: trimesh.Trimesh) -> np.ndarray:
    """(F, 3, 3) float32 triangles of all meshes as they lie."""
    return np.concatenate([m.triangles for m in meshes]).astype(np.float32)

"""What the scan computes, one ray at a time; and test shapes as (F, 3, 3) triangles."""

from __future__ import annotations

import numpy as np
import trimesh
from scipy.spatial.transform import Rotation

from stages.sphere.grids import directions


def farthest(triangles: np.ndarray, rays: np.ndarray) -> np.ndarray:
    """(...,) distance of the farthest hit of (..., 3) unit rays from the origin, 0 for none.

    Möller and Trumbore (1997), float64, back faces too; a face along the ray is no hit.
    """
    a, b, c = np.moveaxis(np.asarray(triangles, np.float64), 1, 0)
    edge1, edge2 = b - a, c - a
    out = np.zeros(rays.shape[:-1])
    with np.errstate(divide="ignore", invalid="ignore"):
        for index in np.ndindex(out.shape):
            p = np.cross(rays[index], edge2)
            inverse = 1 / (edge1 * p).sum(-1)
            u = (-a * p).sum(-1) * inverse
            q = np.cross(-a, edge1)
            v = (rays[index] * q).sum(-1) * inverse
            t = (edge2 * q).sum(-1) * inverse
            hit = (u >= 0) & (v >= 0) & (u + v <= 1) & (t > 0)
            out[index] = t[hit].max(initial=0)
    return out


def naive_map(triangles: np.ndarray, n: int, grid: str = "midpoint") -> np.ndarray:
    """(n, n) ray lengths."""
    return farthest(triangles, directions(n, grid))


def embree_map(triangles: np.ndarray, n: int, grid: str = "midpoint") -> np.ndarray:
    """(n, n) ray lengths by Embree: the first hit from outside, if it is before the centre."""
    from embreex import rtcore_scene
    from embreex.mesh_construction import TriangleMesh

    scene = rtcore_scene.EmbreeScene()
    TriangleMesh(scene, np.ascontiguousarray(triangles, np.float32))
    rays = directions(n, grid).reshape(-1, 3).astype(np.float32)
    radius = np.float32(1.01 * np.linalg.norm(triangles, axis=-1).max())
    found = scene.run(radius * rays, -rays, output=True)
    lengths = np.where(found["primID"] >= 0, radius - found["tfar"], 0)
    return np.maximum(lengths, 0).reshape(n, n)


def box(low: tuple, high: tuple, pieces: int = 1) -> np.ndarray:
    """The sides of a box, each of `pieces` x `pieces` squares cut along a diagonal."""
    steps = np.linspace(0, 1, pieces + 1)
    u, v = (g.ravel() for g in np.meshgrid(steps[:-1], steps[:-1], indexing="ij"))
    step = 1 / pieces
    square = np.array([[(0, 0), (1, 0), (1, 1)], [(0, 0), (1, 1), (0, 1)]]) * step  # (2, 3, 2)
    flat = (np.stack([u, v], -1)[:, None, None] + square).reshape(-1, 3, 2)
    # rounding would make the far corners differ from 1
    flat = np.round(flat * pieces) / pieces
    sides = []
    for axis in range(3):
        for end in (0.0, 1.0):
            side = np.empty((len(flat), 3, 3))
            side[..., axis] = end
            side[..., (axis + 1) % 3], side[..., (axis + 2) % 3] = flat[..., 0], flat[..., 1]
            sides.append(side)
    low, high = np.array(low, np.float64), np.array(high, np.float64)
    return low * (1 - np.concatenate(sides)) + high * np.concatenate(sides)


def box_map(low: tuple, high: tuple, rays: np.ndarray) -> np.ndarray:
    """(...,) distance at which (..., 3) rays from the origin leave the box, 0 for a miss."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ends = np.stack([np.array(low) / rays, np.array(high) / rays])  # (2, ..., 3)
    outside = (rays == 0) & ((np.array(low) > 0) | (np.array(high) < 0))
    enter = np.where(rays == 0, -np.inf, ends.min(0)).max(-1)
    leave = np.where(rays == 0, np.inf, ends.max(0)).min(-1)
    return np.where((enter <= leave) & (leave > 0) & ~outside.any(-1), leave, 0)


def ellipsoid(axes: tuple, subdivisions: int = 5) -> np.ndarray:
    """An ellipsoid with its corners on the surface."""
    ball = trimesh.creation.icosphere(subdivisions)
    return np.asarray(ball.triangles) * np.array(axes)


def soup(count: int, size: float, seed: int) -> np.ndarray:
    """Triangles of corners about `size` apart, strewn around the origin."""
    rng = np.random.default_rng(seed)
    return rng.normal(0, 0.4, (count, 1, 3)) + rng.normal(0, size, (count, 3, 3))


def rotation(seed: int) -> np.ndarray:
    """(3, 3) a rotation, uniform over all of them."""
    return Rotation.random(random_state=seed).as_matrix()

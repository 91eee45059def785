"""Clouds against closed forms: spheres and boxes, moments of triangles, brute force."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import trimesh

from stages.errors import ItemError
from stages.geometry import cameras
from stages.geometry.mesh import Mesh
from stages.geometry.orthographic import fixed_viewpoints
from stages.geometry.points import fuse, nearest, sample_surface


def sphere_maps(radius: float, size: int) -> np.ndarray:
    """(size, size) depths of a sphere at the origin, the same from everywhere, 0 beside it."""
    steps = (np.arange(size) + 0.5) / size - 0.5
    square = radius**2 - steps**2 - steps[:, None] ** 2
    return np.where(square > 0, 1 - np.sqrt(np.maximum(square, 0)), 0)


def test_a_sphere_is_fused_from_its_depths() -> None:
    radius = 0.4
    depth = np.broadcast_to(sphere_maps(radius, 64), (8, 64, 64))
    matrices = cameras.extrinsics(fixed_viewpoints(8))
    cloud = fuse(depth, depth > 0, matrices)
    assert cloud.shape == ((depth > 0).sum(), 3)
    np.testing.assert_allclose(np.linalg.norm(cloud, axis=1), radius, atol=1e-14)
    # Each camera sees its own half: view by view, in this order.
    for half, matrix in zip(cloud.reshape(8, -1, 3), matrices):
        assert (half @ matrix[2, :3] < 0).all()


def test_masks_choose_the_pixels_row_by_row() -> None:
    depth = np.ones((1, 2, 2))
    mask = np.array([[[False, True], [True, True]]])
    front = cameras.extrinsics(np.array([[0.0, 0, 0, 1]]))
    expected = [[0.25, 0, 0.25], [-0.25, 0, -0.25], [0.25, 0, -0.25]]
    np.testing.assert_allclose(fuse(depth, mask, front), expected, atol=1e-15)
    assert fuse(depth, np.zeros_like(mask), front).shape == (0, 3)


def test_torch_fuses_to_the_same_cloud() -> None:
    depth = np.broadcast_to(sphere_maps(0.3, 32), (8, 32, 32)).astype(np.float32)
    matrices = cameras.extrinsics(fixed_viewpoints(8)).astype(np.float32)
    cloud = fuse(depth, depth > 0, matrices)
    assert cloud.dtype == np.float32
    tensors = [torch.from_numpy(a.copy()) for a in (depth, depth > 0, matrices)]
    # Sums of three products near 1 in single precision, in another order.
    np.testing.assert_allclose(fuse(*tensors).numpy(), cloud, atol=3e-7)


def test_points_are_uniform_within_a_triangle() -> None:
    """Mean the centroid; covariance sum_i (c_i - mean)(c_i - mean)^T / 12 over the corners."""
    corners = np.array([[0.1, 0.2, -0.3], [0.5, -0.4, 0.2], [-0.2, 0.3, 0.4]])
    mesh = Mesh.plain(corners, np.array([[0, 1, 2]]))
    points = sample_surface(mesh, 40000, np.random.default_rng(0))
    assert points.shape == (40000, 3)
    off = corners - corners.mean(0)
    covariance = off.T @ off / 12
    deviation = np.sqrt(np.diag(covariance) / len(points))
    assert (np.abs(points.mean(0) - corners.mean(0)) < 5 * deviation).all()
    # The error of a covariance from n points is about its scale times sqrt(2/n) = 0.7 %.
    assert np.cov(points.T) == pytest.approx(covariance, abs=0.035 * covariance.max())
    normal = np.cross(off[1] - off[0], off[2] - off[0])
    assert (points - corners[0]) @ normal == pytest.approx(np.zeros(40000), abs=1e-7)
    weights = np.linalg.lstsq(np.vstack([corners.T, np.ones(3)]), _lifted(points), rcond=None)[0]
    assert weights.min() > -1e-6


def _lifted(points: np.ndarray) -> np.ndarray:
    return np.vstack([points.T, np.ones(len(points))])


def test_triangles_are_chosen_by_area() -> None:
    """A box of 1 x 2 x 3 cut unevenly, with faces of no area among them."""
    cuboid = trimesh.creation.box((1, 2, 3)).subdivide(face_index=[0, 3, 4, 9])
    faces = np.concatenate([cuboid.faces, [[0, 0, 1], [2, 2, 2]]])
    mesh = Mesh.plain(cuboid.vertices, faces)
    points = sample_surface(mesh, 22000, np.random.default_rng(1))
    sides = (np.abs(np.abs(points) - [0.5, 1, 1.5]) < 1e-6).argmax(1)
    counts = np.bincount(sides, minlength=3)  # areas 12, 6 and 4 of 22
    assert (np.abs(counts - [12000, 6000, 4000]) < 5 * np.sqrt(counts)).all()
    assert np.abs(points.mean(0)).max() < 0.05


def test_sampling_depends_on_the_seed_alone() -> None:
    ball = trimesh.creation.icosphere(2, 0.4)
    mesh = Mesh.plain(ball.vertices, ball.faces)
    first, again, other = (sample_surface(mesh, 50, np.random.default_rng(s)) for s in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other)


def test_no_area_no_points() -> None:
    line = Mesh.plain(np.array([[0, 0, 0], [1, 0, 0], [2, 0, 0]]), np.array([[0, 1, 2]]))
    for mesh in (line, Mesh.plain(np.zeros((3, 3)), np.zeros((0, 3)))):
        with pytest.raises(ItemError, match="no area"):
            sample_surface(mesh, 10, np.random.default_rng(0))


def test_nearest_is_the_least_of_all_distances() -> None:
    rng = np.random.default_rng(5)
    points, targets = rng.normal(size=(40, 3)), rng.normal(size=(70, 3))
    every = np.linalg.norm(points[:, None] - targets, axis=-1)
    np.testing.assert_allclose(nearest(points, targets), every.min(1))
    assert np.isinf(nearest(points, targets[:0])).all()
    assert nearest(points[:0], targets).shape == (0,)

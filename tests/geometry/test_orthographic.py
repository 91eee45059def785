"""The orthographic camera and its views against formulas written out another way."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from stages.errors import UsageError
from stages.geometry import cameras
from stages.geometry.orthographic import (
    SOLIDS,
    fixed_viewpoints,
    intrinsics,
    project,
    random_viewpoints,
    unproject,
    xyz_maps,
)

FRONT = cameras.extrinsics(np.array([0.0, 0, 0, 1]))
# The list of the structure generator's code, times sqrt(3).
CUBE = np.array(
    [
        *[(1, 1, 1), (1, -1, -1), (-1, 1, -1), (-1, -1, 1)],
        *[(1, 1, -1), (1, -1, 1), (-1, 1, 1), (-1, -1, -1)],
    ]
)


def directions(viewpoints: np.ndarray) -> np.ndarray:
    """(N, 3) unit vectors from the origin to the cameras."""
    matrices = cameras.extrinsics(viewpoints)
    centres = -np.einsum("nji,nj->ni", matrices[:, :, :3], matrices[:, :, 3])
    return centres / viewpoints[:, 3:]


def test_front_view_by_hand() -> None:
    """Front -y: x runs right, z up, and depth grows towards +y."""
    points = np.array([[0, 0, 0], [0.25, 0, 0], [0, 0.25, 0], [0, 0, 0.25], [-0.5, -0.5, 0.5]])
    u, v, depth = project(points, FRONT, 128)
    np.testing.assert_allclose(u, [64, 96, 64, 64, 0], atol=1e-12)
    np.testing.assert_allclose(v, [64, 64, 64, 32, 0], atol=1e-12)
    np.testing.assert_allclose(depth, [1, 1, 1.25, 1, 0.5], atol=1e-12)


def test_the_camera_is_that_of_the_structure_generator() -> None:
    """Its formula in Blender's axes, for a camera that looks at the origin with world z up."""
    points = np.random.default_rng(0).uniform(-0.3, 0.3, (20, 3))
    width = 128
    matrices = cameras.extrinsics(fixed_viewpoints(8))
    for matrix, corner in zip(matrices, CUBE):
        back = corner / np.sqrt(3)  # from the origin to the camera: Blender's camera looks along -z
        right = np.cross([0, 0, 1], back)
        right /= np.linalg.norm(right)
        x, y, z = (points @ axis for axis in (right, np.cross(back, right), back))
        expected = width * x + width / 2, -width * y + width / 2, 1 - z
        np.testing.assert_allclose(project(points, matrix, width), expected, atol=1e-12)


def test_intrinsics_are_the_formula_as_a_matrix() -> None:
    points = np.random.default_rng(1).uniform(-0.5, 0.5, (20, 3))
    matrix = cameras.extrinsics(random_viewpoints(1, np.random.default_rng(2)))[0]
    camera = points @ matrix[:, :3].T + matrix[:, 3]
    camera[:, 2] = 1
    u, v, _ = project(points, matrix, 96)
    np.testing.assert_allclose((camera @ intrinsics(96).T)[:, :2], np.stack([u, v], -1))


def test_unproject_undoes_project() -> None:
    rng = np.random.default_rng(3)
    size = 16
    points = rng.uniform(-0.3, 0.3, (2, 5, size * size, 3))  # two leading axes
    matrices = cameras.extrinsics(random_viewpoints(10, rng)).reshape(2, 5, 3, 4)
    u, v, depth = (a.reshape(2, 5, size, size) for a in project(points, matrices, size))
    back = unproject(u, v, depth, matrices)
    np.testing.assert_allclose(back.reshape(points.shape), points, atol=1e-14)


def test_maps_hold_the_points_of_the_pixel_centres() -> None:
    depth = np.random.default_rng(4).uniform(0.5, 1.5, (3, 8, 8))
    matrices = cameras.extrinsics(random_viewpoints(3, np.random.default_rng(5)))
    maps = xyz_maps(depth, matrices)
    assert maps.shape == (3, 8, 8, 3)
    for n in range(3):
        u, v, z = project(maps[n].reshape(-1, 3), matrices[n], 8)
        rows, columns = np.mgrid[:8, :8]
        np.testing.assert_allclose(u.reshape(8, 8), columns + 0.5, atol=1e-12)
        np.testing.assert_allclose(v.reshape(8, 8), rows + 0.5, atol=1e-12)
        np.testing.assert_allclose(z.reshape(8, 8), depth[n], atol=1e-12)


def test_torch_gives_the_same_and_its_gradient() -> None:
    rng = np.random.default_rng(6)
    points, depth = rng.uniform(-0.5, 0.5, (3, 40, 3)), rng.uniform(0.5, 1.5, (3, 8, 8))
    matrices = cameras.extrinsics(random_viewpoints(3, rng))
    tensors = [torch.from_numpy(a) for a in (points, matrices)]
    for ours, theirs in zip(project(points, matrices, 8), project(*tensors, 8)):
        np.testing.assert_allclose(theirs.numpy(), ours, atol=1e-14)
    leaf = torch.from_numpy(depth).requires_grad_()
    maps = xyz_maps(leaf, tensors[1])
    np.testing.assert_allclose(maps.detach().numpy(), xyz_maps(depth, matrices), atol=1e-14)
    weights = torch.from_numpy(rng.normal(size=3))
    (maps @ weights).sum().backward()
    # A point moves along the optical axis of its camera, the third row of R, as its depth grows.
    slope = (matrices[:, 2, :3] @ weights.numpy())[:, None, None]
    np.testing.assert_allclose(leaf.grad.numpy(), np.broadcast_to(slope, depth.shape), atol=1e-13)
    single = xyz_maps(torch.from_numpy(depth).float(), tensors[1].float())
    assert single.dtype == torch.float32


def test_a_unit_diagonal_box_fits_the_picture_from_anywhere() -> None:
    rng = np.random.default_rng(7)
    sides = rng.uniform(0, 1, (50, 1, 3))
    sides /= np.linalg.norm(sides, axis=-1, keepdims=True)
    corners = sides * (np.array(list(np.ndindex(2, 2, 2))) - 0.5)  # (50, 8, 3)
    matrices = cameras.extrinsics(random_viewpoints(50, rng))
    u, v, depth = project(corners, matrices, 128)
    assert -1e-9 < min(u.min(), v.min()) < 20
    assert 108 < max(u.max(), v.max()) < 128 + 1e-9
    assert 0.5 - 1e-12 < depth.min() < depth.max() < 1.5 + 1e-12


@pytest.mark.parametrize(
    ("count", "cosine", "neighbours"),
    [(4, -1 / 3, 3), (6, 0, 4), (8, 1 / 3, 3), (12, 5**-0.5, 5), (20, 5**0.5 / 3, 3)],
)
def test_fixed_views_are_the_corners_of_regular_solids(
    count: int, cosine: float, neighbours: int
) -> None:
    views = fixed_viewpoints(count)
    assert views.shape == (count, 4)
    towards = directions(views)
    assert np.linalg.norm(towards, axis=1) == pytest.approx(np.ones(count))
    products = towards @ towards.T - 3 * np.eye(count)
    assert products.max(1) == pytest.approx(np.full(count, cosine))
    assert (np.abs(products - cosine) < 1e-9).sum(1).tolist() == [neighbours] * count


@pytest.mark.parametrize("count", list(SOLIDS))
def test_fixed_views_are_upright(count: int) -> None:
    matrices = cameras.extrinsics(fixed_viewpoints(count))
    rotation = matrices[:, :, :3]
    assert rotation @ rotation.mT == pytest.approx(np.broadcast_to(np.eye(3), rotation.shape))
    assert np.linalg.det(rotation) == pytest.approx(np.ones(count))
    assert matrices[:, :2, 3] == pytest.approx(np.zeros((count, 2)))  # the origin in the middle
    assert matrices[:, 2, 3] == pytest.approx(np.ones(count))
    assert rotation[:, 0, 2] == pytest.approx(np.zeros(count), abs=1e-12)  # right is level
    assert (rotation[:, 1, 2] < -0.2).all()  # and down is down, well away from the vertical


def test_the_order_of_fixed_views() -> None:
    np.testing.assert_allclose(directions(fixed_viewpoints(8)) * 3**0.5, CUBE, atol=1e-12)
    np.testing.assert_allclose(fixed_viewpoints(4), fixed_viewpoints(8)[:4])
    np.testing.assert_allclose(fixed_viewpoints(20)[:8], fixed_viewpoints(8))
    r = 0.5**0.5
    octahedron = [(1, 0, 0), (0, -r, r), (0, r, -r), (-1, 0, 0), (0, r, r), (0, -r, -r)]
    np.testing.assert_allclose(directions(fixed_viewpoints(6)), octahedron, atol=1e-12)


def test_other_numbers_of_fixed_views_are_refused() -> None:
    with pytest.raises(UsageError, match="no 7 fixed views") as caught:
        fixed_viewpoints(7)
    assert caught.value.hint == "use 4, 6, 8, 12, 20"


def test_random_views_are_uniform_rotations() -> None:
    """For a uniform rotation E R_ij = 0, E R_ij R_kl = 1/3 where ij = kl and 0 else."""
    count = 20000
    rotation = cameras.extrinsics(random_viewpoints(count, np.random.default_rng(8)))[:, :, :3]
    flat = rotation.reshape(count, 9)
    # Standard errors: sqrt(1/3 / n) = 0.0041 for the means, below 0.0024 for the products, whose
    # variance is 4/45 at most; five of them.
    assert np.abs(flat.mean(0)).max() < 0.0205
    assert np.abs(flat.T @ flat / count - np.eye(9) / 3).max() < 0.0115
    # Fourth moments tell the sphere from a cube or an octahedron: E z^4 = 1/5, E x^2 y^2 = 1/15.
    towards = -rotation[:, 2]
    assert (towards**4).mean(0) == pytest.approx(np.full(3, 1 / 5), abs=0.01)
    pairs = (towards**2) * np.roll(towards**2, 1, axis=1)
    assert pairs.mean(0) == pytest.approx(np.full(3, 1 / 15), abs=0.004)


def test_random_views_cover_all_rolls_and_depend_on_the_seed_alone() -> None:
    views = random_viewpoints(4000, np.random.default_rng(9))
    counts = np.histogram(views[:, 2], 8, (0, 360))[0]
    assert counts.sum() == 4000
    assert np.abs(counts - 500).max() < 5 * 500**0.5
    assert (views[:, 3] == 1).all()
    np.testing.assert_array_equal(random_viewpoints(10, np.random.default_rng(9)), views[:10])
    assert not np.allclose(random_viewpoints(10, np.random.default_rng(10)), views[:10])
    assert random_viewpoints(0, np.random.default_rng(0)).shape == (0, 4)

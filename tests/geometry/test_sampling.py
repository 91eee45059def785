"""Trilinear sampling against SciPy, naive loops, exact turns and analytic silhouettes."""

import math

import numpy as np
import pytest
import torch
from scipy import ndimage

from stages.geometry import cameras, rotations
from stages.geometry.sampling import (
    Rays,
    penetration,
    ray_occupancy,
    rotate_voxels,
    trilinear,
)


def blob(batch: int = 2, size: int = 12, seed: int = 0) -> torch.Tensor:
    """Random occupancies (float64) in a box off the middle, empty around it."""
    rng = np.random.default_rng(seed)
    grid = np.zeros((batch, size, size, size))
    grid[:, 3:9, 2:8, 5:10] = rng.uniform(0, 0.9, (batch, 6, 6, 5))
    return torch.from_numpy(grid)


def poses(*angles: tuple[float, float]) -> torch.Tensor:
    azimuth, elevation = torch.tensor(angles, dtype=torch.float64).deg2rad().T
    return rotations.camera(azimuth, elevation)


def test_trilinear_is_scipys_linear_interpolation():
    rng = np.random.default_rng(0)
    grid = rng.uniform(size=(3, 7, 7, 7))
    points = rng.uniform(-0.7, 0.7, (3, 500, 3))  # a good part outside
    ours = trilinear(torch.from_numpy(grid), torch.from_numpy(points))
    for values, place, found in zip(grid, points, ours):
        index = (place + 0.5) * 7 - 0.5  # voxel i at (i + 0.5)/res - 0.5
        expected = ndimage.map_coordinates(values, index.T, order=1, mode="grid-constant", cval=0)
        np.testing.assert_allclose(found, expected, atol=1e-13)


def test_trilinear_at_voxel_centres_is_the_voxel():
    grid = torch.rand(1, 5, 5, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    axis = (torch.arange(5, dtype=torch.float64) + 0.5) / 5 - 0.5
    points = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(1, -1, 3)
    np.testing.assert_allclose(trilinear(grid, points).reshape(5, 5, 5), grid[0], atol=1e-14)


def test_ray_samples_project_to_pixel_centres_at_their_depths():
    """The world point of each sample, by `cameras.project` of the same viewpoint."""
    rays = Rays(size=5, samples=7)
    view = np.array([40.0, 20, 0, 2])
    matrix, lens = cameras.extrinsics(view), cameras.intrinsics(5)
    like = torch.zeros(1, dtype=torch.float64)
    camera = rays.directions(like)[:, None] * rays.depths(like)[:, None]
    world = (camera.numpy() - matrix[:, 3]) @ matrix[:, :3]
    uvz = cameras.project(world, matrix, lens).reshape(5, 5, 7, 3)
    v, u = np.meshgrid(np.arange(5) + 0.5, np.arange(5) + 0.5, indexing="ij")
    np.testing.assert_allclose(uvz[..., 0], np.broadcast_to(u[..., None], (5, 5, 7)), atol=1e-12)
    np.testing.assert_allclose(uvz[..., 1], np.broadcast_to(v[..., None], (5, 5, 7)), atol=1e-12)
    depth = [1 + 2 * i / 7 for i in range(1, 8)]
    np.testing.assert_allclose(uvz[..., 2], np.broadcast_to(depth, (5, 5, 7)), atol=1e-12)


def test_ray_occupancy_and_penetration_are_the_naive_loop():
    """Equation 1 and the product of 3, written out sample by sample."""
    grid, size, count = blob(1), 6, 16
    view = np.array([-35.0, 25, 0, 2])
    matrix = cameras.extrinsics(view)
    occupancy, passed = np.zeros((size, size, count)), np.ones((size, size))
    for row in range(size):
        for column in range(size):
            for i in range(1, count + 1):
                depth = 1 + 2 * i / count
                slope = (np.array([column, row]) + 0.5 - size / 2) / (1.875 * size)
                point = matrix[:, :3].T @ (np.array([*slope, 1]) * depth - [0, 0, 2])
                index = (point + 0.5) * 12 - 0.5
                y = ndimage.map_coordinates(
                    grid[0].numpy(), index[:, None], order=1, mode="grid-constant", cval=0
                )[0]
                occupancy[row, column, i - 1] = y
                passed[row, column] *= 1 - y
    rotation = torch.from_numpy(matrix[None, :, :3].copy())
    rays = Rays(size=size, samples=count)
    np.testing.assert_allclose(ray_occupancy(grid, rotation, rays)[0], occupancy, atol=1e-13)
    assert passed.min() < 0.2  # the loop saw the shape
    # A full voxel lets 1e-6 of a ray through: LEAK.
    np.testing.assert_allclose(penetration(grid, rotation[None], rays)[0, 0], passed, atol=2e-5)


@pytest.mark.parametrize("fill", ["box", "full", "corner", "empty"])
def test_penetration_skips_only_empty_samples(fill):
    """Against the product over all samples, for occupied boxes of every kind and many poses."""
    grid = torch.zeros(2, 12, 12, 12, dtype=torch.float64)
    if fill == "box":
        grid = blob()
    elif fill == "full":
        grid = torch.rand(grid.shape, generator=torch.Generator().manual_seed(1)).double() * 0.9
    elif fill == "corner":
        grid[0, 0, 0, 0], grid[1, 11, 11, 0] = 1, 0.5
    angles = [(a, e) for a in (0, 90, 45, 211) for e in (-90, -20, 0, 37)]
    rotation = poses(*angles)
    rays = Rays(size=16, samples=20)
    got = penetration(grid, rotation.expand(2, -1, -1, -1), rays)
    for index in range(len(angles)):
        occupancy = ray_occupancy(grid, rotation[index].expand(2, -1, -1), rays)
        np.testing.assert_allclose(got[:, index], (1 - occupancy).prod(-1), atol=2e-5)


def test_penetration_gradients_are_finite_differences():
    """By azimuth, elevation and voxel, in float64, at a loss of random pixel weights."""
    grid, rays = blob(2), Rays(size=10, samples=24)
    weight = torch.rand(2, 3, 10, 10, generator=torch.Generator().manual_seed(0)).double()
    angles = torch.tensor([[[20.0, 10], [100, -15], [230, 33]]]).double().deg2rad()
    angles = angles.expand(2, -1, -1).clone().requires_grad_()
    grid.requires_grad_()

    def loss(angles: torch.Tensor, grid: torch.Tensor) -> torch.Tensor:
        return (penetration(grid, rotations.camera(*angles.unbind(-1)), rays) * weight).sum()

    by_angle, by_voxel = torch.autograd.grad(loss(angles, grid), (angles, grid))
    # The interpolant is piecewise cubic: a sample that crosses a voxel border within the step
    # changes slope there, which costs O(step) of its share.
    step = 1e-7
    with torch.no_grad():
        for index in np.ndindex(2, 3, 2):
            shift = torch.zeros_like(angles)
            shift[index] = step
            slope = (loss(angles + shift, grid) - loss(angles - shift, grid)) / (2 * step)
            assert by_angle[index].item() == pytest.approx(slope.item(), rel=1e-4, abs=1e-5)
        for index in [(0, 4, 4, 6), (1, 8, 7, 9), (0, 2, 4, 6)]:
            shift = torch.zeros_like(grid)
            shift[index] = step
            slope = (loss(angles, grid + shift) - loss(angles, grid - shift)) / (2 * step)
            assert by_voxel[index].item() == pytest.approx(slope.item(), rel=1e-4, abs=1e-5)


def test_penetration_of_nothing_is_one_and_flat():
    angles = torch.zeros(1, 2, 2, requires_grad=True)
    rotation = rotations.camera(*angles.unbind(-1))
    passed = penetration(torch.zeros(1, 8, 8, 8), rotation, Rays(size=4))
    assert (passed == 1).all()
    passed.sum().backward()
    assert (angles.grad == 0).all()


@pytest.mark.parametrize(
    ("azimuth", "elevation", "turn"),
    [
        # Front: right is +x, down is -z, forward is +y.
        (0, 0, lambda g: g.permute(0, 1, 3, 2).flip(2)),
        # From +x: right is +y, down is -z, forward is -x.
        (90, 0, lambda g: g.permute(0, 2, 3, 1).flip(2, 3)),
        # From behind: right is -x, down is -z, forward is -y.
        (180, 0, lambda g: g.permute(0, 1, 3, 2).flip(1, 2, 3)),
        # From above: right is +x, down is -y, forward is -z.
        (0, 90, lambda g: g.flip(2, 3)),
    ],
)
def test_rotate_voxels_by_right_angles_is_a_permutation(azimuth, elevation, turn):
    grid = torch.rand(1, 9, 9, 9, generator=torch.Generator().manual_seed(0)).double()
    np.testing.assert_allclose(
        rotate_voxels(grid, poses((azimuth, elevation)), 9), turn(grid), atol=1e-12
    )


def test_rotate_voxels_puts_a_point_where_the_camera_sees_it():
    """A Gaussian blob at a world point, turned, has its centre at R times that point."""
    size = 24
    axis = (torch.arange(size).double() + 0.5) / size - 0.5
    x, y, z = torch.meshgrid(axis, axis, axis, indexing="ij")
    point = torch.tensor([0.15, -0.1, 0.2]).double()
    grid = (-((x - point[0]) ** 2 + (y - point[1]) ** 2 + (z - point[2]) ** 2) / 0.005).exp()
    rotation = poses((33, 21))
    turned = rotate_voxels(grid[None], rotation)[0]
    fine = (torch.arange(48).double() + 0.5) / 48 - 0.5
    share = turned / turned.sum()
    centre = torch.stack(
        [(share * fine.reshape(shape)).sum() for shape in ((-1, 1, 1), (1, -1, 1), (1, 1, -1))]
    )
    # Linear interpolation keeps the centre of mass but for the tails cut off at the border.
    np.testing.assert_allclose(centre, rotation[0] @ point, atol=1e-3)


def l_solid(size: int = 32) -> torch.Tensor:
    """An asymmetric solid of two boxes with sides on voxel borders, voxel centres inside."""
    axis = (np.arange(size) + 0.5) / size - 0.5
    points = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1)
    inside = np.zeros((size, size, size), bool)
    for low, high in BOXES:
        inside |= ((points > low) & (points < high)).all(-1)
    return torch.from_numpy(inside).float()[None]


BOXES = (  # a slab and an upright block at one of its ends, to one side: no symmetry is left
    (np.array([-0.375, -0.25, -0.1875]), np.array([0.25, 0.125, -0.0625])),
    (np.array([-0.375, -0.25, -0.0625]), np.array([-0.1875, -0.0625, 0.25])),
)


def silhouette(view: np.ndarray, size: int = 48, fine: int = 6) -> np.ndarray:
    """(size, size) coverage of the pixels by the two boxes: slab tests of fine^2 rays a pixel."""
    matrix = cameras.extrinsics(view)
    centre = (np.arange(size * fine) + 0.5) / (size * fine) - 0.5
    v, u = np.meshgrid(centre / cameras.FOCAL, centre / cameras.FOCAL, indexing="ij")
    ray = np.stack([u, v, np.ones_like(u)], -1) @ matrix[:, :3]
    eye = -matrix[:, :3].T @ matrix[:, 3]
    hit = np.zeros(u.shape, bool)
    for low, high in BOXES:
        ends = np.stack([(low - eye) / ray, (high - eye) / ray])
        hit |= ends.min(0).max(-1) < ends.max(0).min(-1)
    return hit.reshape(size, fine, size, fine).mean((1, 3))


VIEWS = np.array([[a, e, 0, 2.0] for a, e in [(20, 30), (130, -15), (250, 50), (310, 5)]])


def test_true_shape_and_pose_give_the_true_silhouette():
    """Catches mirrored or swapped axes and half-voxel offsets, any of which lowers the overlap."""
    grid = l_solid()
    truth = np.stack([silhouette(view) for view in VIEWS])

    def overlap(grid: torch.Tensor, views: np.ndarray) -> float:
        azimuth, elevation = torch.from_numpy(views[:, :2]).float().deg2rad().T
        shape = 1 - penetration(grid, rotations.camera(azimuth, elevation)[None], Rays())[0].numpy()
        return float(np.minimum(shape, truth).sum() / np.maximum(shape, truth).sum())

    exact = overlap(grid, VIEWS)
    # Trilinear occupancy blurs edges over a voxel, 1.4 pixels of 48: measured 0.954.
    assert exact > 0.95
    for axis in (1, 2, 3):
        assert overlap(grid.flip(axis), VIEWS) < exact - 0.2
        assert overlap(grid.transpose(axis, axis % 3 + 1), VIEWS) < exact - 0.05
        for way in (1, -1):
            half = (grid + grid.roll(way, axis)) / 2  # centred half a voxel aside
            assert overlap(half, VIEWS) < exact - 0.01
    behind = VIEWS + np.array([180, 0, 0, 0])
    for turned in (VIEWS * [1, -1, 1, 1], VIEWS * [-1, 1, 1, 1], behind):
        assert overlap(grid, turned) < exact - 0.15


def test_flipped_voxels_at_the_mirrored_azimuth_give_the_flipped_mask():
    grid = blob(1).float()
    azimuth, elevation = torch.tensor([0.4, 2.0]), torch.tensor([0.3, -0.2])
    straight = penetration(grid, rotations.camera(azimuth, elevation)[None], Rays(size=20))
    mirrored = penetration(grid.flip(1), rotations.camera(-azimuth, elevation)[None], Rays(size=20))
    # float32 sample positions differ by rounding: 1e-6 of a voxel, times 12 voxels, 64 samples.
    np.testing.assert_allclose(mirrored.flip(-1), straight, atol=1e-4)


def test_depths_cover_what_a_unit_diagonal_shape_can_reach():
    depths = Rays().depths(torch.zeros(1))
    assert len(depths) == 64
    assert depths.min() < 2 - math.sqrt(3) / 2
    assert depths.max() > 2 + math.sqrt(3) / 2

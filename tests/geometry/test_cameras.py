"""The camera convention, by what it promises: where the camera is and what the picture shows."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from scipy.stats import kstest

from stages.geometry import cameras

FREE = cameras.Ranges(inplane_deg=(-180, 180))

VIEWS = np.stack(
    [
        np.linspace(0, 345, 24),
        np.linspace(-80, 80, 24),
        np.linspace(-60, 60, 24),
        np.linspace(1, 4, 24),
    ],
    -1,
)


def test_rotations_are_proper():
    rotation = cameras.extrinsics(VIEWS)[..., :3]
    np.testing.assert_allclose(
        rotation @ np.swapaxes(rotation, -1, -2), np.broadcast_to(np.eye(3), (24, 3, 3)), atol=1e-14
    )
    np.testing.assert_allclose(np.linalg.det(rotation), 1, atol=1e-14)


def test_camera_sits_where_the_formula_says():
    matrix = cameras.extrinsics(VIEWS)
    centre = -np.einsum("nji,nj->ni", matrix[..., :3], matrix[..., 3])
    a, e = np.radians(VIEWS[:, 0]), np.radians(VIEWS[:, 1])
    unit = np.stack([np.cos(e) * np.sin(a), -np.cos(e) * np.cos(a), np.sin(e)], -1)
    np.testing.assert_allclose(centre, unit * VIEWS[:, 3:], atol=1e-13)


def test_viewpoints_of_rotations():
    told = cameras.viewpoints_of(cameras.extrinsics(VIEWS)[..., :3], 1.5)
    np.testing.assert_allclose(told[:, :3], VIEWS[:, :3], atol=1e-10)
    assert (told[:, 3] == 1.5).all()
    # any rotation, also straight from above and below, where many angles mean the same
    rotations = Rotation.random(200, random_state=0).as_matrix()
    poles = [[a, e, i, 1] for a in (0, 70, 200) for e in (-90, 90) for i in (0, 130)]
    rotations = np.concatenate([rotations, cameras.extrinsics(np.array(poles, float))[..., :3]])
    again = cameras.extrinsics(cameras.viewpoints_of(rotations))[..., :3]
    np.testing.assert_allclose(again, rotations, atol=1e-12)


def test_origin_is_in_the_middle_at_its_distance():
    lens = cameras.intrinsics(48)
    for view, matrix in zip(VIEWS, cameras.extrinsics(VIEWS)):
        np.testing.assert_allclose(
            cameras.project(np.zeros(3), matrix, lens), [24, 24, view[3]], atol=1e-12
        )


@pytest.mark.parametrize(
    ("view", "point", "side"),
    [
        ((0, 0, 0, 2), (0.1, 0, 0), (1, 0)),  # the front view: +x to the right
        ((0, 0, 0, 2), (0, 0, 0.1), (0, -1)),  # up is up
        ((90, 0, 0, 2), (0, 0.1, 0), (1, 0)),  # from +x: +y to the right
        ((180, 0, 0, 2), (0.1, 0, 0), (-1, 0)),  # from behind: mirrored
        ((0, 90, 0, 2), (0, 0.1, 0), (0, -1)),  # from above: the front points down
        ((0, 0, 90, 2), (0.1, 0, 0), (0, -1)),  # turned counter-clockwise: right goes up
        ((0, 0, 90, 2), (0, 0, 0.1), (-1, 0)),  # and up goes left
    ],
)
def test_directions_in_the_picture(view, point, side):
    matrix, lens = cameras.extrinsics(np.array(view, float)), cameras.intrinsics(100)
    u, v, _ = cameras.project(np.array(point), matrix, lens)
    moved = np.array([u - 50, v - 50])
    # 187.5 px focal length at depth 2: 0.1 units are 9.4 px.
    np.testing.assert_allclose(moved, 9.375 * np.array(side), atol=1e-9)


def test_front_is_nearer_at_azimuth_zero():
    matrix, lens = cameras.extrinsics(np.array([0, 0, 0, 2.0])), cameras.intrinsics(64)
    depth = cameras.project(np.array([[0, -0.3, 0], [0, 0.3, 0]]), matrix, lens)[:, 2]
    np.testing.assert_allclose(depth, [1.7, 2.3], atol=1e-12)


def test_unit_diagonal_objects_fill_the_picture_and_stay_inside():
    """Half the field of view is 14.93 degrees; the ball of diameter 1 at distance 2 spans 14.48."""
    half = np.degrees(np.arctan(0.5 / cameras.FOCAL))
    ball = np.degrees(np.arcsin(0.5 / cameras.DISTANCE))
    assert ball < half < ball + 0.5
    assert half == pytest.approx(14.93, abs=0.005)


def test_grid24_is_the_published_grid():
    grid = cameras.grid24()
    np.testing.assert_array_equal(grid[:, 0], np.arange(0, 360, 15))
    assert set(map(tuple, grid[:, 1:])) == {(30.0, 0.0, 2.0)}


def test_uniform_viewpoints_fill_their_ranges():
    ranges = cameras.Ranges((-30, 60), (-20, 40), (-15, 5))
    views = cameras.uniform(4000, np.random.default_rng(0), ranges)
    azimuth = (views[:, 0] + 180) % 360 - 180
    for angle, (low, high) in zip(
        (azimuth, views[:, 1], views[:, 2]),
        (ranges.azimuth_deg, ranges.elevation_deg, ranges.inplane_deg),
    ):
        # The largest of 4000 uniform differences has p = e^-8 of being under this.
        assert kstest((angle - low) / (high - low), "uniform").statistic < 2 / np.sqrt(4000)
        assert low <= angle.min() < angle.max() <= high
    assert 0 <= views[:, 0].min() < views[:, 0].max() < 360
    np.testing.assert_array_equal(views[:, 3], 2.0)


def test_directions_are_uniform_over_the_sphere():
    views = cameras.on_sphere(20000, np.random.default_rng(1), cameras.Ranges())
    matrix = cameras.extrinsics(views)
    centre = -np.einsum("nji,nj->ni", matrix[..., :3], matrix[..., 3]) / 2  # unit vectors
    # Standard errors of mean and of second moments of 20,000: 0.0041 and 0.0021 to 0.0024.
    np.testing.assert_allclose(centre.mean(0), 0, atol=0.02)
    np.testing.assert_allclose(centre.T @ centre / 20000, np.eye(3) / 3, atol=0.012)
    assert kstest(centre[:, 2], "uniform", (-1, 2)).statistic < 2 / np.sqrt(20000)
    assert (matrix[:, 0, 2] == 0).all()  # upright: right is horizontal


def test_free_angles_are_uniform_over_so3():
    views = cameras.on_sphere(20000, np.random.default_rng(2), FREE)
    rotation = cameras.extrinsics(views)[..., :3]
    flat = rotation.reshape(-1, 9)
    # Of the Haar measure: E[R] = 0, E[R_ij R_kl] = 1/3 where i, j = k, l, else 0.
    np.testing.assert_allclose(flat.mean(0), 0, atol=0.02)
    np.testing.assert_allclose(flat.T @ flat / 20000, np.eye(9) / 3, atol=0.012)
    for fixed in (np.eye(3), Rotation.from_rotvec([1, -2, 0.5]).as_matrix()):
        angle = np.arccos(np.clip((np.einsum("nij,ij->n", rotation, fixed) - 1) / 2, -1, 1))
        # The rotation angle has the distribution (t - sin t) / pi, measured from anywhere.
        test = kstest(angle, lambda t: (t - np.sin(t)) / np.pi)
        assert test.statistic < 2 / np.sqrt(20000)


def test_parts_of_the_sphere_are_filled_by_area():
    ranges = cameras.Ranges((90, 180), (0, 90))
    views = cameras.on_sphere(10000, np.random.default_rng(3), ranges)
    assert 90 <= views[:, 0].min() < views[:, 0].max() <= 180
    height = np.sin(np.radians(views[:, 1]))
    assert kstest(height, "uniform").statistic < 2 / np.sqrt(10000)
    narrow = cameras.on_sphere(1000, np.random.default_rng(3), cameras.Ranges((0, 0), (30, 30)))
    np.testing.assert_array_equal(narrow[:, :3], np.tile([0, 30.0, 0], (1000, 1)))


@pytest.mark.parametrize("draw", [cameras.uniform, cameras.on_sphere])
def test_viewpoints_follow_from_the_seed_and_more_of_them_begin_alike(draw):
    few, many = (draw(count, np.random.default_rng(5), FREE) for count in (7, 90))
    np.testing.assert_array_equal(few, many[:7])
    other = draw(7, np.random.default_rng(6), FREE)
    assert (few[:, :3] != other[:, :3]).all()

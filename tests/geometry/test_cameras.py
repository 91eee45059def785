"""The camera convention, by what it promises: where the camera is and what the picture shows."""

import numpy as np
import pytest

from stages.geometry import cameras

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
    views = cameras.uniform(4000, np.random.default_rng(0), (-20, 40))
    # Extremes of 4000 uniform draws miss the ends by more than 1/400 of the range once in e^10.
    assert views[:, 0].min() < 1
    assert views[:, 0].max() > 359
    assert -20 <= views[:, 1].min() < -19.8
    assert 39.8 < views[:, 1].max() < 40
    np.testing.assert_array_equal(views[:, 2:], np.tile([0, 2.0], (4000, 1)))
    again = cameras.uniform(4000, np.random.default_rng(0), (-20, 40))
    np.testing.assert_array_equal(views, again)

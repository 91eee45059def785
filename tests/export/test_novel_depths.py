"""Depth maps of clouds: against a naive loop, a closed form, and maps of a mesh."""

from __future__ import annotations

import numpy as np
import pytest

from stages.export.novel_depths import coloured, compare, drawn_depth
from stages.geometry import cameras, orthographic

rng = np.random.default_rng(0)
CAMERA = cameras.extrinsics(np.array([30.0, 20.0, 10.0, orthographic.DISTANCE]))


def test_the_nearest_point_of_each_pixel() -> None:
    points = rng.uniform(-0.6, 0.6, (3000, 3))  # some of them beside the picture
    expected = np.zeros((16, 16))
    for point in points:
        x, y, z = CAMERA[:, :3] @ point + CAMERA[:, 3]
        row, column = int(np.floor((y + 0.5) * 16)), int(np.floor((x + 0.5) * 16))
        if 0 <= row < 16 and 0 <= column < 16:
            there = expected[row, column]
            expected[row, column] = min(there, z) if there else z
    np.testing.assert_allclose(drawn_depth(points, CAMERA, 16), expected, rtol=1e-6)
    assert not drawn_depth(np.zeros((0, 3)), CAMERA, 16).any()


def test_points_of_a_map_are_drawn_where_they_were() -> None:
    """Out into the world and back: `xyz_maps` and this are each other's inverse."""
    depth = np.where(rng.random((24, 24)) < 0.6, rng.uniform(0.6, 1.4, (24, 24)), 0)
    points = orthographic.xyz_maps(depth, CAMERA)[depth > 0]
    np.testing.assert_allclose(drawn_depth(points, CAMERA, 24), depth, atol=1e-6)


def test_numbers_of_maps() -> None:
    truth, drawn = np.zeros((2, 4, 4)), np.zeros((2, 4, 4))
    truth[:, :2], drawn[0, 1:3] = 1.0, 1.1  # 8 and 8 pixels, 4 of them both; nothing in the second
    overlap, away = compare(truth, drawn)
    assert overlap == pytest.approx((4 / 12 + 0) / 2)
    assert away == pytest.approx(10)
    assert compare(truth, truth) == (1, 0)
    assert np.isnan(compare(truth, np.zeros_like(truth))[1])


def test_nothing_is_white_and_near_is_darker() -> None:
    picture = coloured(np.array([[0, 0.6, 1.4]]))
    assert picture[0, 0].tolist() == [255, 255, 255]
    assert picture[0, 1].sum() < picture[0, 2].sum()

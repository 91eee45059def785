"""Heatmaps in colours over a picture: closed forms of single maps."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from stages.export.keypoint_maps import coloured, faded, keypoint_sheet, marked
from stages.export.skeletons import Shown, colours

RGB = np.random.default_rng(0).integers(0, 256, (320, 240, 3)).astype(np.uint8)


def test_blank_maps_leave_the_faded_picture() -> None:
    blank = np.zeros((3, 40, 30), np.float32)
    np.testing.assert_array_equal(coloured(RGB, blank), faded(RGB).round())
    np.testing.assert_array_equal(coloured(RGB, blank - 0.5), faded(RGB).round())


def test_a_pixel_has_the_colour_of_its_highest_map() -> None:
    """Flat maps of 1 are opaque, of 1/4 a quarter; higher ones are no more than opaque."""
    maps = np.zeros((3, 40, 30), np.float32)
    maps[1] = 0.25
    picture = coloured(RGB, maps).astype(float)
    expected = 0.75 * faded(RGB) + 0.25 * np.array(colours(3)[1])
    np.testing.assert_allclose(picture, expected, atol=0.51)  # rounded
    maps[2] = 7
    assert (coloured(RGB, maps) == colours(3)[2]).all()


def test_a_peak_is_where_its_cell_is() -> None:
    """Cell (10, 20) of 8 x 8 pixels: centre at row 84, column 164."""
    maps = np.zeros((1, 40, 30), np.float32)
    maps[0, 10, 20] = 1
    white = np.full((320, 240, 3), 255, np.uint8)
    changed = (coloured(white, maps) != faded(white).round()).any(-1)
    rows, columns = np.nonzero(changed)
    assert abs(rows.mean() - 83.5) < 0.51
    assert abs(columns.mean() - 163.5) < 0.51


def test_points_that_are_not_known_are_not_marked() -> None:
    picture = marked(RGB, np.array([[50.0, 60.0], [np.nan, np.nan]]))
    assert tuple(picture[60, 50]) == colours(2)[0]
    assert not (picture == colours(2)[1]).all(-1).any()


def test_the_sheet_has_the_truth_where_it_is_known() -> None:
    names = [f"keypoint-{n}-of-a-long-name" for n in range(12)]
    told = {
        "rough": np.zeros((12, 40, 30), np.float32),
        "heatmaps": np.zeros((12, 40, 30), np.float32),
        "keypoints": np.full((12, 2), 50.0),
    }
    one = Shown("a", RGB, told, None)
    without, beside = (
        np.asarray(Image.open(io.BytesIO(keypoint_sheet(rows, names))))
        for rows in ([(one, None)], [(one, np.full((12, 2), 80.0)), (one, None)])
    )
    assert without.shape[1] == 4 * 246
    assert beside.shape[1] == 5 * 246
    # a row more; on a wider sheet 12 names of about 180 pixels fill one line less
    lines = [-(-12 // (width // 180)) for width in (4 * 246, 5 * 246)]
    assert beside.shape[0] - without.shape[0] == 326 + 20 * (lines[1] - lines[0])

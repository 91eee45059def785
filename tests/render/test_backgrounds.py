"""What is behind the shape: exact where it is free, blended where a pixel is covered in part."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.stats import kstest

from stages.geometry.mesh import Mesh
from stages.render import Params, process
from stages.render.attach import PICTURES
from stages.render.variety import draw_parts, streams
from stages.stage import Arrays, Item
from tests.render.models import box
from tests.render.shots import shoot

PLAIN = Params(size=32, viewpoints="uniform", views=6, ambient=1, directional=0, backend="numba")
SOLID = replace(PLAIN, background="solid")
IMAGES = replace(PLAIN, background="images", images="some")
MESH = box((-0.3, -0.2, -0.3), (0.3, 0.2, 0.35), (0.9, 0.4, 0.2, 1))
SIDE = 200


def places(number: int) -> np.ndarray:
    """A picture that says in each pixel which column, row and picture it is."""
    columns, rows = np.meshgrid(np.arange(SIDE), np.arange(SIDE))
    return np.stack([columns, rows, np.full_like(rows, 40 * number)], -1).astype(np.uint8)


def seen(params: Params, pictures: int = 3, seed: int = 0) -> Arrays:
    rows = tuple({"rgb": places(number)} for number in range(pictures))
    item = Item("car/one", {"shapes": MESH.to_arrays()}, {}, {PICTURES: rows})
    return process(item, params, np.random.default_rng(seed))


@pytest.mark.parametrize("params", [SOLID, IMAGES], ids=["solid", "images"])
def test_free_pixels_show_it_covered_ones_do_not_and_others_blend(
    params: Params, renderer: Any
) -> None:
    params = replace(params, supersample=5, backend=renderer)
    arrays = seen(params)
    rng = streams(np.random.default_rng(0))["background"]
    parts = draw_parts([places(number) for number in range(3)], 32, 6, rng)
    for n in range(6):
        rgb, mask = arrays["rgb"][n], arrays["mask"][n]
        behind = parts(n) if params is not SOLID and params.images else rgb[0, 0]
        behind = np.broadcast_to(behind, rgb.shape)
        assert (mask == 0).any()
        assert np.array_equal(rgb[mask == 0], behind[mask == 0])
        # Naively, of the 160 x 160 picture: the background in place of what shows nothing.
        viewpoint = arrays["viewpoint"][n].astype(np.float64)
        colours, depths = shoot(MESH, viewpoint, 160, name=renderer)
        large = np.repeat(np.repeat(behind, 5, 0), 5, 1)
        mean = np.where(depths[..., None] > 0, colours, large).reshape(32, 5, 32, 5, 3)
        assert np.abs(rgb - mean.mean((1, 3))).max() <= 0.5
        partly = (mask > 0) & (mask < 255)
        assert partly.sum() > 20
        assert np.array_equal(rgb[mask == 255], colours[2::5, 2::5][mask == 255])


@pytest.mark.parametrize("changed", [SOLID, IMAGES, replace(PLAIN, grey=3)])
def test_another_background_changes_nothing_else(changed: Params) -> None:
    more = {"light": "random", "stretch": 1.3, "distance_max": 3.0, "directional": 0.3}
    plain, other = seen(replace(PLAIN, **more)), seen(replace(changed, **more))
    assert not np.array_equal(plain["rgb"], other["rgb"])
    for name in set(plain) - {"rgb"}:
        assert np.array_equal(plain[name], other[name])
    inside = plain["mask"] == 255
    assert np.array_equal(plain["rgb"][inside], other["rgb"][inside])


def test_the_stored_mask_is_enough_to_change_a_grey_background() -> None:
    white, black = seen(PLAIN), seen(replace(PLAIN, grey=0))
    share = 1 - white["mask"][..., None] / 255
    # Each picture is rounded to whole levels, and so is the mask.
    assert np.abs(white["rgb"] - 255 * share - black["rgb"]).max() <= 1.5


def test_colours_are_uniform_between_their_limits_and_differ() -> None:
    many = replace(SOLID, size=8, views=2000, supersample=1)
    for low, high in ((0, 255), (225, 255), (100, 100)):
        colours = seen(replace(many, solid_min=low, solid_max=high))["rgb"][:, 0, 0].astype(int)
        assert colours.min() == low
        assert colours.max() == high
        if high > low:
            uniform = (colours + np.random.default_rng(1).random(colours.shape) - low) / (
                high - low + 1
            )
            for channel in uniform.T:
                # Exceeded once in e^8 for 2000 uniform numbers.
                assert kstest(channel, "uniform").statistic < 2 / np.sqrt(2000)
            # Of three channels that do not know of each other.
            assert np.abs(np.corrcoef(uniform.T) - np.eye(3)).max() < 0.1


def test_pictures_are_cut_squarely_mirrored_and_scaled() -> None:
    """From what the pixels say of themselves: place, side, mirroring and picture of each part."""
    size, count = 20, 400
    part = draw_parts([places(n) for n in range(3)], size, count, np.random.default_rng(2))
    sides, lefts, tops, mirrored = [], [], [], []
    for n in range(count):
        seen_part = part(n).astype(float)
        assert (seen_part[..., 2] == 40 * (n % 3)).all()  # in turn
        inner = seen_part[2:-2, 2:-2]  # at the rim the filter has less to average
        across, along = np.diff(inner[..., 0], axis=1), np.diff(inner[..., 1], axis=0)
        assert np.abs(across - across.mean()).max() <= 1.01  # rounded levels
        assert along.mean() == pytest.approx(np.abs(across.mean()), abs=0.15)
        mirrored.append(across.mean() < 0)
        sides.append(along.mean() * size)
        lefts.append(seen_part[..., 0].mean() - sides[-1] / 2 + 0.5)
        tops.append(seen_part[..., 1].mean() - sides[-1] / 2 + 0.5)
    assert 0.4 < np.mean(mirrored) < 0.6
    assert 98 <= min(sides) < 104  # half of 200, to a level in 15
    assert 196 < max(sides) <= 202
    room = SIDE - np.array(sides)
    for offset in (lefts, tops):
        assert min(offset) > -1.5
        assert (offset - room).max() < 1.5
        wide = room > 30
        where = np.array(offset)[wide] / room[wide]
        assert kstest(np.clip(where, 0, 1), "uniform").statistic < 2 / np.sqrt(wide.sum()) + 0.02


def test_pictures_are_not_enlarged_while_they_need_not_be() -> None:
    large = draw_parts([places(0)], 190, 30, np.random.default_rng(3))
    for n in range(30):
        slope = np.abs(np.diff(large(n)[90:100, :, 0].astype(float).mean(0))).mean()
        assert slope > 0.98  # source pixels a pixel: at least 190 / 190
    small = draw_parts([places(0)[:50, :50]], 64, 1, np.random.default_rng(3))
    assert small(0).shape == (64, 64, 3)


def test_views_beyond_the_pictures_take_other_parts() -> None:
    arrays = seen(replace(IMAGES, views=12), pictures=2)
    corners = {tuple(view[0, 0]) for view in arrays["rgb"]}
    assert len(corners) > 10


def test_a_mesh_that_is_not_seen_leaves_the_background_whole() -> None:
    glass = box((-0.3, -0.2, -0.3), (0.3, 0.2, 0.3), (1, 1, 1, 0.0))
    item = Item("car/one", {"shapes": Mesh.to_arrays(glass)})
    rgb = process(item, SOLID, np.random.default_rng(0))["rgb"]
    assert (rgb == rgb[:, :1, :1]).all()

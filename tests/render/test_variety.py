"""Shapes stretched and lit differently in each view."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import trimesh
from scipy.stats import kstest

from stages.geometry import cameras
from stages.geometry.frames import random_scales
from stages.geometry.mesh import Mesh
from stages.render import Params, process
from stages.render.surface import light
from stages.render.variety import draw_lights
from stages.stage import Arrays, Item
from tests.render.models import box
from tests.render.shots import EVEN, SIDE, rays, shoot

PLAIN = Params(size=64, viewpoints="so3", views=6, backend="numba")
LOW, HIGH = np.array([-0.3, -0.2, -0.25]), np.array([0.3, 0.2, 0.25])
BOX = box(tuple(LOW), tuple(HIGH), (0.9, 0.4, 0.2, 1))


def seen(params: Params, mesh: Mesh = BOX, seed: int = 0) -> Arrays:
    return process(Item("a/b", {"shapes": mesh.to_arrays()}), params, np.random.default_rng(seed))


def stretched(mesh: Mesh, scale: np.ndarray) -> Mesh:
    """The mesh with its vertices scaled, and normals by the inverse transpose."""
    normals = mesh.normals @ np.linalg.inv(np.diag(scale)).T
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    changes = {
        "vertices": (mesh.vertices * scale).astype(np.float32),
        "normals": normals.astype(np.float32),
    }
    return Mesh(**{**mesh.__dict__, **changes})


def test_factors_are_log_uniform_and_keep_the_diagonal() -> None:
    sides = np.array([0.6, 0.4, 0.5])
    scale = random_scales(sides, 1.5, 4000, np.random.default_rng(0))
    diagonals = np.linalg.norm(scale * sides, axis=1)
    np.testing.assert_allclose(diagonals, np.linalg.norm(sides), rtol=1e-12)
    ratio = np.log(scale[:, 0] / scale[:, 1]) / np.log(1.5)  # the common factor is gone
    # The difference of two uniform numbers in [-1, 1] has a triangular distribution.
    assert np.abs(ratio).max() <= 2
    test = kstest((ratio + 2) / 4, "triang", (0.5,))
    assert test.statistic < 2 / np.sqrt(4000)


@pytest.mark.parametrize("shading", ["flat", "smooth"])
def test_a_view_shows_the_stretched_shape(renderer: Any, shading: Any) -> None:
    """Equal to the picture of a mesh that was scaled before anything else."""
    params = replace(PLAIN, stretch=1.6, shading=shading, supersample=1, backend=renderer)
    arrays = seen(params)
    assert np.ptp(arrays["scale"], axis=0).min() > 0.1  # every view its own
    for n in range(6):
        mesh = stretched(BOX, arrays["scale"][n].astype(np.float64))
        lamp = light(*arrays["light"][n])
        viewpoint = arrays["viewpoint"][n].astype(np.float64)
        rgb, depth = shoot(mesh, viewpoint, 64, lamp, shading == "smooth", renderer)
        # float32 vertices move by 3e-8: a sample on an edge may go either way.
        differ = (arrays["depth"][n] > 0) != (depth > 0)
        assert differ.sum() <= 2
        both = (arrays["depth"][n] > 0) & (depth > 0)
        assert both.sum() > 200
        near = np.abs(arrays["depth"][n] - depth)[both] < 1e-4
        assert near.mean() > 0.99
        assert np.abs(arrays["rgb"][n][both].astype(int) - rgb[both])[near].max() <= 1


def test_the_stored_scale_is_that_of_silhouette_and_depth() -> None:
    head_on = {"viewpoints": "uniform", "azimuth_max_deg": 0.0, "elevation_min_deg": 0.0}
    params = replace(PLAIN, **head_on, elevation_max_deg=0.0, stretch=1.6, size=256, supersample=1)
    arrays = seen(params)
    focal = cameras.FOCAL * 256
    for scale, mask, depth in zip(arrays["scale"], arrays["mask"], arrays["depth"]):
        front = 2 - 0.2 * scale[1]
        assert depth[128, 128] == pytest.approx(front, abs=1e-5)
        # Width and height of the front, the nearest side, to a pixel.
        assert (mask.max(0) > 0).sum() == pytest.approx(focal * 0.6 * scale[0] / front, abs=1)
        assert (mask.max(1) > 0).sum() == pytest.approx(focal * 0.5 * scale[2] / front, abs=1)


def test_an_ellipsoid_is_shaded_by_its_own_normals(renderer: Any) -> None:
    """A stretched ball has the silhouette, depth and normals of the ellipsoid's formula."""
    scale, size = np.array([1.2, 0.8, 0.6]), 128
    ball = trimesh.creation.icosphere(5, 0.3)
    viewpoint = np.array([35.0, 25.0, 20.0, 2.0])
    rgb, depth = shoot(
        Mesh.plain(ball.vertices, ball.faces), viewpoint, size, SIDE, name=renderer, scale=scale
    )
    matrix = cameras.extrinsics(viewpoint)
    eye = -matrix[:, :3].T @ matrix[:, 3] / scale  # in the space where it is a ball
    ray = rays(size) @ matrix[:, :3] / scale
    a, b, c = (ray**2).sum(-1), ray @ eye, eye @ eye - 0.3**2
    root = b**2 - a * c
    inner = root > 0.01 * b**2  # away from the rim, where depth and shade change fast
    assert (depth > 0)[inner].all()
    assert not (depth > 0)[root < -0.01 * b**2].any()
    expected = (-b[inner] - np.sqrt(root[inner])) / a[inner]
    assert depth[inner] == pytest.approx(expected, abs=1e-3)
    normal = (eye + expected[:, None] * ray[inner]) / scale  # gradient of |x / scale|^2
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    shade = 0.4 + np.maximum(0, normal @ matrix[:, :3].T @ SIDE.towards)
    # As for the ball: normals to 1e-3, times the greatest ratio of two factors.
    assert rgb[inner][:, 0] == pytest.approx(255 * np.float32(0.7) * shade, abs=2)


def test_without_stretch_every_factor_is_one() -> None:
    assert (seen(PLAIN)["scale"] == 1).all()


def test_lights_are_uniform_over_the_cap_and_their_strengths_over_their_range() -> None:
    for azimuth, elevation, spread in (
        (-30.0, 45.0, 60.0),
        (170.0, -80.0, 20.0),
        (0.0, 0.0, 180.0),
    ):
        params = Params(
            light="random",
            light_azimuth_deg=azimuth,
            light_elevation_deg=elevation,
            light_spread_deg=spread,
            light_strength_spread=0.3,
        )
        lights = draw_lights(params, 4000, np.random.default_rng(1))
        directions = np.array([light(a, e, 1, 0).towards for a, e, _, _ in lights])
        axis = light(azimuth, elevation, 1, 0).towards
        height = (1 - directions @ axis) / (1 - np.cos(np.radians(spread)))
        assert kstest(height, "uniform").statistic < 2 / np.sqrt(4000)
        # Around the axis no side is preferred.
        beside = directions - np.outer(directions @ axis, axis)
        assert np.abs(beside.mean(0)).max() < 0.06
        for strength, fixed in ((lights[:, 2], 0.5), (lights[:, 3], 0.4)):
            part = (strength / fixed - 0.7) / 0.6
            assert kstest(part, "uniform").statistic < 2 / np.sqrt(4000)
        assert abs(np.corrcoef(lights[:, 2], lights[:, 3])[0, 1]) < 0.1


def test_random_light_changes_the_colours_alone(renderer: Any) -> None:
    params = replace(PLAIN, backend=renderer)
    fixed, lit = seen(params), seen(replace(params, light="random"))
    for name in set(fixed) - {"rgb", "light"}:
        assert np.array_equal(fixed[name], lit[name])
    assert (np.abs(fixed["rgb"].astype(int) - lit["rgb"]).max((1, 2, 3)) > 3).all()
    assert np.allclose(fixed["light"], [-30, 45, 0.5, 0.4])


def test_the_stored_light_is_the_one_that_shone() -> None:
    arrays = seen(replace(PLAIN, light="random", supersample=1))
    for n in range(6):
        viewpoint = arrays["viewpoint"][n].astype(np.float64)
        rgb, depth = shoot(BOX, viewpoint, 64, light(*arrays["light"][n].astype(np.float64)))
        assert np.array_equal(arrays["rgb"][n][depth > 0], rgb[depth > 0])


def test_no_spread_is_the_fixed_light() -> None:
    still = replace(PLAIN, light="random", light_spread_deg=0.0, light_strength_spread=0.0)
    fixed, same = seen(PLAIN), seen(still)
    assert np.abs(fixed["rgb"].astype(int) - same["rgb"]).max() <= 1
    assert np.allclose(fixed["light"], same["light"], atol=1e-4)


def test_each_kind_of_variety_has_random_numbers_of_its_own() -> None:
    everything = replace(PLAIN, stretch=1.4, light="random", background="solid", distance_max=3.0)
    one = seen(everything)
    for changes, same in (
        ({"stretch": 1.0}, ("viewpoint", "light")),
        ({"light": "fixed"}, ("viewpoint", "scale", "mask", "depth")),
        ({"background": "grey"}, ("viewpoint", "scale", "light", "mask", "depth")),
        ({"distance_max": 2.0}, ("scale", "light")),
        ({"viewpoints": "sphere"}, ("scale", "light")),
    ):
        other = seen(replace(everything, **changes))
        assert all(np.array_equal(one[name], other[name]) for name in same), changes
    assert np.array_equal(one["viewpoint"][:, :3], seen(PLAIN)["viewpoint"][:, :3])


def test_even_light_shows_the_colour_itself_however_stretched() -> None:
    rgb, depth = shoot(BOX, (20, 10, 0, 2), lamp=EVEN, scale=np.array([0.5, 1, 2.0]))
    # 0.9, 0.4, 0.2 as float32, times 255, rounded
    assert (rgb[depth > 0] == [229, 102, 51]).all() or (rgb[depth > 0] == [230, 102, 51]).all()

"""The stage: its arrays, its parameters, and which renderer it takes."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import trimesh

from stages.errors import EnvironmentLacks
from stages.geometry import cameras
from stages.geometry.mesh import Mesh
from stages.render import SPEC, Params, backend, check, process
from stages.stage import Item
from tests.render.models import box
from tests.render.shots import shoot

UNIFORM = Params(viewpoints="uniform", views=5, size=32, backend="numba")


def item(mesh: Mesh) -> Item:
    return Item("test/shape", {"shapes": mesh.to_arrays()})


@pytest.fixture(scope="module")
def shape() -> Item:
    return item(box((-0.3, -0.2, -0.3), (0.3, 0.2, 0.35), (0.9, 0.4, 0.2, 1)))


def test_arrays_are_those_of_the_spec(shape: Item) -> None:
    arrays = process(shape, replace(UNIFORM, supersample=1), np.random.default_rng(0))
    assert list(arrays) == list(SPEC)
    assert {name: a.shape for name, a in arrays.items()} == {
        "rgb": (5, 32, 32, 3),
        "mask": (5, 32, 32),
        "depth": (5, 32, 32),
        "viewpoint": (5, 4),
        "extrinsics": (5, 3, 4),
        "intrinsics": (3, 3),
        "scale": (5, 3),
        "light": (5, 4),
        "renderer": (),
    }
    assert all(a.dtype == SPEC[name].dtype for name, a in arrays.items())
    assert arrays["renderer"].item() == b"numba"
    assert set(np.unique(arrays["mask"])) == {0, 255}
    assert np.array_equal(arrays["mask"] > 0, arrays["depth"] > 0)


def test_the_grid_is_the_24_views_of_the_paper(shape: Item) -> None:
    arrays = process(shape, Params(size=16, backend="numba"), np.random.default_rng(0))
    assert arrays["viewpoint"][:, 0].tolist() == [15 * k for k in range(24)]
    assert (arrays["viewpoint"][:, 1:] == [30, 0, 2]).all()
    assert np.allclose(arrays["extrinsics"], cameras.extrinsics(cameras.grid24()), atol=1e-6)
    assert np.allclose(arrays["intrinsics"], [[30, 0, 8], [0, 30, 8], [0, 0, 1]])
    # From the front the centre of the picture sees the box's front, 0.2 before the origin.
    head_on = process(shape, UNIFORM, np.random.default_rng(0))["depth"][:, 16, 16]
    assert ((head_on > 1.5) & (head_on < 2)).all()


def test_pixels_are_averages_of_their_samples(shape: Item) -> None:
    params = replace(UNIFORM, supersample=5, grey=100, ambient=1.0, directional=0)
    arrays = process(shape, params, np.random.default_rng(4))
    mesh = Mesh.from_arrays(shape.inputs["shapes"])
    for n in range(5):
        viewpoint = arrays["viewpoint"][n].astype(np.float64)  # as stored, so drawn
        colours, depths = shoot(mesh, viewpoint, 160)
        colours = np.where(depths[..., None] > 0, colours, 100)
        rgb = colours.reshape(32, 5, 32, 5, 3).mean((1, 3))
        mask = (depths > 0).reshape(32, 5, 32, 5).mean((1, 3)) * 255
        assert np.abs(arrays["rgb"][n] - rgb).max() <= 0.5
        assert np.abs(arrays["mask"][n] - mask).max() <= 0.5
        assert np.array_equal(arrays["depth"][n], depths[2::5, 2::5])
        assert np.allclose(arrays["depth"][n], shoot(mesh, viewpoint, 32)[1], atol=1e-5)
        assert (arrays["rgb"][n][arrays["mask"][n] == 0] == 100).all()


def test_the_mask_has_the_area_of_a_sphere() -> None:
    radius = 0.4
    ball = trimesh.creation.icosphere(4, radius)
    shape = item(Mesh.plain(ball.vertices, ball.faces))
    mask = process(shape, UNIFORM, np.random.default_rng(0))["mask"] / 255
    area = np.pi * (cameras.FOCAL * 32 * radius) ** 2 / (4 - radius**2)
    # 9 samples a pixel on the 84 pixels of the rim: a standard error of about 1.5 of 470 pixels.
    assert mask.sum((1, 2)) == pytest.approx(np.full(5, area), rel=0.01)


def test_uniform_viewpoints_are_the_only_randomness(shape: Item) -> None:
    params = replace(UNIFORM, views=40, size=8, elevation_min_deg=-5, elevation_max_deg=15)
    once, again = (process(shape, params, np.random.default_rng(7)) for _ in range(2))
    assert all(np.array_equal(once[name], again[name]) for name in SPEC)
    other = process(shape, params, np.random.default_rng(8))
    assert not np.array_equal(once["viewpoint"], other["viewpoint"])
    grid = Params(size=8, backend="numba")
    one, two = (process(shape, grid, np.random.default_rng(seed)) for seed in (7, 8))
    assert all(np.array_equal(one[name], two[name]) for name in SPEC)


def test_both_renderers_fill_the_same_arrays(shape: Item, renderer: Any) -> None:
    ours = process(shape, UNIFORM, np.random.default_rng(0))
    other = process(shape, replace(UNIFORM, backend=renderer), np.random.default_rng(0))
    assert other["renderer"].item() == renderer.encode()
    assert np.abs(ours["mask"].astype(int) - other["mask"]).max() <= 255 / 9 + 1  # one sample
    assert np.abs(ours["rgb"].astype(int) - other["rgb"]).mean() < 0.1


def test_the_stage_is_read_without_heavy_imports() -> None:
    code = (
        "import sys, stages.render as r; r.check(r.Params());"
        "sys.exit(','.join({'numba', 'pyrender', 'trimesh', 'torch', 'OpenGL'} & {*sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stderr.strip() == ""


def test_auto_takes_pyrender_on_graphics_devices_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend, "DEVICE_FILES", ("/dev/null",))
    for name, chosen in (
        ("NVIDIA H200/PCIe/SSE2", "pyrender"),
        ("llvmpipe (LLVM 15.0.6, 256 bits)", "numba"),
        ("Google SwiftShader", "numba"),
        ("", "numba"),
    ):
        monkeypatch.setattr(backend, "gl_device", lambda name=name: name)
        assert backend.choose("auto") == chosen


def test_auto_asks_no_driver_where_there_is_no_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend, "DEVICE_FILES", ("/nowhere/*",))
    monkeypatch.setattr(backend, "gl_device", lambda: pytest.fail("asked"))
    assert backend.choose("auto") == "numba"


@pytest.mark.parametrize(
    ("probe", "seconds"),
    [
        ("raise SystemExit(3)", 60),
        ("import os; os.abort()", 60),
        ("import time; time.sleep(60)", 0.3),
    ],
)
def test_a_driver_that_fails_dies_or_hangs_is_none(
    monkeypatch: pytest.MonkeyPatch, probe: str, seconds: float
) -> None:
    monkeypatch.setattr(backend, "PROBE", probe)
    monkeypatch.setattr(backend, "PROBE_SECONDS", seconds)
    monkeypatch.setattr(backend, "gl_device", backend.gl_device.__wrapped__)
    assert backend.gl_device() == ""
    with pytest.raises(EnvironmentLacks, match="--backend pyrender") as caught:
        check(Params(backend="pyrender"))
    assert caught.value.exit_code == 4
    assert "numba" in caught.value.hint

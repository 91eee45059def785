"""The stage: its arrays, its poses, its names, what it refuses."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from stages.errors import InputError, ItemError, UsageError
from stages.geometry.mesh import Mesh
from stages.raycast import CHANNELS, SPEC, Params, attach, cast, check, process, variant
from stages.render import Params as RenderParams
from stages.render import process as render
from stages.sphere.grids import directions
from stages.stage import Arrays, Item
from stages.store.shard import encode_item
from tests.raycast.naive import box

CAR = box((-0.2, -0.4, -0.1), (0.2, 0.4, 0.1))  # longest from front to back
CAR = np.concatenate([CAR, box((-0.15, -0.1, 0.1), (0.15, 0.35, 0.2))])
CAR = (CAR - [0, 0, 0.05]) / np.linalg.norm([0.4, 0.8, 0.3])  # in the canonical frame


def item(triangles: np.ndarray, **attached: tuple[Arrays, ...]) -> Item:
    mesh = Mesh.plain(triangles.reshape(-1, 3), np.arange(3 * len(triangles)).reshape(-1, 3))
    return Item("test/shape", {"shapes": mesh.to_arrays()}, attached=attached)


def run(triangles: np.ndarray, seed: int = 0, **params: Any) -> Arrays:
    return process(item(triangles), Params(**params), np.random.default_rng(seed))


@pytest.mark.parametrize("channels", CHANNELS)
def test_arrays_are_those_of_the_spec(channels: str) -> None:
    arrays = run(CAR, res=16, channels=channels, poses="random", count=3)
    assert encode_item(SPEC, arrays)  # refuses wrong names, types and numbers of axes
    assert arrays["map"].shape == (3, len(CHANNELS[channels]), 16, 16)
    assert arrays["radius"].shape == (3,)


def test_a_shape_as_it_is() -> None:
    arrays = run(CAR, res=32)
    np.testing.assert_array_equal(arrays["map"][0], cast(CAR.astype(np.float32), 32))
    np.testing.assert_array_equal(arrays["rotation"], np.eye(3)[None])
    np.testing.assert_array_equal(arrays["scale"], np.ones((1, 3)))
    np.testing.assert_array_equal(arrays["centre"], np.zeros(3))
    length = arrays["map"][0, 0]
    # Row 15 is just above the equator: the front (-y) is at longitude 270 degrees.
    assert length[15, 24] == pytest.approx(length[15, 8], rel=0.01)
    assert length[15, 24] > 1.9 * length[15, 0]
    # The cabin is towards the back (+y, 90 degrees): there the ray at 53 degrees ends in its roof.
    assert length[9, 8] > 1.5 * length[9, 24]
    assert length.max() <= arrays["radius"][0] <= 0.5 + 1e-6


@pytest.mark.parametrize("grid", ["midpoint", "driscoll-healy"])
def test_oversampled_maps_hold_what_finer_ones_do(grid: str) -> None:
    """Their coefficients are ducc0's of the map with four times as many rays, below degree 16."""
    ducc0 = pytest.importorskip("ducc0")
    name = {"midpoint": "F1", "driscoll-healy": "DH"}[grid]
    found = run(CAR, res=32, oversample=4, grid=grid)["map"][0].astype(np.float64)
    plain = run(CAR, res=32, grid=grid)["map"][0].astype(np.float64)
    fine = cast(CAR.astype(np.float32), 128, grid).astype(np.float64)

    def coefficients(map_: np.ndarray) -> np.ndarray:
        return ducc0.sht.analysis_2d(map=map_, spin=0, lmax=15, mmax=15, geometry=name)

    expected = coefficients(fine)
    error = np.linalg.norm(coefficients(found) - expected) / np.linalg.norm(expected)
    # degrees beyond 63, which 128 rays fold down: ducc0 and we do so differently
    assert error < 2e-5
    # what the oversampling is for: more than a tenth of a percent folds down without it
    assert np.linalg.norm(coefficients(plain) - expected) / np.linalg.norm(expected) > 1e-3


def test_random_poses_are_those_that_are_kept() -> None:
    arrays = run(CAR, seed=5, res=16, poses="random", count=6, stretch=1.5)
    sides = CAR.reshape(-1, 3)
    for pose in range(6):
        turn, scale = arrays["rotation"][pose], arrays["scale"][pose]
        np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-6)
        assert np.linalg.det(turn) == pytest.approx(1, abs=1e-6)
        moved = (sides * scale) @ turn.T.astype(np.float64)
        expected = cast(moved.reshape(-1, 3, 3), 16)
        np.testing.assert_allclose(arrays["map"][pose], expected, atol=2e-6)
        assert np.linalg.norm(np.ptp(sides * scale, axis=0)) == pytest.approx(1, abs=1e-6)
        assert arrays["radius"][pose] == pytest.approx(np.linalg.norm(moved, axis=1).max())
        assert scale.max() / scale.min() <= 1.5**2
    assert np.ptp(arrays["scale"], axis=0).min() > 0.05
    again, other = (run(CAR, seed, res=16, poses="random", count=6, stretch=1.5) for seed in (5, 6))
    assert all(again[name].tobytes() == arrays[name].tobytes() for name in SPEC)
    assert not np.array_equal(other["rotation"], arrays["rotation"])
    rigid = run(CAR, seed=5, res=16, poses="random", count=6)
    np.testing.assert_array_equal(rigid["scale"], np.ones((6, 3)))


def test_random_rotations_are_uniform() -> None:
    """The image of a fixed axis has mean 0 and covariance 1/3; the trace has mean 0, variance 1."""
    turns = run(CAR, res=4, poses="random", count=3000)["rotation"].astype(np.float64)
    for axis in range(3):
        image = turns[:, :, axis]
        # Standard errors: 0.58 and 0.3 over the root of 3000.
        np.testing.assert_allclose(image.mean(0), 0, atol=0.04)
        np.testing.assert_allclose(image.T @ image / len(image), np.eye(3) / 3, atol=0.03)
    trace = np.trace(turns, axis1=1, axis2=2)
    assert trace.mean() == pytest.approx(0, abs=0.08)
    assert trace.var() == pytest.approx(1, abs=0.12)


def test_maps_of_views_are_in_the_frame_of_their_cameras() -> None:
    """The hits, moved in front of the camera, are in the picture, at its depth or behind it."""
    views = render(
        item(CAR),
        RenderParams(
            viewpoints="so3", views=6, size=128, stretch=1.3, supersample=1, backend="numba"
        ),
        np.random.default_rng(1),
    )
    arrays = process(item(CAR, views=(views,)), Params(poses="views"), np.random.default_rng(0))
    assert arrays["map"].shape == (6, 1, 64, 64)
    np.testing.assert_array_equal(arrays["rotation"], views["extrinsics"][:, :, :3])
    np.testing.assert_array_equal(arrays["scale"], views["scale"])
    assert np.ptp(arrays["scale"]) > 0.1
    for pose in range(6):
        rays = directions(64)
        hits = arrays["map"][pose, 0][..., None] * rays + views["extrinsics"][pose, :, 3]
        u, v, w = np.moveaxis(hits @ views["intrinsics"].T, -1, 0)
        column, row = (u / w).astype(int), (v / w).astype(int)
        depth = views["depth"][pose][row, column]
        # All but hits at the silhouette, where the next pixel is another face.
        assert (depth > 0).mean() > 0.98
        assert (depth < hits[..., 2] + 0.04).mean() > 0.98  # 5 pixels: faces may slant
        towards = rays[..., 2] < -0.9
        assert (np.abs(depth - hits[..., 2])[towards] < 0.01).mean() > 0.9


def test_a_shape_without_pictures_says_so() -> None:
    with pytest.raises(ItemError, match="no pictures"):
        run(CAR, poses="views")


class _Workspace:
    """Artefacts of views, each with the ids given."""

    root = Path("somewhere")

    def __init__(self, **variants: tuple[str, ...]) -> None:
        self.variants = variants

    def artefacts(self, stage: str) -> list[Any]:
        assert stage == "views"
        return [
            SimpleNamespace(
                variant=name,
                folder=Path("views") / name,
                index=SimpleNamespace(
                    items=lambda ids=ids, name=name: {
                        one: SimpleNamespace(fingerprint=f"{name}:{one}", shard="s.h5", row=row)
                        for row, one in enumerate(ids)
                    }
                ),
            )
            for name, ids in self.variants.items()
        ]


def test_pictures_are_found_by_name_or_because_there_are_no_others() -> None:
    ids, params = ["a/1", "a/2", "a/3"], Params(poses="views")
    one: Any = _Workspace(small=("a/0", "a/1", "a/2"))
    found = attach(params, 0, one, ids)
    assert sorted(found) == ["a/1", "a/2"]
    assert found["a/2"].rows == {"views": ((str(Path("views/small/s.h5")), 2, "a/2"),)}
    assert found["a/2"].prints == {"views": "small:a/2"}
    two: Any = _Workspace(small=("a/1",), large=("a/1",))
    with pytest.raises(InputError, match="small, large") as caught:
        attach(params, 0, two, ids)
    assert "--views" in caught.value.hint
    named = attach(replace(params, views="large"), 0, two, ids)
    assert named["a/1"].prints == {"views": "large:a/1"}
    for workspace, views in ((two, "huge"), (_Workspace(), "")):
        with pytest.raises(InputError, match="no views") as caught:
            attach(replace(params, views=views), 0, workspace, ids)
        assert "crossdim render" in caught.value.hint
    assert attach(Params(), 0, _Workspace(), ids) == {}  # type: ignore[arg-type]


def test_the_ball_is_another_centre() -> None:
    """A tall post on a plate: the box is centred halfway up, the ball lower."""
    shape = np.concatenate(
        [
            box((-0.3, -0.3, -0.25), (0.3, 0.3, -0.2)),
            box((-0.01,) * 2 + (-0.2,), (0.01, 0.01, 0.25)),
        ]
    )
    arrays = run(shape, res=32, channels="all", centre="ball", poses="random", count=2)
    centre = arrays["centre"].astype(np.float64)
    np.testing.assert_allclose(centre[:2], 0, atol=1e-7)
    assert -0.2 < centre[2] < -0.01
    assert arrays["radius"][0] < run(shape, res=32)["radius"][0]
    body = (shape.astype(np.float32) - centre) @ arrays["rotation"][1].T.astype(np.float64)
    np.testing.assert_allclose(arrays["map"][1, 0], cast(body, 32)[0], atol=2e-6)
    np.testing.assert_allclose(arrays["map"][1, 2], cast(body, 32, channels="all")[2], atol=2e-6)


@pytest.mark.parametrize(
    ("triangles", "reason"),
    [
        (CAR[:0], "no faces"),
        (np.full((1, 3, 3), np.nan), "not finite"),
        (np.array([[(-0.4, -0.3, 0), (0.4, -0.3, 0), (0, 0.3, 0)]]), "none of 16 x 16 rays"),
        (np.zeros((2, 3, 3)), "none of 16 x 16 rays"),
    ],
)
def test_shapes_without_a_map_fail_with_a_reason(triangles: np.ndarray, reason: str) -> None:
    for centre in ("box", "ball"):
        with pytest.raises(ItemError, match=reason):
            run(triangles, res=16, centre=centre, channels="all")


@pytest.mark.parametrize(
    ("params", "words"),
    [
        (Params(res=63), "--res 63"),
        (Params(count=5), "--count does nothing with --poses canonical"),
        (Params(stretch=1.2, poses="views"), "--stretch does nothing with --poses views"),
        (Params(views="a", poses="random"), "--views does nothing with --poses random"),
        (Params(res=1024, channels="all", poses="random", count=65), "--count 65"),
    ],
)
def test_contradicting_options_are_errors(params: Params, words: str) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        check(params)
    assert caught.value.hint


def test_variants_are_named_after_what_differs() -> None:
    names = {
        Params(): "res64",
        Params(res=128, grid="driscoll-healy"): "res128-dh",
        Params(channels="length+sine", centre="ball"): "res64-length+sine-ball",
        Params(channels="all", poses="random"): "res64-all-random8",
        Params(poses="random", count=2, stretch=1.25): "res64-random2-stretch1.25",
        Params(poses="views"): "res64-views",
        Params(poses="views", views="grid24-128px"): "res64-views-grid24-128px",
    }
    assert {params: variant(params) for params in names} == names
    for params in names:
        check(params)


def test_the_stage_is_read_without_heavy_imports() -> None:
    code = (
        "import sys; from stages.raycast import STAGE, cast; STAGE.check(STAGE.params());"
        "sys.exit(','.join({'numba', 'scipy', 'trimesh', 'torch'} & {*sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stderr.strip() == ""


def test_casting_imports_neither_trimesh_nor_torch() -> None:
    code = (
        "import sys, numpy; from stages.raycast import cast; cast(numpy.eye(3)[None], 8);"
        "sys.exit(','.join({'trimesh', 'torch'} & {*sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stderr.strip() == ""

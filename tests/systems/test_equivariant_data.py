"""Augmented pictures and maps against pictures and maps of the turned or mirrored shape."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch

from stages.errors import InputError
from stages.geometry import cameras
from stages.geometry.mesh import Mesh
from stages.geometry.rotations import about_z
from stages.raycast import cast
from stages.render import Params as RenderParams
from stages.render.views import render_views
from stages.systems import spherical_cnn
from stages.systems.equivariant import PRESETS
from stages.systems.equivariant.data import RES, SIZE, Views, augment, mirrored, rolled_maps
from stages.systems.pictures import rolled_pictures
from stages.systems.spherical_cnn.data import SCALE
from tests.render.models import box, joined

PARAMS = PRESETS["tiny"]
VIEW = np.array([[40.0, 25.0, 0.0, 2.0]])
MIRROR = np.diag([-1.0, 1.0, 1.0])


def letter() -> Mesh:
    """A chair of boxes with one arm and a foot of another colour: no turn or mirror keeps it."""
    return joined(
        box((-0.25, -0.25, -0.05), (0.25, 0.25, 0.02), (0.8, 0.2, 0.2, 1.0)),
        box((-0.25, 0.18, 0.02), (0.25, 0.25, 0.35), (0.2, 0.3, 0.8, 1.0)),
        box((0.18, -0.25, 0.02), (0.25, 0.18, 0.15), (0.2, 0.7, 0.2, 1.0)),
        box((-0.06, -0.06, -0.35), (0.06, 0.06, -0.05), (0.3, 0.3, 0.3, 1.0)),
    )


def seen(mesh: Mesh, viewpoint: np.ndarray) -> tuple[torch.Tensor, np.ndarray]:
    """The picture (1, 3, S, S), 0 to 1, and the camera's rotation."""
    # light from everywhere: the lamp would turn with the camera, not with the picture
    drawn = RenderParams(size=SIZE, backend="numba", ambient=0.9, directional=0.0)
    arrays = render_views(mesh, viewpoint, drawn)
    picture = torch.from_numpy(arrays["rgb"]).permute(0, 3, 1, 2).float() / 255
    return picture, arrays["extrinsics"][0, :, :3].astype(np.float64)


def heard(mesh: Mesh, rotation: np.ndarray) -> torch.Tensor:
    """The map (1, 1, n, n), 0 to 1, of the shape in the camera's frame."""
    return torch.from_numpy(cast(mesh, RES, matrix=rotation))[None] * SCALE


@pytest.fixture(scope="module")
def teacher():
    torch.manual_seed(0)
    params = dataclasses.replace(spherical_cnn.PRESETS["tiny"], classes=("a", "b"))
    return spherical_cnn.build(params).eval()


@pytest.mark.parametrize("degrees", [30.0, 90.0, 200.0])
def test_a_rolled_picture_is_that_of_the_rolled_camera(degrees: float) -> None:
    mesh = letter()
    picture, _ = seen(mesh, VIEW)
    # a positive in-plane angle turns the picture the other way round
    expected, _ = seen(mesh, VIEW - [0, 0, degrees, 0])
    rolled = rolled_pictures(picture, torch.tensor([math.radians(degrees)]))
    # bilinear sampling blurs the edges; a wrong sign or centre moves whole parts
    wrong = rolled_pictures(picture, torch.tensor([-math.radians(degrees)]))
    assert (rolled - expected).abs().mean() < 0.02
    assert (wrong - expected).abs().mean() > 0.05


@torch.no_grad()
def test_a_rolled_map_is_that_of_the_rolled_shape(teacher) -> None:
    mesh = letter()
    _, rotation = seen(mesh, VIEW)
    angle = 0.7
    target = teacher.target(heard(mesh, rotation), "pose")
    expected = teacher.target(heard(mesh, np.asarray(about_z(angle)) @ rotation), "pose")
    rolled = rolled_maps(target, torch.tensor([angle]))
    wrong = rolled_maps(target, torch.tensor([-angle]))
    spread = (expected - expected.mean((2, 3), keepdim=True)).norm()
    # the network itself is equivariant to some percent only, at turns between its columns
    assert (rolled - expected).norm() / spread < 0.15
    assert (wrong - expected).norm() / spread > 0.4


def test_rolling_a_map_by_columns_is_exact() -> None:
    maps = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    angle = torch.full((2,), 2 * math.pi * 5 / 16)
    torch.testing.assert_close(rolled_maps(maps, angle), maps.roll(5, -1), atol=1e-5, rtol=0)


@torch.no_grad()
def test_a_mirrored_pair_is_that_of_the_mirrored_shape(teacher) -> None:
    mesh = letter()
    picture, rotation = seen(mesh, VIEW)
    target = teacher.target(heard(mesh, rotation), "pose")
    other = mesh.moved(MIRROR, 1.0, np.zeros(3))
    flat = RenderParams(size=SIZE, backend="numba", light_azimuth_deg=0.0)
    straight = render_views(mesh, VIEW, flat)["mask"][0]
    turned = render_views(other, VIEW * [-1, 1, 1, 1], flat)["mask"][0]
    np.testing.assert_array_equal(straight[:, ::-1], turned)  # what the mirror means
    expected = teacher.target(heard(other, MIRROR @ rotation @ MIRROR), "pose")
    batch = mirrored({"image": picture, "target": target}, torch.tensor([True]))
    torch.testing.assert_close(batch["image"], picture.flip(3))
    spread = (expected - expected.mean((2, 3), keepdim=True)).norm()
    assert (batch["target"] - expected).norm() / spread < 1e-3  # grid-exact: rounding alone
    assert (target - expected).norm() / spread > 0.1
    same = mirrored({"image": picture, "target": target}, torch.tensor([False]))
    torch.testing.assert_close(same["target"], target)


def arrays_of(views: int = 3, **changed: np.ndarray) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    extrinsics = cameras.extrinsics(rng.uniform(0, 90, (views, 4))).astype(np.float32)
    arrays = {
        "rgb": rng.integers(0, 255, (views, SIZE, SIZE, 3), dtype=np.uint8),
        "extrinsics": extrinsics,
        "scale": np.ones((views, 3), np.float32),
        "map_scale": np.ones((views, 3), np.float32),
        "map": rng.uniform(0, 0.5, (views, 1, RES, RES)).astype(np.float32),
        "rotation": extrinsics[:, :, :3],
    }
    return {**arrays, **changed}


def test_samples_are_views_of_shapes(teacher) -> None:
    arrays = arrays_of()
    calls = []

    def target(maps: torch.Tensor) -> torch.Tensor:
        calls.append(len(maps))
        return teacher.target(maps, "pose")

    split = Views(lambda item: arrays, ["a/1", "a/2"], PARAMS, target)
    assert len(split) == 6
    batch = split.batch([4, 1], None)
    assert batch["id"] == ["a/2 view 1", "a/1 view 1"]
    assert batch["image"].shape == (2, 3, PARAMS.pixels, PARAMS.pixels)
    with torch.no_grad():
        expected = teacher.target(torch.from_numpy(arrays["map"][1:2]) * SCALE, "pose")
    torch.testing.assert_close(batch["target"][:1], expected, atol=1e-5, rtol=1e-4)
    split.batch([0, 5], torch.Generator().manual_seed(0))
    assert calls == [3, 3]  # once a shape
    assert len(Views(lambda item: arrays, ["a/1"], PARAMS, target, most=2)) == 2


def test_augmentation_is_a_function_of_its_generator() -> None:
    batch = {"image": torch.rand(4, 3, SIZE, SIZE), "target": torch.randn(4, 8, 16, 16)}
    first, again, other = (
        augment(batch, PARAMS, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)
    )
    torch.testing.assert_close(first, again)
    assert not torch.equal(first["target"], other["target"])
    # rolling and mirroring keep the energy of a map: they are rotations and reflections of it
    plain = dataclasses.replace(PARAMS, jitter=0.0)
    moved = augment({**batch, "target": batch["target"].roll(0)}, plain, torch.Generator())
    assert moved["image"].shape == batch["image"].shape


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"map": np.zeros((2, 1, RES, RES), np.float32)}, "one map of"),
        ({"rgb": np.zeros((3, 64, 64, 3), np.uint8)}, "one map of"),
        ({"rotation": np.zeros((3, 3, 3), np.float32)}, "not those of its views"),
        ({"map_scale": np.full((3, 3), 1.1, np.float32)}, "not those of its views"),
    ],
)
def test_maps_of_other_views_are_refused(changed, message: str) -> None:
    split = Views(lambda item: arrays_of(**changed), ["a/1"], PARAMS, lambda maps: maps)
    with pytest.raises(InputError, match=message):
        split.batch([0], None)

"""Pose regression: its losses against SciPy, its augmentation against renders, and training."""

from __future__ import annotations

import dataclasses
import math
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from torch import nn

from stages.errors import InputError
from stages.geometry import rotations
from stages.render import Params as RenderParams
from stages.render.views import render_views
from stages.systems import pose_regression
from stages.systems.pictures import jitter_framing
from stages.systems.pose_regression.data import Views, augment
from stages.systems.pose_regression.model import geodesic, root_mean_square
from stages.train.run import find_run, load_model
from tests.systems.pictured import context, stool, stool_views

PRESETS = pose_regression.PRESETS
PARAMS = dataclasses.replace(
    PRESETS["tiny"],
    width=8,
    most=32,
    latent=64,
    hidden=(32, 16),
    batch=16,
    steps=120,
    lr=3e-3,
    roll=False,
    flip=False,
    jitter=0.0,
    precision="fp32",
)


def views(params: pose_regression.Params = PARAMS) -> Views:
    return Views(stool_arrays, ["chair/stool"], params)


def stool_arrays(item: str) -> dict[str, np.ndarray]:
    return {name: stool_views()[name] for name in ("rgb", "extrinsics")}


# --- losses


def pairs(seed: int = 0) -> tuple[Rotation, Rotation]:
    return Rotation.random(30, random_state=seed), Rotation.random(30, random_state=seed + 1)


def test_losses_are_scipys() -> None:
    told, truth = pairs()
    vectors, matrices = torch.from_numpy(told.as_rotvec()), torch.from_numpy(truth.as_matrix())
    angles = (told.inv() * truth).magnitude()
    np.testing.assert_allclose(geodesic(vectors, matrices), angles, atol=1e-7)
    expected = math.sqrt(np.mean((told.as_rotvec() - truth.as_rotvec()) ** 2))
    assert root_mean_square(vectors, matrices).item() == pytest.approx(expected, rel=1e-12)
    assert root_mean_square(torch.from_numpy(truth.as_rotvec()), matrices) < 1e-12


def test_gradients_of_the_geodesic_are_those_of_differences() -> None:
    told, truth = pairs(2)
    vectors = torch.from_numpy(told.as_rotvec()).requires_grad_()
    matrices = torch.from_numpy(truth.as_matrix())
    assert torch.autograd.gradcheck(lambda v: geodesic(v, matrices), vectors, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gradients_are_finite_without_error_and_at_half_turns(dtype: torch.dtype) -> None:
    """And next to them, where float32 rounds the cosine of half the angle to 0 or less."""
    truth = rotations.exponential(torch.tensor([[0.3, -0.2, 0.5], [0.0, 0.0, 0.0]]).to(dtype))
    axes = torch.tensor([[1.0, 0, 0], [0, 0.6, 0.8], [0.48, 0.64, 0.6]]).to(dtype)
    for angle in (0.0, 1e-8, 1e-4, math.pi - 1e-4, math.pi - 1e-6, math.pi):
        turns = rotations.exponential(axes * angle)
        for matrix in truth:
            told = rotations.logarithm(matrix @ turns).requires_grad_()
            far = geodesic(told, matrix.expand(3, 3, 3))
            # near half turns float32 has the cosine of half the angle to 2e-4
            np.testing.assert_allclose(far.detach(), angle, atol=1e-3)
            far.sum().backward()
            assert told.grad.isfinite().all()
            assert told.grad.norm(dim=-1).max() < 3  # the angle moves as fast as the turn, about
    zero = torch.zeros(2, 3, dtype=dtype, requires_grad=True)
    root_mean_square(zero, torch.eye(3, dtype=dtype).expand(2, 3, 3)).backward()
    assert zero.grad.isfinite().all()


def test_the_geodesic_takes_over_after_100_of_150_thousand_steps() -> None:
    told, truth = pairs()
    batch = {
        "image": torch.from_numpy(told.as_rotvec()),
        "rotation": torch.from_numpy(truth.as_matrix()),
    }
    model, paper = nn.Identity(), PRESETS["paper"]
    costs = [
        pose_regression.losses(model, batch, paper, context(step))["loss"].item()
        for step in (0, 99_999, 100_000, 149_999)
    ]
    apart = (told.inv() * truth).magnitude().mean()
    assert costs[0] == costs[1] != pytest.approx(apart)
    assert costs[2] == costs[3] == pytest.approx(apart, rel=1e-5)
    rates = [pose_regression.schedule(paper, s) for s in (39_999, 40_000, 75_000, 125_000)]
    assert rates == pytest.approx([1, 0.2, 0.04, 0.008])  # appendix B.1


# --- pictures and rotations


def test_samples_are_views_with_the_rotations_of_their_cameras() -> None:
    split = views(dataclasses.replace(PARAMS, pixels=128))
    assert len(split) == 24
    batch = split.batch([5, 0], None)
    assert batch["id"] == ["chair/stool view 5", "chair/stool view 0"]
    picture = torch.from_numpy(stool_views()["rgb"][5]).permute(2, 0, 1) / 255
    torch.testing.assert_close(batch["image"][0], picture)
    # a point right of the centre, below it and nearer, by the definition of a camera
    azimuth, elevation = np.radians(stool_views()["viewpoint"][5, :2])
    towards = [
        np.cos(elevation) * np.sin(azimuth),
        -np.cos(elevation) * np.cos(azimuth),
        np.sin(elevation),
    ]
    seen = batch["rotation"][0].numpy() @ towards
    np.testing.assert_allclose(seen, [0, 0, -1], atol=1e-5)
    up = batch["rotation"][0].numpy() @ [0, 0, 1]
    assert up[1] < -0.5  # y points down
    assert torch.equal(batch["rotation"][0], views().batch([5], None)["rotation"][0])
    assert pickle.loads(pickle.dumps(split)).batch([5], None)["image"].equal(batch["image"][:1])


def test_pictures_of_another_size_are_refused() -> None:
    small = {"rgb": np.zeros((2, 64, 64, 3), np.uint8), "extrinsics": np.zeros((2, 3, 4))}
    with pytest.raises(InputError, match="pictures of"):
        Views(lambda item: small, ["a/1"], PARAMS).batch([0], None)


VIEWPOINTS = np.array([[40.0, 25.0, 0.0, 2.0], [-110.0, 50.0, 30.0, 2.0], [170.0, -10.0, -70.0, 2]])


def drawn_at(viewpoints: np.ndarray) -> dict[str, torch.Tensor]:
    """The stool, lit from everywhere: a lamp would turn with the camera, not with the picture."""
    params = RenderParams(size=128, backend="numba", ambient=0.9, directional=0.0)
    arrays = render_views(stool(), viewpoints, params)
    return {
        "image": torch.from_numpy(arrays["rgb"]).permute(0, 3, 1, 2).float() / 255,
        "rotation": torch.from_numpy(arrays["extrinsics"][:, :, :3].copy()).float(),
    }


def viewpoint_of(rotation: torch.Tensor) -> np.ndarray:
    """(azimuth_deg, elevation_deg, inplane_deg, distance) of an object-to-camera rotation."""
    right, down, forward = rotation.double().numpy()
    azimuth, elevation = np.arctan2(-forward[0], forward[1]), np.arcsin(-forward[2])
    level = [np.cos(azimuth), np.sin(azimuth), 0]
    inplane = np.arctan2(-(down @ level), right @ level)
    return np.array([*np.degrees([azimuth, elevation, inplane]), 2.0])


@pytest.mark.parametrize("which", ["roll", "flip", "both"])
def test_augmented_pictures_are_renders_at_the_augmented_rotations(which: str) -> None:
    """Rolled, and mirrored: the shape is its own mirror image, so its mirrored picture is one of
    it from elsewhere.
    """
    plain = drawn_at(np.repeat(VIEWPOINTS, 2, 0))
    for one, viewpoint in zip(plain["rotation"], np.repeat(VIEWPOINTS, 2, 0)):
        np.testing.assert_allclose(viewpoint_of(one), viewpoint, atol=1e-3)
    params = dataclasses.replace(PARAMS, roll=which != "flip", flip=which != "roll")
    batch = augment(plain, params, torch.Generator().manual_seed(1))
    assert torch.linalg.det(batch["rotation"]).allclose(torch.ones(6), atol=1e-5)
    moved = (batch["rotation"] - plain["rotation"]).abs().amax((1, 2)) > 0.01
    assert moved.all() if params.roll else 0 < moved.sum() < 6
    expected = drawn_at(np.stack([viewpoint_of(one) for one in batch["rotation"]]))
    off = (batch["image"] - expected["image"]).abs().mean((1, 2, 3))
    wrong = (plain["image"] - expected["image"]).abs().mean((1, 2, 3))
    assert off.max() < 0.02  # edges, which bilinear sampling blurs
    assert wrong[moved].min() > 0.05


def test_pictures_are_framed_anew_and_rotations_stay() -> None:
    plain = views(dataclasses.replace(PARAMS, pixels=32)).batch([0, 5, 9], None)
    params = dataclasses.replace(PARAMS, jitter_shift=0.05, jitter_scale=0.35)
    found = augment(plain, params, torch.Generator().manual_seed(2))
    assert torch.equal(found["rotation"], plain["rotation"])
    expected = jitter_framing(plain["image"], 0.05, 0.35, torch.Generator().manual_seed(2))
    assert torch.equal(found["image"], expected)
    assert not torch.equal(found["image"], plain["image"])
    same = augment(plain, PARAMS, torch.Generator())
    assert torch.equal(same["image"], plain["image"])


def test_predicted_rotations_take_the_object_to_the_camera() -> None:
    torch.manual_seed(0)
    model = pose_regression.build(PARAMS).eval()
    batch = views().batch(range(4), None)
    told = pose_regression.predict(model, batch["image"], PARAMS)["rotation"]
    found = Rotation.from_matrix(told.double().numpy())
    truth = Rotation.from_matrix(batch["rotation"].double().numpy())
    errors = np.degrees((found.inv() * truth).magnitude())
    scores = pose_regression.validate(model, batch, PARAMS)
    np.testing.assert_allclose(scores["error_deg"].detach(), errors, atol=0.05)  # float32
    np.testing.assert_array_equal(scores["acc30"], errors < 30)
    np.testing.assert_array_equal(scores["acc15"], errors < 15)


# --- the network


def test_the_published_sizes() -> None:
    """The encoder of the embedding, then 1024 to 1000, 500 and 3; no bias before batch norms."""
    with torch.device("meta"):
        model = pose_regression.build(PRESETS["paper"])
    sizes = [sum(p.numel() for p in part.parameters()) for part in (model.encoder, model.head)]
    head = 1024 * 1000 + 2 * 1000 + 1000 * 500 + 2 * 500 + 500 * 3 + 3
    assert sizes == [13_391_168, head]
    linear = [m for m in model.head if isinstance(m, nn.Linear)]
    assert [(m.out_features, m.bias is None) for m in linear] == [
        (1000, True),
        (500, True),
        (3, False),
    ]


def test_vectors_stay_below_a_half_turn() -> None:
    torch.manual_seed(0)
    model = pose_regression.build(PARAMS)
    with torch.no_grad():
        model.head[-1].weight *= 1e4
        assert model(torch.rand(8, 3, 128, 128)).abs().max() <= math.pi + 1e-6


def test_rotations_are_learned() -> None:
    """Of the stool's views, by both losses; every weight takes part."""
    torch.manual_seed(0)
    data, model = views(), pose_regression.build(PARAMS)
    optimizer = pose_regression.optimizer(model, PARAMS)
    values = []
    for step in range(PARAMS.steps):
        at = torch.Generator().manual_seed(step)
        batch = data.batch(torch.randperm(24, generator=at)[: PARAMS.batch].tolist(), at)
        optimizer.param_groups[0]["lr"] = PARAMS.lr * pose_regression.schedule(PARAMS, step)
        loss = pose_regression.losses(model, batch, PARAMS, context(step))["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        values.append(loss.item())
    assert all(p.grad is not None for p in model.parameters())
    assert np.mean(values[60:80]) < 0.3 * np.mean(values[:10])  # the RMSE, before the geodesic
    scores = pose_regression.validate(model.eval(), data.batch(range(24), None), PARAMS)
    # 4 to 10 after 150 steps at three rates; azimuths range over 120 degrees, guesses are 60 off
    assert scores["error_deg"].mean() < 20


def test_systems_that_see_pictures_train_through_the_command_line(
    pictured_workspace: Path, crossdim, tmp_path: Path
) -> None:
    """The baselines on the same views; what they say of one is a rotation, or keypoints."""
    workspace = shutil.copytree(pictured_workspace, tmp_path / "workspace")
    short = "--preset tiny --steps 2 --validate-every 2 --batch 4 --device cpu --threads 1"
    images = torch.rand(2, 3, 128, 128)
    for system, small, key, shape in (
        ("pose-regression", "--width 4 --latent 16", "rotation", (2, 3, 3)),
        ("keypointnet", "--filters 8 --keypoints 5", "keypoints", (2, 5, 3)),
    ):
        code, out, err = crossdim(f"train {system} {short} {small} --views seen", workspace)
        assert (code, err) == (0, "")
        assert out.startswith(f"runs/{system}/all-tiny: 2 steps")
        trained = load_model(find_run(workspace, system))
        told = trained.system.predict(trained.model, images, trained.params)[key]
        assert told.shape == shape
        code, _, err = crossdim(f"train {system} {short} {small} --name b", workspace)
        assert code == 2
        assert "several views fit: other, seen" in err

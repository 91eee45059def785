"""A few dozen steps on four toy shapes: everything learns; and what a trained network says."""

import dataclasses
import subprocess
import sys

import numpy as np
import pytest
import torch

from stages.geometry import cameras, rotations
from stages.systems import pose_aware
from stages.systems.pose_aware.data import ShapeViews
from stages.systems.pose_aware.inference import binary_iou
from tests.systems import toy
from tests.systems.test_pose_aware_model import context


@pytest.fixture(scope="module")
def trained() -> tuple[torch.nn.Module, list[dict[str, float]]]:
    """A network after `toy.PARAMS.steps` steps, and the losses of each."""
    torch.manual_seed(0)
    params, data = toy.PARAMS, ShapeViews(toy.load, toy.IDS, toy.PARAMS)
    model = pose_aware.build(params)
    optimizer = pose_aware.optimizer(model, params)
    log = []
    for step in range(params.steps):
        at = torch.Generator().manual_seed(step)
        batch = data.batch(torch.randperm(len(data), generator=at)[: params.batch].tolist(), at)
        losses = pose_aware.losses(model, batch, params, context(step))
        losses["loss"].backward()
        optimizer.step()
        optimizer.zero_grad()
        log.append({name: value.item() for name, value in losses.items()})
    return model.eval(), log


@pytest.mark.parametrize("term", ["loss", "mask", "voxels", "iou", "choice"])
def test_losses_fall(trained, term):
    values = [row[term] for row in trained[1]]
    assert np.mean(values[-5:]) < 0.75 * np.mean(values[:5])


def test_validation_names_what_selects_and_sees_the_learning(trained):
    data = ShapeViews(toy.load, toy.IDS, toy.PARAMS)
    batch = data.batch(range(24), None)
    torch.manual_seed(0)
    untrained = pose_aware.build(toy.PARAMS).eval()
    after = pose_aware.validate(trained[0], batch, toy.PARAMS)
    before = pose_aware.validate(untrained, batch, toy.PARAMS)
    name, best = pose_aware.SELECT
    assert best == "max"
    assert all(value.shape == (24,) for value in after.values())
    assert after[name].mean() > before[name].mean() + 0.3


def test_pose_is_learned_without_being_told(trained):
    """Of 24 views, by silhouettes alone; a random pose is 90 degrees off in the median."""
    batch = ShapeViews(toy.load, toy.IDS, toy.PARAMS).batch(range(24), None)
    told = pose_aware.validate(trained[0], batch, toy.PARAMS)
    # Measured after 50 to 100 steps: 15 to 27 on average.
    assert told["pose_error_deg"].median() < 30


def test_pose_error_is_the_angle_between_cameras(trained):
    model = trained[0]
    batch = ShapeViews(toy.load, toy.IDS, toy.PARAMS).batch(range(6), None)
    told = pose_aware.predict(model, batch["image"], toy.PARAMS)["viewpoint"].numpy()
    errors = pose_aware.validate(model, batch, toy.PARAMS)["pose_error_deg"]
    for viewpoint, truth, error in zip(told, batch["viewpoint"].numpy(), errors):
        turn = cameras.extrinsics(viewpoint)[:, :3] @ cameras.extrinsics(truth)[:, :3].T
        exact = np.degrees(np.arccos((np.trace(turn) - 1) / 2))
        assert error.item() == pytest.approx(exact, abs=0.01)  # float32 against float64


def test_prediction_is_complete_and_in_range(trained):
    batch = ShapeViews(toy.load, toy.IDS, toy.PARAMS).batch(range(3), None)
    told = pose_aware.predict(trained[0], batch["image"], toy.PARAMS)
    assert {name: tuple(value.shape) for name, value in told.items()} == {
        "voxels": (3, 32, 32, 32),
        "mask": (3, 48, 48),
        "viewpoint": (3, 4),
        "hypotheses": (3, 4, 2),
        "scores": (3, 4),
    }
    for name in ("voxels", "mask", "scores"):
        assert told[name].min() >= 0
        assert told[name].max() <= 1
    np.testing.assert_allclose(told["scores"].sum(1), 1, atol=1e-6)
    choice = told["scores"].argmax(1)
    np.testing.assert_array_equal(told["viewpoint"][:, :2], told["hypotheses"][range(3), choice])
    np.testing.assert_array_equal(told["viewpoint"][:, 2:], [[0, 2]] * 3)
    assert told["hypotheses"][..., 0].min() >= 0
    assert told["hypotheses"][..., 0].max() < 360
    rotation = rotations.camera(*told["viewpoint"][:, :2].deg2rad().T)
    assert torch.linalg.det(rotation).allclose(torch.ones(3), atol=1e-5)


def test_binary_iou_counts_voxels():
    first, second = torch.zeros(3, 4, dtype=torch.bool), torch.zeros(3, 4, dtype=torch.bool)
    first[0, :2], second[0, 1:] = True, True  # 1 of 4
    first[1], second[1] = True, True
    assert binary_iou(first, second).tolist() == [0.25, 1, 1]


def test_cosine_schedule_ends_at_nothing():
    params = dataclasses.replace(toy.PARAMS, schedule="cosine", steps=100)
    factors = [pose_aware.schedule(params, step) for step in range(101)]
    assert factors[0] == 1
    assert factors[50] == pytest.approx(0.5)
    assert factors[100] == pytest.approx(0)
    assert factors == sorted(factors, reverse=True)
    assert pose_aware.schedule(toy.PARAMS, 59) == 1


def test_the_package_imports_no_torch():
    code = "import sys, stages.systems.pose_aware; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"

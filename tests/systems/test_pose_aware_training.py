"""A few dozen steps on four toy shapes: everything learns; and what a trained network says."""

import dataclasses
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from stages.errors import InputError
from stages.geometry import cameras, rotations
from stages.systems import pose_aware
from stages.systems.pose_aware.data import ShapeViews
from stages.systems.pose_aware.inference import binary_iou
from stages.train.context import TrainOptions
from stages.train.loop import train
from stages.train.run import About, Run, Selection, Trained, create_run, find_run, load_model
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


SELECTION = Selection(
    ("toy",), {}, {"train": tuple(toy.IDS[:2]), "val": ("toy/2",), "test": ("toy/3",)}, "f00d"
)
SHORT = dataclasses.replace(
    toy.PARAMS, encoder_widths=(4, 4, 8, 8), voxel_widths=(8,) * 6, shape_code=16, validate_every=2
)
MOVED = dataclasses.replace(SHORT, jitter_shift=0.05, jitter_scale=0.35, start="first")


def trained_run(root: Path, name: str, params: pose_aware.Params, steps: int) -> Run:
    """A run of the toy shapes after so many steps, as the command line would train it."""

    def find(system: str, run: str) -> Trained:
        return load_model(find_run(root, system, run))

    system, params = pose_aware.bind(params, SELECTION, find)
    run = create_run(root, "pose-aware", name, About("", SELECTION))
    splits = {split: system.dataset(toy.load, ids, params) for split, ids in SELECTION.ids.items()}
    train(system, params, SimpleNamespace(**splits), run, TrainOptions(device="cpu", steps=steps))
    return run


def test_a_stopped_run_on_moved_pictures_continues_bit_equal(tmp_path: Path):
    """And begins with the weights of the run that it goes on from, whose name and sha256 it has."""
    first = trained_run(tmp_path, "first", SHORT, 2)
    whole = trained_run(tmp_path, "whole", MOVED, 4)
    trained_run(tmp_path, "parts", MOVED, 3)
    parts = trained_run(tmp_path, "parts", MOVED, 4)
    begun, one, other = (
        load_model(run, which).model.state_dict()
        for run, which in ((first, "best"), (whole, "last"), (parts, "last"))
    )
    assert all(torch.equal(one[name], other[name]) for name in one)
    moved = [(one[n] - begun[n]).abs().max() for n in one if n.endswith("weight")]
    assert 0 < max(moved) < 4.1 * toy.PARAMS.lr  # Adam: a rate a step, from there
    kept = whole.record()["params"]
    assert (kept["start"], kept["start_weights"]) == ("first", first.best()["sha256"])
    still = trained_run(tmp_path, "still", dataclasses.replace(MOVED, jitter_shift=0), 4)
    assert still.best()["sha256"] != whole.best()["sha256"]


def test_weights_to_begin_with_must_fit_and_know_no_test_shape():
    other = Trained(torch.nn.Identity(), pose_aware, SHORT, 1, {}, "old", "beef", ("toy/3",))
    wider = dataclasses.replace(MOVED, start="old", shape_code=32)
    with pytest.raises(InputError, match="run old has shape_code 16, not 32"):
        pose_aware.bind(wider, SELECTION, lambda system, run: other)
    with pytest.raises(InputError, match="trained on 1 of the test shapes, toy/3 first"):
        pose_aware.bind(MOVED, SELECTION, lambda system, run: other)


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

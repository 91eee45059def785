"""The loop: when it stops, what it refuses, what it hands to the system."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from stages.errors import CrossdimError, EnvironmentLacks, InputError, UsageError
from stages.train import checkpoint
from stages.train.context import Progress, TrainOptions, generator_of, seed_of
from stages.train.log import read_metrics
from stages.train.loop import train
from stages.train.run import Run
from stages.train.sampler import Sampler
from tests.train import toy


def digests(run: Run) -> dict[str, str]:
    return {p.name: checkpoint._sha256(p.read_bytes()) for p in sorted(run.checkpoints.iterdir())}


class Plain(toy.Toy):
    def optimizer(self, model: Any, params: Any) -> torch.optim.Optimizer:
        return torch.optim.SGD(model.parameters(), lr=0.1)


def test_it_is_gradient_descent(tmp_path: Path) -> None:
    """Against the same steps written out: plain SGD, no noise, the schedule 1 - step / 14."""
    params, data = toy.ToyParams(steps=7, noise=False), toy.data()
    seen: list[Progress] = []
    run, options = toy.new_run(tmp_path), TrainOptions(device="cpu", log_every=1)
    train(Plain(), params, data, run, options, seen.append)
    batches = list(data.train.asked)
    assert [len(b) for b in batches] == [8] * 7

    torch.manual_seed(seed_of(0, "weights"))
    model = Plain().build(params)
    losses = []
    for step, indices in enumerate(batches):
        batch = data.train.batch(indices, generator_of(0, "augment", step))
        out = model(batch["image"])
        loss = ((out - batch["target"]) ** 2).mean() + 0.1 * out.abs().mean()
        losses.append(loss.item())
        gradients = torch.autograd.grad(loss, list(model.parameters()))
        with torch.no_grad():
            for weight, gradient in zip(model.parameters(), gradients):
                weight.sub_(0.1 * (1 - step / 14) * gradient)
    # the same operations but for SGD's kernel: rounding of float32 over 7 steps
    weights = checkpoint.load(run.checkpoints, "last", "toy").weights
    for name, value in model.state_dict().items():
        torch.testing.assert_close(weights[name], value, rtol=1e-5, atol=1e-6)
    rows = read_metrics(run.metrics)
    assert [row["loss"] for row in rows] == pytest.approx(losses, rel=1e-5)
    assert [p.losses["loss"] for p in seen if p.validated is None] == [r["loss"] for r in rows]
    assert [row["lr"] for row in rows] == pytest.approx([0.1 * (1 - s / 14) for s in range(7)])


def test_rows_are_means_since_the_row_before(tmp_path: Path) -> None:
    every, few = toy.new_run(tmp_path, "every"), toy.new_run(tmp_path, "few")
    toy.train_toy(every, log_every=1)
    toy.train_toy(few, log_every=7)
    single = {r["step"]: r["loss"] for r in read_metrics(every.metrics)}
    before = 0
    for row in read_metrics(few.metrics):
        steps = range(before + 1, int(row["step"]) + 1)
        assert row["loss"] == pytest.approx(sum(single[s] for s in steps) / len(steps))
        before = int(row["step"])


def test_validation_is_the_mean_over_samples(tmp_path: Path) -> None:
    """11 samples in batches of 8 and 3: not the mean of two means."""
    run = toy.new_run(tmp_path)
    toy.train_toy(run, steps=5)
    saved = checkpoint.load(run.checkpoints, "last", "toy")
    model = toy.Toy().build(toy.ToyParams())
    checkpoint.restore_model(model, saved)
    val = toy.data().val
    with torch.no_grad():
        single = [
            toy.Toy().validate(model.eval(), val.batch([i], None), toy.ToyParams())
            for i in range(11)
        ]
    errors = [scores["error"].item() for scores in single]
    assert saved.metrics["error"] == pytest.approx(sum(errors) / 11, rel=1e-6)
    assert read_metrics(run.metrics)[-1]["val_error"] == saved.metrics["error"]


def test_the_best_is_kept(tmp_path: Path) -> None:
    run = toy.new_run(tmp_path)
    outcome = toy.train_toy(run)
    scores = {r["step"]: r["val_accuracy"] for r in read_metrics(run.metrics) if "val_error" in r}
    best = checkpoint.load(run.checkpoints, "best", "toy")
    assert outcome.best_metric == max(scores.values()) == scores[best.step]
    worse = toy.new_run(tmp_path, "worse")
    toy.train_toy(worse, toy.ToyParams(worsens=True))
    assert checkpoint.load(worse.checkpoints, "best", "toy").step == 5


def test_patience(tmp_path: Path) -> None:
    run = toy.new_run(tmp_path)
    outcome = toy.train_toy(run, toy.ToyParams(worsens=True, validate_every=3), patience=2)
    assert (outcome.steps, outcome.stopped_reason) == (9, "patience")  # best at 3, then 6 and 9
    assert run.record()["status"] == "finished"
    again = toy.train_toy(run, toy.ToyParams(worsens=True, validate_every=3), patience=2)
    assert again.steps == 9
    more = toy.train_toy(run, toy.ToyParams(worsens=True, validate_every=3), patience=3)
    assert more.steps == 12


def test_minutes(tmp_path: Path) -> None:
    run = toy.new_run(tmp_path)
    outcome = toy.train_toy(run, minutes=1e-9)
    assert (outcome.steps, outcome.stopped_reason) == (1, "minutes")
    assert run.record()["reason"] == "minutes"
    assert checkpoint.load(run.checkpoints, "best", "toy").step == 1  # it can be evaluated
    assert toy.train_toy(run, minutes=1e-9).steps == 2
    assert toy.train_toy(run).stopped_reason == "steps"


def test_a_loss_that_is_not_finite_stops_it(tmp_path: Path) -> None:
    run = toy.new_run(tmp_path)
    toy.train_toy(run, toy.ToyParams(nan_at=7), steps=6)
    before = digests(run)
    with pytest.raises(CrossdimError) as caught:
        toy.train_toy(run, toy.ToyParams(nan_at=7))
    asked = toy.data().train
    ids = ", ".join(f"toy/{i}" for i in Sampler(len(asked), 0).indices(7, 0, 1, 8))
    assert str(caught.value) == f"shape is nan at step 8 (batch: {ids})"
    assert "the checkpoint of step 6 is kept" in caught.value.hint
    assert caught.value.exit_code == 1
    assert digests(run) == before
    assert run.record()["status"] == "stopped"
    assert run.record()["reason"].startswith("shape is nan at step 8")


def test_weights_that_are_not_finite_overwrite_nothing(tmp_path: Path) -> None:
    run = toy.new_run(tmp_path)
    params = toy.ToyParams(nan_gradient_at=9)
    toy.train_toy(run, params, steps=6)
    before = digests(run)
    with pytest.raises(CrossdimError, match="no longer finite"):
        toy.train_toy(run, params)  # the losses of step 10 are finite, its weights are not
    assert digests(run) == before


def test_too_little_memory(tmp_path: Path) -> None:
    class Large(toy.Toy):
        def losses(self, *_: Any) -> Any:
            raise torch.OutOfMemoryError("out of memory")

    run = toy.new_run(tmp_path)
    with pytest.raises(EnvironmentLacks, match="cpu has not enough memory for batch 8"):
        train(Large(), toy.ToyParams(), toy.data(), run, TrainOptions(device="cpu"))
    assert run.record()["status"] == "stopped"


def test_bf16_is_for_the_forward_alone(tmp_path: Path) -> None:
    system = toy.Toy()
    params = toy.ToyParams(precision="bf16", channels_last=True, steps=3)
    run, options = toy.new_run(tmp_path), TrainOptions(device="cpu")
    train(system, params, toy.data(), run, options)
    inside, channels_last, outside, loss = system.seen
    assert (inside, channels_last) == (torch.bfloat16, True)
    assert (outside, loss) == (torch.float32, torch.float32)
    weights = checkpoint.load(run.checkpoints, "last", "toy").weights
    assert weights["conv.weight"].dtype == torch.float32
    plain = toy.Toy()
    train(plain, toy.ToyParams(steps=3), toy.data(), toy.new_run(tmp_path, "plain"), options)
    assert plain.seen == [torch.float32, False, torch.float32, torch.float32]


def test_overrides_are_recorded(tmp_path: Path) -> None:
    run = toy.new_run(tmp_path)
    toy.train_toy(run, steps=2, precision="bf16")
    assert (run.record()["params"]["steps"], run.record()["params"]["precision"]) == (2, "bf16")


def test_without_validation_the_latest_is_the_best(tmp_path: Path) -> None:
    run = toy.new_run(tmp_path)
    data = toy.data(val=0)
    outcome = train(toy.Toy(), toy.ToyParams(), data, run, TrainOptions(device="cpu"))
    assert outcome.best_metric is None
    assert checkpoint.load(run.checkpoints, "best", "toy").step == 24
    assert data.val.asked == []


def test_nothing_to_train_on(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing to train on"):
        train(toy.Toy(), toy.ToyParams(), toy.data(train=0), toy.new_run(tmp_path), TrainOptions())
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    "options",
    [{"steps": 0}, {"minutes": 0}, {"minutes": float("nan")}, {"patience": -1}, {"log_every": 0}],
)
def test_impossible_options(tmp_path: Path, options: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        toy.train_toy(toy.new_run(tmp_path), **options)
    assert not (tmp_path / "runs").exists()


def test_the_callers_random_numbers_stay(tmp_path: Path) -> None:
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    toy.train_toy(toy.new_run(tmp_path), steps=2)
    assert torch.equal(torch.rand(2), expected)


def test_progress(tmp_path: Path) -> None:
    seen: list[Progress] = []
    toy.train_toy(toy.new_run(tmp_path), toy.ToyParams(), seen.append, steps=6)
    assert [p.step for p in seen if p.validated is None] == [1, 2, 3, 4, 5, 6]
    assert [p.validated for p in seen if p.validated] == [(8, 11), (11, 11)] * 2
    last = seen[-3]
    assert (last.steps, last.metric, last.losses.keys()) == (
        *(6, "accuracy", {"loss", "shape", "size"}),
    )
    assert last.seconds_per_step > 0
    assert seen[0].best is None
    assert last.best is not None


def test_a_checkpoint_of_another_system_in_the_folder(tmp_path: Path) -> None:
    run = toy.new_run(tmp_path)
    toy.train_toy(run, steps=2)

    class Other(toy.Toy):
        NAME = "other"

    with pytest.raises(InputError, match="this is a checkpoint of toy, not other"):
        train(Other(), toy.ToyParams(), toy.data(), run, TrainOptions(device="cpu", steps=4))


def test_a_full_disk_keeps_the_checkpoint_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = toy.new_run(tmp_path)
    toy.train_toy(run, steps=4)
    pointer = json.loads((run.checkpoints / "last.json").read_bytes())
    write = toy.os.write

    def full(handle: int, data: Any) -> int:
        if len(data) > 1000:
            raise OSError(28, "No space left on device")
        return write(handle, data)

    monkeypatch.setattr("os.write", full)
    with pytest.raises(CrossdimError, match="No space left") as caught:
        toy.train_toy(run)
    assert caught.value.exit_code == 1
    monkeypatch.undo()
    assert json.loads((run.checkpoints / "last.json").read_bytes()) == pointer
    assert toy.train_toy(run).steps == 24

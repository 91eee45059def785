"""R12. A run that is stopped or killed, and started again, is the run that was not."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from stages.errors import CrossdimError, InputError, UsageError
from stages.train import checkpoint
from stages.train.context import TrainOptions
from stages.train.log import read_metrics
from stages.train.loop import train
from stages.train.run import Run
from tests.train import toy


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """An undisturbed run."""
    run = toy.new_run(tmp_path_factory.mktemp("reference"))
    toy.train_toy(run)
    return run


def result(run: Run) -> tuple[dict[str, str], list[dict[str, float]]]:
    """sha256 of all files that the two pointers name, and the deterministic columns."""
    files: dict[str, str] = {}
    for which in ("last", "best"):
        pointer = json.loads((run.checkpoints / f"{which}.json").read_bytes())
        files |= {f["file"]: f["sha256"] for f in pointer["files"].values()}
    rows = [{k: v for k, v in r.items() if k != "seconds"} for r in read_metrics(run.metrics)]
    return files, rows


def test_the_reference_learns_and_logs(reference: Run) -> None:
    _, rows = result(reference)
    # every 2nd step, every 5th with a validation, and the last
    assert [r["step"] for r in rows] == [2, 4, 5, 6, 8, 10, 12, 14, 15, 16, 18, 20, 22, 24]
    validated = [r["step"] for r in rows if "val_error" in r]
    assert validated == [5, 10, 15, 20, 24]
    assert rows[-1]["val_error"] < rows[2]["val_error"]
    assert rows[-1]["lr"] == pytest.approx(3e-3 * (1 - 23 / 48))  # of the last update, step 23


def test_stopping_at_ten_of_twenty_changes_nothing(reference: Run, tmp_path: Path) -> None:
    run = toy.new_run(tmp_path)

    def stop(progress: Any) -> None:
        if progress.step == 10 and progress.validated is None:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        toy.train_toy(run, on_progress=stop)
    assert run.record()["status"] == "stopped"
    assert checkpoint.load(run.checkpoints, "last", "toy").step == 10
    assert toy.train_toy(run).steps == 24
    assert result(run) == result(reference)


def test_five_kills_at_random_steps_change_nothing(reference: Run, tmp_path: Path) -> None:
    rng = random.Random(7)
    params = toy.ToyParams(sleep=0.02)  # so that a kill hits soon after the report it answers
    run = toy.new_run(tmp_path)
    for kill in range(5):
        # sometimes each step is saved, so that kills hit saves; else only validations are
        process, pipe = toy.start(tmp_path, params, save_minutes=rng.choice([0.0, 10.0]))
        ahead = rng.randint(0, 3)
        first: list[int] = []

        def when(report: Any, ahead: int = ahead, first: list[int] = first) -> bool:
            first.append(report[0])
            return report[0] - first[0] >= ahead

        assert toy.signal_when(process, pipe, signal.SIGKILL, when) == -signal.SIGKILL, kill
    assert run.record()["status"] == "running"
    toy.train_toy(run, params)
    assert result(run) == result(reference)
    assert run.record()["status"] == "finished"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
@pytest.mark.parametrize("during", ["step", "validation"])
def test_signals_save_and_stop(
    reference: Run, tmp_path: Path, number: signal.Signals, code: int, during: str
) -> None:
    process, pipe = toy.start(tmp_path, toy.ToyParams(sleep=0.02))

    def when(report: Any) -> bool:
        step, validated = report
        return step == 7 if during == "step" else validated is not None

    assert toy.signal_when(process, pipe, number, when) == code
    run = toy.new_run(tmp_path)
    assert run.record()["status"] == "stopped"
    stopped = checkpoint.load(run.checkpoints, "last", "toy").step
    assert stopped >= (7 if during == "step" else 5)
    toy.train_toy(run, toy.ToyParams(sleep=0.02))
    assert result(run) == result(reference)


def test_a_signal_within_a_validation_repeats_it(reference: Run, tmp_path: Path) -> None:
    run = toy.new_run(tmp_path)

    def stop(progress: Any) -> None:
        if progress.step == 10 and progress.validated == (8, 11):
            signal.raise_signal(signal.SIGTERM)

    with pytest.raises(CrossdimError) as caught:
        toy.train_toy(run, on_progress=stop)
    assert caught.value.exit_code == 143
    assert read_metrics(run.metrics)[-1]["step"] == 8  # the row of step 10 is not written yet
    assert checkpoint.load(run.checkpoints, "best", "toy").step == 5
    toy.train_toy(run)
    assert result(run) == result(reference)


def test_a_second_ctrl_c_kills(tmp_path: Path) -> None:
    process, _pipe = toy.start(tmp_path, toy.ToyParams(sleep=30))
    begun, deadline = toy.new_run(tmp_path).folder / "run.json", time.monotonic() + 20
    while not begun.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.3)  # now it sleeps in its first step
    os.kill(process.pid, signal.SIGINT)
    time.sleep(0.1)
    assert process.is_alive()
    os.kill(process.pid, signal.SIGINT)
    process.join(10)
    assert process.exitcode == -signal.SIGINT


def test_validating_more_often_does_not_change_the_weights(reference: Run, tmp_path: Path) -> None:
    run = toy.new_run(tmp_path)
    toy.train_toy(run, toy.ToyParams(validate_every=3))
    ours = checkpoint.load(run.checkpoints, "last", "toy").weights
    theirs = checkpoint.load(reference.checkpoints, "last", "toy").weights
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_another_seed_changes_the_weights(reference: Run, tmp_path: Path) -> None:
    run = toy.new_run(tmp_path)
    toy.train_toy(run, seed=1)
    ours = checkpoint.load(run.checkpoints, "last", "toy").weights
    theirs = checkpoint.load(reference.checkpoints, "last", "toy").weights
    assert not torch.equal(ours["head.weight"], theirs["head.weight"])


def test_batches_prepared_by_another_process(tmp_path: Path, reference: Run) -> None:
    """They are the same, and an error of the data comes through as it was raised."""
    run, data = toy.new_run(tmp_path), toy.data()
    data.train.fail_at = 13
    seen: list[int] = []

    def report(progress: Any) -> None:
        seen.append(progress.step)

    options = TrainOptions(device="cpu", log_every=2, workers=1)
    with pytest.raises(InputError) as caught:
        train(toy.Toy(), toy.ToyParams(), data, run, options, report)
    assert (str(caught.value), caught.value.hint) == ("shard 3 is damaged", "make it again")
    assert data.train.asked == []  # not in this process
    assert not multiprocessing.active_children()
    assert max(seen) == 12
    toy.train_toy(run)
    assert result(run) == result(reference)


def test_resume_from_best(tmp_path: Path) -> None:
    run = toy.new_run(tmp_path)
    params = toy.ToyParams(worsens=True)  # so that the first validation stays the best
    toy.train_toy(run, params)
    whole = result(run)
    pointer = json.loads((run.checkpoints / "last.json").read_bytes())
    (run.checkpoints / pointer["files"]["weights"]["file"]).write_bytes(b"damaged")
    with pytest.raises(CrossdimError, match="is damaged") as caught:
        toy.train_toy(run, params)
    assert "--resume best" in caught.value.hint
    assert run.record()["status"] == "finished"  # refusing to start does not undo that
    seen: list[int] = []
    toy.train_toy(run, params, lambda p: seen.append(p.step), resume="best")
    assert seen[0] == 6
    assert result(run)[0] == whole[0]


def test_changed_parameters_are_refused(tmp_path: Path) -> None:
    run = toy.new_run(tmp_path)
    toy.train_toy(run, steps=4)
    before = result(run)
    with pytest.raises(UsageError, match="with width 6, not 7") as caught:
        toy.train_toy(run, toy.ToyParams(width=7))
    assert "--fresh" in caught.value.hint
    with pytest.raises(UsageError, match="with seed 0, not 3"):
        toy.train_toy(run, seed=3)
    with pytest.raises(UsageError, match="on other categories"):
        toy.train_toy(toy.new_run(tmp_path, categories=("car",)))
    with pytest.raises(UsageError, match="with precision fp32, not bf16"):
        toy.train_toy(run, precision="bf16")
    assert result(run) == before
    toy.train_toy(run, toy.ToyParams(width=7), steps=4, fresh=True)
    assert checkpoint.load(run.checkpoints, "last", "toy").weights["head.bias"].shape == (3,)
    assert run.record()["params"]["width"] == 7


def test_more_steps_continue_and_no_more_steps_do_nothing(tmp_path: Path) -> None:
    run = toy.new_run(tmp_path)
    assert toy.train_toy(run, steps=4).steps == 4
    record = run.record()
    again = toy.train_toy(run, steps=4)
    assert (again.steps, again.stopped_reason) == (4, "steps")
    assert run.record() == record
    seen: list[int] = []
    assert toy.train_toy(run, toy.ToyParams(), lambda p: seen.append(p.step), steps=9).steps == 9
    assert seen[0] == 5
    assert run.record()["created"] == record["created"]
    assert run.record()["params"]["steps"] == 9


def test_two_at_once_are_refused(tmp_path: Path) -> None:
    run = toy.new_run(tmp_path)
    process, pipe = toy.start(tmp_path, toy.ToyParams(sleep=0.2))
    pipe.recv()
    with pytest.raises(UsageError, match="is being trained by another process"):
        toy.train_toy(run)
    process.kill()
    process.join(10)
    assert toy.train_toy(run, toy.ToyParams(sleep=0.2), steps=1).steps == 1  # the lock died with it

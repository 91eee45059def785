"""Two processes over gloo, as `accelerate launch` or torchrun start them.

R15: one of them is killed, and the same command again ends at the same weights. It takes minutes:
`pytest tests/train/test_distributed.py`.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from stages.train import checkpoint
from stages.train.log import read_metrics
from tests.train import toy


def launch(workspace: Path, interrupt_at: int = 0, kill_at: int = 0) -> None:
    """Train on two processes, each with batch 4."""
    workspace.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command += ["-m", "tests.train.ranks", str(workspace), "4"]
    command += [str(interrupt_at), str(kill_at)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert (done.returncode == 0) == (kill_at == 0), done.stderr[-3000:]


@pytest.mark.slow
def test_two_processes_are_one_with_twice_the_batch(tmp_path: Path) -> None:
    launch(tmp_path / "two")
    two = toy.new_run(tmp_path / "two")
    one = toy.new_run(tmp_path / "one")
    toy.train_toy(one, toy.ToyParams(batch=8, steps=12, noise=False))
    pairs = [checkpoint.load(run.checkpoints, "last", "toy") for run in (one, two)]
    for name, value in pairs[0].weights.items():
        # augmentation has its own seed on each process: noise of 0.01 on the pictures
        torch.testing.assert_close(pairs[1].weights[name], value, rtol=0.05, atol=0.01)
    # validation: 11 samples in batches of 4 over two processes, each counted once
    rows = [read_metrics(run.metrics)[-1] for run in (one, two)]
    assert rows[1]["val_error"] == pytest.approx(rows[0]["val_error"], rel=0.05)
    model = toy.Toy().build(toy.ToyParams(noise=False))
    checkpoint.restore_model(model, pairs[1])
    val = toy.data().val
    scores = toy.Toy().validate(model.eval(), val.batch(range(11), None), toy.ToyParams())
    assert rows[1]["val_error"] == pytest.approx(scores["error"].mean().item(), rel=1e-6)
    assert two.record()["status"] == "finished"


@pytest.mark.slow
def test_a_signal_to_one_stops_both_and_resume_is_exact(tmp_path: Path) -> None:
    launch(tmp_path / "whole")
    launch(tmp_path / "parts", interrupt_at=7)
    names = sorted(p.name for p in (tmp_path / "parts").glob("*-?"))
    assert names == ["interrupted-0", "stopped-1"]
    assert json.loads((tmp_path / "parts/runs/toy/a/run.json").read_bytes())["status"] == "stopped"
    launch(tmp_path / "parts")
    files = []
    for part in ("whole", "parts"):
        folder = toy.new_run(tmp_path / part).checkpoints
        files.append({p.name for p in folder.glob("weights-*")})  # names carry digests
        assert checkpoint.load(folder, "last", "toy").step == 12
    assert files[0] == files[1]


@pytest.mark.slow
def test_one_is_killed_and_the_same_command_again_gives_the_same_weights(tmp_path: Path) -> None:
    launch(tmp_path / "whole")
    for kill_at in (2, 7, 11):
        launch(tmp_path / "killed", kill_at=kill_at)
        pointer = toy.new_run(tmp_path / "killed").checkpoints
        assert 0 < checkpoint.load(pointer, "last", "toy").step <= kill_at
    launch(tmp_path / "killed")
    files = []
    for part in ("whole", "killed"):
        folder = toy.new_run(tmp_path / part).checkpoints
        files.append({p.name for p in folder.glob("weights-*")})  # names carry digests
        assert checkpoint.load(folder, "last", "toy").step == 12
    assert files[0] == files[1]

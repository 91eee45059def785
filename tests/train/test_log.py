"""metrics.csv: a round trip, torn rows, new columns."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from stages.errors import EnvironmentLacks, InputError
from stages.train.log import Metrics, open_tensorboard, read_metrics
from tests.train import toy


def test_rows_come_back_exactly(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    metrics = Metrics(path, 0)
    assert not path.exists()
    first = {"step": 1, "seconds": 0.5, "lr": 1e-3, "loss": 0.1 + 0.2}
    second = {"step": 2, "seconds": 1.25, "lr": 1e-3, "loss": 1 / 3, "val_iou": 2 / 3}
    third = {"step": 3, "seconds": 2.0, "lr": 1e-3, "loss": 1e-30}
    for row in (first, second, third):
        metrics.append(row)
    assert read_metrics(path) == [first, second, third]
    assert path.read_text().splitlines()[0] == "step,seconds,lr,loss,val_iou"
    assert path.read_text().splitlines()[1] == "1,0.500,0.001,0.30000000000000004,"


@pytest.mark.parametrize("tail", ["3,2.0", "3,2.0,1,1", "3,1,1\n", "\x00\x00\n", ""])
def test_opening_drops_torn_and_later_rows(tmp_path: Path, tail: str) -> None:
    path = tmp_path / "metrics.csv"
    rows = [{"step": s, "seconds": 1.0, "lr": 0.1, "loss": 2.0} for s in (1, 2, 3)]
    metrics = Metrics(path, 0)
    for row in rows:
        metrics.append(row)
    with path.open("a") as file:
        file.write(tail)
    metrics = Metrics(path, 2)
    assert read_metrics(path) == rows[:2]
    metrics.append(rows[2])
    assert read_metrics(path) == rows


def test_from_the_start_all_rows_go(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    Metrics(path, 0).append({"step": 1, "loss": 2.0})
    metrics = Metrics(path, 0)
    assert read_metrics(path) == []
    metrics.append({"step": 1, "other": 3.0})
    assert read_metrics(path) == [{"step": 1, "other": 3.0}]


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    path.write_text("step,loss\nx,1\n")
    with pytest.raises(InputError, match="damaged"):
        Metrics(path, 5)
    with pytest.raises(InputError, match="damaged"):
        read_metrics(path)


def test_tensorboard_that_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(EnvironmentLacks, match="not installed") as caught:
        open_tensorboard(tmp_path, 0)
    assert caught.value.hint == "run: pip install 'crossdim[tensorboard]'"


def test_tensorboard_gets_each_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []

    class Writer:
        def __init__(self, folder: str, purge_step: int) -> None:
            seen.append((folder, purge_step))

        def add_scalar(self, name: str, value: float, step: int) -> None:
            seen.append((step, name, value))

        def close(self) -> None:
            seen.append("closed")

    module = ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = Writer  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    run = toy.new_run(tmp_path)
    toy.train_toy(run, steps=4, tensorboard=True)
    assert seen[0] == (str(run.folder / "tensorboard"), 1)
    assert seen[-1] == "closed"
    rows = {(int(r["step"]), k): v for r in read_metrics(run.metrics) for k, v in r.items()}
    logged = {(step, name): value for step, name, value in seen[1:-1]}
    assert logged.keys() == rows.keys()
    assert logged[4, "val_error"] == rows[4, "val_error"]

"""Runs: where they are, how they are found, and what is said when they are not."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from stages.errors import InputError, UsageError
from stages.train.run import create_run, find_run, list_runs, load_model, load_system
from tests.train import toy


def made(workspace: Path, name: str, *categories: str, status: Any = "finished") -> None:
    run = toy.new_run(workspace, name, categories or ("toy",))
    run.folder.mkdir(parents=True)
    run.begin(toy.ToyParams(), 0)
    run.mark(status)


def test_the_newest_finished_run_that_fits(tmp_path: Path) -> None:
    made(tmp_path, "old", "car", "chair")
    made(tmp_path, "new", "car")
    made(tmp_path, "halfway", "car", status="stopped")
    made(tmp_path, "now", "car", status="running")
    assert find_run(tmp_path, "toy").name == "new"
    assert find_run(tmp_path, "toy", category="car").name == "new"
    assert find_run(tmp_path, "toy", category="chair").name == "old"
    assert find_run(tmp_path, "toy", "halfway").name == "halfway"
    assert [run.name for run in list_runs(tmp_path)] == ["halfway", "new", "now", "old"]


@pytest.mark.parametrize(
    ("name", "category", "message", "hint"),
    [
        ("nwe", None, "no run nwe of toy", "did you mean new?"),
        ("zzz", None, "no run zzz of toy", "run: crossdim train toy --name zzz"),
        (None, "cars", "no finished run of toy for cars", "did you mean car?"),
        (
            None,
            "sofa",
            "no finished run of toy for sofa",
            "run: crossdim train toy --category sofa",
        ),
        # it was trained on, but did not finish: the word is right
        (None, "bed", "no finished run of toy for bed", "run: crossdim train toy --category bed"),
    ],
)
def test_what_is_not_there(
    tmp_path: Path, name: str | None, category: str | None, message: str, hint: str
) -> None:
    made(tmp_path, "new", "car")
    made(tmp_path, "begun", "bed", status="stopped")
    with pytest.raises(InputError) as caught:
        find_run(tmp_path, "toy", name, category)
    assert (str(caught.value), caught.value.hint) == (message, hint)
    with pytest.raises(InputError) as caught:
        find_run(tmp_path / "empty", "toy")
    assert caught.value.hint == "run: crossdim train toy"


@pytest.mark.parametrize("name", ["../x", "a/b", "", ".", "-x", "a b", "x" * 101])
def test_impossible_names(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="cannot be used as a name"):
        create_run(tmp_path, "toy", name, toy.new_run(tmp_path).about)  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["{", "[]", '{"format": "other"}', "\xff"])
def test_damaged_records_are_named(tmp_path: Path, text: str) -> None:
    made(tmp_path, "new")
    path = tmp_path / "runs/toy/new/run.json"
    path.write_bytes(text.encode("latin1"))
    with pytest.raises(InputError) as caught:
        find_run(tmp_path, "toy", "new").record()
    assert str(path) in str(caught.value)


def test_run_json_holds_what_is_needed(tmp_path: Path) -> None:
    run = toy.new_run(tmp_path)
    toy.train_toy(run, steps=3)
    record = json.loads((run.folder / "run.json").read_bytes())
    assert record["params"] | {"steps": 24} == json.loads(json.dumps(vars(toy.ToyParams())))
    assert record["params"]["steps"] == 3
    assert record["data"] == {
        "categories": ["toy"],
        "variants": {"views": "tiny"},
        "ids": {"train": ["toy/0"]},
        "fingerprint": "f00d",
    }
    assert record["versions"].keys() == {"crossdim", "torch", "numpy", "python"}
    assert record["versions"]["torch"] == torch.__version__
    picked = ("system", "name", "preset", "seed", "status", "reason", "step", "argv")
    assert [record[key] for key in picked] == [
        *("toy", "a", "tiny", 0, "finished", "steps", 3, ["crossdim", "train"])
    ]


def test_a_trained_model_is_the_one_that_was_validated(tmp_path: Path) -> None:
    run = toy.new_run(tmp_path)
    toy.train_toy(run)
    system = toy.Toy()
    trained = load_model(find_run(tmp_path, "toy"), system=system)
    assert not trained.model.training
    val = toy.data().val
    model: Any = trained.model
    scores = system.validate(model, val.batch(range(len(val)), None), trained.params)
    # batches of 8 and 3, not one of 11: sums in another order
    assert scores["error"].mean().item() == pytest.approx(trained.metrics["error"], rel=1e-6)
    assert run.record()["best"] == trained.metrics["accuracy"]
    assert load_model(run, "last", system).step == 24


def test_loading_what_is_not_there(tmp_path: Path) -> None:
    run = toy.new_run(tmp_path)
    with pytest.raises(InputError, match="no run a of toy"):
        load_model(run, system=None)
    made(tmp_path, "a")
    with pytest.raises(InputError, match="no best checkpoint"):
        load_model(run, system=toy.Toy())
    with pytest.raises(InputError, match="no system is called 'toy'"):
        load_model(run)


@pytest.mark.parametrize("name", ["os", "..os", "errors", "pose_aware.model", "__init__", ""])
def test_only_systems_are_imported(name: str) -> None:
    with pytest.raises(InputError, match="no system is called"):
        load_system(name)


def test_system_by_name() -> None:
    assert load_system("pose-aware").__name__ == "stages.systems.pose_aware"


def test_reading_runs_imports_no_torch() -> None:
    code = "import sys, stages.train.run, stages.train.context, stages.train.log; "
    code += "print(sorted({'torch', 'accelerate', 'trimesh', 'pyrender'} & sys.modules.keys()))"
    output = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert output.stdout == "[]\n"


def test_training_imports_no_mesh_library() -> None:
    code = "import sys, stages.train.loop; "
    code += "print(sorted({'trimesh', 'pyrender', 'OpenGL'} & sys.modules.keys()))"
    output = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert output.stdout == "[]\n"

"""`crossdim run`: all steps are checked before the first runs, and the first failure ends it."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from crossdim_cli.pipeline import read_steps
from tests.cli.conftest import Crossdim
from tests.report.made import patience

STEPS = """
[step.shapes]
command = "shapes generate"
category = ["chair", "table"]
count = 2
jobs = 0

[step.list]
command = "shapes list"

[step.file]
command = "merge"
artefact = "shapes/generated"
output = "{workspace}/shapes.h5"
"""
EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def steps(tmp_path: Path) -> Path:
    path = tmp_path / "steps.toml"
    path.write_text(STEPS)
    return path


def test_the_steps_run_in_order_in_one_workspace(
    crossdim: Crossdim, steps: Path, tmp_path: Path
) -> None:
    root = tmp_path / "workspace"
    result = crossdim(f"run {steps} -q", root)
    assert result.code == 0, result.err
    lines = result.out.splitlines()
    assert [line for line in lines if line.startswith("$")] == [
        "$ crossdim shapes generate --category=chair --category=table --count=2 --jobs=0",
        "$ crossdim shapes list",
        f"$ crossdim merge --output={root}/shapes.h5 shapes/generated",
    ]
    rows = [line.split(None, 2) for line in lines[-3:]]
    assert [row[0] for row in rows] == ["shapes", "list", "file"]
    assert rows[0][2] == "4 made, 0 were fresh"
    assert (root / "shapes.h5").is_file()
    again = crossdim(f"run {steps} -q --json --to shapes", root)
    told = json.loads(again.out)  # one object, whatever the steps print
    (one,) = told["steps"]
    assert (told["code"], one["result"]["made"], one["result"]["fresh"]) == (0, 0, 4)


def test_a_part_of_them(crossdim: Crossdim, steps: Path, tmp_path: Path) -> None:
    def names(options: str) -> list[str]:
        result = crossdim(f"run {steps} -n {options} --json", tmp_path / "w")
        assert result.code == 0, result.err
        return list(json.loads(result.out)["steps"])

    assert names("") == ["shapes", "list", "file"]
    assert names("--from list") == ["list", "file"]
    assert names("--to list") == ["shapes", "list"]
    assert names("--from list --to list") == ["list"]
    assert not (tmp_path / "w").exists()


def test_the_first_failure_ends_it_with_its_code(
    crossdim: Crossdim, steps: Path, tmp_path: Path
) -> None:
    steps.write_text('[step.grids]\ncommand = "voxelize"\n' + STEPS)
    result = crossdim(f"run {steps} -q", tmp_path / "workspace")
    assert result.code == 3
    assert "no shapes in" in result.err
    assert result.out.splitlines()[-4].split(None, 2)[2] == "failed, exit code 3"
    assert [line.split()[-2:] for line in result.out.splitlines()[-3:]] == [["not", "run"]] * 3
    assert not (tmp_path / "workspace").exists()


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ('[step.a]\ncommand = "voxelise"', "step a: no command 'voxelise' here", "voxelize?"),
        ('[step.a]\ncommand = "train pose-awre"', "no command 'train pose-awre'", "pose-aware?"),
        ('[step.a]\ncommand = "train"', "'train' is no whole command", "add: pose-aware"),
        ('[step.a]\ncommand = "run"', "no command 'run' here", ""),
        ('[step.a]\ncommand = ""', "no whole command", "add: "),
        ('[step.a]\ncommand = "voxelize"\nrez = 3', "unknown option 'rez'", "did you mean res?"),
        ('[step.a]\ncommand = "voxelize"\nres = "many"', "step a: ", "crossdim voxelize --help"),
        ('[step.a]\ncommand = "voxelize"\nres = 0', "step a: ", "crossdim voxelize --help"),
        ('[step.a]\ncommand = "voxelize"\nres = true', "res wants a value", "write res = ..."),
        ('[step.a]\ncommand = "voxelize"\nres = {a = 1}', "res is a dict", "use a text"),
        ('[step.a]\ncommand = "voxelize"\nworkspace = "x"', "unknown option 'workspace'", ""),
        ('[step.a]\ncommand = "merge"\noutput = "x"', "step a: Missing argument", "merge --help"),
        ("[step.a]\nres = 3", "step a has no command", "write command"),
        ("step = 3", "has no steps", "write [step.NAME]"),
        ("", "has no steps", "write [step.NAME]"),
        ("[stage.a]", "unknown 'stage'", "[step.NAME]"),
        ("[step.a", "cannot read", "it must be TOML"),
    ],
)
def test_nothing_runs_before_all_is_right(
    crossdim: Crossdim, tmp_path: Path, text: str, message: str, hint: str
) -> None:
    path = tmp_path / "steps.toml"
    path.write_text(STEPS + text if text.startswith("[step.a]\ncommand") else text)
    result = crossdim(f"run {path}", tmp_path / "workspace")
    lines = result.err.splitlines()
    assert (result.code, result.out, len(lines)) == (2, "", 2), result
    assert message in lines[0]
    assert hint in lines[1]
    assert not (tmp_path / "workspace").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--from shape", "did you mean shapes?"),
        ("--to x", "there are: shapes, list, file"),
        ("--from file --to list", "the order is: shapes, list, file"),
    ],
)
def test_steps_that_are_not_there(
    crossdim: Crossdim, steps: Path, options: str, message: str
) -> None:
    result = crossdim(f"run {steps} {options}")
    assert (result.code, result.out) == (2, "")
    assert message in result.err.splitlines()[1]


def test_values_become_words(tmp_path: Path) -> None:
    path = tmp_path / "steps.toml"
    path.write_text(
        '[step.a]\ncommand = "crossdim render"\nviewpoints = "uniform"\nviews = 3\n'
        'retry-failed = true\nname = "--odd name"\n'
        '[step.b]\ncommand = "inspect"\ntarget = "-x.h5"\n'
        '[step.c]\ncommand = "voxelize"\ndry-run = false\nitem-seconds = 0.5\n'
    )
    odd, dashed, off = read_steps(path, Path("w"))
    assert odd.line == shlex.join(["crossdim", *odd.words])
    assert odd.words == (
        *("render", "--viewpoints=uniform", "--views=3", "--retry-failed", "--name=--odd name"),
    )
    assert dashed.words == ("inspect", "--", "-x.h5")
    assert off.words == ("voxelize", "--item-seconds=0.5")


def test_the_shipped_pipelines_are_right(tmp_path: Path) -> None:
    files = sorted(EXAMPLES.glob("*.toml"))
    assert files
    for path in files:
        assert len(read_steps(path, tmp_path)) > 3, path


def test_ctrl_c_ends_the_step_and_the_pipeline(tmp_path: Path) -> None:
    path, root = tmp_path / "steps.toml", tmp_path / "workspace"
    path.write_text(STEPS.replace("count = 2", "count = 4000"))
    process = subprocess.Popen(
        [sys.executable, "-m", "crossdim_cli.main", "run", str(path), "--workspace", str(root)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 60
    while not list(root.glob("shapes/*/shard-*.h5")) and time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGINT)
    began = time.monotonic()
    out, err = process.communicate(timeout=60)
    took = time.monotonic() - began
    assert took < patience(5)
    assert process.returncode == 130
    assert "run the same command again to go on" in err
    if took < 3:  # on a machine so busy that it is not, `signals` ends it without a table
        assert [line.split()[0] for line in out.splitlines()[-2:]] == ["list", "file"]

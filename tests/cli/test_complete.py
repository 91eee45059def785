"""TAB: names that are there, quickly, and nothing where something is wrong."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

from crossdim_cli.complete import OFFERS
from crossdim_cli.main import build
from stages.shapes.spec import labels
from tests.cli.test_imports import HEAVY
from tests.evaluate.made import World, put
from tests.report.made import SCRIPT, cube


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    arrays = {**cube().to_arrays(), **labels("", "", "", "")}
    put(tmp_path, "shapes/made", dict.fromkeys(["chair/a", "chair/b", "car/c"], arrays))
    world = World(tmp_path, ["chair/a"])
    world.see("views/first")
    world.see("views/second")
    world.run("equivariant")
    (tmp_path / "runs" / "pose-aware" / "other").mkdir(parents=True)
    return tmp_path


def completed(line: str, workspace: Path) -> tuple[list[str], str]:
    """What bash would offer at the end of a line, and what was said on stderr."""
    words = line.split(" ")
    environment = {
        **os.environ,
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(words) - 1),
        "_CROSSDIM_COMPLETE": "complete_bash",
        "CROSSDIM_WORKSPACE": str(workspace),
    }
    program = (
        "import atexit, sys; from crossdim_cli.main import run\n"
        f"atexit.register(lambda: [sys.stderr.write(n) for n in {HEAVY} if n in sys.modules])\n"
        "sys.argv = ['crossdim']; run([])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True
    )
    return done.stdout.split(), done.stderr


@pytest.mark.parametrize(
    ("line", "offers"),
    [
        ("crossdim render --category c", ["car", "chair"]),
        ("crossdim eval relpose --run ", ["made"]),
        ("crossdim eval reconstruction --run ", ["made", "other"]),
        ("crossdim train pose-aware --views ", ["first", "second"]),
        ("crossdim verify v", ["views/first", "views/second"]),
        ("crossdim train str", ["structure-generator"]),
    ],
)
def test_names_that_are_there(workspace: Path, line: str, offers: list[str]) -> None:
    found, complaints = completed(line, workspace)
    assert found == offers
    assert complaints == ""  # nothing went wrong, and none of HEAVY was imported


@functools.cache
def whole() -> Any:
    return typer.main.get_command(build())


def offered(name: str, root: Path, incomplete: str = "") -> list[str]:
    """What a parameter of that name is offered in a workspace."""
    command = whole()
    context = command.context_class(command)
    context.params["workspace"] = root
    return OFFERS[name](context, incomplete)


def test_every_kind_of_name(workspace: Path) -> None:
    assert offered("shape", workspace) == ["car/c", "chair/a", "chair/b"]
    assert offered("shape", workspace, "chair/") == ["chair/a", "chair/b"]
    assert offered("source", workspace) == ["made"]
    assert offered("artefact", workspace) == ["shapes/made", "views/first", "views/second"]
    assert offered("target", workspace, "eq") == ["equivariant/made"]


def test_nothing_where_something_is_wrong(workspace: Path, tmp_path: Path) -> None:
    for name in OFFERS:
        assert isinstance(offered(name, tmp_path / "none"), list)
    assert offered("category", tmp_path / "none", "ch") == ["chair"]  # those that can be generated
    next((workspace / "shapes" / "made").glob("shard-*.h5")).write_bytes(b"x")
    assert isinstance(offered("category", workspace), list)
    put(
        workspace,
        "shapes/odd",
        {f"{SCRIPT}/x": {**cube().to_arrays(), **labels("", "", "", "")}},
    )
    assert all("<" not in name for name in offered("category", workspace))

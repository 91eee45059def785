"""A small pipeline, run once through the command line, and a way to run one command."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from crossdim_cli.main import run as run_command

SHAPES, VIEWS = 8, 4
PIPELINE = [
    f"shapes generate --count {SHAPES} --category chair --jobs 0",
    "voxelize --jobs 0",
    f"render --viewpoints uniform --views {VIEWS} --supersample 1 --jobs 0",
    "train pose-aware --preset tiny --name run --steps 4 --validate-every 2 --batch 4 --device cpu "
    "--threads 1",
    "eval reconstruction",
]


@dataclass(frozen=True)
class Result:
    """What a command left behind."""

    code: int
    out: str
    err: str


Crossdim = Callable[..., Result]


@pytest.fixture(scope="session")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with eight chairs, their voxels and views, a trained run and its results.

    Tests must not change it; those that do work on a copy.
    """
    root = tmp_path_factory.mktemp("pipeline") / "workspace"
    for line in PIPELINE:
        assert run_command([*line.split(), "--workspace", str(root), "--quiet"]) == 0
    return root


@pytest.fixture
def crossdim(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Crossdim:
    """Runs `crossdim LINE` in an empty folder: exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CROSSDIM_WORKSPACE", raising=False)
    monkeypatch.delenv("CROSSDIM_CONFIG", raising=False)

    def call(line: str, workspace: Path | None = None) -> Result:
        words = line.split()
        if workspace is not None:
            words += ["--workspace", str(workspace)]
        capsys.readouterr()
        code = run_command(words)
        captured = capsys.readouterr()
        return Result(code, captured.out, captured.err)

    return call

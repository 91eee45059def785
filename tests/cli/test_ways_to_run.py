"""One real stage, every way to run it: the same bytes."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from stages.store.index import verify
from tests.cli.conftest import Crossdim
from tests.faults.command import REPOSITORY, environment
from tests.faults.harness import snapshot

LINE = "voxelize --res 16 -q"
COUNT = 40


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with shapes alone."""
    root = tmp_path_factory.mktemp("ways") / "shapes"
    (process,) = start(root, [f"shapes generate --count {COUNT} --category table --jobs 0 -q"])
    assert process.wait(timeout=120) == 0
    return root


@pytest.fixture(scope="module")
def alone(shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What the command alone, in one process, makes."""
    root = Path(shutil.copytree(shapes, tmp_path_factory.mktemp("ways") / "alone"))
    (process,) = start(root, [f"{LINE} --jobs 0"])
    assert process.wait(timeout=120) == 0
    files = snapshot(root / "voxels" / "res16")
    assert len(files) == 5  # four buckets and the manifest
    return files


def start(root: Path, lines: list[str]) -> list[subprocess.Popen[bytes]]:
    """Commands, all at once."""
    return [
        subprocess.Popen(
            [sys.executable, "-m", "crossdim_cli.main", *line.split(), "--workspace", str(root)],
            cwd=REPOSITORY,
            env=environment(),
            stdout=subprocess.DEVNULL,
        )
        for line in lines
    ]


@pytest.mark.parametrize(
    "more",
    [
        ["--jobs 4"],
        ["--jobs 0"] * 4,
        ["--jobs 1 --slice 2/3", "--jobs 0 --slice 0/3", "--jobs 0 --slice 1/3"],
        ["--ray local --jobs 1 --slice 0/2", "--jobs 2 --slice 1/2"],
    ],
    ids=["four jobs", "four at once", "three slices at once", "ray and a slice beside it"],
)
def test_the_same_bytes(
    more: list[str], shapes: Path, alone: dict[str, bytes], tmp_path: Path
) -> None:
    if any("ray" in options for options in more):
        pytest.importorskip("ray", reason="the extra `cluster` is not installed")
    root = Path(shutil.copytree(shapes, tmp_path / "workspace"))
    processes = start(root, [f"{LINE} {options}" for options in more])
    assert [process.wait(timeout=300) for process in processes] == [0] * len(more)
    folder = root / "voxels" / "res16"
    assert snapshot(folder) == alone
    assert verify(folder) == {}


def test_ray_errors_are_two_lines_and_write_nothing(
    crossdim: Crossdim, shapes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for address, code in (("127.0.0.1:9", 4), ("nonsense", 2)):
        result = crossdim(f"voxelize --res 20 --ray {address}", shapes)
        assert result.code == code
        assert len(result.err.splitlines()) == 2
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    result = crossdim("voxelize --res 20 --ray local", shapes)
    assert result.code == 4
    assert result.err.splitlines() == [
        "error: --ray needs the package ray, which is not installed",
        "pip install 'crossdim[cluster]'",
    ]
    assert not (shapes / "voxels").exists()

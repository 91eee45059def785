"""Items, not files, are fresh or stale: through the command line, on files that change."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.cli.conftest import Crossdim

OFF = """OFF
4 4 0
0 0 0
{width} 0 0
0 1 0
0 0 1
3 0 2 1
3 0 1 3
3 0 3 2
3 1 2 3
"""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data set of three pyramids."""
    folder = tmp_path / "pyramids"
    folder.mkdir()
    rows = ["id,category,file,up,front,split,family"]
    for number in range(3):
        (folder / f"{number}.off").write_text(OFF.format(width=1 + number))
        rows.append(f"p{number},pyramid,{number}.off,+z,-y,train,f{number}")
    (folder / "models.csv").write_text("\n".join(rows) + "\n")
    return folder


def files(root: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in root.rglob("shard-*.h5")}


def test_what_changes_is_made_again_and_nothing_else(
    crossdim: Crossdim, data: Path, tmp_path: Path
) -> None:
    root = tmp_path / "workspace"
    assert crossdim(f"shapes import {data} --jobs 1 -q", root).code == 0
    assert crossdim("voxelize --jobs 0 -q", root).code == 0
    before = files(root)

    # two more meshes: two are made, no finished file is touched
    table = data / "models.csv"
    for number in (3, 4):
        (data / f"{number}.off").write_text(OFF.format(width=1 + number))
        table.write_text(
            f"{table.read_text()}p{number},pyramid,{number}.off,+z,-y,test,f{number}\n"
        )
    result = crossdim(f"shapes import {data} --jobs 1 -q", root)
    assert result.out == "shapes/pyramids: 5 items, 2 made now, 3 were fresh, 0 failed\n"
    assert crossdim("status --check", root).code == 3
    result = crossdim("voxelize --jobs 0 -q", root)
    assert result.out == "voxels/res32: 5 items, 2 made now, 3 were fresh, 0 failed\n"
    assert before.items() <= files(root).items()

    # one mesh changes, its time stamp does not help it
    stamp = (data / "1.off").stat().st_mtime_ns
    (data / "1.off").write_text(OFF.format(width=7))
    assert (data / "1.off").stat().st_mtime_ns >= stamp
    status = json.loads(crossdim("status --json", root).out)
    assert status["artefacts"][0]["stale"] == {"pyramid/p1": "input changed"}
    assert status["artefacts"][1]["stale"] == {}
    result = crossdim(f"shapes import {data} --jobs 1 -q", root)
    assert result.out == "shapes/pyramids: 5 items, 1 made now, 4 were fresh, 0 failed\n"
    result = crossdim("voxelize --jobs 0 -n", root)
    assert result.out == (
        "voxels/res32: would make 1 items (1 input changed), 4 are fresh, 0 failed\n"
    )
    assert crossdim("voxelize --jobs 0 -q", root).code == 0
    assert crossdim("status --check", root).code == 0

    # touching a file is no change
    (data / "2.off").touch()
    assert crossdim("status --check", root).code == 0

    # a row that goes: its voxels are no longer wanted, and said to be
    table.write_text("\n".join(table.read_text().splitlines()[:-1]) + "\n")
    line = crossdim("status", root).out.splitlines()[1]
    assert line.endswith("1 no longer in the input")


def test_the_index_is_rebuilt_from_the_shards(
    crossdim: Crossdim, pipeline: Path, tmp_path: Path
) -> None:
    root = Path(shutil.copytree(pipeline, tmp_path / "copy"))
    for manifest in root.glob("*/*/manifest.json"):
        if manifest.parent.parent.name != "shapes":
            manifest.unlink()
    assert crossdim("status --check", root).code == 0
    result = crossdim("voxelize --jobs 0 -q", root)
    assert result.out == "voxels/res32: 8 items, 0 made now, 8 were fresh, 0 failed\n"


def test_training_refuses_what_is_stale_or_ambiguous(
    crossdim: Crossdim, pipeline: Path, tmp_path: Path
) -> None:
    root = Path(shutil.copytree(pipeline, tmp_path / "copy"))
    assert crossdim("voxelize --fill solid --jobs 0 -q", root).code == 0
    result = crossdim("train pose-aware --preset tiny -n", root)
    assert (result.code, result.err) == (
        2,
        "error: several voxels fit: res32, res32-solid\nchoose one with --voxels NAME\n",
    )
    result = crossdim("train pose-aware --preset tiny --voxels res32 -n", root)
    assert (result.code, result.out) == (
        0,
        "run all-tiny: would train 700 steps on 5 train, 1 val, 2 test shapes\n",
    )


def test_slices_make_what_one_run_makes(crossdim: Crossdim, pipeline: Path, tmp_path: Path) -> None:
    whole, parts = (Path(shutil.copytree(pipeline, tmp_path / name)) for name in ("a", "b"))
    for root in (whole, parts):
        line = "shapes generate --category table --count 60 --jobs 0 -q"
        assert crossdim(line, root).code == 0
        shutil.rmtree(root / "voxels")
    assert crossdim("voxelize --res 8 --category table --jobs 0 -q", whole).code == 0
    for number in (2, 0, 1):
        line = f"voxelize --res 8 --category table --jobs 0 -q --slice {number}/3"
        assert crossdim(line, parts).code == 0
    assert files(whole / "voxels") == files(parts / "voxels")
    assert len(files(whole / "voxels")) == 4

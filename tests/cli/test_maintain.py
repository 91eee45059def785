"""merge, clean, inspect through the command line."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path

import h5py
import pytest

from stages.store.commit import TEMPORARY
from tests.cli.conftest import SHAPES, Crossdim


@pytest.fixture
def copy(pipeline: Path, tmp_path: Path) -> Path:
    """The pipeline's workspace, to change."""
    return Path(shutil.copytree(pipeline, tmp_path / "copy"))


def test_merge_and_look_at_it(crossdim: Crossdim, pipeline: Path, tmp_path: Path) -> None:
    result = crossdim("merge voxels/res32 -o voxels.h5", pipeline)
    path = tmp_path / "voxels.h5"
    assert (result.code, result.err) == (0, "")
    assert result.out.startswith(f"voxels.h5: {SHAPES} items, 0 failed, ")
    with h5py.File(path, "r") as file:
        assert file["voxels"].shape == (SHAPES, 32**3 // 8)
        assert [i.startswith(b"chair/") for i in file["ids"]] == [True] * SHAPES
    data = json.loads(crossdim("merge voxels/res32 -o voxels.h5 --json", pipeline).out)
    assert (data["items"], data["bytes"]) == (SHAPES, path.stat().st_size)

    lines = crossdim("inspect voxels.h5").out.splitlines()
    assert lines[0] == "voxels.h5"
    assert lines[1] == "stage voxels version 1, seed 0"
    assert lines[2].startswith("params fill=both, fit=diagonal, res=32")
    assert lines[3].startswith(f"{SHAPES} items, 0 failed, ")
    (row,) = [line.split() for line in lines if line.startswith("voxels ")]
    assert row[:6] == ["voxels", "bool", "32x32x32", "x,y,z", "occupied", "canonical"]
    assert float(row[-1]) > 8  # eight to a byte, and compressed


def test_look_at_artefacts_and_items(crossdim: Crossdim, pipeline: Path) -> None:
    whole = json.loads(crossdim("inspect voxels/res32 --json", pipeline).out)
    assert (whole["items"], whole["params"]["res"]) == (SHAPES, 32)
    (stored,) = (pipeline / "voxels" / "res32").glob("shard-*.h5")
    assert whole["bytes"] == stored.stat().st_size
    name = "chair/generated-0002"
    lines = crossdim(f"inspect voxels/res32/{name}", pipeline).out
    assert lines == crossdim(f"inspect voxels/res32 --item {name}", pipeline).out
    assert f"{stored.name}, row 2" in lines
    assert "0 to 1, mean 0.0" in lines
    results = crossdim("inspect results/reconstruction/pose-aware-run", pipeline)
    assert results.code == 0
    for line, code, message in (
        ("inspect voxels/res33", 3, "no artefact voxels/res33"),
        ("inspect voxels", 3, "no artefact voxels"),
        ("inspect voxels/res32/chair/none", 3, "has no chair/none"),
        (f"inspect voxels/res32/{name} --item {name}", 2, "name an item"),
        ("inspect none.h5", 3, "no file none.h5"),
    ):
        result = crossdim(line, pipeline)
        assert (result.code, message in result.err) == (code, True), (line, result)
        assert len(result.err.splitlines()) == 2


@pytest.mark.parametrize(
    ("line", "code", "message"),
    [
        ("merge voxels/res33 -o a.h5", 3, "no artefact voxels/res33"),
        ("merge voxels/res32 -o none/a.h5", 3, "no folder none"),
        ("merge voxels/res32 -o a.h5 --category chiar", 2, "no category 'chiar'"),
        ("merge voxels/res32", 2, "--output"),
    ],
)
def test_what_cannot_be_merged(
    crossdim: Crossdim, pipeline: Path, tmp_path: Path, line: str, code: int, message: str
) -> None:
    result = crossdim(line, pipeline)
    assert (result.code, message in result.err) == (code, True), result
    assert len(result.err.splitlines()) == 2
    assert not list(tmp_path.glob("*.h5"))


def test_merge_does_not_write_into_the_artefact(crossdim: Crossdim, copy: Path) -> None:
    folder = copy / "voxels" / "res32"
    result = crossdim(f"merge voxels/res32 -o {folder / 'all.h5'}", copy)
    assert result.code == 2
    assert "lies in the artefact" in result.err


def test_clean_finds_nothing_to_do(crossdim: Crossdim, pipeline: Path) -> None:
    before = {p: p.read_bytes() for p in pipeline.rglob("*") if p.is_file()}
    for line in ("clean", "clean --stale --extra", "clean voxels/res32 -n"):
        result = crossdim(line, pipeline)
        assert (result.code, result.err) == (0, "")
        assert result.out in ("freed 0 B\n", "would free 0 B\n")
    after = {p: p.read_bytes() for p in pipeline.rglob("*") if p.is_file()}
    assert {p: d for p, d in after.items() if p.name != ".manifest.lock"} == {
        p: d for p, d in before.items() if p.name != ".manifest.lock"
    }


def test_clean_says_what_goes_and_asks_for_yes(crossdim: Crossdim, copy: Path) -> None:
    assert crossdim("shapes generate --count 9 --category chair --jobs 0 -q", copy).code == 0
    assert crossdim("voxelize --jobs 0 -q", copy).code == 0
    # one shape is no longer there, another is another one now
    folder = copy / "shapes" / "generated"
    shutil.rmtree(folder)
    assert crossdim("shapes generate --count 8 --category chair --jobs 0 -q", copy).code == 0
    old = folder / f"{TEMPORARY}old"
    old.write_bytes(b"12345")
    yesterday = time.time() - 25 * 3600
    os.utime(old, (yesterday, yesterday))
    voxels = copy / "voxels" / "res32"
    broken = next(voxels.glob("shard-*"))

    before = {p.name for p in voxels.iterdir()}
    listed = crossdim("clean --extra -n", copy)
    assert listed.code == 0
    rows = [line.split() for line in listed.out.splitlines()]
    assert rows[1:-1] == [
        ["shapes/generated", "temporaries", "1", "5", "B"],
        ["voxels/res32", "items", "1", *rows[2][3:]],
    ]
    assert rows[-1][:2] == ["would", "free"]
    refused = crossdim("clean --extra", copy)
    assert refused.code == 2
    assert refused.err.splitlines() == [
        "error: 1 items would go, and would have to be made again",
        "--yes removes them, --dry-run names them",
    ]
    assert old.exists()
    assert {p.name for p in voxels.iterdir()} - {".manifest.lock"} == before - {".manifest.lock"}
    data = json.loads(crossdim("clean --extra --yes --json", copy).out)
    assert data["removed"] is True
    assert data["artefacts"]["voxels/res32"]["items"] == {
        "chair/generated-0008": "no longer in the input"
    }
    assert not old.exists()
    assert crossdim("status --check", copy).code == 0
    assert " 1 no longer" not in crossdim("status", copy).out

    broken = next(voxels.glob("shard-*"))
    broken.write_bytes(b"")
    assert "voxels/res32  damaged" in crossdim("clean", copy).out
    assert not broken.exists()
    assert crossdim("voxelize --jobs 0 -q", copy).code == 0
    assert crossdim("verify", copy).code == 0


def test_clean_leaves_runs_and_results_alone(crossdim: Crossdim, copy: Path) -> None:
    name = "results/reconstruction/pose-aware-run"
    folder = copy / name
    shard = next(folder.glob("shard-*"))
    shard.write_bytes(b"")
    assert crossdim("clean", copy).out == "freed 0 B\n"
    assert shard.exists()
    assert f"{name}  damaged" in crossdim(f"clean {name}", copy).out
    assert not shard.exists()
    assert crossdim("clean voxels/none", copy).code == 3

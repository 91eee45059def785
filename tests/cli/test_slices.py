"""Array jobs: which part a task does, what is left to do, and that the parts make the whole."""

from __future__ import annotations

import dataclasses
import json
import random
import shutil
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from crossdim_cli.slices import ranges, slice_of
from stages import registry
from stages.engine.sources import with_digests
from stages.errors import UsageError
from tests.cli.conftest import Crossdim
from tests.faults.harness import snapshot

SLURM = "SLURM_ARRAY_TASK_"
SLICES = 5
MESH = "OFF\n4 4 0\n0 0 0\n{} 0 0\n0 1 0\n0 0 1\n3 0 2 1\n3 0 1 3\n3 0 3 2\n3 1 2 3\n"


@pytest.fixture(autouse=True)
def _no_scheduler(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ID", "MIN", "MAX", "COUNT"):
        monkeypatch.delenv(SLURM + name, raising=False)
    for name in ("JOB_COMPLETION_INDEX", "PBS_ARRAY_INDEX"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("text", "variables", "expected"),
    [
        ("", {}, None),
        ("0/1", {}, (0, 1)),
        ("3/8", {}, (3, 8)),
        # --array=0-7
        ("auto", {"ID": "3", "MIN": "0", "MAX": "7", "COUNT": "8"}, (3, 8)),
        # --array=1-8 counts from one
        ("auto", {"ID": "3", "MIN": "1", "MAX": "8", "COUNT": "8"}, (2, 8)),
        # --array=3,7 of 64
        ("auto/64", {"ID": "7", "MIN": "3", "MAX": "7", "COUNT": "2"}, (7, 64)),
    ],
)
def test_parts(
    text: str,
    variables: dict[str, str],
    expected: tuple[int, int] | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(SLURM + name, value)
    assert slice_of(text) == expected


@pytest.mark.parametrize("variable", ["JOB_COMPLETION_INDEX", "PBS_ARRAY_INDEX"])
def test_other_schedulers(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, "5")
    assert slice_of("auto/6") == (5, 6)
    with pytest.raises(UsageError, match="found no SLURM_ARRAY_TASK_ID"):
        slice_of("auto")  # how many there are, these do not say


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("8/8", "out of range"),
        ("-1/8", "out of range"),
        ("0/0", "out of range"),
        ("1", "is not i/n"),
        ("1/2/3", "is not i/n"),
        ("a/b", "is not i/n"),
        ("auto", "found no SLURM_ARRAY_TASK_ID"),
        ("auto/8", "found none of SLURM_ARRAY_TASK_ID"),
    ],
)
def test_parts_that_cannot_be(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        slice_of(text)


def test_an_array_with_holes_has_no_automatic_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"ID": "7", "MIN": "3", "MAX": "7", "COUNT": "2"}.items():
        monkeypatch.setenv(SLURM + name, value)
    with pytest.raises(UsageError, match="2 tasks between 3 and 7") as caught:
        slice_of("auto")
    assert "auto/n" in caught.value.hint


def expand(text: str) -> list[int]:
    """What a scheduler makes of a list of numbers."""
    pairs = [part.split("-") for part in text.strip().split(",") if part]
    return [n for pair in pairs for n in range(int(pair[0]), int(pair[-1]) + 1)]


def test_lists_of_numbers() -> None:
    assert ranges([]) == ""
    assert ranges([4]) == "4"
    assert ranges([0, 1, 2, 5, 7, 8]) == "0-2,5,7-8"
    chance = random.Random(0)
    for _ in range(100):
        numbers = sorted(chance.sample(range(40), chance.randrange(41)))
        assert expand(ranges(numbers)) == numbers


@pytest.fixture
def shapes(crossdim: Crossdim, tmp_path: Path) -> Path:
    """A workspace with shapes in several buckets."""
    root = tmp_path / "workspace"
    line = "shapes generate --count 40 --category table --jobs 0 -q"
    assert crossdim(line, root).code == 0
    return root


def test_slices_until_nothing_is_missing(crossdim: Crossdim, shapes: Path, tmp_path: Path) -> None:
    query = f"status --missing voxels/res16 --slices {SLICES}"
    alone = Path(shutil.copytree(shapes, tmp_path / "alone"))
    assert crossdim("voxelize --res 16 --jobs 0 -q", alone).code == 0

    # before the first run: all of them, though nobody knows the parameters yet
    first = crossdim(query, shapes)
    assert first.err == "voxels/res16 is not there yet: all 40 items are missing\n"
    todo = expand(first.out)
    assert len(todo) > 2
    assert set(todo) <= set(range(SLICES))
    while todo:
        number = todo.pop()
        line = f"voxelize --res 16 --jobs 0 -q --slice {number}/{SLICES}"
        assert crossdim(line, shapes).code == 0
        result = crossdim(query, shapes)
        assert (result.code, result.err) == (0, "")
        assert expand(result.out) == todo
    assert result.out == "\n"
    assert crossdim("status --missing voxels/res16", shapes).out == "\n"
    assert crossdim("status --check", shapes).code == 0
    folder = Path("voxels") / "res16"
    assert snapshot(shapes / folder) == snapshot(alone / folder)


def test_missing_items_and_json(crossdim: Crossdim, shapes: Path) -> None:
    assert crossdim("voxelize --res 16 --jobs 0 -q --slice 0/2", shapes).code == 0
    items = crossdim("status --missing voxels/res16", shapes).out.split()
    plan = json.loads(crossdim("voxelize --res 16 -n --json", shapes).out)
    assert items == sorted(plan["todo"])
    data = json.loads(crossdim("status --missing voxels/res16 --slices 2 --json", shapes).out)
    del data["schema"]
    assert data == {
        "artefact": "voxels/res16",
        "todo": len(items),
        "count": 2,
        "slices": [1],
        "array": "1",
    }


def test_what_was_not_asked_for_is_not_missing(crossdim: Crossdim, shapes: Path) -> None:
    assert crossdim("shapes generate --count 3 --category sofa --jobs 0 -q", shapes).code == 0
    for line in ("--category table --limit 4", "--category sofa --limit 1"):
        assert crossdim(f"voxelize --res 16 --jobs 0 -q {line}", shapes).code == 0
    assert crossdim("status --missing voxels/res16", shapes).out == "\n"
    assert crossdim("status --check", shapes).code == 0
    # all are asked for, by a part that has none of them
    assert crossdim("voxelize --res 16 --jobs 0 -q --slice 1/4", shapes).code == 0
    items = crossdim("status --missing voxels/res16", shapes).out.split()
    assert len(items) == 43 - 5
    # a lost manifest: what is there says which categories are wanted
    (shapes / "voxels" / "res16" / "manifest.json").unlink()
    assert crossdim("status --missing voxels/res16", shapes).out.split() == items


def test_parts_of_an_import(crossdim: Crossdim, tmp_path: Path) -> None:
    data, root = tmp_path / "data", tmp_path / "workspace"
    data.mkdir()
    rows = ["id,category,file,up,front"]
    for number in range(40):
        (data / f"{number}.off").write_text(MESH.format(number + 1))
        rows.append(f"p{number:02d},pyramid,{number}.off,+z,-y")
    (data / "models.csv").write_text("\n".join(rows))

    unknown = crossdim("status --missing shapes/data --slices 3", root)
    assert unknown.code == 3
    assert unknown.err.splitlines()[0] == "error: no artefact shapes/data"
    line = f"shapes import {data} --limit 35 --jobs 1 -q --slice"
    assert crossdim(f"{line} 0/3", root).code == 0
    assert crossdim("status --check", root).code == 3
    todo = expand(crossdim("status --missing shapes/data --slices 3", root).out)
    assert 0 not in todo
    for number in todo:
        assert crossdim(f"{line} {number}/3", root).code == 0
    assert crossdim("status --missing shapes/data --slices 3", root).out == "\n"
    status = json.loads(crossdim("status --json", root).out)["artefacts"][0]
    assert (status["fresh"], status["missing"], status["extra"]) == (35, [], [])


def test_a_part_reads_only_its_own_files(
    crossdim: Crossdim, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A data set may be too large for every task to read all of it."""
    data, root = tmp_path / "data", tmp_path / "workspace"
    data.mkdir()
    rows = ["id,category,file,up,front"]
    for number in range(40):
        (data / f"{number}.off").write_text(MESH.format(number + 1))
        rows.append(f"p{number:02d},pyramid,{number}.off,+z,-y")
    (data / "models.csv").write_text("\n".join(rows))
    stage = registry.SOURCES["import"]
    read: list[str] = []

    def digest(source: Mapping[str, Any]) -> str:
        read.append(source["path"])
        assert stage.digest is not None
        return stage.digest(source)

    monkeypatch.setattr("crossdim_cli.stage.with_digests", partial(_with_digests, digest))
    parts = []
    for number in range(3):
        line = f"shapes import {data} -n --json --slice {number}/3"
        todo = json.loads(crossdim(line, root).out)["todo"]
        assert len(todo) == len(read)
        parts.append(set(read))
        read.clear()
    assert sum(map(len, parts)) == len(set.union(*parts)) == 40


def _with_digests(digest: Any, stage: Any, sources: Any) -> Any:
    return with_digests(dataclasses.replace(stage, digest=digest), sources)


def test_generated_shapes_in_parts(crossdim: Crossdim, tmp_path: Path) -> None:
    line = "shapes generate --count 20 --category table --category bed --jobs 0 -q"
    assert crossdim(f"{line} --slice 0/2", tmp_path).code == 0
    todo = json.loads(crossdim("status --missing shapes/generated --json", tmp_path).out)
    assert 0 < todo["todo"] < 40
    assert crossdim(f"{line} --slice 1/2", tmp_path).code == 0
    assert crossdim("status --missing shapes/generated", tmp_path).out == "\n"


def test_slices_without_an_artefact(crossdim: Crossdim, tmp_path: Path) -> None:
    result = crossdim("status --slices 4", tmp_path)
    assert result.code == 2
    assert "--slices needs --missing" in result.err

"""Exact stdout and exit code of every command on a small pipeline."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image

from stages.store.summary import read_summary
from tests.cli.conftest import SHAPES, VIEWS, Crossdim

VOXELS = f"voxels/res32: {SHAPES} items, 0 made now, {SHAPES} were fresh, 0 failed\n"


@pytest.mark.parametrize(
    ("line", "out"),
    [
        (
            f"shapes generate --count {SHAPES} --category chair --jobs 0",
            f"shapes/generated: {SHAPES} items, 0 made now, {SHAPES} were fresh, 0 failed\n",
        ),
        ("voxelize --jobs 0", VOXELS),
        (
            f"render --viewpoints uniform --views {VIEWS} --supersample 1 --jobs 0",
            f"views/uniform4-64px-supersample1: {SHAPES} items, 0 made now, {SHAPES} were fresh, "
            "0 failed\n",
        ),
        (
            "voxelize --res 16 -n",
            f"voxels/res16: would make {SHAPES} items ({SHAPES} missing), 0 are fresh, 0 failed\n",
        ),
        ("verify voxels/res32", "1 files checked, 0 damaged\n"),
    ],
)
def test_a_second_run_says_that_all_is_fresh(
    crossdim: Crossdim, pipeline: Path, line: str, out: str
) -> None:
    result = crossdim(line, pipeline)
    assert (result.code, result.out, result.err) == (0, out, "")


def test_dry_run_touches_nothing(crossdim: Crossdim, pipeline: Path) -> None:
    before = sorted((p, p.stat().st_mtime_ns) for p in pipeline.rglob("*"))
    for line in (
        "voxelize --res 16 -n",
        "shapes generate --count 9 -n",
        "train pose-aware --preset tiny -n",
        "eval reconstruction -n",
    ):
        assert crossdim(line, pipeline).code == 0
    assert sorted((p, p.stat().st_mtime_ns) for p in pipeline.rglob("*")) == before


def test_status_is_a_table_and_json(crossdim: Crossdim, pipeline: Path) -> None:
    result = crossdim("status --check", pipeline)
    assert result.code == 0
    assert [" ".join(line.split()) for line in result.out.splitlines()] == [
        "artefact items fresh stale missing failed why",
        "shapes/generated 8 8 0 0 0",
        "voxels/res32 8 8 0 0 0",
        "views/uniform4-64px-supersample1 8 8 0 0 0",
        "runs/pose-aware/run - - - - - finished",
        "results/reconstruction/pose-aware-run 2 2 0 0 0",
    ]
    data = json.loads(crossdim("status --json", pipeline).out)
    assert data["schema"] == 1
    assert [a["fresh"] for a in data["artefacts"]] == [8, 8, 8]
    assert data["runs"][0]["fresh"] is True


def test_status_says_what_is_missing(crossdim: Crossdim, pipeline: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(pipeline, tmp_path / "copy"))
    assert crossdim("shapes generate --count 9 --category chair --jobs 0 -q", root).code == 0
    result = crossdim("status --check", root)
    assert result.code == 3
    assert re.search(r"voxels/res32 +8 +8 +0 +1 +0\n", result.out)
    nothing = crossdim("status", tmp_path / "empty")
    assert (nothing.code, nothing.out) == (0, f"nothing in {tmp_path / 'empty'} yet\n")


def test_list(crossdim: Crossdim, pipeline: Path) -> None:
    lines = crossdim("shapes list", pipeline).out.splitlines()
    assert lines[0].split() == ["shape", "source", "split", "family", "state"]
    assert lines[1].split() == [
        "chair/generated-0000",
        "generated",
        "generated-0000",
        "cached",
    ]
    assert len(lines) == 1 + SHAPES


def test_training_again_says_that_it_is_done(crossdim: Crossdim, pipeline: Path) -> None:
    line = "train pose-aware --preset tiny --name run --steps 4 --validate-every 2 --batch 4 -q"
    result = crossdim(line + " --device cpu", pipeline)
    assert result.code == 0
    assert re.fullmatch(
        r"runs/pose-aware/run: 4 steps, best validation iou 0\.\d{4}, stopped by steps\n",
        result.out,
    )


def test_eval_prints_the_four_tables_and_keeps_them(crossdim: Crossdim, pipeline: Path) -> None:
    result = crossdim("eval reconstruction -q", pipeline)
    assert result.code == 0
    titles = [line for line in result.out.splitlines() if line.startswith("Table")]
    assert [t.split("  ")[0] for t in titles] == [
        "Table 1: voxel IoU",
        "Table 2: pose and mask",
        "Table 3: pose-aware voxel IoU (48^3)",
        "Table 4: projection IoU (48 px)",
    ]
    data = json.loads(crossdim("eval reconstruction --json -q", pipeline).out)
    folder = pipeline / "results" / "reconstruction" / "pose-aware-run"
    kept = read_summary(folder / "summary.json")
    assert kept.pop("titles")["shape"] == "Table 1: voxel IoU"
    assert kept == {k: v for k, v in data.items() if k != "schema"}
    rows = list(csv.DictReader(io.StringIO((folder / "summary.csv").read_text())))
    value = {(r["table"], r["row"]): float(r["value"]) for r in rows}
    assert value["projection", "GT shape & GT pose"] == pytest.approx(
        data["tables"]["projection"]["GT shape & GT pose"]["chair"], abs=1e-5
    )


def test_export_mesh_and_voxels(crossdim: Crossdim, pipeline: Path, tmp_path: Path) -> None:
    result = crossdim("export mesh truth.ply --what truth --shape chair/generated-0002", pipeline)
    assert result.code == 0
    assert re.fullmatch(r"truth\.ply: chair/generated-0002, \d+ vertices, \d+ faces\n", result.out)
    mesh = trimesh.load_mesh(tmp_path / "truth.ply")
    assert mesh.is_watertight
    assert mesh.volume > 0
    result = crossdim("export voxels truth.npz --what truth --shape chair/generated-0002", pipeline)
    assert result.code == 0
    with np.load(tmp_path / "truth.npz", allow_pickle=False) as file:
        filled = int(file["voxels"].sum())
    assert result.out == f"truth.npz: chair/generated-0002, 32^3, {filled} filled\n"
    assert crossdim("export voxels truth.binvox --what truth", pipeline).code == 0
    for suffix in ("obj", "glb", "stl"):
        line = f"export mesh shape.{suffix} --what shape --shape chair/generated-0001"
        assert crossdim(line, pipeline).code == 0
        loaded = trimesh.load_mesh(tmp_path / f"shape.{suffix}", process=False)
        # glTF is y up: the chair's height is its second extent there, its third elsewhere
        up = 1 if suffix == "glb" else 2
        source = trimesh.load_mesh(tmp_path / "shape.obj", process=False)
        assert loaded.extents[up] == pytest.approx(source.extents[2], abs=1e-5)


def test_plots_are_pictures(crossdim: Crossdim, pipeline: Path, tmp_path: Path) -> None:
    for line in ("plot reconstruction --shapes 2 -o a.png", "plot curves -o b.png"):
        result = crossdim(line, pipeline)
        name = line.split()[-1]
        assert (result.code, result.out) == (0, f"{name}\n")
        with Image.open(tmp_path / name) as picture:
            assert picture.format == "PNG"
            # not blank: more than a few distinct colours
            assert len(np.unique(np.asarray(picture.convert("RGB")).reshape(-1, 3), axis=0)) > 20


def test_verify_names_a_flipped_bit(crossdim: Crossdim, pipeline: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(pipeline, tmp_path / "copy"))
    assert crossdim("verify", root).out.endswith(" files checked, 0 damaged\n")
    shard = next((root / "voxels" / "res32").glob("shard-*.h5"))
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 1
    shard.write_bytes(data)
    result = crossdim("verify", root)
    assert result.code == 1
    assert f"voxels/res32/{shard.name}: " in result.out
    weights = next((root / "runs/pose-aware/run/checkpoints").glob("weights-*.safetensors"))
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    assert f"checkpoints/{weights.name}: " in crossdim("verify", root).out

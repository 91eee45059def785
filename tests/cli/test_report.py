"""report and view on what a small pipeline has left: its numbers, pictures and solids."""

from __future__ import annotations

import base64
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from stages.report.solids import from_voxels
from stages.store.workspace import Workspace
from tests.cli.conftest import Crossdim
from tests.report.made import Parsed


def solids_of(page: str) -> list[dict]:  # type: ignore[type-arg]
    match = re.search(r'id="solids">(.*?)</script>', page, re.S)
    assert match is not None
    return json.loads(match[1])


def test_the_report_says_what_the_commands_say(
    crossdim: Crossdim, pipeline: Path, tmp_path: Path
) -> None:
    result = crossdim("report -o page.html --pictures 2 --json -q", pipeline)
    assert result.code == 0, result.err
    assert json.loads(result.out) == {
        "schema": 1,
        "path": "page.html",
        "bytes": (tmp_path / "page.html").stat().st_size,
    }
    page = (tmp_path / "page.html").read_text()
    text = " ".join(Parsed(page.encode()).text.split())
    summary = json.loads(crossdim("eval reconstruction --json -q", pipeline).out)
    for rows in summary["tables"].values():
        for row, values in rows.items():
            for value in values.values():
                shown = f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"
                who = re.escape(row.partition(": ")[0])
                assert re.search(rf"{who}( trivial answer| knows the truth)? {shown}\b", text), row
    assert "Table 1: voxel IoU" in text
    assert "runs" in text
    assert "4 steps" in text or "pose-aware/run" in text
    labels = {one["label"] for one in solids_of(page)}
    assert {"the shape", "truth"} <= labels
    assert "prediction" in labels or "prediction: empty" in text
    assert "Not there yet" not in text


def test_what_is_stale_or_failed_is_said(
    crossdim: Crossdim, pipeline: Path, tmp_path: Path
) -> None:
    root = Path(shutil.copytree(pipeline, tmp_path / "copy"))
    line = "shapes generate --count 9 --category chair --jobs 0 -q"
    assert crossdim(line, root).code == 0
    assert crossdim("report -o page.html --pictures 0 -q", root).code == 0
    text = Parsed((tmp_path / "page.html").read_bytes()).text
    assert "not up to date: voxels/res32, views/uniform4-64px" in " ".join(text.split())
    assert "<canvas" not in (tmp_path / "page.html").read_text()


def test_a_page_of_voxels_holds_the_voxels(
    crossdim: Crossdim, pipeline: Path, tmp_path: Path
) -> None:
    artefact = Workspace(pipeline).artefact("voxels", "res32")
    item = sorted(artefact.index.items())[3]
    assert crossdim(f"view voxels/res32 --html page.html --item {item} -q", pipeline).code == 0
    first = solids_of((tmp_path / "page.html").read_text())[0]
    arrays = artefact.read(item)
    solid = from_voxels("", arrays["voxels"], arrays["origin"], float(arrays["extent"].item()))
    faces = np.frombuffer(base64.b64decode(first["faces"]), "<u2").reshape(-1, 3)
    places = np.frombuffer(base64.b64decode(first["at"]), "<u2").reshape(-1, 3)
    sent = places[faces].mean((0, 1)) * first["step"] + first["low"]
    assert len(faces) == len(solid.faces)
    assert sent == pytest.approx(solid.vertices[solid.faces].mean((0, 1)), abs=1e-4)


@pytest.mark.parametrize(
    ("line", "code", "message", "hint"),
    [
        ("report -o no/where.html --pictures 0", 1, "cannot write no/where.html", ""),
        ("report --pictures 51", 2, "--pictures", "run: crossdim report --help"),
        ("view voxels/res3 --html p.html", 3, "no artefact", "did you mean voxels/res32?"),
        ("view voxels/res32 --html p.html --item chair/x", 3, "has no chair/x", ""),
        ("view voxels/res32 --html no/where.html", 1, "cannot write no/where.html", ""),
        ("status --graph png", 2, "--graph", "run: crossdim status --help"),
    ],
)
def test_two_lines(
    crossdim: Crossdim, pipeline: Path, line: str, code: int, message: str, hint: str
) -> None:
    result = crossdim(f"{line} -q", pipeline)
    lines = result.err.splitlines()
    assert (result.code, result.out, len(lines)) == (code, "", 2), result
    assert message in lines[0]
    assert hint in lines[1]

"""`crossdim predict`, `export weights` and `weights` on a run of few steps, by the command line."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stages.errors import InputError, UsageError
from stages.geometry.voxels import decode_binvox
from stages.store.workspace import Workspace
from stages.weights import cards
from stages.weights.cards import find_card, read_card
from stages.weights.packing import command_of
from tests.cli.conftest import Crossdim

RUN = "--run run --device cpu"


@pytest.fixture
def folder(pipeline: Path, tmp_path: Path) -> Path:
    """Three views of test shapes as pictures, whole and cut out, and one that is none."""
    there = Workspace(pipeline)
    run = json.loads((pipeline / "runs/pose-aware/run/run.json").read_text())
    views = there.artefact("views", run["data"]["variants"]["views"])
    made = tmp_path / "pictures"
    (made / "more").mkdir(parents=True)
    arrays = views.read(run["data"]["ids"]["test"][0], ("rgb", "mask"))
    Image.fromarray(arrays["rgb"][0]).save(made / "whole.png")
    cut_out = np.dstack([arrays["rgb"][1], arrays["mask"][1]])
    Image.fromarray(cut_out).save(made / "more" / "cut.webp", lossless=True)
    Image.fromarray(arrays["rgb"][2]).save(made / "whole.jpg")
    (made / "bad.png").write_bytes(b"\x89PNG nothing")
    return made


def test_a_folder_with_a_bad_picture(crossdim: Crossdim, pipeline: Path, folder: Path) -> None:
    result = crossdim(f"predict pose-aware {folder} {RUN} --json", pipeline)
    assert result.code == 1
    assert "bad.png: the picture is damaged" in result.err
    found = json.loads(result.out)
    assert list(found["failed"]) == [str(folder / "bad.png")]
    told = {one["picture"]: one for one in found["predictions"]}
    assert set(told) == {"whole.png", "whole.jpg", "cut.webp"}
    assert told["cut.webp"]["mask_from"] == "alpha"
    for one in told.values():
        record, *others = map(Path, one["paths"])
        facts = json.loads(record.read_text())
        digests = {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in others}
        assert facts["files"] == digests
        assert {".glb", ".binvox", ".png"} >= {p.suffix for p in others}
        assert 0 <= facts["confidence"]["pose"] <= 1
    names = sorted(path.name for path in folder.iterdir())
    # two pictures of one name do not share their files
    assert len([name for name in names if name.endswith(".pose-aware.json")]) == 2
    again = crossdim(f"predict pose-aware {folder} {RUN} --json", pipeline)
    assert json.loads(again.out)["predictions"] == found["predictions"]
    assert names == sorted(path.name for path in folder.iterdir())  # sheets are no pictures


def test_what_it_says_of_a_view_is_what_the_evaluation_has(
    crossdim: Crossdim, pipeline: Path, folder: Path, tmp_path: Path
) -> None:
    line = f"predict pose-aware {folder}/whole.png {RUN} --crop none --out {tmp_path}/o --json"
    result = crossdim(line, pipeline)
    assert result.code == 0
    (facts,) = json.loads(result.out)["predictions"]
    results = Workspace(pipeline).artefact("results/reconstruction", "pose-aware-run")
    arrays = results.read(sorted(results.index.items())[0])
    summary = json.loads((results.folder / "summary.json").read_text())
    assert facts["voxels"]["threshold"] == summary["threshold"]
    assert facts["voxels"]["threshold_from"] == "chosen on validation shapes"
    voxels, _, _ = decode_binvox((tmp_path / "o" / "whole.pose-aware.binvox").read_bytes())
    kept = arrays["voxels"][0].astype(float)  # 255ths of the probability
    sure = np.abs(kept - 255 * summary["threshold"]) > 1
    assert np.array_equal(voxels[sure], (kept >= 255 * summary["threshold"])[sure])
    away = facts["pose"]["azimuth_deg"] - arrays["viewpoint"][0][0]
    assert (away + 180) % 360 - 180 == pytest.approx(0, abs=0.01)


def test_files_of_others_are_not_overwritten(
    crossdim: Crossdim, pipeline: Path, folder: Path
) -> None:
    mine = folder / "whole.pose-aware.glb"
    mine.write_bytes(b"a work of months")
    line = f"predict pose-aware {folder}/whole.png {RUN}"
    result = crossdim(line, pipeline)
    assert result.code == 1
    assert "whole.pose-aware.glb is in the way" in result.err
    assert mine.read_bytes() == b"a work of months"
    assert not (folder / "whole.pose-aware.json").exists()
    assert crossdim(f"{line} --force", pipeline).code == 0
    assert mine.read_bytes()[:4] == b"glTF"
    assert crossdim(line, pipeline).code == 0  # ours by now
    mine.write_bytes(b"changed by hand")
    assert crossdim(line, pipeline).code == 1


def test_packed_weights_answer_like_their_run(
    crossdim: Crossdim, pipeline: Path, folder: Path, tmp_path: Path
) -> None:
    file = tmp_path / "small-chair.safetensors"
    result = crossdim(f"export weights {file} --run run --limit few --json", pipeline)
    assert result.code == 0
    card = json.loads(file.with_suffix(".json").read_text())
    assert card["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert card["bytes"] == file.stat().st_size
    stored = sum(p.stat().st_size for p in (pipeline / "runs/pose-aware/run").rglob("weights-*"))
    assert card["bytes"] < 0.6 * stored
    assert card["limits"] == ["few"]
    assert card["licence"] == "MIT"  # of generated shapes
    assert len(card["commands"]) == 1
    (metrics,) = card["metrics"]
    assert {"mean shape"} < set(metrics["tables"]["shape"])
    assert card["camera"]["background"] == 255
    assert 0.4 < card["camera"]["fill"] < 0.9
    assert max(card["half_precision"]["largest"].values()) < 0.01
    told = []
    for which in (RUN, f"--weights {file}"):
        line = f"predict pose-aware {folder}/whole.png {which} --out {tmp_path}/o --force --json"
        (one,) = json.loads(crossdim(line, pipeline).out)["predictions"]
        told.append(one)
    away = (told[0]["pose"]["azimuth_deg"] - told[1]["pose"]["azimuth_deg"] + 180) % 360 - 180
    assert abs(away) < 1
    assert told[0]["confidence"] == pytest.approx(told[1]["confidence"], abs=0.02)
    text = file.with_suffix(".md").read_text()
    assert "Licence of the weights: MIT" in text
    assert "- few" in text
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    line = f"predict pose-aware {folder}/whole.png --weights {file}"
    result = crossdim(line, pipeline)
    assert (result.code, result.out) == (3, "")
    assert "is damaged: its sha256" in result.err


def test_the_command_of_a_card_is_for_any_machine() -> None:
    words = "train pose-aware --workspace /some/where --preset tiny -q --device cpu --name a"
    assert command_of(words.split()) == "crossdim train pose-aware --preset tiny --name a"


def test_finding_weights(tmp_path: Path) -> None:
    def put(name: str, system: str, *categories: str) -> None:
        facts = dict.fromkeys(cards._KNOWN, "")
        facts |= {"format": cards.FORMAT, "format_version": 1, "name": name}
        facts |= {"system": system, "categories": list(categories)}
        (tmp_path / f"{name}.json").write_text(json.dumps(facts))

    put("a", "pose-aware", "airplane")
    put("b", "pose-aware", "chair")
    put("c", "pose-aware", "airplane", "car", "chair")
    put("d", "equivariant", "airplane", "chair")
    assert find_card("pose-aware", "airplane", tmp_path).name == "a"
    assert find_card("pose-aware", "car", tmp_path).name == "c"
    assert find_card("equivariant", None, tmp_path).name == "d"
    with pytest.raises(UsageError, match="several weights of pose-aware fit: a, b"):
        find_card("pose-aware", None, tmp_path)
    with pytest.raises(InputError, match="for bed"):
        find_card("pose-aware", "bed", tmp_path)
    with pytest.raises(InputError, match="no weights of interpreter"):
        find_card("interpreter", None, tmp_path)
    (tmp_path / "e.json").write_text("[1]")
    with pytest.raises(InputError, match="is no card"):
        read_card(tmp_path / "e.json")


@pytest.mark.parametrize(
    ("line", "code", "message", "hint"),
    [
        ("predict pose-aware a.png --run nobody", 3, "no run nobody", "crossdim train"),
        ("predict pose-aware a.png --run run --weights w.safetensors", 2, "two networks", "one"),
        ("predict pose-aware a.png --weights w.safetensors", 3, "no card w.json", "export weights"),
        ("predict pose-aware a.png --run run --box 1,2,3", 2, "1,2,3 is no box", "LEFT"),
        ("predict pose-aware a.png --run run --codes c.npz", 2, "no codes to search", "leave"),
        ("predict pose-aware a.png --run run --mesh m.obj --shape s", 2, "two meshes", "one"),
        ("predict pose-aware empty --run run", 3, "no pictures in empty", "name PNG"),
        ("predict nobody a.png", 2, "nobody", "crossdim predict --help"),
        ("export weights w.pt --run run", 2, "cannot pack weights as w.pt", ".safetensors"),
        ("weights nobody", 3, "no weights are called nobody", "there are"),
    ],
)
def test_two_lines(
    crossdim: Crossdim,
    pipeline: Path,
    tmp_path: Path,
    line: str,
    code: int,
    message: str,
    hint: str,
) -> None:
    (tmp_path / "empty").mkdir()
    result = crossdim(line, pipeline)
    lines = result.err.splitlines()
    assert (result.code, result.out, len(lines)) == (code, "", 2), result
    assert message in lines[0]
    assert hint in lines[1]


def test_a_missing_picture_costs_itself(crossdim: Crossdim, pipeline: Path, folder: Path) -> None:
    shutil.copy(folder / "whole.png", folder / "other.png")
    line = f"predict pose-aware {folder}/gone.png {folder}/other.png {RUN}"
    result = crossdim(line, pipeline)
    assert result.code == 1
    assert "gone.png: it cannot be read: No such file" in result.err
    assert "1 pictures told, 1 failed" in result.out

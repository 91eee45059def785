"""backgrounds import, keypoints import and list, through the command line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from stages.store.workspace import Workspace
from tests.cli.conftest import Crossdim
from tests.photos import makers
from tests.photos.test_keypoints import WIDE, make_cub, make_keypoint5


def test_backgrounds(crossdim: Crossdim, tmp_path: Path) -> None:
    folder = tmp_path / "sun"
    picture = makers.dotted(WIDE, makers.spots(WIDE, 5))
    for name in ("a/one.png", "a/two.png", "b/one.png"):
        makers.write(folder / name, makers.encode(picture))
    makers.write(folder / "bomb.png", makers.huge_png(60_000, 60_000))
    makers.write(folder / "half.png", makers.encode(picture)[:500])
    result = crossdim(
        f"backgrounds import {folder} --size 48 --name park --jobs 1 --json", tmp_path
    )
    assert result.code == 1
    said = json.loads(result.out)
    assert (said["items"], sorted(said["failed"])) == (3, ["images/bomb", "images/half"])
    artefact = Workspace(tmp_path).artefacts("backgrounds")[0]
    assert artefact.variant == "park-size48"
    items = sorted(artefact.index.items())
    assert items == ["images/a.one", "images/a.two", "images/b.one"]
    arrays = artefact.read("images/b.one")
    assert arrays["rgb"].shape == (48, 48, 3)
    assert arrays["source"].item() == b"b/one.png"
    artefact.close()
    # a picture that changes is stale, one that comes is missing, nothing else is made again
    makers.write(folder / "a/one.png", makers.encode(picture[::-1]))
    makers.write(folder / "half.png", makers.encode(picture))
    plan = crossdim(f"backgrounds import {folder} --size 48 --name park -n --json", tmp_path)
    assert sorted(json.loads(plan.out)["todo"]) == ["images/a.one", "images/half"]


def test_keypoints(crossdim: Crossdim, tmp_path: Path) -> None:
    make_keypoint5(tmp_path / "k5", WIDE)
    make_cub(tmp_path / "birds", WIDE)
    flags = "--width 60 --height 80 --jobs 1"
    assert crossdim(f"keypoints import {tmp_path / 'k5'} {flags}", tmp_path).code == 0
    assert (
        crossdim(f"keypoints import {tmp_path / 'birds'} --format cub {flags}", tmp_path).code == 0
    )
    makers.write(tmp_path / "k5/chair/images/00000002.jpg", b"")
    assert crossdim(f"keypoints import {tmp_path / 'k5'} {flags}", tmp_path).code == 1
    listed = json.loads(crossdim("keypoints list --json", tmp_path).out)["keypoints"]
    birds, chairs = listed
    assert (chairs["category"], chairs["photos"], chairs["failed"]) == ("chair", 1, 1)
    assert (birds["category"], birds["photos"], birds["train"], birds["test"]) == ("bird", 1, 1, 0)
    assert chairs["keypoints"][0] == "leg_front_left"
    assert "left_eye" in birds["keypoints"]
    text = crossdim("keypoints list --category bird", tmp_path).out
    assert "back beak belly left_eye tail" in text
    assert "chair" not in text
    fresh = crossdim("status --json", tmp_path)
    states = {a["name"]: a for a in json.loads(fresh.out)["artefacts"]}
    assert states["keypoints/k5-width60-height80"]["fresh"] == 1
    assert states["keypoints/k5-width60-height80"]["note"] == ""
    # an annotation that changes makes its item stale
    coords = np.full((2, 10, 3, 2), 70.0)
    makers.keypoint5(tmp_path / "k5", "chair", {}, coords)
    state = json.loads(crossdim("status --json", tmp_path).out)["artefacts"]
    stale = next(a["stale"] for a in state if a["name"].startswith("keypoints/k5"))
    assert set(stale) == {"chair/00000001", "chair/00000002"}


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ("keypoints list", 3, "run: crossdim keypoints import"),
        ("keypoints import gone", 3, "is no folder"),
        ("backgrounds import gone", 3, "is no folder"),
        ("keypoints import . --format cub", 3, "images.txt is missing"),
        ("keypoints import . --format flic", 3, "holds no examples.mat"),
        ("keypoints import . --format coco", 2, "coco"),
        ("backgrounds import . --size 4", 2, "size"),
    ],
)
def test_errors_are_two_lines(crossdim: Crossdim, line: str, code: int, said: str) -> None:
    result = crossdim(line)
    assert result.code == code
    assert said in result.err
    assert len(result.err.splitlines()) == 2

"""Meshes with a table of keypoints: they move with the mesh; what is no table is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from stages.errors import InputError, UsageError
from stages.shapes.importing import Params, list_sources, process
from stages.stage import Item
from tests.shapes import layouts


def annotated(folder: Path, points: dict[str, object], up: str = "+z", front: str = "-y") -> Path:
    layouts.model(folder / "chair01.off", up, front)
    (folder / "keypoints3d.json").write_text(json.dumps({"chair01": points}))
    return folder


def listed(path: Path, **more: str):
    return list_sources({"format": "annotated", "path": str(path), **more})


@pytest.mark.parametrize(("up", "front"), [("+z", "-y"), ("+y", "+z"), ("-x", "+y")])
def test_keypoints_move_with_the_mesh(tmp_path, up, front):
    """Told at vertices of the file, they are at vertices of the canonical mesh."""
    text = layouts.model(tmp_path / "chair01.off", up, front).read_text().split("\n")
    first = [line.split() for line in text[2:6]]
    points = {f"p{k}": [float(v) for v in row[:3]] for k, row in enumerate(first)}
    annotated(tmp_path, points, up, front)
    sources = listed(tmp_path, up=up, front=front)
    assert list(sources) == ["chair/chair01"]
    item = Item("chair/chair01", {}, sources["chair/chair01"])
    arrays = process(item, Params(), np.random.default_rng(0))
    assert [n.decode() for n in arrays["keypoint_names"]] == ["p0", "p1", "p2", "p3"]
    away = np.linalg.norm(arrays["keypoints"][:, None] - arrays["vertices"][None], axis=-1)
    assert away.min(1).max() < 1e-6  # float32
    assert len(set(away.argmin(1))) == 4


def test_axes_can_be_said(tmp_path):
    annotated(tmp_path, {})
    with pytest.raises(UsageError, match="lie along one line"):
        listed(tmp_path, up="+x", front="-x")


@pytest.mark.parametrize(
    ("points", "said"),
    [
        ({"leg": [0, float("nan"), 1]}, "leg of chair01"),
        ({"leg": [0, 1]}, "not three numbers"),
        ({"leg": "there"}, "not three numbers"),
        ({"l" * 40: [0, 0, 0]}, "is called"),
    ],
)
def test_what_is_no_keypoint_is_refused(tmp_path, points, said):
    with pytest.raises(InputError, match=said):
        listed(annotated(tmp_path, points))


def test_what_is_no_table_is_refused(tmp_path):
    layouts.model(tmp_path / "chair01.off", "+z", "-y")
    with pytest.raises(InputError, match="is missing"):
        listed(tmp_path)
    for text in ("[]", "{", '{"chair01": 3}'):
        (tmp_path / "keypoints3d.json").write_text(text)
        with pytest.raises(InputError, match=r"no table of keypoints|is no JSON"):
            listed(tmp_path)

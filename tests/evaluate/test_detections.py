"""Boxes of a detector, and names that categories share: what needs no trained network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from stages.errors import InputError
from stages.evaluate.detections import COLUMNS, _cut, read_boxes
from stages.skeletons.naming import columns
from stages.skeletons.template import load
from stages.store.workspace import Workspace
from stages.systems.interpreter.data import framed


def written(path: Path, rows: list[tuple[object, ...]]) -> Path:
    lines = [",".join(map(str, row)) for row in [COLUMNS, *rows]]
    path.write_text("\n".join(lines) + "\n")
    return path


def test_hostile_boxes(tmp_path):
    item, path = "chair/a", tmp_path / "boxes.csv"
    for row, said in [
        ((item, 0, 1, 1, 9, 9, "nan"), "not finite"),
        ((item, 0, "-inf", 1, 9, 9, 1), "not finite"),
        ((item, 0, 9, 1, 1, 9, 1), "no area"),
        ((item, -1, 1, 1, 9, 9, 1), "view negative"),
        ((item, "first", 1, 1, 9, 9, 1), "not a number"),
        ((item, 0, 1, 1, 9, 9, 1, 7), "as many values as columns"),
        ((item, 0, 1, 1), "as many values as columns"),
    ]:
        with pytest.raises(InputError, match=said) as caught:
            read_boxes(written(path, [row]))
        assert "line 2" in str(caught.value)
    for data, said in [
        (b"id,view\n", "no column x0"),
        (b"\xff\xfe\x00", "zero byte"),
        (b"\xff\xfe", "not UTF-8"),
        (b'"' * 7, "no table"),
        (",".join(COLUMNS).encode(), "no boxes"),
    ]:
        path.write_bytes(data)
        with pytest.raises(InputError, match=said):
            read_boxes(path)
    with pytest.raises(InputError, match="no regular file"):
        read_boxes(tmp_path)


def test_a_box_is_cut_out_with_its_surroundings():
    """The whole picture without a margin is what the network sees of it; nothing lies beside it."""
    rgb = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)
    whole = _cut(rgb, np.array([0.0, 0, 40, 30]), 1.0, 80)
    assert torch.equal(whole, framed(rgb[None], 80)[0])
    assert _cut(rgb, np.array([40.0, 0, 50, 30]), 1.4, 80) is None
    corner = _cut(rgb, np.array([-9.0, -9, 1, 1]), 1.0, 80)  # one pixel of it is in the picture
    assert torch.equal(corner, framed(np.tile(rgb[:1, :1], (4, 4, 1))[None], 80)[0])


def test_shared_names_of_another_category(tmp_path):
    """Tables have legs of the names that chairs' have; a category's own must have some."""
    chair, table = (load(name, Workspace(tmp_path)) for name in ("chair", "table"))
    names = list(table.sources["generated"].values())
    found = columns("table/a", chair, "generated", names, other=True)
    shared = {chair.keypoints[n] for n in range(10) if found[n] >= 0}
    assert shared == {name for name in chair.keypoints if name.startswith("leg_")}
    with pytest.raises(InputError, match="none of the keypoints"):
        columns("bed/a", chair, "generated", ["mattress1"])
    assert (columns("bed/a", chair, "generated", ["mattress1"], other=True) < 0).all()

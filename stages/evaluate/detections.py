"""Viewpoints told of a detector's boxes (3D-INN, table 3): AVP with false positives and misses.

One item is one shape with all its views; the object of a view is the box around its silhouette.
Each box is cut out, enlarged by MARGIN and shown to the network after step joint and before it.
Letters: V views, D boxes, M methods.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from stages.errors import InputError
from stages.evaluate.answers import network
from stages.evaluate.landmarked import network_before, opened, say
from stages.evaluate.measure import RunParams
from stages.evaluate.skeleton_metrics import match_boxes
from stages.stage import Arrays, ArraySpec, Item, Stage
from stages.store.fingerprint import digest
from stages.store.texts import TextError, read_whole, rows_of

NAME = "skeleton-detections"
VERSION = 1
METHODS = ("after", "before")
COLUMNS = ("id", "view", "x0", "y0", "x1", "y1", "score")
MARGIN = 2.0  # objects of rendered views fill about half of what the network sees
_HINT = f"give a CSV with the columns {','.join(COLUMNS)}"

Boxes = dict[str, list[list[float]]]  # by item: view, x0, y0, x1, y1, score

SPEC = {
    "view": ArraySpec("int32", ("box",), ragged=True),
    "score": ArraySpec("float64", ("box",), "the detector's", ragged=True),
    "matched": ArraySpec("bool", ("box",), "whether it is of an object of its own", ragged=True),
    "azimuth_deg": ArraySpec("float32", ("box", "method"), "degrees", ragged=True, unknown=True),
    "true_azimuth_deg": ArraySpec("float32", ("view",), "degrees", ragged=True),
    "there": ArraySpec("bool", ("view",), "whether the picture shows an object", ragged=True),
}


@dataclass(frozen=True)
class Params(RunParams):
    """A run, and the boxes that it is measured on."""

    boxes: str = ""  # digest of the file
    margin: float = MARGIN


def read_boxes(path: Path) -> tuple[Boxes, str]:
    """The boxes of a CSV file, and the digest of its bytes.

    Its first line names COLUMNS: the item, which of its views from 0, left, upper, right and lower
    edge in pixels of that view, a score. Raises InputError, with the line, for anything else, such
    as numbers that are not finite or boxes without an area.
    """
    try:
        data = read_whole(path)
        reader = rows_of(data)
        names = reader.fieldnames or ()
        if absent := [name for name in COLUMNS if name not in names]:
            raise InputError(f"{path}, line 1: no column {', '.join(absent)}", _HINT)
        found: Boxes = {}
        for row in reader:
            item, values = _box(row, f"{path}, line {reader.line_num}")
            found.setdefault(item, []).append(values)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}", _HINT) from error
    except TextError as error:
        raise InputError(f"{path} {error}", _HINT) from error
    if not found:
        raise InputError(f"{path} has no boxes", _HINT)
    return found, digest(data)


def _box(row: Mapping[Any, Any], where: str) -> tuple[str, list[float]]:
    if None in row or None in row.values():
        raise InputError(f"{where}: not as many values as columns", _HINT)
    try:
        view = int(row["view"])
        values = [float(row[name]) for name in COLUMNS[2:]]
    except ValueError:
        raise InputError(f"{where}: not a number", _HINT) from None
    if not all(map(math.isfinite, values)) or not 0 <= view < 1 << 31:
        raise InputError(f"{where}: a number is not finite, or the view negative", _HINT)
    left, upper, right, lower, _ = values
    if right <= left or lower <= upper:
        raise InputError(f"{where}: the box has no area", "x0 < x1 and y0 < y1")
    return row["id"].strip(), [float(view), *values]


def process(item: Item, params: Params, rng: np.random.Generator) -> Arrays:
    """The arrays of SPEC; `item.source`: what `Pictures.source` gives, and the item's `boxes`."""
    from stages.skeletons.template import TO_CANONICAL
    from stages.systems.interpreter.structures import azimuth_deg

    source = item.source
    views = opened(source["views"]).read(item.id, ("rgb", "depth", "extrinsics"))
    rows = np.array(source["boxes"], float).reshape(-1, 6)  # (D, 6)
    view, boxes, score = rows[:, 0].astype(np.int32), rows[:, 1:5], rows[:, 5]
    objects, there = silhouettes(views["depth"])
    matched = match_boxes(view, score, boxes, np.flatnonzero(there), objects[there]) >= 0
    told = np.full((len(rows), len(METHODS)), np.nan, np.float32)
    networks = [
        find(source["run"], params.weights, source["device"]) for find in (network, network_before)
    ]
    height = networks[0].params.height
    shown = [_cut(views["rgb"][v], box, params.margin, height) for v, box in zip(view, boxes)]
    usable = [n for n, one in enumerate(shown) if one is not None]
    if usable:
        import torch

        images = torch.cat([shown[n] for n in usable])
        for number, trained in enumerate(networks):
            rotation = say(trained, images, source["device"])["rotation"]
            told[usable, number] = azimuth_deg(rotation)
    turn = views["extrinsics"][:, :, :3].astype(float) @ TO_CANONICAL
    return {
        "view": view,
        "score": score,
        "matched": matched,
        "azimuth_deg": told,
        "true_azimuth_deg": azimuth_deg(turn).astype(np.float32),
        "there": there,
    }


def silhouettes(depth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(V, 4) boxes around what depth maps (V, h, w) show, and (V,) whether they show anything."""
    boxes = np.zeros((len(depth), 4))
    for box, seen in zip(boxes, depth > 0):
        if seen.any():
            rows, columns = np.flatnonzero(seen.any(1)), np.flatnonzero(seen.any(0))
            box[:] = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
    return boxes, boxes[:, 2] > 0


def _cut(rgb: np.ndarray, box: np.ndarray, margin: float, height: int) -> Any:
    """(1, 3, h, w) uint8: what lies in a box, as the network sees it; None outside the picture."""
    from stages.systems.interpreter.data import framed

    size = np.array(rgb.shape[1::-1])
    low, high = np.clip(box[:2], 0, size), np.clip(box[2:], 0, size)
    if (high - low).min() <= 0:
        return None
    middle, reach = (low + high) / 2, margin * (high - low) / 2
    first = np.floor(middle - reach).astype(int)
    last = np.maximum(np.ceil(middle + reach).astype(int), first + 1)
    # beyond the edges the outermost pixels go on
    columns, rows = (np.clip(np.arange(a, b), 0, n - 1) for a, b, n in zip(first, last, size))
    return framed(rgb[rows][:, columns][None], height)[0]


STAGE = Stage(
    f"results/{NAME}",
    VERSION,
    Params,
    SPEC,
    process,
    inputs=("landmarks",),
    command="crossdim eval skeleton --detections BOXES.csv",
)

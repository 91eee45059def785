"""Runs the protocol of viewpoints told of a detector's boxes: AVP, false positives, misses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from stages.errors import InputError
from stages.evaluate.detections import METHODS, STAGE, Boxes, Params, read_boxes
from stages.evaluate.landmarked import Pictures, choose_items
from stages.evaluate.measure import Measurement, Report, Show, about, evaluate, run_params
from stages.evaluate.skeleton_metrics import AVP_VIEWS, average_viewpoint_precision, view_bin
from stages.evaluate.skeleton_protocol import require_joint
from stages.evaluate.tables import Table, to_json
from stages.stage import Arrays
from stages.store.workspace import Artefact, Workspace, category_of
from stages.train.run import Run


def evaluate_detections(
    path: Path,
    workspace: Workspace,
    run: Run,
    pictures: Pictures,
    device: str,
    dry_run: bool,
    show: Show,
) -> Report:
    """AVP of a run of step joint, and before that step, on the boxes of a CSV file.

    Objects are those of all pictures that the run is measured on: one that no box matches is a
    miss. Raises what `evaluate_skeleton` does, and InputError for boxes of pictures that there are
    not; those of pictures that the run has learnt from are left out and counted.
    """
    require_joint(run, pictures)
    boxes, print_ = read_boxes(path)
    ids = choose_items(workspace, run, pictures)
    _refuse_unknown(path, boxes, pictures.marks, ids)
    own = run_params(run, [pictures.marks], pictures.others)
    params = Params(own.run, own.weights, own.data, own.inputs, print_)
    source = pictures.source(run, device)
    sources = {item: {**source, "boxes": boxes.get(item, [])} for item in ids}
    what = Measurement(STAGE, params, sources, f"{pictures.variant}-boxes-{print_[:8]}")
    left_out = sum(len(rows) for item, rows in boxes.items() if item not in sources)

    def tell(results: Artefact) -> tuple[tuple[Table, ...], dict[str, Any]]:
        tables = (detection_table(results, ids),)
        return tables, {
            **about(run, params, ids),
            "left_out": 0,
            "boxes_left_out": left_out,
            "chosen": {"overlap": "1/2 at least", "margin of a box": params.margin},
            "tables": to_json(tables),
        }

    return evaluate(workspace, what, dry_run, show, tell)


def _refuse_unknown(path: Path, boxes: Boxes, marks: Artefact, ids: Sequence[str]) -> None:
    known, measured = marks.index.items(), set(ids)
    for item, rows in boxes.items():
        if item not in known:
            raise InputError(f"{path}: {marks.name} has no {item[:100]!r}", "name its shapes")
        if item in measured:
            views = len(marks.read(item, ("extrinsics",))["extrinsics"])
            if (last := int(max(row[0] for row in rows))) >= views:
                raise InputError(
                    f"{path}: {item} has {views} views, there is no view {last}",
                    "views are counted from 0",
                )
    if not measured & set(boxes):
        raise InputError(
            f"{path} has no box of the {len(ids)} shapes that are measured",
            f"the first of them is {ids[0]}",
        )


def detection_table(results: Artefact, ids: Sequence[str]) -> Table:
    """Counts of objects and boxes, then AVP; a column a category."""
    stacked: dict[str, list[Arrays]] = {}
    for item in ids:
        stacked.setdefault(category_of(item), []).append(results.read(item))

    def row(what: str, of: Callable[[list[Arrays]], float]) -> tuple[str, dict[str, float]]:
        return what, {category: of(stacked[category]) for category in sorted(stacked)}

    def total(name: str, parts: list[Arrays]) -> int:
        return int(sum(part[name].sum() for part in parts))

    def false(parts: list[Arrays]) -> int:
        return sum(len(part["matched"]) for part in parts) - total("matched", parts)

    rows = [
        row("objects", lambda parts: total("there", parts)),
        row("boxes of an object", lambda parts: total("matched", parts)),
        row("false positives", false),
        row("misses", lambda parts: total("there", parts) - total("matched", parts)),
        row("AP of the boxes", lambda parts: _precision(parts, None, 1)),
    ]
    for views in AVP_VIEWS:
        for number, method in enumerate(METHODS):
            rows.append(
                row(
                    f"{method}: AVP, {views} views",
                    lambda parts, m=number, n=views: _precision(parts, m, n),  # type: ignore[misc]
                )
            )
    return Table("detections", "viewpoint precision of a detector's boxes", tuple(rows))


def _precision(parts: list[Arrays], method: int | None, views: int) -> float:
    """AVP; AP, where any view is right, without a method."""
    right = []
    for part in parts:
        if method is None:
            right.append(part["matched"])
            continue
        told = part["azimuth_deg"][:, method]  # (D,)
        known = np.isfinite(told)
        truth = part["true_azimuth_deg"][part["view"]]
        right.append(known & (view_bin(np.where(known, told, 0), views) == view_bin(truth, views)))
    return average_viewpoint_precision(
        np.concatenate([part["score"] for part in parts]),
        np.concatenate([part["matched"] for part in parts]),
        np.concatenate(right),
        int(sum(part["there"].sum() for part in parts)),
    )

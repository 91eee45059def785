"""Tables from cached results: means over the views of all test shapes, beside trivial answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from stages.evaluate.metrics import THRESHOLDS, is_flip
from stages.evaluate.reconstruction import BASELINE_PAIRINGS, PAIRINGS, SHAPES
from stages.evaluate.tables import Row, Table
from stages.stage import Arrays
from stages.store.workspace import Artefact, category_of

GOOD_DEG = 30.0  # the accuracy threshold of the pose tables


def best_threshold(scores: np.ndarray) -> float:
    """The threshold with the best mean of (V, 99) validation IoUs."""
    return float(THRESHOLDS[int(scores.mean(0).argmax())])


def reconstruction_tables(
    results: Artefact, ids: Sequence[str], threshold: float
) -> tuple[Table, ...]:
    """Tables 1 to 4 of the pose-aware paper over these shapes, one column a category.

    Every value is a mean over views unless its row says otherwise; angles are in degrees.
    """
    per_category: dict[str, list[Arrays]] = {}
    for item in sorted(ids):
        per_category.setdefault(category_of(item), []).append(results.read(item, _NUMBERS))
    stacked = {
        category: {n: np.concatenate([a[n] for a in arrays]) for n in _NUMBERS}
        for category, arrays in per_category.items()
    }

    def row(what: str, of: Callable[[Arrays], Any]) -> Row:
        return what, {category: float(of(a)) for category, a in stacked.items()}

    column = round(threshold * 100) - 1
    shape = [
        row(
            f"IoU at {threshold:.2f} (chosen on validation)",
            lambda a: a["voxel_iou"][:, column].mean(),
        ),
        row("IoU at 0.50", lambda a: a["voxel_iou"][:, 49].mean()),
        *_columns(row, "baseline_voxel_iou", SHAPES),
    ]
    return (
        Table("shape", "Table 1: voxel IoU", tuple(shape)),
        Table("pose", "Table 2: pose and mask", tuple(_pose_rows(row))),
        Table(
            "pose_aware",
            "Table 3: pose-aware voxel IoU (48^3)",
            (
                *_columns(row, "posed_iou", PAIRINGS[:3]),
                *_columns(row, "baseline_posed_iou", BASELINE_PAIRINGS),
            ),
        ),
        Table(
            "projection",
            "Table 4: projection IoU (48 px)",
            (
                *_columns(row, "projection_iou", PAIRINGS),
                *_columns(row, "baseline_projection_iou", BASELINE_PAIRINGS),
            ),
        ),
    )


_NUMBERS = (
    "voxel_iou",
    "rotation_error_deg",
    "viewpoint",
    "true_viewpoint",
    "mask_iou",
    "posed_iou",
    "projection_iou",
    "baseline_voxel_iou",
    "baseline_rotation_error_deg",
    "baseline_posed_iou",
    "baseline_projection_iou",
)


def _columns(
    row: Callable[[str, Callable[[Arrays], Any]], Row], name: str, labels: Sequence[str]
) -> list[Row]:
    def mean(number: int) -> Callable[[Arrays], Any]:
        return lambda a: a[name][:, number].mean()

    return [row(label, mean(number)) for number, label in enumerate(labels)]


def _pose_rows(row: Callable[[str, Callable[[Arrays], Any]], Row]) -> list[Row]:
    def elevation(a: Arrays) -> np.ndarray:
        return np.abs(a["viewpoint"][:, 1] - a["true_viewpoint"][:, 1])

    def flips(a: Arrays) -> np.ndarray:
        return is_flip(a["viewpoint"][:, 0], a["true_viewpoint"][:, 0])

    error, constant = "rotation_error_deg", "baseline_rotation_error_deg"
    return [
        row("rotation error, mean", lambda a: a[error].mean()),
        row("rotation error, median", lambda a: np.median(a[error])),
        row("accuracy at 30 degrees", lambda a: (a[error] < GOOD_DEG).mean()),
        row("share of half-turn flips", lambda a: flips(a).mean()),
        row("elevation error, mean", lambda a: elevation(a).mean()),
        row("mask IoU", lambda a: a["mask_iou"].mean()),
        row("constant pose: rotation error, mean", lambda a: a[constant].mean()),
        row("constant pose: rotation error, median", lambda a: np.median(a[constant])),
        row("constant pose: accuracy at 30 degrees", lambda a: (a[constant] < GOOD_DEG).mean()),
        row("constant elevation: error, mean", _constant_elevation),
    ]


def _constant_elevation(a: Arrays) -> float:
    """Mean error of the best constant elevation, told the answers: their median."""
    true = a["true_viewpoint"][:, 1]
    return float(np.abs(true - np.median(true)).mean())

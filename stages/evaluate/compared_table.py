"""The numbers of a comparison, and the tables that people see of them. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from stages.store.workspace import Artefact

SHAPE_COLUMNS = ("voxel IoU", "Chamfer", "F-score")
POSE_COLUMNS = ("median", "acc@15", "acc@30")
KINDS = {"error_deg": "absolute", "instance": "same shape", "category": "two shapes"}
_LESS = ("Chamfer", "median")  # of which less is better
_TITLES = {
    "absolute": "pose",
    "same shape": "relative pose, views of one shape",
    "two shapes": "relative pose, views of two shapes",
}


@dataclass(frozen=True)
class Column:
    """One number of a currency."""

    name: str
    key: str  # of the number in a row of all
    less: bool  # whether less is better
    digits: int  # behind the point: angles are known to a tenth of a degree


@dataclass(frozen=True)
class Part:
    """The table of one currency: who tells something in it, and one value a column or None."""

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[str, tuple[float | None, ...]], ...]


def parts(rows: Iterable[tuple[str, Mapping[str, Any]]]) -> tuple[Part, ...]:
    """The tables of shape, pose and relative pose, of rows of `numbers` by label.

    Who tells nothing in a currency is not in its table: `Comparison.reasons` say why.
    """
    known = list(rows)
    columns = {"shape": tuple(_column(name, name) for name in SHAPE_COLUMNS)}
    for kind, title in _TITLES.items():
        columns[title] = tuple(_column(name, f"{kind}: {name}") for name in POSE_COLUMNS)
    return tuple(Part(title, of, tuple(_told(known, of))) for title, of in columns.items())


def _column(name: str, key: str) -> Column:
    return Column(name, key, name in _LESS, 1 if name == "median" else 3)


def _told(
    rows: Sequence[tuple[str, Mapping[str, Any]]], columns: Sequence[Column]
) -> Iterable[tuple[str, tuple[float | None, ...]]]:
    for label, values in rows:
        if any(column.key in values for column in columns):
            yield label, tuple(values.get(column.key) for column in columns)


def unsaid(label: str, reasons: Mapping[str, str]) -> list[str]:
    """A line for each currency that a system has no number in."""
    return [f"no {currency} of {label}: {why}" for currency, why in reasons.items()]


def numbers(results: Artefact, ids: Sequence[str]) -> dict[str, float]:
    """The numbers of a row: means over the views of all shapes, medians and shares over all views
    or pairs; what a system does not tell is left out.
    """
    names = ("voxel_iou", "chamfer", "f_score", "error_deg")
    errors = ("instance_error_deg", "category_error_deg")
    found: dict[str, list[np.ndarray]] = {name: [] for name in (*names, *errors)}
    for item in ids:
        told = results.read(item, (*names, *errors))
        for name in names:
            found[name].append(told[name])
        for name in errors:
            found[name].append(told[name].reshape(-1))
    whole = {name: np.concatenate(arrays) for name, arrays in found.items()}
    row: dict[str, float] = {}
    for name, column in zip(names[:3], SHAPE_COLUMNS):
        known = whole[name][np.isfinite(whole[name])]
        if len(known):
            row[column] = float(known.mean())
    for name, kind in KINDS.items():
        error = whole[name if name in whole else f"{name}_error_deg"]
        if len(error):
            row[f"{kind}: {POSE_COLUMNS[0]}"] = float(np.median(error))
            row[f"{kind}: {POSE_COLUMNS[1]}"] = float((error < 15).mean())
            row[f"{kind}: {POSE_COLUMNS[2]}"] = float((error < 30).mean())
    return row


def count_views(results: Artefact, ids: Sequence[str]) -> int:
    """How many views there are of these shapes."""
    return sum(len(results.read(item, ("rotation",))["rotation"]) for item in ids)

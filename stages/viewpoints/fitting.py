"""Tables of annotated viewpoints: what goes in, and the bandwidths that are chosen for it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from stages.viewpoints.bandwidth import bandwidths, robust_silverman, silverman
from stages.viewpoints.density import OUTLIER_STD_DEG, wrap_azimuth, wrap_signed
from stages.viewpoints.fitted import COLUMNS

_DIGITS = 4


@dataclass(frozen=True)
class Fit:
    """How a density is made of annotations."""

    rule: str = "cross-validation"
    outliers: float = 0.0  # share
    azimuth_deg: float | None = None  # bandwidths that replace those of the rule
    elevation_deg: float | None = None
    inplane_deg: float | None = None


def fit_tables(
    annotations: Mapping[str, np.ndarray], settings: Fit | None = None
) -> dict[str, dict[str, Any]]:
    """A table for each category of (n, 4) annotated viewpoints.

    Columns: azimuth, elevation, in-plane in degrees, distance; NaN where unknown. Rows without
    azimuth or elevation are left out, an unknown in-plane rotation counts as 0. A category without
    rows gives no table.
    """
    settings = settings or Fit()
    cleaned = {name: _cleaned(rows) for name, rows in annotations.items()}
    cleaned = {name: rows for name, rows in cleaned.items() if len(rows)}
    if not cleaned:
        return {}
    everything = np.concatenate(list(cleaned.values()))
    centre = [float(everything[:, 1].mean()), float(everything[:, 2].mean())]
    return {name: _table(rows, settings, centre) for name, rows in sorted(cleaned.items())}


def _cleaned(rows: np.ndarray) -> np.ndarray:
    """(m, 4) viewpoints in their ranges; a camera beyond a pole is named from the other side."""
    rows = np.array(rows, np.float64).reshape(-1, 4)
    rows = rows[np.isfinite(rows[:, :2]).all(1)]
    azimuth, elevation = rows[:, 0], wrap_signed(rows[:, 1])
    inplane = np.nan_to_num(rows[:, 2], nan=0.0)
    beyond = np.abs(elevation) > 90
    elevation = np.where(beyond, np.sign(elevation) * 180 - elevation, elevation)
    azimuth, inplane = azimuth + 180 * beyond, inplane + 180 * beyond
    distance = np.where(rows[:, 3] > 0, rows[:, 3], np.nan)
    angles = np.stack([wrap_azimuth(azimuth), elevation, wrap_signed(inplane)], -1)
    return np.concatenate([np.round(angles, _DIGITS), distance[:, None]], -1)


def _table(rows: np.ndarray, settings: Fit, centre: list[float]) -> dict[str, Any]:
    """The table of one category: (n, 4) cleaned annotations, outliers around `centre`."""
    linear = settings.rule == "silverman-linear"
    given = (settings.azimuth_deg, settings.elevation_deg, settings.inplane_deg)
    chosen = bandwidths(rows[:, :3], settings.rule)
    widths = [float(w if g is None else g) for w, g in zip(chosen, given)]
    known = rows[np.isfinite(rows[:, 3]), 3]
    spread = silverman(known) if linear else robust_silverman(np.log(known))
    same = np.nan_to_num(rows, nan=-1.0)  # NaN differs from itself
    _, first, counts = np.unique(same, axis=0, return_index=True, return_counts=True)
    order = np.argsort(first)  # of appearance, so that turned annotations give turned samples
    rows_of, counts = rows[first[order]], counts[order]
    columns = {name: _plain(rows_of[:, axis]) for axis, name in enumerate(COLUMNS)}
    if not len(known):
        del columns["distance"]
    return {
        "n": len(rows),
        "rule": settings.rule,
        "kernel": "linear" if linear else "circular",
        "bandwidth_deg": [round(w, _DIGITS) for w in widths],
        "bandwidth_distance": round(spread, _DIGITS),
        "outliers": {
            "share": settings.outliers,
            "elevation_deg": [round(centre[0], _DIGITS), OUTLIER_STD_DEG],
            "inplane_deg": [round(centre[1], _DIGITS), OUTLIER_STD_DEG],
        },
        **columns,
        "count": [int(c) for c in counts],
    }


def _plain(values: np.ndarray) -> list[float | int | None]:
    """Numbers as JSON writes them shortest: whole ones as integers, unknown ones as null."""
    rounded = [None if math.isnan(v) else round(float(v), _DIGITS) for v in values]
    return [int(v) if v is not None and v == int(v) else v for v in rounded]

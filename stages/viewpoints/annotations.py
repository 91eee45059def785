"""Annotated viewpoints: rows as read from files of others, arrays as cached.

A viewpoint is azimuth, elevation, in-plane rotation in degrees, and distance, NaN where unknown, in
the convention of `stages.geometry.cameras`, which is that of PASCAL3D+: azimuth 0 sees the front,
90 the object's own left; a positive in-plane rotation turns the picture counter-clockwise. Distance
is in the units of the data set.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from stages.errors import ItemError
from stages.stage import Arrays, ArraySpec
from stages.viewpoints.categories import canonical

FLAGS = {"truncated": 1, "occluded": 2, "difficult": 4, "coarse": 8}
NAN = math.nan
_MOST_DEG = 3600.0  # of what is still an angle

_FRAME = "PASCAL3D+: azimuth 0 sees the front"
SPEC: dict[str, ArraySpec] = {
    "category": ArraySpec("S32", ("object",), ragged=True),
    "viewpoint": ArraySpec(
        "float32",
        ("object", "azimuth_deg,elevation_deg,inplane_deg,distance"),
        "degrees; distance as in the data set",
        _FRAME,
        shape=(None, 4),
        ragged=True,
        unknown=True,
    ),
    "bbox": ArraySpec(
        "float32",
        ("object", "xyxy"),
        "pixels as in the data set",
        shape=(None, 4),
        ragged=True,
        unknown=True,
    ),
    "flags": ArraySpec(
        "uint8", ("object",), "1 truncated, 2 occluded, 4 difficult, 8 coarse", ragged=True
    ),
    "split": ArraySpec("S16", ("object",), ragged=True),
    "image": ArraySpec("S160", ("object",), ragged=True),
}


@dataclass(frozen=True)
class Annotation:
    """One object of one picture."""

    category: str
    viewpoint: Sequence[float]  # azimuth, elevation, in-plane, distance
    bbox: Sequence[float] = (NAN, NAN, NAN, NAN)
    flags: int = 0
    split: str = ""
    image: str = ""


def to_arrays(annotations: Iterable[Annotation]) -> Arrays:
    """The arrays of SPEC. Raises ItemError for a category that is no word, and for no angle."""
    rows = list(annotations)
    viewpoint = np.array([one.viewpoint for one in rows], np.float64).reshape(-1, 4)
    bbox = np.array([one.bbox for one in rows], np.float64).reshape(-1, 4)
    for number, one in enumerate(rows):
        angles = viewpoint[number, :3]
        if not np.isfinite(angles[:2]).all() or np.nanmax(np.abs(angles)) > _MOST_DEG:
            raise ItemError(f"object {number + 1} has no viewpoint: {_shown(angles)}")
        if np.isinf(viewpoint[number, 3]) or not (0 < len(one.category.encode()) <= 32):
            raise ItemError(f"object {number + 1} is no annotation: {one.category[:40]!r}")
    text = {
        name: np.array([_cut(name, getattr(one, name)) for one in rows], SPEC[name].dtype)
        for name in ("category", "split", "image")
    }
    limit = float(np.finfo(np.float32).max)
    return {
        **text,
        "viewpoint": viewpoint.astype(np.float32),
        "bbox": np.where(np.abs(bbox) < limit, bbox, np.nan).astype(np.float32),
        "flags": np.array([one.flags for one in rows], np.uint8),
    }


def _shown(values: np.ndarray) -> str:
    return ", ".join(f"{v:g}" for v in values)


def _cut(name: str, text: str) -> bytes:
    """Text that fits into its array, no character cut in two."""
    data = text.encode("utf-8", "replace")[: np.dtype(SPEC[name].dtype).itemsize]
    return data.decode(errors="ignore").encode()


def by_category(
    arrays: Iterable[Arrays], splits: Sequence[str] = (), skipped: int = 0
) -> dict[str, np.ndarray]:
    """(n, 4) viewpoints of each category, under this project's names, in the order they came.

    Only those of `splits`, where any are named, and none that has one of the flags `skipped`.
    """
    wanted = [split.encode() for split in splits]
    parts: dict[str, list[np.ndarray]] = {}
    for one in arrays:
        keep = (one["flags"] & skipped) == 0
        if wanted:
            keep &= np.isin(one["split"], wanted)
        names, views = one["category"][keep], one["viewpoint"][keep]
        for name in np.unique(names):
            rows = views[names == name].astype(np.float64)
            parts.setdefault(canonical(name.decode()), []).append(rows)
    return {name: np.concatenate(rows) for name, rows in sorted(parts.items())}

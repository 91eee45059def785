"""One annotated object in one picture, as every layout is read into.

Coordinates are those of the whole project: pixels from the upper left corner of the picture, pixel
centres at +0.5. Where a source counts pixels from 1, its layout subtracts 0.5, where it counts from
0, it adds 0.5.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from stages.errors import InputError, ItemError
from stages.store.guarded import Limits, Refused

Point = list[float] | None  # None: not annotated

# Annotations are small, and there may be thousands of files.
LISTING = Limits(jobs=2, seconds=60.0, memory_gib=2.0)
MAX_KEYPOINTS = 256
UNKNOWN = "unknown"  # category of what does not say it
MAX_COORDINATE = 1e6  # pixels


@dataclass(frozen=True)
class Annotated:
    """What a data set says about an object; plain values, so that it travels as an item's source.

    `points` are the truth, `clicks` what each annotator said. `size` is (width, height) of the
    picture where the data set says it; `problem` why it cannot be used, where that is known.
    """

    path: str  # of the picture, relative to the data set
    names: tuple[str, ...] = ()
    points: list[Point] | None = None
    clicks: list[list[Point]] | None = None
    bbox: list[float] | None = None  # left, upper, right, lower edge
    viewpoint: list[float | None] | None = None  # azimuth, elevation, in-plane (deg), distance
    split: str = ""
    family: str = ""
    size: list[int] | None = None
    problem: str = ""

    def source(self, root: str) -> dict[str, Any]:
        """The plain values of an item, without those that are not given."""
        given = {k: v for k, v in vars(self).items() if v not in ("", None)}
        return {**given, "names": list(self.names), "root": root}


@dataclass(frozen=True)
class Entry:
    """An annotated object, its category, and the name it should have within that."""

    category: str
    name: str
    object: Annotated


def to_points(values: np.ndarray, offset: float) -> list[Point]:
    """(K, 2) source coordinates as points, `offset` added; none where one is NaN or absurd."""
    good = (np.abs(values) < MAX_COORDINATE).all(-1)
    return [
        [float(x) + offset, float(y) + offset] if there else None
        for (x, y), there in zip(values, good)
    ]


def result_or_error(result: Any | Refused, path: Path) -> Any:
    """The result of a guarded call on a file; InputError, naming it, when it was refused."""
    if isinstance(result, Refused):
        raise InputError(f"{path}: {result.reason}", "replace the file, or check --format")
    return result


def checked_names(names: list[str]) -> tuple[str, ...]:
    """Names of keypoints; ItemError unless they are distinct ASCII of at most 32 characters."""
    names = [name.replace(" ", "_") for name in names]
    if len(names) > MAX_KEYPOINTS:
        raise ItemError(f"it has {len(names)} keypoints, at most {MAX_KEYPOINTS} are read")
    for name in names:
        if not (name.isascii() and name.isprintable() and 0 < len(name) <= 32):
            raise ItemError(f"a keypoint is called {name[:60]!r}")
    if len(set(names)) < len(names):
        raise ItemError("two keypoints have the same name")
    return tuple(names)

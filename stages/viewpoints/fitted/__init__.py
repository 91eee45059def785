"""Fitted viewpoint distributions: plain JSON tables, a set of categories a file.

A set is `WORKSPACE/viewpoints/NAME.json` or one of those that come with the package
(`stages/viewpoints/fitted/NAME.json`). A table holds the distinct annotated viewpoints in whole
columns with their counts, and the bandwidths: all that `sample` needs.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from stages.errors import InputError
from stages.store.fingerprint import safe_name
from stages.store.signed import read_signed, signed
from stages.store.texts import TextError
from stages.store.workspace import Workspace
from stages.viewpoints.categories import canonical
from stages.viewpoints.density import Density, Outliers, wrap_signed

FORMAT = "crossdim/viewpoints"
FORMAT_VERSION = 2  # 1 had no sha256
DEFAULT = "pascal3d"  # comes with the package
COLUMNS = ("azimuth_deg", "elevation_deg", "inplane_deg", "distance")
_MOST_COUNTED = 2.0**53  # beyond it, one more would be none
_SHIPPED = Path(str(resources.files(__name__)))


def density_of(table: Mapping[str, Any]) -> Density:
    """The density that a table describes."""
    count = np.asarray(table["count"], np.float64)
    columns = [np.asarray(table[name], np.float64) for name in COLUMNS[:3]]
    if "distance" in table:
        columns.append(np.array([np.nan if v is None else v for v in table["distance"]], float))
    else:
        columns.append(np.full(len(count), np.nan))
    outliers = table["outliers"]
    return Density(
        np.stack(columns, -1),
        count,
        tuple(table["bandwidth_deg"]),
        table["bandwidth_distance"],
        table["kernel"] == "linear",
        Outliers(
            outliers["share"], tuple(outliers["elevation_deg"]), tuple(outliers["inplane_deg"])
        ),
    )


def sample(table: Mapping[str, Any], count: int, rng: np.random.Generator) -> np.ndarray:
    """(count, 4) float64 viewpoints of a table: azimuth, elevation, in-plane, distance.

    Azimuth in [0, 360), elevation in [-90, 90], in-plane in [-180, 180), degrees; distance as
    annotated, NaN where it was not.
    """
    return density_of(table).sample(count, rng)


def table(name: str, category: str, workspace: Workspace) -> dict[str, Any]:
    """One category's fitted density as plain JSON values.

    `category` may be any of the usual names: airplane finds aeroplane. Raises InputError when there
    is no such set, or it has no such category.
    """
    tables = load(name, workspace)["categories"]
    found = tables.get(category) or tables.get(canonical(category))
    if found is None:
        close = difflib.get_close_matches(category, tables, 1)
        there = f"there are: {', '.join(sorted(tables))}"
        raise InputError(
            f"viewpoints {name} have no category {category!r}",
            f"did you mean {close[0]}? {there}" if close else there,
        )
    return found


def load(name: str, workspace: Workspace) -> dict[str, Any]:
    """A whole set, as `set_of` makes it: from the workspace, else from the package.

    Raises InputError when there is none of that name, or the file is no such set.
    """
    path = path_of(name, workspace)
    try:
        stamp = path.stat()
    except OSError:
        names = ", ".join(names_of(workspace))
        raise InputError(
            f"no viewpoints {name} in {workspace.root}",
            f"run: crossdim viewpoints fit --name {name}   (there are: {names})",
        ) from None
    return _read(path, stamp.st_mtime_ns, stamp.st_size)


@lru_cache(maxsize=8)
def _read(path: Path, stamp: int, size: int) -> dict[str, Any]:
    hint = "make it again: crossdim viewpoints fit"
    try:
        found = read_signed(path, FORMAT_VERSION)
        if found["format"] != FORMAT or found["format_version"] not in (1, FORMAT_VERSION):
            raise InputError(f"{path} is of another version of crossdim", hint)
        for one in found["categories"].values():
            _check(one)
    except TextError as error:
        raise InputError(f"{path} {error}", hint) from None
    except (OSError, ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
        raise InputError(f"{path} is damaged ({type(error).__name__})", hint) from None
    return found


def _check(one: Mapping[str, Any]) -> None:
    """Raise ValueError unless a table is whole and its numbers can be sampled from."""
    made = density_of(one)
    angles, widths = made.points[:, :3], np.array([*made.bandwidth_deg, made.bandwidth_distance])
    share = made.outliers.share
    if len({len(one[name]) for name in (*COLUMNS[:3], "count")}) != 1 or not len(angles):
        raise ValueError("columns of different length")
    outliers = [made.outliers.elevation_deg, made.outliers.inplane_deg]  # each mean and width
    if len(made.bandwidth_deg) != 3 or any(len(pair) != 2 for pair in outliers):
        raise ValueError("bandwidths")
    if not np.isfinite(outliers).all() or min(width for _, width in outliers) < 0:
        raise ValueError("numbers out of range")
    if not (np.isfinite(angles).all() and np.isfinite(widths).all() and 0 <= share <= 1):
        raise ValueError("numbers out of range")
    if not 0 < made.counts.sum() < _MOST_COUNTED:
        raise ValueError("numbers out of range")
    if widths.min() < 0 or made.counts.min() <= 0 or np.abs(angles[:, 1]).max() > 90:
        raise ValueError("numbers out of range")


def set_of(
    name: str, tables: Mapping[str, Mapping[str, Any]], sources: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """A set: its tables by category, and the name, digest and rows of each source."""
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "name": name,
        "sources": [dict(source) for source in sources],
        "categories": {category: dict(one) for category, one in tables.items()},
    }


def to_bytes(made: Mapping[str, Any]) -> bytes:
    """The bytes of a set: JSON, a line for each value of a table, and its digest."""
    head = {k: v for k, v in made.items() if k != "categories"}
    lines = [f" {json.dumps(k)}: {json.dumps(v)}," for k, v in head.items()]
    tables = []
    for category, one in made["categories"].items():
        inner = ",\n".join(
            f"   {json.dumps(k)}: {json.dumps(v, separators=(',', ':'))}" for k, v in one.items()
        )
        tables.append(f"  {json.dumps(category)}: {{\n{inner}\n  }}")
    body = "{\n" + "\n".join(lines) + '\n "categories": {\n' + ",\n".join(tables) + "\n }\n}\n"
    return signed(body.encode())


def summary(one: Mapping[str, Any]) -> dict[str, Any]:
    """What is worth listing of a table: n, medians, bandwidths, rule, share of outliers.

    The median azimuth is the whole degree from which the annotations are least far on the circle.
    """
    points, count = density_of(one).points, np.asarray(one["count"], np.int64)
    apart = np.abs(wrap_signed(points[:, 0] - np.arange(360)[:, None]))  # (360, U)
    known = np.isfinite(points[:, 3])
    return {
        "n": one["n"],
        "median": {
            "azimuth_deg": float(np.argmin(apart @ count)),
            "elevation_deg": float(np.median(np.repeat(points[:, 1], count))),
            "inplane_deg": float(np.median(np.repeat(points[:, 2], count))),
            "distance": float(np.median(np.repeat(points[known, 3], count[known])))
            if known.any()
            else None,
        },
        "bandwidth_deg": list(one["bandwidth_deg"]),
        "bandwidth_distance": one["bandwidth_distance"],
        "rule": one["rule"],
        "outliers": one["outliers"]["share"],
    }


def path_in(workspace: Workspace, name: str) -> Path:
    """Where a set of the workspace is, or would be; UsageError for what is no name."""
    return workspace.root / "viewpoints" / f"{safe_name(name, 'viewpoint set')}.json"


def is_own(name: str, workspace: Workspace) -> bool:
    """Whether the workspace has a set of that name: it then goes before the package's."""
    return path_in(workspace, name).is_file()


def path_of(name: str, workspace: Workspace) -> Path:
    """The file of a set, which may not be there."""
    own, shipped = path_in(workspace, name), _SHIPPED / f"{name}.json"
    return shipped if shipped.is_file() and not own.is_file() else own


def names_of(workspace: Workspace) -> list[str]:
    """The names of all sets: of the workspace, and those that come with the package."""
    folders = (workspace.root / "viewpoints", _SHIPPED)
    return sorted({p.stem for folder in folders for p in folder.glob("*.json")})

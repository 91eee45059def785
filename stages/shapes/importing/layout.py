"""Which layout a data set has (`--format auto`): told by names of files, never by a mesh."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from stages.errors import InputError, UsageError
from stages.shapes.importing import annotated, manifest
from stages.shapes.importing.files import SUFFIXES
from stages.shapes.importing.listing import entries, folders
from stages.shapes.splits import SPLITS

_SYNSET = re.compile(r"\d{8}")
_LOOKED_AT = 200  # folders of a data set that are looked into
_HEAD_BYTES = 1 << 16


def find_layout(path: Path) -> str:
    """The layout of the data set at `path`, a name of FORMATS; `folder` where nothing speaks for
    another.

    Raises InputError when there is nothing, UsageError for a file that is no data set.
    """
    if path.is_file():
        return _of_file(path)
    if not path.is_dir():
        raise InputError(
            f"{path} does not exist", "name the folder of the data set, its CSV file, or a library"
        )
    names = {entry.name for entry in entries(path)}
    below = [entry.name for entry in islice(folders(path), _LOOKED_AT)]
    if any(_is_manifest(path / name) for name in sorted(names) if name.lower().endswith(".csv")):
        return "manifest"
    if annotated.TABLE in names:
        return "annotated"
    if any(name.lower().endswith(".sh3f") for name in names):
        return "sh3f"
    if _is_pascal3d(path.resolve(), below):
        return "pascal3d"
    if "taxonomy.json" in names or any(map(_SYNSET.fullmatch, (path.resolve().name, *below))):
        return "shapenet"
    if any(_is_split(path / name) for name in ("", *below)):
        return "modelnet"
    return "folder"


def axes_told(sources: Mapping[str, Mapping[str, Any]]) -> str:
    """`up +y, front +z`, where the layout gives all models the same axes, "" else."""
    found = {(source["up"], source["front"]) for source in sources.values()}
    return "up {}, front {}".format(*found.pop()) if len(found) == 1 else ""


def _of_file(path: Path) -> str:
    suffix = path.suffix.lower()
    if suffix in (".csv", ".sh3f"):
        return {".csv": "manifest", ".sh3f": "sh3f"}[suffix]
    if suffix in SUFFIXES:
        raise UsageError(f"{path} is one mesh", "name the folder that it is in")
    raise UsageError(f"{path} is no data set", "name a folder, a CSV file, or a .sh3f library")


def _is_manifest(table: Path) -> bool:
    """Whether the first line names the columns of a manifest."""
    try:
        with table.open("rb") as file:
            head = file.read(_HEAD_BYTES).decode("utf-8-sig", "replace")
        return set(manifest.REQUIRED) <= set(next(csv.reader(head.splitlines()), []))
    except (OSError, csv.Error):
        return False


def _is_pascal3d(path: Path, below: list[str]) -> bool:
    """Whether the folder is CAD, or there is one in it or in a folder of it."""
    return path.name == "CAD" or any((path / name / "CAD").is_dir() for name in ("", *below))


def _is_split(category: Path) -> bool:
    return any((category / split).is_dir() for split in SPLITS)

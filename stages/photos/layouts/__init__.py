"""Which annotated objects a data set holds, by the layout that its authors published."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from stages.errors import InputError, UsageError
from stages.photos.annotated import UNKNOWN, Annotated, Entry
from stages.photos.files import distinct_names
from stages.photos.layouts.cub import read_cub
from stages.photos.layouts.flic import read_flic
from stages.photos.layouts.ikea import read_ikea
from stages.photos.layouts.keypoint5 import read_keypoint5
from stages.photos.layouts.pascal3d import read_pascal3d
from stages.store.fingerprint import safe_name

FORMATS: dict[str, Callable[[Path], list[Entry]]] = {
    "keypoint5": read_keypoint5,
    "ikea": read_ikea,
    "cub": read_cub,
    "flic": read_flic,
    "pascal3d": read_pascal3d,
}


def list_sources(origin: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The sources by id, `category/name`, of the data set at `origin["path"]`.

    MATLAB files are parsed in guarded processes, each once. Raises UsageError for an unknown
    format or category, InputError for a data set that is not there, or not in that layout.
    """
    if origin["format"] not in FORMATS:
        raise UsageError(f"unknown format {origin['format']!r}", f"known: {', '.join(FORMATS)}")
    root = Path(origin["path"])
    if not root.is_dir():
        raise InputError(f"{root} is no folder", "name the folder of the data set")
    try:
        entries = [_named(entry) for entry in FORMATS[origin["format"]](root)]
    except OSError as error:
        raise InputError(f"{error.filename} cannot be read: {error.strerror}", "check it") from None
    if not entries:
        raise InputError(f"{root} holds no annotated pictures", "check --format and the folder")
    seen: Counter[str] = Counter()
    wanted: dict[str, dict[str, str]] = {}
    keys = []
    for entry in entries:  # what tells two objects of one name apart is their picture, or its turn
        seen[entry.object.path] += 1
        keys.append(f"{entry.object.path} {seen[entry.object.path]}")
        # names differ between categories that differ in case alone, too
        wanted.setdefault(entry.category.casefold(), {})[keys[-1]] = entry.name
    names = {category: distinct_names(texts) for category, texts in wanted.items()}
    return {
        f"{entry.category}/{names[entry.category.casefold()][key]}": entry.object.source(str(root))
        for key, entry in zip(keys, entries)
    }


def _named(entry: Entry) -> Entry:
    """The entry; where its category cannot be one, an entry of UNKNOWN with that problem."""
    try:
        safe_name(entry.category, "category")
    except UsageError as error:
        return Entry(UNKNOWN, entry.name, Annotated(entry.object.path, problem=str(error)))
    return entry

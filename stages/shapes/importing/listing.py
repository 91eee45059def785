"""What the listers of folders share: names that can be ids, axes, and folders read in order.

A lister runs in the main process: it looks at names, never into a mesh. Whether a mesh can be read
is its item's business.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from stages.errors import InputError, UsageError
from stages.geometry.frames import canonical_rotation
from stages.shapes.importing.files import SUFFIXES
from stages.store.fingerprint import safe_name

Sources = dict[str, dict[str, Any]]


class Listing:
    """Collects the sources of a data set in `root`, all with the same axes and credit."""

    def __init__(self, root: Path, axes: tuple[str, str], credit: str = "") -> None:
        self.sources: Sources = {}
        self._common = {
            "root": str(root),
            **dict(zip(("up", "front"), axes, strict=True)),
            "split": "",
            "family": "",
            "source": credit,
            "licence": "",
        }
        self._paths: dict[str, str] = {}

    def add(self, category: str, name: str, path: str, **more: Any) -> None:
        """Add the model `category/name`, its mesh at `path` relative to the root.

        Raises InputError for names that cannot be ids on every system, and for two that are the
        same on some.
        """
        try:
            item = f"{safe_name(category, 'category')}/{safe_name(name, 'model')}"
        except UsageError as error:
            raise InputError(f"{error} ({path!r})", _hint(error.hint)) from None
        if not path.isprintable():
            raise InputError(f"{path!r}: it holds a control character", _hint("remove it"))
        other = self._paths.setdefault(item.casefold(), path)
        if other != path:
            raise InputError(
                f"{item} is both {other!r} and {path!r}",
                _hint("give each model a name of its own, upper and lower case alike"),
            )
        self.sources[item] = {**self._common, "path": path, **more}


def _hint(text: str) -> str:
    return f"{text}; or list the models in a table: --format manifest"


def axes_of(origin: Mapping[str, Any], up: str, front: str) -> tuple[str, str]:
    """The up and front axes of an origin, by default those given; UsageError for wrong ones."""
    axes = origin.get("up") or up, origin.get("front") or front
    canonical_rotation(*axes)
    return axes


def data_folder(origin: Mapping[str, Any]) -> Path:
    """The folder of an origin; InputError if there is none."""
    path = Path(origin["path"])
    if not path.is_dir():
        what = "is no folder" if path.exists() else "does not exist"
        raise InputError(f"{path} {what}", "name the folder of the data set")
    return path.resolve()


def entries(folder: str | os.PathLike[str]) -> list[os.DirEntry[str]]:
    """What a folder holds, by name, but for hidden files and the like; one look, no stat calls."""
    try:
        with os.scandir(folder) as found:
            kept = [e for e in found if not e.name.startswith(".") and e.name != "__MACOSX"]
    except OSError as error:
        raise InputError(f"{folder} cannot be read: {error.strerror}", "check its rights") from None
    return sorted(kept, key=lambda entry: entry.name)


def folders(folder: str | os.PathLike[str]) -> Iterator[os.DirEntry[str]]:
    """The folders in a folder, by name."""
    return (entry for entry in entries(folder) if entry.is_dir())


def meshes(folder: str | os.PathLike[str]) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """The mesh files in a folder by name, each with its name without the suffix."""
    for entry in entries(folder):
        stem, suffix = os.path.splitext(entry.name)
        if suffix.lower() in SUFFIXES and not entry.is_dir():
            yield stem, entry


def require(listing: Listing, path: Path, layout: str) -> Sources:
    """The sources of a listing; InputError with the layout that was expected if there are none."""
    if not listing.sources:
        raise InputError(f"{path} holds no models in this layout", f"expected: {layout}")
    return listing.sources

"""A folder for each category, a mesh or a folder with one mesh for each model (`folder`).

`category/name.ext`, or `category/name/anything.ext`; or the folder of one category. Axes: y up,
front +z, which is what glTF prescribes and what most modelling programs write; `--up` and `--front`
say otherwise.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stages.errors import InputError
from stages.shapes.importing.files import SUFFIXES
from stages.shapes.importing.listing import (
    Listing,
    Sources,
    axes_of,
    data_folder,
    entries,
    folders,
    meshes,
    require,
)

UP, FRONT = "+y", "+z"


def list_folder(origin: Mapping[str, Any]) -> Sources:
    """The sources by id. A model's own folder without any mesh is passed over.

    Raises InputError when one holds several meshes, and as `Listing.add`.
    """
    path, axes = data_folder(origin), axes_of(origin, UP, FRONT)
    listing = Listing(path, axes)
    for entry in folders(path):
        _add_category(listing, path, entry.name)
    if not listing.sources and next(meshes(path), None) is not None:
        listing = Listing(path.parent, axes)
        _add_category(listing, path.parent, path.name)
    return require(listing, path, "PATH/category/name.obj, or PATH/category/name/model.obj")


def _add_category(listing: Listing, root: Path, category: str) -> None:
    for entry in entries(root / category):
        if entry.is_dir():
            _add_folder(listing, category, entry)
            continue
        name, suffix = os.path.splitext(entry.name)
        if suffix.lower() in SUFFIXES:
            listing.add(category, name, f"{category}/{entry.name}")


def _add_folder(listing: Listing, category: str, folder: os.DirEntry[str]) -> None:
    found = [mesh.name for _, mesh in meshes(folder.path)]
    if len(found) > 1:
        raise InputError(
            f"{category}/{folder.name} holds {len(found)} meshes: {found[0]!r}, {found[1]!r}",
            "leave one of them there, or list the models in a table: --format manifest",
        )
    if found:
        listing.add(category, folder.name, f"{category}/{folder.name}/{found[0]}")

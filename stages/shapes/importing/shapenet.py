"""ShapeNetCore (`shapenet`), both releases.

- v1: `synset/id/model.obj` with its MTL and textures. Axes: y up, front +x, and X-Y the plane of
  symmetry, says the README of the release (July 2015); RenderForCNN's azimuths rest on it.
- v2: `synset/id/models/model_normalized.obj`, textures in `synset/id/images`. Axes: y up, front
  -z, and Y-Z the plane of symmetry, says the README of release 2: v1 turned by +90 degrees about
  y. Some v1 files are mirrored, which v2 mended; nothing in a file tells.

Categories are the names in `synsets.json` (WordNet 3.0 noun synsets of both releases), else those
of the data set's taxonomy.json, else the names of the folders. `all.csv`, the split of SHREC'16
(columns synsetId, modelId, split), is read where it lies in the data set.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from stages.errors import InputError
from stages.shapes.importing.files import SUFFIXES
from stages.shapes.importing.listing import (
    Listing,
    Sources,
    axes_of,
    data_folder,
    folders,
    require,
)
from stages.shapes.splits import SPLITS
from stages.store.texts import TextError, read_json, read_rows

# release -> where the mesh lies in a model's folder, without suffix; up, front
RELEASES = {
    "v2": ("models/model_normalized", "+y", "-z"),
    "v1": ("model", "+y", "+x"),
}


def list_shapenet(origin: Mapping[str, Any]) -> Sources:
    """The sources by id, `category/model`. `path` is the data set, or the folder of one synset.

    The release is told by the first model found in each synset; models that lack their mesh are
    listed, and fail. Raises InputError as `Listing.add`, for a damaged taxonomy.json or all.csv,
    and when there are no models.
    """
    path = data_folder(origin)
    is_synset = _mesh_of(path) is not None
    root = path.parent if is_synset else path
    names = _names(root)
    splits = _official_splits(root)
    listing = Listing(root, ("", ""), "ShapeNetCore")
    for synset in [path.name] if is_synset else [entry.name for entry in folders(root)]:
        if not (found := _mesh_of(root / synset)):
            continue
        mesh, up, front = found
        axes = dict(zip(("up", "front"), axes_of(origin, up, front), strict=True))
        for model in folders(root / synset):
            listing.add(
                names.get(synset, synset),
                model.name,
                f"{synset}/{model.name}/{mesh}",
                folder=f"{synset}/{model.name}",
                split=splits.get((synset, model.name), ""),
                **axes,
            )
    layout = "PATH/synset/id/model.obj (v1), or PATH/synset/id/models/model_normalized.obj (v2)"
    return require(listing, path, layout)


@cache
def category_names() -> dict[str, str]:
    """The category of every synset of ShapeNetCore, by its id of eight digits."""
    return json.loads(files(__package__).joinpath("synsets.json").read_text("utf-8"))


def _mesh_of(synset: Path) -> tuple[str, str, str] | None:
    """Where the models of a synset have their mesh, and its axes; None if none has one."""
    for model in folders(synset):
        for stem, up, front in RELEASES.values():
            for suffix in SUFFIXES:
                if os.path.isfile(os.path.join(model.path, stem + suffix)):
                    return stem + suffix, up, front
    return None


def _names(root: Path) -> dict[str, str]:
    """Categories by synset: what taxonomy.json says, in names that can be ids, and our table."""
    names: dict[str, str] = {}
    path = root / "taxonomy.json"
    if path.is_file():
        try:
            for node in read_json(path):
                first = str(node["name"]).split(",")[0]
                names[str(node["synsetId"])] = re.sub(r"[^a-z0-9]+", "_", first.strip().lower())
        except TextError as error:
            raise InputError(f"{path} {error}", "mend it, or remove it") from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{path} is damaged ({type(error).__name__})",
                "mend it, or remove it: it only names categories",
            ) from None
    return {**names, **category_names()}


def _official_splits(root: Path) -> dict[tuple[str, str], str]:
    """The split of every model in all.csv, by synset and id; empty where there is no such file."""
    path = root / "all.csv"
    if not path.is_file():
        return {}
    splits = {}
    try:
        reader = read_rows(path)
        for row in reader:
            split = row["split"]
            if split not in SPLITS:
                raise InputError(
                    f"{path}, line {reader.line_num}: split {split!r} is unknown",
                    f"use {', '.join(SPLITS)}",
                )
            splits[row["synsetId"], row["modelId"]] = split
    except TextError as error:
        raise InputError(f"{path} {error}", "mend it, or remove it") from None
    except (OSError, KeyError) as error:
        raise InputError(
            f"{path} is damaged ({error})", "mend it, or remove it: it only gives the split"
        ) from None
    return splits

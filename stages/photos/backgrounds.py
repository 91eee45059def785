"""Backgrounds for renders: a folder of pictures, cut to squares (`crossdim backgrounds import`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from stages.errors import InputError
from stages.photos.files import (
    SUFFIXES,
    distinct_names,
    file_inside,
    source_digest,
    text_array,
    walk_pictures,
)
from stages.stage import Arrays, ArraySpec, Item, Stage, differing, option

VERSION = 1

CATEGORY = "images"  # all ids are images/<name>

SPEC = {
    "rgb": ArraySpec(
        "uint8",
        ("row", "column", "channel"),
        "sRGB 0..255",
        "image",
        shape=("size", "size", 3),
        compress=1,
    ),
    "source": ArraySpec("S200"),  # path in the folder
}


@dataclass(frozen=True)
class Params:
    """What becomes of a picture."""

    size: int = option(640, "Pixels a side.", low=8, high=4096)


def process(item: Item, params: Params, rng: np.random.Generator) -> Arrays:
    """The middle square of a picture, its shorter side in full: rgb (size, size, 3) uint8.

    Raises ItemError with the reason when the picture cannot be read.
    """
    from PIL import Image

    from stages.photos.pictures import read_picture

    path = item.source["path"]
    # twice the size, so that what is left to do is a filter of full quality
    picture = read_picture(file_inside(Path(item.source["root"]), path), 2 * params.size)
    side = min(picture.size)
    left, top = ((length - side) / 2 for length in picture.size)
    square = picture.resize(
        (params.size, params.size),
        Image.Resampling.LANCZOS,
        box=(left, top, left + side, top + side),
    )
    return {"rgb": np.asarray(square, np.uint8), "source": text_array(path, SPEC["source"])}


def list_sources(origin: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Every picture in the folder `origin["path"]` and the folders in it: id -> root and path.

    Raises InputError when the folder is not there or holds no picture.
    """
    root = Path(origin["path"])
    paths = list(walk_pictures(root))
    if not paths:
        raise InputError(f"{root} holds no pictures", f"read are {' '.join(SUFFIXES)}")
    stems = {path: path.rsplit(".", 1)[0].replace("/", ".") for path in paths}
    names = distinct_names(stems)
    return {f"{CATEGORY}/{names[path]}": {"root": str(root), "path": path} for path in paths}


STAGE = Stage(
    name="backgrounds",
    version=VERSION,
    params=Params,
    spec=SPEC,
    process=process,
    command="crossdim backgrounds import",
    untrusted=True,
    list_sources=list_sources,
    digest=source_digest,
    # the base name is the caller's to choose: which pictures they are
    variant=lambda params: "imported" + "".join(f"-{k}{v}" for k, v in differing(params).items()),
)

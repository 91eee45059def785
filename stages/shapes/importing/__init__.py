"""Meshes of others into the canonical frame, with materials (`crossdim shapes import`).

A mesh is parsed once, here; every later stage works on what comes of it. Which meshes there are is
said by a lister, one for each layout of a data set; what one may consist of by `read_model`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from stages.errors import UsageError
from stages.shapes.importing.annotated import list_annotated
from stages.shapes.importing.files import source_digest
from stages.shapes.importing.folder import list_folder
from stages.shapes.importing.manifest import list_manifest
from stages.shapes.importing.modelnet import list_modelnet
from stages.shapes.importing.pascal3d import list_pascal3d
from stages.shapes.importing.sh3f import list_sh3f
from stages.shapes.importing.shapenet import list_shapenet
from stages.shapes.importing.split_lists import with_splits
from stages.shapes.spec import SPEC, labels
from stages.stage import Arrays, Item, Stage, differing, option

VERSION = 2

FORMATS: dict[str, Callable[[Mapping[str, Any]], dict[str, dict[str, Any]]]] = {
    "manifest": list_manifest,
    "folder": list_folder,
    "shapenet": list_shapenet,
    "modelnet": list_modelnet,
    "pascal3d": list_pascal3d,
    "sh3f": list_sh3f,
    "annotated": list_annotated,
}


@dataclass(frozen=True)
class Params:
    """What becomes of a mesh on its way in."""

    texture_size: int = option(512, "Longest side of a texture, in pixels.", low=1, high=8192)


def process(item: Item, params: Params, rng: np.random.Generator) -> Arrays:
    """The arrays of one shape (SPEC), in the canonical frame.

    `item.source` is one of `list_sources`. Files that the mesh names and that are not there are
    noted. Raises ItemError with the reason when the mesh cannot be used.
    """
    from stages.geometry.frames import canonicalise
    from stages.shapes.importing.read import read_model

    source = item.source
    mesh, missing = read_model(source, params.texture_size)
    mesh = canonicalise(mesh, source["up"], source["front"])
    said = labels(
        source["split"],
        source["family"],
        source["source"] or source["path"],
        source["licence"],
        [f"not found: {name}" for name in missing],
    )
    return {**mesh.to_arrays(), **said}


def list_sources(origin: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The sources by id of the data set at `origin["path"]` in the layout `origin["format"]`.

    A source is plain values: where its mesh is (see `model_files`), its axes `up` and `front`,
    `split`, `family`, `source`, `licence`. `up` and `front` of the origin stand in place of the
    layout's own; for `split_file` and `split_seed` see `with_splits`.

    Raises UsageError for an unknown format or axis, InputError for a data set that is not there or
    wrong.
    """
    if origin["format"] not in FORMATS:
        raise UsageError(f"unknown format {origin['format']!r}", f"known: {', '.join(FORMATS)}")
    return with_splits(FORMATS[origin["format"]](origin), origin)


STAGE = Stage(
    name="shapes",
    version=VERSION,
    params=Params,
    spec=SPEC,
    process=process,
    command="crossdim shapes import",
    untrusted=True,
    list_sources=list_sources,
    digest=source_digest,
    # the base name is the caller's to choose: which data set it is
    variant=lambda params: "imported" + "".join(f"-{k}{v}" for k, v in differing(params).items()),
)

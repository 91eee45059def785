"""Meshes of others into the canonical frame, with materials (`crossdim shapes import`).

A mesh is parsed once, here; every later stage works on what comes of it. Which meshes there are is
said by a manifest (`stages.shapes.importing.manifest`), what one may consist of by `read_mesh`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from stages.errors import UsageError
from stages.shapes.importing.files import mesh_file, source_digest
from stages.shapes.importing.manifest import read_manifest
from stages.shapes.spec import SPEC, labels
from stages.stage import Arrays, Item, Stage, differing, option

VERSION = 1

FORMATS = {"manifest": read_manifest}


@dataclass(frozen=True)
class Params:
    """What becomes of a mesh on its way in."""

    texture_size: int = option(512, "Longest side of a texture, in pixels.", low=1, high=8192)


def process(item: Item, params: Params, rng: np.random.Generator) -> Arrays:
    """The arrays of one shape (SPEC), in the canonical frame.

    `item.source` is one of `read_manifest`. Files that the mesh names and that are not there are
    kept as a remark in `source`. Raises ItemError with the reason when the mesh cannot be used.
    """
    from stages.geometry.frames import canonicalise
    from stages.shapes.importing.read import read_mesh

    source = item.source
    mesh, missing = read_mesh(mesh_file(source), params.texture_size)
    mesh = canonicalise(mesh, source["up"], source["front"])
    remark = f" (not found: {', '.join(missing)})" if missing else ""
    said = {
        "split": source["split"],
        "family": source["family"],
        "source": _cut("source", (source["source"] or source["path"]) + remark),
        "licence": _cut("licence", source["licence"]),
    }
    return {**mesh.to_arrays(), **labels(**said)}


def _cut(name: str, text: str) -> str:
    """Text that fits into its array, no character cut in two."""
    return text.encode("utf-8", "replace")[: np.dtype(SPEC[name].dtype).itemsize].decode(
        errors="ignore"
    )


def list_sources(origin: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The sources by id of the data set at `origin["path"]` in the layout `origin["format"]`.

    See `read_manifest`. Raises UsageError for an unknown format, InputError for a data set that is
    not there or wrong.
    """
    if origin["format"] not in FORMATS:
        raise UsageError(f"unknown format {origin['format']!r}", f"known: {', '.join(FORMATS)}")
    return FORMATS[origin["format"]](Path(origin["path"]))


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

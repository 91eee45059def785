"""Annotations of others into the workspace (`crossdim viewpoints import`).

Each file is parsed once, here; `viewpoints fit` works on what comes of it. An item is a file, its
arrays hold one row for each annotated object (`stages.viewpoints.annotations.SPEC`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from stages.errors import InputError, ItemError, UsageError
from stages.shapes.importing.files import resolve_inside
from stages.stage import Arrays, Item, Stage
from stages.store.fingerprint import DIGEST_BYTES, canonical_json, file_digest
from stages.viewpoints.annotations import SPEC, to_arrays
from stages.viewpoints.layouts import FORMATS
from stages.viewpoints.readers import read_finegrained, read_record, read_table

VERSION = 1


@dataclass(frozen=True)
class Params:
    """Nothing to choose: files say all that there is to know."""


def process(item: Item, params: Params, rng: np.random.Generator) -> Arrays:
    """The arrays of one annotation file; `item.source` is one of `stages.viewpoints.layouts`."""
    source = item.source
    path = _file(source)
    split = source.get("split", "")
    if source["format"] == "csv":
        return to_arrays(read_table(path))
    if source["format"] == "finegrained":
        return to_arrays(read_finegrained(path, source["category"], split))
    return to_arrays(read_record(path, source.get("category", ""), split))


def _file(source: Mapping[str, Any]) -> Path:
    path = resolve_inside(Path(source["root"]), source["path"])
    if path is None:
        raise ItemError(f"file is missing: {source['path']}")
    return path


def list_sources(origin: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The annotation files by id of the data set at `origin["path"]`, laid out as its `format`.

    Raises UsageError for an unknown format, InputError for a data set that is not there.
    """
    path = Path(origin["path"])
    if origin["format"] not in FORMATS:
        raise UsageError(f"unknown format {origin['format']!r}", f"known: {', '.join(FORMATS)}")
    if not path.exists():
        raise InputError(f"{path} does not exist", "name the folder of the data set, or a file")
    return FORMATS[origin["format"]](path)


def source_digest(source: Mapping[str, Any]) -> str:
    """32 hex digits over what a source says of its file, and what the file holds.

    A file that cannot be read counts by the reason: the item then fails with it.
    """
    said = {k: v for k, v in source.items() if k not in ("root", "digest")}
    try:
        said["holds"] = file_digest(_file(source))
    except (ItemError, OSError) as error:
        said["failed"] = str(error) if isinstance(error, ItemError) else str(error.strerror)
    return hashlib.blake2b(canonical_json(said).encode(), digest_size=DIGEST_BYTES).hexdigest()


STAGE = Stage(
    name="annotations",
    version=VERSION,
    params=Params,
    spec=SPEC,
    process=process,
    command="crossdim viewpoints import",
    untrusted=True,
    variant=lambda params: "imported",  # the name of the data set is the caller's to choose
    list_sources=list_sources,
    digest=source_digest,
)

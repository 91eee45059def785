"""Which meshes there are: a table, one row a mesh (`--format manifest`).

Columns, by the names in the first line: `id`, `category`, `file` (relative to the folder of the
table), `up` and `front` (the axes of the file, such as +z and -y); and, where known, `split`
(train, val or test), `family` (near-copies of one model share it), `source`, `creator`, `license`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from stages.errors import InputError, UsageError
from stages.geometry.frames import canonical_rotation
from stages.shapes.spec import SPEC
from stages.shapes.splits import SPLITS
from stages.store.fingerprint import safe_name
from stages.store.texts import TextError, read_rows

_FAMILY_BYTES = np.dtype(SPEC["family"].dtype).itemsize
REQUIRED = ("id", "category", "file", "up", "front")


def list_manifest(origin: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The sources in a manifest by id, `category/name`.

    `path` of the origin is the CSV file, or a folder with models.csv or one single CSV file.
    Whether the meshes are there is not looked at: that is their items' failure, not the table's.

    Raises InputError, naming the line, for a table that is not there, lacks a column, holds an
    unknown axis or split, an id that is no name on every system, or two ids that are the same on
    some; UsageError for a folder without one table, and for axes beside those of the table.
    """
    if origin.get("up") or origin.get("front"):
        raise UsageError("a manifest says the axes of each model", "leave out --up and --front")
    path = Path(origin["path"])
    table = _table(path)
    root = table.parent.resolve()
    sources: dict[str, dict[str, Any]] = {}
    lines: dict[str, int] = {}
    for number, row in _rows(table):
        where = f"{table.name}, line {number}"
        item, source = _source(row, where)
        # ids become names of files and groups; some file systems do not tell cases apart
        if (folded := item.casefold()) in lines:
            raise InputError(
                f"{where}: {item} is also in line {lines[folded]}",
                "give every model of a category an id of its own, upper and lower case alike",
            )
        lines[folded] = number
        sources[item] = {**source, "root": str(root)}
    if not sources:
        raise InputError(f"{table} lists no models", "add a line for each mesh")
    _check_families(sources, table, lines)
    return sources


def _table(path: Path) -> Path:
    if path.is_file():
        return path
    if not path.is_dir():
        raise InputError(
            f"{path} does not exist", "name the folder of the data set, or its CSV file"
        )
    if (path / "models.csv").is_file():
        return path / "models.csv"
    tables = sorted(p for p in path.iterdir() if p.suffix.lower() == ".csv" and p.is_file())
    if len(tables) != 1:
        found = "no CSV file" if not tables else f"{len(tables)} CSV files and no models.csv"
        raise UsageError(f"{path} holds {found}", "name the CSV file itself")
    return tables[0]


def _rows(table: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """The rows of the table with the number of their (last) line."""
    try:
        reader = read_rows(table)
        header = reader.fieldnames or ()
        absent = [name for name in REQUIRED if name not in header]
        if absent:
            raise InputError(
                f"{table.name}, line 1: no column {', '.join(absent)}",
                f"name the columns in the first line, with commas: {','.join(REQUIRED)}",
            )
        for row in reader:
            if None in row or None in row.values():
                raise InputError(
                    f"{table.name}, line {reader.line_num}: not {len(header)} columns",
                    "put a value that holds a comma into double quotes",
                )
            yield reader.line_num, {k: v.strip() for k, v in row.items()}
    except TextError as error:
        raise InputError(f"{table} {error}", "save it as a CSV in UTF-8") from None
    except OSError as error:
        raise InputError(f"{table} cannot be read: {error.strerror}", "check it") from None


def _source(row: dict[str, str], where: str) -> tuple[str, dict[str, Any]]:
    """The id and the source in one row."""
    try:
        item = f"{safe_name(row['category'], 'category')}/{safe_name(row['id'], 'id')}"
        canonical_rotation(row["up"], row["front"])
    except UsageError as error:
        raise InputError(f"{where}: {error}", error.hint) from None
    text = "".join(row.values())
    if not text.isprintable():
        raise InputError(f"{where}: it holds a control character", "remove it")
    if not row["file"]:
        raise InputError(f"{where}: no file", "name the mesh, relative to the table")
    if len(row.get("family", "").encode()) > _FAMILY_BYTES:
        raise InputError(
            f"{where}: its family is longer than {_FAMILY_BYTES} bytes",
            "shorten it",
        )
    split = row.get("split", "")
    if split not in ("", *SPLITS):
        raise InputError(
            f"{where}: split {split!r} is unknown", f"use {', '.join(SPLITS)}, or leave it empty"
        )
    credit = [row.get(name, "") for name in ("source", "creator")]
    return item, {
        "path": row["file"],
        "up": row["up"],
        "front": row["front"],
        "split": split,
        "family": row.get("family", ""),
        "source": ", ".join(dict.fromkeys(c for c in credit if c)),
        "licence": row.get("license", "") or row.get("licence", ""),
    }


def _check_families(sources: dict[str, dict[str, Any]], table: Path, lines: dict[str, int]) -> None:
    """Raise InputError when the table itself puts near-copies on two sides."""
    first: dict[tuple[str, str], str] = {}
    for item, source in sources.items():
        if not source["family"] or not source["split"]:
            continue
        other = first.setdefault((item.split("/")[0], source["family"]), item)
        if sources[other]["split"] != source["split"]:
            here, there = lines[item.casefold()], lines[other.casefold()]
            raise InputError(
                f"{table.name}, line {here}: family {source['family']!r} is in {source['split']}, "
                f"in line {there} in {sources[other]['split']}",
                "near-copies must not be on both sides: give the family one split",
            )

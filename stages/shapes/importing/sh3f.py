r"""Furniture libraries of Sweet Home 3D (`sh3f`): a zip archive of models with a catalogue.

The catalogue is PluginFurnitureCatalog.properties, a Java properties file with numbered keys:
`name#1`, `category#1`, `model#1` (a member: OBJ with its files beside it, or a zip of these), and,
where known, `id#1`, `creator#1`, `license#1`, `modelRotation#1` (rows of a matrix), `width#1`,
`depth#1` and `height#1` (cm, to which the model is stretched). Translations of it are not needed.

Axes, as that program shows a piece: y up, front +z, width along x, after the rotation. Categories
are those of the catalogue, mostly rooms: `living-room`. Ids are made of `id#`, else of `name#`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path, PurePosixPath
from typing import Any

from stages.errors import InputError, ItemError
from stages.shapes.importing.archive import Archive, open_archive
from stages.shapes.importing.listing import Sources, axes_of, entries
from stages.shapes.importing.mtl import decoded
from stages.store.fingerprint import digest, is_safe_name

UP, FRONT = "+y", "+z"
CATALOGUE = "PluginFurnitureCatalog.properties"
_MOST_TEXT = 16 << 20  # bytes of a catalogue
_MOST_LINES, _MOST_ENTRY = 1_000_000, 1 << 16
_SLUG = 80  # characters of an id before what tells two of them apart
_ESCAPES = {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.)|$)", re.DOTALL)
# A key ends where white space, = or : stands without a back slash before it.
_KEY = re.compile(r"((?:[^\\\s=:]|\\.)*)\s*[=:]?\s*(.*)", re.DOTALL)


def list_sh3f(origin: Mapping[str, Any]) -> Sources:
    """The sources by id. `path` is a library, or a folder of libraries.

    Raises InputError for a file that is no library: damaged, without a catalogue or without
    models, or with a directory or catalogue larger than any honest one.
    """
    up, front = axes_of(origin, UP, FRONT)
    path = Path(origin["path"])
    if not path.exists():
        raise InputError(f"{path} does not exist", "name the library, or a folder of libraries")
    path = path.resolve()
    files = [path]
    if path.is_dir():
        files = [Path(e.path) for e in entries(path) if e.name.lower().endswith(".sh3f")]
    sources: Sources = {}
    taken: set[str] = set()
    for file in files:
        for number, item, source in _library(file):
            if item.casefold() in taken:
                item += "-" + digest(f"{file.name}#{number}".encode())[:8]
            taken.add(item.casefold())
            sources[item] = {"root": str(file.parent), "up": up, "front": front, **source}
    if not sources:
        raise InputError(f"{path} holds no furniture", "expected: a .sh3f library, or a folder")
    return sources


def _library(file: Path) -> Iterator[tuple[int, str, dict[str, Any]]]:
    """The pieces of a library: number, id, and what differs of a source from piece to piece."""
    try:
        with closing(open_archive(file)) as archive:
            if CATALOGUE not in archive.members:
                raise ItemError(f"{file.name} has no {CATALOGUE}")
            values = parse_properties(decoded(archive.read(CATALOGUE, _MOST_TEXT)))
            licence = values.get("license", "") or _licence(archive)
    except ItemError as error:
        raise InputError(str(error), f"{file} is no furniture library that can be read") from None
    title = " ".join(w for w in (values.get("name", file.stem), values.get("version", "")) if w)
    numbers = {int(m[1]) for key in values if (m := re.fullmatch(r"name#(\d{1,9})", key))}
    for number in sorted(numbers):
        piece = {k: values.get(f"{k}#{number}", "").strip() for k in _PIECE}
        category = slug(piece["category"]) or "furniture"
        name = slug(piece["id"]) or slug(piece["name"]) or f"piece-{number}"
        sizes = [piece[k] for k in ("width", "height", "depth")]
        yield (
            number,
            f"{category}/{name}",
            {
                "archive": file.name,
                "path": _printable(piece["model"]),
                "rotation": piece["modelRotation"],
                "size": " ".join(sizes) if all(sizes) else "",
                "split": "",
                "family": "",
                "source": _printable(", ".join(t for t in (title, piece["creator"]) if t)),
                "licence": _printable(piece["license"] or licence),
            },
        )


_PIECE = (
    *("id", "name", "category", "model", "modelRotation"),
    *("width", "height", "depth", "creator", "license"),
)


def _licence(archive: Archive) -> str:
    """The first line of the library's licence file, "" if there is none that can be read."""
    for name in sorted(archive.members):
        if PurePosixPath(name).stem.upper() in ("LICENSE", "LICENCE", "COPYING"):
            try:
                text = decoded(archive.read(name, 1 << 20))
            except ItemError:
                return ""
            return next((line.strip() for line in text.splitlines() if line.strip()), "")
    return ""


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text)


def slug(text: str) -> str:
    """Text as part of an id: ASCII letters in lower case, digits and single dashes."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    plain = re.sub(r"[^a-z0-9]+", "-", plain)[: _SLUG + 1].strip("-")[:_SLUG]
    return plain if not plain or is_safe_name(plain) else f"x-{plain}"  # a device's name


def parse_properties(text: str) -> dict[str, str]:
    r"""The keys and values of a Java properties file.

    Comments begin with # or !; a value follows =, : or white space; a line that ends in a single
    back slash goes on in the next; \uXXXX, \t, \n, \r and \f are characters. The last one of
    equal keys counts. Raises ItemError for more lines, or longer entries, than a catalogue has.
    """
    if text.count("\n") + text.count("\r") > _MOST_LINES:
        raise ItemError(f"its catalogue has more than {_MOST_LINES} lines")
    values: dict[str, str] = {}
    begun: list[str] = []  # of a value that goes on over several lines
    length = 0  # of all of them
    for line in re.split(r"\r\n|\r|\n", text):
        line = line.lstrip(" \t\f")
        if not begun and (not line or line[0] in "#!"):
            continue
        goes_on = (len(line) - len(line.rstrip("\\"))) % 2
        begun.append(line[:-1] if goes_on else line)
        length = length + len(line) if len(begun) > 1 else len(line)
        if length > _MOST_ENTRY:  # the patterns keep a hundred bytes for each letter
            raise ItemError(f"an entry of its catalogue has more than {_MOST_ENTRY} letters")
        if goes_on:
            continue
        if found := _KEY.fullmatch("".join(begun)):
            values[_unescaped(found[1])] = _unescaped(found[2])
        begun = []
    return values


def _unescaped(text: str) -> str:
    def character(match: re.Match[str]) -> str:
        if match[1]:
            return chr(int(match[1], 16))
        return _ESCAPES.get(match[2] or "", match[2] or "")

    return _ESCAPE.sub(character, text)

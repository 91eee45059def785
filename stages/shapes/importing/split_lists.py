"""Splits that papers published as lists of ids (`--split-file`), and splits by a seed.

What is read, as one file or as a folder of them (and of folders of them):

- Text, one id a line, the split in the file's name: `train.txt`, `03001627_trainids.txt` (PTN),
  `03001627_test.list` (structure generator), `03001627/softras_val.lst`.
- The Lua tables that torch writes as ASCII, one a synset, `03001627.file` (DRC, MVC).
- CSV with the columns `split` and `id` or `modelId`, and maybe `category` or `synsetId`.

An id stands for the model of that name. What stands before it, `03001627/` or `chair/`, and the
name of the file or folder, say the category, if they name one; what follows, such as `/model.obj`,
is left aside. Models that no list names are left out: they are part of none of a paper's sets.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stages.errors import InputError
from stages.shapes.importing.files import SUFFIXES
from stages.shapes.importing.listing import Sources, entries
from stages.shapes.splits import SPLITS, assign
from stages.store.texts import TextError, lines_of, read_whole, rows_of

_SUFFIXES = (".txt", ".lst", ".list", ".csv", ".file", "")
_NAME = re.compile(
    r"(?:(.*)[^a-z])?(train|validation|valid|val|test)(?:[_-]?(?:ids|models|list|split))?",
    re.IGNORECASE | re.DOTALL,
)
_CANONICAL = {"valid": "val", "validation": "val"}


@dataclass(frozen=True)
class _Entry:
    """A line of a list: the id as written, its split, and words that may name its category."""

    text: str
    split: str
    hints: tuple[str, ...]
    where: str


def with_splits(sources: Sources, origin: Mapping[str, Any]) -> Sources:
    """The sources with the splits that `origin` asks for.

    `split_file` takes the splits of lists in place of the source's, and keeps only what they name;
    `split_seed` then deals out, by family, those that are not given (`stages.shapes.splits`).
    Raises InputError for a list that is damaged, names none of the models, or names one twice.
    """
    if origin.get("split_file"):
        sources = _listed(sources, Path(origin["split_file"]))
    if origin.get("split_seed") is not None:
        split = assign(sources, seed=origin["split_seed"])
        sources = {item: {**source, "split": split[item]} for item, source in sources.items()}
    return sources


def _listed(sources: Sources, path: Path) -> Sources:
    items = _by_name(sources)
    categories = _category_words(sources)
    split_of: dict[str, _Entry] = {}
    first = None
    for entry in _entries(path):
        first = first or entry
        for item in _matching(entry, items, categories):
            other = split_of.setdefault(item, entry)
            if other.split != entry.split:
                raise InputError(
                    f"{item} is in {other.split} ({other.where}) and in {entry.split} "
                    f"({entry.where})",
                    "leave it in one of them",
                )
    if first is None:
        raise InputError(f"{path} lists no ids", "give one id a line")
    if not split_of:
        raise InputError(
            f"{path} lists none of the {len(sources)} models: it says {first.text[:80]!r}",
            f"the models here are called {next(iter(sources))!r} and the like",
        )
    return {i: {**s, "split": split_of[i].split} for i, s in sources.items() if i in split_of}


def _by_name(sources: Sources) -> dict[str, list[str]]:
    names: dict[str, list[str]] = {}
    for item in sources:
        names.setdefault(item.split("/", 1)[1], []).append(item)
    return names


def _category_words(sources: Sources) -> dict[str, str]:
    """What stands for a category: itself, and the folder that its models lie in."""
    words = {}
    for item, source in sources.items():
        category = item.split("/", 1)[0]
        words[category] = words[source["path"].split("/", 1)[0]] = category
    return words


def _matching(
    entry: _Entry, items: Mapping[str, list[str]], categories: Mapping[str, str]
) -> list[str]:
    """The items that an entry means: none, one, or the models of that name in all categories."""
    parts = [part for part in entry.text.replace("\\", "/").split("/") if part]
    stem, dot, suffix = parts[-1].rpartition(".") if parts else ("", "", "")
    names = [stem, *parts[::-1]] if f"{dot}{suffix}".lower() in SUFFIXES else parts[::-1]
    name = next((name for name in names if name in items), None)
    if name is None:
        return []
    category = next((categories[w] for w in (*parts, *entry.hints) if w in categories), None)
    return [i for i in items[name] if category is None or i.startswith(f"{category}/")]


def _entries(path: Path) -> Iterator[_Entry]:
    if path.is_file():
        yield from _file_entries(path, path.parent.name)
        return
    if not path.is_dir():
        raise InputError(f"{path} does not exist", "name the list, or the folder of the lists")
    found = False
    for entry in entries(path):
        inner = entries(entry.path) if entry.is_dir() else [entry]
        for file in inner:
            if _is_list(Path(file.path)) and file.is_file():
                found = True
                yield from _file_entries(Path(file.path), entry.name if entry.is_dir() else "")
    if not found:
        raise InputError(
            f"{path} holds no lists", "they are called train.txt, val.txt and test.txt, or alike"
        )


def _is_list(path: Path) -> bool:
    return path.suffix in _SUFFIXES and bool(
        path.suffix in (".csv", ".file") or _NAME.fullmatch(path.stem)
    )


def _file_entries(path: Path, folder: str) -> Iterator[_Entry]:
    kinds: dict[str, Callable[[bytes, Path], Iterator[tuple[str, str, str]]]] = {
        ".csv": _csv_rows,
        ".file": _torch_rows,
    }
    named = _NAME.fullmatch(path.stem)
    prefix = (named[1] or "") if named else path.stem
    try:
        for category, name, split in kinds.get(path.suffix, _text_rows)(read_whole(path), path):
            split = _CANONICAL.get(split, split)
            if split not in SPLITS:
                raise InputError(f"{path}: split {split!r} is unknown", f"use {', '.join(SPLITS)}")
            yield _Entry(name, split, (category, prefix, folder), path.name)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}", "check it") from None
    except TextError as error:
        raise InputError(f"{path} {error}", "give one id a line, as text") from None


def _text_rows(data: bytes, path: Path) -> Iterator[tuple[str, str, str]]:
    """(category, id, split) of each line."""
    named = _NAME.fullmatch(path.stem)
    if named is None:
        raise InputError(
            f"{path}: its name does not say which split it lists",
            "call it train.txt, val.txt or test.txt, or give a CSV with the columns id,split",
        )
    for line in lines_of(data):
        if name := line.strip():
            yield "", name, named[2].lower()


def _csv_rows(data: bytes, path: Path) -> Iterator[tuple[str, str, str]]:
    reader = rows_of(data)
    columns = reader.fieldnames or ()
    key = next((name for name in ("modelId", "id") if name in columns), None)
    if key is None or "split" not in columns:
        raise InputError(f"{path}: no columns id and split", "name them in the first line")
    for row in reader:
        if row["split"] and row[key]:
            yield row.get("synsetId") or row.get("category") or "", row[key], row["split"]


# Types of objects in torch's ASCII files.
_NUMBER, _STRING, _TABLE = "1", "2", "3"


def _torch_rows(data: bytes, path: Path) -> Iterator[tuple[str, str, str]]:
    """The rows of a table {train = {id, ...}, val = ..., test = ...}, as torch.DiskFile writes it.

    Every object begins with its type. A number is a line, a string its length and its text, a
    table its number among the objects, its size, and that many keys and values.
    """
    lines = lines_of(data)

    def read(depth: int = 0) -> Any:
        kind = next(lines)
        if kind == _NUMBER:
            return float(next(lines))
        if kind == _STRING:
            size, value = int(next(lines)), next(lines)
            if len(value) != size:
                raise ValueError("a string of another length")
            return value
        if kind != _TABLE or depth > 1:
            raise ValueError("neither number nor string nor table")
        next(lines)
        return {read(2): read(depth + 1) for _ in range(int(next(lines)))}

    try:
        table = read()
        rows = [("", str(name), split) for split, ids in table.items() for name in ids.values()]
    except TextError:
        raise
    except (ValueError, StopIteration, RuntimeError, AttributeError, TypeError):
        raise InputError(
            f"{path} is no table of splits as torch writes it",
            "give text files train.txt, val.txt and test.txt with one id a line",
        ) from None
    yield from rows

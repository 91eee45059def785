"""The workspace: which artefacts there are, and how to read one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from stages.errors import InputError, UsageError
from stages.stage import Arrays
from stages.store.fingerprint import safe_name
from stages.store.index import load_index
from stages.store.manifest import Entry, Index
from stages.store.reader import OpenShards


@dataclass(frozen=True)
class Artefact:
    """One cached output of a stage: `WORKSPACE/<stage>/<variant>/`."""

    folder: Path
    stage: str
    variant: str

    @property
    def name(self) -> str:
        """`stage/variant`, for messages."""
        return f"{self.stage}/{self.variant}"

    @cached_property
    def index(self) -> Index:
        """What it holds, read once."""
        return load_index(self.folder)

    @cached_property
    def _open(self) -> OpenShards:
        return OpenShards()

    def refresh(self) -> Artefact:
        """The same artefact, to be read anew."""
        return Artefact(self.folder, self.stage, self.variant)

    def entry(self, item_id: str) -> Entry:
        """Where an item is; InputError if it is not there, failed, or its shard is damaged."""
        if self.index.damaged:
            name, reason = next(iter(sorted(self.index.damaged.items())))
            raise InputError(f"{self.folder / name}: {reason}", f"make {self.name} again, it heals")
        entry = self.index.entries.get(item_id)
        if entry is None:
            raise InputError(f"{self.name} has no {item_id}", f"make {self.name} again")
        if entry.reason:
            raise InputError(f"{item_id} failed in {self.name}: {entry.reason}", "leave it out")
        return entry

    def read(self, item_id: str, names: tuple[str, ...] = ()) -> Arrays:
        """The arrays of one item, all of them or those in `names`."""
        entry = self.entry(item_id)
        path = self.folder / entry.shard
        return self._open.read(self.stage, path, entry.row, item_id, names)

    def close(self) -> None:
        """Close the files that reading has opened."""
        self._open.close()


def artefact_at(folder: str | Path) -> Artefact:
    """The artefact of a data stage in its folder, `WORKSPACE/<stage>/<variant>`."""
    folder = Path(folder)
    return Artefact(folder, folder.parent.name, folder.name)


def read_item(folder: str | Path, item_id: str, names: tuple[str, ...] = ()) -> Arrays:
    """Arrays of an item of the artefact in a folder, all or those in `names`, read at once."""
    artefact = artefact_at(folder)
    try:
        return artefact.read(item_id, names)
    finally:
        artefact.close()


@dataclass(frozen=True)
class Workspace:
    """The folder that holds every artefact and every run."""

    root: Path

    def artefact(self, stage: str, variant: str) -> Artefact:
        """The artefact of that name, whether it is there or not."""
        name = safe_name(variant, f"{stage} variant")
        return Artefact(self.root / stage / name, stage, name)

    def artefacts(self, stage: str) -> list[Artefact]:
        """The artefacts of a stage that are there, by name."""
        folder = self.root / stage
        if not folder.is_dir():
            return []
        names = sorted(p.name for p in folder.iterdir() if p.is_dir())
        return [self.artefact(stage, n) for n in names if any((folder / n).glob("shard-*.h5"))]


def category_of(item_id: str) -> str:
    """The category in an id `category/name`."""
    return item_id.split("/", 1)[0]


def select_categories(ids: Iterable[str], categories: tuple[str, ...]) -> list[str]:
    """The ids of these categories, sorted; all of them if none is named.

    Raises UsageError for a category that no id has, with the one that was probably meant.
    """
    ids = sorted(ids)
    there = sorted({category_of(i) for i in ids})
    for category in categories:
        if category not in there:
            close = difflib.get_close_matches(category, there, 1)
            hint = f"did you mean {close[0]}?" if close else f"there are: {', '.join(there)}"
            raise UsageError(f"no category {category!r} in the shapes", hint)
    return [i for i in ids if not categories or category_of(i) in categories]

"""The index of an artefact: which shard holds which item, which items failed and why.

`manifest.json` is a copy of it that saves opening every shard; it can always be rebuilt from the
shards alone, and is, for every shard that it does not know. Only run times, versions and the place
of the source files live in the manifest alone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock

from stages.errors import CrossdimError, InputError
from stages.store.commit import commit_bytes
from stages.store.fingerprint import digest
from stages.store.reader import ShardContent, read_content
from stages.store.shard import ShardKey

MANIFEST = "manifest.json"
_LOCK = ".manifest.lock"
_LOCK_SECONDS = 60
_SHARD = re.compile(r"shard-(\d{4})-([0-9a-f]{32})\.h5")


@dataclass(frozen=True)
class Entry:
    """Where an item is, or why it failed (`reason` not empty)."""

    fingerprint: str
    shard: str
    row: int = -1
    reason: str = ""
    labels: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ShardInfo:
    """What the index keeps of one shard file."""

    bytes: int
    items: int
    failures: int
    bucket: int
    generation: int
    stage_version: int


@dataclass
class Index:
    """All that is known about an artefact without opening its shards."""

    key: ShardKey | None = None
    shards: dict[str, ShardInfo] = field(default_factory=dict)
    entries: dict[str, Entry] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)  # times, versions, source: manifest only
    damaged: dict[str, str] = field(default_factory=dict)  # shard -> what is wrong; never kept
    lost: dict[str, ShardInfo] = field(default_factory=dict)  # damaged ones the manifest knew

    def add(self, name: str, size: int, content: ShardContent) -> None:
        """Enter a shard; where it holds an id that is there already, the later generation wins."""
        key = content.key
        self._same_artefact(name, key)
        self.shards[name] = ShardInfo(
            bytes=size,
            items=len(content.ids),
            failures=len(content.failures),
            bucket=key.bucket,
            generation=key.generation,
            stage_version=key.stage_version,
        )
        for row, (item, fingerprint) in enumerate(zip(content.ids, content.fingerprints)):
            self._enter(item, Entry(fingerprint, name, row, "", content.labels[row]))
        for failure in content.failures:
            self._enter(failure.id, Entry(failure.fingerprint, name, -1, failure.reason))

    def _enter(self, item: str, entry: Entry) -> None:
        there = self.entries.get(item)
        if there is None or self._rank(entry.shard) >= self._rank(there.shard):
            self.entries[item] = entry

    def _rank(self, shard: str) -> tuple[int, str]:
        info = self.shards.get(shard)
        return (info.generation if info else -1, shard)

    def _same_artefact(self, name: str, key: ShardKey) -> None:
        if self.key is None:
            self.key = key
        mine, other = self.key, key
        if (mine.stage, mine.params, mine.seed) != (other.stage, other.params, other.seed):
            raise InputError(
                f"{name} belongs to another artefact: {other.stage} {other.params}",
                "move it to the folder that it came from",
            )

    def generation_for(self, ids: Iterable[str], bucket: int) -> int:
        """The generation that a new shard of these ids needs so that it counts.

        A shard made to replace a lost one gets the generation of that, hence the same bytes.
        """
        there = [self.entries[i].shard for i in ids if i in self.entries]
        lost = [info.generation for info in self.lost.values() if info.bucket == bucket]
        return max([0, *lost, *(self._rank(shard)[0] + 1 for shard in there)])

    def items(self) -> dict[str, Entry]:
        """The items that have arrays."""
        return {i: e for i, e in self.entries.items() if not e.reason}

    def failures(self) -> dict[str, Entry]:
        """The items that could not be processed."""
        return {i: e for i, e in self.entries.items() if e.reason}


def load_index(folder: Path) -> Index:
    """The index of the artefact in `folder`, brought up to date with the shards that are there.

    Shards that the manifest names but that are gone or have another length are in `damaged`, and
    their items are not entries: they count as missing. Raises InputError for a shard of another
    artefact.
    """
    sizes = _shards_there(folder)
    index = _from_manifest(folder / MANIFEST, sizes)
    for name in sorted(set(sizes) - set(index.shards) - set(index.damaged)):
        try:
            content = read_content(folder / name)
        except InputError as error:
            if "damaged" not in str(error):
                raise
            index.damaged[name] = str(error)
            continue
        index.add(name, sizes[name], content)
    return index


def save_index(folder: Path, extra: dict[str, Any] | None = None) -> Index:
    """Write the manifest from what is in the folder now; `extra` replaces keys of the old one."""
    try:
        with FileLock(str(folder / _LOCK), timeout=_LOCK_SECONDS):
            index = load_index(folder)
            index.extra.update(extra or {})
            commit_bytes(folder / MANIFEST, _to_json(index).encode())
            return index
    except TimeoutError as error:
        raise CrossdimError(
            f"another process has held {folder / _LOCK} for {_LOCK_SECONDS} s",
            "wait for it to finish, then run the same command again",
        ) from error


def verify(folder: Path, content: bool = True) -> dict[str, str]:
    """Re-hash every shard: {file name: what is wrong}, empty when all is well."""
    index = load_index(folder)
    problems = dict(index.damaged)
    for path in sorted(folder.glob("shard-*.h5")):
        match = _SHARD.fullmatch(path.name)
        if not match:
            problems[path.name] = "the name is not that of a shard"
        elif content and path.name not in problems and digest(path.read_bytes()) != match[2]:
            problems[path.name] = "the bytes are not those that were written"
    return problems


def _shards_there(folder: Path) -> dict[str, int]:
    if not folder.is_dir():
        return {}
    return {p.name: p.stat().st_size for p in folder.iterdir() if _SHARD.fullmatch(p.name)}


def _from_manifest(path: Path, sizes: dict[str, int]) -> Index:
    """The manifest's part of the index: only shards that are there at their recorded length.

    A manifest that cannot be read is no loss: everything is read from the shards again.
    """
    index = Index()
    try:
        data = json.loads(path.read_bytes())
        key = ShardKey(**data["key"]) if data["key"] else None
        shards = {name: ShardInfo(**info) for name, info in data["shards"].items()}
        names = list(shards)
        entries = {
            item: Entry(fingerprint, names[shard], row, reason, labels)
            for item, (fingerprint, shard, row, reason, labels) in data["items"].items()
        }
        extra = dict(data["extra"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError):
        return index
    index.key, index.extra = key, extra
    for name, info in shards.items():
        if sizes.get(name) == info.bytes:
            index.shards[name] = info
            continue
        index.lost[name] = info
        index.damaged[name] = (
            f"the shard has {sizes[name]} bytes instead of {info.bytes}"
            if name in sizes
            else "the shard is missing"
        )
    index.entries = {i: e for i, e in entries.items() if e.shard in index.shards}
    return index


def _to_json(index: Index) -> str:
    """One item a line, so that a manifest can be read and compared by people."""
    numbers = {name: i for i, name in enumerate(sorted(index.shards))}
    rows = [
        f"  {json.dumps(item)}: "
        + json.dumps([e.fingerprint, numbers[e.shard], e.row, e.reason, e.labels])
        for item, e in sorted(index.entries.items())
    ]
    head = {
        "format": "crossdim/manifest",
        "format_version": 1,
        "columns": ["fingerprint", "shard", "row", "reason", "labels"],
        "key": index.key.__dict__ if index.key else None,
        "shards": {name: index.shards[name].__dict__ for name in numbers},
        "extra": index.extra,
    }
    text = json.dumps(head, indent=1)
    return text[:-2] + ',\n "items": {\n' + ",\n".join(rows) + "\n }\n}\n"

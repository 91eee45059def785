"""What is known about an artefact without opening its shards, and its form as `manifest.json`."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stages.errors import InputError
from stages.store.fingerprint import digest
from stages.store.reader import ShardContent
from stages.store.shard import SHARD_NAME, ShardKey
from stages.store.texts import json_of, read_whole

MANIFEST = "manifest.json"
_MANIFEST_VERSION = 1
_ID_LETTERS = 400
_MOST_BYTES = 512 << 20  # of some three million items; what is larger is read from the shards
_MOST_VALUES = 40_000_000
_NOT_OURS = "do not use this file"


@dataclass(frozen=True, slots=True)
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
    saved: bool = False  # whether the manifest in the folder says exactly this

    def add(self, name: str, size: int, content: ShardContent) -> None:
        """Enter a shard; where it holds an id that is there already, the later generation wins."""
        key = content.key
        if not name.startswith(f"shard-{key.bucket:04d}-"):
            raise InputError(
                f"{name} was written under another name, for bucket {key.bucket}",
                "name it so again, or remove it",
            )
        try:
            for item in (*content.ids, *(failure.id for failure in content.failures)):
                check_id(item)
        except ValueError as error:
            raise InputError(f"{name} holds a name that is none: {error}", _NOT_OURS) from None
        self._adopt(name, key)
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
        return (self.shards[shard].generation, shard)

    def _adopt(self, name: str, key: ShardKey) -> None:
        """Take over the key of a shard, in a form that depends on the set of shards alone."""
        mine = self.key or key
        if (mine.stage, mine.params, mine.seed) != (key.stage, key.params, key.seed):
            raise InputError(
                f"{name} belongs to another artefact: {key.stage} {key.params} seed {key.seed}",
                "move it to the folder that it came from",
            )
        self.key = dataclasses.replace(
            mine,
            stage_version=max(mine.stage_version, key.stage_version),
            buckets=max(mine.buckets, key.buckets),
            bucket=0,
            generation=0,
        )

    def generation_for(self, ids: Iterable[str]) -> int:
        """The generation that a new shard of these ids needs so that it counts.

        It follows from the shards that are there alone, so a shard made to replace a lost one gets
        the generation of that, hence the same bytes.
        """
        there = [self.entries[i].shard for i in ids if i in self.entries]
        return max([0, *(self._rank(shard)[0] + 1 for shard in there)])

    def items(self) -> dict[str, Entry]:
        """The items that have arrays."""
        return {i: e for i, e in self.entries.items() if not e.reason}

    def failures(self) -> dict[str, Entry]:
        """The items that could not be processed."""
        return {i: e for i, e in self.entries.items() if e.reason}


def check_id(item: str) -> str:
    """`item` if it is inert as a path, on a terminal and in a spreadsheet; ValueError if not.

    What we write is `category/name` of plain names (`safe_name`) to begin with. The ids in an
    artefact of somebody else are what that one chose.
    """
    parts = item.split("/")
    if (
        len(item) > _ID_LETTERS
        or not item.isprintable()
        or "\\" in item
        or any(part in ("", ".", "..") for part in parts)
        or item.startswith(("=", "+", "-", "@"))
    ):
        raise ValueError(f"{item[:100]!r} is no id")
    return item


def _is_own(name: str, info: ShardInfo) -> bool:
    """Whether a shard of the manifest is a file of its folder, its numbers numbers."""
    numbers = dataclasses.astuple(info)
    return SHARD_NAME.fullmatch(name) is not None and all(type(one) is int for one in numbers)


def read_manifest(path: Path) -> Index | None:
    """What the manifest says, or None if it is not there or not as it was written.

    That is no loss: everything is read from the shards again.
    """
    try:
        raw = read_whole(path, _MOST_BYTES)
        data = json_of(raw, _MOST_VALUES)
        if data["digest"] != digest(raw.split(b"\n", 2)[2]) or (
            data["format_version"] != _MANIFEST_VERSION
        ):
            return None
        index = Index(
            key=ShardKey(**data["key"]) if data["key"] else None,
            shards={name: ShardInfo(**info) for name, info in data["shards"].items()},
            extra=dict(data["extra"]),
        )
        if not all(map(_is_own, index.shards, index.shards.values())):
            return None
        names = list(index.shards)
        for item, (fingerprint, shard, row, reason, labels) in data["items"].items():
            index.entries[check_id(item)] = Entry(fingerprint, names[shard], row, reason, labels)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError):
        return None
    return index


def to_json(index: Index) -> bytes:
    """One item a line, so that a manifest can be read and compared by people.

    The second line is the digest of those that follow.
    """
    numbers = {name: i for i, name in enumerate(sorted(index.shards))}
    rows = [
        f"  {json.dumps(item)}: "
        + json.dumps([e.fingerprint, numbers[e.shard], e.row, e.reason, e.labels])
        for item, e in sorted(index.entries.items())
    ]
    head = {
        "format": "crossdim/manifest",
        "format_version": _MANIFEST_VERSION,
        "columns": ["fingerprint", "shard", "row", "reason", "labels"],
        "key": index.key.__dict__ if index.key else None,
        "shards": {name: index.shards[name].__dict__ for name in numbers},
        "extra": index.extra,
    }
    text = json.dumps(head, indent=1).removeprefix("{\n").removesuffix("\n}")
    body = (text + ',\n "items": {\n' + ",\n".join(rows) + "\n }\n}\n").encode()
    return f'{{\n "digest": "{digest(body)}",\n'.encode() + body

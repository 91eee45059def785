"""The index of an artefact: which shard holds which item, which items failed and why.

`manifest.json` is a copy of it that saves opening every shard; it can always be rebuilt from the
shards alone, and is, for every shard that it does not know. Only run times, versions and the place
of the source files live in the manifest alone.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from stages.errors import CrossdimError, InputError
from stages.store.commit import commit_bytes, discard, explained
from stages.store.fingerprint import digest, file_digest
from stages.store.reader import ShardContent, read_content
from stages.store.shard import ShardKey

MANIFEST = "manifest.json"
_MANIFEST_VERSION = 1
_LOCK = ".manifest.lock"
_LOCK_SECONDS = 60
_SHARD = re.compile(r"shard-(\d{4})-([0-9a-f]{32})\.h5")


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


def load_index(folder: Path) -> Index:
    """The index of the artefact in `folder`, brought up to date with the shards that are there.

    Shards that are gone, have another length, or (those that the manifest does not know) do not
    hold the bytes that their name promises, are in `damaged`, and their items are not entries: they
    count as missing. Raises InputError for a shard of another artefact or of no artefact of ours.
    """
    index, foreign = _scan(folder)
    for error in foreign.values():
        raise error
    return index


def save_index(
    folder: Path, extra: dict[str, Any] | None = None, asked: Iterable[Any] = (), buckets: int = 0
) -> Index:
    """Write the manifest from what is in the folder now.

    `extra` replaces keys of the old one; `asked` is added to what it keeps under that key;
    `buckets` is how many there are from now on, if that is more.
    """
    with _locked(folder):
        index = load_index(folder)
        index.extra.update(extra or {})
        known = index.extra.get("asked", [])
        if new := [one for one in asked if one not in known]:
            index.extra["asked"] = [*known, *new]
        if index.key and buckets > index.key.buckets:
            index.key = dataclasses.replace(index.key, buckets=buckets)
        commit_bytes(folder / MANIFEST, _to_json(index))
        return index


def remove_shards(folder: Path, names: Iterable[str]) -> None:
    """Remove these shards, and what the manifest says of them.

    The manifest goes first: a kill in between leaves a shard that is read again, and no gap.
    """
    names = sorted(names)
    with _locked(folder):
        index = load_index(folder)
        for name in names:
            index.shards.pop(name, None)
        index.entries = {i: e for i, e in index.entries.items() if e.shard in index.shards}
        commit_bytes(folder / MANIFEST, _to_json(index))
        for name in names:
            (folder / name).unlink(missing_ok=True)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    lock = FileLock(str(folder / _LOCK), timeout=_LOCK_SECONDS)
    try:
        lock.acquire()
    except Timeout as error:
        raise CrossdimError(
            f"another process has held {folder / _LOCK} for {_LOCK_SECONDS} s",
            "wait for it to finish, then run the same command again",
        ) from error
    except OSError as error:
        raise explained(error, folder / _LOCK) from error
    try:
        yield
    finally:
        lock.release()


def verify(folder: Path, content: bool = True) -> dict[str, str]:
    """Re-hash every shard: {file name: what is wrong}, empty when all is well."""
    index, foreign = _scan(folder)
    problems = {**index.damaged, **{name: str(error) for name, error in foreign.items()}}
    for path in sorted(folder.glob("shard-*.h5")):
        if not _SHARD.fullmatch(path.name):
            problems[path.name] = "the name is not that of a shard"
        elif content and path.name not in problems and not is_intact(path, path.name):
            problems[path.name] = _ALTERED
    if (folder / MANIFEST).exists() and _read_manifest(folder / MANIFEST) is None:
        problems[MANIFEST] = "the manifest is damaged; making the artefact again writes it anew"
    return problems


def damaged_shards(folder: Path) -> dict[str, int]:
    """The shards that do not hold the bytes that their name promises, with their sizes now."""
    sizes = _shards_there(folder)
    return {name: sizes[name] for name in sorted(sizes) if not is_intact(folder / name, name)}


def discard_damaged(folder: Path, names: Iterable[str]) -> None:
    """Remove those of these shards that do not hold the bytes that their name promises.

    Without it a damaged file would be in the way of readers for ever where what replaces it has
    another name.
    """
    for name in names:
        discard(folder / name, unless=partial(is_intact, name=name))


def _scan(folder: Path) -> tuple[Index, dict[str, InputError]]:
    """The index, and the shards that are no part of it although they are whole."""
    sizes = _shards_there(folder)
    kept = _read_manifest(folder / MANIFEST)
    index = kept or Index()
    gone = {
        name: f"the shard has {sizes[name]} bytes instead of {info.bytes}"
        if name in sizes
        else "the shard is missing"
        for name, info in index.shards.items()
        if sizes.get(name) != info.bytes
    }
    if gone:  # an older shard may hold an item of a lost one, so all are read again
        index = Index(extra=index.extra, damaged=gone)
    index.saved = (kept is not None or not sizes) and not gone
    foreign: dict[str, InputError] = {}
    for name in sorted(set(sizes) - set(index.shards) - set(gone)):
        index.saved = False
        try:
            if is_intact(folder / name, name):
                index.add(name, sizes[name], read_content(folder / name))
            else:
                index.damaged[name] = _ALTERED
        except InputError as error:
            foreign[name] = error
    if index.key is None and kept is not None:
        index.key = kept.key
    return index, foreign


_ALTERED = "the bytes are not those that were written"


def is_intact(path: Path, name: str) -> bool:
    """Whether the file holds the bytes that a shard's name promises."""
    match = _SHARD.fullmatch(name)
    try:
        return match is not None and file_digest(path) == match[2]
    except FileNotFoundError:  # removed since it was listed
        return False
    except OSError as error:
        raise InputError(
            f"cannot read {path}: {error.strerror}", "mend that, or remove it"
        ) from error


def _shards_there(folder: Path) -> dict[str, int]:
    sizes = {}
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        for path in folder.iterdir():
            if _SHARD.fullmatch(path.name):
                with contextlib.suppress(FileNotFoundError):  # removed since it was listed
                    sizes[path.name] = path.stat().st_size
    return sizes


def _read_manifest(path: Path) -> Index | None:
    """What the manifest says, or None if it is not there or not as it was written.

    That is no loss: everything is read from the shards again.
    """
    try:
        raw = path.read_bytes()
        data = json.loads(raw)
        if data["digest"] != digest(raw.split(b"\n", 2)[2]) or (
            data["format_version"] != _MANIFEST_VERSION
        ):
            return None
        index = Index(
            key=ShardKey(**data["key"]) if data["key"] else None,
            shards={name: ShardInfo(**info) for name, info in data["shards"].items()},
            extra=dict(data["extra"]),
        )
        names = list(index.shards)
        for item, (fingerprint, shard, row, reason, labels) in data["items"].items():
            index.entries[item] = Entry(fingerprint, names[shard], row, reason, labels)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError):
        return None
    return index


def _to_json(index: Index) -> bytes:
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

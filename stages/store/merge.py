"""One file of a whole artefact, by copying compressed chunks: nothing is decoded.

The file is laid out as a shard is (`stages.store.shard`), with all items in the order of their
ids, so whatever reads a shard reads it, and so does plain h5py.
"""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import h5py

from stages.errors import CrossdimError, InputError
from stages.store.commit import Sink, commit_stream
from stages.store.index import is_intact
from stages.store.manifest import Entry
from stages.store.shard import LIBVER, Copier, Failure, ShardKey, write_head
from stages.store.untrusted import open_readonly
from stages.store.workspace import Artefact, select_categories

# What a file needs beyond its shards at most: wider strings, the index of chunks.
_ITEM_BYTES, _FAILURE_BYTES, _FILE_BYTES = 512, 1024, 1 << 20


@dataclass(frozen=True)
class Merged:
    """What a merged file holds."""

    items: int
    failures: int
    bytes: int


def merge(
    artefact: Artefact,
    path: Path,
    categories: tuple[str, ...] = (),
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Merged:
    """Write the items of an artefact, all of them or those of some categories, into one file.

    `on_progress` is told how many items are done, of how many. Raises InputError when there is
    nothing, or when a shard is damaged: each is compared with the digest in its name before it is
    copied; CrossdimError when there is no room for it.
    """
    index = artefact.index
    if index.key is None:
        raise InputError(f"no artefact {artefact.name}", "see: crossdim status")
    for name, reason in sorted(index.damaged.items()):
        raise InputError(
            f"{artefact.folder / name}: {reason}", f"make {artefact.name} again, it heals"
        )
    entries = index.entries
    ids = select_categories(entries, categories)
    items = {i: entries[i] for i in ids if not entries[i].reason}
    failures = [
        Failure(i, entries[i].fingerprint, entries[i].reason) for i in ids if entries[i].reason
    ]
    _check_room(artefact, path, items, len(failures))
    key = dataclasses.replace(index.key, bucket=0, generation=0)
    commit_stream(path, partial(_fill, artefact.folder, key, items, failures, on_progress))
    return Merged(len(items), len(failures), path.stat().st_size)


def _check_room(artefact: Artefact, path: Path, items: Mapping[str, Entry], failures: int) -> None:
    if not path.parent.is_dir():
        raise InputError(f"no folder {path.parent}", f"mkdir -p {path.parent}")
    shards = {entry.shard for entry in items.values()}
    needed = sum(artefact.index.shards[name].bytes for name in shards) + _FILE_BYTES
    needed += _ITEM_BYTES * len(items) + _FAILURE_BYTES * failures
    free = shutil.disk_usage(path.parent).free
    if needed > free:
        raise CrossdimError(
            f"cannot write {path}: it may need {needed:,} bytes, {free:,} are free",
            "free some space, or choose another place with --output",
        )


def _fill(
    folder: Path,
    key: ShardKey,
    items: Mapping[str, Entry],
    failures: list[Failure],
    on_progress: Callable[[int, int], None],
    sink: Sink,
) -> None:
    rows: dict[str, list[tuple[int, int]]] = {}  # shard -> (row there, row here)
    for place, entry in enumerate(items.values()):
        rows.setdefault(entry.shard, []).append((entry.row, place))
    done = 0
    with h5py.File(sink, "w", libver=LIBVER) as target:
        write_head(target, key, [(i, entry.fingerprint) for i, entry in items.items()], failures)
        copier = Copier(target, len(items))
        for name in sorted(rows):
            if not is_intact(folder / name, name):
                raise InputError(
                    f"{folder / name}: the bytes are not those that were written",
                    "run: crossdim clean, then make the artefact again",
                )
            with open_readonly(folder / name, "shard") as source:
                copier.copy(source, sorted(rows[name]))
            sink.check()
            done += len(rows[name])
            on_progress(done, len(items))

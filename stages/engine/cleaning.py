"""What of an artefact is of no use any more, and its removal.

Of no use whatever happens: temporaries that a killed process left a day ago, shards whose bytes are
not those that were written, shards all of whose items are in later ones. On request also items that
are stale, or no longer in the input: a shard that holds others besides is written anew without
them, by copying compressed chunks. Nothing fresh is ever lost.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from stages.engine.status import artefact_status
from stages.errors import InputError
from stages.store.commit import commit_bytes, stale_temporaries
from stages.store.index import damaged_shards, discard_damaged, remove_shards
from stages.store.manifest import Index
from stages.store.reader import read_content
from stages.store.shard import Encoded, Failure, build_shard, extract_item, shard_name
from stages.store.untrusted import open_readonly
from stages.store.workspace import Artefact, Workspace


@dataclass(frozen=True)
class Rubbish:
    """What of one artefact can go; sizes in bytes."""

    artefact: Artefact
    temporaries: Mapping[Path, int] = field(default_factory=dict)
    damaged: Mapping[str, int] = field(default_factory=dict)  # shards
    superseded: Mapping[str, int] = field(default_factory=dict)  # shards
    items: Mapping[str, str] = field(default_factory=dict)  # id -> why it is not wanted
    item_bytes: int = 0  # of these items, by their share of their shards

    @property
    def bytes(self) -> int:
        """What its removal frees."""
        files = (self.temporaries, self.damaged, self.superseded)
        return sum(sum(sizes.values()) for sizes in files) + self.item_bytes


def find_rubbish(
    workspace: Workspace, artefact: Artefact, stale: bool = False, extra: bool = False
) -> Rubbish:
    """Read every byte of the artefact; `stale` and `extra` ask for such items, too.

    Where shards are damaged the others are not looked at: an older one may hold an item of theirs.
    Raises InputError when it cannot be said which items are stale or extra, and for a shard that is
    whole and belongs elsewhere.
    """
    temporaries = {path: path.lstat().st_size for path in stale_temporaries(artefact.folder)}
    if damaged := damaged_shards(artefact.folder):
        return Rubbish(artefact, temporaries, damaged)
    index = artefact.index
    used = {entry.shard for entry in index.entries.values()}
    superseded = {name: info.bytes for name, info in index.shards.items() if name not in used}
    items = _unwanted(workspace, artefact, stale, extra) if stale or extra else {}
    item_bytes = sum(_share(index, index.entries[item].shard) for item in items)
    return Rubbish(artefact, temporaries, {}, superseded, items, round(item_bytes))


def _share(index: Index, shard: str) -> float:
    info = index.shards[shard]
    return info.bytes / (info.items + info.failures)


def _unwanted(workspace: Workspace, artefact: Artefact, stale: bool, extra: bool) -> dict[str, str]:
    status = artefact_status(workspace, artefact)
    if status.note:
        raise InputError(
            f"cannot say which items of {artefact.name} are wanted: {status.note}",
            "mend that first, or leave out --stale and --extra",
        )
    items = dict(status.state.stale) if stale else {}
    if extra:
        items.update(dict.fromkeys(status.state.extra, "no longer in the input"))
    return items


def remove(rubbish: Rubbish) -> None:
    """Remove what was found. A kill at any moment loses no item that was to stay."""
    for path in rubbish.temporaries:
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
    artefact = rubbish.artefact
    discard_damaged(artefact.folder, rubbish.damaged)
    gone = set(rubbish.superseded)
    for name in sorted({artefact.index.entries[item].shard for item in rubbish.items}):
        _keep_the_others(artefact, name, rubbish.items)
        gone.add(name)
    if gone:
        remove_shards(artefact.folder, gone)


def _keep_the_others(artefact: Artefact, shard: str, unwanted: Mapping[str, str]) -> None:
    """Write what of a shard counts and is wanted into a new one that takes its place."""
    index, path = artefact.index, artefact.folder / shard
    content = read_content(path)
    kept = {
        item: entry
        for item in (*content.ids, *(failure.id for failure in content.failures))
        if (entry := index.entries[item]).shard == shard and item not in unwanted
    }
    if not kept:
        return
    failures = [Failure(i, e.fingerprint, e.reason) for i, e in kept.items() if e.reason]
    with open_readonly(path, "shard") as file:
        items = [
            Encoded(i, e.fingerprint, extract_item(file, e.row))
            for i, e in kept.items()
            if not e.reason
        ]
    key = dataclasses.replace(content.key, generation=index.generation_for(kept))
    data = build_shard(key, items, failures)
    commit_bytes(artefact.folder / shard_name(key.bucket, data), data)

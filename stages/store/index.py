"""The index of an artefact: which shard holds which item, which items failed and why.

`manifest.json` is a copy of it that saves opening every shard; it can always be rebuilt from the
shards alone, and is, for every shard that it does not know. Only run times, versions and the place
of the source files live in the manifest alone.
"""

from __future__ import annotations

import contextlib
import dataclasses
import stat
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from stages.errors import CrossdimError, InputError
from stages.store.commit import commit_bytes, discard, explained
from stages.store.fingerprint import file_digest
from stages.store.manifest import MANIFEST, Index, read_manifest, to_json
from stages.store.reader import check_form, read_content
from stages.store.shard import SHARD_NAME

_LOCK = ".manifest.lock"
_LOCK_SECONDS = 60


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
        commit_bytes(folder / MANIFEST, to_json(index))
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
        commit_bytes(folder / MANIFEST, to_json(index))
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
        if not SHARD_NAME.fullmatch(path.name):
            problems[path.name] = "the name is not that of a shard"
        elif content and path.name not in problems and (problem := _problem(path)):
            problems[path.name] = problem
    if (folder / MANIFEST).exists() and read_manifest(folder / MANIFEST) is None:
        problems[MANIFEST] = "the manifest is damaged; making the artefact again writes it anew"
    return problems


def _problem(path: Path) -> str:
    """What is wrong with a shard, bytes and arrays; "" when nothing is."""
    if not is_intact(path, path.name):
        return _ALTERED
    try:
        check_form(path)
    except InputError as error:
        return str(error)
    return ""


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
    kept = read_manifest(folder / MANIFEST)
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
    match = SHARD_NAME.fullmatch(name)
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
            if SHARD_NAME.fullmatch(path.name):
                with contextlib.suppress(FileNotFoundError):  # removed since it was listed
                    state = path.stat()
                    if stat.S_ISREG(state.st_mode):  # reading a pipe or a device may never end
                        sizes[path.name] = state.st_size
    return sizes

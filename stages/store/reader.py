"""Reading items of an artefact: lazily, read-only, one open file a process and shard."""

from __future__ import annotations

import json
import os
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from stages.errors import InputError
from stages.stage import Arrays
from stages.store.shard import FORMAT_VERSION, RESERVED, Failure, ShardKey
from stages.store.untrusted import check_members, open_readonly

_OPEN_FILES = 32


@dataclass(frozen=True)
class ShardContent:
    """What a shard holds, without its arrays."""

    key: ShardKey
    ids: tuple[str, ...]
    fingerprints: tuple[str, ...]
    failures: tuple[Failure, ...]
    labels: tuple[dict[str, str], ...]


class OpenShards:
    """The open shard files of this process; a forked child starts with none of its parent's."""

    def __init__(self) -> None:
        self._files: OrderedDict[Path, h5py.File] = OrderedDict()
        self._pid = os.getpid()

    def __getstate__(self) -> dict[str, Any]:
        return {}  # handles never travel to another process

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__()  # type: ignore[misc]

    def get(self, path: Path) -> h5py.File:
        """The file at `path`, opened and checked on first use."""
        if self._pid != os.getpid():
            self._files, self._pid = OrderedDict(), os.getpid()
        file = self._files.get(path)
        if file is None:
            file = self._files[path] = open_readonly(path, "shard")
            while len(self._files) > _OPEN_FILES:
                self._files.popitem(last=False)[1].close()
        self._files.move_to_end(path)
        return file

    def close(self) -> None:
        """Close all files of this process."""
        while self._files:
            self._files.popitem()[1].close()


def read_row(file: h5py.File, row: int, path: Path, names: tuple[str, ...] = ()) -> Arrays:
    """The arrays of one item (all, or those in `names`), unpacked; InputError if damaged."""
    arrays: Arrays = {}
    try:
        for name in names or [n for n in file if n not in RESERVED]:
            member = file[name]
            if isinstance(member, h5py.Group):
                check_members(member, path)
                arrays[name] = member[f"{row:06d}"][()]
            elif "packed" in member.attrs:
                shape = tuple(int(n) for n in member.attrs["item_shape"])
                bits = np.unpackbits(member[row], count=int(np.prod(shape)))
                arrays[name] = bits.view(bool).reshape(shape)
            else:
                arrays[name] = np.asarray(member[row])
    except (OSError, KeyError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0][:200]
        raise InputError(f"shard {path} is damaged ({reason})", "run: crossdim verify") from error
    return arrays


def read_content(path: Path) -> ShardContent:
    """The key, ids, fingerprints, failures and labels of a shard; InputError if it is not ours."""
    with open_readonly(path, "shard") as file:
        try:
            key = _key(file, path)
            ids, prints = _strings(file, "ids"), _strings(file, "fingerprints")
            failed = [_strings(file, n) for n in RESERVED[2:]]
            labels = _labels(file, len(ids))
        except (OSError, KeyError, ValueError, RuntimeError, UnicodeDecodeError) as error:
            reason = str(error).splitlines()[0][:200]
            raise InputError(
                f"shard {path} is damaged ({reason})", "run: crossdim verify"
            ) from error
        if len(ids) != len(prints) or len({len(column) for column in failed}) > 1:
            raise InputError(f"shard {path} is damaged: counts differ", "run: crossdim verify")
        failures = tuple(Failure(i, f, r) for i, f, r in zip(*failed, strict=True))
        return ShardContent(key, ids, prints, failures, labels)


def _key(file: h5py.File, path: Path) -> ShardKey:
    form = _text(file.attrs.get("format", b""))
    if not form.startswith("crossdim/"):
        raise InputError(f"{path} is no crossdim shard", "remove it from the workspace")
    version = int(file.attrs["format_version"])
    if version > FORMAT_VERSION:
        raise InputError(
            f"{path} has format version {version}, this crossdim reads up to {FORMAT_VERSION}",
            "upgrade crossdim",
        )
    numbers = ("stage_version", "seed", "bucket", "buckets", "generation")
    key = ShardKey(
        stage=_text(file.attrs["stage"]),
        params=_text(file.attrs["params"]),
        **{name: int(file.attrs[name]) for name in numbers},
    )
    json.loads(key.params)
    return key


def _text(value: Any) -> str:
    return bytes(value).decode() if not isinstance(value, str) else value


def _strings(file: h5py.File, name: str) -> tuple[str, ...]:
    return tuple(bytes(value).decode() for value in file[name][()])


def _labels(file: h5py.File, count: int) -> tuple[dict[str, str], ...]:
    """Short strings marked as labels in the SPEC: those datasets carry the attribute `label`."""
    columns = {
        name: _strings(file, name)
        for name, member in file.items()
        if isinstance(member, h5py.Dataset) and "label" in member.attrs
    }
    return tuple({name: column[row] for name, column in columns.items()} for row in range(count))

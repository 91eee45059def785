"""Reading items of an artefact: lazily, read-only, one open file a process and shard."""

from __future__ import annotations

import json
import math
import os
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from stages.errors import InputError
from stages.stage import Arrays
from stages.store.form import ANY, Form
from stages.store.shard import FORMAT_VERSION, RESERVED, Failure, ShardKey
from stages.store.untrusted import checked_member, open_readonly

_OPEN_FILES = 32
# what h5py and the decoding of its values raise on a file that is not as we write it
_UNREADABLE = (OSError, KeyError, ValueError, RuntimeError, IndexError, TypeError, AttributeError)


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
        self._forms: dict[Path, Form] = {}
        self._pid = os.getpid()

    def __getstate__(self) -> dict[str, Any]:
        return {}  # handles never travel to another process

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__()  # type: ignore[misc]

    def read(
        self, stage: str, path: Path, row: int, item_id: str, names: tuple[str, ...] = ()
    ) -> Arrays:
        """The arrays of one item of a shard of that stage, all of them or those in `names`.

        Raises InputError if the shard is damaged, if its arrays are not those that the stage makes,
        and if the row is not that of the item.
        """
        file = self.get(stage, path)
        return read_row(file, row, path, names, item_id, self._forms[path])

    def get(self, stage: str, path: Path) -> h5py.File:
        """The file at `path`, opened and checked on first use."""
        if self._pid != os.getpid():
            self.__init__()  # type: ignore[misc]
        if path not in self._files:
            self._files[path], self._forms[path] = _opened(stage, path)
            while len(self._files) > _OPEN_FILES:
                self._close(next(iter(self._files)))
        self._files.move_to_end(path)
        return self._files[path]

    def _close(self, path: Path) -> None:
        self._files.pop(path).close()
        del self._forms[path]

    def close(self) -> None:
        """Close all files of this process."""
        for path in list(self._files):
            self._close(path)


def _opened(stage: str, path: Path) -> tuple[h5py.File, Form]:
    """The file of a shard of that stage, and what its arrays must be and are, rows aside."""
    file = open_readonly(path, "shard")
    try:
        form = Form.of(stage, _key(file, path))
        form.check(file, path)
        return file, form
    except BaseException as error:
        file.close()
        if isinstance(error, _UNREADABLE):
            raise _damaged(path, error) from error
        raise


def read_row(
    file: h5py.File,
    row: int,
    path: Path,
    names: tuple[str, ...] = (),
    item_id: str | None = None,
    form: Form = ANY,
) -> Arrays:
    """The arrays of one item (all, or those in `names`), unpacked.

    Raises InputError if the shard is damaged, if the row is not that of `item_id`, or if an array
    of any length is not of the form.
    """
    try:
        if item_id is not None and bytes(file["ids"][row]).decode() != item_id:
            raise ValueError(f"row {row} is not {item_id}")
        names = names or tuple(n for n in file if n not in RESERVED)
        form.check_row(file, row, names, path)
        return {name: _read_array(file[name], row, path) for name in names}
    except _UNREADABLE as error:
        raise _damaged(path, error) from error


def _read_array(member: h5py.Dataset | h5py.Group, row: int, path: Path) -> np.ndarray:
    if isinstance(member, h5py.Group):
        return checked_member(member, f"{row:06d}", path)[()]
    if "packed" not in member.attrs:
        return np.asarray(member[row])
    shape = tuple(int(n) for n in member.attrs["item_shape"])
    if -(-math.prod(shape) // 8) != member.shape[1]:  # numpy would fill up with zeros
        raise ValueError(f"{member.shape[1]} bytes do not hold an item of {shape} bits")
    bits = np.unpackbits(member[row], count=math.prod(shape))
    return bits.view(bool).reshape(shape)


def check_form(path: Path) -> None:
    """Raise InputError unless all arrays of a shard are such as the stage makes that it names."""
    with open_readonly(path, "shard") as file:
        try:
            key = _key(file, path)
            form = Form.of(key.stage, key)
            form.check(file, path)
            names = [name for name in file if name not in RESERVED]
            for row in range(len(file["ids"])):
                form.check_row(file, row, names, path)
        except _UNREADABLE as error:
            raise _damaged(path, error) from error


def read_content(path: Path) -> ShardContent:
    """The key, ids, fingerprints, failures and labels of a shard; InputError if it is not ours."""
    with open_readonly(path, "shard") as file:
        try:
            key = _key(file, path)
            ids, prints = _strings(file, "ids"), _strings(file, "fingerprints")
            failed = [_strings(file, n) for n in RESERVED[2:]]
            _check_counts(file, len(ids))
            _check_groups(file, path)
            failures = tuple(Failure(i, f, r) for i, f, r in zip(*failed, strict=True))
            return ShardContent(key, ids, prints, failures, _labels(file, len(ids)))
        except _UNREADABLE as error:
            raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> InputError:
    reason = (str(error) or type(error).__name__).splitlines()[0][:200]
    return InputError(f"shard {path} is damaged ({reason})", "run: crossdim verify")


def _check_counts(file: h5py.File, count: int) -> None:
    for name, member in file.items():
        rows = len(member)
        if not name.startswith("failed_") and rows != count:
            raise ValueError(f"{name} has {rows} rows, there are {count} ids")


def _check_groups(file: h5py.File, path: Path) -> None:
    """Raise InputError unless groups hold plain arrays, and nothing else."""
    for group in file.values():
        for name in group if isinstance(group, h5py.Group) else ():
            if not isinstance(checked_member(group, name, path), h5py.Dataset):
                raise InputError(f"{path}: {name!r} is no array", "this is not a crossdim shard")


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

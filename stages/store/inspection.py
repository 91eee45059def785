"""What an artefact, a file or an item holds, as plain values for people and scripts."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from stages.errors import CrossdimError, InputError
from stages.stage import Arrays
from stages.store.guarded import Limits, Refused, call_each
from stages.store.reader import read_content, read_row
from stages.store.shard import RESERVED, ShardKey, params_of
from stages.store.untrusted import checked_member, open_readonly
from stages.store.workspace import Artefact

_SHARDS_LOOKED_AT = 64
_TEXT = 80  # characters of a string that are shown
# What looking at a file of others may take.
_LIMITS = Limits(jobs=1, seconds=120.0, memory_gib=2.0)


def inspect_artefact(artefact: Artefact) -> dict[str, Any]:
    """Key, counts, bytes and arrays of an artefact.

    The arrays are those of at most 64 of its shards, evenly spread; `shards_looked_at` says of
    how many. Raises InputError if there is none.
    """
    index = artefact.index
    if index.key is None or not index.shards:
        raise InputError(f"no artefact {artefact.name}", "see: crossdim status")
    names = sorted(index.shards)
    chosen = [
        names[i] for i in np.unique(np.linspace(0, len(names) - 1, _SHARDS_LOOKED_AT, dtype=int))
    ]
    arrays = _merged(_arrays(artefact.folder / name) for name in chosen)
    return {
        "name": artefact.name,
        **_key(index.key),
        "buckets": index.key.buckets,
        "items": len(index.items()),
        "failures": len(index.failures()),
        "shards": len(names),
        "shards_looked_at": len(chosen),
        "bytes": sum(info.bytes for info in index.shards.values()),
        "arrays": arrays,
    }


def inspect_item(artefact: Artefact, item: str) -> dict[str, Any]:
    """Where an item of an artefact is, its fingerprint, labels and arrays with their values."""
    entry = artefact.entry(item)
    path = artefact.folder / entry.shard
    return {
        "name": artefact.name,
        **_item(path, item, entry.row),
        "fingerprint": entry.fingerprint,
        "labels": dict(entry.labels),
    }


def inspect_file(path: Path, item: str = "") -> dict[str, Any]:
    """What a shard or a merged file holds, or one item of it, whoever wrote it.

    The file is opened in a process of its own: one that is made to mislead may crash it, or eat
    memory. Raises InputError when there is none, or it is not one of ours or refused.
    """
    if not path.is_file():
        raise InputError(f"no file {path}", "name an artefact as STAGE/VARIANT, or a file")
    (answer,) = call_each(_inspect_file, [(path, item)], _LIMITS)
    if isinstance(answer, Refused):
        raise InputError(f"{path} cannot be looked at: {answer.reason}", "do not use this file")
    if isinstance(answer, CrossdimError):
        raise answer
    return answer


def _inspect_file(asked: tuple[Path, str]) -> dict[str, Any] | CrossdimError:
    path, item = asked
    try:
        content = read_content(path)
        head = {"name": path.name, **_key(content.key), "bytes": path.stat().st_size}
        if not item:
            return {
                **head,
                "items": len(content.ids),
                "failures": len(content.failures),
                "ids": list(content.ids[:3]),
                "arrays": _merged([_arrays(path)]),
            }
        if item not in content.ids:
            failed = {failure.id: failure.reason for failure in content.failures}
            what = f"failed: {failed[item]}" if item in failed else "is not in it"
            return InputError(f"{path}: {item} {what}", f"see: crossdim inspect {path}")
        row = content.ids.index(item)
        labels = content.labels[row]
        print_ = content.fingerprints[row]
        return {**head, **_item(path, item, row), "fingerprint": print_, "labels": labels}
    except CrossdimError as error:
        return error


def _key(key: ShardKey) -> dict[str, Any]:
    return {
        "stage": key.stage,
        "stage_version": key.stage_version,
        "params": params_of(key),
        "seed": key.seed,
    }


def _arrays(path: Path) -> dict[str, dict[str, Any]]:
    """Each array of a file: dtype, shape of its items, attributes, bytes in the file and out."""
    with open_readonly(path, "file") as file:
        return {name: _array(file[name], path) for name in file if name not in RESERVED}


def _array(member: h5py.Dataset | h5py.Group, path: Path) -> dict[str, Any]:
    ragged = isinstance(member, h5py.Group)
    datasets = list(_members(member, path)) if ragged else [member]
    if not datasets:
        return {
            "dtype": "",
            "shape": [],
            "axes": "",
            "units": "",
            "frame": "",
            "stored": 0,
            "raw": 0,
        }
    packed = not ragged and "packed" in member.attrs
    first = datasets[0]
    if packed:
        shape = [int(n) for n in first.attrs["item_shape"]]
        raw = first.shape[0] * math.prod(shape)
    else:
        raw = sum(dataset.size * dataset.dtype.itemsize for dataset in datasets)
        shape = list(first.shape if ragged else first.shape[1:])
    lengths = [dataset.shape[0] for dataset in datasets] if ragged else []
    return {
        "dtype": "bool" if packed else str(first.dtype),
        "shape": [[min(lengths), max(lengths)], *shape[1:]] if ragged else shape,
        **_attributes(first),
        "stored": sum(dataset.id.get_storage_size() for dataset in datasets),
        "raw": int(raw),
    }


def _members(group: h5py.Group, path: Path) -> Iterator[h5py.Dataset]:
    for name in group:
        member = checked_member(group, name, path)
        if not isinstance(member, h5py.Dataset):
            raise InputError(f"{path}: {name!r} is no array", "this is not a crossdim shard")
        yield member


def _attributes(dataset: h5py.Dataset) -> dict[str, str]:
    """Axes of one item, units and frame."""
    found = {}
    for name in ("axes", "units", "frame"):
        value = dataset.attrs.get(name, b"")
        found[name] = value.decode(errors="replace") if isinstance(value, bytes) else str(value)
    found["axes"] = found["axes"].removeprefix("item").removeprefix(",")
    return found


def _merged(files: Iterable[dict[str, dict[str, Any]]]) -> list[dict[str, Any]]:
    """The arrays of several files as one list: bytes added up, ranges of lengths united."""
    merged: dict[str, dict[str, Any]] = {}
    for arrays in files:
        for name, array in arrays.items():
            there = merged.setdefault(name, {"name": name, **array, "stored": 0, "raw": 0})
            there["stored"] += array["stored"]
            there["raw"] += array["raw"]
            if array["shape"] and isinstance(array["shape"][0], list):
                low, high = array["shape"][0]
                (was_low, was_high), *rest = there["shape"]
                there["shape"] = [[min(low, was_low), max(high, was_high)], *rest]
    for array in merged.values():
        array["ratio"] = round(array["raw"] / array["stored"], 2) if array["stored"] else None
    return list(merged.values())


def _item(path: Path, item: str, row: int) -> dict[str, Any]:
    with open_readonly(path, "file") as file:
        arrays = read_row(file, row, path, item_id=item)
        described = [_values(name, file[name], row, arrays, path) for name in arrays]
    return {"item": item, "file": path.name, "row": row, "arrays": described}


def _values(
    name: str, member: h5py.Dataset | h5py.Group, row: int, arrays: Arrays, path: Path
) -> dict[str, Any]:
    value = arrays[name]
    dataset = member
    if isinstance(member, h5py.Group):
        dataset = checked_member(member, f"{row:06d}", path)
        stored = dataset.id.get_storage_size()
    else:
        stored = dataset.id.get_chunk_info_by_coord((row, *(0,) * (dataset.ndim - 1))).size
    described = {
        "name": name,
        "dtype": str(value.dtype if value.dtype.kind == "b" else dataset.dtype),
        "shape": list(value.shape),
        **_attributes(dataset),
        "stored": stored,
        "raw": value.nbytes,
        "ratio": round(value.nbytes / stored, 2) if stored else None,
    }
    return {**described, **_summary(value)}


def _summary(value: np.ndarray) -> dict[str, Any]:
    """Least, greatest and mean of the numbers that are known; the text of a string."""
    if value.dtype.kind == "S":
        texts = [bytes(v).decode(errors="replace") for v in value.reshape(-1)[:3]]
        return {"text": ", ".join(texts)[:_TEXT]}
    known = value[np.isfinite(value)] if value.dtype.kind == "f" else value
    if known.size == 0 or value.dtype.kind not in "biuf":
        return {}
    return {
        "min": known.min().item(),
        "max": known.max().item(),
        "mean": float(known.mean(dtype=np.float64)),
        **({"unknown": int(value.size - known.size)} if known.size < value.size else {}),
    }

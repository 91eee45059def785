"""One shard: a complete HDF5 file of the items of one bucket, built in memory.

Layout, readable with plain h5py:

    attributes   format, format_version, stage, stage_version, params (JSON), seed, bucket,
                 buckets, generation
    ids          (n,) item ids; fingerprints (n,)
    <array>      (n, ...) one dataset an array, first axis the items, one item a chunk;
                 for arrays whose length differs from item to item a group with one dataset an
                 item, named by its row: 000000, 000001, ...
    failed_ids, failed_fingerprints, failed_reasons   (m,) the items that could not be processed

Every dataset is chunked and carries fletcher32, strings have fixed length, metadata is checksummed
(libver v110), there are no time stamps: equal content is an equal file, and bit rot is noticed.
`generation` settles which shard counts where two hold the same id: the higher one.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np

from stages.errors import CrossdimError, ItemError
from stages.stage import Arrays, ArraySpec
from stages.store.fingerprint import canonical_json, digest

FORMAT_VERSION = 1
LIBVER = ("v110", "v110")
RESERVED = ("ids", "fingerprints", "failed_ids", "failed_fingerprints", "failed_reasons")
SHARD_NAME = re.compile(r"shard-(\d{4})-([0-9a-f]{32})\.h5")  # bucket, digest: see shard_name
_REASON_BYTES = 400
_STRINGS = 4096  # ids in a chunk at most
_BIT_ORDER = "most significant bit first, C order"


@dataclass(frozen=True)
class ShardKey:
    """What every shard of an artefact says about itself, and its place among them."""

    stage: str
    stage_version: int
    params: str  # canonical JSON
    seed: int
    bucket: int
    buckets: int
    generation: int = 0

    def attributes(self) -> dict[str, Any]:
        """The root attributes of the file, strings at fixed length."""
        return {
            "format": np.bytes_(f"crossdim/{self.stage}"),
            "format_version": FORMAT_VERSION,
            **{k: np.bytes_(v) if isinstance(v, str) else v for k, v in self.__dict__.items()},
        }


@dataclass(frozen=True)
class Failure:
    """An item that could not be processed, and why."""

    id: str
    fingerprint: str
    reason: str


@dataclass(frozen=True)
class Encoded:
    """A processed item: its arrays as a one-item HDF5 file, filters already applied."""

    id: str
    fingerprint: str
    data: bytes


def shard_name(bucket: int, data: bytes) -> str:
    """The file name that carries the bucket and the digest of the bytes."""
    return f"shard-{bucket:04d}-{digest(data)}.h5"


def encode_item(
    spec: Mapping[str, ArraySpec], arrays: Arrays, params: Mapping[str, Any] | None = None
) -> bytes:
    """The arrays of one item as a one-item file, checked against the stage's SPEC.

    Raises ItemError when a name, dtype or shape is not what SPEC says of these parameters, when a
    float array holds infinity, or NaN that does not stand for unknown, or when one that is not
    ragged is empty: such a result must never reach the cache.
    """
    if set(arrays) != set(spec):
        raise ItemError(f"the stage returned {sorted(arrays)}, its SPEC names {sorted(spec)}")
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", libver=LIBVER) as file:
        for name, array_spec in spec.items():
            value = _checked(name, array_spec, np.asarray(arrays[name]), params or {})
            if array_spec.ragged:
                _create(file, f"{name}/000000", value, value.shape, array_spec)
            else:
                row = np.packbits(value.reshape(-1)) if array_spec.packed else value
                dataset = _create(file, name, row[None], (1, *row.shape), array_spec)
                if array_spec.label:
                    dataset.attrs["label"] = np.uint8(1)
                if array_spec.packed:
                    dataset.attrs["packed"] = np.bytes_(_BIT_ORDER)
                    dataset.attrs["item_shape"] = np.array(value.shape, np.int64)
    return buffer.getvalue()


def _checked(
    name: str, spec: ArraySpec, value: np.ndarray, params: Mapping[str, Any]
) -> np.ndarray:
    wanted = np.dtype(spec.dtype)
    if wanted.kind == "S":
        if value.dtype.kind != "S" or value.dtype.itemsize > wanted.itemsize:
            raise ItemError(f"array {name} is {value.dtype}, expected at most {wanted}")
        value = value.astype(wanted)
        if spec.label and not _is_text(value.tobytes()):
            raise ItemError(f"label {name} is not UTF-8 text")
    if value.dtype != wanted:
        raise ItemError(f"array {name} is {value.dtype}, expected {wanted}")
    if value.ndim != len(spec.axes):
        raise ItemError(f"array {name} has shape {value.shape}, expected axes {spec.axes}")
    if not spec.fits(value.dtype, value.shape, params):
        raise ItemError(f"array {name} has shape {value.shape}, expected {spec.form(params)}")
    if value.size == 0 and not spec.ragged:
        raise ItemError(f"array {name} is empty, its shape is {value.shape}")
    if wanted.kind in "fc" and (np.isinf if spec.unknown else _not_finite)(value).any():
        raise ItemError(f"array {name} holds NaN or infinite values")
    return value


def _not_finite(value: np.ndarray) -> np.ndarray:
    return ~np.isfinite(value)


def _is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _create(
    group: h5py.Group, name: str, data: np.ndarray, shape: tuple[int, ...], spec: ArraySpec
) -> h5py.Dataset:
    """A chunked, checksummed dataset: the whole of `shape` in one chunk."""
    dataset = group.create_dataset(
        name,
        data=data,
        shape=shape,
        chunks=tuple(max(1, n) for n in shape),
        maxshape=tuple(None if n == 0 else n for n in shape),
        fletcher32=True,
        shuffle=spec.compress > 0 and np.dtype(spec.dtype).itemsize > 1 and spec.dtype[0] != "S",
        compression="gzip" if spec.compress else None,
        compression_opts=spec.compress or None,
    )
    _describe(dataset, spec)
    return dataset


def _describe(target: h5py.Dataset, spec: ArraySpec) -> None:
    axes = spec.axes if spec.ragged else ("item", *spec.axes)
    target.attrs["axes"] = np.bytes_(",".join(axes))
    target.attrs["units"] = np.bytes_(spec.units or "none")
    target.attrs["frame"] = np.bytes_(spec.frame or "none")


def build_shard(key: ShardKey, items: Sequence[Encoded], failures: Sequence[Failure] = ()) -> bytes:
    """The bytes of a shard: items and failures in the order of their ids.

    Compressed chunks are copied as they are, so the workers that encoded the items have done the
    dear part.
    """
    items = sorted(items, key=lambda item: item.id)
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", libver=LIBVER) as file:
        write_head(file, key, [(item.id, item.fingerprint) for item in items], failures)
        copier = Copier(file, len(items))
        for row, item in enumerate(items):
            with h5py.File(io.BytesIO(item.data), "r") as source:
                copier.copy(source, [(0, row)])
    return buffer.getvalue()


def write_head(
    file: h5py.File,
    key: ShardKey,
    items: Sequence[tuple[str, str]],
    failures: Sequence[Failure],
) -> None:
    """All of a file but its arrays; `items` are (id, fingerprint), in the order of the rows."""
    failures = sorted(failures, key=lambda failure: failure.id)
    file.attrs.update(key.attributes())
    _strings(file, "ids", [item for item, _ in items])
    _strings(file, "fingerprints", [fingerprint for _, fingerprint in items])
    _strings(file, "failed_ids", [failure.id for failure in failures])
    _strings(file, "failed_fingerprints", [failure.fingerprint for failure in failures])
    _strings(file, "failed_reasons", [_clipped(failure.reason) for failure in failures])


def extract_item(source: h5py.File, row: int) -> bytes:
    """One item of a shard as a one-item file, as `encode_item` gives it; nothing is decoded."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", libver=LIBVER) as file:
        Copier(file, 1).copy(source, [(row, 0)])
    return buffer.getvalue()


class Copier:
    """Copies the compressed chunks of items into `target`, a file of `count` items."""

    def __init__(self, target: h5py.File, count: int) -> None:
        self._target, self._count = target, count
        self._made: dict[str, tuple[h5py.h5d.DatasetID, tuple[str, tuple[int, ...]]]] = {}
        self._groups: dict[str, h5py.Group] = {}

    def copy(self, source: h5py.File, rows: Sequence[tuple[int, int]]) -> None:
        """Copy items of `source`; `rows` are pairs of a row there and the row here.

        Raises CrossdimError where an array has another dtype or shape than that of other items.
        """
        for name, member in source.items():
            if name in RESERVED:
                continue
            if isinstance(member, h5py.Group):
                group = self._groups.get(name) or self._target.require_group(name)
                self._groups[name] = group
                for there, here in rows:
                    h5py.h5o.copy(member.id, b"%06d" % there, group.id, b"%06d" % here)
            else:
                made = self._like(name, member)
                origin = (0,) * (member.ndim - 1)
                for there, here in rows:
                    mask, chunk = member.id.read_direct_chunk((there, *origin))
                    made.write_direct_chunk((here, *origin), chunk, mask)

    def _like(self, name: str, member: h5py.Dataset) -> h5py.h5d.DatasetID:
        """The dataset `name` of the target, created as `member` is when it is the first."""
        form = _form(member)
        if name not in self._made:
            self._made[name] = (_like(self._target, name, member, self._count).id, form)
        made, wanted = self._made[name]
        if form != wanted:
            raise CrossdimError(
                f"array {name} of stage {_stage_of(self._target)} is {form} for one item and "
                f"{wanted} for another",
                "mark it ragged in the SPEC of that stage",
            )
        return made


def _form(dataset: h5py.Dataset) -> tuple[str, tuple[int, ...]]:
    """The dtype and shape that every item of a dataset has."""
    shape = dataset.attrs.get("item_shape", dataset.shape[1:])
    return str(dataset.dtype), tuple(int(n) for n in shape)


def _stage_of(file: h5py.File) -> str:
    return bytes(file.attrs["stage"]).decode()


def _like(target: h5py.File, name: str, source: h5py.Dataset, count: int) -> h5py.Dataset:
    """Create `name` as `source` is, for `count` items."""
    created = target.create_dataset(
        name,
        shape=(count, *source.shape[1:]),
        dtype=source.dtype,
        chunks=source.chunks,
        fletcher32=source.fletcher32,
        shuffle=source.shuffle,
        compression=source.compression,
        compression_opts=source.compression_opts,
    )
    created.attrs.update(source.attrs)
    return created


def _strings(file: h5py.File, name: str, values: Sequence[str]) -> None:
    encoded = [value.encode() for value in values]
    width = max([len(value) for value in encoded], default=1)
    dtype = h5py.string_dtype("utf-8", max(1, width))
    file.create_dataset(
        name,
        data=np.array(encoded, dtype),
        shape=(len(encoded),),
        # one chunk in a shard; in a merged file a row must not cost the reading of them all
        chunks=(max(1, min(_STRINGS, len(encoded))),),
        maxshape=(None,) if not encoded else (len(encoded),),
        fletcher32=True,
    )


def _clipped(reason: str) -> str:
    """One printable line of at most 400 bytes: reasons come from files of others."""
    line = "".join(c if c.isprintable() else " " for c in reason)
    line = " ".join(line.split()) or "no reason given"
    return line.encode()[:_REASON_BYTES].decode(errors="ignore")


def make_key(
    stage: str, version: int, params: Mapping[str, Any], seed: int, buckets: int
) -> ShardKey:
    """The key of an artefact, for bucket 0 and generation 0."""
    return ShardKey(stage, version, canonical_json(dict(params)), seed, 0, buckets)


def params_of(key: ShardKey) -> dict[str, Any]:
    """The parameters in a key."""
    return json.loads(key.params)

"""Opening HDF5 files: read-only, and never following a path that leaves the file.

External links, soft links, external storage and virtual datasets would let a file from somebody
else read files of ours; they are refused by name. So is what makes HDF5 hang or hand out what
nobody wrote: strings of variable length, references, chunks that are not there (they would read as
fill values, however many they are said to be).
"""

from __future__ import annotations

import math
from pathlib import Path

import h5py

from stages.errors import InputError

# A dataset may not declare more than this for one chunk, whatever its file says.
MAX_CHUNK_BYTES = 4 << 30
_MAX_ATTRIBUTE_BYTES = 64 << 10
_PLAIN = "biufcS"  # kinds of numbers, and of strings of a fixed length


def open_readonly(path: Path, what: str) -> h5py.File:
    """The open file, its direct members checked; InputError names a damaged or hostile one."""
    try:
        file = h5py.File(path, "r", locking=False)
    except FileNotFoundError:
        raise InputError(f"{what} {path} is missing", "run: crossdim verify") from None
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0][:200]
        raise InputError(
            f"{what} {path} is damaged or no HDF5 file ({reason})", "run: crossdim verify"
        ) from None
    try:
        try:
            _check_attributes(file, "/", path)
        except (OSError, RuntimeError, ValueError, TypeError) as error:
            raise InputError(f"{path} is damaged", "run: crossdim verify") from error
        check_members(file, path)
    except BaseException:
        file.close()
        raise
    return file


def check_members(group: h5py.Group, path: Path) -> None:
    """Raise InputError unless every direct member is a hard link to plain, chunked data."""
    try:
        names = list(group)
    except (OSError, RuntimeError) as error:
        raise InputError(f"{path} is damaged", "run: crossdim verify") from error
    for name in names:
        member = checked_member(group, name, path)
        if not isinstance(member, (h5py.Dataset, h5py.Group)):
            raise InputError(f"{path}: {name!r} is no array", "this is not a crossdim shard")


def checked_member(group: h5py.Group, name: str, path: Path) -> h5py.Dataset | h5py.Group:
    """The direct member `name`, after the checks of `check_members`."""
    try:
        link = group.get(name, getlink=True)
        if not isinstance(link, h5py.HardLink):
            raise InputError(
                f"{path} holds a link out of its own tree: {name!r}", "do not use this file"
            )
        member = group[name]
        _check_attributes(member, name, path)
        if isinstance(member, h5py.Dataset):
            _check_dataset(member, name, path)
    except (OSError, LookupError, RuntimeError, ValueError, TypeError) as error:
        raise InputError(f"{path} is damaged at {name!r}", "run: crossdim verify") from error
    return member


def _check_attributes(of: h5py.Group | h5py.Dataset, name: str, path: Path) -> None:
    """Raise InputError unless all attributes are short, of numbers or strings of fixed length."""
    for number in range(h5py.h5a.get_num_attrs(of.id)):
        attribute = h5py.h5a.open(of.id, index=number)
        size = attribute.dtype.itemsize * math.prod(attribute.shape)
        if attribute.dtype.kind not in _PLAIN or size > _MAX_ATTRIBUTE_BYTES:
            raise InputError(
                f"{path}: {name!r} has an attribute that is no number or short text",
                "do not use this file",
            )


def _check_dataset(dataset: h5py.Dataset, name: str, path: Path) -> None:
    if dataset.is_virtual or dataset.external:
        raise InputError(f"{path} takes {name!r} from other files", "do not use this file")
    if dataset.dtype.kind not in _PLAIN:
        raise InputError(f"{path}: {name!r} is no array of numbers", "do not use this file")
    if not dataset.chunks or not dataset.fletcher32:
        raise InputError(f"{path}: {name!r} carries no checksum", "this is not a crossdim shard")
    size = dataset.dtype.itemsize
    for length in dataset.chunks:
        size *= length
    if size > MAX_CHUNK_BYTES:
        raise InputError(f"{path}: {name!r} declares {size} bytes a chunk", "do not use this file")
    wanted = math.prod(-(-n // c) for n, c in zip(dataset.shape, dataset.chunks))
    held = dataset.id.get_num_chunks()
    if held != wanted:
        raise InputError(
            f"{path}: {name!r} holds {held} of {wanted} chunks", "do not use this file"
        )

"""Opening HDF5 files: read-only, and never following a path that leaves the file.

External links, soft links, external storage and virtual datasets would let a file from somebody
else read files of ours; they are refused by name.
"""

from __future__ import annotations

from pathlib import Path

import h5py

from stages.errors import InputError

# A dataset may not declare more than this for one chunk, whatever its file says.
MAX_CHUNK_BYTES = 4 << 30


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
    except (OSError, KeyError, RuntimeError) as error:
        raise InputError(f"{path} is damaged at {name!r}", "run: crossdim verify") from error
    if isinstance(member, h5py.Dataset):
        _check_dataset(member, name, path)
    return member


def _check_dataset(dataset: h5py.Dataset, name: str, path: Path) -> None:
    if dataset.is_virtual or dataset.external:
        raise InputError(f"{path} takes {name!r} from other files", "do not use this file")
    if not dataset.chunks or not dataset.fletcher32:
        raise InputError(f"{path}: {name!r} carries no checksum", "this is not a crossdim shard")
    size = dataset.dtype.itemsize
    for length in dataset.chunks:
        size *= length
    if size > MAX_CHUNK_BYTES:
        raise InputError(f"{path}: {name!r} declares {size} bytes a chunk", "do not use this file")

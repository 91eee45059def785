"""The only way in which bytes get into the workspace: all of them, or none.

A commit is: an exclusive temporary name in the same folder, one write, fsync, `os.replace`, fsync
of the folder. A kill at any moment leaves the state before or the state after, and at worst a
temporary file that `sweep` removes a day later.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from stages.errors import CrossdimError, InputError

TEMPORARY = ".tmp-"
_STALE_SECONDS = 24 * 3600


def commit_bytes(path: Path, data: bytes) -> None:
    """Make `path` hold exactly `data`, durably, or leave what was there and raise.

    Raises CrossdimError when the disk is full or the folder cannot be written.
    """
    _commit(path, lambda handle: _write(handle, data))


def commit_stream(path: Path, fill: Callable[[Sink], None]) -> None:
    """`commit_bytes` of what does not fit into memory: `fill` writes it to the Sink it is given."""

    def write(handle: int) -> None:
        sink = Sink(handle)
        try:
            fill(sink)
        finally:
            sink.check()  # whatever else went wrong followed from this

    _commit(path, write)


def _commit(path: Path, write: Callable[[int], None]) -> None:
    temporary = _temporary(path)
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
    try:
        handle = os.open(temporary, flags, 0o644)
    except OSError as error:  # whatever is there under that name is not ours to remove
        raise explained(error, path) from error
    try:
        try:
            write(handle)
            os.fsync(handle)
        finally:
            os.close(handle)
        os.replace(temporary, path)
        _sync_folder(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise explained(error, path) from error
    except BaseException:  # Ctrl-C between the steps must not leave the temporary behind
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


class Sink(io.RawIOBase):
    """The file of a commit, for writers such as HDF5 that do not survive an error of writing.

    HDF5 ends the process when it cannot write what it still holds on closing a file. So it is told
    of no error: from the first one on, what it writes is kept in memory, where it reads it again.
    Whoever fills the file calls `check` now and then, to stop; the commit calls it at the end.
    """

    def __init__(self, handle: int) -> None:
        self._handle = handle
        self._place = 0
        self._error: BaseException | None = None
        self._lost: list[tuple[int, bytes]] = []  # place, what could not be written

    def check(self) -> None:
        """Raise the error that has been held back, if there is one."""
        if self._error is not None:
            raise self._error

    def readable(self) -> bool:
        """It is."""
        return True

    def writable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Set the place of the next read or write."""
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: self._size()}[whence]
        self._place = start + offset
        return self._place

    def tell(self) -> int:
        """The place of the next read or write."""
        return self._place

    def _size(self) -> int:
        lost = (place + len(data) for place, data in self._lost)
        return max([os.fstat(self._handle).st_size, *lost])

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer from here on; returns how much of it, as far as there is anything."""
        view = memoryview(buffer).cast("B")
        count = max(0, min(len(view), self._size() - self._place))
        view[:count] = os.pread(self._handle, count, self._place).ljust(count, b"\0")
        for place, data in self._lost:
            start = max(place, self._place)
            stop = min(place + len(data), self._place + count)
            if start < stop:
                view[start - self._place : stop - self._place] = data[start - place : stop - place]
        self._place += count
        return count

    def write(self, data: Any) -> int:
        """Write all of it, in memory once a write has failed."""
        view = memoryview(data).cast("B")
        if self._error is None:
            try:
                os.lseek(self._handle, self._place, os.SEEK_SET)
                _write(self._handle, view)
            except BaseException as error:  # Ctrl-C, too, must not end a write halfway
                self._error = error
        if self._error is not None:
            self._lost.append((self._place, bytes(view)))
        self._place += len(view)
        return len(view)

    def truncate(self, size: int | None = None) -> int:
        """Cut the file, or fill it up with zeros."""
        size = self._place if size is None else size
        if self._error is None:
            try:
                os.ftruncate(self._handle, size)
            except BaseException as error:
                self._error = error
        return size


def discard(path: Path, unless: Callable[[Path], bool]) -> None:
    """Remove `path` for good, but put it back where `unless(a name it has meanwhile)` holds.

    Another process may commit to `path` at any moment; what it put there is looked at under a
    temporary name, so that nothing is removed that was not looked at.
    """
    aside = _temporary(path)
    keep = True
    try:
        os.replace(path, aside)
        try:
            keep = unless(aside)
        finally:
            if keep:
                os.replace(aside, path)
            else:
                os.unlink(aside)
    except FileNotFoundError:
        return
    except OSError as error:
        raise explained(error, path) from error


def _temporary(path: Path) -> Path:
    return path.parent / f"{TEMPORARY}{path.name}-{os.getpid()}-{secrets.token_hex(4)}"


def _write(handle: int, data: bytes | memoryview) -> None:
    view = memoryview(data)
    while view:  # a signal or a nearly full disk may make a write short
        view = view[os.write(handle, view) :]


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def explained(error: OSError, path: Path) -> CrossdimError:
    """What the user is told when `path` cannot be written."""
    hints = {
        errno.ENOSPC: "free some space, then run the same command again: finished work is kept",
        errno.EDQUOT: "free some of your quota, then run the same command again",
        errno.EFBIG: "raise the file size limit (ulimit -f), then run the same command again",
        errno.EACCES: "make the workspace writable, or choose another with --workspace",
        errno.EPERM: "make the workspace writable, or choose another with --workspace",
        errno.EROFS: "choose a writable folder with --workspace",
    }
    reason = error.strerror or str(error)
    return CrossdimError(
        f"cannot write {path}: {reason}",
        hints.get(error.errno or 0, "mend that, then run the same command again"),
    )


def stale_temporaries(folder: Path) -> list[Path]:
    """Temporary files that a killed process left in the folder more than a day ago."""
    found = []
    for path in sorted(folder.glob(f"{TEMPORARY}*")):
        with contextlib.suppress(OSError):
            if time.time() - path.lstat().st_mtime > _STALE_SECONDS:
                found.append(path)
    return found


def sweep(folder: Path) -> list[Path]:
    """Remove the stale temporaries of the folder; return them."""
    removed = []
    for path in stale_temporaries(folder):
        with contextlib.suppress(OSError):
            path.unlink()
            removed.append(path)
    return removed


def make_folder(path: Path) -> None:
    """Create `path` and its parents, or say in two lines why nothing can be written there."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise CrossdimError(
            f"{path} is in the way: a folder is needed there", "move it, or choose --workspace"
        ) from error
    except OSError as error:
        raise explained(error, path) from error
    if not os.access(path, os.W_OK | os.X_OK):  # before hours of work, not after
        raise explained(PermissionError(errno.EACCES, os.strerror(errno.EACCES)), path)


def check_folder(path: Path) -> None:
    """Say before the work, not after it, that the folder `path` cannot be made, or written to.

    Makes nothing. Raises CrossdimError.
    """
    there = next(folder for folder in (path, *path.absolute().parents) if folder.exists())
    if not there.is_dir():
        raise CrossdimError(
            f"{there} is in the way: a folder is needed there", "move it, or choose --workspace"
        )
    if not os.access(there, os.W_OK | os.X_OK):
        raise explained(PermissionError(errno.EACCES, os.strerror(errno.EACCES)), path)


def check_target(path: Path) -> None:
    """`check_folder` for a file at `path`, whose folder must be there."""
    if path.is_dir():
        raise explained(IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR)), path)
    if not path.parent.exists():
        raise InputError(f"no folder {path.parent}", f"mkdir -p {path.parent}")
    check_folder(path.parent)

"""The only way in which bytes get into the workspace: all of them, or none.

A commit is: an exclusive temporary name in the same folder, one write, fsync, `os.replace`, fsync
of the folder. A kill at any moment leaves the state before or the state after, and at worst a
temporary file that `sweep` removes a day later.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import time
from collections.abc import Callable
from pathlib import Path

from stages.errors import CrossdimError

TEMPORARY = ".tmp-"
_STALE_SECONDS = 24 * 3600


def commit_bytes(path: Path, data: bytes) -> None:
    """Make `path` hold exactly `data`, durably, or leave what was there and raise.

    Raises CrossdimError when the disk is full or the folder cannot be written.
    """
    temporary = _temporary(path)
    try:
        _write(temporary, data)
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


def _write(temporary: Path, data: bytes) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
    handle = os.open(temporary, flags, 0o644)
    try:
        view = memoryview(data)
        while view:  # a signal or a nearly full disk may make a write short
            view = view[os.write(handle, view) :]
        os.fsync(handle)
    finally:
        os.close(handle)


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


def sweep(folder: Path) -> list[Path]:
    """Remove temporary files that a killed process left more than a day ago; return them."""
    removed = []
    for path in folder.glob(f"{TEMPORARY}*"):
        with contextlib.suppress(OSError):
            if time.time() - path.lstat().st_mtime > _STALE_SECONDS:
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

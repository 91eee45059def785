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
from pathlib import Path

from stages.errors import CrossdimError

TEMPORARY = ".tmp-"
_STALE_SECONDS = 24 * 3600


def commit_bytes(path: Path, data: bytes) -> None:
    """Make `path` hold exactly `data`, durably, or leave what was there and raise.

    Raises CrossdimError when the disk is full or the folder cannot be written.
    """
    temporary = path.parent / f"{TEMPORARY}{path.name}-{os.getpid()}-{secrets.token_hex(4)}"
    try:
        _write(temporary, data)
        os.replace(temporary, path)
        _sync_folder(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise _explained(error, path) from error
    except BaseException:  # Ctrl-C between the steps must not leave the temporary behind
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


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


def _explained(error: OSError, path: Path) -> CrossdimError:
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
    """Create `path` and its parents, or say in two lines why that cannot be."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise CrossdimError(
            f"{path} is in the way: a folder is needed there", "move it, or choose --workspace"
        ) from error
    except OSError as error:
        raise _explained(error, path) from error

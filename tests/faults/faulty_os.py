"""The `os` that `stages.store.commit` sees while a fault is injected: it counts the steps."""

from __future__ import annotations

import errno
import os
import signal
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

KILL = "kill"  # SIGKILL instead of the step
TEAR = "tear"  # half of a write, then SIGKILL
POWER = "power"  # SIGKILL, and what was not synchronised is lost
ONCE = "once"  # one error, ENOSPC and EIO by turns
ALWAYS = "always"  # that error, and every later step fails too
MODES = (KILL, TEAR, POWER, ONCE, ALWAYS)
DEADLY = (KILL, TEAR, POWER)


@dataclass
class FaultyOs:
    """`os`, with a fault at step `at` (1, 2, ...) of those that change files; 0 for none."""

    mode: str = KILL
    at: int = 0
    trace: list[str] = field(default_factory=list)
    fired: bool = False
    _paths: dict[int, Path] = field(default_factory=dict)
    _unsynced: set[Path] = field(default_factory=set)  # files
    _renames: list[tuple[Path, bytes | None]] = field(default_factory=list)  # target, old bytes

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    @property
    def is_durable(self) -> bool:
        """Whether a power cut now would change nothing."""
        return not (self._unsynced or self._renames)

    def open(self, path: Path, flags: int, mode: int = 0o777) -> int:
        self._step("open")
        handle = os.open(path, flags, mode)
        self._paths[handle] = Path(path)
        return handle

    def write(self, handle: int, data: memoryview) -> int:
        self._step("write", handle, data)
        self._unsynced.add(self._paths[handle])
        return os.write(handle, data)

    def fsync(self, handle: int) -> None:
        self._step("fsync")
        path = self._paths[handle]
        os.fsync(handle)
        self._unsynced.discard(path)
        self._renames = [(target, old) for target, old in self._renames if target.parent != path]

    def close(self, handle: int) -> None:
        self._step("close")
        os.close(handle)
        del self._paths[handle]

    def replace(self, source: Path, target: Path) -> None:
        self._step("replace")
        self._renames.append((target, target.read_bytes() if target.exists() else None))
        os.replace(source, target)
        if source in self._unsynced:
            self._unsynced.remove(source)
            self._unsynced.add(target)

    def unlink(self, path: Path) -> None:
        self._step("unlink")
        os.unlink(path)
        self._unsynced.discard(path)

    def _step(self, kind: str, handle: int = -1, data: memoryview | None = None) -> None:
        self.trace.append(kind)
        if self.at != len(self.trace) and not (self.mode == ALWAYS and self.fired):
            return
        if self.mode == TEAR:
            if data is None:
                return  # a kill there is the business of KILL
            os.write(handle, data[: len(data) // 2])
        self.fired = True
        if self.mode == POWER:
            self._lose_unsynced()
        if self.mode in DEADLY:
            os.kill(os.getpid(), signal.SIGKILL)
        code = errno.ENOSPC if self.at % 2 else errno.EIO
        raise OSError(code, os.strerror(code))

    def _lose_unsynced(self) -> None:
        """What a power cut may do at worst: tear unsynchronised files, undo renames."""
        for target, old in reversed(self._renames):
            if target in self._unsynced:
                continue  # the rename reached the disk, the content did not: torn below
            target.unlink()
            if old is not None:
                target.write_bytes(old)
        for path in self._unsynced:
            os.truncate(path, path.stat().st_size // 2)

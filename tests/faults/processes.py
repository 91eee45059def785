"""Which processes of a session are still there."""

from __future__ import annotations

import os
import time
from pathlib import Path


def alive_in_session(session: int) -> list[int]:
    """Process ids of a session, from /proc; those that only wait to be reaped are dead."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            # the name in brackets may hold anything; state, parent, group, session follow it
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:  # it ended meanwhile
            continue
        if int(fields[3]) == session and fields[0] not in "ZX":
            found.append(int(path.parent.name))
    return found


def outliving(session: int, seconds: float) -> list[int]:
    """What of a session is still alive after so long; looks often, returns as soon as none is."""
    deadline = time.monotonic() + seconds
    while left := alive_in_session(session):
        if time.monotonic() > deadline:
            return left
        time.sleep(0.02)
    return []


def patience() -> float:
    """Within how many seconds a command has to stop: five, where it has a core to itself."""
    return 5.0 * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))

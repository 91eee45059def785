"""S10: a run on this machine listens on no port. Ray's token: `tests/engine/test_ray.py` (slow)."""

from __future__ import annotations

import contextlib
import os
import socket
from pathlib import Path

import pytest

from stages.engine.pools import Limits
from stages.engine.runner import Progress, execute
from tests.engine import fake

LISTEN = "0A"
pytestmark = pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="needs /proc")


def family(root: int) -> list[int]:
    """A process and all that descend from it."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])
        except OSError:  # it ended meanwhile
            continue
    found = [root]
    for pid in found:
        found += [child for child, parent in parents.items() if parent == pid]
    return found


def listening(pid: int) -> set[str]:
    """The addresses, as /proc has them, on which these processes listen."""
    rows = {}
    for name in ("tcp", "tcp6"):
        path = Path(f"/proc/net/{name}")
        for line in path.read_text().splitlines()[1:] if path.exists() else ():
            fields = line.split()
            if fields[3] == LISTEN:
                rows[f"socket:[{fields[9]}]"] = fields[1]
    held = set()
    for one in family(pid):
        for link in Path(f"/proc/{one}/fd").glob("*"):
            with contextlib.suppress(OSError):  # it ended meanwhile, or closed a file
                held.add(os.readlink(link))
    return {rows[link] for link in held & rows.keys()}


def test_the_search_finds_a_port() -> None:
    before = listening(os.getpid())
    with socket.create_server(("127.0.0.1", 0)):
        assert len(listening(os.getpid()) - before) == 1


def test_a_local_run_listens_nowhere(tmp_path: Path) -> None:
    before = listening(os.getpid())
    seen: list[set[str]] = []
    sizes: list[int] = []

    def look(progress: Progress) -> None:
        seen.append(listening(os.getpid()) - before)
        sizes.append(len(family(os.getpid())))

    plan = fake.plan_of(tmp_path, [f"toy/{n}" for n in range(8)])
    execute(plan, fake.STAGE, fake.Params(), Limits(jobs=2), look)
    assert max(sizes) >= 3  # its workers were there to be seen
    assert seen == [set()] * 8

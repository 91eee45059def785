"""S10: what runs on one machine opens no port, and reaches no other machine.

An audit hook in every Python process of the command notes each bind, each connection and each
name that is looked up; sockets of C libraries are looked for in /proc while the command runs.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.attacks.make_hook import HOOK

REPOSITORY = Path(__file__).parents[2]
PROGRAM = """
from pathlib import Path
from crossdim_cli.main import run
from tests.train import toy

if __name__ == "__main__":
    place = ["--workspace", "workspace"]
    line = "shapes generate --count 3 --category chair --jobs 2".split()
    assert run([*line, *place]) == 0
    assert run(["status", *place]) in (0, 1)
    toy.train_toy(toy.new_run(Path("workspace")), toy.ToyParams(steps=2))
"""
_LISTEN = "0A"


def listeners(process: psutil.Process) -> set[str]:
    """Sockets of a process and its children that wait for connections, as /proc tells."""
    waiting = {
        fields[9]
        for table in ("tcp", "tcp6")
        if Path(f"/proc/net/{table}").exists()
        for fields in map(str.split, Path(f"/proc/net/{table}").read_text().splitlines()[1:])
        if fields[3] == _LISTEN
    }
    found = set()
    for one in (process, *process.children(recursive=True)):
        try:
            for entry in Path(f"/proc/{one.pid}/fd").iterdir():
                target = os.readlink(entry)
                if target.startswith("socket:[") and target[8:-1] in waiting:
                    found.add(f"{one.pid} {target}")
        except (OSError, psutil.Error):
            continue
    return found


def watched(program: str, log: Path, folder: Path) -> tuple[int, set[str], list[list[str]]]:
    """Exit code of a Python program, its listeners, and what the hook noted."""
    hook = folder / "hook"
    hook.mkdir(exist_ok=True)
    (hook / "sitecustomize.py").write_text(HOOK)
    environment = {**os.environ, "PYTHONPATH": f"{hook}:{REPOSITORY}", "ATTACK_LOG": str(log)}
    process = subprocess.Popen([sys.executable, "-c", program], env=environment, cwd=folder)
    seen: set[str] = set()
    while process.poll() is None:
        try:
            seen |= listeners(psutil.Process(process.pid))
            process.wait(timeout=0.1)
        except (psutil.NoSuchProcess, subprocess.TimeoutExpired):
            continue
    noted = [json.loads(line) for line in log.read_text().splitlines()]
    return process.returncode, seen, noted


@pytest.mark.skipif(sys.platform != "linux", reason="/proc/net is Linux's")
def test_the_watch_sees_a_listener(tmp_path: Path) -> None:
    program = (
        "import socket, time\ns = socket.socket()\ns.bind(('127.0.0.1', 0))\ns.listen()\n"
        "time.sleep(1.5)"
    )
    code, seen, noted = watched(program, tmp_path / "log", tmp_path)
    assert code == 0
    assert seen
    assert [event for event, _ in noted if event == "socket.bind"]


@pytest.mark.skipif(sys.platform != "linux", reason="/proc/net is Linux's")
def test_a_local_pipeline_opens_no_port(tmp_path: Path) -> None:
    code, seen, noted = watched(PROGRAM, tmp_path / "log", tmp_path)
    assert code == 0
    assert seen == set()
    assert len({pid for event, pid in noted if event == "start"}) > 3  # workers were watched, too
    assert [event for event in noted if event[0] != "start"] == []

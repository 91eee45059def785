"""A command that is killed at any moment damages nothing, leaves no process, and carries on."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from stages.store.index import verify
from tests.engine.fake import artefact_of
from tests.faults.command import REPOSITORY, command_line, environment
from tests.faults.harness import snapshot
from tests.faults.processes import alive_in_session, outliving

KILLS = 20
pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")


def _start(root: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command_line(root),
        cwd=REPOSITORY,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, bytes], float]:
    """The files of a run that nothing disturbs, and how long it takes."""
    root = tmp_path_factory.mktemp("undisturbed")
    start = time.monotonic()
    assert _start(root).wait(timeout=60) == 0
    return snapshot(artefact_of(root).folder), time.monotonic() - start


def test_twenty_kills(
    tmp_path: Path, undisturbed: tuple[dict[str, bytes], float], record_property: Any
) -> None:
    wanted, seconds = undisturbed
    moments = random.Random(20)
    root, hits, cycles = tmp_path / "killed", 0, 0
    shards_at_kill = set()
    for number in range(KILLS):
        folder = artefact_of(root).folder
        before = snapshot(folder)
        process = _start(root)
        time.sleep(moments.uniform(0.1, 0.9) * seconds)
        hits += process.poll() is None
        if number % 2:  # the whole group, as a scheduler does
            os.killpg(process.pid, signal.SIGKILL)
        else:  # the command alone: its workers must notice
            process.send_signal(signal.SIGKILL if number % 4 else signal.SIGTERM)
        process.wait(timeout=10)
        assert outliving(process.pid, 2.0) == []
        after = snapshot(folder)
        assert verify(folder) == {}
        shards = {name: data for name, data in after.items() if name.startswith("shard-")}
        assert shards.items() <= wanted.items()
        assert {n for n in before if n.startswith("shard-")} <= set(shards)
        shards_at_kill.add(len(shards))
        if len(shards) == len(wanted) - 1:  # nothing left to disturb: begin again
            shutil.rmtree(root)
            cycles += 1
    assert _start(root).wait(timeout=60) == 0
    assert snapshot(artefact_of(root).folder) == wanted
    record_property("kills", f"{KILLS}, of which {hits} hit; shards there: {shards_at_kill}")
    assert hits >= KILLS / 2


def test_ctrl_c_keeps_what_is_done_and_leaves_no_worker(
    tmp_path: Path, undisturbed: tuple[dict[str, bytes], float]
) -> None:
    wanted, _ = undisturbed
    folder = artefact_of(tmp_path).folder
    process = _start(tmp_path)
    while not list(folder.glob("shard-*")):  # so that there is something to keep
        assert process.poll() is None
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGINT)
    pressed = time.monotonic()
    assert process.wait(timeout=10) in (130, 0)  # 0: it was just about to end
    assert time.monotonic() - pressed < 5
    assert outliving(process.pid, 2.0) == []
    kept = snapshot(folder)
    assert "manifest.json" in kept
    assert verify(folder) == {}
    assert _start(tmp_path).wait(timeout=60) == 0
    assert snapshot(folder) == wanted


def test_the_search_for_processes_finds_them() -> None:
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as sleeper:
        assert alive_in_session(sleeper.pid) == [sleeper.pid]
        sleeper.kill()
    assert alive_in_session(sleeper.pid) == []

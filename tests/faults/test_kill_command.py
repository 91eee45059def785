"""R3, R4, the engine. A killed command damages nothing, leaves no process, and carries on."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from stages.store.index import verify
from tests.engine.fake import artefact_of
from tests.faults.command import REPOSITORY, command_line, environment
from tests.faults.harness import snapshot
from tests.faults.processes import alive_in_session, outliving, patience

KILLS = 20
SHARDS = 4
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
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of a run that nothing disturbs."""
    root = tmp_path_factory.mktemp("undisturbed")
    assert _start(root).wait(timeout=60) == 0
    files = snapshot(artefact_of(root).folder)
    assert len(files) == SHARDS + 1
    return files


def _shards(folder: Path) -> dict[str, bytes]:
    return {name: data for name, data in snapshot(folder).items() if name.startswith("shard-")}


def _wait_for_moment(process: subprocess.Popen[bytes], root: Path, moments: random.Random) -> None:
    """Any moment of the start, or a little after any but the last of the shards to come."""
    folder = artefact_of(root).folder
    there = len(list(folder.glob("shard-*")))
    awaited = there + moments.randrange(SHARDS - there)
    if awaited == there:
        time.sleep(moments.uniform(0.0, 1.0))
        return
    while process.poll() is None and len(list(folder.glob("shard-*"))) < awaited:
        time.sleep(0.002)
    time.sleep(moments.uniform(0.0, 0.1))


def test_twenty_kills(tmp_path: Path, undisturbed: dict[str, bytes]) -> None:
    moments = random.Random(20)
    root, hits, counts = tmp_path / "killed", 0, []
    folder = artefact_of(root).folder
    for number in range(KILLS):
        if len(_shards(folder)) >= SHARDS - 1:  # little left to disturb: begin again
            shutil.rmtree(root)
        before = _shards(folder)
        process = _start(root)
        _wait_for_moment(process, root, moments)
        hits += process.poll() is None
        with contextlib.suppress(ProcessLookupError):
            if number % 2:  # the whole group, as a scheduler does
                os.killpg(process.pid, signal.SIGKILL)
            else:  # the command alone: its workers must notice
                process.send_signal(signal.SIGTERM if number % 4 else signal.SIGKILL)
        process.wait(timeout=10)
        assert outliving(process.pid, patience()) == []
        assert verify(folder) == {}
        assert before.items() <= _shards(folder).items() <= undisturbed.items()
        counts.append(len(_shards(folder)))
    assert _start(root).wait(timeout=60) == 0
    assert snapshot(folder) == undisturbed
    assert hits >= KILLS / 2  # a slow machine may end a few before the signal comes
    assert len(set(counts)) > 1


def test_ctrl_c_keeps_what_is_done_and_leaves_no_worker(
    tmp_path: Path, undisturbed: dict[str, bytes]
) -> None:
    folder = artefact_of(tmp_path).folder
    process = _start(tmp_path)
    while not list(folder.glob("shard-*")):  # so that there is something to keep
        assert process.poll() is None
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGINT)
    pressed = time.monotonic()
    assert process.wait(timeout=10) in (130, 0)  # 0: it was just about to end
    assert time.monotonic() - pressed < 5
    assert outliving(process.pid, patience()) == []
    kept = snapshot(folder)
    assert "manifest.json" in kept
    assert verify(folder) == {}
    assert _start(tmp_path).wait(timeout=60) == 0
    assert snapshot(folder) == undisturbed


def test_the_search_for_processes_finds_them() -> None:
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as sleeper:
        assert alive_in_session(sleeper.pid) == [sleeper.pid]
        sleeper.kill()
    assert alive_in_session(sleeper.pid) == []

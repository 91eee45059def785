"""R1, R2. No step of a commit fails so that anything but the state before or after is seen."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from stages.store import commit
from tests.faults.command import REPOSITORY, environment
from tests.faults.faulty_os import KILL, ONCE, POWER
from tests.faults.harness import SCENARIOS, sweep


def test_every_step_of_every_commit() -> None:
    # in an interpreter of its own: what it forks has no threads of other tests
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults", "--json"],
        cwd=REPOSITORY,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.stdout, done.stderr
    report = json.loads(done.stdout)
    assert report["points"] > 200
    # one run of each fault and scenario completes without it
    assert report["fired"] == report["points"] - 5 * len(SCENARIOS)
    assert report["damaged"] == []
    assert report["failed_resumes"] == []
    assert report["misbehaved"] == []
    assert done.returncode == 0


# mutants reach the injected `os` as commit_bytes does
_os: Any = commit  # typed so, for it does not export its imports


def _in_place(path: Path, data: bytes) -> None:
    """What a commit must not be: it writes under the final name."""
    handle = _os.os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    _os.os.write(handle, data[: len(data) // 2])
    _os.os.write(handle, data[len(data) // 2 :])
    _os.os.fsync(handle)
    _os.os.close(handle)


def _not_synchronised(path: Path, data: bytes) -> None:
    """What a commit must not be: it renames what may not have reached the disk."""
    temporary = path.parent / f"{commit.TEMPORARY}{path.name}"
    handle = _os.os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    _os.os.write(handle, data)
    _os.os.close(handle)
    _os.os.replace(temporary, path)


@pytest.mark.parametrize(
    ("wrong", "mode", "finding"),
    [
        (_in_place, KILL, "damaged"),
        (_in_place, ONCE, "misbehaved"),
        (_not_synchronised, POWER, "damaged"),
        (_not_synchronised, KILL, "misbehaved"),  # a power cut after the run would lose its work
    ],
)
def test_the_sweep_finds_a_wrong_commit(wrong: Any, mode: str, finding: str) -> None:
    report = sweep((mode,), SCENARIOS[1:], wrong)
    assert getattr(report, finding)

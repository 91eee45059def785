"""R3, R5: the command under SIGKILL: nothing is damaged, and it ends as if undisturbed."""

from __future__ import annotations

import contextlib
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from crossdim_cli.main import run as run_command
from stages.store.index import verify
from tests.faults.processes import outliving

KILLS = 20
SHAPES = 60  # four shards
LINE = "voxelize --res 24 --jobs 2 --quiet"
pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")


def start(root: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "crossdim_cli.main", *LINE.split(), "--workspace", str(root)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def shards(root: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in (root / "voxels" / "res24").glob("shard-*.h5")}


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with sixty tables."""
    root = tmp_path_factory.mktemp("shapes") / "workspace"
    line = f"shapes generate --category table --count {SHAPES} --jobs 0 --quiet"
    assert run_command([*line.split(), "--workspace", str(root)]) == 0
    return root


def test_twenty_kills_of_voxelize(
    shapes: Path, tmp_path: Path, record_testsuite_property: Any
) -> None:
    whole = Path(shutil.copytree(shapes, tmp_path / "whole"))
    began = time.monotonic()
    assert start(whole).wait(timeout=300) == 0
    length = time.monotonic() - began
    expected = shards(whole)
    assert len(expected) == 4
    moments = random.Random(0)
    root = Path(shutil.copytree(shapes, tmp_path / "killed"))
    hits = 0
    for number in range(2 * KILLS):
        if hits == KILLS:
            break
        if len(shards(root)) >= len(expected) - 1:  # little left to disturb: begin again
            shutil.rmtree(root / "voxels")
        before = shards(root)
        process = start(root)
        time.sleep(moments.uniform(0.3, 1.0) * length)
        if process.poll() is None:
            hits += 1
        else:  # beside other load the first run was slower than this one
            length *= 0.8
        with contextlib.suppress(ProcessLookupError):
            if number % 2:
                os.killpg(process.pid, signal.SIGKILL)
            else:  # the leader alone: its workers must notice
                os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert not outliving(process.pid, seconds=5)
        after = shards(root)
        assert before.items() <= after.items() <= expected.items()
        if (root / "voxels").exists():
            assert verify(root / "voxels" / "res24") == {}
    record_testsuite_property("figure kills", hits)
    assert hits >= KILLS // 2
    assert start(root).wait(timeout=300) == 0
    assert shards(root) == expected


@pytest.mark.parametrize("share", [0.05, 0.5, 0.95])
def test_a_full_disk_ends_in_two_lines(shapes: Path, tmp_path: Path, share: float) -> None:
    root = Path(shutil.copytree(shapes, tmp_path / "workspace"))
    line = ["voxelize", "--res", "24", "--jobs", "0", "--quiet", "--workspace", str(root)]
    assert run_command(line) == 0
    expected = shards(root)
    largest = max(len(data) for data in expected.values())
    for path in (root / "voxels" / "res24").iterdir():
        path.unlink()

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        size = int(share * largest)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    done = subprocess.run(
        [sys.executable, "-m", "crossdim_cli.main", *line],
        capture_output=True,
        text=True,
        preexec_fn=limit,
    )
    assert done.returncode == 1
    assert done.stdout == ""
    message, hint = done.stderr.splitlines()
    assert message.startswith("error: cannot write ")
    assert hint == "raise the file size limit (ulimit -f), then run the same command again"
    assert shards(root).items() <= expected.items()
    assert run_command(line) == 0
    assert shards(root) == expected

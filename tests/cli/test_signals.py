"""R4: Ctrl-C and SIGTERM, to every kind of command, with and without workers.

It ends within five seconds (of a machine that has nothing else to do) with 130 or 143 and two
lines, keeps what is done, and leaves neither process nor temporary file.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from crossdim_cli.main import run as run_command
from stages.store.index import verify
from tests.faults.processes import outliving
from tests.shapes import layouts

SECONDS = 5.0  # to stop in, as promised
PATIENCE = 120.0
CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}
pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")

# Command, where its shards come to lie, and what is sent. Every number of workers meets both
# signals here or, --jobs 2 and rendering, in test_errors.
STAGES = {
    "generate": (
        "shapes generate --category chair --count 300 --jobs 0",
        "shapes/generated",
        signal.SIGINT,
    ),
    "import": ("shapes import DATA --format folder --jobs 1", "shapes/DATA", signal.SIGTERM),
    "voxelize": ("voxelize --res 128 --jobs 0", "voxels/res128", signal.SIGTERM),
    "depths": ("depths --jobs 1", "depths/*", signal.SIGINT),
    "raycast": ("raycast --res 64 --jobs 2", "spheres/*", signal.SIGTERM),
}


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with a hundred tables, and as many meshes in DATA."""
    root = tmp_path_factory.mktemp("signals")
    line = "shapes generate --category table --count 100 --jobs 0 --quiet"
    assert run_command([*line.split(), "--workspace", str(root / "workspace")]) == 0
    for number in range(400):
        layouts.model(root / "DATA" / "chair" / f"{number:03d}.off", "+y", "+z")
    return root


def start(line: str, root: Path) -> subprocess.Popen[bytes]:
    """The command in `root`, in a session of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "crossdim_cli.main", *line.split(), "--workspace", "workspace"],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
        # started in the background of a script, this process may have been told to ignore it
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def stop(
    process: subprocess.Popen[bytes], number: signal.Signals, begun: Callable[[], bool]
) -> str:
    """Signal the command alone once it has begun, check how it ends; returns its last lines."""
    deadline = time.monotonic() + PATIENCE
    while not begun() and time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    os.kill(process.pid, number)
    sent = time.monotonic()
    _, errors = process.communicate(timeout=PATIENCE)
    took = time.monotonic() - sent
    assert took < SECONDS or took < SECONDS * slowness()
    assert process.returncode == CODES[number], errors.decode()
    assert outliving(process.pid, 2.0) == []
    assert b"Traceback" not in errors
    return "\n".join(errors.decode().splitlines()[-2:])


def slowness() -> float:
    """How many times longer things take here and now than they would alone."""
    wall, cpu = time.monotonic(), time.process_time()
    while time.process_time() - cpu < 0.3:
        pass
    return (time.monotonic() - wall) / 0.3


@pytest.mark.parametrize("name", STAGES)
def test_stages(shapes: Path, tmp_path: Path, name: str) -> None:
    line, place, number = STAGES[name]
    shutil.copytree(shapes, tmp_path, dirs_exist_ok=True)
    if name == "generate":
        shutil.rmtree(tmp_path / "workspace")

    def files(pattern: str) -> dict[str, bytes]:
        found = (tmp_path / "workspace").glob(f"{place}/{pattern}")
        return {path.name: path.read_bytes() for path in found}

    said = stop(start(line, tmp_path), number, lambda: bool(files("shard-*.h5")))
    word = "interrupted" if number == signal.SIGINT else "terminated"
    assert said == f"error: {word}: finished work is kept\nrun the same command again to go on"
    kept = files("shard-*.h5")
    assert kept
    assert not files(".tmp-*")
    (folder,) = (tmp_path / "workspace").glob(place)
    assert (folder / "manifest.json").is_file()
    assert verify(folder) == {}


def test_training(pipeline: Path, tmp_path: Path) -> None:
    shutil.copytree(pipeline, tmp_path / "workspace")
    line = "train pose-aware --preset tiny --name long --steps 5000 --batch 4 --device cpu -q"
    run = tmp_path / "workspace/runs/pose-aware/long"
    said = stop(
        start(f"{line} --threads 1 --validate-every 5", tmp_path),
        signal.SIGTERM,
        lambda: (run / "checkpoints/last.json").exists(),
    )
    assert "stopped by SIGTERM" in said
    assert not list(run.rglob(".tmp-*"))
    assert run_command(["verify", "--workspace", str(tmp_path / "workspace")]) == 0


def test_evaluation(pipeline: Path, tmp_path: Path) -> None:
    """It is over in no time: the signal comes as it loads the model."""
    shutil.copytree(pipeline, tmp_path / "workspace")
    results = tmp_path / "workspace/results"
    shutil.rmtree(results)
    process = start("eval reconstruction -q", tmp_path)
    maps = Path(f"/proc/{process.pid}/maps")
    stop(process, signal.SIGINT, lambda: b"libtorch" in maps.read_bytes())
    assert not list(results.rglob("shard-*"))

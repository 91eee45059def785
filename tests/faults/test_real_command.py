"""The real command line, disturbed. R3: SIGKILL at moments of every stage damages nothing and ends
at the bytes of an undisturbed run. R4: Ctrl-C and SIGTERM, too, and they end every command within
five seconds, in order, without a process left. R5: a full disk ends in two lines.
"""

from __future__ import annotations

import dataclasses
import functools
import random
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from stages.store.index import verify
from tests.faults.processes import patience
from tests.faults.real import Ended, Setup, run

COMMIT = "stages.engine.runner:_Collector._commit"
KILLS = 4  # of each stage
STAGES = {
    "shapes": "shapes generate --count 8 --category chair --seed 1",
    "voxels": "voxelize --res 32",
    "views": "render --viewpoints uniform --views 2 --size 64 --supersample 1",
    "depths": "depths --novel 2 --size 32",
    "spheres": "raycast --res 16",
    "skeletons": "skeletons sample --category chair --count 5000",
    "landmarks": "landmarks",
}
TRAIN = "train pose-aware --preset tiny --name run --batch 4 --device cpu --threads 1"
# supervised processes are the same for all stages: two of these have one, the others two
WAYS = [(s, jobs) for s in STAGES for jobs in (0, 1 if s in ("depths", "spheres") else 2)]
# commands that are not stages: where the signal comes, in which call of that
OTHERS = {
    "import": ("shapes import {data} --jobs 1", "stages.engine.runner:_Collector.take", 1),
    "fit": ("viewpoints fit --from {data}/photos.csv", "stages.viewpoints.fitting:fit_tables", 1),
    "data": (f"{TRAIN} --steps 500", "stages.train.inputs:Loader.__call__", 2),
    "workers": (f"{TRAIN} --steps 500 --workers 1", "stages.train.feed:Feed.__iter__", 1),
    "step": (f"{TRAIN} --steps 500", "stages.train.learner:Learner.losses", 3),
    "starting": ("voxelize --res 24 --jobs 2", "stages.engine.pools:guarded_pool", 1),
    "compile": ("voxelize --res 24 --jobs 0", "stages.engine.pools:perform", 1),
}
pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight chairs, their voxels and pictures. Tests work on copies."""
    root = tmp_path_factory.mktemp("shapes") / "workspace"
    for line in (
        "shapes generate --count 8 --category chair",
        STAGES["voxels"],
        STAGES["views"],
    ):
        assert run(f"{line} --jobs 0 -q", root, root.with_suffix(".log")).code == 0
    return root


@pytest.fixture
def root(workspace: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(workspace, tmp_path / "workspace"))


def shards(root: Path, stage: str) -> dict[str, bytes]:
    """The shards of all artefacts of a stage that the workspace did not have to begin with."""
    return {p.name: p.read_bytes() for p in root.glob(f"{stage}/*/shard-*.h5")}


@pytest.fixture(scope="module")
def undisturbed(
    workspace: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], dict[str, bytes]]:
    """The shards of a stage after a run that nothing disturbs."""

    @functools.cache
    def shards_of(stage: str) -> dict[str, bytes]:
        root = Path(shutil.copytree(workspace, tmp_path_factory.mktemp(stage) / "workspace"))
        clear(root, stage)
        assert run(f"{STAGES[stage]} --jobs 0 -q", root, root.with_suffix(".log")).code == 0
        return shards(root, stage)

    return shards_of


def clear(root: Path, stage: str) -> None:
    """Remove what the stage made, but not the shapes that all others come from."""
    if stage != "shapes":
        shutil.rmtree(root / stage, ignore_errors=True)


def check_stopped(ended: Ended, number: signal.Signals) -> None:
    """Whether it ended as it has to after a signal."""
    assert ended.hit, ended
    assert ended.seconds < patience(), ended
    assert ended.left == [], ended
    if "Exception ignored" in ended.out and ended.code == 0:
        return  # it arrived in a callback, where Python drops it, and all was done soon after
    assert ended.code == 128 + number, ended
    if "multiprocessing/spawn.py" in ended.out and "EOFError" in ended.out:
        return  # a worker that had just been started found nobody to tell it what to do
    assert "Traceback" not in ended.out or "Exception ignored" in ended.out, ended
    message, hint = ended.out.splitlines()[-2:]
    assert message.startswith("error: ")
    assert "same command" in hint


@pytest.mark.parametrize("stage", STAGES)
def test_kills(
    root: Path, undisturbed: Callable[[str], dict[str, bytes]], stage: str, tmp_path: Path
) -> None:
    """Anywhere between the begin of the first commit and the last; the next kill hits the rest."""
    moments, expected = random.Random(stage), undisturbed(stage)
    clear(root, stage)
    jobs = [0, 0, 0, 2 if stage in ("voxels", "views") else 0]
    for number in range(KILLS):
        before = shards(root, stage)
        left = len(expected) - len(before)
        setup = Setup(
            COMMIT,
            call=moments.randrange(1, max(2, left)),
            delay=moments.choice([0, 0.001, 0.01]),
            number=signal.SIGKILL,
            group=bool(number % 2),
        )
        ended = run(f"{STAGES[stage]} --jobs {jobs[number]} -q", root, tmp_path / "log", setup)
        assert ended.code in (-signal.SIGKILL, 0), ended
        assert ended.left == []
        after = shards(root, stage)
        assert before.items() <= after.items() <= expected.items()
        for folder in root.glob(f"{stage}/*"):
            assert verify(folder) == {}
        if number == 0:
            assert ended.code == -signal.SIGKILL, ended
        if ended.code == 0:
            clear(root, stage)
    assert run(f"{STAGES[stage]} --jobs 0 -q", root, tmp_path / "log").code == 0
    assert shards(root, stage) == expected


@pytest.mark.parametrize(("stage", "jobs"), WAYS)
def test_signals_stop_every_stage(
    root: Path,
    undisturbed: Callable[[str], dict[str, bytes]],
    stage: str,
    jobs: int,
    tmp_path: Path,
) -> None:
    clear(root, stage)
    number = signal.SIGTERM if jobs == 2 else signal.SIGINT
    # at once: what is left may take less than a moment
    setup = Setup(COMMIT, call=2, delay=0.0, number=number, group=number == signal.SIGINT)
    line = f"{STAGES[stage]} --jobs {jobs} --quiet"
    check_stopped(run(line, root, tmp_path / "log", setup), number)
    kept = shards(root, stage)
    assert kept
    assert kept.items() <= undisturbed(stage).items()
    assert not list(root.glob("*/*/.tmp-*"))
    assert all((folder / "manifest.json").is_file() for folder in root.glob(f"{stage}/*"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("what", OTHERS)
def test_signals_stop_all_else(
    root: Path, what: str, number: signal.Signals, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    for name in "abc":
        (data / f"{name}.off").write_text(
            "OFF\n4 4 0\n0 0 0\n1 0 0\n0 1 0\n0 0 1\n3 0 2 1\n3 0 1 3\n3 0 3 2\n3 1 2 3\n"
        )
    rows = "".join(f"{name},thing,{name}.off,+z,-y\n" for name in "abc")
    (data / "models.csv").write_text("id,category,file,up,front\n" + rows)
    draw = random.Random(0)
    angles = "".join(
        f"car,train,,{draw.gauss(0, 40):.1f},{draw.gauss(20, 9):.1f},0,4\n" for _ in range(20_000)
    )
    head = "category,split,image,azimuth_deg,elevation_deg,inplane_deg,distance\n"
    (data / "photos.csv").write_text(head + angles)
    line, at, call = OTHERS[what]
    setup = Setup(at, call, delay=0.0, number=number, group=number == signal.SIGINT)
    if what == "compile":
        setup = dataclasses.replace(setup, cold=tmp_path / "numba", delay=0.3)
    ended = run(f"{line.format(data=data)} --quiet", root, tmp_path / "log", setup)
    check_stopped(ended, number)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_stop_evaluations(root: Path, number: signal.Signals, tmp_path: Path) -> None:
    """While the threshold is chosen, and while test shapes are measured."""
    trained = f"{TRAIN} --steps 1 --validate-every 1 --quiet"
    assert run(trained, root, tmp_path / "log").code == 0
    for at in ("stages.evaluate.protocol:validation_iou", "stages.evaluate.protocol:measure"):
        setup = Setup(at, number=number, delay=0.0)
        check_stopped(run("eval reconstruction --quiet", root, tmp_path / "log", setup), number)
    assert run("eval reconstruction --quiet", root, tmp_path / "log").code == 0


@pytest.mark.parametrize("share", [0.05, 0.5, 0.95])
def test_a_full_disk_ends_in_two_lines(
    root: Path, undisturbed: Callable[[str], dict[str, bytes]], share: float, tmp_path: Path
) -> None:
    clear(root, "voxels")
    expected = undisturbed("voxels")
    largest = max(len(data) for data in expected.values())
    line = f"{STAGES['voxels']} --jobs 0 --quiet"
    done = run(line, root, tmp_path / "log", Setup(file_bytes=int(share * largest)))
    assert done.code == 1
    message, hint = done.out.splitlines()
    assert message.startswith("error: cannot write ")
    assert hint == "raise the file size limit (ulimit -f), then run the same command again"
    assert shards(root, "voxels").items() <= expected.items()
    assert run(line, root, tmp_path / "log").code == 0
    assert shards(root, "voxels") == expected

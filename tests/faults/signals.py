"""R4 as a product: every command that fills an artefact, Ctrl-C and SIGTERM, at every phase of it.

`python -m tests.faults --full` goes through all of it (minutes); `test_signals.py` keeps a sample.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stages.store.index import verify
from tests.faults.processes import outliving, patience
from tests.faults.real import Ended, Setup, run
from tests.photos.test_keypoints import MAKERS, WIDE
from tests.shapes import layouts
from tests.shapes.import_models import png
from tests.viewpoints import trees

# What each command is, and the folder that it fills.
COMMANDS = {
    "generate": ("shapes generate --count 6 --category sofa --seed 1", "shapes"),
    "import": ("shapes import {data}/models", "shapes"),
    "voxelize": ("voxelize --res 24", "voxels"),
    "render": ("render --viewpoints uniform --views 2 --size 32 --supersample 1 --name r", "views"),
    "depths": ("depths --novel 2 --size 32", "depths"),
    "raycast": ("raycast --res 8", "spheres"),
    "landmarks": ("landmarks", "landmarks"),
    "skeletons": ("skeletons sample --category chair --count 3000", "skeletons"),
    "viewpoints": ("viewpoints import {data}/views --format csv", "annotations"),
    "keypoints": ("keypoints import {data}/photos --format cub", "keypoints"),
    "backgrounds": ("backgrounds import {data}/pictures --size 32", "backgrounds"),
}
# Where the signal comes: in which call of what, and how long after its begin at most (-1: before).
PHASES = {
    "listing": ("crossdim_cli.stage:run_stage", 1, 0.02),
    "item": ("stages.engine.runner:_Collector.take", 1, 0.01),
    "commit": ("stages.engine.runner:_Collector._commit", 1, 0.005),
    "end": ("crossdim_cli.output:Output.result", 1, -1.0),
}
SIGNALS = (signal.SIGINT, signal.SIGTERM)
STARTS = (0.0, 0.1, 0.2, 0.3)  # seconds after the program has begun to listen


@dataclass(frozen=True)
class Case:
    """One command that is disturbed once."""

    command: str
    phase: str
    number: signal.Signals
    jobs: int


def all_cases() -> Iterator[Case]:
    """The product; in this process and in two others by turns."""
    for n, (c, p, s) in enumerate(itertools.product(COMMANDS, PHASES, SIGNALS)):
        yield Case(c, p, s, 2 * (n // 2 % 2))


def all_starts() -> Iterator[tuple[str, signal.Signals, float]]:
    """Commands, signals and moments while the program is imported."""
    yield from itertools.product(COMMANDS, SIGNALS, STARTS)


class Workspaces:
    """What commands start from, and what each makes of it when nothing disturbs it."""

    def __init__(self, scratch: Path) -> None:
        self._scratch = scratch
        self._root = scratch / "workspace"
        self._data = scratch / "data"
        _make_data(self._data)
        for line in (
            "shapes generate --count 6 --category chair",
            "render --viewpoints uniform --views 2 --size 32 --supersample 1",
        ):
            assert run(f"{line} --jobs 0 -q", self._root, scratch / "log").code == 0

    def line(self, command: str) -> str:
        """The command line, quiet."""
        return COMMANDS[command][0].format(data=self._data) + " --quiet"

    @functools.cache  # noqa: B019 - as long as the tests last
    def expected(self, command: str) -> dict[str, bytes]:
        """The shards of a run that nothing disturbs."""
        root = self._copy()
        ended = run(f"{self.line(command)} --jobs 0", root, self._scratch / "log")
        assert ended.code == 0, ended
        found = _shards(root, command)
        shutil.rmtree(root)
        return found

    def finding(self, case: Case) -> str:
        """What is wrong after a command was disturbed and run again; "" for nothing."""
        expected, root = self.expected(case.command), self._copy()
        at, call, most = PHASES[case.phase]
        delay = most * random.Random(str(case)).random() if most > 0 else most
        setup = Setup(at, call, delay, case.number, group=case.number == signal.SIGINT)
        line = self.line(case.command)
        ended = run(f"{line} --jobs {case.jobs}", root, self._scratch / "log", setup)
        if not ended.hit:  # a machine with nothing else to do was done before
            shutil.rmtree(root)
            root, setup = self._copy(), dataclasses.replace(setup, delay=0.0)
            ended = run(f"{line} --jobs {case.jobs}", root, self._scratch / "log", setup)
        finding = _wrong_end(ended, case.number)
        kept = _shards(root, case.command)
        if not kept.items() <= expected.items():
            finding = finding or "a shard is none of an undisturbed run"
        finding = finding or _wrong_files(root)
        again = run(f"{line} --jobs 0", root, self._scratch / "log")
        if again.code or _shards(root, case.command) != expected:
            finding = finding or f"it does not go on: {again}"
        shutil.rmtree(root)
        return f"{case}: {finding}" if finding else ""

    def start_finding(self, command: str, number: signal.Signals, delay: float) -> str:
        """What is wrong after a signal while the program still imports what it is made of."""
        root = self._copy()
        words = [*self.line(command).split(), "--workspace", str(root)]
        process = subprocess.Popen(
            [str(Path(sys.executable).with_name("crossdim")), *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            # started in the background of a script, the tests may have been told to ignore it
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        _wait_until_it_listens(process.pid)
        time.sleep(delay)
        process.send_signal(number)
        sent = time.monotonic()
        _, errors = process.communicate(timeout=120)
        seconds, left = time.monotonic() - sent, outliving(process.pid, 2.0)
        ended = Ended(process.returncode, errors, True, seconds, left)
        finding = _wrong_end(ended, number) or _wrong_files(root)
        shutil.rmtree(root)
        return f"{command} {number.name} after {delay} s: {finding}" if finding else ""

    def _copy(self) -> Path:
        root = self._scratch / "disturbed"
        return Path(shutil.copytree(self._root, root))


def _wrong_end(ended: Ended, number: signal.Signals) -> str:
    """What is wrong with how a command ended; "" for nothing."""
    if not ended.hit:
        return f"the signal came too late: {ended}"
    if ended.seconds > patience() or ended.left:
        return f"it took too long, or left processes: {ended}"
    if ended.code == 0 and "Exception ignored" in ended.out:
        return ""  # it arrived in a callback, where Python drops it, and all was done soon after
    if ended.code != 128 + number:
        return f"another exit code: {ended}"
    if "multiprocessing/spawn.py" in ended.out:
        return ""  # a worker that had just been started found nobody to tell it what to do
    if "Traceback" in ended.out and "Exception ignored" not in ended.out:
        return f"a traceback: {ended}"
    lines = ended.out.splitlines()[-2:]
    told = len(lines) == 2 and lines[0].startswith("error: ") and "same command" in lines[1]
    return "" if told else f"not in two lines: {ended}"


def _wait_until_it_listens(pid: int) -> None:
    """Until SIGTERM has a handler; the one of SIGINT has been set before it."""
    while True:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("SigCgt:") and int(line.split()[1], 16) >> signal.SIGTERM - 1 & 1:
                return
        time.sleep(0.001)


def _shards(root: Path, command: str) -> dict[str, bytes]:
    """The shards of what the command fills, but not of the shapes that all begin with."""
    folder = COMMANDS[command][1]
    there = root.glob(f"{folder}/*/shard-*.h5")
    return {f"{p.parent.name}/{p.name}": p.read_bytes() for p in there}


def _wrong_files(root: Path) -> str:
    if list(root.glob("*/*/.tmp-*")):
        return "a temporary is left"
    damaged = [verify(path.parent) for path in root.rglob("manifest.json")]
    return f"damaged: {damaged}" if any(damaged) else ""


def _make_data(folder: Path) -> None:
    """Data sets of a few items for every import."""
    for n in range(6):
        layouts.model(folder / f"models/m{n}.off", "+z", "-y")
        trees.table(folder / f"views/v{n}.csv", *[f"car,train,,{10 * k},{n},0,4" for k in range(9)])
        picture = np.random.default_rng(n).integers(0, 256, (40, 40, 3), np.uint8)
        path = folder / f"pictures/p{n}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(picture))
    rows = "".join(f"m{n},thing,m{n}.off,+z,-y\n" for n in range(6))
    (folder / "models/models.csv").write_text("id,category,file,up,front\n" + rows)
    (folder / "photos").mkdir()
    MAKERS["cub"](folder / "photos", WIDE)

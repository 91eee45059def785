"""What a run costs beside its items, and whether that grows with how many there are.

    python benchmarks/scale.py [--items 1000 10000 100000] [--processes 1 2] [-o FILE.csv]

Items are nearly free (a seeded 16^3 grid), so what is measured is everything else: planning,
sending, packing, committing, the manifest, status. Each line is measured in a process of its own:

    make       a run from nothing with `processes` workers
    again      a run that finds everything fresh
    status     what is fresh, and which of 64 slices have work left
    merge      one file of it all
    clean      every byte read, and compared with the names
    grow       one more item for every hundred that are there, per new item

`main_us` and `worker_us` are microseconds of CPU time per item, of the main process and of its
workers; `items_per_s` is by the clock, so it depends on what else the machine does. `peak_mb` is
the largest memory of the main process.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from stages import registry
from stages.engine.cleaning import find_rubbish
from stages.engine.plan import Request, Selection, make_plan
from stages.engine.pools import Limits
from stages.engine.runner import execute
from stages.engine.sources import wanted_from_sources
from stages.engine.status import artefact_status, plan_again, slices_of
from stages.stage import Arrays, ArraySpec, Item, Stage
from stages.store.merge import merge
from stages.store.workspace import Artefact, Workspace

HERE = Path(__file__).parent
COLUMNS = (
    "what",
    "items",
    "processes",
    "seconds",
    "items_per_s",
    "main_us",
    "worker_us",
    "peak_mb",
    "bytes_per_item",
    "files",
)


@dataclass(frozen=True)
class Params:
    """Nothing to choose."""


SPEC = {
    "grid": ArraySpec("bool", ("x", "y", "z"), packed=True),
    "split": ArraySpec("S16", label=True),
}


def process(item: Item, params: Params, rng: np.random.Generator) -> Arrays:
    """A ball of random size."""
    axis = np.arange(16) - 7.5
    distance = axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2
    return {"grid": distance < 64 * rng.random(), "split": np.array(b"train")}


def list_sources(origin: Any) -> dict[str, dict[str, Any]]:
    """So many items in a hundred categories."""
    return {f"category-{n % 100:02d}/{n:08d}": {} for n in range(origin["count"])}


STAGE = Stage("cheap", 1, Params, SPEC, process, command="cheap", list_sources=list_sources)


def artefact_of(root: Path) -> Artefact:
    """Where the items are."""
    return Workspace(root).artefact("cheap", "default")


def make(root: Path, items: int, processes: int) -> None:
    """Bring so many items into the workspace."""
    origin = {"kind": "cheap", "count": items}
    wanted = wanted_from_sources(STAGE, Params(), 0, list_sources(origin))
    plan = make_plan(STAGE, Params(), 0, artefact_of(root), wanted)
    request = Request(Selection(), origin)
    outcome = execute(plan, STAGE, Params(), Limits(jobs=processes), request=request)
    assert not outcome.failures


def grow(root: Path, items: int, processes: int) -> None:
    """One more for every hundred."""
    make(root, items + items // 100, processes)


def status(root: Path, items: int, processes: int) -> None:
    """What is fresh, and what an array job must still do."""
    workspace = Workspace(root)
    found = artefact_status(workspace, artefact_of(root))
    assert len(found.state.fresh) == items
    assert slices_of(plan_again(workspace, artefact_of(root)), 64) == []


def merged(root: Path, items: int, processes: int) -> None:
    """One file, beside the workspace."""
    merge(artefact_of(root), root / "merged.h5")


def clean(root: Path, items: int, processes: int) -> None:
    """Look at every byte; there is nothing to remove."""
    assert find_rubbish(Workspace(root), artefact_of(root)).bytes == 0


STEPS: dict[str, Callable[[Path, int, int], None]] = {
    "make": make,
    "again": make,
    "status": status,
    "merge": merged,
    "clean": clean,
    "grow": grow,
}


def measure(what: str, root: Path, items: int, processes: int) -> dict[str, Any]:
    """One step, in a process of its own."""
    line = [sys.executable, str(HERE / "scale.py"), "--step", what, str(root)]
    line += ["--items", str(items), "--processes", str(processes)]
    done = subprocess.run(line, capture_output=True, text=True, check=True, env=os.environ)
    return json.loads(done.stdout)


def step(what: str, root: Path, items: int, processes: int) -> None:
    """Do one step, and say what it took."""
    registry.SOURCES["cheap"] = STAGE
    begun = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    start = time.perf_counter()
    STEPS[what](root, items, processes)
    seconds = time.perf_counter() - start
    ended = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    cpu = [e.ru_utime + e.ru_stime - b.ru_utime - b.ru_stime for b, e in zip(begun, ended)]
    files = list(artefact_of(root).folder.glob("*"))
    handled = items // 100 if what == "grow" else items
    figures = {
        "what": what,
        "items": items,
        "processes": processes,
        "seconds": round(seconds, 2),
        "items_per_s": round(handled / seconds),
        "main_us": round(1e6 * cpu[0] / handled),
        "worker_us": round(1e6 * cpu[1] / handled),
        "peak_mb": round(ended[0].ru_maxrss / 1000),
        "bytes_per_item": round(sum(path.stat().st_size for path in files) / items),
        "files": len(files),
    }
    print(json.dumps(figures))


def main() -> None:
    """Measure everything, one line each, and keep it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--items", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--step", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("-o", "--output", type=Path, default=HERE / "scale.csv")
    options = parser.parse_args()
    if options.step:
        what, root = options.step
        step(what, Path(root), options.items[0], options.processes[0])
        return
    rows = []
    for items in options.items:
        for processes in options.processes:
            root = Path(tempfile.mkdtemp(prefix="scale-"))
            last = processes == options.processes[-1]
            for what in STEPS if last else ["make"]:
                rows.append(measure(what, root, items, processes))
                print(rows[-1], flush=True)
            shutil.rmtree(root)
    with options.output.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    import scale  # under its own name: workers import the stage from there

    scale.main()

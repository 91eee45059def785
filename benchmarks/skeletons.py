"""Time, memory and bytes of a million random skeletons, and of their optimisation.

    python -m benchmarks.skeletons

`crossdim skeletons` of each template in a process of its own: CPU seconds of it and its workers,
wall seconds, the most memory of any of them so far, MiB on disk; and what heatmaps of them would
take. Then CPU milliseconds a skeleton of the optimisation (`stages.skeletons.optimisation`). Writes
benchmarks/skeletons.csv.
"""

from __future__ import annotations

import csv
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from stages.skeletons.optimisation import solve
from stages.skeletons.sampling import sample
from stages.skeletons.template import load
from stages.store.workspace import Workspace

ROOT = Path(__file__).resolve().parents[1]
COUNT = 1_000_000
SOLVED = 200
TEMPLATES = ("chair", "swivelchair", "table", "bed", "sofa", "car", "airplane")


def drawn(name: str) -> dict[str, float]:
    """What drawing COUNT skeletons of a template takes, on two processes."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "crossdim_cli.main", "skeletons", "--category", name]
        command += ["--count", str(COUNT), "--val", "0", "--test", "0", "--jobs", "2"]
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        subprocess.run([*command, "--workspace", folder, "--quiet"], check=True, cwd=ROOT)
        wall = time.perf_counter() - start
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        size = sum(p.stat().st_size for p in Path(folder).rglob("*") if p.is_file())
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {
        "cpu_s": cpu,
        "wall_s": wall,
        "peak_mib": after.ru_maxrss / 1024,
        "disk_mib": size / 2**20,
    }


def optimised(name: str) -> float:
    """CPU milliseconds a skeleton."""
    template = load(name, Workspace(Path("nowhere")))
    ranges = template.range("published")
    skeletons = sample(template, ranges, SOLVED, np.random.default_rng(0))
    start = time.process_time()
    solve(skeletons.keypoints, skeletons.visible, template, ranges)
    return 1000 * (time.process_time() - start) / SOLVED


def main() -> None:
    rows = []
    for name in TEMPLATES:
        keypoints = len(load(name, Workspace(Path("nowhere"))).keypoints)
        row: dict[str, object] = {"template": name, "skeletons": COUNT}
        row.update({k: round(v, 1) for k, v in drawn(name).items()})
        row["heatmaps_gib"] = round(COUNT * keypoints * 1200 * 4 / 2**30, 1)
        row["optimisation_ms"] = round(optimised(name), 2)
        rows.append(row)
        print(row)
    with (ROOT / "benchmarks" / "skeletons.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()

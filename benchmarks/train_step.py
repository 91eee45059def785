"""One training step of deep encoding: seconds, memory, and the share of the input pipeline.

    python -m benchmarks.train_step [PRESET ...]

A batch of the preset's triplets, of made shapes and pictures of its sizes, on as many threads as
there are cores; one process a preset. Per step, the best of the repeats:

- input: `data.Triplets.batch` from arrays in memory, new backgrounds and tints included. Reading
  them from the cache is beside it (`read_s`): of all the shapes of a batch, which a run that fits
  into `cache_mb` does once;
- forward, backward, update: the losses with their graph, the gradients, Adam.

`wall_s` and `cpu_s` are the seconds of all of it, `input_share` is that of the input in the CPU
seconds; `peak_mib` the most memory that the process has held, `idle_mib` what it held before the
first step, weights included. Writes benchmarks/train_step.csv.
"""

from __future__ import annotations

import csv
import multiprocessing
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import psutil
import torch

from stages import render, voxelize
from stages.store.commit import commit_bytes, make_folder
from stages.store.shard import Encoded, build_shard, encode_item, make_key, shard_name
from stages.store.workspace import Workspace
from stages.systems import deep_encoding
from stages.systems.deep_encoding.data import Triplets
from stages.train.inputs import Loader

ROOT = Path(__file__).resolve().parents[1]
VIEWS = 2
SHAPES = 48  # as many as a step looks at, if no object is drawn twice
REPEATS = 3


def made_shape(number: int, params: deep_encoding.Params) -> dict[str, np.ndarray]:
    """A ball of voxels, and discs before a plain background, of noise that compresses as little
    as renders do."""
    rng = np.random.default_rng(number)
    axis = np.linspace(-1, 1, params.voxel_res)
    voxels = (axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2) < rng.uniform(0.2, 0.9)
    size = params.image_size
    axis = np.linspace(-1, 1, size)
    radius = np.sqrt(axis[:, None] ** 2 + axis**2)
    share = np.clip((0.5 - radius) * size / 2 + 0.5, 0, 1)[None].repeat(VIEWS, 0)
    cells = rng.integers(0, 256, (VIEWS, -(-size // 6), -(-size // 6), 3))
    noise = cells.repeat(6, 1).repeat(6, 2)[:, :size, :size]
    behind = rng.integers(0, 256, (VIEWS, 1, 1, 3))
    rgb = behind + (noise - behind) * (share[..., None] > 0.5)
    return {
        "voxels": voxels,
        "rgb": rgb.astype(np.uint8),
        "mask": (255 * (share > 0.5)).astype(np.uint8),
    }


def write_cache(root: Path, params: deep_encoding.Params) -> None:
    """The artefacts voxels/made and views/made of these shapes."""
    items = {f"made/{n}": made_shape(n, params) for n in range(SHAPES)}
    names = {"voxels": ("voxels",), "views": ("rgb", "mask")}
    for stage, spec in (("voxels", voxelize.SPEC), ("views", render.SPEC)):
        specs = {name: spec[name] for name in names[stage]}
        encoded = [
            Encoded(item, "", encode_item(specs, {name: arrays[name] for name in specs}))
            for item, arrays in items.items()
        ]
        data = build_shard(make_key(stage, 1, {}, 0, 1), encoded)
        folder = Workspace(root).artefact(stage, "made").folder
        make_folder(folder)
        commit_bytes(folder / shard_name(0, data), data)


def measure(preset: str) -> dict[str, object]:
    """The row of a preset, in a process of its own."""
    params = deep_encoding.PRESETS[preset]
    with tempfile.TemporaryDirectory() as folder:
        write_cache(Path(folder), params)
        variants = dict.fromkeys(deep_encoding.REQUIRES, "made")
        load = Loader(Path(folder), variants, deep_encoding.ARRAYS)
        ids = [f"made/{n}" for n in range(SHAPES)]
        split = Triplets(load, ids, params)
        read = seconds(lambda: [split.shape(item) for item in ids])
    torch.manual_seed(0)
    model: Any = deep_encoding.build(params)
    optimizer = deep_encoding.optimizer(model, params)
    idle = psutil.Process().memory_info().rss
    indices = list(range(params.batch))
    best: dict[str, tuple[float, float]] = {}
    for step in range(REPEATS + 1):  # the first one allocates
        batch: dict[str, Any] = {}
        loss: list[torch.Tensor] = []

        def look(step: int = step, batch: dict[str, Any] = batch) -> None:
            batch.update(split.batch(indices, torch.Generator().manual_seed(step)))

        def forward(batch: dict[str, Any] = batch, loss: list[torch.Tensor] = loss) -> None:
            with torch.autocast("cpu", torch.bfloat16, enabled=params.precision == "bf16"):
                loss.append(deep_encoding.losses(model, batch, params, SimpleNamespace())["loss"])

        def backward(loss: list[torch.Tensor] = loss) -> None:
            optimizer.zero_grad(set_to_none=True)
            loss[0].backward()

        parts = {"input": look, "forward": forward, "backward": backward, "update": optimizer.step}
        for name, part in parts.items():
            took = seconds(part)
            if step > 0:
                best[name] = min(best.get(name, took), took)
    wall, cpu = (sum(took[n] for took in best.values()) for n in (0, 1))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    return {
        "preset": preset,
        "parameters": sum(p.numel() for p in model.parameters()),
        "triplets": params.batch,
        "precision": params.precision,
        "threads": torch.get_num_threads(),
        **{f"{name}_cpu_s": f"{took[1]:.3f}" for name, took in best.items()},
        "wall_s": f"{wall:.2f}",
        "cpu_s": f"{cpu:.2f}",
        "input_share": f"{best['input'][1] / cpu:.3f}",
        "read_s": f"{read[1] / SHAPES * 2 * params.batch:.3f}",
        "idle_mib": f"{idle / 2**20:.0f}",
        "peak_mib": f"{peak:.0f}",
    }


def seconds(work: Callable[[], Any]) -> tuple[float, float]:
    """Of wall and of CPU."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def main() -> None:
    """Measures and writes the table."""
    presets = sys.argv[1:] or list(deep_encoding.PRESETS)
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # threads that wait take no CPU seconds
    table = []
    for preset in presets:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            table.append(pool.apply(measure, (preset,)))
        print(*(f"{name} {value}" for name, value in table[-1].items()), sep="\n", flush=True)
    with (ROOT / "benchmarks" / "train_step.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(table[0]))
        writer.writeheader()
        writer.writerows(table)


if __name__ == "__main__":
    main()

"""What views cost: CPU time to draw and to store one, and its bytes, for the usual view sets.

    python -m benchmarks.views [DATA_DIR]

Draws a few views of real models in this process by the rasteriser, as `crossdim render` does, mesh
preparation included, and stores them as it does. Figures are milliseconds of CPU time a view, best
of three, and KiB a view in the shard (gzip 4), means over the models. Pictures behind shapes are
noise that was smoothed, about as hard to pack as photos. Writes benchmarks/views.csv.
"""

from __future__ import annotations

import csv
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from stages.render import PRESETS, SPEC, Params, process
from stages.render.attach import PICTURES
from stages.stage import Item
from stages.store.shard import encode_item
from stages.store.workspace import Workspace
from stages.viewpoints import table
from tests.render.models import load_open_model, open_model_rows

ROOT = Path(__file__).resolve().parents[1]
MODELS = ("f16", "dromader", "torcs-car5-trb1", "cc-by-biurko3", "cc-0-bed1", "cc-0-sofa2")
REPEATS = 3
LARGE = PRESETS["deep-encoding"]
SETS: dict[str, Params] = {
    "grid24 64 px": Params(),
    "grid24 128 px": Params(size=128),
    "r2n2 137 px": PRESETS["r2n2"],
    "equivariant-3dof 128 px": PRESETS["equivariant-3dof"],
    "uniform 128 px, images": Params(
        size=128, viewpoints="uniform", background="images", images="noise"
    ),
    "deep-encoding 486 px": LARGE,
    "deep-encoding 486 px, images": replace(LARGE, background="images", images="noise"),
}


def photo(rng: np.random.Generator, side: int = 640) -> np.ndarray:
    """(side, side, 3) uint8: colours at every scale, the finer the fainter."""
    from PIL import Image

    total = np.zeros((side, side, 3))
    for level in range(2, 10):
        noise = rng.integers(0, 256, (1 << level, 1 << level, 3), np.uint8)
        total += np.asarray(Image.fromarray(noise).resize((side, side))) / 2 ** (level - 1)
    return total.clip(0, 255).astype(np.uint8)


def least(work: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds of CPU time, best of the repeats after one that compiles; and the result."""
    result, best = work(), np.inf
    for _ in range(REPEATS):
        start = time.process_time()
        result = work()
        best = min(best, time.process_time() - start)
    return best, result


def measure(item: Item, params: Params) -> np.ndarray:
    """Milliseconds to draw a view and to store it, and its KiB."""
    params = replace(params, backend="numba")
    drawing, arrays = least(lambda: process(item, params, np.random.default_rng(0)))
    storing, data = least(lambda: encode_item(SPEC, arrays))
    return np.array([1000 * drawing, 1000 * storing, len(data) / 1024]) / len(arrays["rgb"])


def main() -> None:
    """Measures and writes the table."""
    data = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT.parent / "shared" / "data"
    rows = open_model_rows(data / "openmodels")
    rng = np.random.default_rng(0)
    pictures = tuple({"rgb": photo(rng)} for _ in range(8))
    fitted = table("pascal3d", "car", Workspace(ROOT))
    items = [
        Item(name, {"shapes": load_open_model(data / "openmodels", rows[name]).to_arrays()})
        for name in MODELS
    ]
    with open(ROOT / "benchmarks" / "views.csv", "w", newline="", encoding="utf-8") as file:
        out = csv.writer(file)
        out.writerow(("views", "draw_cpu_ms", "store_cpu_ms", "kib"))
        for name, params in SETS.items():
            whole = [replace(item, source=fitted, attached={PICTURES: pictures}) for item in items]
            found = np.mean([measure(item, params) for item in whole], axis=0)
            row = (name, *(f"{value:.2f}" for value in found))
            out.writerow(row)
            sys.stderr.write("  ".join(row) + "\n")


if __name__ == "__main__":
    main()

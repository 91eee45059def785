"""CPU time a view of orthographic depth maps beside Embree and beside the perspective rasteriser.

    python -m benchmarks.depths [DATA_DIR]

The 8 fixed views of each shape, and those with 100 novel ones, at 128 and 256 pixels:

- ours: `stages.depths.zbuffer.depth_maps`;
- embreex: parallel rays through the same pixel centres, made before; building of the scene
  included. Of the pixels that either sees (`seen`), `only_one` counts those that one of the two
  does not see, `far` those whose depths differ: Embree works in single precision throughout, and
  lets rays through where faces meet;
- rasteriser: `stages.render.raster` from the same directions, preparation of the mesh included: it
  draws colours as well, in perspective, so its time is for comparison of the cores alone.

Milliseconds of CPU time over all threads, best of the repeats, by view. The shells are four inside
each other with a fifth of their faces gone; the others are real models. Writes
benchmarks/depths.csv.
"""

from __future__ import annotations

import csv
import sys
import time
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path

import numpy as np

from benchmarks.render import meshes, scene_of
from stages.depths.zbuffer import depth_maps
from stages.geometry import cameras
from stages.geometry.mesh import Mesh
from stages.geometry.orthographic import fixed_viewpoints, random_viewpoints, xyz_maps

Work = Callable[[], np.ndarray]

ROOT = Path(__file__).resolve().parents[1]
SIZES = (128, 256)
NOVEL = 100
REPEATS = {"ours": 7, "embreex": 3, "rasteriser": 3}
FAR = 2e-5  # world units; single precision of the rays alone makes 1e-5 at slanted faces


def ours(mesh: Mesh, viewpoints: np.ndarray, size: int) -> Work:
    return lambda: depth_maps(mesh, cameras.extrinsics(viewpoints), size)


def embreex(mesh: Mesh, viewpoints: np.ndarray, size: int) -> Work:
    from embreex.mesh_construction import TriangleMesh
    from embreex.rtcore_scene import EmbreeScene

    matrices = cameras.extrinsics(viewpoints)
    starts = xyz_maps(np.zeros((len(matrices), size, size)), matrices)  # (V, size, size, 3)
    starts = starts.reshape(len(matrices), -1, 3).astype(np.float32)
    directions = np.broadcast_to(matrices[:, None, 2, :3], starts.shape).astype(np.float32)

    def work() -> np.ndarray:
        scene = EmbreeScene()
        TriangleMesh(scene, mesh.triangles)
        depth = np.stack([scene.run(*rays, query="DISTANCE") for rays in zip(starts, directions)])
        depth[depth > 2] = 0  # 1e37 where nothing is hit
        return depth.reshape(-1, size, size)

    return work


def rasteriser(mesh: Mesh, viewpoints: np.ndarray, size: int) -> Work:
    matrices = cameras.extrinsics(viewpoints * [1, 1, 1, cameras.DISTANCE])

    def work() -> np.ndarray:
        draw = scene_of("rasteriser", mesh, size)
        return np.stack([draw(matrix)[1] for matrix in matrices])

    return work


METHODS = {"ours": ours, "embreex": embreex, "rasteriser": rasteriser}


def measure(work: Work, repeats: int) -> tuple[np.ndarray, float]:
    """The depths, and milliseconds of CPU time a view; one run before, to compile."""
    depth, best = work(), np.inf
    for _ in range(repeats):
        start = time.process_time()
        depth = work()
        best = min(best, time.process_time() - start)
    return depth, 1000 * best / len(depth)


def rows(data: Path) -> Iterator[dict[str, object]]:
    """The table, row by row."""
    novel = random_viewpoints(NOVEL, np.random.default_rng(0))
    sets = {"8": fixed_viewpoints(8), f"8+{NOVEL}": np.concatenate([fixed_viewpoints(8), novel])}
    for (name, mesh), size, views in product(meshes(data), SIZES, sets):
        reference, base = np.empty(0), 0.0
        for method, prepared in METHODS.items():
            depth, spent = measure(prepared(mesh, sets[views], size), REPEATS[method])
            if method == "ours":
                reference, base = depth, spent
            yield {
                "mesh": name,
                "faces": len(mesh.faces),
                "size_px": size,
                "views": views,
                "method": method,
                "cpu_ms_per_view": f"{spent:.3f}",
                "times_ours": f"{spent / base:.1f}",
                **(compared(depth, reference) if method == "embreex" else {}),
            }


def compared(depth: np.ndarray, reference: np.ndarray) -> dict[str, object]:
    """Of the pixels that either sees: how many only one does, and how many differ in depth."""
    seen = (depth > 0) | (reference > 0)
    both = (depth > 0) & (reference > 0)
    far = np.abs(depth - reference)[both] > FAR
    return {"seen": int(seen.sum()), "only_one": int((seen & ~both).sum()), "far": int(far.sum())}


def main() -> None:
    """Measures and writes the table."""
    data = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT.parent / "shared" / "data"
    table = []
    for row in rows(data):
        table.append(row)
        print(*(f"{value!s:>16}" for value in row.values()))
    with (ROOT / "benchmarks" / "depths.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, max(map(list, table), key=len))
        writer.writeheader()
        writer.writerows(table)


if __name__ == "__main__":
    main()

"""CPU time a view of the rasteriser beside pyrender on software OpenGL.

    python -m benchmarks.render [DATA_DIR]

Three renderers draw 24 views of each mesh, one sample a pixel; the figures are milliseconds of CPU
time a view over all threads, preparation and upload of the mesh included, best of three:

- rasteriser: `stages.render.raster`;
- pyrender-ours: `stages.render.gl`, which is `--backend pyrender`: one sample a pixel, our shader;
- pyrender-stock: pyrender as it comes: physically based shading, a directional light, 4x
  multisampling.

Each runs in a process of its own, through EGL; the device is in the file and must be a software
one (Mesa llvmpipe) for the comparison to mean anything. OSMesa is not measured: with PyOpenGL
3.1.0, which pyrender asks for, it does not start. The shells are four inside each other with a
fifth of their faces gone; the others are real models. Writes benchmarks/render.csv.
"""

from __future__ import annotations

import csv
import functools
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import trimesh

from stages.geometry import cameras
from stages.geometry.mesh import Mesh
from stages.render.surface import Shot, light, prepare
from tests.render.models import load_open_model, open_model_rows

ROOT = Path(__file__).resolve().parents[1]
SIZES = (64, 128, 486)
# Repeats after the run that compiles; the slow one is far from the others whatever the noise.
REPEATS = {"rasteriser": 5, "pyrender-ours": 3, "pyrender-stock": 1}
RENDERERS = tuple(REPEATS)
REAL = ("f16", "dromader", "torcs-car5-trb1", "cc-by-biurko3", "cc-0-bed1", "cc-0-sofa2")


def shells(faces: int) -> Mesh:
    """About so many faces in four wavy shells inside each other with holes."""
    rng = np.random.default_rng(faces)
    sections = round(np.sqrt(faces / 4 / 0.8 / 2))
    ring = trimesh.creation.torus(0.25, 0.1, major_sections=sections, minor_sections=sections)
    waves = 1 + 0.1 * np.sin(40 * ring.vertices).prod(1, keepdims=True)
    parts: list[tuple[np.ndarray, np.ndarray]] = []
    for scale in (1, 0.85, 0.7, 0.55):
        kept = ring.faces[rng.random(len(ring.faces)) < 0.8]
        parts.append((ring.vertices * waves * scale, kept + len(parts) * len(waves)))
    vertices, triangles = (np.concatenate(arrays) for arrays in zip(*parts))
    return Mesh.plain(vertices, triangles)


def stock_scene(mesh: Mesh, size: int) -> Callable[[np.ndarray], Any]:
    """pyrender as its examples use it; returns what draws a view of (3, 4) extrinsics."""
    import pyrender

    from stages.render import gl

    surface = prepare(mesh, True, cameras.FOCAL * size / 2)
    scene = pyrender.Scene(bg_color=[1.0, 1.0, 1.0, 0.0], ambient_light=[0.3, 0.3, 0.3])
    parts = [gl._primitive(surface, int(t)) for t in np.unique(surface.texture)]
    scene.add(pyrender.Mesh(parts))
    lens = cameras.intrinsics(size)
    camera = pyrender.IntrinsicsCamera(lens[0, 0], lens[1, 1], lens[0, 2], lens[1, 2])
    nodes = [scene.add(camera), scene.add(pyrender.DirectionalLight(intensity=3.0))]
    renderer = stock_renderer()
    renderer.viewport_width = renderer.viewport_height = size

    def draw(extrinsics: np.ndarray) -> None:
        pose = np.eye(4)
        pose[:3, :3] = extrinsics[:, :3].T * [1, -1, -1]
        pose[:3, 3] = -extrinsics[:, :3].T @ extrinsics[:, 3]
        for node in nodes:
            scene.set_pose(node, pose)
        renderer.render(scene, pyrender.RenderFlags.SKIP_CULL_FACES)

    return draw


@functools.cache
def stock_renderer() -> Any:
    """One renderer for the process."""
    import pyrender

    return pyrender.OffscreenRenderer(1, 1)


def scene_of(name: str, mesh: Mesh, size: int) -> Callable[[np.ndarray], Any]:
    """What draws a view of (3, 4) extrinsics with one of RENDERERS."""
    if name == "pyrender-stock":
        return stock_scene(mesh, size)
    from stages.render.backend import scene_class

    kind = scene_class("numba" if name == "rasteriser" else "pyrender")
    lens = cameras.intrinsics(size)
    scene, lamp = kind(prepare(mesh, True, lens[0, 0] / 2)), light(-30, 45, 0.5, 0.4)
    return lambda extrinsics: scene.shoot(Shot(extrinsics, lens, size, lamp))


def measure(name: str, mesh: Mesh, size: int) -> float:
    """Milliseconds of CPU time a view, best of the repeats."""
    matrices = cameras.extrinsics(cameras.grid24())
    best = np.inf
    for repeat in range(REPEATS[name] + 1):  # the first compiles
        start = time.process_time()
        draw = scene_of(name, mesh, size)
        for matrix in matrices:
            draw(matrix)
        if repeat:
            best = min(best, time.process_time() - start)
    return 1000 * best / len(matrices)


def device() -> str:
    """The name of the OpenGL device, without its brackets."""
    from stages.render import gl

    return gl.device().split(" (")[0]


def meshes(data: Path) -> Iterator[tuple[str, Mesh]]:
    """Generated ones, and real ones where the data is there."""
    for thousands in (5, 50, 300):
        yield f"shells-{thousands}k", shells(1000 * thousands)
    if (data / "openmodels").is_dir():
        rows = open_model_rows(data / "openmodels")
        for name in REAL:
            yield name, load_open_model(data / "openmodels", rows[name])


def main() -> None:
    """Measures and writes the table."""
    data = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT.parent / "shared" / "data"
    pools = {name: ProcessPoolExecutor(1, get_context("spawn")) for name in RENDERERS}
    names = {name: f"{name} on {pools[name].submit(device).result()}" for name in RENDERERS[1:]}
    with open(ROOT / "benchmarks" / "render.csv", "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        columns = ("mesh", "faces", "textures", "size_px", "renderer", "cpu_ms_per_view", "ratio")
        table.writerow(columns)
        for mesh_name, mesh in meshes(data):
            for size in SIZES:
                spent = {r: pools[r].submit(measure, r, mesh, size).result() for r in RENDERERS}
                for renderer, cost in spent.items():
                    ratio = f"{cost / spent['rasteriser']:.1f}"
                    label = names.get(renderer, renderer)
                    counts = (len(mesh.faces), len(mesh.textures))
                    row = (mesh_name, *counts, size, label, f"{cost:.2f}", ratio)
                    table.writerow(row)
                    sys.stderr.write("  ".join(map(str, row)) + "\n")
    for pool in pools.values():
        pool.shutdown()


if __name__ == "__main__":
    main()

"""CPU time and quality of solid voxels beside ray voting and subdivide-and-fill.

    python benchmarks/voxelize.py

Every method turns the same triangles into the same 96^3 grid (and 32^3, without the slowest):

- ours: `stages.voxelize.process` from the cached mesh to the boolean grid; `solid` is what the
  others do, `both` marks the touched voxels as well;
- embreex, open3d: rays along the three axes through all voxel centres, every hit of each ray, then
  our vote and our carving on the hits, in numpy; open3d only where it is installed;
- trimesh: `mesh.voxelized(pitch).fill()`, subdivision down to the voxel, then filling.

Figures are milliseconds of CPU time over all threads, best of the repeats, building of ray-tracing
scenes included. IoU is against the formula for the sphere and the torus. The soups are shells
inside each other with a fifth of their faces gone. Writes benchmarks/voxelize.csv.
"""

from __future__ import annotations

import csv
import importlib.util
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import trimesh

from stages.geometry.mesh import Mesh
from stages.stage import Item
from stages.voxelize import Params, process

RESULT = Path(__file__).with_suffix(".csv")
REPEATS = {"ours solid": 60, "ours both": 60, "embreex": 5, "open3d": 5, "trimesh": 2}
PAST = 1e-6  # world units by which the next ray of embreex starts behind a hit
FAR = 0.6  # where rays start, outside of the grid


def soup(faces: int) -> trimesh.Trimesh:
    """Four wavy shells inside each other with holes: inner walls, not watertight."""
    rng = np.random.default_rng(faces)
    sections = round(np.sqrt(faces / 4 / 0.8 / 2))
    ring = trimesh.creation.torus(0.25, 0.1, major_sections=sections, minor_sections=sections)
    parts = []
    for scale in (1, 0.85, 0.7, 0.55):
        waves = 1 + 0.1 * np.sin(40 * ring.vertices).prod(1, keepdims=True)
        kept = ring.faces[rng.random(len(ring.faces)) < 0.8]
        parts.append(trimesh.Trimesh(ring.vertices * waves * scale, kept, process=False))
    return trimesh.util.concatenate(parts)


def sphere() -> trimesh.Trimesh:
    return trimesh.creation.uv_sphere(0.28, count=(112, 113))


def torus() -> trimesh.Trimesh:
    return trimesh.creation.torus(0.25, 0.1, major_sections=224, minor_sections=112)


def truth(name: str, res: int) -> np.ndarray | None:
    """(res, res, res) whether a centre is inside by the formula; None where there is none."""
    steps = (np.arange(res) + 0.5) / res - 0.5
    x, y, z = np.meshgrid(steps, steps, steps, indexing="ij")
    if name == "sphere":
        return x**2 + y**2 + z**2 < 0.28**2
    return np.hypot(np.hypot(x, y) - 0.25, z) < 0.1 if name == "torus" else None


def ours(mesh: trimesh.Trimesh, res: int, fill: str) -> Callable[[], np.ndarray]:
    item = Item("a/b", {"shapes": Mesh.plain(mesh.vertices, mesh.faces).to_arrays()})
    params, rng = Params(res=res, fill=fill), np.random.default_rng(0)  # type: ignore[arg-type]
    return lambda: process(item, params, rng)["voxels"]


def rays(res: int) -> tuple[np.ndarray, np.ndarray]:
    """(3, res, res, 3) float32 starts and directions, axis by axis."""
    steps = ((np.arange(res) + 0.5) / res - 0.5).astype(np.float32)
    starts = np.full((3, res, res, 3), -FAR, np.float32)
    for axis in range(3):
        row, column = (i for i in range(3) if i != axis)
        starts[axis, ..., row], starts[axis, ..., column] = np.meshgrid(steps, steps, indexing="ij")
    directions = np.broadcast_to(np.eye(3, dtype=np.float32)[:, None, None], starts.shape)
    return starts.reshape(-1, 3), np.ascontiguousarray(directions.reshape(-1, 3))


def vote(ray: np.ndarray, distance: np.ndarray, res: int) -> np.ndarray:
    """The rule of `stages.voxelize.solid` on hits: their rays and distances from the start."""
    places = np.clip(np.ceil((distance - FAR + 0.5) * res - 0.5), 0, res).astype(np.int64)
    counts = np.bincount(ray * (res + 1) + places, minlength=3 * res * res * (res + 1))
    before = counts.reshape(3, res, res, res + 1).cumsum(-1)  # hits up to each centre
    total, before = before[..., -1:], before[..., :-1]
    inside = np.where(total % 2 == 0, np.where(before % 2, 1, -1), 0)
    unseen = (before > 0) & (before < total)
    votes = [np.moveaxis(inside[axis], -1, axis) for axis in range(3)]
    kept = [np.moveaxis(unseen[axis], -1, axis) for axis in range(3)]
    return (votes[0] + votes[1] + votes[2] > 0) | (kept[0] & kept[1] & kept[2])


def embreex(mesh: trimesh.Trimesh, res: int) -> Callable[[], np.ndarray]:
    from embreex import rtcore_scene
    from embreex.mesh_construction import TriangleMesh

    triangles = np.asarray(mesh.triangles, np.float32)
    starts, directions = rays(res)

    def work() -> np.ndarray:
        scene = rtcore_scene.EmbreeScene()
        TriangleMesh(scene, triangles)
        active, done = np.arange(len(starts)), np.zeros(len(starts), np.float32)
        hit_rays, hit_distances = [], []
        while len(active):
            at = starts[active] + done[active, None] * directions[active]
            found = scene.run(at, directions[active], output=True)
            hit = found["primID"] >= 0
            active = active[hit]
            done[active] += found["tfar"][hit]
            hit_rays.append(active)
            hit_distances.append(done[active])
            done[active] += PAST
        return vote(np.concatenate(hit_rays), np.concatenate(hit_distances), res)

    return work


def open3d(mesh: trimesh.Trimesh, res: int) -> Callable[[], np.ndarray]:
    import open3d

    vertices = open3d.core.Tensor(np.asarray(mesh.vertices, np.float32))
    faces = open3d.core.Tensor(np.asarray(mesh.faces, np.uint32))
    lines = open3d.core.Tensor(np.concatenate(rays(res), 1))

    def work() -> np.ndarray:
        scene = open3d.t.geometry.RaycastingScene()
        scene.add_triangles(vertices, faces)
        found = scene.list_intersections(lines)
        return vote(found["ray_ids"].numpy().astype(np.int64), found["t_hit"].numpy(), res)

    return work


def subdivide_and_fill(mesh: trimesh.Trimesh, res: int) -> Callable[[], np.ndarray]:
    # its voxel centres are whole multiples of the pitch, ours lie halfway between
    moved = mesh.copy().apply_translation([0.5 / res] * 3)

    def work() -> np.ndarray:
        points = moved.voxelized(1 / res).fill().points
        grid = np.zeros((res, res, res), bool)
        grid[tuple(np.rint((points + 0.5) * res - 1).astype(int).T)] = True
        return grid

    return work


def measure(work: Callable[[], np.ndarray], repeats: int) -> tuple[np.ndarray, float]:
    """The grid and the least CPU milliseconds; one call before, to compile and to warm up."""
    grid, best = work(), np.inf
    for _ in range(repeats):
        start = time.process_time()
        grid = work()
        best = min(best, time.process_time() - start)
    return grid, best * 1e3


def methods(mesh: trimesh.Trimesh, res: int) -> dict[str, Callable[[], np.ndarray]]:
    found = {
        "ours solid": ours(mesh, res, "solid"),
        "ours both": ours(mesh, res, "both"),
        "embreex": embreex(mesh, res),
    }
    if importlib.util.find_spec("open3d"):
        found["open3d"] = open3d(mesh, res)
    if res == 96:
        found["trimesh"] = subdivide_and_fill(mesh, res)
    return found


def main() -> None:
    meshes = {f"soup {n // 1000}k": soup(n) for n in (5000, 50000, 300000)}
    meshes |= {"sphere": sphere(), "torus": torus()}
    rows = []
    for name, mesh in meshes.items():
        for res in (32, 96):
            true, base = truth(name, res), 0.0
            for method, work in methods(mesh, res).items():
                grid, cpu = measure(work, REPEATS[method])
                base = base or cpu
                quality = "" if true is None else f"{(grid & true).sum() / (grid | true).sum():.4f}"
                row = {
                    "mesh": name,
                    "faces": len(mesh.faces),
                    "res": res,
                    "method": method,
                    "cpu_ms": f"{cpu:.2f}",
                    "times_ours_solid": f"{cpu / base:.1f}",
                    "filled": f"{grid.mean():.4f}",
                    "iou": quality,
                }
                rows.append(row)
                print(*(f"{value!s:>12}" for value in row.values()))
    with RESULT.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()

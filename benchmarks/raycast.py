"""CPU time of sphere maps beside Embree, and how far the two are apart.

    python -m benchmarks.raycast

Every method casts the same n x n rays against the same triangles and returns (n, n) ray lengths:

- ours: `stages.raycast.cast` from a cached mesh, checks included; `prepared` casts a body that was
  checked before, as training does at every new rotation; `all` adds the sines, the convex hull and
  its map;
- embreex: rays from outside to the centre, first hit, the scene built each time as the mesh has
  moved, from shared corners;
- open3d: the same rays, where it is installed;
- trimesh: its `mesh.ray.intersects_location`, all hits from the centre outwards, on top of Embree.

Figures are milliseconds of CPU time over all threads, best of the repeats. The soups are shells
inside each other with a fifth of their faces gone, turned so that no edge lies on a ray. `equal` is
the share of the rays whose length is that of embreex to 1e-4. Writes benchmarks/raycast.csv.
"""

from __future__ import annotations

import csv
import importlib.util
from collections.abc import Callable
from pathlib import Path

import numpy as np
import trimesh

from benchmarks.voxelize import measure, soup
from stages.geometry.mesh import Mesh
from stages.raycast import cast
from stages.raycast.body import prepare
from stages.sphere.grids import directions

RESULT = Path(__file__).with_suffix(".csv")
REPEATS = {"ours": 30, "ours prepared": 30, "ours all": 10, "embreex": 5, "open3d": 5, "trimesh": 1}
SAME = 1e-4  # world units
# No multiple of an angle of the grids about any axis.
TURN = trimesh.transformations.euler_matrix(0.3, 0.5, 0.7)[:3, :3]


def turned(mesh: trimesh.Trimesh) -> Mesh:
    vertices = mesh.vertices - mesh.bounds.mean(0)
    return Mesh.plain(vertices @ TURN.T / np.linalg.norm(mesh.extents), mesh.faces)


def embreex(mesh: Mesh, n: int) -> Callable[[], np.ndarray]:
    from embreex import rtcore_scene
    from embreex.mesh_construction import TriangleMesh

    faces = mesh.faces.astype(np.int32)
    outwards = directions(n).reshape(-1, 3).astype(np.float32)

    def work() -> np.ndarray:
        scene = rtcore_scene.EmbreeScene()
        TriangleMesh(scene, mesh.vertices, faces)
        found = scene.run(outwards, -outwards, output=True)
        lengths = np.where(found["primID"] >= 0, 1 - found["tfar"], 0)
        return np.maximum(lengths, 0).reshape(n, n)

    return work


def open3d(mesh: Mesh, n: int) -> Callable[[], np.ndarray]:
    import open3d

    vertices = open3d.core.Tensor(mesh.vertices)
    faces = open3d.core.Tensor(mesh.faces.astype(np.uint32))
    outwards = directions(n).reshape(-1, 3).astype(np.float32)
    lines = open3d.core.Tensor(np.concatenate([outwards, -outwards], 1))

    def work() -> np.ndarray:
        scene = open3d.t.geometry.RaycastingScene()
        scene.add_triangles(vertices, faces)
        hit = scene.cast_rays(lines)["t_hit"].numpy()
        return np.maximum(np.where(np.isfinite(hit), 1 - hit, 0), 0).reshape(n, n)

    return work


def wrapper(mesh: Mesh, n: int) -> Callable[[], np.ndarray]:
    outwards = directions(n).reshape(-1, 3)

    def work() -> np.ndarray:
        fresh = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
        points, rays, _ = fresh.ray.intersects_location(np.zeros_like(outwards), outwards)
        lengths = np.zeros(len(outwards))
        np.maximum.at(lengths, rays, np.linalg.norm(points, axis=1))
        return lengths.reshape(n, n)

    return work


def methods(mesh: Mesh, n: int) -> dict[str, Callable[[], np.ndarray]]:
    body = prepare(mesh)
    found = {
        "ours": lambda: cast(mesh, n)[0],
        "ours prepared": lambda: cast(body, n)[0],
        "ours all": lambda: cast(mesh, n, channels="all")[0],
        "embreex": embreex(mesh, n),
    }
    if importlib.util.find_spec("open3d"):
        found["open3d"] = open3d(mesh, n)
    return {**found, "trimesh": wrapper(mesh, n)}


def main() -> None:
    meshes = {f"soup {n // 1000}k": soup(n) for n in (5000, 50000, 300000)}
    meshes["sphere 50k"] = trimesh.creation.uv_sphere(0.4, count=(112, 113))
    rows = []
    for name, mesh in ((name, turned(mesh)) for name, mesh in meshes.items()):
        for n in (64, 128):
            measured = {m: measure(work, REPEATS[m]) for m, work in methods(mesh, n).items()}
            reference = measured["embreex"][0]
            for method, (lengths, cpu) in measured.items():
                row = {
                    "mesh": name,
                    "faces": len(mesh.faces),
                    "rays": n * n,
                    "method": method,
                    "cpu_ms": f"{cpu:.2f}",
                    "times_ours": f"{cpu / measured['ours'][1]:.1f}",
                    "equal": f"{(np.abs(lengths - reference) <= SAME).mean():.5f}",
                    "largest_difference": f"{np.abs(lengths - reference).max():.1e}",
                }
                rows.append(row)
                print(*(f"{value!s:>14}" for value in row.values()))
    with RESULT.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()

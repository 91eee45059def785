"""Point clouds as files, as voxels and as closed surfaces.

Letters: N points.
"""

from __future__ import annotations

import io
from collections.abc import Iterator

import numpy as np

from stages.errors import CrossdimError, InputError, UsageError
from stages.evaluate import pointcloud
from stages.evaluate.cloud_baselines import true_cloud
from stages.export.choose import Grid, choose_item
from stages.geometry.points import filled_cells, sample_surface
from stages.store.shard import params_of
from stages.store.workspace import Artefact, Workspace
from stages.train.run import Run

_MARGIN = 2  # empty cells around a surface, which marching cubes closes


def evaluated_clouds(workspace: Workspace, run: Run) -> Artefact:
    """The clouds of a run; InputError with the command that makes them."""
    for results in workspace.artefacts(pointcloud.STAGE.name):
        key = results.index.key
        known = params_of(key) if key else {}
        if known.get("run") == f"{run.system}-{run.name}" and results.index.items():
            return results
    raise InputError(
        f"run {run.name} has no results yet", f"run: crossdim eval pointcloud --run {run.name}"
    )


def split_clouds(results: Artefact, item: str) -> list[np.ndarray]:
    """(N, 3) float32 clouds of the views of a shape."""
    arrays = results.read(item, ("points", "count"))
    return np.split(arrays["points"], np.cumsum(arrays["count"])[:-1])


def predicted_cloud(
    workspace: Workspace, run: Run, wanted: str | None, view: int
) -> tuple[str, np.ndarray]:
    """Id and (N, 3) cloud that a run told from one view of a test shape."""
    results = evaluated_clouds(workspace, run)
    item = choose_item(results.index.items(), wanted, f"the test shapes of run {run.name}")
    clouds = split_clouds(results, item)
    if view >= len(clouds):
        raise UsageError(f"{item} has {len(clouds)} views", f"use --view 0 to {len(clouds) - 1}")
    return item, clouds[view]


def fused_cloud(
    workspace: Workspace, wanted: str | None, variant: str | None
) -> tuple[str, np.ndarray]:
    """Id and (N, 3) cloud of the true fixed depth maps of a shape."""
    artefacts = [a for a in workspace.artefacts("depths") if variant in (None, a.variant)]
    if not artefacts:
        raise InputError(f"no depths in {workspace.root}", "run: crossdim depths")
    if len(artefacts) > 1:
        names = ", ".join(a.variant for a in artefacts)
        raise UsageError(f"several depths are there: {names}", "choose one with --depths NAME")
    item = choose_item(artefacts[0].index.items(), wanted, artefacts[0].name)
    return item, true_cloud(artefacts[0].read(item, ("depth", "extrinsics")))


def surface_cloud(
    workspace: Workspace, wanted: str | None, count: int, seed: int
) -> tuple[str, np.ndarray]:
    """Id and (`count`, 3) points of a cached mesh, uniform over its area."""
    from stages.export.choose import cached_mesh

    item, mesh = cached_mesh(workspace, wanted)
    return item, sample_surface(mesh, count, np.random.default_rng(seed)).astype(np.float32)


def point_bytes(points: np.ndarray, suffix: str) -> bytes:
    """(N, 3) points as binary PLY or PCD, as XYZ text, or as NPZ (`points`), canonical frame."""
    points = np.ascontiguousarray(points, "<f4")
    suffix = suffix.lower()
    if suffix == ".npz":
        buffer = io.BytesIO()
        np.savez_compressed(buffer, points=points)
        return buffer.getvalue()
    if suffix == ".xyz":
        buffer = io.BytesIO()
        np.savetxt(buffer, points, "%.7g")
        return buffer.getvalue()
    header = _ply_header(len(points)) if suffix == ".ply" else _pcd_header(len(points))
    return header.encode() + points.tobytes()


def _ply_header(count: int) -> str:
    properties = "".join(f"property float {axis}\n" for axis in "xyz")
    return f"ply\nformat binary_little_endian 1.0\nelement vertex {count}\n{properties}end_header\n"


def _pcd_header(count: int) -> str:
    return (
        "# .PCD v0.7 - Point Cloud Data file format\nVERSION 0.7\nFIELDS x y z\nSIZE 4 4 4\n"
        f"TYPE F F F\nCOUNT 1 1 1\nWIDTH {count}\nHEIGHT 1\nVIEWPOINT 0 0 0 1 0 0 0\n"
        f"POINTS {count}\nDATA binary\n"
    )


def occupied(points: np.ndarray, res: int) -> Grid:
    """The cells of the unit cube around the origin that hold points of (N, 3), holes filled.

    A hole is what no path between faces of cells leaves: a cloud of a closed surface becomes solid.
    """
    filled = filled_cells(_some(points), res)
    return Grid(filled.astype(np.float32), np.full(3, -0.5), 1.0, 0.5)


def thickened(points: np.ndarray, res: int, radius: float) -> Grid:
    """The union of balls around (N, 3) points, holes filled, as a field whose 0.5 is its surface.

    `radius` in world units is theirs; the surface lies so far outside of the points. `res` cells
    along the longest side. Marching cubes of it closes wherever points are less than about twice
    the radius apart. Raises UsageError for balls that the cells do not resolve.
    """
    from scipy.ndimage import binary_fill_holes
    from scipy.spatial import cKDTree

    points = _some(points)
    low, high = points.min(0) - radius, points.max(0) + radius
    cell = float((high - low).max()) / (res - 2 * _MARGIN)
    if radius < cell:
        raise UsageError(
            f"a radius of {radius:g} is less than a cell, {cell:.2g}",
            "use a larger --radius or --res",
        )
    origin = (low + high) / 2 - cell * res / 2
    tree = cKDTree(points)
    values = np.zeros((res, res, res), np.float32)
    for number, centres in enumerate(_slices(origin, cell, res)):
        distance = tree.query(centres, distance_upper_bound=2 * radius)[0]  # inf beyond
        values[number] = np.clip(1 - distance / (2 * radius), 0, 1).reshape(res, res)
    solid = values >= 0.5
    values[binary_fill_holes(solid) & ~solid] = 1
    return Grid(values, origin, cell * res, 0.5)


def _slices(origin: np.ndarray, cell: float, res: int) -> Iterator[np.ndarray]:
    """(res^2, 3) centres of the cells of one x after the other."""
    steps = (np.arange(res) + 0.5) * cell
    y, z = np.meshgrid(origin[1] + steps, origin[2] + steps, indexing="ij")
    for x in origin[0] + steps:
        yield np.stack([np.full(y.size, x), y.ravel(), z.ravel()], 1)


def _some(points: np.ndarray) -> np.ndarray:
    if not len(points):
        raise CrossdimError("the cloud is empty", "choose another --view or run")
    return points

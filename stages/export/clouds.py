"""Pictures of point clouds: what went in, what is true, what was told.

Letters: N points.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from stages.evaluate.cloud_baselines import true_cloud
from stages.evaluate.clouds import NUMBERS
from stages.export.pictures import STANDARD, TILE, in_turn, sheet_png
from stages.export.points import evaluated_clouds, split_clouds
from stages.geometry import cameras, orthographic
from stages.store.shard import params_of
from stages.store.workspace import Artefact, Workspace
from stages.train.run import Run

COLUMNS = (
    "input",
    "truth, as it was seen",
    "told, as it was seen",
    "truth, from one side",
    "told, from one side",
    "truth, from behind",
    "told, from behind",
)
TOLD, TRUE = np.array([217, 115, 51]), np.array([89, 140, 191])
_BEHIND = STANDARD + np.array([180, 0, 0, 0], np.float32)
_FOUND = (NUMBERS.index("Chamfer"), NUMBERS.index("F-score at 1 %"))


class Told(NamedTuple):
    """A picture of a test shape, and what was told of it."""

    item: str
    rgb: np.ndarray  # (64, 64, 3) uint8
    viewpoint: np.ndarray  # (4,)
    cloud: np.ndarray  # (N, 3) world
    number: np.ndarray  # of the cloud, as in NUMBERS
    depths: Artefact  # true ones


def pointcloud_sheet(workspace: Workspace, run: Run, count: int) -> bytes:
    """PNG of `count` test shapes, one a row and one picture each: COLUMNS, Chamfer and F-score.

    Taken in turn from the categories and spread over their shapes. The truth is the cloud of the
    true depth maps, the most that the network could say. Drawn from the cache, without the network.
    """
    rows = []
    for one in told_clouds(workspace, run, count):
        chamfer, score = one.number[list(_FOUND)]
        label = f"{one.item}\nChamfer {chamfer:.2f}\nF-score {score:.2f}"
        truth = true_cloud(one.depths.read(one.item, ("depth", "extrinsics")))
        tiles = [
            cloud_picture(cloud, viewpoint, colour)
            for viewpoint in (one.viewpoint, STANDARD, _BEHIND)
            for cloud, colour in ((truth, TRUE), (one.cloud, TOLD))
        ]
        rows.append((label, [one.rgb, *tiles]))
    return sheet_png(COLUMNS, rows)


def told_clouds(workspace: Workspace, run: Run, count: int) -> list[Told]:
    """One picture each of `count` test shapes, in turn of the categories, and what was told of it.

    Spread over the shapes of a category; another view in each. Raises InputError for a run that
    was not measured.
    """
    results = evaluated_clouds(workspace, run)
    key = results.index.key
    inputs = params_of(key)["inputs"] if key else []
    views, depths = (_artefact(workspace, one.partition(" ")[0]) for one in inputs)
    every = in_turn(sorted(results.index.items()), len(results.index.items()))
    ids = [every[n * len(every) // count] for n in range(min(count, len(every)))]
    found = []
    for place, item in enumerate(ids):
        clouds = split_clouds(results, item)
        view = int((0.08 + 0.29 * place) % 1.0 * len(clouds))
        seen = views.read(item, ("rgb", "viewpoint"))
        number = results.read(item, ("number",))["number"][view, 0]
        shown = seen["rgb"][view], seen["viewpoint"][view]
        found.append(Told(item, *shown, clouds[view], number, depths))
    return found


def _artefact(workspace: Workspace, name: str) -> Artefact:
    stage, _, variant = name.rpartition("/")
    return workspace.artefact(stage, variant)


def cloud_picture(
    points: np.ndarray, viewpoint: np.ndarray, colour: np.ndarray, size: int = TILE
) -> np.ndarray:
    """(size, size, 3) uint8 orthographic view of (N, 3) points on white, the far ones paler.

    A point is a square of 3 pixels; the nearest covers the others.
    """
    camera = np.array([*viewpoint[:3], orthographic.DISTANCE])
    u, v, depth = orthographic.project(
        np.asarray(points, np.float64), cameras.extrinsics(camera), size
    )
    order = np.argsort(-depth, kind="stable")  # later ones are drawn over earlier ones
    fog = np.clip(depth[order, None] - 0.5, 0, 1) * 0.75
    shade = (colour * (1 - fog) + 255 * fog).astype(np.uint8)
    column, row = np.floor(u[order]).astype(int), np.floor(v[order]).astype(int)
    picture = np.full((size, size, 3), 255, np.uint8)
    nearest = np.full((size, size), -1)
    for across in (-1, 0, 1):
        for down in (-1, 0, 1):
            x, y = column + across, row + down
            inside = np.flatnonzero((x >= 0) & (x < size) & (y >= 0) & (y < size))
            np.maximum.at(nearest, (y[inside], x[inside]), inside)
    there = nearest >= 0
    picture[there] = shade[nearest[there]]
    return picture

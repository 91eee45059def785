"""What novel views show of clouds that were told of pictures, beside true depth maps.

Drawn from the cache, without the network. Letters: N points, S pixels of a map, K novel views.
"""

from __future__ import annotations

import numpy as np

from stages.errors import InputError
from stages.evaluate.cloud_baselines import true_cloud
from stages.export.clouds import Told, told_clouds
from stages.export.pictures import sheet_png
from stages.geometry import orthographic
from stages.store.workspace import Workspace
from stages.train.run import Run

_NEAR, _FAR = 0.5, 1.5  # depths of canonical shapes lie between them


def novel_depth_sheet(workspace: Workspace, run: Run, shapes: int, views: int) -> bytes:
    """PNG, a row a test shape: one picture, then true and drawn depth from `views` novel sides.

    Beside it, means over these views: IoU of where anything is seen, difference of depth (x 100)
    where both see something; the same of the cloud of the true fixed maps, the most there is.
    Raises InputError for a run that was not measured, or depths without novel views.
    """
    rows = [_row(one, views) for one in told_clouds(workspace, run, shapes)]
    heads = [f"{what}, side {n + 1}" for n in range(views) for what in ("true", "of the cloud")]
    return sheet_png(["input", *heads], rows)


def _row(told: Told, count: int) -> tuple[str, list[np.ndarray]]:
    names = ("novel_depth", "novel_extrinsics", "depth", "extrinsics")
    maps = told.depths.read(told.item, names)
    truth, cameras = maps["novel_depth"][:count], maps["novel_extrinsics"][:count]
    if len(truth) < count:
        raise InputError(
            f"{told.depths.name} has {len(truth)} novel views of {told.item}",
            f"run: crossdim depths --novel {count}, or show fewer with --sides",
        )
    clouds = told.cloud, true_cloud(maps)
    size = truth.shape[-1]
    drawn, limit = (np.stack([drawn_depth(c, one, size) for one in cameras]) for c in clouds)
    tiles = [coloured(one) for pair in zip(truth, drawn) for one in pair]
    return f"{told.item}\n{_numbers(truth, drawn)}\ntrue cloud:\n{_numbers(truth, limit)}", [
        told.rgb,
        *tiles,
    ]


def _numbers(truth: np.ndarray, drawn: np.ndarray) -> str:
    overlap, away = compare(truth, drawn)
    return f"IoU {overlap:.2f}, depth {away:.1f}"


def compare(truth: np.ndarray, drawn: np.ndarray) -> tuple[float, float]:
    """IoU of the filled pixels of maps (K, S, S), and mean |difference| x 100 where both are.

    Means over the views; NaN for a difference where nothing overlaps in any of them.
    """
    seen, found = truth > 0, drawn > 0
    both, either = seen & found, seen | found
    overlap = both.sum((1, 2)) / np.maximum(either.sum((1, 2)), 1)
    away = np.where(both, np.abs(truth - drawn), 0).sum((1, 2))
    some = both.any((1, 2))
    away = 100 * away[some] / both.sum((1, 2))[some]
    return float(overlap.mean()), float(away.mean()) if len(away) else np.nan


def drawn_depth(points: np.ndarray, extrinsics: np.ndarray, size: int) -> np.ndarray:
    """(S, S) float32 depth of (N, 3) world points, the nearest of each pixel; 0 = nothing.

    A point fills the pixel that it falls into and no more.
    """
    u, v, depth = orthographic.project(points.astype(np.float64), extrinsics, size)
    row, column = np.floor(v).astype(int), np.floor(u).astype(int)
    inside = (row >= 0) & (row < size) & (column >= 0) & (column < size) & (depth > 0)
    nearest = np.full((size, size), np.inf)
    np.minimum.at(nearest, (row[inside], column[inside]), depth[inside])
    return np.where(np.isfinite(nearest), nearest, 0).astype(np.float32)


def coloured(depth: np.ndarray) -> np.ndarray:
    """(S, S, 3) uint8: near ones dark, far ones yellow, on one scale; nothing is white."""
    from matplotlib import colormaps

    share = (depth - _NEAR) / (_FAR - _NEAR)
    picture = np.asarray(colormaps["viridis"](share.clip(0, 1)))[..., :3]
    return np.where((depth > 0)[..., None], picture * 255, 255).round().astype(np.uint8)

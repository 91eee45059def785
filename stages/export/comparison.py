"""A comparison as pictures: what every system says of the same views of some test shapes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from stages.evaluate.compared_protocol import Comparison
from stages.evaluate.said import LIMIT
from stages.export.choose import cached_mesh
from stages.export.pictures import STANDARD, picture, sheet_png, surface
from stages.geometry.cameras import viewpoints_of
from stages.geometry.mesh import Mesh
from stages.store.workspace import Artefact, Workspace

_TOLD, _TRUE = (0.85, 0.45, 0.20, 1.0), (0.35, 0.55, 0.75, 1.0)


def comparison_sheet(workspace: Workspace, found: Comparison, count: int) -> bytes:
    """PNG of the first `count` test shapes, one view each, drawn from the cache.

    The view, the true voxels, then of every system and trivial answer that tells a shape its
    voxels, from one side for all; of every one that tells a pose alone the true shape in that pose,
    to be compared with the view. Under each its IoU or its error.
    """
    ids = found.field.split["test"][:count]
    labels = [one.label for one in found.contenders if one.label in found.reports]
    told = {label: found.reports[label].results for label in labels}
    # what is true already has a column
    drawn = [label for label in labels if label != LIMIT and _tells(told[label], ids[0])]
    each = {label: told[label] for label in drawn}
    rows = [_row(workspace, found, item, n, each) for n, item in enumerate(ids)]
    heads = ["view", "true voxels", *(_head(label) for label in drawn)]
    return sheet_png(heads, rows)


def _tells(results: Artefact, item: str) -> bool:
    arrays = results.read(item, ("voxels", "told_rotation"))
    return bool(len(arrays["voxels"]) or len(arrays["told_rotation"]))


def _head(label: str) -> str:
    """A label as it fits over a tile."""
    short = label.partition(" (")[0]
    return short if len(short) <= 26 else f"{short[:23]}..."


def _row(
    workspace: Workspace, found: Comparison, item: str, number: int, told: dict[str, Artefact]
) -> tuple[str, Sequence[np.ndarray]]:
    seen = found.field.views.read(item, ("rgb",))["rgb"]
    view = number % len(seen)  # another one in each row
    truth = found.field.voxels.read(item, ("voxels",))["voxels"]
    mesh = cached_mesh(workspace, item)[1]
    tiles = [seen[view], picture(_solid(truth, _TRUE), STANDARD)]
    notes = []
    for label, results in told.items():
        arrays = results.read(item, ("voxels", "voxel_iou", "told_rotation", "error_deg"))
        if len(arrays["voxels"]):
            tiles.append(picture(_solid(arrays["voxels"][view], _TOLD), STANDARD))
            notes.append(f"{_initials(label)} {arrays['voxel_iou'][view]:.2f}")
        else:
            pose = viewpoints_of(arrays["told_rotation"][view][None])[0].astype(np.float32)
            tiles.append(picture(mesh, pose))
            notes.append(f"{_initials(label)} {arrays['error_deg'][view]:.0f}°")
    return "\n".join([item, *notes]), tiles


def _initials(label: str) -> str:
    return _head(label)[:14]


def _solid(voxels: np.ndarray, rgba: tuple[float, ...]) -> Mesh | None:
    return surface(voxels.astype(np.float32), 0.5, rgba)

"""A comparison as pictures: what every system says of the same views of some test shapes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from stages.evaluate.contenders import LIMIT
from stages.export.choose import cached_mesh
from stages.export.pictures import STANDARD, picture, sheet_png, surface
from stages.geometry.cameras import viewpoints_of
from stages.geometry.mesh import Mesh
from stages.store.workspace import Artefact, Workspace

if TYPE_CHECKING:
    from stages.evaluate.compared_protocol import Comparison

_TOLD, _TRUE = (0.85, 0.45, 0.20, 1.0), (0.35, 0.55, 0.75, 1.0)


@dataclass(frozen=True)
class Answers:
    """What was told of the test shapes of a field, and what they look like."""

    views: Artefact
    voxels: Artefact
    ids: tuple[str, ...]
    told: Mapping[str, Artefact]  # results by label

    @classmethod
    def of(cls, found: Comparison) -> Answers:
        """Those of a comparison."""
        told = {label: report.results for label, report in found.reports.items()}
        return cls(found.field.views, found.field.voxels, found.field.split["test"], told)


class Tile(NamedTuple):
    """One picture: what it shows, and how good that is."""

    label: str
    note: str
    pixels: np.ndarray


def comparison_rows(workspace: Workspace, of: Answers, count: int) -> list[tuple[str, list[Tile]]]:
    """(id, tiles) of the first `count` test shapes, one view each, drawn from the cache.

    The view, the true voxels, then of every system and trivial answer that tells a shape its
    voxels, from one side for all; of every one that tells a pose alone the true shape in that pose,
    to be compared with the view. With its IoU or its error.
    """
    ids = of.ids[:count]
    # what is true already has a column
    drawn = {k: r for k, r in of.told.items() if ids and k != LIMIT and _tells(r, ids[0])}
    return [(item, _tiles(workspace, of, item, n, drawn)) for n, item in enumerate(ids)]


def comparison_sheet(workspace: Workspace, found: Comparison, count: int) -> bytes:
    """PNG of `comparison_rows`."""
    rows = comparison_rows(workspace, Answers.of(found), count)
    heads = [_head(tile.label) for tile in rows[0][1]]
    return sheet_png(
        heads, [(_noted(item, tiles), [t.pixels for t in tiles]) for item, tiles in rows]
    )


def _noted(item: str, tiles: list[Tile]) -> str:
    notes = [f"{_head(tile.label)[:14]} {tile.note}" for tile in tiles[2:]]
    return "\n".join([item, *notes])


def _tells(results: Artefact, item: str) -> bool:
    arrays = results.read(item, ("voxels", "told_rotation"))
    return bool(len(arrays["voxels"]) or len(arrays["told_rotation"]))


def _head(label: str) -> str:
    """A label as it fits over a tile."""
    short = label.partition(" (")[0]
    return short if len(short) <= 26 else f"{short[:23]}..."


def _tiles(
    workspace: Workspace, of: Answers, item: str, number: int, told: Mapping[str, Artefact]
) -> list[Tile]:
    seen = of.views.read(item, ("rgb",))["rgb"]
    view = number % len(seen)  # another one in each row
    truth = of.voxels.read(item, ("voxels",))["voxels"]
    mesh = cached_mesh(workspace, item)[1]
    tiles = [
        Tile("view", f"view {view}", seen[view]),
        Tile("true voxels", "", picture(_solid(truth, _TRUE), STANDARD)),
    ]
    for label, results in told.items():
        arrays = results.read(item, ("voxels", "voxel_iou", "told_rotation", "error_deg"))
        if len(arrays["voxels"]):
            pixels = picture(_solid(arrays["voxels"][view], _TOLD), STANDARD)
            tiles.append(Tile(label, f"{arrays['voxel_iou'][view]:.2f}", pixels))
        else:
            pose = viewpoints_of(arrays["told_rotation"][view][None])[0].astype(np.float32)
            tiles.append(Tile(label, f"{arrays['error_deg'][view]:.0f}°", picture(mesh, pose)))
    return tiles


def _solid(voxels: np.ndarray, rgba: tuple[float, ...]) -> Mesh | None:
    return surface(voxels.astype(np.float32), 0.5, rgba)

"""Meshes in the poses that were told of pictures (figure 5 of the equivariant paper)."""

from __future__ import annotations

import numpy as np

from stages.evaluate.posed import read_posed
from stages.export.choose import cached_mesh
from stages.export.embedding import Told, as_drawn, pairs_of
from stages.export.pictures import TILE, sheet_png
from stages.geometry.cameras import DISTANCE, viewpoints_of
from stages.render import Params as RenderParams
from stages.render.views import render_views
from stages.store.workspace import Artefact, Workspace

COLUMNS = ("input", "mesh, as told", "mesh, in truth")


def mesh_alignment_sheet(workspace: Workspace, results: Artefact, base: str, count: int) -> bytes:
    """PNG of pictures and meshes, a pair a row, from results of `eval align`: COLUMNS.

    The mesh in the pose that was told (by the best method), and in the true one. base: "instance"
    for the mesh that the picture shows, "category" for another one. In turn from the categories;
    drawn from the cache, without the network. Raises InputError when there are no such pairs.
    """
    pictures, pairs = pairs_of(workspace, results, base, count)
    return sheet_png(COLUMNS, [_row(workspace, pictures, item, told) for item, told in pairs])


def _row(
    workspace: Workspace, pictures: Artefact, item: str, pair: Told
) -> tuple[str, list[np.ndarray]]:
    shape = bytes(pair.shape).decode()
    seen = read_posed(pictures, item)[0][pair.view]
    turns = np.stack([pair.told[0], pair.truth]).astype(np.float64)
    if pictures.stage == "views":
        distance = float(pictures.read(item, ("viewpoint",))["viewpoint"][pair.view, 3])
        lens = as_drawn(pictures)
    else:  # nobody knows the lens of a photo
        distance, lens = DISTANCE, RenderParams(size=TILE, background="grey", backend="numba")
    drawn = render_views(cached_mesh(workspace, shape)[1], viewpoints_of(turns, distance), lens)
    wrapped = shape.replace("/", "/\n", 1)
    label = f"{item}\nmesh {wrapped}\n{pair.error_deg[0]:.0f}° off"
    return label, [seen, *drawn["rgb"]]

"""How the pictures that a run was trained on show their objects: size, background, margin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from stages.store.shard import params_of
from stages.store.workspace import Artefact, Workspace
from stages.train.run import Run, load_system
from stages.weights.cards import Camera

SQUARE = 240  # of systems that frame pictures themselves: columns of the interpreter's
_SOME = 40  # shapes whose masks are looked at
_VIEWS = 8  # of each
_COVERED = 128  # of 255
FILL = 0.75  # where nothing is known


def picture_size(system: str, params: Any) -> int:
    """Pixels a side of the square pictures that a system is given."""
    if system == "deep-encoding":
        return int(params.image_size)
    if system == "interpreter":
        return SQUARE
    return int(load_system(system).REQUIRES["views"]["size"])


def camera_of(workspace: Workspace, run: Run, params: Any) -> Camera:
    """The camera of a run, from the views that it was trained on; usual values if they are gone."""
    record = run.record()
    size = picture_size(run.system, params)
    name = record["data"]["variants"].get("views", "")
    views = workspace.artefact("views", name) if name else None
    if views is None or views.index.key is None:
        return Camera(size, 255, FILL)
    known = params_of(views.index.key)
    fill, down = boxes_of(views, record["data"]["ids"]["train"])
    return Camera(size, background_of(known), fill, down)


def background_of(params: Mapping[str, Any]) -> int:
    """The grey behind the objects of rendered views; the middle of what is drawn at random."""
    kind = params.get("background", "grey")
    if kind == "grey":
        return int(params.get("grey", 255))
    if kind == "solid":
        return (int(params["solid_min"]) + int(params["solid_max"])) // 2
    return 128


def boxes_of(views: Artefact, ids: Sequence[str]) -> tuple[float, float]:
    """Of objects' boxes in pictures: the median share of the side that the longer one takes, and
    how far their middles lie below the picture's on average, as a share of its side.

    Cameras look at the middle of a shape in 3D, which is not the middle of what they see of it.
    """
    there = [item for item in ids if item in views.index.items()][:_SOME]
    shares, below = [], []
    for item in there:
        masks = views.read(item, ("mask",))["mask"][:_VIEWS] >= _COVERED  # (V, H, W)
        for mask in masks:
            rows, columns = np.nonzero(mask)
            if len(rows):
                longer = max(np.ptp(rows), np.ptp(columns)) + 1
                shares.append(longer / masks.shape[-1])
                below.append((rows.min() + rows.max() + 1) / 2 / masks.shape[-1] - 0.5)
    if not shares:
        return FILL, 0.0
    return round(float(np.median(shares)), 3), round(float(np.mean(below)), 4)

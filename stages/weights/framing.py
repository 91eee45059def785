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
    fill = fill_of(views, record["data"]["ids"]["train"])
    return Camera(size, background_of(known), fill)


def background_of(params: Mapping[str, Any]) -> int:
    """The grey behind the objects of rendered views; the middle of what is drawn at random."""
    kind = params.get("background", "grey")
    if kind == "grey":
        return int(params.get("grey", 255))
    if kind == "solid":
        return (int(params["solid_min"]) + int(params["solid_max"])) // 2
    return 128


def fill_of(views: Artefact, ids: Sequence[str]) -> float:
    """The median share of the picture's side that the longer side of an object's box takes."""
    there = [item for item in ids if item in views.index.items()][:_SOME]
    shares = []
    for item in there:
        masks = views.read(item, ("mask",))["mask"][:_VIEWS] >= _COVERED  # (V, H, W)
        sides = [max(np.ptp(np.nonzero(m), axis=1) + 1) for m in masks if m.any()]
        shares += [side / masks.shape[-1] for side in sides]
    return round(float(np.median(shares)), 3) if shares else FILL

"""The poses that the maps of one shape are cast at.

A pose takes a canonical point x to `rotation @ (scale * (x - centre))`, where rays go out from 0.

- canonical: the shape as it is.
- random: rotations uniform over SO(3), each after an anisotropic scaling if asked for, the
  augmentation of Esteves et al. 2019 (appendix A.1), which does not say how strong: factors of x, y
  and z are drawn log-uniformly from 1/stretch to stretch, then all multiplied alike so that the
  bounding box has its diagonal again.
- views: scale and rotation of every picture of the shape, x right, y down, z forward.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from stages.errors import InputError
from stages.geometry import cameras, orthographic
from stages.geometry.frames import random_scales
from stages.stage import Arrays, Attachment
from stages.store.workspace import Workspace


class Poses(NamedTuple):
    """P poses of a shape, as they are stored."""

    rotation: np.ndarray  # (P, 3, 3) float32
    scale: np.ndarray  # (P, 3) float32

    def matrices(self) -> np.ndarray:
        """(P, 3, 3) float64 scaling, then rotation."""
        return self.rotation.astype(np.float64) * self.scale[:, None, :]


def canonical() -> Poses:
    """The one pose of a shape as it is."""
    return Poses(np.eye(3, dtype=np.float32)[None], np.ones((1, 3), np.float32))


def random(count: int, stretch: float, box: np.ndarray, rng: np.random.Generator) -> Poses:
    """`count` poses of a shape whose bounding box has the (3,) sides `box`."""
    viewpoints = orthographic.random_viewpoints(count, rng)
    rotation = cameras.extrinsics(viewpoints)[:, :, :3]
    scale = random_scales(box, stretch, count, rng)
    return Poses(rotation.astype(np.float32), scale.astype(np.float32))


def of_views(arrays: Arrays) -> Poses:
    """The pose of each picture of one item of the stage `views`."""
    rotation = arrays["extrinsics"][:, :, :3]
    return Poses(rotation, arrays["scale"])


def attach_views(workspace: Workspace, variant: str, ids: Sequence[str]) -> dict[str, Attachment]:
    """The pictures of these shapes in `views/variant`, or in the only artefact of views.

    A shape without pictures has no attachment. Raises InputError for an artefact that is not there,
    and where there are several and none is named.
    """
    there = [a for a in workspace.artefacts("views") if a.variant == variant or not variant]
    if not there:
        what = f"views/{variant}" if variant else "views"
        raise InputError(f"no {what} in {workspace.root}", "run: crossdim render")
    if len(there) > 1:
        names = ", ".join(artefact.variant for artefact in there)
        raise InputError(f"there are several artefacts of views: {names}", "choose: --views NAME")
    items = there[0].index.items()
    return {
        item: Attachment(
            rows={"views": ((str(there[0].folder / entry.shard), entry.row, item),)},
            prints={"views": entry.fingerprint},
        )
        for item in ids
        if (entry := items.get(item))
    }

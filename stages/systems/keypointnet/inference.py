"""What trained networks say of pictures, and how far off relative poses are."""

from __future__ import annotations

from typing import Any

import torch

from stages.geometry.cameras import DISTANCE
from stages.systems.keypointnet.geometry import backproject
from stages.systems.keypointnet.model import KeypointNet, Seen
from stages.systems.keypointnet.objective import (
    Tensors,
    cameras_of,
    relative_pose,
    terms,
    true_ends,
    weighted,
)
from stages.systems.keypointnet.params import Params


def validate(model: Any, batch: Tensors, params: Params) -> Tensors:
    """(B,) of each pair: `loss`, without noise and with orientations as they are found;
    `error_deg` of the relative pose; `acc15` and `acc30`, whether it is below; `facing`, the share
    of the two views in which left and right are told apart.
    """
    seen: Seen = model(batch["image"])
    cameras = cameras_of(batch)
    error = relative_pose(backproject(seen.picture, seen.depth), cameras).rad2deg()
    right = KeypointNet.facing(seen.ends) == KeypointNet.facing(true_ends(cameras))
    first, second = right.float().chunk(2)
    return {
        "loss": weighted(terms(seen, batch, params), params),
        "error_deg": error,
        "acc15": (error < 15).float(),
        "acc30": (error < 30).float(),
        "facing": (first + second) / 2,
    }


@torch.no_grad()
def predict(model: Any, images: torch.Tensor, params: Params) -> Tensors:
    """Of pictures (B, 3, 128, 128), 0 to 1: `keypoints` (B, K, 3) in the camera's frame, relative
    to the object's centre, in diagonals; `picture` (B, K, 2), the same in the picture, x right and
    y down, in picture widths.
    """
    seen: Seen = model(images)
    points = backproject(seen.picture, seen.depth)
    centre = points.new_tensor([0.0, 0.0, DISTANCE])
    return {"keypoints": points - centre, "picture": (seen.picture + 1) / 2}

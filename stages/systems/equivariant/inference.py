"""How good an embedding is: its loss, and the rotation between it and the map it should be.

And what a network says of a picture on average over the turns that are known beforehand.
Letters: B batch, S pixels, C channels, t rows of an embedding.
"""

from __future__ import annotations

import math
from typing import Any

import torch

from stages.geometry.rotations import geodesic
from stages.sphere.alignment import align
from stages.sphere.transform import sht
from stages.systems.equivariant.data import mirrored_maps, rolled_maps
from stages.systems.equivariant.objective import embedding_loss
from stages.systems.equivariant.params import Params
from stages.systems.pictures import rolled_pictures
from stages.systems.spherical_cnn.model import GRID

_BANDWIDTH = 16  # the start of the search; the peak is refined from there


def validate(model: Any, batch: dict[str, Any], params: Params) -> dict[str, torch.Tensor]:
    """(B,) `loss`; `align_deg`, the angle by which picture and shape are brought together wrongly.

    Both are in the camera's frame, so the truth is no rotation at all. `acc15` and `acc30` say
    whether the angle is below.
    """
    told = model(batch["image"]).float()
    target = batch["target"]
    rotation = align(sht(told, GRID), sht(target, GRID), _BANDWIDTH).rotation
    error = geodesic(rotation, torch.eye(3).to(rotation).expand_as(rotation)).rad2deg()
    return {
        "embedding_loss": embedding_loss(told, target, params),
        "align_deg": error,
        "acc15": (error < 15).float(),
        "acc30": (error < 30).float(),
    }


@torch.no_grad()
def averaged(model: Any, images: torch.Tensor, turns: int) -> torch.Tensor:
    """(B, C, t, t) embeddings of pictures (B, 3, S, S), each the mean of 2 `turns` of them.

    What a turn of the picture, or a mirror, does to its map is known exactly. A network learns it
    only nearly; the mean over `turns` turns and their mirror images, each undone on the map, is as
    equivariant as resampling the picture allows, and its errors average out.
    """
    total = torch.zeros((), device=images.device)
    for number in range(turns):
        angle = images.new_full((len(images),), 2 * math.pi * number / turns)
        rolled = rolled_pictures(images, angle) if number else images
        seen = model(rolled).float() + mirrored_maps(model(rolled.flip(3)).float())
        total = total + rolled_maps(seen, -angle)
    return total / (2 * turns)

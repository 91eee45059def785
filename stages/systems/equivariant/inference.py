"""How good an embedding is: its loss, and the rotation between it and the map it should be."""

from __future__ import annotations

from typing import Any

import torch

from stages.geometry.rotations import geodesic
from stages.sphere.alignment import align
from stages.sphere.transform import sht
from stages.systems.equivariant.objective import embedding_loss
from stages.systems.equivariant.params import Params
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

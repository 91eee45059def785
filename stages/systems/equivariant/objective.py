"""The loss of the embedding, and how far off its poses are.

Letters: B batch, C channels, t rows of a map.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

from stages.sphere.grids import area_weights
from stages.systems.equivariant.params import Params
from stages.systems.spherical_cnn.model import GRID


def embedding_loss(told: torch.Tensor, target: torch.Tensor, params: Params) -> torch.Tensor:
    """(B,) area-weighted Huber losses of maps (B, C, t, t): equations 5 and 6.

    The weights have mean 1. In the text they multiply the loss; the published code multiplies both
    maps by them first (`weighting` "inside"), which differs where errors exceed `huber`.
    """
    n = told.shape[-1]
    weight = torch.from_numpy(area_weights(n, GRID)).to(told)
    weight = (weight / weight.mean())[:, None]  # (t, 1)
    if params.weighting == "inside":
        told, target, weight = told * weight, target * weight, torch.ones_like(weight)
    each = F.huber_loss(told, target, reduction="none", delta=params.huber)
    return (weight * each).mean((1, 2, 3))

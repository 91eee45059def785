"""A picture to an axis-angle vector: encoder, then the pose network of Mahendran et al. (2017).

Letters: B batch.
"""

from __future__ import annotations

import math

import torch
from torch import nn

from stages.geometry import rotations
from stages.systems.equivariant.model import picture_encoder
from stages.systems.equivariant.polar import AROUND
from stages.systems.pose_regression.params import Params


class PoseRegression(nn.Module):
    """(B, 3, S, S) pictures, 0 to 1, to axis-angle vectors (B, 3), each in (-pi, pi)."""

    def __init__(self, params: Params) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(params.pixels)  # of S x S: the same cells as `reduced`
        self.encoder = picture_encoder(params)
        layers: list[nn.Module] = []
        inside = params.latent * (AROUND if params.network == "polar" else 1)
        for units in params.hidden:
            layers += [nn.Linear(inside, units, bias=False), nn.BatchNorm1d(units), nn.ReLU()]
            inside = units
        self.head = nn.Sequential(*layers, nn.Linear(inside, 3))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """(B, 3): rotation axis times angle in radians."""
        return math.pi * self.head(self.encoder(self.pool(images) * 2 - 1).flatten(1)).tanh()


def root_mean_square(told: torch.Tensor, rotation: torch.Tensor) -> torch.Tensor:
    """Scalar: root of the mean squared difference of axis-angle vectors (B, 3)."""
    target = rotations.logarithm(rotation)
    # the norm has a gradient, 0, where there is no difference
    return torch.linalg.vector_norm(told - target) / math.sqrt(told.numel())


def geodesic(told: torch.Tensor, rotation: torch.Tensor) -> torch.Tensor:
    """(B,) angles in radians between told axis-angle vectors (B, 3) and rotations (B, 3, 3)."""
    return rotations.geodesic(rotations.exponential(told), rotation)

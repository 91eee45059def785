"""KeypointNet: where in a picture the keypoints of a shape are, and how deep.

Letters: N views, K keypoints, s pixels inside, C channels.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn

from stages.geometry.cameras import DISTANCE
from stages.systems.keypointnet.params import Params

DILATIONS = (1, 1, 2, 4, 8, 16, 1, 2, 4, 8, 16, 1)


class Seen(NamedTuple):
    """What the networks see in N pictures; picture coordinates go from -1 to 1, x right, y down."""

    picture: torch.Tensor  # (N, K, 2)
    depth: torch.Tensor  # (N, K), from the camera
    variance: torch.Tensor  # (N, K), of the distribution over the picture
    logits: torch.Tensor  # (N, K, s, s), of that distribution
    ends: torch.Tensor  # (N, 2, 2), picture coordinates of the object's front and its opposite


class Dilated(nn.Module):
    """12 dilated 3 x 3 convolutions and a plain one: (N, C, s, s) to (N, outside, s, s)."""

    def __init__(self, inside: int, filters: int, outside: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for rate in DILATIONS:
            conv = nn.Conv2d(inside, filters, 3, padding=rate, dilation=rate, bias=False)
            layers += [conv, nn.BatchNorm2d(filters), nn.LeakyReLU(0.1)]
            inside = filters
        self.layers = nn.Sequential(*layers, nn.Conv2d(filters, outside, 3, padding=1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, outside, s, s)."""
        return self.layers(x)


class KeypointNet(nn.Module):
    """(N, 3, S, S) pictures, 0 to 1, to `Seen`; reduced to s x s, s = `params.pixels`.

    Shapes that are their own mirror image look the same from the left as, mirrored, from the
    right: whether the front points left or right in the picture is found by a network of its own,
    and told to the one that finds keypoints, on a channel of its own.
    """

    def __init__(self, params: Params) -> None:
        super().__init__()
        self.count = params.keypoints
        self.pool = nn.AdaptiveAvgPool2d(params.pixels)
        self.orientation = Dilated(3, params.filters // 2, 2)
        self.keypoints = Dilated(4, params.filters, 2 * params.keypoints)

    def forward(self, images: torch.Tensor, facing: torch.Tensor | None = None) -> Seen:
        """`facing` (N,) is -1 or 1 where it is told that the front is left or right, else 0."""
        images = self.pool(images) * 2 - 1
        ends, _ = moments(self.orientation(images).float())
        found = self.facing(ends)
        told = found if facing is None else torch.where(facing == 0, found, facing)
        plane = told[:, None, None, None].to(images).expand_as(images[:, :1])
        maps = self.keypoints(torch.cat([images, plane], 1)).float()  # (N, 2K, s, s)
        logits, beyond = maps.split(self.count, 1)
        picture, variance = moments(logits)
        depth = DISTANCE + (probability(logits) * beyond).sum((2, 3))
        return Seen(picture, depth, variance, logits, ends)

    @staticmethod
    def facing(ends: torch.Tensor) -> torch.Tensor:
        """(N,) 1 where the front (N, 2, 2)[:, 0] is right of its opposite, else -1."""
        return torch.where(ends[:, 0, 0] > ends[:, 1, 0], 1.0, -1.0)


def probability(logits: torch.Tensor) -> torch.Tensor:
    """(N, K, s, s) spatial softmax."""
    return logits.flatten(2).softmax(-1).view_as(logits)


def moments(logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean (N, K, 2) and variance (N, K) of the distributions over a picture's coordinates."""
    size = logits.shape[-1]
    at = (2 * torch.arange(size, device=logits.device, dtype=logits.dtype) + 1) / size - 1
    share = probability(logits)
    sides = torch.stack([share.sum(2), share.sum(3)], 2)  # (N, K, 2, s): by column, by row
    mean = (sides * at).sum(-1)
    variance = (sides * (at - mean[..., None]) ** 2).sum((-2, -1))
    return mean, variance

"""The 10-layer residual spherical CNN of the equivariant paper (appendix A.1, figure 7).

A stem and three residual bottlenecks of three layers each, at 64^2, 32^2 and 16^2:

    stem          zonal 1 -> 32                              64^2
    block 1       1x1 32 -> 8,   zonal 8 -> 8,   1x1 -> 32   64^2
    pool, block 2 1x1 32 -> 16,  zonal 16 -> 16, 1x1 -> 64   32^2, target "views"
    pool, block 3 1x1 64 -> 32,  zonal 32 -> 32, 1x1 -> 128  16^2, target "pose"
    area-weighted mean, linear -> classes

The figure is lost; this is the layout with the targets' sizes in the text (32^2 x 16 and
16^2 x 32, inside bottlenecks of factor 4) and ten layers. Letters: B batch, C channels, n rows.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import nn

from stages.sphere.pooling import area_mean, area_pool, spectral_pool
from stages.sphere.zonal import ZonalConvolution
from stages.systems.spherical_cnn.params import Params

GRID = "midpoint"
Target = Literal["pose", "views"]


class Bottleneck(nn.Module):
    """1 x 1, zonal and 1 x 1 convolution, each normalised, around a shortcut."""

    def __init__(self, inside: int, outside: int, n: int, params: Params) -> None:
        super().__init__()
        narrow = outside // params.bottleneck
        self.reduce = nn.Sequential(
            nn.Conv2d(inside, narrow, 1, bias=False), nn.BatchNorm2d(narrow), nn.ReLU()
        )
        self.zonal = ZonalConvolution(
            narrow, narrow, n, anchors=params.anchors, grid=GRID, bias=False
        )
        self.normalise = nn.BatchNorm2d(narrow)
        self.expand = nn.Sequential(
            nn.ReLU(), nn.Conv2d(narrow, outside, 1, bias=False), nn.BatchNorm2d(outside)
        )
        same = inside == outside
        self.shortcut = None if same else nn.Conv2d(inside, outside, 1, bias=False)

    def target(self, x: torch.Tensor) -> torch.Tensor:
        """(B, outside / bottleneck, n, n): what the zonal convolution gives, normalised.

        Before the ReLU: unbounded, each channel as its batch norm scales it over the training data.
        """
        return self.normalise(self.zonal(self.reduce(x)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, outside, n, n)."""
        kept = x if self.shortcut is None else self.shortcut(x)
        return F.relu(kept + self.expand(self.target(x)))


class SphericalCNN(nn.Module):
    """Maps (B, 1, 64, 64) of ray lengths, 0 to 1, to class logits (B, classes)."""

    def __init__(self, params: Params, n: int = 64) -> None:
        super().__init__()
        first, second, third = params.widths
        self.pooling = params.pooling
        self.stem = nn.Sequential(
            ZonalConvolution(1, first, n, anchors=params.anchors, grid=GRID, bias=False),
            nn.BatchNorm2d(first),
            nn.ReLU(),
        )
        self.first = Bottleneck(first, first, n, params)
        self.second = Bottleneck(first, second, n // 2, params)
        self.third = Bottleneck(second, third, n // 4, params)
        self.head = nn.Linear(third, len(params.classes))

    def pool(self, maps: torch.Tensor) -> torch.Tensor:
        """(B, C, n/2, n/2). Averages are centred: those of 2 x 2 samples turn a map by pi/n."""
        if self.pooling == "spectral":
            return spectral_pool(maps, GRID)
        return area_pool(maps, GRID, centred=True)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """(B, classes)."""
        x = self.pool(self.first(self.stem(maps)))  # (B, first, n/2, n/2)
        x = self.third(self.pool(self.second(x)))  # (B, third, n/4, n/4)
        return self.head(area_mean(x, GRID))

    def target(self, maps: torch.Tensor, which: Target) -> torch.Tensor:
        """What pictures are to be embedded as: (B, 32, 16, 16) for "pose", (B, 16, 32, 32) for
        "views", in the preset `paper`.

        Rotating the shape rotates it. The deeper one knows less of the single instance, which is
        what relative pose across instances wants (section 3.2.2).
        """
        x = self.pool(self.first(self.stem(maps)))
        if which == "views":
            return self.second.target(x)
        return self.third.target(self.pool(self.second(x)))

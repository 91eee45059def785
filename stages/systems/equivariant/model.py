"""The embedding: a picture to maps on the sphere, and the frozen network whose maps they should be.

Letters: B batch, S pixels, C channels, t rows of an embedding.
"""

from __future__ import annotations

import json
from typing import Protocol

import torch
from torch import nn

from stages.stage import params_from_json
from stages.systems.equivariant.layers import Decoder, Encoder
from stages.systems.equivariant.params import Params
from stages.systems.equivariant.polar import RingDecoder, RingEncoder, Rings
from stages.systems.spherical_cnn.model import SphericalCNN
from stages.systems.spherical_cnn.params import Params as TargetParams


class Looks(Protocol):
    """What says how pictures are looked at: the parameters of the embedding, or of regression."""

    @property
    def network(self) -> str: ...
    @property
    def pixels(self) -> int: ...
    @property
    def width(self) -> int: ...
    @property
    def most(self) -> int: ...
    @property
    def blocks(self) -> int: ...
    @property
    def latent(self) -> int: ...
    @property
    def depth(self) -> int: ...


def picture_encoder(params: Looks) -> nn.Module:
    """(B, 3, pixels, pixels), -1 to 1, to a vector (B, latent), or to a ring (B, latent, 16)."""
    sizes = params.latent, params.width, params.most, params.blocks
    if params.network == "published":
        return Encoder(3, params.pixels, *sizes)
    rows, columns = params.pixels // 2, 2 * params.pixels
    return nn.Sequential(Rings(), RingEncoder(3, rows, columns, *sizes, params.depth))


class Embedding(nn.Module):
    """(B, 3, S, S) pictures, 0 to 1, to (B, C, t, t) maps in the camera's frame.

    `target` is part of it, and of its checkpoints, but never trained: with it, shapes are embedded
    in the same space.
    """

    def __init__(self, params: Params) -> None:
        super().__init__()
        known = params_from_json(TargetParams, json.loads(params.target_params))
        self.layer = params.layer
        self.target = SphericalCNN(known).requires_grad_(False).eval()
        self.size, which = (16, 2) if params.layer == "pose" else (32, 1)  # t
        self.channels = known.widths[which] // known.bottleneck  # C
        self.pool = nn.AdaptiveAvgPool2d(params.pixels)  # of S x S: the same cells as `reduced`
        self.encoder = picture_encoder(params)
        ends, depth = (params.latent, self.channels), (params.width, params.most)
        self.decoder: nn.Module
        if params.network == "polar":
            self.decoder = RingDecoder(*ends, self.size, self.size, *depth)
        else:
            self.decoder = Decoder(params.latent, self.size, self.channels, *depth, params.blocks)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """(B, C, t, t)."""
        return self.decoder(self.encoder(self.pool(images) * 2 - 1))

    @torch.no_grad()
    def embed_maps(self, maps: torch.Tensor) -> torch.Tensor:
        """(B, C, t, t) of ray-length maps (B, 1, 64, 64), 0 to 1: what pictures should give."""
        return self.target.target(maps, self.layer)

    def train(self, mode: bool = True) -> Embedding:
        """As of any module, but the target stays in eval mode: its statistics are frozen, too."""
        super().train(mode)
        self.target.eval()
        return self

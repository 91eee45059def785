"""An embedding to the picture that its camera saw, and the frozen network that embeds pictures.

Letters: B batch, C channels, t = 32 rows of an embedding, S = 128 pixels.
"""

from __future__ import annotations

import json

import torch
from torch import nn

from stages.sphere.rotation import rotate_maps
from stages.sphere.transform import inverse_sht, sht
from stages.stage import params_from_json
from stages.systems.equivariant.data import SIZE
from stages.systems.equivariant.layers import Decoder, Encoder
from stages.systems.equivariant.model import Embedding
from stages.systems.equivariant.params import Params as EmbeddingParams
from stages.systems.spherical_cnn.model import GRID
from stages.systems.view_synthesis.params import Params


class Synthesis(nn.Module):
    """(B, C, 32, 32) embeddings in a camera's frame to (B, 3, 128, 128) pictures, 0 to 1.

    `embedding` is part of it, and of its checkpoints, but never trained.
    """

    def __init__(self, params: Params) -> None:
        super().__init__()
        known = params_from_json(EmbeddingParams, json.loads(params.embedding_params))
        self.embedding = Embedding(known).requires_grad_(False).eval()
        depth = params.width, params.most, params.blocks
        size, channels = self.embedding.size, self.embedding.channels
        self.encoder = Encoder(channels, size, params.latent, *depth, surface="sphere")
        self.decoder = Decoder(params.latent, SIZE, 3, *depth, surface="picture")

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """(B, 3, S, S). The end is a sigmoid, as in the published code."""
        return self.decoder(self.encoder(maps)).sigmoid()

    def train(self, mode: bool = True) -> Synthesis:
        """As of any module, but the embedding stays in eval mode: its statistics are frozen."""
        super().train(mode)
        self.embedding.eval()
        return self


@torch.no_grad()
def embed_pictures(embedding: Embedding, images: torch.Tensor) -> torch.Tensor:
    """(B, C, t, t) embeddings of pictures (B, 3, S, S), 0 to 1, below degree t / 2.

    That much of an embedding can be turned, so that much is decoded. What a network told of a
    picture is not band-limited by itself.
    """
    return _band_limited(embedding(images).float())


@torch.no_grad()
def embed_maps(embedding: Embedding, maps: torch.Tensor) -> torch.Tensor:
    """(B, C, t, t) of ray-length maps (B, 1, 64, 64), 0 to 1: what pictures should give."""
    return _band_limited(embedding.embed_maps(maps).float())


def turned(maps: torch.Tensor, rotations: torch.Tensor) -> torch.Tensor:
    """Embeddings (B, C, t, t) of the objects turned by (B, 3, 3) in the camera's frame.

    From the view of a camera R to that of R': R' R^T (equation 8).
    """
    return rotate_maps(maps, rotations[:, None], GRID)


def _band_limited(maps: torch.Tensor) -> torch.Tensor:
    return inverse_sht(sht(maps, GRID), maps.shape[-1], GRID)

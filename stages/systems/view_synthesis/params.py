"""The parameters of view synthesis and their named sizes. Imports no torch."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

from stages.stage import option
from stages.systems.equivariant import params as equivariant

NAME = "view-synthesis"
SELECT = ("psnr", "max")
REQUIRES: dict[str, dict[str, Any]] = equivariant.REQUIRES
ARRAYS = equivariant.ARRAYS


@dataclass(frozen=True)
class Params:
    """Pictures from equivariant embeddings (Esteves et al. 2019, sections 3.2.4 and A.3)."""

    # What is to be decoded: the embeddings of a network that stays as it is
    embedding: str = option("", "run of equivariant of --layer views; default: the newest one")
    embedding_params: str = ""  # of that network, as JSON; filled in
    embedding_weights: str = ""  # sha256; filled in
    source: Literal["predicted", "target"] = option(
        "predicted", "learn from what it sees in the pictures, or from what it should see"
    )

    # The network
    width: int = option(64, "channels of the first and last stage", low=1)
    most: int = option(256, "most channels of a stage", low=1)
    blocks: int = option(2, "residual blocks a stage", low=1)
    latent: int = option(1024, "length of the vector between encoder and decoder", low=1)

    # The training
    loss: Literal["l2", "l1"] = option("l2", "mean squared or absolute difference of pixels")
    batch: int = option(8, "views a step", low=2)
    steps: int = option(200_000, "optimiser steps", low=1)
    lr: float = option(3e-4, "learning rate of Adam", low=0)
    schedule: Literal["drops", "cosine"] = option(
        "drops", "learning rate over the steps: divided by 5 where the paper does, or to 0"
    )
    roll: bool = option(True, "turn pictures about the optical axis, with their embeddings")
    flip: bool = option(True, "mirror half of the pictures, with their embeddings")
    validation_views: int = option(8, "views of each shape that are validated on", low=1)
    validate_every: int = option(2000, "steps between validations", low=1)
    precision: Literal["fp32", "bf16"] = option("fp32", "of the network; losses are fp32")
    channels_last: bool = option(True, "layout of the pictures in memory")
    cache_mb: int = option(4096, "memory for the views of the shapes seen last", low=1)


_PAPER = Params()
_SMALL = dataclasses.replace(
    _PAPER,
    width=16,
    most=128,
    blocks=1,
    latent=512,
    steps=16_000,
    schedule="cosine",
    validate_every=1000,
    precision="bf16",
)
_TINY = dataclasses.replace(_SMALL, width=8, most=64, latent=256, steps=300, validate_every=100)
PRESETS: dict[str, Params] = {"tiny": _TINY, "small": _SMALL, "paper": _PAPER}

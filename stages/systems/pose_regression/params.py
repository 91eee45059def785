"""The parameters of pose regression and their named sizes. Imports no torch."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

from stages.stage import option

NAME = "pose-regression"
SELECT = ("acc15", "max")
REQUIRES: dict[str, dict[str, Any]] = {"views": {"size": 128}}
ARRAYS = {"rgb": "views", "extrinsics": "views"}


@dataclass(frozen=True)
class Params:
    """The regression baseline of the equivariant paper (appendix B.1; Mahendran et al. 2017).

    Its encoder, then the pose network of Mahendran et al. Unlike the embedding it is told the pose
    of every view, in a frame that the shapes of a category share.
    """

    network: Literal["published", "polar"] = option(
        "published", "encoder over pixels, to a vector; or over rings, as that of equivariant"
    )
    pixels: Literal[32, 64, 128] = option(128, "side that the pictures are reduced to")
    width: int = option(64, "channels of the first stage", low=1)
    most: int = option(256, "most channels of a stage", low=1)
    blocks: int = option(2, "residual blocks a stage", low=1)
    latent: int = option(1024, "channels of what the encoder gives", low=1)
    depth: int = option(3, "residual blocks at its end, of network polar", low=0)
    hidden: tuple[int, ...] = option((1000, 500), "units of the pose network")
    geodesic_from: float = option(
        2 / 3, "share of the steps after which the geodesic loss takes over", low=0, high=1
    )
    batch: int = option(16, "views a step", low=2)
    steps: int = option(150_000, "optimiser steps", low=1)
    lr: float = option(3e-4, "learning rate of Adam", low=0)
    schedule: Literal["drops", "cosine"] = option(
        "drops", "learning rate over the steps: divided by 5 where the paper does, or to 0"
    )
    roll: bool = option(True, "turn pictures about the optical axis, with their poses")
    flip: bool = option(
        True, "mirror half of the pictures, as views of a shape that is its own mirror image"
    )
    jitter: float = option(0.2, "strength of the random brightness, contrast and tint", low=0)
    jitter_shift: float = option(
        0.0, "share of the side that pictures are moved by at most, for cut-outs", low=0, high=0.5
    )
    jitter_scale: float = option(
        0.0, "pictures are scaled by up to 1 + this, or down as much, for cut-outs", low=0, high=1
    )
    validate_every: int = option(2000, "steps between validations", low=1)
    precision: Literal["fp32", "bf16"] = option("fp32", "of the network; losses are fp32")
    channels_last: bool = option(True, "layout of the pictures in memory")
    cache_mb: int = option(4096, "memory for the views of the shapes seen last", low=1)


_PAPER = Params()
_SMALL = dataclasses.replace(
    _PAPER,
    network="polar",
    pixels=64,
    width=32,
    most=128,
    blocks=1,
    latent=256,
    hidden=(256, 128),
    steps=10_000,
    lr=1e-3,
    schedule="cosine",
    validate_every=1000,
    precision="bf16",
)
_TINY = dataclasses.replace(
    _SMALL, pixels=32, width=8, most=64, latent=64, depth=1, steps=300, validate_every=100
)
PRESETS: dict[str, Params] = {"tiny": _TINY, "small": _SMALL, "paper": _PAPER}

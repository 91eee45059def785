"""The parameters of the equivariant embedding and their named sizes. Imports no torch."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

from stages.stage import option
from stages.systems.spherical_cnn.params import MAPS

NAME = "equivariant"
SELECT = ("acc15", "max")
REQUIRES: dict[str, dict[str, Any]] = {
    "views": {"size": 128},
    "spheres": {**MAPS, "poses": "views"},
}
ARRAYS = {
    "rgb": "views",
    "extrinsics": "views",
    "scale": "views",
    "map": "spheres",
    "rotation": "spheres",
    "map_scale": "spheres/scale",
}


@dataclass(frozen=True)
class Params:
    """Image embeddings that rotate with the object (Esteves et al. 2019, section 3.2).

    The paper's learning rates are lost. Ours is a third of the usual 1e-3, at which the statistics
    of the published network's batch normalisation lag behind the weights and small runs learn
    nothing. Network `polar` (`polar.py`) is ours and has no such statistics.
    """

    # What is to be learnt: the maps of a spherical CNN that stays as it is
    target: str = option("", "run of spherical-cnn; default: the newest finished one")
    layer: Literal["pose", "views"] = option("pose", "its map: 16^2 x 32, or 32^2 x 16")
    target_params: str = ""  # of that network, as JSON; filled in
    target_weights: str = ""  # sha256; filled in

    # The network
    start: str = option("", "run of equivariant whose encoder it begins with, whatever its layer")
    start_weights: str = ""  # sha256; filled in
    network: Literal["published", "polar"] = option(
        "published", "over pixels, around a vector; or over rings, which turn with the picture"
    )
    pixels: Literal[32, 64, 128] = option(128, "side that the pictures are reduced to")
    width: int = option(64, "channels of the first and last stage", low=1)
    most: int = option(256, "most channels of a stage", low=1)
    blocks: int = option(2, "residual blocks a stage", low=1)
    latent: int = option(1024, "channels between encoder and decoder", low=1)
    depth: int = option(3, "residual blocks between them, of network polar", low=0)

    # The loss, equations 5 and 6
    weighting: Literal["outside", "inside"] = option(
        "outside", "area weight times the Huber loss (the text), or inside of it (the code)"
    )
    huber: float = option(1.0, "where the Huber loss turns linear", low=1e-6)

    # The training
    batch: int = option(16, "views a step", low=2)
    steps: int = option(200_000, "optimiser steps", low=1)
    lr: float = option(3e-4, "learning rate of Adam", low=0)
    schedule: Literal["drops", "cosine"] = option(
        "drops", "learning rate over the steps: divided by 5 where the paper does, or to 0"
    )
    roll: bool = option(True, "turn pictures about the optical axis, with their maps")
    flip: bool = option(True, "mirror half of the pictures, with their maps")
    jitter: float = option(0.2, "strength of the random brightness, contrast and tint", low=0)
    validation_views: int = option(8, "views of each shape that are validated on", low=1)
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

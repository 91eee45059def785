"""The parameters of KeypointNet and their named sizes. Imports no torch."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

from stages.errors import UsageError
from stages.geometry.cameras import FOCAL
from stages.stage import option

NAME = "keypointnet"
SELECT = ("error_deg", "min")
# The lens is that of `predict`, which sees a picture alone.
REQUIRES: dict[str, dict[str, Any]] = {"views": {"size": 128, "focal": FOCAL}}
ARRAYS = dict.fromkeys(("rgb", "mask", "extrinsics", "scale"), "views")


@dataclass(frozen=True)
class Params:
    """KeypointNet (Suwajanakorn et al. 2018), as the equivariant paper trains it (appendix B.2).

    Weights, thresholds and rates are those of its published code. Lengths are in its units, half
    the longest side of a shape (`geometry.UNIT`).
    """

    # The networks
    pixels: Literal[16, 32, 64, 128] = option(128, "side that the pictures are reduced to")
    keypoints: int = option(10, "keypoints of a shape", low=3)
    # Not 24 or 48: bfloat16 gradients of dilated convolutions of 24 filters, channels last, take in
    # memory that was never written (oneDNN, torch 2.13 on CPUs).
    filters: Literal[8, 16, 32, 64, 128] = option(
        64, "filters of a layer; the orientation network has half of them"
    )

    # The losses
    pose_weight: float = option(0.2, "weight of the relative pose", low=0)
    consistency_weight: float = option(1.0, "weight of multi-view consistency", low=0)
    separation_weight: float = option(1.0, "weight of the separation", low=0)
    silhouette_weight: float = option(1.0, "weight of the silhouette", low=0)
    variance_weight: float = option(0.5, "weight of the variance", low=0)
    orientation_weight: float = option(1.0, "weight of the orientation network", low=0)
    separation: float = option(0.05, "squared distance that keypoints keep", low=0)
    noise: float = option(0.1, "deviation added to keypoints before their pose is found", low=0)
    anneal_from: float = option(
        0.4, "share of the steps up to which orientations are told", low=0, high=1
    )
    anneal_to: float = option(0.5, "share of the steps from which none is", low=0, high=1)

    # The training
    batch: int = option(24, "pairs of views a step", low=2)
    steps: int = option(300_000, "optimiser steps", low=1)
    lr: float = option(1e-3, "learning rate of Adam", low=0)
    clip: float = option(5.0, "greatest norm of a gradient", low=1e-6)
    roll: bool = option(True, "turn pictures about the optical axis, with their cameras")
    flip: bool = option(True, "mirror half of the pairs, with their cameras")
    jitter: float = option(0.2, "strength of the random brightness, contrast and tint", low=0)
    validation_views: int = option(8, "views of each shape that are validated on", low=2)
    validate_every: int = option(2000, "steps between validations", low=1)
    precision: Literal["fp32", "bf16"] = option("fp32", "of the networks; losses are fp32")
    channels_last: bool = option(True, "layout of the pictures in memory")
    cache_mb: int = option(4096, "memory for the views of the shapes seen last", low=1)

    def __post_init__(self) -> None:
        if self.anneal_from > self.anneal_to:
            raise UsageError(
                f"annealing cannot end at {self.anneal_to} of the steps and begin at "
                f"{self.anneal_from}",
                "give --anneal-to a share that is not below --anneal-from",
            )


_PAPER = Params()
_SMALL = dataclasses.replace(
    _PAPER, pixels=64, filters=32, batch=6, steps=16_000, validate_every=1000, precision="bf16"
)
_TINY = dataclasses.replace(_SMALL, pixels=32, filters=16, steps=300, validate_every=100)
PRESETS: dict[str, Params] = {"tiny": _TINY, "small": _SMALL, "paper": _PAPER}

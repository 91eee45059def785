"""The parameters of the structure generator and their named sizes. Imports no torch."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from stages.errors import UsageError
from stages.stage import option

NAME = "structure-generator"
SELECT = ("distance", "min")
IMAGE = 64  # pixels a side of what it looks at
REQUIRES: dict[str, dict[str, Any]] = {
    "views": {"size": IMAGE},
    "depths": {"size": 128, "views": 8},
}
ARRAYS = {
    "rgb": "views",
    "depth": "depths",
    "extrinsics": "depths",
    "novel_depth": "depths",
    "novel_extrinsics": "depths",
}


@dataclass(frozen=True)
class Params:
    """A dense point cloud from one picture (Lin, Kong and Lucey 2018).

    The paper's schedule is lost; learning rates, steps and batches are those of its code, which its
    authors say do better.
    """

    # The two parts of the training
    stage: Literal["fixed", "joint"] = option(
        "fixed", "learn the fixed views, or go on by comparing novel ones"
    )
    start: str = option("", "run of --stage fixed that joint goes on from; default: the newest one")
    start_weights: str = ""  # sha256; filled in
    categories: tuple[str, ...] = ()  # of the data; filled in

    # What it predicts
    size: Literal[32, 64, 128] = option(128, "pixels a side of the depth maps")
    fixed_views: Literal[4, 6, 8, 12, 20] = option(8, "views that it predicts")

    # The network
    network: Literal["original", "resnet"] = option("original", "plain or residual convolutions")
    encoder: tuple[int, ...] = option((96, 128, 192, 256), "channels, each half as large")
    encoder_full: tuple[int, ...] = option((2048, 1024), "fully connected layers after them")
    latent: int = option(512, "length of the vector between encoder and decoder", low=1)
    decoder_full: tuple[int, ...] = option((1024, 2048, 4096), "layers before the 4 x 4 picture")
    decoder: tuple[int, ...] = option((192, 128, 96, 64, 48), "channels, each twice as large")
    momentum: float = option(0.001, "weight of a batch in the running statistics", low=0, high=1)

    # The losses: sums over pixels, divided by the pictures
    plane_weight: float = option(1.0, "of the error across the picture, in pixels", low=0)
    depth_weight: float = option(1.0, "of the error in depth, in world units", low=0)
    depth_where: Literal["predicted", "true"] = option(
        "predicted", "where it predicts the shape (background: depth 1), or where the shape is, too"
    )
    novel: int = option(5, "novel views of a sample, for joint", low=1)
    upsampling: int = option(5, "cells along a pixel of a novel view", low=1, high=9)

    # The training
    batch: int = option(20, "pictures a step", low=2)
    steps: int = option(500_000, "optimiser steps", low=1)
    lr: float = option(1e-2, "learning rate of Adam", low=0)
    schedule: Literal["constant", "cosine"] = option("constant", "learning rate over the steps")
    flip: bool = option(False, "mirror half of the pictures, with their maps")
    jitter: float = option(0.0, "strength of the random brightness, contrast and tint", low=0)
    validation_views: int = option(8, "views of each shape that are validated on", low=1)
    validate_every: int = option(2000, "steps between validations", low=1)
    precision: Literal["fp32", "bf16"] = option("fp32", "of the network but its last layer")
    channels_last: bool = option(True, "layout of the pictures in memory")
    cache_mb: int = option(4096, "memory for the views of the shapes seen last", low=1)

    def __post_init__(self) -> None:
        doublings = self.size.bit_length() - 3  # from 4 pixels
        if len(self.decoder) < doublings:
            raise UsageError(
                f"decoder has {len(self.decoder)} numbers, too few for {self.size} pixels",
                f"give {doublings}; each doubles the picture of 4 pixels",
            )
        if not self.decoder_full or self.decoder_full[-1] % 16:
            raise UsageError(
                "the last of decoder_full is no 4 x 4 picture", "make it a multiple of 16"
            )
        if not 1 <= len(self.encoder) <= 6:
            raise UsageError(
                f"encoder has {len(self.encoder)} numbers",
                f"give 1 to 6; each halves the picture of {IMAGE} pixels",
            )


_PAPER = Params()
_RESNET = dataclasses.replace(
    _PAPER,
    network="resnet",
    encoder=(32, 64, 128, 256),
    encoder_full=(1024,),
    latent=256,
    decoder_full=(1024, 4096, 16384),
    decoder=(512, 256, 128, 64, 32),
)
_SMALL = dataclasses.replace(
    _PAPER,
    size=64,
    encoder=(48, 64, 96, 128),
    encoder_full=(1024,),
    latent=256,
    decoder_full=(512, 2048),
    decoder=(96, 64, 48, 48),
    momentum=0.02,
    plane_weight=0.1,
    depth_weight=10.0,
    depth_where="true",
    batch=16,
    steps=4000,
    schedule="cosine",
    flip=True,
    jitter=0.2,
    validate_every=250,
    precision="bf16",
)
_TINY = dataclasses.replace(
    _SMALL,
    size=32,
    encoder=(16, 32, 48, 64),
    encoder_full=(256,),
    latent=128,
    decoder_full=(512,),
    decoder=(32, 24, 16),
    momentum=0.05,
    steps=300,
    validate_every=100,
)
PRESETS: dict[str, Params] = {
    "tiny": _TINY,
    "small": _SMALL,
    "paper": _PAPER,
    "paper-resnet": _RESNET,
}
# What is different about the second part of the training.
JOINT: dict[str, dict[str, Any]] = {
    "tiny": {"steps": 100, "lr": 1e-3},
    "small": {"steps": 1500, "lr": 1e-3},
    "paper": {"steps": 100_000, "lr": 1e-5},
    "paper-resnet": {"steps": 100_000, "lr": 1e-5},
}


def preset(name: str, options: Mapping[str, Any]) -> Params:
    """The parameters of a named size for the `stage` of the options."""
    params = PRESETS[name]
    if options.get("stage") == "joint":
        params = dataclasses.replace(params, stage="joint", **JOINT[name])
    return params


def requires(params: Params) -> dict[str, dict[str, Any]]:
    """REQUIRES, with the depth maps that these parameters are for."""
    return {**REQUIRES, "depths": {"size": params.size, "views": params.fixed_views}}


def suffix(params: Params) -> str:
    """What the name of a run ends with, so that the two parts have two names."""
    return "-joint" if params.stage == "joint" else ""

"""The parameters of the deep encoder and their named sizes. Imports no torch."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

from stages.errors import UsageError
from stages.stage import option

NAME = "deep-encoding"
SELECT = ("mrr", "max")
REQUIRES: dict[str, dict[str, Any]] = {"voxels": {"res": 96}, "views": {"size": 486}}
ARRAYS = {"voxels": "voxels", "rgb": "views", "mask": "views"}


@dataclass(frozen=True)
class Params:
    """Deep encoding: voxels and pictures in one space (m-conv-n-fc, table 1).

    What the paper leaves open is as in the code that it starts from, 3D-R2N2 (Choy et al. 2016).
    """

    # The network
    voxel_res: int = option(96, "voxels a side: crossdim voxelize --res", low=4)
    image_size: int = option(486, "pixels a side: crossdim render --size", low=4)
    conv_units: int = option(2, "m: units of conv-relu-conv-relu-pool", low=1, high=3)
    fc_layers: int = option(2, "n: fully connected layers", low=1, high=4)
    width: int = option(16, "channels of the first convolution; each next one has twice", low=1)
    hidden: int = option(4096, "length of all fully connected layers but the last", low=1)
    code: int = option(128, "length of the code", low=2)
    voxel_pools: tuple[int, ...] = option((3, 2, 4, 2), "pooling before and after each unit")
    image_pools: tuple[int, ...] = option((3, 3, 9, 3), "pooling before and after each unit")
    slope: float = option(0.01, "of the leaky ReLU below 0", low=0, high=1)

    # The loss
    loss: Literal["triplet", "symmetric", "lifted", "lifted-safe"] = option(
        "triplet",
        "equation 1; with pictures as anchors, too; lifted structure, as printed or safe",
    )
    margin: float = option(1.0, "alpha of equation 1, and of the lifted structure", low=0)
    mining: Literal["random", "semihard", "hard"] = option(
        "random",
        "negatives of the triplets: drawn, or of the batch the nearest beyond the positive, or the "
        "nearest",
    )

    # The training
    batch: int = option(24, "triplets a step", low=2)
    steps: int = option(60_000, "optimiser steps", low=1)
    lr: float = option(1e-4, "learning rate of Adam", low=0)
    schedule: Literal["drops", "cosine"] = option(
        "drops", "learning rate over the steps: a tenth at 20,000 and at 60,000, or to 0"
    )
    decay: float = option(5e-5, "L2 weight decay, of weights alone", low=0)
    recolour: bool = option(True, "draw a background colour each time a picture is shown")
    jitter: float = option(0.0, "strength of the random brightness, contrast and tint", low=0)
    validation_views: int = option(2, "views of each shape that are validated on", low=1)
    validate_every: int = option(1000, "steps between validations", low=1)
    curve_every: int = option(20, "steps between losses of one validation batch, 0: none", low=0)
    precision: Literal["fp32", "bf16"] = option("fp32", "of the network; losses are fp32")
    channels_last: bool = False  # torch refuses it for 3D weights; the model does it by itself
    cache_mb: int = option(4096, "memory for the shapes seen last", low=1)

    def __post_init__(self) -> None:
        sides("voxel_res", self.voxel_res, self.voxel_pools, self.conv_units)
        sides("image_size", self.image_size, self.image_pools, self.conv_units)
        if self.loss.startswith("lifted") and self.mining != "random":
            raise UsageError(
                f"the {self.loss} loss uses all negatives of a batch: nothing to mine",
                "leave --mining out, or use --loss triplet or symmetric",
            )


def sides(name: str, side: int, pools: tuple[int, ...], units: int) -> list[int]:
    """Cells or pixels a side, before and after the pooling of each unit, the first one included.

    Raises UsageError unless every pooling divides what it is given.
    """
    if len(pools) <= units:
        raise UsageError(f"{len(pools)} poolings for {units} units", "give one more than units")
    found = [side]
    for pool in pools[: units + 1]:
        if pool < 1 or found[-1] % pool:
            factor = 1
            for one in pools[: units + 1]:
                factor *= max(one, 1)
            raise UsageError(
                f"{name} {side} cannot be pooled by {' x '.join(map(str, pools[: units + 1]))}",
                f"use a multiple of {factor}",
            )
        found.append(found[-1] // pool)
    return found


_PAPER = Params()
_SMALL = dataclasses.replace(
    _PAPER,
    voxel_res=32,
    image_size=108,
    width=8,
    hidden=512,
    voxel_pools=(2, 2, 2, 2),
    image_pools=(2, 3, 3, 3),
    steps=3000,
    lr=3e-4,
    schedule="cosine",
    jitter=0.2,
    validation_views=4,
    validate_every=250,
    precision="bf16",
)
_TINY = dataclasses.replace(
    _SMALL,
    image_size=64,
    voxel_pools=(4, 2, 2, 2),
    image_pools=(2, 2, 2, 2),
    hidden=256,
    steps=300,
    lr=1e-3,
    validate_every=100,
)
PRESETS: dict[str, Params] = {"tiny": _TINY, "small": _SMALL, "paper": _PAPER}

"""The parameters of the spherical CNN and their named sizes. Imports no torch."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

from stages.errors import UsageError
from stages.stage import option

NAME = "spherical-cnn"
SELECT = ("accuracy", "max")
# Sphere maps as the network reads them, whatever their poses.
MAPS: dict[str, Any] = {"res": 64, "channels": "length", "grid": "midpoint", "centre": "box"}
REQUIRES: dict[str, dict[str, Any]] = {"spheres": {**MAPS, "poses": "random"}}
ARRAYS = {"map": "spheres"}


@dataclass(frozen=True)
class Params:
    """The spherical CNN of the equivariant paper (Esteves et al. 2019, appendix A.1).

    Widths follow from its targets: 32^2 x 16 and 16^2 x 32 inside residual bottlenecks of factor 4.
    Learning rates are lost from the paper; these are those of Esteves et al. 2018, dropped at 54
    and 92 % of the steps, as its steps 5000 and 8500 of 15 epochs of 9,843 shapes.
    """

    classes: tuple[str, ...] = option((), "categories told apart; filled in from the data")
    widths: tuple[int, ...] = option((32, 64, 128), "channels at 64^2, 32^2 and 16^2")
    bottleneck: int = option(4, "factor by which the spherical convolutions are narrower", low=1)
    anchors: int = option(8, "degrees at which a filter is free; linear between", low=2)
    pooling: Literal["area", "spectral"] = option("area", "how resolution is halved")
    batch: int = option(16, "maps a step", low=2)
    steps: int = option(9228, "optimiser steps", low=1)
    lr: float = option(1e-3, "learning rate of Adam", low=0)
    validate_every: int = option(500, "steps between validations", low=1)
    precision: Literal["fp32", "bf16"] = option("fp32", "of the pointwise layers")
    channels_last: bool = option(False, "layout of the maps in memory")
    cache_mb: int = option(2048, "memory for the maps of the shapes seen last", low=1)

    def __post_init__(self) -> None:
        if len(self.widths) != 3 or any(w % self.bottleneck for w in self.widths):
            raise UsageError(
                f"widths {self.widths} do not fit a bottleneck of {self.bottleneck}",
                "give 3 numbers, each a multiple of the bottleneck",
            )


_PAPER = Params()
# Exactly equivariant, which area pooling, as published, is to some percent.
_SMALL = dataclasses.replace(_PAPER, pooling="spectral", steps=3000, validate_every=250)
_TINY = dataclasses.replace(_SMALL, widths=(8, 16, 32), steps=200, validate_every=100)
PRESETS: dict[str, Params] = {"tiny": _TINY, "small": _SMALL, "paper": _PAPER}

"""Spherical CNN (Esteves et al. 2018, 2019): the class of a shape from its ray lengths.

Its maps inside the residual bottlenecks are what the equivariant system learns to see in pictures.
The contract is that of `stages.systems`. Importing this module imports no torch.
"""

from __future__ import annotations

import dataclasses
import sys
from typing import TYPE_CHECKING, Any

from stages.errors import InputError
from stages.systems.spherical_cnn.params import ARRAYS, NAME, PRESETS, REQUIRES, SELECT, Params

if TYPE_CHECKING:
    import torch

__all__ = [
    "ARRAYS",
    "NAME",
    "PRESETS",
    "REQUIRES",
    "SELECT",
    "Params",
    "bind",
    "build",
    "dataset",
    "losses",
    "optimizer",
    "predict",
    "schedule",
    "validate",
]

# Shares of the steps after which the learning rate is 1/5 and 1/25 (see `Params`).
_DROPS = (0.54, 0.92)


def bind(params: Params, selection: Any, find: Any) -> tuple[Any, Params]:
    """The classes are the categories of the data; InputError for less than two."""
    if len(selection.categories) < 2:
        raise InputError(
            f"{len(selection.categories)} category is nothing to tell apart",
            "train on two or more: leave --category out, or repeat it",
        )
    return sys.modules[__name__], dataclasses.replace(params, classes=selection.categories)


def build(params: Params) -> torch.nn.Module:
    """The untrained network, its weights drawn from torch's global generator."""
    from stages.systems.spherical_cnn.model import SphericalCNN

    return SphericalCNN(params)


def dataset(load: Any, ids: Any, params: Params) -> Any:
    """The `data.Maps` of these shapes: one sample a pose."""
    from stages.systems.spherical_cnn.data import Maps

    return Maps(load, ids, params)


def optimizer(model: torch.nn.Module, params: Params) -> torch.optim.Optimizer:
    """Adam (appendix A.1)."""
    import torch

    return torch.optim.Adam(model.parameters(), lr=params.lr)


def schedule(params: Params, step: int) -> float:
    """1, from 54 % of the steps 1/5, from 92 % on 1/25."""
    return 0.2 ** sum(step >= share * params.steps for share in _DROPS)


def losses(model: Any, batch: Any, params: Params, context: Any) -> dict[str, torch.Tensor]:
    """`loss`: the mean cross entropy of the classes."""
    import torch.nn.functional as F

    return {"loss": F.cross_entropy(model(batch["map"]).float(), batch["label"])}


def validate(model: Any, batch: Any, params: Params) -> dict[str, torch.Tensor]:
    """(B,) `accuracy`, 0 or 1, and `cross_entropy` of each map."""
    import torch.nn.functional as F

    logits = model(batch["map"]).float()
    return {
        "accuracy": (logits.argmax(1) == batch["label"]).float(),
        "cross_entropy": F.cross_entropy(logits, batch["label"], reduction="none"),
    }


def predict(model: Any, maps: Any, params: Params) -> dict[str, torch.Tensor]:
    """`probabilities` (B, classes) of maps (B, 1, n, n) as in `data.Maps`."""
    import torch

    with torch.no_grad():
        return {"probabilities": model(maps).float().softmax(1)}

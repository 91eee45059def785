"""Deep encoding (cross-domain, Theano, 2016): codes of voxels and of pictures in one space.

The contract is that of `stages.systems`. Importing this module imports no torch.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from stages.systems.deep_encoding.params import ARRAYS, NAME, PRESETS, REQUIRES, SELECT, Params

if TYPE_CHECKING:
    import torch

__all__ = [
    "ARRAYS",
    "NAME",
    "PRESETS",
    "REQUIRES",
    "SELECT",
    "Params",
    "build",
    "dataset",
    "losses",
    "optimizer",
    "predict",
    "requires",
    "schedule",
    "validate",
]

_DROPS = (20_000, 60_000)  # steps from which the learning rate is a tenth, a hundredth (3D-R2N2)


def requires(params: Params) -> dict[str, dict[str, Any]]:
    """REQUIRES at the sizes of these parameters."""
    return {"voxels": {"res": params.voxel_res}, "views": {"size": params.image_size}}


def build(params: Params) -> torch.nn.Module:
    """The untrained network, its weights drawn from torch's global generator."""
    from stages.systems.deep_encoding.model import DeepEncoder

    return DeepEncoder(params)


def dataset(load: Any, ids: Any, params: Params) -> Any:
    """The `data.Triplets` of these shapes: one sample a shape.

    Raises InputError for a single shape, of which there are no negatives.
    """
    from stages.systems.deep_encoding.data import Triplets

    return Triplets(load, ids, params)


def optimizer(model: torch.nn.Module, params: Params) -> torch.optim.Optimizer:
    """Adam (section 4.1), with the L2 decay of 3D-R2N2: not of biases."""
    import torch

    weights = [p for p in model.parameters() if p.ndim > 1]
    biases = [p for p in model.parameters() if p.ndim == 1]
    groups: list[dict[str, Any]]
    groups = [{"params": weights, "weight_decay": params.decay}, {"params": biases}]
    return torch.optim.Adam(groups, lr=params.lr)


def schedule(params: Params, step: int) -> float:
    """1, a tenth from step 20,000 and a hundredth from 60,000; or half a cosine from 1 to 0."""
    if params.schedule == "cosine":
        return 0.5 + 0.5 * math.cos(math.pi * step / params.steps)
    return 0.1 ** sum(step >= drop for drop in _DROPS)


def losses(model: Any, batch: Any, params: Params, context: Any) -> dict[str, torch.Tensor]:
    """`objective.losses`."""
    from stages.systems.deep_encoding.objective import losses

    return losses(model, batch, params, context)


def validate(model: Any, batch: Any, params: Params) -> dict[str, torch.Tensor]:
    """`objective.validate`."""
    from stages.systems.deep_encoding.objective import validate

    return validate(model, batch, params)


def predict(model: Any, images: Any, params: Params) -> dict[str, torch.Tensor]:
    """`code` (B, C) of pictures (B, 3, S, S), 0 to 1; for voxels: `model.encode_voxels`."""
    import torch

    with torch.no_grad():
        return {"code": model.encode_images(images)}

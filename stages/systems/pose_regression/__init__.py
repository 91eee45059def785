"""Pose regression (Mahendran et al. 2017): the baseline that the equivariant paper compares with.

The contract is that of `stages.systems`. Importing this module imports no torch.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from stages.systems.pose_regression.params import ARRAYS, NAME, PRESETS, REQUIRES, SELECT, Params

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
    "schedule",
    "validate",
]

# Shares of the steps after each of which the learning rate is a fifth: 40k, 75k, 125k of 150k.
_DROPS = (40 / 150, 75 / 150, 125 / 150)
_WARM_UP = 0.02  # share of the steps, of schedule cosine


def build(params: Params) -> torch.nn.Module:
    """The untrained network, its weights drawn from torch's global generator."""
    from stages.systems.pose_regression.model import PoseRegression

    return PoseRegression(params)


def dataset(load: Any, ids: Any, params: Params) -> Any:
    """The `data.Views` of these shapes: one sample a view."""
    from stages.systems.pose_regression.data import Views

    return Views(load, ids, params)


def optimizer(model: torch.nn.Module, params: Params) -> torch.optim.Optimizer:
    """Adam (appendix B.1)."""
    import torch

    return torch.optim.Adam(model.parameters(), lr=params.lr, fused=True)


def schedule(params: Params, step: int) -> float:
    """1, then a fifth of it three times; or up to 1, then half a cosine to 0."""
    if params.schedule == "cosine":
        warm = min(1.0, (step + 1) / (_WARM_UP * params.steps))
        return warm * (0.5 + 0.5 * math.cos(math.pi * step / params.steps))
    return 0.2 ** sum(step >= share * params.steps for share in _DROPS)


def losses(model: Any, batch: Any, params: Params, context: Any) -> dict[str, torch.Tensor]:
    """`loss`: RMSE of axis-angle vectors, in the last third of the steps the geodesic distance."""
    from stages.systems.pose_regression.model import geodesic, root_mean_square

    told = model(batch["image"]).float()
    if context.step < params.geodesic_from * params.steps:
        return {"loss": root_mean_square(told, batch["rotation"])}
    return {"loss": geodesic(told, batch["rotation"]).mean()}


def validate(model: Any, batch: Any, params: Params) -> dict[str, torch.Tensor]:
    """(B,) `error_deg` of the rotation, and `acc15`, `acc30`: whether it is below."""
    from stages.systems.pose_regression.model import geodesic

    error = geodesic(model(batch["image"]).float(), batch["rotation"]).rad2deg()
    return {
        "error_deg": error,
        "acc15": (error < 15).float(),
        "acc30": (error < 30).float(),
    }


def predict(model: Any, images: Any, params: Params) -> dict[str, torch.Tensor]:
    """`rotation` (B, 3, 3), object to camera, of pictures (B, 3, 128, 128), 0 to 1."""
    import torch

    from stages.geometry.rotations import exponential

    with torch.no_grad():
        return {"rotation": exponential(model(images).float())}

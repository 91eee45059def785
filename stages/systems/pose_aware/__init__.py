"""Pose-aware single-image reconstruction (Liao et al. 2018): voxels, mask and camera pose.

The contract is that of `stages.systems`. Importing this module imports no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stages.systems.pose_aware.params import NAME, PRESETS, REQUIRES, SELECT, Params

if TYPE_CHECKING:
    import torch

__all__ = [
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
    "validate",
]


def build(params: Params) -> torch.nn.Module:
    """The untrained network, weights from torch's global generator, in channels-last layout."""
    import torch

    from stages.systems.pose_aware.model import PoseAware

    return PoseAware(params).to(memory_format=torch.channels_last)


def dataset(load: Any, ids: Any, params: Params) -> Any:
    """The `data.ShapeViews` of these shapes: `draw` gives training batches, `batches` all views."""
    from stages.systems.pose_aware.data import ShapeViews

    return ShapeViews(load, ids, params.cache_mb)


def optimizer(model: torch.nn.Module, params: Params) -> torch.optim.Optimizer:
    """Adam at the paper's constant rate (section 3)."""
    import torch

    return torch.optim.Adam(model.parameters(), lr=params.lr)


def losses(model: Any, batch: Any, params: Params, context: Any) -> dict[str, torch.Tensor]:
    """`objective.losses`."""
    from stages.systems.pose_aware.objective import losses

    return losses(model, batch, params, context)


def validate(model: Any, batch: Any, params: Params) -> dict[str, torch.Tensor]:
    """`inference.validate`."""
    from stages.systems.pose_aware.inference import validate

    return validate(model, batch, params)


def predict(model: Any, images: Any, params: Params) -> dict[str, torch.Tensor]:
    """`inference.predict`."""
    from stages.systems.pose_aware.inference import predict

    return predict(model, images, params)

"""Pose-aware single-image reconstruction (Liao et al. 2018): voxels, mask and camera pose.

The contract is that of `stages.systems`. Importing this module imports no torch.
"""

from __future__ import annotations

import dataclasses
import math
import sys
import types
from typing import TYPE_CHECKING, Any

from stages.systems.beginning import require_same, require_unseen
from stages.systems.pose_aware.params import ARRAYS, NAME, PRESETS, REQUIRES, SELECT, Params

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


# Of the network, in which a run and the one that it goes on from must agree.
_SAME = (
    "shape_code",
    "pose_code",
    "encoder_widths",
    "encoder_blocks",
    "voxel_widths",
    "mask_widths",
    "pose_hypotheses",
    "elevation_low_deg",
    "elevation_high_deg",
)


def bind(params: Params, selection: Any, find: Any) -> tuple[Any, Params]:
    """The system for these data; with `params.start` it begins with the weights of that run.

    Raises InputError when there is no such run, it is of another network, or it was trained on test
    shapes.
    """
    functions = {name: getattr(sys.modules[__name__], name) for name in __all__}
    if params.start:
        found = _start(params, selection, find)
        params = dataclasses.replace(params, start_weights=found.sha256)

        def bound_build(params: Params) -> torch.nn.Module:
            model = build(params)
            model.load_state_dict(found.model.state_dict())
            return model

        functions["build"] = bound_build
    return types.SimpleNamespace(**functions), params


def _start(params: Params, selection: Any, find: Any) -> Any:
    """The run whose weights are begun with."""
    found = find(NAME, params.start)
    require_same(found, params, _SAME)
    require_unseen(found, selection.ids["test"])
    return found


def build(params: Params) -> torch.nn.Module:
    """The untrained network, its weights drawn from torch's global generator."""
    from stages.systems.pose_aware.model import PoseAware

    return PoseAware(params)


def dataset(load: Any, ids: Any, params: Params) -> Any:
    """The `data.ShapeViews` of these shapes: one sample a view."""
    from stages.systems.pose_aware.data import ShapeViews

    return ShapeViews(load, ids, params)


def optimizer(model: torch.nn.Module, params: Params) -> torch.optim.Optimizer:
    """Adam (section 3)."""
    import torch

    return torch.optim.Adam(model.parameters(), lr=params.lr)


def schedule(params: Params, step: int) -> float:
    """The factor on the learning rate at `step`: 1, or half a cosine from 1 to 0."""
    if params.schedule == "constant":
        return 1.0
    return 0.5 + 0.5 * math.cos(math.pi * step / params.steps)


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

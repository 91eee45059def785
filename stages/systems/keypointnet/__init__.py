"""KeypointNet (Suwajanakorn et al. 2018): latent 3D keypoints from pairs of views of a shape.

A baseline of the equivariant paper. The contract is that of `stages.systems`; besides,
`relative_rotation` compares what `predict` says of two pictures. Importing this module imports no
torch.
"""

from __future__ import annotations

import sys
import types
from typing import TYPE_CHECKING, Any

from stages.systems.keypointnet.params import ARRAYS, NAME, PRESETS, REQUIRES, SELECT, Params

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
    "relative_rotation",
    "schedule",
    "validate",
]


def bind(params: Params, selection: Any, find: Any) -> tuple[Any, Params]:
    """The system that validates on `params.validation_views` views of a shape only."""
    most = params.validation_views

    def some(load: Any, ids: Any, params: Params) -> Any:
        """The `data.Pairs` of these shapes."""
        from stages.systems.keypointnet.data import Pairs

        return Pairs(load, ids, params, 0 if ids == selection.ids["train"] else most)

    own = {name: getattr(sys.modules[__name__], name) for name in __all__}
    return types.SimpleNamespace(**{**own, "dataset": some}), params


def build(params: Params) -> torch.nn.Module:
    """The untrained network, its weights drawn from torch's global generator."""
    from stages.systems.keypointnet.model import KeypointNet

    return KeypointNet(params)


def dataset(load: Any, ids: Any, params: Params) -> Any:
    """The `data.Pairs` of these shapes: one sample a view, with a partner."""
    from stages.systems.keypointnet.data import Pairs

    return Pairs(load, ids, params)


def optimizer(model: torch.nn.Module, params: Params) -> torch.optim.Optimizer:
    """Adam; before each step the norm of the whole gradient is brought down to `params.clip`."""
    import torch

    weights = list(model.parameters())
    adam = torch.optim.Adam(weights, lr=params.lr)

    def clip(*_: Any) -> None:
        torch.nn.utils.clip_grad_norm_(weights, params.clip)

    adam.register_step_pre_hook(clip)
    return adam


def schedule(params: Params, step: int) -> float:
    """1: the learning rate stays as it is."""
    return 1.0


def losses(model: Any, batch: Any, params: Params, context: Any) -> dict[str, torch.Tensor]:
    """`objective.losses`."""
    from stages.systems.keypointnet.objective import losses

    return losses(model, batch, params, context)


def validate(model: Any, batch: Any, params: Params) -> dict[str, torch.Tensor]:
    """`inference.validate`."""
    from stages.systems.keypointnet.inference import validate

    return validate(model, batch, params)


def predict(model: Any, images: Any, params: Params) -> dict[str, torch.Tensor]:
    """`inference.predict`."""
    from stages.systems.keypointnet.inference import predict

    return predict(model, images, params)


def relative_rotation(first: Any, second: Any) -> torch.Tensor:
    """R1 R2^T (B, 3, 3), the second camera's frame to the first's, of their keypoints (B, K, 3)."""
    from stages.systems.keypointnet.procrustes import relative_rotation

    return relative_rotation(first, second)

"""Equivariant image embeddings (Esteves et al. 2019): a spherical map that turns with the object.

The contract is that of `stages.systems`. Importing this module imports no torch.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import sys
import types
from typing import TYPE_CHECKING, Any

from stages.stage import params_json
from stages.systems.beginning import require_same, require_unseen
from stages.systems.equivariant.params import ARRAYS, NAME, PRESETS, REQUIRES, SELECT, Params

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
    "losses",
    "optimizer",
    "predict",
    "schedule",
    "validate",
]

# Shares of the steps after which the learning rate is 1/5 and 1/25: 80k and 180k of 200k.
_DROPS = (0.4, 0.9)
_WARM_UP = 0.02  # share of the steps, of schedule cosine
# Of the encoder, in which a run and the one that it begins with must agree.
_SAME = ("network", "pixels", "width", "most", "blocks", "latent", "depth")


def bind(params: Params, selection: Any, find: Any) -> tuple[Any, Params]:
    """The system with the spherical CNN `params.target` in it, which stays as it is.

    With `params.start` it begins with the encoder of that run. Raises InputError when that is of
    another size, or was trained on shapes that are to be tested on.
    """
    from stages.systems.equivariant.data import Views

    found = find("spherical-cnn", params.target)
    teacher = found.model
    params = dataclasses.replace(
        params,
        target=found.run,
        target_params=json.dumps(params_json(found.params), sort_keys=True),
        target_weights=found.sha256,
    )

    begun = _start(params, selection, find) if params.start else None
    if begun:
        params = dataclasses.replace(params, start_weights=begun.sha256)

    def bound_build(params: Params) -> torch.nn.Module:
        model: Any = build(params)
        model.target.load_state_dict(teacher.state_dict())
        if begun:
            model.encoder.load_state_dict(begun.model.encoder.state_dict())
        return model

    def dataset(load: Any, ids: Any, params: Params) -> Any:
        """The `data.Views` of these shapes: one sample a view."""
        most = 0 if ids == selection.ids["train"] else params.validation_views
        target = functools.partial(teacher.target, which=params.layer)  # it can be pickled
        return Views(load, ids, params, target, most)

    own = {name: getattr(sys.modules[__name__], name) for name in __all__}
    own.update(build=bound_build, dataset=dataset)
    return types.SimpleNamespace(**own), params


def _start(params: Params, selection: Any, find: Any) -> Any:
    """The run whose encoder is begun with."""
    found = find(NAME, params.start)
    require_same(found, params, _SAME)
    require_unseen(found, selection.ids["test"])
    return found


def build(params: Params) -> torch.nn.Module:
    """The untrained network, its weights drawn from torch's global generator."""
    from stages.systems.equivariant.model import Embedding

    return Embedding(params)


def optimizer(model: Any, params: Params) -> torch.optim.Optimizer:
    """Adam (appendix A.2), of all but the target."""
    import torch

    return torch.optim.Adam(
        [p for p in model.parameters() if p.requires_grad], lr=params.lr, fused=True
    )


def schedule(params: Params, step: int) -> float:
    """1, from 40 % of the steps 1/5, from 90 % on 1/25; or up to 1, then half a cosine to 0."""
    if params.schedule == "cosine":
        warm = min(1.0, (step + 1) / (_WARM_UP * params.steps))
        return warm * (0.5 + 0.5 * math.cos(math.pi * step / params.steps))
    return 0.2 ** sum(step >= share * params.steps for share in _DROPS)


def losses(model: Any, batch: Any, params: Params, context: Any) -> dict[str, torch.Tensor]:
    """`loss`: equation 5, mean over the batch."""
    from stages.systems.equivariant.objective import embedding_loss

    return {"loss": embedding_loss(model(batch["image"]).float(), batch["target"], params).mean()}


def validate(model: Any, batch: Any, params: Params) -> dict[str, torch.Tensor]:
    """`inference.validate`."""
    from stages.systems.equivariant.inference import validate

    return validate(model, batch, params)


def predict(model: Any, images: Any, params: Params, turns: int = 0) -> dict[str, torch.Tensor]:
    """`embedding` (B, C, t, t) of pictures (B, 3, 128, 128), 0 to 1, in the camera's frame.

    With `turns` it is the mean over so many in-plane turns and their mirror images, each undone.
    """
    import torch

    if turns:
        from stages.systems.equivariant.inference import averaged

        return {"embedding": averaged(model, images, turns)}
    with torch.no_grad():
        return {"embedding": model(images).float()}

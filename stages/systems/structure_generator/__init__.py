"""The structure generator (Lin, Kong and Lucey 2018): a dense point cloud from one picture.

A network predicts depth maps and masks of fixed views; their pixels, fused, are the cloud. It
learns the maps (stage "fixed"), then to make right what novel views show of the cloud (stage
"joint"). The contract is that of `stages.systems`. Importing this module imports no torch.
"""

from __future__ import annotations

import dataclasses
import math
import sys
import types
from typing import TYPE_CHECKING, Any

from stages.errors import InputError
from stages.systems.beginning import require_same
from stages.systems.structure_generator.params import (
    ARRAYS,
    NAME,
    PRESETS,
    REQUIRES,
    SELECT,
    Params,
    preset,
    requires,
    suffix,
)

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
    "encode",
    "losses",
    "optimizer",
    "predict",
    "predict_codes",
    "preset",
    "requires",
    "schedule",
    "suffix",
    "validate",
]

# Of the network, in which a run and the one that it goes on from must agree.
_SAME = (
    "size",
    "fixed_views",
    "network",
    "encoder",
    "encoder_full",
    "latent",
    "decoder_full",
    "decoder",
)


def bind(params: Params, selection: Any, find: Any) -> tuple[Any, Params]:
    """The system for these data; for the stage "joint" it begins with the weights of a fixed run.

    Raises InputError when there is no such run, or it is of another network or other shapes.
    """
    params = dataclasses.replace(params, categories=selection.categories)
    functions = {name: getattr(sys.modules[__name__], name) for name in __all__}
    if params.stage == "fixed":  # what it does not learn from need not be read
        functions["ARRAYS"] = {k: v for k, v in ARRAYS.items() if not k.startswith("novel")}
    else:
        found = _start(params, find)
        params = dataclasses.replace(params, start=found.run, start_weights=found.sha256)

        def bound_build(params: Params) -> torch.nn.Module:
            model = build(params)
            model.load_state_dict(found.model.state_dict())
            return model

        functions["build"] = bound_build

    def dataset(load: Any, ids: Any, params: Params) -> Any:
        """The `data.Pictures` of these shapes: one sample a picture."""
        from stages.systems.structure_generator.data import Pictures

        most = 0 if ids == selection.ids["train"] else params.validation_views
        return Pictures(load, ids, params, most)

    return types.SimpleNamespace(**functions, dataset=dataset), params


def _start(params: Params, find: Any) -> Any:
    """The run that the stage "joint" goes on from."""
    categories = list(params.categories)
    chosen = "".join(f" --category {name}" for name in categories)
    train = f"run: crossdim train {NAME} --stage fixed{chosen}"
    try:
        found = find(NAME, params.start, {"stage": "fixed", "categories": categories})
    except InputError as error:
        if params.start:
            raise
        raise InputError(
            f"no finished run of stage fixed of {', '.join(categories)} to go on from", train
        ) from error
    told = found.params
    if told.stage != "fixed" or told.categories != params.categories:
        raise InputError(
            f"run {found.run} is of stage {told.stage} and of {', '.join(told.categories)}", train
        )
    require_same(found, params, _SAME)
    return found


def build(params: Params) -> torch.nn.Module:
    """The untrained network, its weights drawn from torch's global generator."""
    from stages.systems.structure_generator.model import StructureGenerator

    return StructureGenerator(params)


def optimizer(model: torch.nn.Module, params: Params) -> torch.optim.Optimizer:
    """Adam, as in the published code."""
    import torch

    return torch.optim.Adam(model.parameters(), lr=params.lr)


def schedule(params: Params, step: int) -> float:
    """The factor on the learning rate at `step`: 1, or half a cosine from 1 to 0."""
    if params.schedule == "constant":
        return 1.0
    return 0.5 + 0.5 * math.cos(math.pi * step / params.steps)


def losses(model: Any, batch: Any, params: Params, context: Any) -> dict[str, torch.Tensor]:
    """`objective.losses`."""
    from stages.systems.structure_generator.objective import losses

    return losses(model, batch, params, context)


def validate(model: Any, batch: Any, params: Params) -> dict[str, torch.Tensor]:
    """`objective.validate`."""
    from stages.systems.structure_generator.objective import validate

    return validate(model, batch, params)


def predict(model: Any, images: Any, params: Params) -> dict[str, torch.Tensor]:
    """`points` (B, 3, N), world, and their `logit` (B, N), of pictures (B, 3, 64, 64), 0 to 1.

    The cloud is those points whose logit is above 0.
    """
    import torch

    with torch.no_grad():
        maps, logit = model(images)
        return _fused(maps, logit, params)


def encode(model: Any, images: Any) -> torch.Tensor:
    """(B, `latent`) codes of pictures (B, 3, 64, 64), 0 to 1: what the decoder makes maps of."""
    import torch

    with torch.no_grad():
        return model.encoder(images)


def predict_codes(model: Any, codes: Any, params: Params) -> dict[str, torch.Tensor]:
    """What `predict` says, of codes (B, `latent`)."""
    import torch

    with torch.no_grad():
        maps, logit = model.decode(codes)
        return _fused(maps, logit, params)


def _fused(maps: Any, logit: Any, params: Params) -> dict[str, torch.Tensor]:
    import torch

    from stages.geometry.splatting import fuse3d
    from stages.systems.structure_generator.data import fixed_extrinsics

    fixed = torch.from_numpy(fixed_extrinsics(params.fixed_views)).to(maps)
    return {"points": fuse3d(maps, fixed), "logit": logit.flatten(1)}

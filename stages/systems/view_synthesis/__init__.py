"""View synthesis from equivariant embeddings (Esteves et al. 2019): turn, then draw.

A decoder learns what a camera sees from the embedding in that camera's frame, from single views. A
novel view is the picture of a turned embedding. The contract is that of `stages.systems`.
Importing this module imports no torch.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import sys
import types
from typing import TYPE_CHECKING, Any

from stages.errors import InputError
from stages.stage import params_json
from stages.systems.equivariant import optimizer, schedule  # appendix A.3 takes those of A.2
from stages.systems.view_synthesis.params import ARRAYS, NAME, PRESETS, REQUIRES, SELECT, Params

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


def bind(params: Params, selection: Any, find: Any) -> tuple[Any, Params]:
    """The system with the embedding `params.embedding` in it, which stays as it is.

    Raises InputError when that run does not embed at the layer "views".
    """
    from stages.systems.view_synthesis.data import Views
    from stages.systems.view_synthesis.model import embed_maps, embed_pictures

    found = find("equivariant", params.embedding, {"layer": "views"})
    if found.params.layer != "views":
        raise InputError(
            f"run {found.run} of equivariant embeds at layer {found.params.layer}, not views",
            "run: crossdim train equivariant --layer views",
        )
    params = dataclasses.replace(
        params,
        embedding=found.run,
        embedding_params=json.dumps(params_json(found.params), sort_keys=True),
        embedding_weights=found.sha256,
    )

    def bound_build(params: Params) -> torch.nn.Module:
        model: Any = build(params)
        model.embedding.load_state_dict(found.model.state_dict())
        return model

    def dataset(load: Any, ids: Any, params: Params) -> Any:
        """The `data.Views` of these shapes: one sample a view."""
        most = 0 if ids == selection.ids["train"] else params.validation_views
        embed = embed_pictures if params.source == "predicted" else embed_maps
        return Views(load, ids, params, functools.partial(embed, found.model), most)

    own = {name: getattr(sys.modules[__name__], name) for name in __all__}
    own.update(build=bound_build, dataset=dataset)
    return types.SimpleNamespace(**own), params


def build(params: Params) -> torch.nn.Module:
    """The untrained network, its weights drawn from torch's global generator."""
    from stages.systems.view_synthesis.model import Synthesis

    return Synthesis(params)


def losses(model: Any, batch: Any, params: Params, context: Any) -> dict[str, torch.Tensor]:
    """`loss`: mean squared or absolute difference to the pictures, over pixels and colours."""
    import torch.nn.functional as F

    difference = F.mse_loss if params.loss == "l2" else F.l1_loss
    return {"loss": difference(model(batch["map"]).float(), batch["image"])}


def validate(model: Any, batch: Any, params: Params) -> dict[str, torch.Tensor]:
    """(B,) `psnr` in dB and mean absolute error `l1` of the view that the embedding is of."""
    from stages.systems.pictures import psnr

    told = model(batch["map"]).float()
    return {"psnr": psnr(told, batch["image"]), "l1": (told - batch["image"]).abs().mean((1, 2, 3))}


def predict(
    model: Any, images: Any, params: Params, rotations: Any = None
) -> dict[str, torch.Tensor]:
    """`picture` (B, 3, 128, 128), 0 to 1, of the objects in pictures (B, 3, 128, 128), 0 to 1.

    As they were seen, or turned by `rotations` (B, 3, 3) in the camera's frame: R' R^T for the view
    of a camera R' when the pictures are those of cameras R. `embedding` (B, C, 32, 32) is what
    the pictures are drawn from, turned already.
    """
    import torch

    from stages.systems.view_synthesis.model import embed_pictures, turned

    with torch.no_grad():
        maps = embed_pictures(model.embedding, images)
        if rotations is not None:
            maps = turned(maps, rotations)
        return {"embedding": maps, "picture": model(maps).float()}

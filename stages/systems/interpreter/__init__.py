"""3D interpreter network (Wu et al. 2016): 2D keypoints, 3D skeleton and viewpoint of a picture.

Its three steps are three runs: `--step keypoints`, `--step interpret`, then `--step joint`, which
goes on from the two. The contract is that of `stages.systems`; besides, `requires` and `arrays` say
what a step learns from. Importing this module imports no torch.
"""

from __future__ import annotations

import dataclasses
import json
import math
import sys
import types
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from stages.errors import UsageError
from stages.systems.interpreter.params import (
    NAME,
    PRESETS,
    REQUIRES,
    SELECT,
    Params,
    arrays,
    requires,
    suffix,
)

if TYPE_CHECKING:
    import torch

__all__ = [
    "NAME",
    "PRESETS",
    "REQUIRES",
    "SELECT",
    "Params",
    "arrays",
    "bind",
    "build",
    "complete",
    "dataset",
    "losses",
    "optimizer",
    "predict",
    "requires",
    "schedule",
    "suffix",
    "validate",
]
# What the networks of step joint have in common with those of the other two.
_OF_KEYPOINTS = ("height", "channels", "head", "refinement", "fine", "contrast", "hidden")
_OF_INTERPRET = ("interpreter", "sigma", "ranges", "template", "template_json")


def complete(params: Params, workspace: Any, categories: Any) -> Params:
    """The parameters with all that the template holds; UsageError unless it is one category."""
    from stages.skeletons.template import load

    if len(categories) != 1:
        raise UsageError(
            "one skeleton does not fit all categories", "choose one with --category NAME"
        )
    template = load(params.template or categories[0], workspace)
    template.range(params.ranges)
    text = json.dumps(template.to_json(), sort_keys=True)
    return dataclasses.replace(params, template=template.name, template_json=text)


def bind(params: Params, selection: Any, find: Any) -> tuple[Any, Params]:
    """The system of this step; step joint begins with the weights of the two before."""
    start: Mapping[str, torch.Tensor] = {}
    if params.step == "joint":
        params, start = _with_parts(params, find)

    def bound_build(params: Params) -> torch.nn.Module:
        model: Any = build(params)
        if start:
            model.load_state_dict(start)
            if params.anchor_weight > 0:
                model.keep_interpreter()
        return model

    def bound_dataset(load: Any, ids: Any, params: Params) -> Any:
        most = 0 if ids == selection.ids["train"] else params.validation_views
        return dataset(load, ids, params, most)

    own = {name: getattr(sys.modules[__name__], name) for name in __all__}
    own.update(build=bound_build, dataset=bound_dataset)
    return types.SimpleNamespace(**own), params


def _with_parts(params: Params, find: Any) -> tuple[Params, Mapping[str, torch.Tensor]]:
    """The parameters and weights of the runs that step joint goes on from."""
    same = {"template": params.template}
    keypoints = find(NAME, params.keypoints_run, {"step": "keypoints", **same})
    interpret = find(NAME, params.interpret_run, {"step": "interpret", **same})
    for found, step in ((keypoints, "keypoints"), (interpret, "interpret")):
        if found.params.step != step or found.params.template_json != params.template_json:
            raise UsageError(
                f"run {found.run} is not of step {step} with this template of {params.template}",
                f"run: crossdim train {NAME} --step {step}",
            )
    if keypoints.params.sigma != interpret.params.sigma:
        raise UsageError(
            f"runs {keypoints.run} and {interpret.run} have peaks of different --sigma",
            "train one of them again",
        )
    params = dataclasses.replace(
        params,
        **{name: getattr(keypoints.params, name) for name in _OF_KEYPOINTS},
        **{name: getattr(interpret.params, name) for name in _OF_INTERPRET},
        keypoints_run=keypoints.run,
        interpret_run=interpret.run,
        keypoints_weights=keypoints.sha256,
        interpret_weights=interpret.sha256,
    )
    return params, {**keypoints.model.state_dict(), **interpret.model.state_dict()}


def build(params: Params) -> torch.nn.Module:
    """The untrained network, its weights drawn from torch's global generator."""
    from stages.systems.interpreter.model import Network

    return Network(params)


def dataset(load: Any, ids: Any, params: Params, most: int = 0) -> Any:
    """The samples of the step: skeletons, or pictures with their keypoints."""
    from stages.systems.interpreter.data import Pictures
    from stages.systems.interpreter.model import template_of
    from stages.systems.interpreter.skeletons import Drawn

    if params.step == "interpret":
        return Drawn(load, ids, template_of(params))
    return Pictures(load, ids, params, most)


def optimizer(model: torch.nn.Module, params: Params) -> torch.optim.Optimizer:
    """Adam; fused, which on a CPU takes a third of the time."""
    import torch

    return torch.optim.Adam(model.parameters(), lr=params.lr, fused=True)


def schedule(params: Params, step: int) -> float:
    """Half a cosine from 1 to 0."""
    return 0.5 + 0.5 * math.cos(math.pi * step / params.steps)


def losses(model: Any, batch: Any, params: Params, context: Any) -> dict[str, torch.Tensor]:
    """`objective.losses`."""
    from stages.systems.interpreter.objective import losses

    return losses(model, batch, params, context)


def validate(model: Any, batch: Any, params: Params) -> dict[str, torch.Tensor]:
    """`inference.validate`."""
    from stages.systems.interpreter.inference import validate

    return validate(model, batch, params)


def predict(model: Any, images: Any, params: Params) -> dict[str, torch.Tensor]:
    """`inference.predict`."""
    from stages.systems.interpreter.inference import predict

    return predict(model, images, params)

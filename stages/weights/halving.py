"""Weights in half precision, and what that changes in answers.

Letters: P pictures.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from stages.errors import CrossdimError
from stages.store.workspace import Workspace
from stages.train.run import Run, Trained
from stages.weights.framing import picture_size

_SHAPES, _VIEWS = 12, 4  # test shapes and views of each that answers are compared on
_MOST = 60_000  # float16 ends at 65,504


def halved(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Matrices and filters in float16; vectors, running statistics and counts as they are.

    Raises CrossdimError for weights that are too large for it.
    """
    stored = {}
    for name, value in state.items():
        value = value.detach().cpu().contiguous()
        if value.is_floating_point() and value.ndim > 1:
            if float(value.abs().max()) > _MOST:
                raise CrossdimError(
                    f"the weights {name} are too large for half precision",
                    "use the run as it is, with --run",
                )
            value = value.half()
        stored[name] = value
    return stored


def difference(
    workspace: Workspace, run: Run, trained: Trained, stored: Mapping[str, torch.Tensor]
) -> dict[str, Any]:
    """How far answers to test pictures are from those of the run's own weights.

    `largest` and `mean` over pictures of the relative difference |a - b| / |a| of each answer that
    the system gives, by name (the Euclidean norm of all its numbers), and `text`.
    """
    images = test_pictures(workspace, run, trained)
    if images is None:
        return {"pictures": 0, "text": "not compared: no test pictures were at hand"}
    half = copy.deepcopy(trained.model)
    state = half.state_dict()
    half.load_state_dict({name: stored[name].to(state[name].dtype) for name in state})
    told = [trained.system.predict(m, images, trained.params) for m in (trained.model, half)]
    largest, mean = {}, {}
    for name, first in told[0].items():
        if not first.is_floating_point():
            continue
        first, second = (one[name].float().reshape(len(images), -1) for one in told)
        away = (first - second).norm(dim=1) / first.norm(dim=1).clamp(min=1e-9)
        largest[name], mean[name] = float(away.max()), float(away.mean())
    worst = ", ".join(f"{name} {value:.1e}" for name, value in largest.items())
    text = f"largest relative difference of answers to {len(images)} test pictures: {worst}"
    return {"pictures": len(images), "largest": largest, "mean": mean, "text": text}


def test_pictures(workspace: Workspace, run: Run, trained: Trained) -> torch.Tensor | None:
    """(P, 3, S, S), 0 to 1, of a run's test shapes as it is given them; None if there are none."""
    data = run.record()["data"]
    if "views" not in data["variants"]:
        return None
    views = workspace.artefact("views", data["variants"]["views"])
    ids = [item for item in sorted(data["ids"]["test"]) if item in views.index.items()]
    if not ids:
        return None
    chosen = [views.read(item, ("rgb",))["rgb"][:_VIEWS] for item in ids[:_SHAPES]]
    images = torch.from_numpy(np.concatenate(chosen)).permute(0, 3, 1, 2).float() / 255
    if run.system == "interpreter":
        from stages.systems.interpreter.data import framed

        return framed(np.concatenate(chosen), trained.params.height)[0].float() / 255
    size = picture_size(run.system, trained.params)
    if images.shape[-1] != size:
        images = F.interpolate(images, (size, size), mode="bilinear", antialias=True)
    return images

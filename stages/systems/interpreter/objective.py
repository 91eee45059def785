"""The losses of the three steps (3D-INN, section 3.3), none of which is published.

Letters: B batch, N keypoints.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from stages.skeletons.sampling import sample
from stages.systems.interpreter.fine import around, fine_loss
from stages.systems.interpreter.heatmaps import CELL, draw, salt_and_pepper
from stages.systems.interpreter.params import Params
from stages.systems.interpreter.structures import unit_shape

Losses = dict[str, torch.Tensor]
_TURN = 2.0  # cells: where the loss of projected keypoints turns linear
_APART = 0.1  # diagonals: how far structures are apart at an anchor loss of 1


def losses(model: Any, batch: dict[str, Any], params: Params, context: Any) -> Losses:
    """The losses of the step; "loss" is their weighted sum."""
    if params.step == "interpret":
        share = params.noise * torch.rand(len(batch["alpha"]), generator=context.generator)
        maps = draw(batch["keypoints"], batch["visible"], params.sigma)
        if params.noise > 0:
            maps = salt_and_pepper(maps, share, context.generator)
        return {"loss": interpret_loss(model, model(maps)["vector"], batch)}
    told = model(batch["image"])
    heatmaps = heatmap_loss(told, batch, params.sigma)
    if params.fine:
        heatmaps["fine"] = _fine(model, batch, context.generator)
    if params.step == "keypoints":
        return {"loss": sum(heatmaps.values(), torch.zeros(())), **heatmaps}
    return _joint(model, told, batch, heatmaps, params, context)


def _fine(model: Any, batch: dict[str, Any], generator: torch.Generator) -> torch.Tensor:
    places = around(batch["keypoints"], generator)
    maps = parts_of(model).fine(batch["image"], places)
    return fine_loss(maps, places, batch["keypoints"], batch["known"] & batch["present"])


def heatmap_loss(told: dict[str, torch.Tensor], batch: dict[str, Any], sigma: float) -> Losses:
    """Squared error of `rough` and refined maps over known keypoints, 1 for maps that are blank.

    batch: keypoints (B, N, 2), present (B, N) whether in the picture, known (B, N).
    """
    truth = draw(batch["keypoints"], batch["present"], sigma)
    known = batch["known"].to(truth)
    unit = math.pi * sigma**2 * known.sum().clamp(min=1)  # sum of the squares of the peaks

    def error(maps: torch.Tensor) -> torch.Tensor:
        return (((maps.float() - truth) ** 2).sum((-2, -1)) * known).sum() / unit

    found = {"heatmap": error(told["heatmaps"])}
    if told["heatmaps"] is not told["rough"]:
        found["rough"] = error(told["rough"])
    return found


def interpret_loss(model: Any, vector: torch.Tensor, batch: dict[str, Any]) -> torch.Tensor:
    """Mean squared error of scaled vectors (B, K + 9)."""
    names = ("alpha", "theta", "translation", "focal")
    truth = parts_of(model).projection.encode(*(batch[name] for name in names))
    return F.mse_loss(vector.float(), truth)


def reprojection_loss(pixels: torch.Tensor, batch: dict[str, Any]) -> torch.Tensor:
    """Huber loss of projected keypoints (B, N, 2), in cells, over those that are labelled."""
    labelled = (batch["known"] & batch["present"]).to(pixels)
    away = (pixels - torch.where(labelled[..., None] > 0, batch["keypoints"], 0)) / CELL
    each = F.huber_loss(away, torch.zeros_like(away), reduction="none", delta=_TURN).sum(-1)
    return (each * labelled).sum() / labelled.sum().clamp(min=1)


def anchor_loss(points: torch.Tensor, before: torch.Tensor) -> torch.Tensor:
    """Mean squared distance of skeletons (B, N, 3) from those told before, in tenths of diagonals.

    Of `unit_shape`s: proportions are held, not the scale, which trades against the focal length.
    Keypoints in the picture do not tell depth. Without this the structure drifts to whatever
    reprojects best on the pictures of training, and on other shapes is worse than before.
    """
    away = (unit_shape(points) - unit_shape(before)) / _APART
    return (away**2).sum(-1).mean()


def _joint(
    model: Any,
    told: dict[str, torch.Tensor],
    batch: dict[str, Any],
    heatmaps: Losses,
    params: Params,
    context: Any,
) -> Losses:
    parts = parts_of(model)
    structure = parts.projection(told["vector"].float())
    pixels = structure.keypoints
    found = {"reprojection": reprojection_loss(pixels, batch), **heatmaps}
    loss = params.reprojection_weight * found["reprojection"]
    loss = loss + params.heatmap_weight * sum(heatmaps.values(), torch.zeros(()))
    if params.anchor_weight > 0:
        with torch.no_grad():
            before = parts.projection(parts.interpret_as_kept(told["heatmaps"])).points
        found["anchor"] = anchor_loss(structure.points, before)
        loss = loss + params.anchor_weight * found["anchor"]
    if params.synthetic_weight > 0:
        synthetic = _skeletons(parts, params, pixels, context.generator)
        maps = draw(synthetic["keypoints"], synthetic["visible"], params.sigma)
        vector = parts.interpret(maps)
        found["synthetic"] = interpret_loss(model, vector, synthetic)
        loss = loss + params.synthetic_weight * found["synthetic"]
    return {"loss": loss, **found}


def _skeletons(
    parts: Any, params: Params, like: torch.Tensor, generator: torch.Generator
) -> dict[str, torch.Tensor]:
    """As many new skeletons as there are pictures, on their device."""
    rng = np.random.default_rng(int(torch.randint(2**62, (1,), generator=generator)))
    ranges = parts.template.range(params.ranges)
    drawn = sample(parts.template, ranges, len(like), rng)
    names = ("alpha", "theta", "translation", "focal", "keypoints", "visible")
    return {name: torch.from_numpy(getattr(drawn, name)).to(like.device) for name in names}


def parts_of(model: Any) -> Any:
    """The network itself, which several processes wrap."""
    return getattr(model, "module", model)

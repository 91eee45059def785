"""What a trained network says of pictures, and how good it is.

Letters: B batch, N keypoints.
"""

from __future__ import annotations

from typing import Any

import torch

from stages.systems.interpreter.fine import refined
from stages.systems.interpreter.heatmaps import CELL, draw, refined_peaks, salt_and_pepper
from stages.systems.interpreter.objective import interpret_loss, parts_of
from stages.systems.interpreter.params import Params
from stages.systems.interpreter.structures import azimuth_deg, rmse

Scores = dict[str, torch.Tensor]
_FAR = 40.0  # pixels: farther keypoints are no worse


def validate(model: Any, batch: dict[str, Any], params: Params) -> Scores:
    """(B,) scores of the step. `error` picks the best checkpoint:

    keypoints   mean distance of keypoints in pixels, at most 40 each
    interpret   RMSE of 3D keypoints in diagonals, mean of no noise and of the most there is
    joint       mean distance of projected keypoints in pixels, at most 40 each
    """
    if params.step == "interpret":
        return _validate_skeletons(model, batch, params)
    told = model(batch["image"])
    coarse = refined_peaks(told["heatmaps"].float())
    last = _looked_again(model, batch["image"], coarse, params)
    found = {"keypoint_px": _distance(last, batch)}
    if params.step == "keypoints":
        rough = _distance(refined_peaks(told["rough"].float()), batch)
        more = {"coarse_px": _distance(coarse, batch)} if params.fine else {}
        return {"error": found["keypoint_px"], "rough_px": rough, **more}
    structure = parts_of(model).projection(told["vector"].float())
    found["error"] = _distance(structure.keypoints, batch)
    if "turned" in batch:  # the truth in 3D, where pictures are rendered
        whole = batch["known"].all(1)
        error = rmse(structure.turned, batch["turned"])
        found["rmse"] = torch.where(whole, error, torch.zeros_like(error))
    return found


def _looked_again(
    model: Any, images: torch.Tensor, coarse: torch.Tensor, params: Params
) -> torch.Tensor:
    """(B, N, 2) keypoints after the fine level, if there is one."""
    return refined(parts_of(model).fine(images, coarse), coarse) if params.fine else coarse


def _validate_skeletons(model: Any, batch: dict[str, Any], params: Params) -> Scores:
    projection = parts_of(model).projection
    clean = draw(batch["keypoints"], batch["visible"], params.sigma)
    seed = torch.Generator().manual_seed(int(torch.randint(2**62, (1,))))
    share = torch.full((len(clean),), params.noise)
    noisy = salt_and_pepper(clean, share, seed)
    found: Scores = {}
    for name, maps in (("clean", clean), ("noisy", noisy)):
        vector = model(maps)["vector"].float()
        structure = projection(vector)
        truth = azimuth_deg(projection(projection.encode(*_parameters(batch))).rotation)
        away = (azimuth_deg(structure.rotation) - truth + 180) % 360 - 180
        found[f"rmse_{name}"] = rmse(structure.points, batch["points"])
        found[f"azimuth_{name}"] = away.abs()
    found["error"] = (found["rmse_clean"] + found["rmse_noisy"]) / 2
    return found


def _parameters(batch: dict[str, Any]) -> list[torch.Tensor]:
    return [batch[name] for name in ("alpha", "theta", "translation", "focal")]


def _distance(pixels: torch.Tensor, batch: dict[str, Any]) -> torch.Tensor:
    """(B,) mean distance over labelled keypoints; 0 where there is none."""
    labelled = batch["known"] & batch["present"]
    truth = torch.where(labelled[..., None], batch["keypoints"], torch.zeros_like(pixels))
    away = (pixels - truth).norm(dim=-1).clamp(max=_FAR)
    return (away * labelled).sum(1) / labelled.sum(1).clamp(min=1)


def predict(model: Any, images: torch.Tensor, params: Params) -> dict[str, torch.Tensor]:
    """What the step's network says of pictures (B, 3, h, w), 0 to 1, h x w as in `params`.

    heatmaps, rough (B, N, 40, 30); coarse (B, N, 2) pixels of 240 x 320, at the peaks; keypoints
    (B, N, 2), the same, or what the fine level says; confidence (B, N), heights of the peaks; of a
    joint network also vector (B, K + 9) and what `parameters.Structure` holds, its keypoints as
    `projected`.
    """
    with torch.no_grad():
        told = {name: value.float() for name, value in model(images).items()}
        maps = told["heatmaps"]
        told["coarse"] = refined_peaks(maps)
        told["keypoints"] = _looked_again(model, images, told["coarse"], params)
        told["confidence"] = maps.flatten(-2).amax(-1)
        if "vector" in told:
            structure = parts_of(model).projection(told["vector"])._asdict()
            structure["projected"] = structure.pop("keypoints")
            told.update(structure)
    return told


__all__ = ["CELL", "interpret_loss", "predict", "validate"]

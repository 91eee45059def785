"""What a trained network says of images, and how good that is.

Letters: B batch, K pose hypotheses.
"""

from __future__ import annotations

import math

import torch

from stages.geometry import cameras, rotations
from stages.systems.pose_aware import model as network
from stages.systems.pose_aware.params import Params

THRESHOLD = 0.5  # for validation; reports search one on validation shapes


@torch.no_grad()
def predict(
    model: torch.nn.Module, images: torch.Tensor, params: Params
) -> dict[str, torch.Tensor]:
    """What the network says of (B, 3, 64, 64) images, 0 to 1; the model must be in eval mode.

    voxels (B, 32, 32, 32) probabilities [x, y, z]; mask (B, 48, 48) probabilities; viewpoint (B, 4)
    azimuth_deg, elevation_deg, 0, distance; hypotheses (B, K, 2) azimuth_deg, elevation_deg and
    scores (B, K), which add up to 1.
    """
    codes, voxels, mask = model(images)
    azimuth, elevation = network.best_pose(codes)
    rest = torch.zeros_like(azimuth)
    viewpoint = torch.stack([_degrees(azimuth), elevation.rad2deg(), rest, rest], 1)
    viewpoint[:, 3] = cameras.DISTANCE
    return {
        "voxels": voxels.sigmoid(),
        "mask": mask.sigmoid(),
        "viewpoint": viewpoint,
        "hypotheses": torch.stack([_degrees(codes.azimuth), codes.elevation.rad2deg()], 2),
        "scores": codes.scores.softmax(1),
    }


def validate(
    model: torch.nn.Module, batch: dict[str, torch.Tensor], params: Params
) -> dict[str, torch.Tensor]:
    """(B,) numbers of each sample, to be averaged over the validation views.

    iou of the voxels and mask_iou at threshold 0.5; pose_error_deg, the geodesic angle between
    predicted and true camera, and acc30, whether it is below 30 degrees.
    """
    told = predict(model, batch["image"], params)
    voxels = told["voxels"] > THRESHOLD, batch["voxels"] > THRESHOLD
    masks = told["mask"] > THRESHOLD, batch["mask"] > THRESHOLD
    error = rotations.geodesic(_camera(told["viewpoint"]), _camera(batch["viewpoint"])).rad2deg()
    return {
        "iou": binary_iou(*voxels),
        "mask_iou": binary_iou(*masks),
        "pose_error_deg": error,
        "acc30": (error < 30).float(),
    }


def binary_iou(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """(B,) intersection over union of boolean arrays (B, ...); 1 where both are empty."""
    first, second = first.flatten(1), second.flatten(1)
    both, either = (first & second).sum(1), (first | second).sum(1)
    return torch.where(either > 0, both / either.clamp(min=1), 1.0)


def _degrees(azimuth: torch.Tensor) -> torch.Tensor:
    return azimuth.remainder(2 * math.pi).rad2deg()


def _camera(viewpoint: torch.Tensor) -> torch.Tensor:
    return rotations.camera(*viewpoint[:, :3].deg2rad().unbind(1))

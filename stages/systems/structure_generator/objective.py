"""The losses of both parts of the training, and how good a cloud is.

Sums over pixels divided by the number of pictures, as in the published code: means would weigh
depth, which counts in few pixels, against masks, which count in all. Letters: B batch, V fixed
views, K novel views, S pixels, N = V S S points, M points that are compared.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F

from stages.geometry.orthographic import DISTANCE
from stages.geometry.splatting import fuse3d, render2d
from stages.systems.structure_generator.data import Batch, fixed_extrinsics
from stages.systems.structure_generator.params import Params

COMPARED = 1024  # points of each cloud in a validation


def losses(model: Any, batch: Batch, params: Params, context: Any) -> dict[str, torch.Tensor]:
    """`loss` and its parts for the log, for the stage of the parameters."""
    maps, logit = model(batch["image"])
    if params.stage == "fixed":
        return fixed_losses(maps, logit, batch["depth"], params)
    return joint_losses(maps, logit, batch, params)


def fixed_losses(
    maps: torch.Tensor, logit: torch.Tensor, depth: torch.Tensor, params: Params
) -> dict[str, torch.Tensor]:
    """Of maps (B, V, 3, S, S) and logits (B, V, S, S) beside true depths (B, V, S S), 0 = nothing.

    `plane`, |u - u0| + |v - v0| to the centres of the pixels; `depth`, |z - z0| where the
    prediction or, for `depth_where` "true", the truth has the shape; `mask`, cross entropy.
    """
    batch, size = len(maps), maps.shape[-1]
    centres = torch.arange(size, device=maps.device) + 0.5
    across = (maps[:, :, 0] - centres).abs().sum() + (maps[:, :, 1] - centres[:, None]).abs().sum()
    told, logit = maps[:, :, 2].flatten(2), logit.flatten(2)
    parts = {
        "plane": across / batch,
        "depth": _depth_loss(told, logit > 0, depth, params) / batch,
        "mask": _mask_loss(logit, depth) / batch,
    }
    total = params.plane_weight * parts["plane"] + params.depth_weight * parts["depth"]
    return {"loss": total + parts["mask"], **parts}


def joint_losses(
    maps: torch.Tensor, logit: torch.Tensor, batch: Batch, params: Params
) -> dict[str, torch.Tensor]:
    """Of the cloud of the maps, drawn from K novel views, beside their true depths.

    `depth` where one point alone fell into each cell; `mask`, cross entropy; both for each
    novel picture.
    """
    fixed = torch.from_numpy(fixed_extrinsics(params.fixed_views)).to(maps)
    points = fuse3d(maps, fixed)  # (B, 3, N)
    drawn = render2d(
        points, logit.flatten(1), batch["novel_extrinsics"], params.size, params.upsampling
    )
    truth = batch["novel_depth"]  # (B, K, S S)
    pictures = truth.shape[0] * truth.shape[1]
    told, mask, alone = drawn.depth.flatten(2), drawn.logit.flatten(2), drawn.collision.flatten(2)
    parts = {
        "depth": _depth_loss(told, alone == 1, truth, params) / pictures,
        "mask": _mask_loss(mask, truth) / pictures,
    }
    # The gradients of the grid of a pixel that no view shows are 0, not missing.
    return {"loss": params.depth_weight * parts["depth"] + parts["mask"], **parts}


def _depth_loss(
    told: torch.Tensor, where: torch.Tensor, depth: torch.Tensor, params: Params
) -> torch.Tensor:
    """The sum of |z - z0| over the pixels in the mask; z0 of the background is the middle."""
    there = depth > 0
    if params.depth_where == "true":
        # A fixed map is asked where the shape is, whether the prediction has it there or not;
        # of a novel one there is nothing to ask where nothing was drawn.
        where = there if params.stage == "fixed" else where & there
    target = torch.where(there, depth, DISTANCE)
    return torch.where(where, (told - target).abs(), 0).sum()


def _mask_loss(logit: torch.Tensor, depth: torch.Tensor) -> torch.Tensor:
    return F.binary_cross_entropy_with_logits(logit, (depth > 0).float(), reduction="sum")


def validate(model: Any, batch: Batch, params: Params) -> dict[str, torch.Tensor]:
    """(B,) numbers of each sample, to be averaged.

    `distance`: 100 times the mean distance of points to the nearest of the other cloud, the mean of
    both directions, between the predicted cloud and the one fused from the true maps; an empty one
    counts as a point at the origin. `empty`: whether it is. `mask_iou` over all fixed views.
    """
    maps, logit = model(batch["image"])
    size = params.size
    fixed = torch.from_numpy(fixed_extrinsics(params.fixed_views)).to(maps)
    told = fuse3d(maps, fixed)  # (B, 3, N)
    truth = fuse3d(true_maps(batch["depth"], size), fixed)
    logit, there = logit.flatten(1), batch["depth"].flatten(1) > 0
    visible = logit > 0
    distance = [
        _distance(one[:, seen], other[:, true])
        for one, seen, other, true in zip(told, visible, truth, there)
    ]
    both, either = (visible & there).sum(1), (visible | there).sum(1)
    return {
        "distance": 100 * torch.stack(distance),
        "empty": (~visible.any(1)).float(),
        "mask_iou": both / either.clamp(min=1),
    }


def true_maps(depth: torch.Tensor, size: int) -> torch.Tensor:
    """(B, V, 3, S, S) maps of depths (B, V, S S): what the network should predict."""
    z = depth.unflatten(2, (size, size))
    centres = torch.arange(size, device=depth.device) + 0.5
    return torch.stack([centres.expand_as(z), centres[:, None].expand_as(z), z], 2)


def _distance(told: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """The mean of both mean distances to the nearest, of clouds (3, N), some points of each."""
    if not told.shape[1]:
        told = torch.zeros_like(truth[:, :1])
    apart = torch.cdist(_some(told), _some(truth))
    return (apart.amin(0).mean() + apart.amin(1).mean()) / 2


def _some(points: torch.Tensor) -> torch.Tensor:
    """(M, 3): at most COMPARED of (3, N) points, evenly spread over their order."""
    count = points.shape[1]
    if count > COMPARED:
        points = points[:, torch.linspace(0, count - 1, COMPARED, device=points.device).long()]
    return points.T

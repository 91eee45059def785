"""The losses of a batch, and what validation measures.

Letters: B shapes, K pictures a shape, m = B * K triplets, C length of a code.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from stages.systems.deep_encoding.metric_losses import lifted, lifted_safe, triplet
from stages.systems.deep_encoding.mining import mine
from stages.systems.deep_encoding.params import Params


@dataclass(frozen=True)
class Codes:
    """The codes of a batch, and the objects that they are of."""

    voxel: torch.Tensor  # (B, C)
    positive: torch.Tensor  # (m, C)
    negative: torch.Tensor  # (m, C)
    object: torch.Tensor  # (B,) of the voxels
    other: torch.Tensor  # (m,) of the negative pictures

    @property
    def shown(self) -> torch.Tensor:
        """(m,) places of the voxels that the positive pictures show."""
        shapes = len(self.voxel)
        each = len(self.positive) // shapes
        return torch.arange(shapes, device=self.voxel.device).repeat_interleave(each)

    def pictures(self) -> tuple[torch.Tensor, torch.Tensor]:
        """(2 m, C) codes of all pictures, and (2 m,) their objects."""
        objects = torch.cat([self.object[self.shown], self.other])
        return torch.cat([self.positive, self.negative]), objects


def encoded(model: Any, batch: dict[str, Any]) -> Codes:
    """The codes of a batch of `data.Triplets`."""
    images = torch.cat([batch["positive"], batch["negative"]])  # (2 m, 3, S, S)
    if not images.is_floating_point():
        images = images.float() / 255
    voxel, pictures = model(batch["voxels"], images)
    positive, negative = pictures.chunk(2)
    return Codes(voxel, positive, negative, batch["object"], batch["other"])


def objective(codes: Codes, params: Params) -> torch.Tensor:
    """What is minimised: one of the four losses, a scalar."""
    if params.loss.startswith("lifted"):
        pictures, objects = codes.pictures()
        everything = torch.cat([codes.voxel, pictures])
        labels = torch.cat([codes.object, objects])
        form = lifted if params.loss == "lifted" else lifted_safe
        return form(everything, labels, params.margin)
    terms = by_voxel(codes, params)
    if params.loss == "symmetric":
        terms = (terms + by_picture(codes, params)) / 2
    return terms.mean()


def by_voxel(codes: Codes, params: Params) -> torch.Tensor:
    """(m,) terms of equation 1: voxels as anchors."""
    anchor, negative = codes.voxel[codes.shown], codes.negative
    if params.mining != "random":
        candidates, objects = codes.pictures()
        other = objects != codes.object[codes.shown][:, None]  # (m, 2 m)
        negative = candidates[mine(anchor, codes.positive, candidates, other, params.mining)]
    return triplet(anchor, codes.positive, negative, params.margin)


def by_picture(codes: Codes, params: Params) -> torch.Tensor:
    """(m,) terms with pictures as anchors, and voxels of the batch as positive and negative.

    The negative is the next voxels of another object in the batch, or the mined ones. A picture
    without any, in a batch of one object, adds 0.
    """
    own = codes.shown
    other = codes.object != codes.object[own][:, None]  # (m, B)
    if params.mining == "random":
        shapes = other.shape[1]
        place = torch.arange(shapes, device=own.device)
        further = (place - own[:, None]).remainder(shapes)  # (m, B) places after the own one
        chosen = torch.where(other, further, shapes).argmin(1)
    else:
        chosen = mine(codes.positive, codes.voxel[own], codes.voxel, other, params.mining)
    terms = triplet(codes.positive, codes.voxel[own], codes.voxel[chosen], params.margin)
    return terms * other.any(1)


def modality_gap(voxels: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
    """Distance of the mean codes of both kinds over the mean distance within a kind, a scalar.

    Within: the mean over all pairs of different codes (N, C) of a kind, then over both kinds. About
    0 where they lie in one cloud; above 1 they lie farther from each other than they spread.
    """
    between = torch.linalg.vector_norm(voxels.mean(0) - images.mean(0))
    within = torch.stack([torch.pdist(codes).mean() for codes in (voxels, images)]).mean()
    return between / within


def losses(model: Any, batch: Any, params: Params, context: Any) -> dict[str, torch.Tensor]:
    """`loss`, to be minimised; for the log `triplet`, equation 1 whatever the loss, and `gap`."""
    codes = encoded(model, batch)
    with torch.no_grad():
        plain = triplet(codes.voxel[codes.shown], codes.positive, codes.negative, params.margin)
        gap = modality_gap(codes.voxel, codes.pictures()[0])
    return {"loss": objective(codes, params), "triplet": plain.mean(), "gap": gap}


def validate(model: Any, batch: Any, params: Params) -> dict[str, torch.Tensor]:
    """(B,) numbers of each shape of a validation batch.

    mrr, the reciprocal rank of the shape's voxels among the batch's for its pictures, and of its
    nearest picture among the batch's for its voxels, averaged; loss, that of the whole batch;
    triplet, the mean of equation 1 over the shape's pictures. What lies as near as the right answer
    counts as nearer, so equal codes of everything are of no use.
    """
    codes = encoded(model, batch)
    own, shapes = codes.shown, len(codes.voxel)
    terms = triplet(codes.voxel[own], codes.positive, codes.negative, params.margin)
    away = torch.cdist(codes.positive, codes.voxel)  # (m, B)
    right = away.gather(1, own[:, None])  # (m, 1)
    place = (away <= right).sum(1)  # (m,)
    nearest = right.view(shapes, -1).amin(1)  # (B,)
    wrong = own[:, None] != torch.arange(shapes, device=own.device)  # (m, B)
    back = 1 + ((away <= nearest) & wrong).sum(0)  # (B,)
    return {
        "mrr": ((1 / place).view(shapes, -1).mean(1) + 1 / back) / 2,
        "loss": objective(codes, params).expand(shapes),
        "triplet": terms.view(shapes, -1).mean(1),
    }

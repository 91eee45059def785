"""The losses of KeypointNet (Suwajanakorn et al. 2018, sections 3 and 4), as its code has them.

Each is (B,) numbers, one a pair, for `losses` to average. Letters: B pairs, the first views of
which come before the second ones in N = 2B views; K keypoints, s pixels inside.
"""

from __future__ import annotations

from typing import Any

import torch

from stages.geometry.rotations import geodesic
from stages.systems.keypointnet.geometry import (
    FRONT,
    UNIT,
    Cameras,
    backproject,
    project,
    same_proportions,
)
from stages.systems.keypointnet.model import KeypointNet, Seen
from stages.systems.keypointnet.params import Params
from stages.systems.keypointnet.procrustes import relative_rotation

Tensors = dict[str, torch.Tensor]


def cameras_of(batch: Tensors) -> Cameras:
    """The cameras of a batch of `data.Pairs`."""
    return Cameras(batch["rotation"], batch["translation"], batch["scale"])


def consistency(seen: Seen, cameras: Cameras) -> torch.Tensor:
    """(B,) mean over the keypoints of the squared distance, in the picture, between a keypoint and
    that of the other view as seen from here; the sum of both ways.
    """
    points = cameras.locate(backproject(seen.picture, seen.depth))
    other = project(cameras.swapped().see(points))  # (N, K, 2) in the other picture
    here = torch.cat(seen.picture.chunk(2)[::-1])
    return _both(((other - here) ** 2).sum(-1).mean(-1))


def relative_pose(
    points: torch.Tensor, cameras: Cameras, noise: torch.Tensor | None = None
) -> torch.Tensor:
    """(B,) radians between the rotation that takes keypoints to keypoints and R1 R2^T.

    Of keypoints (N, K, 3) in the cameras' frames, to which `noise` (N, K, 3) is added. It is
    2 asin(|R' - R| / sqrt(8)), of the chordal distance |R' - R|. The second views' shapes are given
    the proportions of the first's.
    """
    if noise is not None:
        points = points + noise
    one, two = cameras.halves()
    first, second = points.chunk(2)
    found = relative_rotation(first, same_proportions(second, two, one.scale))
    return geodesic(found, one.rotation @ two.rotation.mT)


def separation(points: torch.Tensor, least: float) -> torch.Tensor:
    """(B,) sum over other keypoints of max(0, least - squared distance), mean over keypoints and
    views; of keypoints (N, K, 3), lengths times `UNIT`.
    """
    count = points.shape[1]
    square = ((points[:, :, None] - points[:, None]) ** 2).sum(-1) * UNIT**2  # (N, K, K)
    others = ~torch.eye(count, dtype=torch.bool, device=points.device)
    return _both((others * (least - square).clamp(min=0)).sum((1, 2)) / count) / 2


def silhouette(logits: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """(B,) mean over the keypoints of -log of the probability (N, K, s, s) that is on the shape.

    Summed over the views. The mask (N, 1, s, s) counts where anything is covered; a view that shows
    nothing costs nothing.
    """
    on = mask > 0
    on = on | ~on.any(-1, keepdim=True).any(-2, keepdim=True)
    inside = logits.masked_fill(~on, -torch.inf)
    return _both((logits.logsumexp((2, 3)) - inside.logsumexp((2, 3))).mean(1))


def orientation(ends: torch.Tensor, cameras: Cameras) -> torch.Tensor:
    """(B,) mean squared error of where (N, 2, 2) the front and its opposite are, summed over the
    views.
    """
    return _both(((ends - true_ends(cameras)) ** 2).mean((1, 2)))


def true_ends(cameras: Cameras) -> torch.Tensor:
    """(N, 2, 2) picture coordinates of the front and of its opposite."""
    front = cameras.rotation.new_tensor(FRONT)
    return project(cameras.see(torch.stack([front, -front])))


def terms(seen: Seen, batch: Tensors, params: Params, noise: torch.Tensor | None = None) -> Tensors:
    """(B,) each loss by name, without its weight."""
    cameras = cameras_of(batch)
    points = backproject(seen.picture, seen.depth)
    return {
        "pose": relative_pose(points, cameras, noise),
        "consistency": consistency(seen, cameras),
        "separation": separation(points, params.separation),
        "silhouette": silhouette(seen.logits, batch["mask"]),
        "variance": _both(seen.variance.mean(1)),
        "orientation": orientation(seen.ends, cameras),
    }


def weighted(parts: Tensors, params: Params) -> torch.Tensor:
    """(B,) the sum of the losses with their weights."""
    return sum(
        (getattr(params, f"{name}_weight") * part for name, part in parts.items()),
        start=torch.zeros_like(parts["pose"]),
    )


def told_share(params: Params, step: int) -> float:
    """The share of views whose orientation is told at `step`: 1, linearly to 0, 0."""
    first, last = params.anneal_from * params.steps, params.anneal_to * params.steps
    if step >= last:
        return 0.0
    return min(1.0, (last - step) / max(last - first, 1e-9))


def losses(model: Any, batch: Tensors, params: Params, context: Any) -> Tensors:
    """`loss` and its terms, averaged over the pairs.

    While it is annealed, a view is told its orientation with the probability `told_share`; the
    published code tells all of them up to the middle of that time and none after it.
    """
    views, draw = len(batch["image"]), context.generator
    told = torch.rand(views, generator=draw) < told_share(params, context.step)
    noise = torch.randn(views, params.keypoints, 3, generator=draw) * (params.noise / UNIT)
    truth = KeypointNet.facing(true_ends(cameras_of(batch)))
    seen = model(batch["image"], truth * told.to(truth))
    parts = terms(seen, batch, params, noise.to(truth))
    means = {name: part.mean() for name, part in parts.items()}
    return {"loss": weighted(parts, params).mean(), **means}


def _both(values: torch.Tensor) -> torch.Tensor:
    """(B,) the sum over the two views of each pair, of (N,)."""
    first, second = values.chunk(2)
    return first + second

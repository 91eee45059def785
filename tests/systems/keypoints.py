"""Cameras, keypoints and what networks see of them, for the tests of KeypointNet.

B pairs, K keypoints, S pixels a side.
"""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import torch

from stages.geometry import cameras as viewing
from stages.systems import keypointnet
from stages.systems.keypointnet import objective
from stages.systems.keypointnet.geometry import UNIT, Cameras, project
from stages.systems.keypointnet.model import Seen, moments

PARAMS = dataclasses.replace(
    keypointnet.PRESETS["tiny"], pixels=16, filters=8, keypoints=4, precision="fp32"
)
B, K, S = 3, 6, 16


TERMS = ("pose", "consistency", "separation", "silhouette", "variance", "orientation")


def random_cameras(count: int, seed: int = 0, stretch: float = 1.25) -> Cameras:
    """Cameras from everywhere, at distances 1.8 to 2.5, each with its own stretch."""
    rng = np.random.default_rng(seed)
    viewpoints = np.column_stack([rng.uniform(-180, 180, (count, 3)), rng.uniform(1.8, 2.5, count)])
    matrices = viewing.extrinsics(viewpoints)
    scale = stretch ** rng.uniform(-1, 1, (count, 3))
    parts = matrices[:, :, :3], matrices[:, :, 3], scale
    return Cameras(*(torch.from_numpy(np.ascontiguousarray(part)) for part in parts))


def keypoints(count: int = K, seed: int = 1) -> torch.Tensor:
    """(K, 3) float64 on a sphere of radius 0.4, far from each other."""
    rng = np.random.default_rng(seed)
    while True:
        found = rng.normal(size=(count, 3))
        found *= 0.4 / np.linalg.norm(found, axis=1, keepdims=True)
        gaps = [np.linalg.norm(a - b) for a, b in itertools.combinations(found, 2)]
        if min(gaps) * UNIT > 0.5:
            return torch.from_numpy(found)


def true_seen(cameras: Cameras, points: torch.Tensor) -> Seen:
    """What networks without error see, each keypoint in the very middle of a pixel's mask."""
    inside = cameras.see(points)
    logits = torch.full((len(inside), len(points), S, S), -60.0, dtype=inside.dtype)
    logits[:, :, S // 2, S // 2] = 60.0
    return Seen(
        picture=project(inside),
        depth=inside[..., 2],
        variance=moments(logits)[1],
        logits=logits,
        ends=objective.true_ends(cameras),
    )


def batch_of(cameras: Cameras) -> dict[str, torch.Tensor]:
    mask = torch.zeros(len(cameras.rotation), 1, S, S)
    mask[:, :, S // 4 : 3 * S // 4, S // 4 : 3 * S // 4] = 1
    return {"mask": mask, **cameras._asdict()}


def wrong_seen(cameras: Cameras, seed: int = 5) -> Seen:
    draw = torch.Generator().manual_seed(seed)
    count = len(cameras.rotation)
    logits = torch.randn(count, K, S, S, generator=draw).double()
    picture, variance = moments(logits)
    noise = torch.rand(count, K, 2, generator=draw).double()
    return Seen(
        picture=picture + 0.3 * noise,
        depth=2 + 0.05 * torch.randn(count, K, generator=draw).double(),
        variance=variance,
        logits=logits,
        ends=torch.randn(count, 2, 2, generator=draw).double(),
    )

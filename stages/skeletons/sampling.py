"""Random skeletons of a template (3D-INN, section 3.3), all parameters uniform in their ranges.

Each coordinate of each keypoint gets Gaussian noise, in proportion to the diagonal of the box. The
paper says that its "variance is 1% of its diagonal length"; here that is the standard deviation,
the only reading with the same unit on both sides.
Letters: S skeletons, N keypoints, K bases.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal

import numpy as np

from stages.errors import ItemError
from stages.skeletons.projection import (
    LEAST_DIVISOR,
    combine,
    divisors,
    in_frame,
    project,
    rotation,
)
from stages.skeletons.template import Ranges, Template

_ROUNDS = 200  # of draws before it is given up
Focal = Literal["focal", "inverse"]


@dataclass(frozen=True)
class Skeletons:
    """S drawn skeletons, float32; pixels are those of `projection`."""

    alpha: np.ndarray  # (S, K)
    theta: np.ndarray  # (S, 3) radians
    translation: np.ndarray  # (S, 2) pixels
    focal: np.ndarray  # (S,) pixels
    points: np.ndarray  # (S, N, 3) skeleton frame, perturbed
    keypoints: np.ndarray  # (S, N, 2) pixels, whether in the picture or not
    visible: np.ndarray  # (S, N) bool, whether in the picture
    rejected: int = 0  # draws that were thrown away

    def __len__(self) -> int:
        return len(self.alpha)


def sample(
    template: Template,
    ranges: Ranges,
    count: int,
    rng: np.random.Generator,
    perturbation: float = 0.01,
    uniform: Focal = "focal",
    least_visible: int = 1,
) -> Skeletons:
    """`count` skeletons, every one of a possible perspective.

    Thrown away, and drawn again, are those with a point whose divisor 1 + z / f is not above
    LEAST_DIVISOR, and those with fewer than `least_visible` keypoints in the picture. `uniform`
    says which is uniform, the focal length or its inverse. Raises ItemError when the ranges leave
    next to nothing.
    """
    made: list[Skeletons] = []
    there, rejected = 0, 0
    for _ in range(_ROUNDS):
        drawn = _draw(template, ranges, count - there, rng, perturbation, uniform)
        good = _possible(drawn) & (drawn.visible.sum(1) >= least_visible)
        made.append(_chosen(drawn, good))
        there += int(good.sum())
        rejected += int((~good).sum())
        if there == count:
            return _joined(made, rejected)
    raise ItemError(
        f"of {there + rejected} skeletons of {template.name} only {there} can be seen: "
        "its ranges do not fit its shapes"
    )


def rotated(theta: np.ndarray, points: np.ndarray) -> np.ndarray:
    """(S, N, 3) points after the rotations by `theta` (S, 3) radians."""
    return points @ rotation(np.sin(theta), np.cos(theta)).transpose(0, 2, 1)


def _draw(
    template: Template,
    ranges: Ranges,
    count: int,
    rng: np.random.Generator,
    perturbation: float,
    uniform: Focal,
) -> Skeletons:
    def between(*pairs: tuple[float, float]) -> np.ndarray:  # (count, len(pairs))
        low, high = np.array(pairs, np.float64).reshape(-1, 2).T
        return low + (high - low) * rng.random((count, len(pairs)))

    scale = between(ranges.scale)
    alpha = np.concatenate([scale, scale * between(*ranges.alpha)], 1)  # (S, K)
    theta = np.radians(between(*ranges.theta_deg))
    translation = between(*ranges.translation)
    if uniform == "focal":
        focal = between(ranges.focal)[:, 0]
    else:
        focal = 1 / between((1 / ranges.focal[1], 1 / ranges.focal[0]))[:, 0]
    points = combine(alpha, template.bases)  # (S, N, 3)
    diagonal = np.linalg.norm(np.ptp(points, axis=1), axis=1)
    noise = rng.standard_normal(points.shape, np.float32)
    points = points + perturbation * diagonal[:, None, None] * noise
    pixels = project(rotated(theta, points), translation, 1 / focal)
    return Skeletons(
        alpha.astype(np.float32),
        theta.astype(np.float32),
        translation.astype(np.float32),
        focal.astype(np.float32),
        points.astype(np.float32),
        pixels.astype(np.float32),
        in_frame(pixels),
    )


def _possible(drawn: Skeletons) -> np.ndarray:
    depth = divisors(rotated(drawn.theta, drawn.points), 1 / drawn.focal)  # (S, N)
    return depth.min(1) > LEAST_DIVISOR


def _chosen(drawn: Skeletons, good: np.ndarray) -> Skeletons:
    arrays = {f.name: getattr(drawn, f.name) for f in fields(Skeletons)}
    return Skeletons(**{n: a[good] if n != "rejected" else a for n, a in arrays.items()})


def _joined(parts: list[Skeletons], rejected: int) -> Skeletons:
    names = [f.name for f in fields(Skeletons) if f.name != "rejected"]
    joined = {name: np.concatenate([getattr(p, name) for p in parts]) for name in names}
    return Skeletons(**joined, rejected=rejected)

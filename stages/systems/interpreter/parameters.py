"""The vector S that the interpreter tells, and the skeleton that it means.

S = (alpha_1 .. alpha_K, 10 / f, sin theta, cos theta, t_x, t_y), K + 9 numbers, each scaled so that
the range of the template is 0 to 1, as in the published code. Beyond the ranges nothing is clipped
but 1 / f, which stays within its own. Letters: B batch, N keypoints, K bases.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from stages.skeletons.projection import combine, project, rotation, unit_angles
from stages.skeletons.template import Ranges, Template

_FOCAL_GAIN = 10.0  # on 1 / f: as published, where the vector is not scaled afterwards
_LEAST_WIDTH = 1e-6  # of a range; narrower ones are those of an angle that is never drawn


class Structure(NamedTuple):
    """A batch of skeletons and their cameras; pixels as in `stages.skeletons.projection`."""

    alpha: torch.Tensor  # (B, K)
    rotation: torch.Tensor  # (B, 3, 3)
    translation: torch.Tensor  # (B, 2)
    inverse_focal: torch.Tensor  # (B,)
    points: torch.Tensor  # (B, N, 3) skeleton frame
    turned: torch.Tensor  # (B, N, 3) the same after the rotation, camera's axes
    keypoints: torch.Tensor  # (B, N, 2) pixels


class Projection(nn.Module):
    """The projection layer (figure 3d): from S to keypoints in the picture, equation 1.

    theta_z is no part of the answer where the template never draws it: the sine is 0 then.
    """

    def __init__(self, template: Template, ranges: Ranges) -> None:
        super().__init__()
        low, high = _limits(ranges, template.basis_count)
        self.count = template.basis_count
        self.upright = bool(np.ptp(ranges.theta_deg[2]) < _LEAST_WIDTH)
        self.roll = float(np.radians(ranges.theta_deg[2][0]))
        # not in the checkpoint: they follow from the template, which is in the parameters
        for name, value in (("bases", template.bases), ("low", low), ("high", high)):
            self.register_buffer(name, torch.tensor(value, dtype=torch.float32), persistent=False)
        self.bases: torch.Tensor
        self.low: torch.Tensor
        self.high: torch.Tensor

    def forward(self, vector: torch.Tensor) -> Structure:
        """The skeletons of vectors (B, K + 9)."""
        values = self.low + vector * (self.high - self.low)
        k = self.count
        alpha, inverse = values[:, :k], values[:, k]
        # the focal length is positive, whatever the network says
        inverse = torch.minimum(torch.maximum(inverse, self.low[k]), self.high[k]) / _FOCAL_GAIN
        sine, cosine = unit_angles(values[:, k + 1 : k + 4], values[:, k + 4 : k + 7])
        if self.upright:
            roll = torch.full_like(sine[:, 2:], self.roll)
            sine = torch.cat([sine[:, :2], roll.sin()], 1)
            cosine = torch.cat([cosine[:, :2], roll.cos()], 1)
        turn = rotation(sine, cosine)
        translation = values[:, k + 7 :]
        points = combine(alpha, self.bases)
        turned = points @ turn.mT
        pixels = project(turned, translation, inverse)
        return Structure(alpha, turn, translation, inverse, points, turned, pixels)

    def encode(
        self,
        alpha: torch.Tensor,
        theta: torch.Tensor,
        translation: torch.Tensor,
        focal: torch.Tensor,
    ) -> torch.Tensor:
        """(B, K + 9) vectors of alpha (B, K), theta (B, 3) radians, translation and focal (B,)."""
        parts = [alpha, _FOCAL_GAIN / focal[:, None], theta.sin(), theta.cos(), translation]
        return (torch.cat(parts, 1) - self.low) / (self.high - self.low)


def size_of(template: Template) -> int:
    """|S| = K + 9."""
    return template.basis_count + 9


def _limits(ranges: Ranges, bases: int) -> tuple[np.ndarray, np.ndarray]:
    """(K + 9,) least and greatest values of S before it is scaled."""
    scale = np.array(ranges.scale)
    others = np.array(ranges.alpha).reshape(-1, 2)
    # alpha_k = alpha_1 a_k: the greatest scale spans the range, as in the published code
    pairs = [scale, *(scale[1] * others)]
    pairs.append(_FOCAL_GAIN / np.array(ranges.focal)[::-1])
    angles = [np.radians(np.linspace(*pair, 721)) for pair in ranges.theta_deg]
    for wave in (np.sin, np.cos):
        for angle in angles:
            found = np.array([wave(angle).min(), wave(angle).max()])
            pairs.append(found if np.ptp(found) > _LEAST_WIDTH else np.array([-1.0, 1.0]))
    pairs += [np.array(pair, float) for pair in ranges.translation]
    low, high = np.array(pairs, float).T
    narrow = high - low < _LEAST_WIDTH  # such as a template of one scale
    return np.where(narrow, low - 0.5, low), np.where(narrow, high + 0.5, high)

"""Keypoints between pictures and cameras.

Picture coordinates go from -1 to 1, x right, y down: those of pixel i of S are (2i + 1) / S - 1.
Letters: N views, K keypoints.
"""

from __future__ import annotations

from typing import NamedTuple

import torch

from stages.geometry.cameras import FOCAL

# An object's longest side is 2 in the published code; here its diagonal is 1, of which the longest
# side is 4/5 (a box of 4 : 2 : 2). Lengths of that code, per diagonal:
UNIT = 2.5
# Where the object's front is: its longest half side away, to -y.
FRONT = (0.0, -1 / UNIT, 0.0)
_LENS = 2 * FOCAL  # in half picture widths
_NEAREST = 0.1  # depth below which nothing is projected


class Cameras(NamedTuple):
    """N views: a point X of the shape is at R (scale * X) + t in the camera's frame."""

    rotation: torch.Tensor  # (N, 3, 3)
    translation: torch.Tensor  # (N, 3)
    scale: torch.Tensor  # (N, 3)

    def see(self, points: torch.Tensor) -> torch.Tensor:
        """(N, K, 3) in the cameras' frames, of (N, K, 3) or (K, 3) in the shapes'."""
        return (points * self.scale[:, None]) @ self.rotation.mT + self.translation[:, None]

    def locate(self, points: torch.Tensor) -> torch.Tensor:
        """(N, K, 3) in the shapes' frames, of (N, K, 3) in the cameras': the inverse of `see`."""
        return (points - self.translation[:, None]) @ self.rotation / self.scale[:, None]

    def halves(self) -> tuple[Cameras, Cameras]:
        """The first and the second view of each pair."""
        parts = [part.chunk(2) for part in self]
        return Cameras(*(first for first, _ in parts)), Cameras(*(second for _, second in parts))

    def swapped(self) -> Cameras:
        """The other view of each pair."""
        return Cameras(*(torch.cat(part.chunk(2)[::-1]) for part in self))


def backproject(picture: torch.Tensor, depth: torch.Tensor) -> torch.Tensor:
    """(N, K, 3) in the camera's frame, of picture coordinates (N, K, 2) and depths (N, K)."""
    depth = depth[..., None]
    return torch.cat([picture * depth / _LENS, depth], -1)


def project(points: torch.Tensor) -> torch.Tensor:
    """(N, K, 2) picture coordinates of points (N, K, 3) in the camera's frame."""
    return _LENS * points[..., :2] / points[..., 2:].clamp(min=_NEAREST)


def same_proportions(points: torch.Tensor, cameras: Cameras, scale: torch.Tensor) -> torch.Tensor:
    """(N, K, 3) points in the camera's frame, the shape's axes scaled by `scale` (N, 3) instead.

    Views of one shape may stretch it differently; keypoints of one view turned are those of
    another only if they stretch it alike.
    """
    return cameras._replace(scale=scale).see(cameras.locate(points))

"""The fine level: around each keypoint that is told, a network looks again (option `--fine`).

What 3D-INN adds for people (FLIC), after Tompson et al. 2015: windows of the picture around the
coarse peaks, the same convolutions for all keypoints, a last layer of each keypoint's own, and a
map of WINDOW x WINDOW cells of UNIT x UNIT pixels. Letters: B batch, N keypoints, F = WINDOW,
P = F + 8 samples a side of what the network looks at, h x w pixels of a picture.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn

from stages.skeletons.projection import HEIGHT, WIDTH
from stages.systems.interpreter.contrast import normalised, pyramid
from stages.systems.interpreter.heatmaps import bells, centres_of_mass

WINDOW = 16  # cells a side: 32 pixels of 240 x 320, which are four coarse cells
UNIT = 2.0  # pixels
SIGMA = 1.5  # deviation of a peak, in fine cells
_KERNEL = 5
_SAMPLES = WINDOW + 2 * (_KERNEL - 1)  # two convolutions without padding
_JITTER = 6.0  # pixels: deviation of the places around which it is trained to look
_REACH = WINDOW * UNIT / 2


class FineLevel(nn.Module):
    """Maps (B, N, F, F) of windows around places (B, N, 2), pixels of 240 x 320."""

    def __init__(self, keypoints: int, width: int, contrast: float) -> None:
        super().__init__()
        self.contrast = contrast
        self.shared = nn.Sequential(
            nn.Conv2d(3, width, _KERNEL),
            nn.ReLU(),
            nn.Conv2d(width, width, _KERNEL),
            nn.ReLU(),
        )
        self.own = nn.Conv2d(keypoints * width, keypoints, 1, groups=keypoints)

    def forward(self, images: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        count = len(places)
        level = normalised(pyramid(images.float(), 1)[0], self.contrast)  # (B, 3, h, w)
        seen = self.shared(windows(level, places))  # (B N, C, F, F)
        return self.own(seen.reshape(count, -1, *seen.shape[-2:]))


def windows(images: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """(B N, 3, P, P): pictures (B, 3, h, w) every UNIT pixels around places (B, N, 2)."""
    count, keypoints = places.shape[:2]
    steps = (torch.arange(_SAMPLES).to(places) + 0.5 - _SAMPLES / 2) * UNIT  # (P,)
    down, right = torch.meshgrid(steps, steps, indexing="ij")
    at = places[:, :, None, None] + torch.stack([right, down], -1)  # (B, N, P, P, 2)
    grid = 2 * at / torch.tensor([WIDTH, HEIGHT]).to(at) - 1
    found = F.grid_sample(
        images, grid.flatten(1, 2), padding_mode="border", align_corners=False
    )  # (B, 3, N P, P)
    found = found.reshape(count, 3, keypoints, _SAMPLES, _SAMPLES)
    return found.transpose(1, 2).flatten(0, 1)


def around(keypoints: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """(B, N, 2) places beside keypoints, as far off as coarse peaks may be."""
    away = _JITTER * torch.randn(keypoints.shape, generator=generator)
    return keypoints + away.clamp(-_REACH + UNIT, _REACH - UNIT).to(keypoints)


def fine_loss(
    maps: torch.Tensor, places: torch.Tensor, keypoints: torch.Tensor, labelled: torch.Tensor
) -> torch.Tensor:
    """Squared error of maps (B, N, F, F) over `labelled` keypoints (B, N), 1 for blank maps."""
    cells = (keypoints - places) / UNIT + (WINDOW - 1) / 2
    truth = bells(cells, WINDOW, WINDOW, SIGMA)
    weight = labelled.to(maps)
    unit = math.pi * SIGMA**2 * weight.sum().clamp(min=1)
    return (((maps - truth) ** 2).sum((-2, -1)) * weight).sum() / unit


def refined(maps: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """(B, N, 2) pixels: the peaks of maps (B, N, F, F) around places (B, N, 2)."""
    return places + (centres_of_mass(maps) - (WINDOW - 1) / 2) * UNIT

"""Heatmaps of keypoints: made, disturbed and read, all on the device of their tensors.

A map has 40 x 30 cells of 8 x 8 pixels of the picture of 320 x 240; the centre of cell i is at
8 (i + 1/2). Its peak is a Gaussian of height 1 around the keypoint; that of one that is not in the
picture is blank. Letters: B batch, N keypoints.
"""

from __future__ import annotations

import math

import torch

from stages.skeletons.projection import HEIGHT
from stages.systems.interpreter.params import MAP

ROWS, COLUMNS = MAP
CELL = HEIGHT / ROWS  # pixels
_MOST_GAIN = 100.0  # as in the released code


def draw(keypoints: torch.Tensor, present: torch.Tensor, sigma: float) -> torch.Tensor:
    """(B, N, 40, 30) maps of keypoints (B, N, 2), pixels, where `present` (B, N); `sigma` in cells.

    What is drawn on the fly rather than stored: a map is the product of a row and a column.
    """
    return bells(keypoints / CELL - 0.5, ROWS, COLUMNS, sigma) * present[..., None, None].to(
        keypoints
    )


def bells(cells: torch.Tensor, rows: int, columns: int, sigma: float) -> torch.Tensor:
    """(B, N, rows, columns) Gaussians of height 1 around places (B, N, 2): column, row."""

    def bell(axis: int, count: int) -> torch.Tensor:  # (B, N, count)
        away = torch.arange(count).to(cells) - cells[..., axis, None]
        return torch.exp(-(away**2) / (2 * sigma**2))

    return bell(1, rows)[..., :, None] * bell(0, columns)[..., None, :]


def salt_and_pepper(
    maps: torch.Tensor, share: torch.Tensor, generator: torch.Generator
) -> torch.Tensor:
    """The maps (B, N, 40, 30) with a share (B,) of their cells at random: half are 1, half are 0.

    `generator` is one of the CPU; the noise is drawn on the device of the maps, from a seed of it.
    """
    seed = int(torch.randint(2**62, (1,), generator=generator))
    here = torch.Generator(maps.device).manual_seed(seed)
    chance = torch.rand(maps.shape, generator=here, device=maps.device)
    share = share.to(maps)[:, None, None, None]
    maps = torch.where(chance < share / 2, torch.ones_like(maps), maps)
    return torch.where((chance >= share / 2) & (chance < share), torch.zeros_like(maps), maps)


def rescaled(maps: torch.Tensor, sigma: float) -> torch.Tensor:
    """Estimated maps as the interpreter has learnt them: none below 0, each with the sum of a peak.

    Gain is capped at 100, as in the released code: a map that is all but blank stays so.
    """
    maps = maps.clamp(min=0)
    total = 2 * math.pi * sigma**2
    sums = maps.sum((-2, -1), keepdim=True)
    return maps * (total / sums.clamp(min=total / _MOST_GAIN))


def peaks(maps: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(B, N, 2) pixels of the centres of the highest cells, and (B, N) how high they are.

    Of equally high ones the first, row by row; of a blank map the cell in the corner.
    """
    height, index = maps.flatten(-2).max(-1)
    return _centres(index, maps), height


def refined_peaks(maps: torch.Tensor) -> torch.Tensor:
    """(B, N, 2) pixels: the centre of mass of the 3 x 3 cells around the highest one.

    Finer than a cell; what is below 0 has no mass, what lies beyond the edge neither.
    """
    return (centres_of_mass(maps) + 0.5) * CELL


def centres_of_mass(maps: torch.Tensor) -> torch.Tensor:
    """(B, N, 2) column and row, in cells, as `refined_peaks`, of maps (B, N, rows, columns)."""
    columns = maps.shape[-1]
    index = maps.flatten(-2).max(-1).indices  # (B, N)
    row, column = index // columns, index % columns
    mass = torch.nn.functional.pad(maps.clamp(min=0), (1, 1, 1, 1))
    offsets = torch.arange(3, device=maps.device)
    at = ((row[..., None] + offsets)[..., :, None] * (columns + 2)) + (
        (column[..., None] + offsets)[..., None, :]
    )  # (B, N, 3, 3)
    window = mass.flatten(-2).gather(-1, at.flatten(-2)).reshape(at.shape)
    total = window.sum((-2, -1)).clamp(min=1e-12)
    step = (offsets - 1).to(maps)
    right = (window.sum(-2) * step).sum(-1) / total  # (B, N)
    down = (window.sum(-1) * step).sum(-1) / total
    return torch.stack([column, row], -1).to(maps) + torch.stack([right, down], -1)


def smoothed(maps: torch.Tensor, sigma: float) -> torch.Tensor:
    """The maps after a Gaussian of the peaks' own width: the matched filter against white noise."""
    reach = math.ceil(3 * sigma)
    bell = torch.exp(-(torch.arange(-reach, reach + 1, device=maps.device) ** 2) / (2 * sigma**2))
    bell = (bell / bell.sum()).to(maps)
    flat = maps.reshape(-1, 1, ROWS, COLUMNS)
    flat = torch.nn.functional.conv2d(flat, bell[None, None, :, None], padding=(reach, 0))
    flat = torch.nn.functional.conv2d(flat, bell[None, None, None, :], padding=(0, reach))
    return flat.reshape(maps.shape)


def _centres(index: torch.Tensor, maps: torch.Tensor) -> torch.Tensor:
    cells = torch.stack([index % COLUMNS, index // COLUMNS], -1)
    return (cells.to(maps) + 0.5) * CELL

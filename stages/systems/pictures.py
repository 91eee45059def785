"""What the data of all systems that look at pictures share."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

Arrays = Mapping[str, Any]  # NumPy arrays or tensors
_ROUNDING = 1 / (12 * 255**2)  # mean squared error of rounding to 8 bits


class Kept:
    """Arrays by id, read when they are first wanted, the latest of them kept in memory."""

    def __init__(self, read: Callable[[str], Arrays], room_mb: int) -> None:
        self._read, self._room, self._bytes = read, room_mb * 2**20, 0
        self._kept: OrderedDict[str, Arrays] = OrderedDict()

    def get(self, key: str) -> Arrays:
        """The arrays of one id."""
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        arrays = self._kept[key] = self._read(key)
        self._bytes += _size(arrays)
        while self._bytes > self._room and len(self._kept) > 1:
            self._bytes -= _size(self._kept.popitem(last=False)[1])
        return arrays


def _size(arrays: Arrays) -> int:
    return sum(a.nbytes for a in arrays.values())


def tint(images: torch.Tensor, strength: float, generator: torch.Generator) -> torch.Tensor:
    """Images (B, 3, H, W), 0 to 1, with their colours permuted, scaled and shifted.

    Each image by its own amounts, within 1 +- `strength`.
    """
    count = len(images)

    def spread(*shape: int) -> torch.Tensor:  # 1 +- strength
        return 1 + strength * (2 * torch.rand(shape, generator=generator) - 1)

    order = torch.rand(count, 3, generator=generator).argsort(1)
    images = images.gather(1, order[:, :, None, None].expand_as(images))
    mean = images.mean((1, 2, 3), keepdim=True)
    contrast, brightness = spread(count, 1, 1, 1), spread(count, 3, 1, 1)
    return (((images - mean) * contrast + mean) * brightness).clamp(0, 1)


def reduced(rgb: np.ndarray, size: int) -> np.ndarray:
    """(V, size, size, C) uint8: area averages of pictures (V, S, S, C), `size` a divisor of S."""
    views, side = len(rgb), rgb.shape[1] // size
    if side == 1:
        return rgb
    cells = rgb.reshape(views, size, side, size, side, -1).sum((2, 4), dtype=np.uint32)
    return ((cells + side * side // 2) // side**2).astype(np.uint8)


def rolled_pictures(images: torch.Tensor, angle: torch.Tensor) -> torch.Tensor:
    """(B, 3, S, S) pictures of the objects turned by `angle` (B,) about the optical axis.

    z points away from the camera, so a positive angle turns clockwise. What comes in at the corners
    continues the picture's edge, which is background: shapes lie inside of the circle. (A mirrored
    picture would show parts of them a second time.)
    """
    cos, sin, zero = angle.cos(), angle.sin(), torch.zeros_like(angle)
    # output pixel x shows input pixel R(-angle) x
    inverse = torch.stack([cos, sin, zero, -sin, cos, zero], 1).reshape(-1, 2, 3)
    grid = F.affine_grid(inverse, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)


def reframed(images: torch.Tensor, shift: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """Pictures (B, C, S, S) scaled about their middle by `scale` (B,), then moved.

    `shift` (B, 2) is how far to the right and down, in shares of the side.
    Bilinear; where a picture is made smaller, the filter takes in all its pixels. What comes in at
    the edges continues the picture's rim, which is background (as in `rolled_pictures`).
    """
    side = images.shape[-1]
    cells = torch.arange(side).to(images)
    reach = (1 / scale).clamp(min=1)[:, None, None]  # of the filter, in pixels of the input

    def weights(moved: torch.Tensor) -> torch.Tensor:  # (B, S, S): of input cells, for each output
        place = (cells - (side - 1) / 2 - side * moved[:, None]) / scale[:, None] + (side - 1) / 2
        away = (place.clamp(0, side - 1)[:, :, None] - cells).abs()
        hat = (1 - away / reach).clamp(min=0)
        return (hat / hat.sum(2, keepdim=True))[:, None]

    return weights(shift[:, 1]) @ images @ weights(shift[:, 0]).mT


def jitter_framing(
    images: torch.Tensor, shift: float, scale: float, generator: torch.Generator
) -> torch.Tensor:
    """Images (B, C, S, S) as if each were framed a little differently; what they show stays.

    Moved right and down by up to `shift` of the side either way, uniformly, and scaled by a factor
    between 1 / (1 + `scale`) and 1 + `scale`, uniform in its logarithm.
    """
    moved = shift * (2 * torch.rand(len(images), 2, generator=generator) - 1)
    factor = (1 + scale) ** (2 * torch.rand(len(images), generator=generator) - 1)
    return reframed(images, moved, factor)


def psnr(told: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """(B,) peak signal-to-noise ratios in dB of pictures (B, ...), 0 to 1.

    -10 log10 of the mean squared difference. 58.9 at most: closer than 8 bits is not closer.
    """
    error = ((told - truth) ** 2).flatten(1).mean(1)
    return -10 * error.clamp(min=_ROUNDING).log10()

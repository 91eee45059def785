"""Local contrast normalisation and the pyramid of pictures that comes before it.

As in the released code of 3D-INN: each channel of a picture spread over 0 to 1, the mean colour
subtracted, three scales by a 3-tap Gaussian and every other pixel, then for each scale and channel

    r = x - G * x        y = r / max(sqrt(G * r^2), least)

with a separable Gaussian G of 7 taps, whose weights are corrected at the borders for what lies
outside. The released code divides by 1 wherever the deviation is below 1, which it always is:
`least` 1 is that. Letters: B batch, C channels, h x w pixels.
"""

from __future__ import annotations

import torch

_MEAN = (129.67 / 255, 114.43 / 255, 107.26 / 255)  # of the released code
_TAPS = 7
_WIDTH = 0.25 * _TAPS  # deviation of the Gaussian, pixels
_SMALL = (0.25, 0.5, 0.25)  # 3 taps before every other pixel is taken
_FLAT = 1e-4  # a channel of less contrast is left as it is


def pyramid(images: torch.Tensor, scales: int = 3) -> list[torch.Tensor]:
    """Pictures (B, 3, h, w), 0 to 1, spread and centred, and the same at 1/2, 1/4, ..."""
    low = images.amin((2, 3), keepdim=True)
    extent = images.amax((2, 3), keepdim=True) - low
    spread = torch.where(extent > _FLAT, (images - low) / extent.clamp(min=_FLAT), images)
    levels = [spread - torch.tensor(_MEAN).to(images)[:, None, None]]
    taps = torch.tensor(_SMALL)
    for _ in range(scales - 1):
        levels.append(blurred(levels[-1], taps)[:, :, ::2, ::2])
    return levels


def normalised(images: torch.Tensor, least: float) -> torch.Tensor:
    """(B, C, h, w) pictures with local mean 0 and, where it is above `least`, local deviation 1."""
    away = torch.arange(_TAPS) - _TAPS // 2
    taps = torch.exp(-(away**2) / (2 * _WIDTH**2))
    rest = images - blurred(images, taps)
    deviation = blurred(rest**2, taps).clamp(min=0).sqrt()
    return rest / deviation.clamp(min=least)


def blurred(images: torch.Tensor, taps: torch.Tensor) -> torch.Tensor:
    """Weighted means of rows and columns; at the borders of those pixels that there are."""
    height, width = images.shape[-2:]
    across, down = (_band(taps, size).to(images) for size in (width, height))
    return down @ (images @ across.T)


def _band(taps: torch.Tensor, size: int) -> torch.Tensor:
    """(size, size): row i holds the weights of all pixels in the mean around pixel i.

    One product with it is several times as fast as a convolution of one channel.
    """
    reach = len(taps) // 2
    place = torch.arange(size)
    away = place - place[:, None] + reach  # which tap, (size, size)
    inside = (away >= 0) & (away < len(taps))
    weights = torch.where(inside, taps.double()[away.clamp(0, len(taps) - 1)], 0)
    return weights / weights.sum(1, keepdim=True)

"""Encoder and decoder between pictures and maps on the sphere, around a vector between them.

The networks of the equivariant paper (section 3.2.1, appendix A.2): residual layers of two
pre-activated blocks (He et al. 2016b), strided and transposed convolutions, no skip connections
from encoder to decoder, since pixels of a picture and of a sphere do not correspond.

Letters: B batch, C channels, H W rows and columns (on the sphere: colatitude and longitude).
"""

from __future__ import annotations

import itertools
from typing import Literal

import torch
import torch.nn.functional as F
from torch import nn

# What lies beyond the edge: a picture is mirrored; a sphere goes round in longitude.
Surface = Literal["picture", "sphere"]


def pad(x: torch.Tensor, width: int, surface: Surface) -> torch.Tensor:
    """(B, C, H + 2w, W + 2w): mirrored, but on the sphere circular in longitude."""
    if surface == "sphere":
        x = F.pad(x, (width, width, 0, 0), mode="circular")
        return F.pad(x, (0, 0, width, width), mode="reflect")
    return F.pad(x, (width,) * 4, mode="reflect")


class Conv(nn.Module):
    """A square convolution of odd size; `stride` 2 halves the resolution."""

    def __init__(
        self, inside: int, outside: int, size: int, stride: int = 1, surface: Surface = "picture"
    ) -> None:
        super().__init__()
        self.surface: Surface = surface
        self.conv = nn.Conv2d(inside, outside, size, stride, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, outside, H / stride, W / stride)."""
        width = self.conv.kernel_size[0] // 2
        return self.conv(pad(x, width, self.surface) if width else x)


class Upsample(nn.Module):
    """A transposed convolution of odd size that doubles the resolution.

    It is padded like a convolution, so that on the sphere a turn in longitude by one column of the
    input turns the output by two; a zero-padded one has a seam at longitude 0.
    """

    def __init__(
        self, inside: int, outside: int, size: int, surface: Surface, bias: bool = False
    ) -> None:
        super().__init__()
        self.surface: Surface = surface
        self.margin = (size + 1) // 4 + 1  # input cells that can reach an output cell from beyond
        self.conv = nn.ConvTranspose2d(inside, outside, size, 2, padding=size // 2, bias=bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, outside, 2H, 2W)."""
        height, width = x.shape[-2:]
        first = 2 * self.margin
        y = self.conv(pad(x, self.margin, self.surface))
        return y[..., first : first + 2 * height, first : first + 2 * width]


class Block(nn.Module):
    """A pre-activated residual block: two 3 x 3 convolutions."""

    def __init__(self, inside: int, outside: int, stride: int, surface: Surface) -> None:
        super().__init__()
        self.before = nn.BatchNorm2d(inside)
        self.first = Conv(inside, outside, 3, stride, surface)
        self.between = nn.BatchNorm2d(outside)
        self.second = Conv(outside, outside, 3, 1, surface)
        same = inside == outside and stride == 1
        self.shortcut = None if same else nn.Conv2d(inside, outside, 1, stride, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, outside, H / stride, W / stride)."""
        active = F.relu(self.before(x))
        kept = x if self.shortcut is None else self.shortcut(active)
        return kept + self.second(F.relu(self.between(self.first(active))))


def residual(
    inside: int, outside: int, stride: int, blocks: int, surface: Surface
) -> nn.Sequential:
    """A residual layer: `blocks` blocks, of which the first has the stride."""
    layers = [Block(inside, outside, stride, surface)]
    layers += [Block(outside, outside, 1, surface) for _ in range(blocks - 1)]
    return nn.Sequential(*layers)


class Encoder(nn.Module):
    """(B, C, S, S) to a vector (B, latent): halved by a 7 x 7 stem and by each layer but the first.

    `width` channels in the stem, doubled by every layer up to `most`. At 128 pixels, width 64 and
    most 256: 64^2 x 64, 64^2 x 128, 32^2 x 256, 16^2, 8^2, 4^2, 2^2 x 256, then 1024.
    """

    def __init__(
        self,
        channels: int,
        size: int,
        latent: int,
        width: int = 64,
        most: int = 256,
        blocks: int = 2,
        surface: Surface = "picture",
    ) -> None:
        super().__init__()
        halvings = size.bit_length() - 1
        if size != 1 << halvings or halvings < 3:
            raise ValueError(f"size {size} is not a power of two of 8 or more")
        widths = [min(width << i, most) for i in range(halvings)]  # stem, then layers to 2 x 2
        layers: list[nn.Module] = [Conv(channels, widths[0], 7, 2, surface)]
        for i in range(1, halvings):
            stride = 1 if i == 1 else 2
            layers.append(residual(widths[i - 1], widths[i], stride, blocks, surface))
        layers += [nn.BatchNorm2d(widths[-1]), nn.ReLU(), nn.Conv2d(widths[-1], latent, 2)]
        self.layers = nn.Sequential(*layers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, latent)."""
        return self.layers(x).flatten(1)


class Decoder(nn.Module):
    """A vector (B, latent) to (B, C, S, S), S a power of two of 8 or more; the end is linear.

    4 x 4 at first; a residual layer and a transposed convolution double it. For 16^2 x 32: 4^2 x
    128, 8^2 x 64, 16^2 x 32; for 32^2 x 16: 4^2 x 256, 8^2 x 128, 16^2 x 64, 32^2 x 16.
    """

    def __init__(
        self,
        latent: int,
        size: int,
        channels: int,
        width: int = 64,
        most: int = 256,
        blocks: int = 2,
        surface: Surface = "sphere",
    ) -> None:
        super().__init__()
        stages = size.bit_length() - 3  # doublings from 4, the last of them linear
        if size != 4 << stages or stages < 1:
            raise ValueError(f"size {size} is not a power of two of 8 or more")
        widths = [min(width << (stages - i - 1), most) for i in range(stages)]
        self.start = nn.ConvTranspose2d(latent, widths[0], 4, bias=False)
        layers: list[nn.Module] = [nn.BatchNorm2d(widths[0]), nn.ReLU()]
        for inside, outside in itertools.pairwise(widths):
            layers += [
                residual(inside, outside, 1, blocks, surface),
                Upsample(outside, outside, 3, surface),
                nn.BatchNorm2d(outside),
                nn.ReLU(),
            ]
        layers.append(Upsample(widths[-1], channels, 7, surface, bias=True))
        self.layers = nn.Sequential(*layers)

    def forward(self, vector: torch.Tensor) -> torch.Tensor:
        """(B, channels, size, size)."""
        return self.layers(self.start(vector[:, :, None, None]))

"""Networks over rings about a centre, which turn with what they look at.

A picture is sampled along rings about the optical axis, rows r and columns phi. The embedding's
pole is that axis, its columns are the same phi: to turn the picture in its plane, or the embedding
about its pole, is to shift columns. Convolutions that go round in phi commute with such shifts (of
whole columns at the bottleneck, 22.5 degrees), so that little of the in-plane rotation has to be
learnt. The published network, whose bottleneck is one vector, has to learn all of it.

Between encoder and decoder lies a ring of 16 vectors rather than one vector. Norms are of groups of
channels, not of the batch, whose running statistics lag behind the weights at high learning rates.

Letters: B batch, C channels, D channels of the bottleneck, R rings, P columns, S pixels.
"""

from __future__ import annotations

import itertools
import math

import torch
import torch.nn.functional as F
from torch import nn

ROWS = 4  # at both ends of the bottleneck
AROUND = 16  # columns of the bottleneck
_REACH = 9  # columns that a convolution on the bottleneck looks at
_GROUP = 16  # channels a group of a norm


def rings(images: torch.Tensor) -> torch.Tensor:
    """(B, C, S / 2, 2 S) of pictures (B, C, S, S): row i at radius (i + 1/2) pixels, column k at
    the angle pi k / S from x (right) towards y (down), that is, at longitude 2 pi k / P.
    """
    size = images.shape[-1]
    radius = (torch.arange(size // 2).to(images) * 2 + 1) / size  # 1 is the edge of the picture
    angle = torch.arange(2 * size).to(images) * (math.pi / size)
    grid = torch.stack([radius[:, None] * angle.cos(), radius[:, None] * angle.sin()], -1)
    grid = grid.expand(len(images), -1, -1, -1)  # (B, R, P, 2)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)


class Rings(nn.Module):
    """`rings`, as a layer."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """(B, C, S / 2, 2 S)."""
        return rings(images)


class Conv(nn.Module):
    """A square convolution of odd size that goes round; the first and the last row repeat."""

    def __init__(
        self, inside: int, outside: int, size: int, stride: tuple[int, int] = (1, 1)
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inside, outside, size, stride, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, outside, rows / stride[0], columns / stride[1])."""
        width = self.conv.kernel_size[0] // 2
        x = F.pad(x, (width, width, 0, 0), mode="circular")
        return self.conv(F.pad(x, (0, 0, width, width), mode="replicate"))


class Block(nn.Module):
    """A pre-activated residual block: two 3 x 3 convolutions."""

    def __init__(self, inside: int, outside: int, stride: tuple[int, int] = (1, 1)) -> None:
        super().__init__()
        self.before = _norm(inside)
        self.first = Conv(inside, outside, 3, stride)
        self.between = _norm(outside)
        self.second = Conv(outside, outside, 3)
        same = inside == outside and stride == (1, 1)
        self.shortcut = None if same else nn.Conv2d(inside, outside, 1, stride, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, outside, rows / stride[0], columns / stride[1])."""
        active = F.relu(self.before(x))
        kept = x if self.shortcut is None else self.shortcut(active)
        return kept + self.second(F.relu(self.between(self.first(active))))


class Ring(nn.Module):
    """A pre-activated residual block on the bottleneck, (B, D, 16)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.before, self.between = _norm(channels), _norm(channels)
        self.first, self.second = (
            nn.Conv1d(
                channels, channels, _REACH, padding=_REACH // 2, padding_mode="circular", bias=False
            )
            for _ in range(2)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, D, 16)."""
        return x + self.second(F.relu(self.between(self.first(F.relu(self.before(x))))))


class RingEncoder(nn.Module):
    """(B, C, R, P) to (B, latent, 16), R and P powers of two of 8 and 16 or more.

    A 5 x 5 stem and `blocks` residual blocks a stage halve rows down to 4 and columns down to 16;
    `width` channels in the stem, doubled by every stage up to `most`. Then `depth` blocks on the
    bottleneck, each of which sees more than half of the ring. Rows know how far out they are.
    """

    def __init__(
        self,
        channels: int,
        rows: int,
        columns: int,
        latent: int,
        width: int,
        most: int,
        blocks: int,
        depth: int,
    ) -> None:
        super().__init__()
        strides = [_halving(rows, columns)]
        while (rows := rows // strides[-1][0]) > ROWS:
            columns //= strides[-1][1]
            strides.append(_halving(rows, columns))
        if rows != ROWS or columns // strides[-1][1] != AROUND:
            raise ValueError(f"rows and columns end at {rows} and {columns}")
        widths = [min(width << i, most) for i in range(len(strides))]
        layers: list[nn.Module] = [Conv(channels + 1, widths[0], 5, strides[0])]
        layers += [Block(widths[0], widths[0]) for _ in range(blocks)]
        for (inside, outside), stride in zip(itertools.pairwise(widths), strides[1:]):
            layers.append(Block(inside, outside, stride))
            layers += [Block(outside, outside) for _ in range(blocks - 1)]
        self.layers = nn.Sequential(*layers)
        self.across = nn.Conv1d(widths[-1] * ROWS, latent, 1)
        self.around = nn.Sequential(*[Ring(latent) for _ in range(depth)])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, latent, 16)."""
        out = torch.linspace(-1, 1, x.shape[2]).to(x)[:, None].expand(len(x), 1, -1, x.shape[3])
        x = self.layers(torch.cat([x, out], 1))  # (B, C, 4, 16)
        return self.around(self.across(x.flatten(1, 2)))


class RingDecoder(nn.Module):
    """(B, latent, 16) to (B, C, rows, columns), powers of two; the end is linear.

    Rows are doubled from 4, columns, once there are fewer than wanted, from 16, by repetition, a
    residual block after each doubling.
    """

    def __init__(
        self, latent: int, channels: int, rows: int, columns: int, width: int, most: int
    ) -> None:
        super().__init__()
        doublings = rows.bit_length() - ROWS.bit_length()
        if rows != ROWS << doublings or not AROUND <= columns <= AROUND << doublings:
            raise ValueError(f"{rows} x {columns} cannot be reached by doubling {ROWS} x {AROUND}")
        widths = [min(width << (doublings - i), most) for i in range(doublings + 1)]
        self.across = nn.Conv1d(latent, widths[0] * ROWS, 1)
        self.blocks = nn.ModuleList(Block(*pair) for pair in itertools.pairwise(widths))
        self.last = nn.Sequential(_norm(widths[-1]), nn.ReLU(), Conv(widths[-1], channels, 3))
        self.bias = nn.Parameter(torch.zeros(channels, rows, 1))  # that of a row, not of a column
        self.columns = columns

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C, rows, columns)."""
        x = self.across(x).unflatten(1, (-1, ROWS))  # (B, C, 4, 16)
        for block in self.blocks:
            wider = 2 if x.shape[3] < self.columns else 1
            x = block(F.interpolate(x, scale_factor=(2, wider), mode="nearest"))
        return self.last(x) + self.bias


def _halving(rows: int, columns: int) -> tuple[int, int]:
    """The stride of a stage: rows are halved, columns as long as there are more than 16."""
    return 2, 2 if columns > AROUND else 1


def _norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(math.gcd(channels, max(1, channels // _GROUP)), channels)

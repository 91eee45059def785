"""A picture to depth maps and masks of fixed views, whose pixels may leave their places a little.

Letters: B batch, V fixed views, S pixels of a map, C channels.
"""

from __future__ import annotations

import itertools

import torch
import torch.nn.functional as F
from torch import nn

from stages.geometry.orthographic import DISTANCE
from stages.systems.structure_generator.params import IMAGE, Params

START = 4  # pixels a side, of what the decoder's vector is folded to
SPREAD = 0.1  # standard deviation of the first weights, as in the published code


class StructureGenerator(nn.Module):
    """(B, 3, 64, 64) pictures, 0 to 1, to maps (B, V, 3, S, S) and mask logits (B, V, S, S).

    A map holds u and v in pixels and the depth of a point. It starts from `grid`, the trainable
    bias of every pixel: its own centre, at the distance of the middle of the shape.
    """

    def __init__(self, params: Params) -> None:
        super().__init__()
        self.views, size, self.size = params.fixed_views, IMAGE, params.size
        residual = params.network == "resnet"
        layers: list[nn.Module] = []
        for inside, outside in itertools.pairwise((3, *params.encoder)):
            layers += [_Half(inside, outside), *_after(outside, params)]
            layers += [_Residual(outside, params)] if residual else []
            size = -(-size // 2)
        layers.append(nn.Flatten())
        widths = (params.encoder[-1] * size**2, *params.encoder_full)
        layers += _full(widths, params)
        layers.append(nn.Linear(widths[-1], params.latent))
        self.encoder = nn.Sequential(*layers)

        channels = params.decoder_full[-1] // START**2
        layers = [nn.ReLU(), *_full((params.latent, *params.decoder_full), params)]
        layers.append(nn.Unflatten(1, (channels, START, START)))
        doublings = params.size.bit_length() - START.bit_length()
        for outside in params.decoder[:doublings]:
            layers += [_Residual(channels, params)] if residual else []
            layers += [
                nn.Upsample(scale_factor=2),
                nn.Conv2d(channels, outside, 3, 1, 1, bias=False),
            ]
            layers += _after(outside, params)
            channels = outside
        self.decoder = nn.Sequential(*layers)
        self.last = nn.Conv2d(channels, 4 * params.fixed_views, 1, bias=False)
        self.grid = nn.Parameter(first_grid(params.fixed_views, params.size))  # (V, 4, S, S)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.normal_(module.weight, std=SPREAD)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Maps (B, V, 3, S, S) and logits (B, V, S, S), float32."""
        return self.decode(self.encoder(images))

    def decode(self, codes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The maps and logits of codes (B, `latent`), such as the encoder gives of pictures."""
        features = self.decoder(codes)  # (B, C, S, S)
        with torch.autocast(features.device.type, enabled=False):  # bf16 has 8 bits for 128 pixels
            told = F.conv2d(features.float(), self.last.weight)
        told = told.contiguous().view(-1, *self.grid.shape) + self.grid  # (B, V, 4, S, S)
        return told[:, :, :3], told[:, :, 3]


def first_grid(views: int, size: int) -> torch.Tensor:
    """(V, 4, S, S): u and v of the centre of each pixel, the camera's distance, logit 0."""
    centres = torch.arange(size) + 0.5
    u, v = centres.expand(size, size), centres[:, None].expand(size, size)
    planes = [u, v, torch.full((size, size), DISTANCE), torch.zeros(size, size)]
    return torch.stack(planes).repeat(views, 1, 1, 1)


class _Half(nn.Conv2d):
    """A convolution with stride 2 that pads below and to the right alone, as TensorFlow does."""

    def __init__(self, inside: int, outside: int) -> None:
        super().__init__(inside, outside, 3, 2, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rows, columns = x.shape[2] % 2, x.shape[3] % 2  # of odd sizes, on all sides
        return super().forward(F.pad(x, (columns, 1, rows, 1)))


class _Residual(nn.Module):
    """x + two convolutions of it, each normalised; a ReLU after the first, and after the sum."""

    def __init__(self, channels: int, params: Params) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels, channels, 3, 1, 1, bias=False),
            *_after(channels, params),
            nn.Conv2d(channels, channels, 3, 1, 1, bias=False),
            nn.BatchNorm2d(channels, momentum=params.momentum, affine=False),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu(x + self.layers(x))


def _after(channels: int, params: Params) -> list[nn.Module]:
    """Batch normalisation without scale and shift, as in the published code, and a ReLU."""
    return [nn.BatchNorm2d(channels, momentum=params.momentum, affine=False), nn.ReLU()]


def _full(widths: tuple[int, ...], params: Params) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for inside, outside in itertools.pairwise(widths):
        norm = nn.BatchNorm1d(outside, momentum=params.momentum, affine=False)
        layers += [nn.Linear(inside, outside, bias=False), norm, nn.ReLU()]
    return layers

"""The encoder's and decoder's layers: sizes, padding, and turns in longitude."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from stages.systems.equivariant.layers import Conv, Decoder, Encoder, Upsample, residual


@pytest.mark.parametrize(
    ("size", "inside", "between"),
    [
        (16, 128, [(128, 4), (64, 8), (32, 16)]),
        (32, 256, [(256, 4), (128, 8), (64, 16), (16, 32)]),
        (128, 256, [(256, 4), (256, 8), (256, 16), (128, 32), (64, 64), (3, 128)]),
    ],
)
def test_decoder_sizes(size: int, inside: int, between: list[tuple[int, int]]) -> None:
    """Notes on the published code: channels and rows at the start and after each doubling."""
    with torch.device("meta"):
        decoder = Decoder(1024, size, between[-1][0]).eval()
    seen = []

    def record(module: nn.Module, inputs: object, output: torch.Tensor) -> None:
        seen.append((output.shape[1], output.shape[2]))

    for module in decoder.modules():
        if module is decoder.start or isinstance(module, Upsample):
            module.register_forward_hook(record)
    decoder(torch.empty(2, 1024, device="meta"))
    doubled = [(c // 2 if i and i < len(between) - 1 else c, s) for i, (c, s) in enumerate(between)]
    assert seen[0] == between[0] == (inside, 4)
    assert [s for _, s in seen] == [s for _, s in doubled]
    assert seen[-1] == between[-1]


def test_encoder_sizes() -> None:
    with torch.device("meta"):
        encoder = Encoder(3, 128, 1024).eval()
    sizes, x = [], torch.empty(2, 3, 128, 128, device="meta")
    for layer in encoder.layers:
        x = layer(x)
        if isinstance(layer, (Conv, nn.Sequential, nn.Conv2d)):
            sizes.append(tuple(x.shape[1:]))
    assert sizes == [
        (64, 64, 64),
        (128, 64, 64),
        (256, 32, 32),
        (256, 16, 16),
        (256, 8, 8),
        (256, 4, 4),
        (256, 2, 2),
        (1024, 1, 1),
    ]


def settle(module: nn.Module, x: torch.Tensor) -> nn.Module:
    """In eval mode, with batch norms that are not the identity."""
    for norm in module.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.momentum = 1.0
            nn.init.uniform_(norm.weight, 0.5, 1.5)
            nn.init.normal_(norm.bias)
    with torch.no_grad():
        module.double().train()(x)
    return module.eval()


LAYERS = {
    "convolution": (lambda: Conv(6, 6, 3, 1, "sphere"), 8, 1, 1),
    "wide convolution": (lambda: Conv(6, 6, 7, 1, "sphere"), 8, 1, 1),
    "residual layer": (lambda: residual(6, 8, 1, 2, "sphere"), 8, 1, 1),
    "upsample 3": (lambda: Upsample(6, 8, 3, "sphere"), 8, 2, 1),
    "upsample 7": (lambda: Upsample(6, 8, 7, "sphere", bias=True), 4, 2, 1),
    "all after the start": (lambda: Decoder(6, 32, 5, width=6).layers, 4, 8, 24),
}


@pytest.mark.parametrize("name", LAYERS)
@torch.no_grad()
def test_decoder_layers_turn_with_the_longitude(name: str) -> None:
    """There is no seam: a turn of the input by a column turns the output by one, two or eight."""
    make, rows, factor, wide = LAYERS[name]
    torch.manual_seed(0)
    x = torch.randn(3, 6 * max(wide // 6, 1), rows, rows).double()
    module = settle(make(), x)
    plain, turned = module(x), module(x.roll(1, -1))
    assert plain.shape[-1] == factor * rows
    torch.testing.assert_close(turned, plain.roll(factor, -1), atol=1e-12, rtol=1e-12)
    assert (turned - plain).abs().max() > 0.1


@torch.no_grad()
def test_pictures_do_not_go_round() -> None:
    """On the picture's surface the padding is NumPy's mirror, and a turn leaves a seam."""
    torch.manual_seed(0)
    conv = Conv(2, 3, 7, 2, "picture").double()
    x = torch.randn(1, 2, 16, 16).double()
    padded = torch.from_numpy(np.pad(x.numpy(), [(0, 0), (0, 0), (3, 3), (3, 3)], mode="reflect"))
    torch.testing.assert_close(conv(x), F.conv2d(padded, conv.conv.weight, stride=2))
    one = Conv(2, 3, 3, 1, "picture").double()
    assert (one(x.roll(1, -1)) - one(x).roll(1, -1)).abs().max() > 0.1


@pytest.mark.parametrize("size", [3, 7])
@torch.no_grad()
def test_upsampling_is_a_transposed_convolution_away_from_edges(size: int) -> None:
    torch.manual_seed(0)
    layer = Upsample(2, 3, size, "sphere").double()
    x = torch.randn(1, 2, 12, 12).double()
    plain = F.conv_transpose2d(x, layer.conv.weight, None, 2, size // 2, output_padding=1)
    inner = slice(size, -size)
    torch.testing.assert_close(layer(x)[..., inner, inner], plain[..., inner, inner])

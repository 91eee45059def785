"""The deep encoder beside table 1 of its paper, and what of it is free."""

from __future__ import annotations

import dataclasses
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from stages.errors import UsageError
from stages.systems import deep_encoding
from stages.systems.deep_encoding.model import two_channels

PRESETS = deep_encoding.PRESETS
# Table 1: label, size-in, size-out; channels last. What has no weights stands with None.
VOXEL = [
    ("pool0", (96, 96, 96, 2), (32, 32, 32, 2), None),
    ("conv1a", (32, 32, 32, 2), (32, 32, 32, 16), (3, 3, 3, 16)),
    ("rect1a", (32, 32, 32, 16), (32, 32, 32, 16), None),
    ("conv1b", (32, 32, 32, 16), (32, 32, 32, 32), (3, 3, 3, 32)),
    ("rect1b", (32, 32, 32, 32), (32, 32, 32, 32), None),
    ("pool1", (32, 32, 32, 32), (16, 16, 16, 32), None),
    ("conv2a", (16, 16, 16, 32), (16, 16, 16, 64), (3, 3, 3, 64)),
    ("rect2a", (16, 16, 16, 64), (16, 16, 16, 64), None),
    ("conv2b", (16, 16, 16, 64), (16, 16, 16, 128), (3, 3, 3, 128)),
    ("rect2b", (16, 16, 16, 128), (16, 16, 16, 128), None),
    ("pool2", (16, 16, 16, 128), (4, 4, 4, 128), None),
    ("flat2", (4, 4, 4, 128), (8192,), None),
    ("fc3", (8192,), (4096,), (8192, 4096)),
    ("rect3", (4096,), (4096,), None),
    ("fc4", (4096,), (128,), (4096, 128)),
]
IMAGE = [
    ("pool0", (486, 486, 3), (162, 162, 3), None),
    ("conv1a", (162, 162, 3), (162, 162, 16), (3, 3, 16)),
    ("rect1a", (162, 162, 16), (162, 162, 16), None),
    ("conv1b", (162, 162, 16), (162, 162, 32), (3, 3, 32)),
    ("rect1b", (162, 162, 32), (162, 162, 32), None),
    ("pool1", (162, 162, 32), (54, 54, 32), None),
    ("conv2a", (54, 54, 32), (54, 54, 64), (3, 3, 64)),
    ("rect2a", (54, 54, 64), (54, 54, 64), None),
    ("conv2b", (54, 54, 64), (54, 54, 128), (3, 3, 128)),
    ("rect2b", (54, 54, 128), (54, 54, 128), None),
    ("pool2", (54, 54, 128), (6, 6, 128), None),
    ("flat2", (6, 6, 128), (4608,), None),
    ("fc3", (4608,), (4096,), (4608, 4096)),
    ("rect3", (4096,), (4096,), None),
    ("fc4", (4096,), (128,), (4096, 128)),
]


def encoder(params: deep_encoding.Params) -> nn.Module:
    """Without weights: shapes alone."""
    with torch.device("meta"):
        return deep_encoding.build(params)


def walked(channel: nn.Sequential, size: tuple[int, ...]) -> list[SimpleNamespace]:
    """Name, module, and sizes in and out, channels last, of every layer."""
    found, x = [], torch.empty(1, size[-1], *size[:-1], device="meta")
    for name, module in channel.named_children():
        y = module(x)
        sizes = [(*t.shape[2:], t.shape[1]) for t in (x, y)]
        found.append(SimpleNamespace(name=name, module=module, inside=sizes[0], outside=sizes[1]))
        x = y
    return found


@pytest.mark.parametrize(("which", "table"), [("voxel", VOXEL), ("image", IMAGE)])
def test_every_layer_is_that_of_table_1(which: str, table: list) -> None:
    layers = walked(getattr(encoder(PRESETS["paper"]), which), table[0][1])
    assert [layer.name for layer in layers] == [row[0] for row in table]
    for layer, (name, inside, outside, weights) in zip(layers, table):
        assert (layer.inside, layer.outside) == (inside, outside), name
        module = layer.module
        if weights is None:
            assert not list(module.parameters())
        elif name.startswith("fc"):
            assert (module.in_features, module.out_features) == weights
        else:  # "All sliding windows in conv layers use stride of 1"
            assert (*module.kernel_size, module.out_channels) == weights
            assert set(module.stride) == {1}
        if name.startswith("rect"):
            assert isinstance(module, nn.LeakyReLU)
        if name.startswith("pool"):
            assert module.kernel_size == module.stride == inside[0] // outside[0]


def test_parameters_and_activations_are_as_many_as_in_table_1() -> None:
    model = encoder(PRESETS["paper"])
    counts = [sum(p.numel() for p in part.parameters()) for part in (model.voxel, model.image)]
    assert counts == [34_374_352, 19_500_320]
    assert sum(counts) == 53_874_672  # 205.5 MiB; the table says 204 MB: it counts convolutions
    # as if they had one input channel
    table = {"voxel": VOXEL, "image": IMAGE}
    numbers = {
        name: sum(math.prod(layer.outside) for layer in walked(getattr(model, name), rows[0][1]))
        for name, rows in table.items()
    }
    activations = 4 * (numbers["voxel"] + 2 * numbers["image"]) / 2**20  # of a triplet, float32
    assert activations == pytest.approx(48, abs=0.15)


@pytest.mark.parametrize(("units", "layers"), [(1, 1), (2, 1), (3, 1), (2, 2)])
@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_the_family_of_architectures(preset: str, units: int, layers: int) -> None:
    """m-conv-n-fc: each unit doubles the channels twice, each layer of fc but the last is alike."""
    params = dataclasses.replace(PRESETS[preset], conv_units=units, fc_layers=layers)
    model = encoder(params)
    for channel in (model.voxel, model.image):
        convolutions = [m for m in channel if isinstance(m, nn.Conv2d | nn.Conv3d)]
        full = [m for m in channel if isinstance(m, nn.Linear)]
        widths = [params.width * 2**n for n in range(2 * units)]
        assert [m.out_channels for m in convolutions] == widths
        assert [m.out_features for m in full] == [params.hidden] * (layers - 1) + [128]
    res, size = params.voxel_res, params.image_size
    voxel = model.encode_voxels(torch.empty(2, res, res, res, dtype=torch.bool, device="meta"))
    image = model.encode_images(torch.empty(3, 3, size, size, device="meta"))
    assert (voxel.shape, image.shape) == ((2, 128), (3, 128))


def test_initial_weights_are_those_of_the_msra_filler() -> None:
    """Variance 2 / n, n the mean of the inputs and outputs of a unit; biases 0.1 (3D-R2N2)."""
    torch.manual_seed(0)
    params = dataclasses.replace(PRESETS["small"], conv_units=2, width=16)
    for name, weight in deep_encoding.build(params).named_parameters():
        if name.endswith("bias"):
            assert (weight == 0.1).all()
            continue
        receptive = weight[0, 0].numel()
        n = receptive * (weight.shape[0] + weight.shape[1]) / 2
        # a variance of k numbers is off by sqrt(2 / k); four times that for all layers together
        tolerance = 4 * math.sqrt(2 / weight.numel())
        assert weight.var().item() == pytest.approx(2 / n, rel=tolerance), name
        assert abs(weight.mean().item()) < 4 * math.sqrt(2 / n / weight.numel())


def test_the_two_voxel_channels_are_empty_and_occupied() -> None:
    voxels = torch.rand(2, 4, 4, 4, generator=torch.Generator().manual_seed(0)) < 0.5
    empty, occupied = two_channels(voxels).unbind(1)
    np.testing.assert_array_equal(occupied, voxels)
    np.testing.assert_array_equal(empty, ~voxels)


def test_codes_are_neither_rectified_nor_normalised() -> None:
    torch.manual_seed(0)
    params = PRESETS["tiny"]
    model = deep_encoding.build(params)
    voxels = torch.zeros(4, 32, 32, 32, dtype=torch.bool)
    for number, one in enumerate(voxels):  # slabs of different heights
        one[8:24, 8:24, : 8 * (number + 1)] = True
    images = torch.rand(6, 3, 64, 64) * torch.linspace(0, 1, 6)[:, None, None, None]
    with torch.no_grad():
        voxel, image = model(voxels, images)
        model.image.fc4.weight *= 3
        model.image.fc4.bias *= 3
        scaled = model.encode_images(images)
    for codes in (voxel, image):
        assert (codes < 0).any()
        assert codes.norm(dim=1).std() > 1e-3
    torch.testing.assert_close(scaled, 3 * image)


def test_the_optimiser_is_that_of_the_skeleton() -> None:
    """Adam with L2 on weights alone; rates fall at 20,000 and 60,000 steps."""
    paper = PRESETS["paper"]
    assert (paper.batch, paper.margin, paper.code, paper.slope) == (24, 1.0, 128, 0.01)
    model = deep_encoding.build(PRESETS["tiny"])
    optimizer = deep_encoding.optimizer(model, paper)
    assert isinstance(optimizer, torch.optim.Adam)
    weights, biases = optimizer.param_groups
    assert (weights["weight_decay"], biases["weight_decay"]) == (5e-5, 0)
    assert (weights["lr"], weights["betas"], weights["eps"]) == (1e-4, (0.9, 0.999), 1e-8)
    assert all(p.ndim == 1 for p in biases["params"])
    assert len(weights["params"]) == len(biases["params"]) == 12
    rates = [paper.lr * deep_encoding.schedule(paper, s) for s in (0, 19_999, 20_000, 60_000)]
    assert rates == pytest.approx([1e-4, 1e-4, 1e-5, 1e-6])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"voxel_res": 100}, "voxel_res 100 cannot be pooled by 3 x 2 x 4"),
        ({"image_size": 480}, "image_size 480 cannot be pooled by 3 x 3 x 9"),
        ({"voxel_pools": (3, 2)}, "2 poolings for 2 units"),
        ({"loss": "lifted-safe", "mining": "hard"}, "nothing to mine"),
    ],
)
def test_impossible_parameters_are_refused(change: dict, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        dataclasses.replace(PRESETS["paper"], **change)
    assert caught.value.hint


def test_artefacts_are_asked_for_in_the_sizes_of_the_parameters() -> None:
    assert deep_encoding.requires(PRESETS["paper"]) == deep_encoding.REQUIRES
    small = {"voxels": {"res": 32}, "views": {"size": 108}}
    assert deep_encoding.requires(PRESETS["small"]) == small

"""Networks over rings: where the rings lie, and that turns of what they see are shifts."""

from __future__ import annotations

import dataclasses
import json
import math

import pytest
import torch

from stages.stage import params_json
from stages.systems import equivariant, pose_regression, spherical_cnn
from stages.systems.equivariant.data import rolled_maps
from stages.systems.equivariant.polar import RingDecoder, RingEncoder, rings
from stages.systems.pictures import rolled_pictures

KNOWN = dataclasses.replace(spherical_cnn.PRESETS["tiny"], classes=("chair", "table"))


def waves(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """A smooth function of the plane, of no symmetry."""
    return (2 * x + 0.3).sin() + (1.5 * y - 0.7 * x).cos() + 0.5 * x * y


def picture(size: int) -> torch.Tensor:
    """(1, 1, size, size) of `waves`, the edge at 1, x to the right, y down."""
    centre = (torch.arange(size, dtype=torch.float64) * 2 + 1) / size - 1
    return waves(centre[None, :], centre[:, None])[None, None]


def test_rings_lie_where_they_should() -> None:
    """Against the function itself. Bilinear interpolation errs by at most h^2/8 (f_xx + f_yy), with
    second derivatives up to 7 and pixels of 2/64: 9e-4; half a pixel more on the rim.
    """
    size = 64
    radius = (torch.arange(32, dtype=torch.float64)[:, None] + 0.5) / 32
    angle = 2 * math.pi * torch.arange(128, dtype=torch.float64) / 128
    truth = waves(radius * angle.cos(), radius * angle.sin())
    told = rings(picture(size))[0, 0]
    torch.testing.assert_close(told[:-1], truth[:-1], atol=9e-4, rtol=0)
    assert (told - truth).abs().max() < 9e-4 + 3 / size  # slopes are below 3


def test_a_turned_picture_is_shifted_rings() -> None:
    """By the function that augments pictures: the sign is the same, and that of `rolled_maps`."""
    there = picture(64).float()
    for columns in (8, 40):
        angle = torch.tensor([2 * math.pi * columns / 128])
        turned = rings(rolled_pictures(there, angle))
        shifted = rings(there).roll(columns, -1)
        assert (turned - shifted)[:, :, :30].abs().max() < 5e-3
        torch.testing.assert_close(rolled_maps(rings(there), angle), shifted, atol=1e-4, rtol=0)


@pytest.mark.parametrize(("rows", "columns"), [(16, 64), (32, 128), (64, 256), (32, 32)])
@torch.no_grad()
def test_a_shift_stays_a_shift(rows: int, columns: int) -> None:
    torch.manual_seed(0)
    encoder = RingEncoder(3, rows, columns, 12, 4, 16, 2, 2).double()
    x = torch.randn(2, 3, rows, columns).double()
    ring = encoder(x)
    assert ring.shape == (2, 12, 16)
    shifted = encoder(x.roll(columns // 16, -1))
    torch.testing.assert_close(shifted, ring.roll(1, -1), atol=1e-12, rtol=1e-10)
    assert (shifted - ring).abs().max() > 0.01  # it does depend on the column
    decoder = RingDecoder(12, 5, rows, min(columns, 4 * rows), 4, 16).double()
    out = decoder(ring)
    assert out.shape == (2, 5, rows, columns)
    torch.testing.assert_close(
        decoder(shifted), out.roll(columns // 16, -1), atol=1e-12, rtol=1e-10
    )


@torch.no_grad()
def test_quarter_turns_of_pictures_turn_the_embedding() -> None:
    """Pixels go to pixels, rings to rings: the embedding of an untrained network turns exactly."""
    params = dataclasses.replace(
        equivariant.PRESETS["tiny"], target_params=json.dumps(params_json(KNOWN))
    )
    torch.manual_seed(0)
    model = equivariant.build(params).double().eval()
    images = torch.rand(2, 3, 128, 128).double()
    plain = model(images)
    turned = model(images.rot90(-1, (2, 3)))  # clockwise: x towards y
    torch.testing.assert_close(turned, plain.roll(4, -1), atol=1e-9, rtol=1e-9)
    assert (turned - plain).abs().max() > 0.01


@torch.no_grad()
def test_regression_sees_where_on_the_ring() -> None:
    """Its head is not invariant: a turned picture has another pose."""
    torch.manual_seed(0)
    model = pose_regression.build(pose_regression.PRESETS["tiny"]).eval()
    images = torch.rand(1, 3, 128, 128)
    assert (model(images) - model(images.rot90(1, (2, 3)))).abs().max() > 1e-3


def test_sizes_that_cannot_be_reached_are_refused() -> None:
    with pytest.raises(ValueError, match="end at"):
        RingEncoder(3, 24, 96, 8, 4, 8, 1, 1)
    with pytest.raises(ValueError, match="cannot be reached"):
        RingDecoder(8, 3, 24, 96, 4, 8)

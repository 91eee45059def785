"""Averages over turned pictures: as equivariant as they should be, whatever the network."""

from __future__ import annotations

import math

import pytest
import torch

from stages.systems.equivariant.data import mirrored_maps, rolled_maps
from stages.systems.equivariant.inference import averaged
from stages.systems.pictures import rolled_pictures

SIZE, ROWS, CHANNELS = 16, 8, 2


def anything(seed: int = 0):
    """A function from pictures to maps that knows of no symmetry."""
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(3 * SIZE * SIZE, CHANNELS * ROWS * ROWS, generator=generator)

    def model(images: torch.Tensor) -> torch.Tensor:
        return (images.flatten(1) @ weight / SIZE).sin().view(-1, CHANNELS, ROWS, ROWS)

    return model


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(3, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_quarter_turns_of_a_picture_turn_its_average(images: torch.Tensor, quarters: int) -> None:
    """Exactly, since quarter turns only permute pixels: float32 rounding is left."""
    model = anything()
    turned = torch.rot90(images, -quarters, (2, 3))  # clockwise, as `rolled_pictures`
    angle = torch.full((len(images),), quarters * math.pi / 2)
    expected = rolled_maps(averaged(model, images, 4), angle)
    torch.testing.assert_close(averaged(model, turned, 4), expected, atol=1e-4, rtol=0)
    once = (averaged(model, turned, 1) - rolled_maps(averaged(model, images, 1), angle)).abs()
    assert once.max() > 0.1


@pytest.mark.parametrize("turns", [1, 3])
def test_a_mirrored_picture_has_the_mirrored_average(images: torch.Tensor, turns: int) -> None:
    model = anything()
    expected = mirrored_maps(averaged(model, images, turns))
    # the turns of a mirrored picture are those of the other sense: resampled at the same points
    torch.testing.assert_close(averaged(model, images.flip(3), turns), expected, atol=1e-4, rtol=0)
    assert (model(images.flip(3)) - mirrored_maps(model(images))).abs().max() > 0.1


def test_the_mean_of_three_turns_is_its_sum(images: torch.Tensor) -> None:
    model, total = anything(), torch.zeros(3, CHANNELS, ROWS, ROWS)
    for third in range(3):
        for mirror in (False, True):
            angle = torch.full((3,), third * 2 * math.pi / 3)
            seen = rolled_pictures(images, angle)
            told = model(seen.flip(3) if mirror else seen)
            told = mirrored_maps(told) if mirror else told
            total += rolled_maps(told, -angle) / 6
    torch.testing.assert_close(averaged(model, images, 3), total, atol=1e-5, rtol=0)

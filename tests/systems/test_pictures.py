"""Pictures framed a little differently: closed forms, and the filters of torch and Pillow."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from stages.systems.pictures import jitter_framing, reframed


def noise(count: int, side: int, seed: int = 0) -> torch.Tensor:
    """(count, 3, side, side) pictures, 0 to 1."""
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("side", [64, 128, 17])
def test_neither_moved_nor_scaled_is_the_same_to_the_bit(side):
    images = noise(3, side)
    assert torch.equal(reframed(images, torch.zeros(3, 2), torch.ones(3)), images)


def test_an_impulse_moves_right_and_down_by_that_many_pixels():
    steps = torch.tensor([[3, 5], [-4, 0], [0, -7], [10, -2]])
    images = torch.zeros(4, 3, 64, 64)
    images[:, :, 20, 30] = 1
    moved = reframed(images, steps / 64, torch.ones(4))
    expected = torch.zeros_like(images)
    for number, (right, down) in enumerate(steps.tolist()):
        expected[number, :, 20 + down, 30 + right] = 1
    assert torch.equal(moved, expected)


def test_half_a_pixel_is_shared_between_two():
    images = torch.zeros(1, 1, 64, 64)
    images[0, 0, 20, 30] = 1
    moved = reframed(images, torch.tensor([[0.5 / 64, 0]]), torch.ones(1))
    assert moved[0, 0, 20, 30:32].tolist() == [0.5, 0.5]
    assert moved.sum() == 1


def test_what_comes_in_is_background():
    """Grey around a square, with the square moved away and made smaller: grey to the bit."""
    images = torch.full((2, 3, 64, 64), 0.75)
    images[:, :, 24:40, 24:40] = noise(2, 16)
    shift = torch.tensor([[0.1, -0.2], [-0.25, 0.05]])
    moved = reframed(images, shift, torch.tensor([0.8, 0.5]))
    centres = (torch.arange(64) + 0.5) / 64 - 0.5
    for picture, (right, down), half in zip(moved, shift, (0.8 * 8 + 1.6, 0.5 * 8 + 1)):
        x, y = (centres - right).abs() * 64 > half, (centres - down).abs() * 64 > half
        outside = x[None, :] | y[:, None]
        torch.testing.assert_close(picture[:, outside], torch.full_like(picture[:, outside], 0.75))
        assert not torch.allclose(picture[:, ~outside], torch.tensor(0.75))


def test_magnified_is_what_torch_samples():
    """Its bilinear sampler, of the affine map out of the output: x = (x' - 2 shift) / scale."""
    images, scale = noise(4, 48), torch.tensor([1.0, 1.1, 1.35, 2.0])
    shift = torch.tensor([[0.03, -0.01], [0.0, 0.02], [-0.05, 0.05], [0.011, 0.2]])
    zero = torch.zeros(4)
    back = [1 / scale, zero, -2 * shift[:, 0] / scale, zero, 1 / scale, -2 * shift[:, 1] / scale]
    grid = F.affine_grid(torch.stack(back, 1).reshape(4, 2, 3), [4, 3, 48, 48], align_corners=False)
    expected = F.grid_sample(images, grid, padding_mode="border", align_corners=False)
    # places in float32, of 48 pixels: to 1e-5
    torch.testing.assert_close(reframed(images, shift, scale), expected, atol=5e-5, rtol=0)


@pytest.mark.parametrize("scale", [0.5, 0.74, 0.9])
def test_made_smaller_takes_in_all_pixels_as_pillow_does(scale):
    """Away from the rim, which Pillow has no pixels beyond."""
    picture, side, rim = noise(1, 64)[0, 0], 64, 40
    padded = Image.fromarray(F.pad(picture[None, None], (rim,) * 4, mode="replicate")[0, 0].numpy())
    half, middle = side / 2 / scale, side / 2 + rim
    box = (middle - half, middle - half, middle + half, middle + half)
    expected = np.asarray(padded.resize((side, side), Image.Resampling.BILINEAR, box=box))
    found = reframed(picture[None, None], torch.zeros(1, 2), torch.tensor([scale]))[0, 0]
    inside = slice(math.ceil(32 - 30 * scale), math.floor(32 + 30 * scale))
    np.testing.assert_allclose(found[inside, inside], expected[inside, inside], atol=1e-5)


def test_amounts_are_uniform_within_their_bounds():
    """A soft blob in the middle: its centroid tells the shift, its mass the scale squared."""
    away = torch.arange(64) - 31.5
    blob = (-(away[:, None] ** 2 + away**2) / (2 * 5.0**2)).exp()
    generator = torch.Generator().manual_seed(0)
    images = jitter_framing(blob.expand(2000, 1, 64, 64), 0.1, 0.25, generator)[:, 0]
    mass = images.sum((1, 2))
    for axis in (1, 2):
        centre = (images.sum(3 - axis) * away).sum(1) / mass / 64
        assert centre.abs().max() < 0.1 + 1e-3
        # of 2000: four times 1 % in the standard deviation
        assert centre.std() == pytest.approx(0.1 / math.sqrt(3), rel=0.04)
        assert centre.mean().abs() < 0.006
    factor = (mass / blob.sum()).log() / 2
    assert factor.abs().max() < math.log(1.25) + 1e-3
    assert factor.std() == pytest.approx(math.log(1.25) / math.sqrt(3), rel=0.04)


def test_amounts_follow_their_generator_alone():
    images = noise(1, 32).expand(4, 3, 32, 32)

    def drawn(seed: int) -> torch.Tensor:
        torch.manual_seed(seed + 100)
        return jitter_framing(images, 0.05, 0.3, torch.Generator().manual_seed(seed))

    assert torch.equal(drawn(1), drawn(1))
    assert not torch.equal(drawn(1), drawn(2))
    assert not torch.equal(drawn(1)[0], drawn(1)[1])  # each by its own amounts

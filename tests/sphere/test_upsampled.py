"""The paper's way: bicubic as MATLAB's, and the shift of longitude that it brings."""

import numpy as np
import pytest
import torch
from PIL import Image

from stages.errors import InputError
from stages.geometry.rotations import geodesic
from stages.sphere.alignment import align
from stages.sphere.grids import GRIDS
from stages.sphere.pooling import area_pool
from stages.sphere.rotation import rotate_coefficients
from stages.sphere.transform import inverse_sht, sht
from stages.sphere.upsampled import align_upsampled, upsample_bicubic
from tests.sphere import fields

SHIFT = 3 * np.pi / 64  # 16 x 16, fourfold


def pair(
    seed: int, n: int, grid: str = "midpoint", pairs: int = 15
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """f, g (pairs, 4, n, n) float32 and R with f = Lambda_R g, of degrees below 8."""
    g, turn = fields.coefficients(seed, pairs, 4, degrees=8, decay=1), fields.rotations(seed, pairs)
    f = rotate_coefficients(g, turn[:, None])
    return inverse_sht(f, n, grid).float(), inverse_sht(g, n, grid).float(), turn


def median_deg(found: torch.Tensor, truth: torch.Tensor) -> float:
    return float(torch.rad2deg(geodesic(found.double(), truth)).median())


def test_bicubic_equals_pillow_inside() -> None:
    # same kernel and sampling; at the edges Pillow leaves out what is outside instead
    maps = torch.randn(16, 12)
    there = Image.fromarray(maps.numpy()).resize((48, 64), Image.Resampling.BICUBIC)
    found = upsample_bicubic(maps)
    inside = (slice(8, -8), slice(8, -8))
    np.testing.assert_allclose(found[inside].numpy(), np.asarray(there)[inside], atol=1e-5)


def test_bicubic_repeats_the_edges() -> None:
    maps = torch.randn(2, 6, 6, dtype=torch.float64)
    padded = torch.nn.functional.pad(maps[None], (3, 3, 3, 3), mode="replicate")[0]
    assert (
        upsample_bicubic(maps) - upsample_bicubic(padded)[:, 12:-12, 12:-12]
    ).abs().max() < 1e-14
    # Keys: exact for parabolas away from the edges, and sums of weights are 1 everywhere
    x = torch.arange(8).double()
    fine = (torch.arange(32).double() + 0.5) / 4 - 0.5
    found = upsample_bicubic((x**2).expand(8, 8))
    assert (found[:, 8:-8] - fine[8:-8] ** 2).abs().max() < 1e-12
    assert (upsample_bicubic(torch.ones(8, 8).double()) - 1).abs().max() < 1e-14


@pytest.mark.parametrize("grid", GRIDS)
def test_finds_rotations_as_well_as_the_grid_allows(grid: str) -> None:
    f, g, turn = pair(0, 16, grid, pairs=100)
    found = align_upsampled(f, g)
    # the median distance from the grid is 2.1; the other grid is read as if it were this one
    assert median_deg(found.rotation, turn) < (2.5 if grid == "midpoint" else 3)
    naive = align(*(sht(upsample_bicubic(maps)) for maps in (f, g)), bandwidth=32, starts=0)
    assert median_deg(naive.rotation, turn) > 8  # the shift, ignored


def test_pooling_in_pairs_undoes_the_shift() -> None:
    fine_f, fine_g, turn = pair(1, 64)
    f, g = (area_pool(area_pool(m, centred=False), centred=False) for m in (fine_f, fine_g))
    assert median_deg(align_upsampled(f, g, longitude=SHIFT).rotation, turn) < 2.5
    assert median_deg(align_upsampled(f, g).rotation, turn) > 8


def test_other_factors() -> None:
    f, g, turn = pair(2, 16)
    found = align_upsampled(f[:5], g[:5], factor=2)
    assert median_deg(found.rotation, turn[:5]) < 6  # the grid of 32^3
    f, g, turn = pair(3, 32)
    assert median_deg(align_upsampled(f, g, factor=2).rotation, turn) < 2.5


def test_what_cannot_be_aligned() -> None:
    maps = torch.zeros(2, 16, 16)
    with pytest.raises(InputError, match="NaN"):
        align_upsampled(maps, torch.full_like(maps, torch.nan))
    with pytest.raises(InputError, match="no map"):
        align_upsampled(maps[..., :8], maps[..., :8])
    with pytest.raises(InputError, match="do not match"):
        align_upsampled(maps, maps[:1])

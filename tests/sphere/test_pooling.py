"""Pooling: what it keeps, what it commutes with, and where its results lie."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch

from stages.errors import InputError, UsageError
from stages.geometry.rotations import about_z
from stages.sphere.grids import GRIDS, area_weights
from stages.sphere.pooling import area_mean, area_pool, spectral_pool
from stages.sphere.rotation import rotate_coefficients, rotate_maps
from stages.sphere.transform import inverse_sht, sht
from stages.sphere.zonal import ZonalConvolution
from tests.sphere import fields

SIZE = 64


def equivariance_error(
    layer: Callable[[torch.Tensor], torch.Tensor], grid: str, longitude: float = 0
) -> float:
    """Relative L2 error, below the band limit, between turning first and turning after.

    10 smooth random fields without mean. `longitude` is where the layer puts its first sample.
    """
    truth = fields.coefficients(0, 10, 2, degrees=SIZE // 2, decay=2)
    truth[..., 0, :] = 0
    maps, turn = inverse_sht(truth, grid=grid), fields.rotations(0, 10, 1)
    place = about_z(torch.tensor(-longitude, dtype=torch.float64))
    with torch.no_grad():
        after = rotate_coefficients(sht(layer(maps), grid), place @ turn @ place.mT)
        before = sht(layer(rotate_maps(maps, turn, grid)), grid)
    return float((after - before).norm() / before.norm())


@pytest.mark.parametrize("grid", GRIDS)
def test_equivariance(grid: str) -> None:
    torch.manual_seed(0)
    convolution = ZonalConvolution(2, 2, SIZE, grid=grid, bias=False).double()
    assert equivariance_error(convolution, grid) < 1e-12
    assert equivariance_error(lambda maps: spectral_pool(maps, grid), grid) < 1e-12
    # a corner at zero has degrees above the limit, which sampling folds below it
    assert equivariance_error(lambda maps: convolution(maps).relu(), grid) < 1e-2
    # the other grid's cells lie half a cell south of their samples
    limit = 6e-2 if grid == "midpoint" else 12e-2
    assert equivariance_error(lambda maps: area_pool(maps, grid), grid) < limit


def test_pooling_in_pairs_turns_the_map() -> None:
    def pairs(maps: torch.Tensor) -> torch.Tensor:
        return area_pool(maps, centred=False)

    there, shifted = (equivariance_error(pairs, "midpoint", x) for x in (0, math.pi / SIZE))
    centred = equivariance_error(area_pool, "midpoint")
    assert shifted < there / 4
    assert centred < there / 4


def test_constants_stay() -> None:
    maps = torch.full((3, 16, 16), 2.5, dtype=torch.float64)
    for grid in GRIDS:
        found = [area_pool(maps, grid), area_pool(maps, grid, centred=False)]
        for pooled in (*found, spectral_pool(maps, grid)):
            assert pooled.shape == (3, 8, 8)
            assert (pooled - 2.5).abs().max() < 1e-14
        assert (area_mean(maps, grid) - 2.5).abs().max() < 1e-14


@pytest.mark.parametrize("grid", GRIDS)
def test_area_pool_is_a_weighted_mean(grid: str) -> None:
    maps = torch.randn(8, 8, dtype=torch.float64)
    weights = area_weights(8, grid)
    paired, centred = area_pool(maps, grid, centred=False), area_pool(maps, grid)
    for j, k in np.ndindex(4, 4):
        rows = [2 * j, 2 * j + 1]
        total = sum(weights[r] * (maps[r, 2 * k] + maps[r, 2 * k + 1]) for r in rows)
        assert math.isclose(paired[j, k], total / (2 * weights[rows].sum()), abs_tol=1e-14)
        near = [(2 * k - 1) % 8, 2 * k, 2 * k + 1]
        total = sum(weights[r] * (maps[r, near] @ maps.new_tensor([1, 2, 1])) for r in rows)
        assert math.isclose(centred[j, k], total / (4 * weights[rows].sum()), abs_tol=1e-14)


def test_spectral_pool_drops_the_upper_degrees() -> None:
    truth = fields.coefficients(1, 2, degrees=16)
    pooled = sht(spectral_pool(inverse_sht(truth)))
    assert (pooled - truth[:, :8, :8]).abs().max() < 1e-12


@pytest.mark.parametrize("grid", GRIDS)
def test_area_mean_approaches_the_integral(grid: str) -> None:
    # exp(z) over the sphere: sinh(1); the midpoint rule's error falls with 1/n^2, on the other
    # grid, whose cells reach south of their samples, with 1/n
    z = torch.cos(torch.pi * (torch.arange(256).double() + 0.5 * (grid == "midpoint")) / 256)
    found = area_mean(torch.exp(z)[:, None].expand(256, 256), grid)
    assert abs(found - math.sinh(1)) < (1e-4 if grid == "midpoint" else 2e-2)


def test_what_cannot_be_pooled() -> None:
    for pool in (spectral_pool, area_pool):
        with pytest.raises(UsageError, match="cannot be halved"):
            pool(torch.zeros(6, 6))
        with pytest.raises(InputError, match="no map"):
            pool(torch.zeros(8, 4))

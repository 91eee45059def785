"""The grids of the sphere: where samples are, which way they run, what they weigh."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import sph_harm_y

from stages.errors import UsageError
from stages.sphere.grids import (
    GRIDS,
    area_weights,
    colatitudes,
    directions,
    longitudes,
    quadrature_weights,
)


def test_angles_are_those_of_the_formulas() -> None:
    assert np.allclose(np.degrees(colatitudes(4, "midpoint")), [22.5, 67.5, 112.5, 157.5])
    assert np.allclose(np.degrees(colatitudes(4, "driscoll-healy")), [0, 45, 90, 135])
    assert np.allclose(np.degrees(longitudes(4)), [0, 90, 180, 270])
    assert np.allclose(colatitudes(64), [np.pi * (2 * j + 1) / 128 for j in range(64)], atol=1e-15)


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("n", [2, 6, 10, 64])
def test_directions_are_those_of_the_angles(n: int, grid: str) -> None:
    theta, phi = np.meshgrid(colatitudes(n, grid), longitudes(n), indexing="ij")
    expected = [np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)]
    assert np.allclose(directions(n, grid), np.stack(expected, -1), atol=4e-16 * n)


def test_the_grid_runs_from_up_and_from_right_to_back() -> None:
    d = directions(64)
    assert d[0, 0, 2] > 0.99
    assert d[63, 0, 2] < -0.99
    assert d[32, 0, 0] > 0.99  # longitude 0: +x, the object's left
    assert d[32, 16, 1] > 0.99  # a quarter further: +y, its back


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("n", [4, 12, 64])
def test_symmetries_are_exact(n: int, grid: str) -> None:
    d = directions(n, grid)
    quarter = np.stack([-d[..., 1], d[..., 0], d[..., 2]], -1)
    np.testing.assert_array_equal(quarter, np.roll(d, -n // 4, 1))
    mirrored = np.stack([d[..., 0], -d[..., 1], d[..., 2]], -1)
    np.testing.assert_array_equal(mirrored, np.roll(d[:, ::-1], 1, 1))
    if grid == "midpoint":
        np.testing.assert_array_equal(d * [1, 1, -1], d[::-1])
    if n % 8 == 0:  # the diagonals x = y
        np.testing.assert_array_equal(d[:, n // 8, 0], d[:, n // 8, 1])


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("n", [2, 8, 64])
def test_quadrature_is_exact_below_n(n: int, grid: str) -> None:
    weights = quadrature_weights(n, grid)
    assert weights.sum() * n == pytest.approx(4 * np.pi, rel=1e-13)
    theta = colatitudes(n, grid)
    for degree in range(n):  # zonal ones: the others integrate to nothing along the rows
        samples = sph_harm_y(degree, 0, theta, 0).real
        expected = np.sqrt(4 * np.pi) if degree == 0 else 0
        assert (weights * samples).sum() * n == pytest.approx(expected, abs=1e-11)


@pytest.mark.parametrize("grid", GRIDS)
def test_area_weights_are_proportional_to_the_areas(grid: str) -> None:
    n = 16
    edges = np.arccos(np.clip(np.cos(np.pi * np.arange(n + 1) / n), -1, 1))
    areas = np.cos(edges[:-1]) - np.cos(edges[1:])
    weights = area_weights(n, grid)
    assert np.allclose(weights / weights.sum(), areas / areas.sum(), atol=1e-15)
    first_cell_from = colatitudes(n, grid)[0] - (np.pi / (2 * n) if grid == "midpoint" else 0)
    assert first_cell_from == pytest.approx(0, abs=1e-15)


def test_grids_that_cannot_be() -> None:
    for n, grid in ((64, "healpix"), (7, "midpoint"), (0, "midpoint"), (-2, "driscoll-healy")):
        with pytest.raises(UsageError) as caught:
            colatitudes(n, grid)
        assert caught.value.hint

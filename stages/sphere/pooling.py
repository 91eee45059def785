"""Coarser maps, and one number per map.

`spectral_pool` commutes with rotations; `area_pool` nearly does, keeps what is local (a maximum, a
corner) where it is, and is what the released configuration of Esteves et al. (2018) uses.
"""

from __future__ import annotations

import numpy as np
import torch

from stages.errors import UsageError
from stages.sphere import checks
from stages.sphere.grids import area_weights
from stages.sphere.tables import table
from stages.sphere.transform import inverse_sht, sht


def spectral_pool(maps: torch.Tensor, grid: str = "midpoint") -> torch.Tensor:
    """Maps (..., n/2, n/2) of the part of maps (..., n, n) below degree n/4. n divides by 4."""
    n = _halvable(maps, grid)
    return resampled(maps, n // 2, grid)


def resampled(maps: torch.Tensor, size: int, grid: str = "midpoint") -> torch.Tensor:
    """Maps (..., size, size) of the part of finer maps (..., n, n) below degree size/2."""
    return inverse_sht(sht(maps, grid, size // 2), size, grid)


def area_pool(maps: torch.Tensor, grid: str = "midpoint", centred: bool = True) -> torch.Tensor:
    """Maps (..., n/2, n/2): averages over neighbours, each weighed by the area of its cell.

    Two rows, and three columns with weights 1/4, 1/2, 1/4 around the longitude of the coarse
    sample; with `centred=False` the 2 x 2 samples of the authors' code. That average lies half a
    cell, pi/n, past the longitude it is stored at: the map comes out turned by -pi/n about z, which
    is most of the method's error of equivariance, and correlations of such maps find
    Rz(-pi/n) R Rz(pi/n) instead of R. (`stages.sphere.alignment.unshift` makes up for that.) On the
    Driscoll-Healy grid both also lie half a cell south, which no rotation makes up for.

    Divided by the sum of the same weights, so that a constant stays that constant; the authors'
    code divides by the coarse weights, which makes it cos(pi / (2n)) times as large.
    """
    n = _halvable(maps, grid)
    weights = _pair_weights(n, grid, like=maps)  # (n, 1), the two of each pair sum to 1
    rows = (maps * weights).unflatten(-2, (n // 2, 2)).sum(-2)  # (..., n/2, n)
    even, odd = rows[..., ::2], rows[..., 1::2]
    return even / 2 + (odd + odd.roll(1, -1)) / 4 if centred else (even + odd) / 2


def area_mean(maps: torch.Tensor, grid: str = "midpoint") -> torch.Tensor:
    """(...) averages of maps (..., n, n) over the sphere, by area; of a constant, that constant."""
    n = checks.grid_size(maps, grid)
    return maps.mean(-1) @ _row_weights(n, grid, like=maps)


def _halvable(maps: torch.Tensor, grid: str) -> int:
    n = checks.grid_size(maps, grid)
    if n % 4:
        raise UsageError(f"maps of {n} x {n} cannot be halved", "use a size that divides by 4")
    return n


@table
def _pair_weights(n: int, grid: str) -> np.ndarray:
    pairs = area_weights(n, grid).reshape(-1, 2)
    return (pairs / pairs.sum(1, keepdims=True)).reshape(n, 1)


@table
def _row_weights(n: int, grid: str) -> np.ndarray:
    weights = area_weights(n, grid)
    return weights / weights.sum()

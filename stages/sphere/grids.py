"""The n x n equirectangular grids of the sphere: where their samples are and what each weighs.

Arrays on the sphere are [colatitude, longitude]. Colatitude theta is measured from +z, longitude
phi from +x towards +y, and the direction of a sample is

    (sin(theta) cos(phi), sin(theta) sin(phi), cos(theta)),   phi_k = 2 pi k / n.

- "midpoint": theta_j = pi (2j + 1) / (2n), the grid of SOFT and of s2cnn (Cohen et al. 2018); no
  sample is at a pole, and the grid is its own mirror image in the equator. The default.
- "driscoll-healy": theta_j = pi j / n, the grid of Driscoll and Healy (1994) and of the code of
  Esteves et al. (2018); row 0 is the north pole n times, the south pole is not there.

Both hold functions of degrees below n / 2 without loss. n is even.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from stages.errors import UsageError

Grid = Literal["midpoint", "driscoll-healy"]
GRIDS: tuple[Grid, ...] = ("midpoint", "driscoll-healy")


def colatitudes(n: int, grid: str = "midpoint") -> np.ndarray:
    """(n,) float64 radians from +z, ascending. Raises UsageError for an unknown or odd grid."""
    return _steps(n, grid) * np.pi / (2 * n)


def longitudes(n: int) -> np.ndarray:
    """(n,) float64 radians from +x towards +y: 0 to just below 2 pi."""
    return 2 * np.pi * np.arange(n) / n


def directions(n: int, grid: str = "midpoint") -> np.ndarray:
    """(n, n, 3) float64 unit vectors [colatitude, longitude].

    Signs and order of x, y, z under the symmetries of the grid are exact: a quarter turn about z
    or a mirror image takes every direction to another to the last bit.
    """
    cos_theta, sin_theta = colatitude_circle(n, grid)
    cos_phi, sin_phi = longitude_circle(n)
    out = np.empty((n, n, 3))
    out[..., 0] = sin_theta[:, None] * cos_phi
    out[..., 1] = sin_theta[:, None] * sin_phi
    out[..., 2] = cos_theta[:, None]
    return out


def colatitude_circle(n: int, grid: str = "midpoint") -> tuple[np.ndarray, np.ndarray]:
    """Cosine and sine of `colatitudes`, (n,) float64 each, symmetric to the last bit."""
    return _circle(_steps(n, grid), 4 * n)


def longitude_circle(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Cosine and sine of `longitudes`, (n,) float64 each, symmetric to the last bit."""
    return _circle(np.arange(n), n)


def quadrature_weights(n: int, grid: str = "midpoint") -> np.ndarray:
    """(n,) float64 weight of each sample of a row; the sum over all n x n samples is 4 pi.

    `sum(w_j f_jk)` is the integral over the sphere, exact for degrees below n (Driscoll and Healy
    1994, for either grid):  w_j = 8 pi / n^2 sin(theta_j) sum_{l < n/2} sin((2l+1) theta_j)/(2l+1).
    """
    theta = colatitudes(n, grid)
    odd = np.arange(1, n, 2)
    series = (np.sin(odd * theta[:, None]) / odd).sum(1)
    return 8 * np.pi / n**2 * np.sin(theta) * series


def area_weights(n: int, grid: str = "midpoint") -> np.ndarray:
    """(n,) float64 sine of the colatitude at the centre of each row of cells.

    Proportional to the areas of the cells, whose largest is about 1. The cell of sample j reaches
    over pi / n of colatitude: on the midpoint grid around the sample, on the Driscoll-Healy grid
    from the sample on, so that no row weighs nothing. For averages and losses; integrals need
    `quadrature_weights`.
    """
    _steps(n, grid)
    return np.sin(np.pi * (np.arange(n) + 0.5) / n)


def _steps(n: int, grid: str) -> np.ndarray:
    """(n,) whole numbers: the colatitudes in units of 1 / (4n) of a turn."""
    if grid not in GRIDS:
        raise UsageError(f"grid {grid!r} is unknown", f"use one of {' '.join(GRIDS)}")
    if n < 2 or n % 2:
        raise UsageError(f"a grid of {n} x {n} has no whole band limit", "use an even size")
    return 2 * np.arange(n) + (grid == "midpoint")


def _circle(part: np.ndarray, whole: int) -> tuple[np.ndarray, np.ndarray]:
    """Cosine and sine of `part / whole` turns, exact under every symmetry of the square."""
    octant, rest = np.divmod(8 * (part % whole), whole)
    angle = np.pi / 4 * np.where(octant % 2, whole - rest, rest) / whole  # 0 to pi / 4
    cosine, sine = np.cos(angle), np.sin(angle)
    # An eighth of a turn is on the diagonal, where both are to be the same number.
    sine = np.where(angle == np.pi / 4, cosine, sine)
    swapped = np.isin(octant, (1, 2, 5, 6))
    cosine, sine = np.where(swapped, sine, cosine), np.where(swapped, cosine, sine)
    return (
        np.where(np.isin(octant, (2, 3, 4, 5)), -cosine, cosine),
        np.where(np.isin(octant, (4, 5, 6, 7)), -sine, sine),
    )

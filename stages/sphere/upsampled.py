"""Relative rotation the way the paper's code finds it: upsampled maps, best point of the grid.

Feature maps of 16 x 16 are enlarged fourfold by MATLAB's bicubic interpolation, transformed, and
the largest of 64^3 correlations is taken (equivariant embeddings, 3.2.3). For comparison with the
paper: `stages.sphere.alignment` needs no enlarging, since the harmonics of the coarse map already
are a function between the samples, and finds the peak between the points of the grid.
"""

from __future__ import annotations

import math

import numpy as np
import torch

from stages.sphere import checks
from stages.sphere.alignment import Alignment, align, unshift
from stages.sphere.tables import table
from stages.sphere.transform import sht

FACTOR = 4


def upsample_bicubic(maps: torch.Tensor, factor: int = FACTOR) -> torch.Tensor:
    """(..., factor h, factor w) cubic convolution of (..., h, w), as MATLAB's imresize.

    Keys' kernel with a = -0.5 (torch's own has -0.75); output sample i is at (i + 1/2)/factor - 1/2
    of the input; the edges are repeated. Both axes alike: longitude does not wrap around.
    """
    rows = _bicubic(maps.shape[-2], factor, like=maps)
    columns = _bicubic(maps.shape[-1], factor, like=maps)
    return rows @ maps @ columns.T


def align_upsampled(
    f: torch.Tensor, g: torch.Tensor, factor: int = FACTOR, longitude: float = 0.0
) -> Alignment:
    """The grid rotation R with f(x) = g(R^-1 x) nearly, from midpoint maps (..., C, n, n).

    Half-pixel sampling puts the first sample of an enlarged row at longitude

        d = (2 pi / n) (1 / (2 factor) - 1/2),    -8.4 degrees for 16 x 16 and a factor of 4,

    from where the map's is, which turns both maps by -d about z, so that the correlation finds
    Rz(-d) R Rz(d). That is undone here. (In colatitude, half-pixel sampling takes midpoint grids to
    midpoint grids.) `longitude` is where the maps' own first sample is, in radians: after 2 x 2
    pooling by the same factor it is -d, and nothing is left to undo. Maps on the Driscoll-Healy
    grid are read as midpoint maps, as the authors do: a little less accurate.

    Raises InputError for what is no map, for maps with NaN and for channels that do not match.
    """
    n = checks.grid_size(f)
    for maps in (f, g):
        checks.finite(maps, "the maps")
    coefficients = [sht(upsample_bicubic(maps, factor)) for maps in (f, g)]
    found = align(coefficients[0], coefficients[1], bandwidth=factor * n // 2, starts=0)
    shift = 2 * math.pi / n * (0.5 / factor - 0.5)
    return Alignment(unshift(found.rotation, longitude + shift), found.score)


@table
def _bicubic(size: int, factor: int) -> np.ndarray:
    """(factor size, size) interpolation matrix."""
    places = (np.arange(factor * size) + 0.5) / factor - 0.5
    first = np.floor(places).astype(int) - 1
    out = np.zeros((factor * size, size))
    for tap in range(4):
        at = first + tap
        np.add.at(out, (np.arange(len(out)), at.clip(0, size - 1)), _keys(places - at))
    return out


def _keys(x: np.ndarray) -> np.ndarray:
    """Keys' cubic convolution kernel (1981), a = -0.5, for |x| < 2."""
    x = np.abs(x)
    near, far = (1.5 * x - 2.5) * x**2 + 1, ((-0.5 * x + 2.5) * x - 4) * x + 2
    return np.where(x <= 1, near, far)

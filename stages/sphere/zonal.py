"""Convolution on the sphere with zonal filters (Esteves et al. 2018), in the harmonic domain.

    (f * k)^l_m = 2 pi sqrt(4 pi / (2l + 1)) f^l_m k^l_0,

which is (f * k)(x) = 2 pi int f(y) k(<x, y>) dy: equation 1 of the equivariant embeddings paper,
int_{SO(3)} f(R n) k(R^-1 x) dR with n the north pole and a Haar measure of total mass 8 pi^2. It
commutes with every rotation, exactly for functions of degrees below n/2.

Letters: B batch, C channels in, O channels out, L degrees, A anchors.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import nn

from stages.errors import InputError, UsageError
from stages.sphere import checks
from stages.sphere.grids import colatitudes
from stages.sphere.tables import table
from stages.sphere.transform import analyse, synthesise

ANCHORS = 8


class ZonalConvolution(nn.Module):
    """Maps (B, C, n, n) to (B, O, n, n), with one zonal filter per pair of channels.

    A filter's spectrum is given at `anchors` degrees, evenly spaced from 0 to n/2 - 1, and linear
    in between: smooth spectra are localised filters, and their number does not grow with n. Never
    more anchors than degrees; `anchors=None` gives every degree its own weight.

    `out_size` inverts on a coarser grid: what is left is the part below degree out_size/2, so this
    is a convolution and a `spectral_pool` for the price of less than one.

    Weights (A, C, O) start as a normal distribution of deviation 2 / (2 pi sqrt(n/2 C)), cut off at
    two deviations, as in the authors' code; the bias, one number per output channel, starts at 0.
    Runs in full precision under autocast; bfloat16 inputs give float32.
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        n: int,
        *,
        grid: str = "midpoint",
        anchors: int | None = ANCHORS,
        bias: bool = True,
        out_size: int | None = None,
    ) -> None:
        super().__init__()
        self.n, self.grid, self.out_size = n, grid, out_size or n
        colatitudes(n, grid)  # complains of odd sizes and unknown grids
        if anchors is not None and anchors < 1:
            raise UsageError(f"a filter cannot have {anchors} anchors", "give 1 or more, or None")
        if self.out_size > n:
            raise UsageError(
                f"a convolution cannot go from {n} to {out_size} samples", "give out_size <= n"
            )
        limit = n // 2
        count = limit if anchors is None else min(anchors, limit)
        deviation = 2 / (2 * math.pi * math.sqrt(limit * channels_in))
        self.weight = nn.Parameter(torch.empty(count, channels_in, channels_out))
        nn.init.trunc_normal_(self.weight, std=deviation, a=-2 * deviation, b=2 * deviation)
        self.bias = nn.Parameter(torch.zeros(channels_out)) if bias else None

    def spectrum(self, limit: int | None = None) -> torch.Tensor:
        """(L, C, O) zonal coefficients k^l_0 of the filters, for the lowest `limit` degrees."""
        anchors = len(self.weight)
        weights = _interpolation(self.n // 2, anchors, like=self.weight)[:limit]
        return (weights @ self.weight.reshape(anchors, -1)).view(-1, *self.weight.shape[1:])

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        wanted = (self.weight.shape[1], self.n, self.n)
        checks.grid_size(maps, self.grid)
        if maps.ndim != 4 or maps.shape[1:] != wanted:
            raise InputError(
                f"a convolution of (batch, {wanted[0]}, {self.n}, {self.n}) got "
                f"{tuple(maps.shape)}",
                "build it for that size and number of channels",
            )
        (batch, channels), limit = maps.shape[:2], self.out_size // 2
        with torch.autocast(maps.device.type, enabled=False):
            packed = analyse(maps.reshape(-1, self.n, self.n), self.grid, limit)  # (m, l, 2, B C)
            packed = packed.view(limit, limit, 2, batch, channels)
            factors = self.spectrum(limit) * _factors(limit, like=self.weight)  # (L, C, O)
            # Channels are summed before the inverse: O inverse transforms instead of C times O.
            mixed = torch.einsum("mlrbc,lco->mlrbo", packed, factors)
            if self.bias is not None:  # the constant 1 is sqrt(4 pi) Y_00
                mixed[0, 0, 0] += math.sqrt(4 * math.pi) * self.bias
            out = synthesise(mixed.flatten(-2), self.out_size, self.grid)
        return out.view(batch, -1, self.out_size, self.out_size)

    def extra_repr(self) -> str:
        anchors, channels_in, channels_out = self.weight.shape
        return f"{channels_in}, {channels_out}, n={self.n}, anchors={anchors}, grid={self.grid}"


@table
def _factors(limit: int) -> np.ndarray:
    """(L, 1, 1) 2 pi sqrt(4 pi / (2l + 1))."""
    return 2 * np.pi * np.sqrt(4 * np.pi / (2 * np.arange(limit) + 1))[:, None, None]


@table
def _interpolation(limit: int, anchors: int) -> np.ndarray:
    """(L, A) linear interpolation over the degrees, the first anchor at 0, the last at L - 1."""
    places = np.linspace(0, limit - 1, anchors)
    degrees = np.arange(limit)
    return np.stack([np.interp(degrees, places, row) for row in np.eye(anchors)], 1)

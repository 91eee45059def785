"""The real spherical harmonic transform and its inverse on the grids of `stages.sphere.grids`.

    f(theta, phi) = sum_{l < L} sum_{|m| <= l} c_lm Y_lm(theta, phi),
    c_lm = sum_jk w_j f(theta_j, phi_k) conj(Y_lm(theta_j, phi_k)),

with orthonormal complex harmonics (`stages.sphere.legendre`) and the quadrature weights of the
grid, exact for f of degrees below L = n/2 (Driscoll and Healy 1994, theorem 3). f is real, so
c_{l,-m} = (-1)^m conj(c_lm) and only m >= 0 is kept.

Coefficients are complex (..., L, L) [degree l, order m], zero for m > l; those of order 0 are real.
What the inverse is given beyond that (m > l, the imaginary part at m = 0) it does not see.

Over the longitudes both directions are a fast Fourier transform, over the colatitudes one dense
product per order. Each is the other's transpose up to weights, which is how gradients are made.

Letters: n grid size, L degrees.
"""

from __future__ import annotations

import numpy as np
import torch

from stages.errors import UsageError
from stages.sphere import checks
from stages.sphere.grids import colatitudes, quadrature_weights
from stages.sphere.legendre import associated_legendre
from stages.sphere.tables import table

HALF = (torch.float16, torch.bfloat16)
PART = 64  # maps


def sht(maps: torch.Tensor, grid: str = "midpoint", degrees: int | None = None) -> torch.Tensor:
    """Complex (..., L, L) coefficients of real maps (..., n, n); L is n/2, or `degrees` if lower.

    Differentiable. Raises InputError for tensors that are no such maps, UsageError for a grid or
    number of degrees that does not exist.
    """
    n = checks.grid_size(maps, grid)
    packed = analyse(maps.reshape(-1, n, n), grid, degrees)  # (m, l, 2, M)
    coefficients = torch.complex(*packed.unbind(2)).permute(2, 1, 0)  # (M, l, m)
    return coefficients.reshape(*maps.shape[:-2], *coefficients.shape[1:])


def inverse_sht(
    coefficients: torch.Tensor, n: int | None = None, grid: str = "midpoint"
) -> torch.Tensor:
    """Real maps (..., n, n) of complex coefficients (..., L, L); n is 2 L unless given.

    A finer grid shows the same function; a coarser one what is left of it below degree n/2.
    Differentiable. Raises InputError and UsageError as `sht`.
    """
    count = checks.degrees(coefficients)
    flat = coefficients.reshape(-1, count, count).permute(2, 1, 0)  # (m, l, M)
    packed = torch.view_as_real(flat.resolve_conj()).movedim(-1, 2)
    maps = synthesise(packed, 2 * count if n is None else n, grid)
    return maps.reshape(*coefficients.shape[:-2], *maps.shape[1:])


def analyse(maps: torch.Tensor, grid: str, degrees: int | None = None) -> torch.Tensor:
    """(L, L, 2, M) real [order, degree, real or imaginary part, map] coefficients of (M, n, n).

    The layout that the products leave behind and that layers work on without a copy.
    """
    if maps.dtype in HALF:  # three digits are not a transform
        maps = maps.float()
    n = maps.shape[-1]
    return _Analysis.apply(maps, _analysis(n, grid, _limit(n, degrees), like=maps))


def synthesise(packed: torch.Tensor, n: int, grid: str) -> torch.Tensor:
    """(M, n, n) maps of coefficients (L, L, 2, M) laid out as by `analyse`."""
    limit = min(len(packed), _limit(n, None))
    kept = packed if limit == len(packed) else packed[:limit, :limit]
    return _Synthesis.apply(kept, _synthesis(n, grid, limit, like=packed))


class _Analysis(torch.autograd.Function):
    """y_lm = sum_j T_mlj sum_k f_jk e^{-i m phi_k} for maps (M, n, n) and a table T (m, l, n)."""

    @staticmethod
    def forward(ctx, maps, legendre):
        ctx.save_for_backward(legendre)
        return torch.cat([_to_degrees(part, legendre) for part in _parts(maps, 0)], -1)

    @staticmethod
    def backward(ctx, grad):
        (legendre,) = ctx.saved_tensors
        return _Synthesis.apply(grad, legendre / _folds(legendre)), None


class _Synthesis(torch.autograd.Function):
    """f_jk = sum_m fold_m Re(e^{i m phi_k} sum_l T_mlj c_lm): the transpose but for the fold.

    The fold, 2 for m > 0, stands for the orders below zero.
    """

    @staticmethod
    def forward(ctx, packed, legendre):
        ctx.save_for_backward(legendre)
        return torch.cat([_to_rows(part, legendre) for part in _parts(packed, -1)])

    @staticmethod
    def backward(ctx, grad):
        (legendre,) = ctx.saved_tensors
        return _Analysis.apply(grad, legendre * _folds(legendre)), None


def _parts(values: torch.Tensor, dim: int) -> tuple[torch.Tensor, ...]:
    """Slices along the axis of maps: on a CPU, what is made of one stays in the cache."""
    return values.split(PART, dim) if values.device.type == "cpu" else (values,)


def _to_degrees(maps: torch.Tensor, legendre: torch.Tensor) -> torch.Tensor:
    (count, n, _), limit = maps.shape, len(legendre)
    spectrum = torch.view_as_real(torch.fft.rfft(maps)).reshape(count * n, n + 2)
    # One plain transposition, (M n, m 2) to (m 2, M n), makes it ready for one product per order.
    rows = spectrum.T.contiguous()[: 2 * limit].view(limit, 2 * count, n)
    with torch.autocast(maps.device.type, enabled=False):
        return (legendre @ rows.mT).view(limit, limit, 2, count)


def _to_rows(packed: torch.Tensor, legendre: torch.Tensor) -> torch.Tensor:
    (limit, _, _, count), n = packed.shape, legendre.shape[-1]
    rows = packed.new_empty(n + 2, count * n)  # (m 2, M n), orders up to n / 2
    rows[2 * limit :] = 0
    used = rows[: 2 * limit].view(limit, 2 * count, n)
    with torch.autocast(packed.device.type, enabled=False):
        torch.bmm(packed.reshape(limit, limit, 2 * count).mT, legendre, out=used)
    spectrum = torch.view_as_complex(rows.T.contiguous().view(count, n, n // 2 + 1, 2))
    return torch.fft.irfft(spectrum, n=n, norm="forward")


def _folds(legendre: torch.Tensor) -> torch.Tensor:
    """(m, 1, 1): 1 for order 0, 2 for the others."""
    folds = torch.full_like(legendre[:, :1, :1], 2)
    folds[0] = 1
    return folds


def _limit(n: int, degrees: int | None) -> int:
    if degrees is not None and not 1 <= degrees <= n // 2:
        raise UsageError(
            f"a grid of {n} x {n} holds degrees below {n // 2}, not {degrees}",
            f"ask for 1 to {n // 2} degrees",
        )
    return n // 2 if degrees is None else degrees


@table
def _analysis(n: int, grid: str, limit: int) -> np.ndarray:
    """(L, L, n) [m, l, j] P_lm times the quadrature weight."""
    return associated_legendre(limit, colatitudes(n, grid)) * quadrature_weights(n, grid)


@table
def _synthesis(n: int, grid: str, limit: int) -> np.ndarray:
    """(L, L, n) [m, l, j] P_lm."""
    return associated_legendre(limit, colatitudes(n, grid))

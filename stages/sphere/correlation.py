"""Cross-correlation of functions on the sphere over all rotations.

    corr(R) = sum_ch int f_ch(x) g_ch(R^-1 x) dx = <f, Lambda_R g>
            = sum_l sum_mn e^{i m alpha} d^l_mn(beta) e^{i n gamma} sum_ch f^l_m conj(g^l_n),

equation 7 of the equivariant embeddings paper; it peaks at R where f = Lambda_R g, that is,
f(x) = g(R^-1 x). On the SOFT grid of Euler angles (Kostelec and Rockmore 2008),

    alpha_i = gamma_i = 2 pi i / (2 B),   beta_j = pi (2 j + 1) / (4 B),   R = Rz Ry Rz,

one product with a table of d per (m, n) and a two-dimensional Fourier transform give all (2B)^3
values. With B = 32 the nearest of them is up to 3.8 degrees away; `stages.sphere.alignment` finds
the peak between them.

Letters: C channels, L degrees, B bandwidth of the grid (not the batch), N = 2 B.
"""

from __future__ import annotations

import numpy as np
import torch

from stages.errors import InputError, UsageError
from stages.geometry.rotations import euler_zyz
from stages.sphere import checks
from stages.sphere.grids import colatitudes
from stages.sphere.rotation import rotate_coefficients
from stages.sphere.tables import table
from stages.sphere.wigner import wigner_d


def correlate(f: torch.Tensor, g: torch.Tensor, bandwidth: int | None = None) -> torch.Tensor:
    """Real (..., N, N, N) [beta, alpha, gamma] correlation of coefficients (..., C, L, L) over R.

    Leading axes broadcast; channels are summed. `bandwidth` B is L unless given and not below L; a
    larger one shows the same function on a finer grid. Differentiable. Raises InputError for
    tensors that are no such coefficients, UsageError for a bandwidth below L.
    """
    check_pair(f, g)
    limit, bandwidth = f.shape[-1], bandwidth or f.shape[-1]
    if bandwidth < limit:
        raise UsageError(
            f"{limit} degrees do not fit a correlation of bandwidth {bandwidth}",
            f"give a bandwidth of at least {limit}",
        )
    f, g = torch.broadcast_tensors(f, g)
    columns = _products(f, g)
    with torch.autocast(f.device.type, enabled=False):
        values = _wigner_table(limit, bandwidth, like=columns) @ columns  # (m n, beta, b 4)
    values = values.view(limit, limit, 2 * bandwidth, -1, 2, 2)
    # Orders -m see beta from the other side: d_{-m,n}(beta) = (-1)^{l-n} d_{m,n}(pi - beta).
    above, below = values[..., 0, :], values[1:, :, :, :, 1, :].flip(0, 2)
    gap = above.new_zeros(2 * bandwidth + 1 - 2 * limit, *above.shape[1:])
    orders = torch.cat([above, gap, below])  # (m as the transform wants it, n, beta, b, 2)
    spectrum = torch.view_as_complex(orders.permute(3, 2, 0, 1, 4).contiguous())
    spectrum = torch.fft.ifft(spectrum, dim=-2, norm="forward")  # (b, beta, alpha, n)
    volume = torch.fft.irfft(spectrum, n=2 * bandwidth, norm="forward")
    return volume.view(*f.shape[:-3], *volume.shape[1:])


def correlation_at(f: torch.Tensor, g: torch.Tensor, rotations: torch.Tensor) -> torch.Tensor:
    """(...) corr(R) at any rotations (..., 3, 3); leading axes broadcast. Differentiable."""
    check_pair(f, g)
    return inner(f, rotate_coefficients(g, rotations[..., None, :, :])).sum(-1)


def inner(f: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
    """(...) integrals of f g over the sphere, from coefficients (..., L, L)."""
    products = f.real * g.real + f.imag * g.imag
    return 2 * products.sum((-2, -1)) - products[..., 0].sum(-1)


def grid_rotations(bandwidth: int) -> np.ndarray:
    """(N, N, N, 3, 3) float64 rotations [beta, alpha, gamma] of the SOFT grid."""
    n = 2 * bandwidth
    turn = 2 * np.pi * np.arange(n) / n
    beta, alpha, gamma = np.meshgrid(colatitudes(n), turn, turn, indexing="ij")
    return euler_zyz(alpha, beta, gamma)


def rotation_at(index: torch.Tensor, bandwidth: int, dtype: torch.dtype) -> torch.Tensor:
    """(..., 3, 3) rotations at flat indices (...) into volumes (N, N, N)."""
    n = 2 * bandwidth
    beta, alpha, gamma = (part.to(dtype) for part in (index // n**2, index // n % n, index % n))
    step = 2 * torch.pi / n
    return euler_zyz(alpha * step, (beta + 0.5) * step / 2, gamma * step)


def without_mean(coefficients: torch.Tensor) -> torch.Tensor:
    """The coefficients with degree 0 set to zero."""
    return torch.cat([torch.zeros_like(coefficients[..., :1, :]), coefficients[..., 1:, :]], dim=-2)


def check_pair(f: torch.Tensor, g: torch.Tensor) -> None:
    """Raises InputError unless both are coefficients (..., C, L, L) of the same C, L and type."""
    checks.degrees(f)
    if min(f.ndim, g.ndim) < 3 or f.shape[-3:] != g.shape[-3:] or f.dtype != g.dtype:
        raise InputError(
            f"features of {tuple(f.shape)} {f.dtype} and {tuple(g.shape)} {g.dtype} do not match",
            "both need the same channels, degrees and precision: (..., channels, L, L)",
        )


def _products(f: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
    """(L L, L, b 4) [m n, l, batch and part]: sum_ch f^l_m conj(g^l_n) at orders m, then at -m.

    Only m, n >= 0: with S = sum_ch f_m conj(g_n) and Q = sum_ch f_m g_n, order (m, n) is S, and
    (-m, n) is (-1)^m conj(Q). The latter times (-1)^(l-n), see `correlate`.
    """
    (channels, limit, _), count = f.shape[-3:], f[..., 0, 0, 0].numel()

    def by_degree(values: torch.Tensor) -> torch.Tensor:  # (b l, 2 order, C)
        parts = torch.view_as_real(values.resolve_conj())  # (..., C, l, order, 2)
        parts = parts.reshape(count, channels, limit, limit, 2).permute(0, 2, 4, 3, 1)
        return parts.reshape(count * limit, 2 * limit, channels)

    with torch.autocast(f.device.type, enabled=False):
        blocks = by_degree(f) @ by_degree(g).mT
    blocks = blocks.view(count, limit, 2, limit, 2, limit)
    rr, ri, ir, ii = (blocks[:, :, i, :, j] for i in (0, 1) for j in (0, 1))  # (b, l, m, n)
    sign = _signs(limit, like=rr)
    parts = [rr + ii, ir - ri, sign * (rr - ii), -sign * (ir + ri)]
    return torch.stack(parts, -1).permute(2, 3, 1, 0, 4).reshape(limit * limit, limit, 4 * count)


@table
def _signs(limit: int) -> np.ndarray:
    l, m, n = np.ogrid[:limit, :limit, :limit]  # noqa: E741
    return (-1.0) ** (l + m + n)


@table
def _wigner_table(limit: int, bandwidth: int) -> np.ndarray:
    """(L L, N, L) [m n, beta, l] d^l_mn(beta) for m, n >= 0."""
    beta = colatitudes(2 * bandwidth)
    out = np.zeros((limit, limit, len(beta), limit))
    for degree in range(limit):
        d = wigner_d(degree, beta)[:, degree:, degree:]  # (beta, m, n)
        out[: degree + 1, : degree + 1, :, degree] = d.transpose(1, 2, 0)
    return out.reshape(limit * limit, len(beta), limit)

"""Rotating functions on the sphere: (Lambda_R f)(x) = f(R^-1 x), in the harmonic domain.

    (Lambda_R f)_lm = sum_n D^l_mn(R) f_ln,    R = Rz(alpha) Ry(beta) Rz(gamma).

Rz only multiplies by phases, and Ry(beta) is Rz(beta) between two quarter turns about y, whose
matrices are the same for every rotation:

    D(R) = e^{-i m (alpha - q)} d(-q) e^{-i k beta} d(q) e^{-i n (gamma + q)},    q = pi/2.

So a batch of rotations costs two products with constant matrices. Coefficients are laid out as in
`stages.sphere.transform`: m >= 0 of real functions.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from stages.sphere import checks
from stages.sphere.tables import table
from stages.sphere.transform import inverse_sht, sht
from stages.sphere.wigner import euler_angles, wigner_d


def rotate_maps(
    maps: torch.Tensor, rotations: torch.Tensor, grid: str = "midpoint"
) -> torch.Tensor:
    """Maps (..., n, n) of Lambda_R f, for the part of f below degree n/2.

    Leading axes of maps and rotations (..., 3, 3) broadcast: `rotations[:, None]` turns all
    channels of an item alike. Differentiable in both. Raises InputError for maps with NaN and for
    matrices that are no rotations.
    """
    checks.grid_size(maps, grid)
    checks.finite(maps, "the maps")
    return inverse_sht(rotate_coefficients(sht(maps, grid), rotations), maps.shape[-1], grid)


def rotate_coefficients(coefficients: torch.Tensor, rotations: torch.Tensor) -> torch.Tensor:
    """Complex (..., L, L) coefficients of Lambda_R f; leading axes broadcast.

    Differentiable in the coefficients and in the rotations: the latter's gradient is the one along
    SO(3), and well defined everywhere, also where Euler angles are not. Raises InputError for
    what is no coefficients or no rotations.
    """
    limit = checks.degrees(coefficients)
    checks.rotations(rotations)
    shape = torch.broadcast_shapes(coefficients.shape[:-2], rotations.shape[:-2])
    real = coefficients.dtype.to_real()
    return _Rotate.apply(
        coefficients.expand(*shape, limit, limit), rotations.to(real).expand(*shape, 3, 3)
    )


def generators(coefficients: torch.Tensor) -> torch.Tensor:
    """(3, ..., L, L): the derivatives of Lambda_exp(omega) f by omega_x, omega_y, omega_z at 0.

    -i J_x f, -i J_y f and -i J_z f with the angular momentum operators: real functions again.
    """
    limit = coefficients.shape[-1]
    rise = _ladder(limit, like=coefficients.real)  # (L, L + 1) sqrt((l - m + 1)(l + m))
    padded = F.pad(coefficients, (0, 1))
    # c_-1 = -conj(c_1) stands below order 0.
    below = torch.cat([-padded[..., 1:2].conj(), coefficients[..., :-1]], -1)
    up, down = rise[:, :-1] * below, rise[:, 1:] * padded[..., 1:]  # J_+ f, J_- f
    m = torch.arange(limit, device=rise.device, dtype=rise.dtype)
    return torch.stack([-0.5j * (up + down), (down - up) / 2, -1j * m * coefficients])


class _Rotate(torch.autograd.Function):
    """Coefficients (..., L, L) and rotations (..., 3, 3) of the same leading axes."""

    @staticmethod
    def forward(ctx, coefficients, rotations):
        turned = _turn(coefficients, rotations)
        ctx.save_for_backward(rotations, turned)
        return turned

    @staticmethod
    def backward(ctx, grad):
        rotations, turned = ctx.saved_tensors
        by_coefficients = by_rotations = None
        if ctx.needs_input_grad[0]:
            # D is orthogonal where every order counts; of those kept, each m > 0 counts twice.
            folds = _folds(grad.shape[-1], like=rotations)
            by_coefficients = folds * _Rotate.apply(grad / folds, rotations.mT)
        if ctx.needs_input_grad[1]:
            # R -> exp(omega) R moves R by [omega] R and the result by omega . generators.
            moved = generators(turned)
            omega = (moved.real * grad.real + moved.imag * grad.imag).sum((-2, -1))  # (3, ...)
            by_rotations = _cross_matrix(omega.movedim(0, -1)) @ rotations / 2
        return by_coefficients, by_rotations


def _turn(coefficients: torch.Tensor, rotations: torch.Tensor) -> torch.Tensor:
    limit = coefficients.shape[-1]
    alpha, beta, gamma = euler_angles(rotations)
    m = torch.arange(limit, dtype=rotations.dtype, device=rotations.device)
    quarter = _quarter_turns(limit, like=rotations)  # (2, l, 2 m, 2 m)

    def about_z(values: torch.Tensor, angle: torch.Tensor) -> torch.Tensor:
        angle = -angle[..., None] * m
        return values * torch.polar(torch.ones_like(angle), angle)

    def about_y(values: torch.Tensor, matrices: torch.Tensor) -> torch.Tensor:
        flat = torch.view_as_real(values.resolve_conj()).reshape(limit, -1, 2 * limit)
        with torch.autocast(values.device.type, enabled=False):
            return torch.view_as_complex((flat @ matrices).view(*values.shape, 2))

    values = coefficients.movedim(-2, 0)  # (l, ..., m): one product per degree
    values = about_y(about_z(values, gamma + torch.pi / 2), quarter[0])
    values = about_y(about_z(values, beta), quarter[1])
    return about_z(values, alpha - torch.pi / 2).movedim(0, -2)


def _cross_matrix(omega: torch.Tensor) -> torch.Tensor:
    """(..., 3, 3) matrices of the cross product with (..., 3)."""
    x, y, z = omega.unbind(-1)
    zero = torch.zeros_like(x)
    return torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).unflatten(-1, (3, 3))


@table
def _folds(limit: int) -> np.ndarray:
    return np.where(np.arange(limit) > 0, 2.0, 1.0)


@table
def _ladder(limit: int) -> np.ndarray:
    l, m = np.arange(limit)[:, None], np.arange(limit + 1)  # noqa: E741
    return np.sqrt(np.maximum((l - m + 1) * (l + m), 0))


@table
def _quarter_turns(limit: int) -> np.ndarray:
    """(2, L, 2L, 2L) real [Ry(q) or Ry(-q), l, (n, part), (m, part)], to multiply from the right.

    Parts are real and imaginary. With f_{l,-n} = (-1)^n conj(f_ln), the orders below zero join
    those above: real parts by d_mn + (-1)^n d_m,-n, imaginary ones by d_mn - (-1)^n d_m,-n.
    """
    out = np.zeros((2, limit, limit, 2, limit, 2))
    sign = (-1.0) ** np.arange(limit)
    for degree in range(limit):
        for way, d in enumerate(wigner_d(degree, np.array([np.pi / 2, -np.pi / 2]))):
            size = degree + 1
            above, below = d[degree:, degree:], d[degree:, degree::-1] * sign[:size]
            real, imaginary = above + below, above - below
            real[:, 0] /= 2  # order 0 joins nothing,
            imaginary[0] = imaginary[:, 0] = 0  # and is real
            out[way, degree, :size, 0, :size, 0] = real.T
            out[way, degree, :size, 1, :size, 1] = imaginary.T
    return out.reshape(2, limit, 2 * limit, 2 * limit)

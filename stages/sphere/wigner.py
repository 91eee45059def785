"""Wigner's matrices: how a rotation mixes the spherical harmonics of one degree.

    D^l_mn(R) = e^{-i m alpha} d^l_mn(beta) e^{-i n gamma},    R = Rz(alpha) Ry(beta) Rz(gamma),
    Y_ln(R^-1 x) = sum_m D^l_mn(R) Y_lm(x),    d^l(beta) = exp(-i beta J_y),

so D(R1) D(R2) = D(R1 R2). (Sakurai's and scipy's signs; the package `spherical` has the complex
conjugate.) Computed from the eigenvectors of J_x: its eigenvalues are the whole numbers -l..l, and
J_y is J_x turned by 90 degrees about z, which multiplies elements by powers of i. So

    d^l_mn(beta) = Re i^(n - m) sum_k V_mk V_nk e^{-i k beta},

with no recurrence to lose digits in; exact to about 1e-15 l.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch

from stages.sphere import checks
from stages.sphere.tables import table


def wigner_d(degree: int, beta: np.ndarray) -> np.ndarray:
    """(J, 2l+1, 2l+1) float64 [angle, m + l, n + l] d^l_mn at J angles in radians."""
    beta = np.asarray(beta, np.float64).reshape(-1, 1, 1)
    vectors, steps = _eigenvectors(degree), np.arange(-degree, degree + 1)
    # i^(n - m) is real for even n - m and picks the cosines, else imaginary and picks the sines.
    cosines = (vectors * np.cos(beta * steps)) @ vectors.T
    sines = (vectors * np.sin(beta * steps)) @ vectors.T
    turn = (steps - steps[:, None]) % 4  # n - m
    return np.where(turn % 2, np.where(turn == 1, 1, -1) * sines, (1 - turn) * cosines)


def wigner_D(degree: int, rotations: torch.Tensor) -> torch.Tensor:
    """(..., 2l+1, 2l+1) complex [m + l, n + l] D^l_mn of rotations (..., 3, 3).

    The precision is that of the rotations. For checks and small degrees: `stages.sphere.rotation`
    turns coefficients without forming it. Raises InputError unless they are rotations.
    """
    checks.rotations(rotations)
    alpha, beta, gamma = euler_angles(rotations)
    quarter = _quarter_turn(degree, like=rotations)
    steps = torch.arange(-degree, degree + 1, dtype=rotations.dtype, device=rotations.device)

    def phase(angle: torch.Tensor) -> torch.Tensor:
        angle = -steps * angle[..., None]
        return torch.polar(torch.ones_like(angle), angle)

    # Ry(beta) is Rz(beta) seen from the side: Rz(-q) Ry(-q) Rz(beta) Ry(q) Rz(q), q = pi/2.
    inner = (quarter.T * phase(beta)[..., None, :]) @ quarter.to(phase(beta).dtype)
    return (
        phase(alpha - torch.pi / 2)[..., :, None]
        * inner
        * phase(gamma + torch.pi / 2)[..., None, :]
    )


def euler_angles(rotations: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """alpha, beta, gamma (...) in radians of rotations (..., 3, 3); 0 <= beta <= pi.

    The product Rz(alpha) Ry(beta) Rz(gamma) is the given matrix to machine precision everywhere,
    also near beta = 0 and pi, where alpha alone means nothing: beta and gamma are taken from what
    is left of the matrix once alpha is undone.
    """
    x, y, z = rotations.unbind(-2)  # rows
    alpha = torch.atan2(y[..., 2], x[..., 2])
    c, s = torch.cos(alpha), torch.sin(alpha)
    beta = torch.atan2(c * x[..., 2] + s * y[..., 2], z[..., 2])
    gamma = torch.atan2(c * y[..., 0] - s * x[..., 0], c * y[..., 1] - s * x[..., 1])
    return alpha, beta, gamma


@table
def _quarter_turn(degree: int) -> np.ndarray:
    return wigner_d(degree, np.array([np.pi / 2]))[0]


@lru_cache(maxsize=256)
def _eigenvectors(degree: int) -> np.ndarray:
    """(2l+1, 2l+1) float64 orthonormal eigenvectors of J_x in its columns, eigenvalues -l..l."""
    m = np.arange(-degree, degree)
    ladder = np.sqrt(degree * (degree + 1) - m * (m + 1)) / 2
    vectors = np.linalg.eigh(np.diag(ladder, 1) + np.diag(ladder, -1))[1]
    vectors.setflags(write=False)
    return vectors

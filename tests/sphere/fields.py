"""Random band-limited functions on the sphere, and their values at points by scipy's harmonics."""

from __future__ import annotations

import numpy as np
import torch
from scipy.spatial.transform import Rotation
from scipy.special import sph_harm_y


def coefficients(seed: int, *lead: int, degrees: int, decay: float = 0) -> torch.Tensor:
    """(*lead, L, L) complex128 of real functions, whose degrees weigh (l + 1)^-decay."""
    generator = torch.Generator().manual_seed(seed)
    shape = (*lead, degrees, degrees)
    values = torch.randn(shape, dtype=torch.complex128, generator=generator).tril()
    values[..., 0] = values[..., 0].real + 0j
    return values / (1.0 + torch.arange(degrees)[:, None]) ** decay


def rotations(seed: int, *lead: int) -> torch.Tensor:
    """(*lead, 3, 3) float64 rotations, uniform over SO(3)."""
    count = int(np.prod(lead))
    matrices = Rotation.random(count, random_state=seed).as_matrix()
    return torch.as_tensor(matrices).view(*lead, 3, 3)


def points(seed: int, count: int) -> np.ndarray:
    """(count, 3) unit vectors."""
    found = np.random.default_rng(seed).normal(size=(count, 3))
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def values(coefficients: torch.Tensor, points: np.ndarray) -> np.ndarray:
    """(P,) sum over all orders, those below 0 as well, of one function (L, L) at (P, 3)."""
    theta, phi = np.arccos(points[:, 2].clip(-1, 1)), np.arctan2(points[:, 1], points[:, 0])
    total = np.zeros(len(points), complex)
    for degree, row in enumerate(coefficients.numpy()):
        for m in range(degree + 1):
            total += row[m] * sph_harm_y(degree, m, theta, phi)
            if m:
                total += (-1) ** m * row[m].conj() * sph_harm_y(degree, -m, theta, phi)
    assert np.abs(total.imag).max() < 1e-12 * (1 + np.abs(total).max())  # the function is real
    return total.real


def all_orders(coefficients: torch.Tensor, degree: int) -> torch.Tensor:
    """(..., 2l+1) coefficients of one degree, orders -l to l."""
    kept = coefficients[..., degree, : degree + 1]
    sign = (-1.0) ** torch.arange(degree, 0, -1)
    return torch.cat([sign * kept[..., 1:].flip(-1).conj(), kept], -1)

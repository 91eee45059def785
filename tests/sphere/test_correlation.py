"""Correlation over SO(3) against the integral and against Wigner's matrices, term by term."""

import numpy as np
import pytest
import torch

from stages.errors import InputError, UsageError
from stages.geometry.rotations import euler_zyz
from stages.sphere.correlation import (
    correlate,
    correlation_at,
    grid_rotations,
    inner,
    rotation_at,
    without_mean,
)
from stages.sphere.grids import directions, quadrature_weights
from stages.sphere.rotation import rotate_coefficients
from stages.sphere.wigner import wigner_D
from tests.sphere import fields


def brute_force(f: torch.Tensor, g: torch.Tensor, turn: torch.Tensor) -> torch.Tensor:
    """corr(R) of (C, L, L) at one rotation: sum_l sum_mn conj(D_mn) f_m conj(g_n), all orders."""
    total = torch.zeros((), dtype=torch.complex128)
    for degree in range(f.shape[-1]):
        left, right = (fields.all_orders(c, degree) for c in (f, g))
        total += torch.einsum("mn,cm,cn->", wigner_D(degree, turn).conj(), left, right.conj())
    assert abs(total.imag) < 1e-9 * (1 + abs(total.real))
    return total.real


@pytest.mark.parametrize(("limit", "bandwidth"), [(1, 1), (1, 4), (2, 2), (8, 8), (8, 16), (5, 7)])
def test_grid_equals_brute_force(limit: int, bandwidth: int) -> None:
    f, g = (fields.coefficients(seed, 3, degrees=limit) for seed in (0, 1))
    volume = correlate(f, g, bandwidth)
    assert volume.shape == (2 * bandwidth,) * 3
    every = torch.as_tensor(grid_rotations(bandwidth))
    for index in np.random.default_rng(0).integers(0, 2 * bandwidth, (10, 3)):
        at = tuple(index.tolist())
        assert abs(volume[at] - brute_force(f, g, every[at])) < 1e-11


def test_grid_equals_brute_force_in_single_precision() -> None:
    f, g = (fields.coefficients(seed, 32, degrees=32) for seed in (2, 3))
    volume = correlate(f.to(torch.complex64), g.to(torch.complex64))
    assert volume.dtype == torch.float32
    scale = (inner(f, f).sum() * inner(g, g).sum()).sqrt()
    every = torch.as_tensor(grid_rotations(32))
    for index in np.random.default_rng(1).integers(0, 64, (5, 3)):
        at = tuple(index.tolist())
        assert abs(volume[at] - brute_force(f, g, every[at])) < 1e-5 * scale


def test_is_the_integral() -> None:
    # sum_ch int f(x) g(R^-1 x) dx by quadrature
    f, g = (fields.coefficients(seed, 2, degrees=5) for seed in (4, 5))
    at = directions(12).reshape(-1, 3)
    weights = np.repeat(quadrature_weights(12), 12)
    for turn in fields.rotations(6, 3):
        truth = sum(
            weights @ (fields.values(a, at) * fields.values(b, at @ turn.numpy()))
            for a, b in zip(f, g)
        )
        assert abs(correlation_at(f, g, turn) - truth) < 1e-12 * abs(truth) + 1e-12


def test_peak_is_the_norm_where_f_is_a_turned_g() -> None:
    g = fields.coefficients(7, 4, 2, degrees=8)
    turn = torch.as_tensor(grid_rotations(8))[3, 5, [0, 1, 7, 15]]
    volume = correlate(rotate_coefficients(g, turn[:, None]), g)
    peak, index = volume.flatten(1).max(1)
    wanted = (3 * 16 + 5) * 16 + torch.tensor([0, 1, 7, 15])
    assert torch.equal(index, wanted)
    assert torch.allclose(peak, inner(g, g).sum(-1), rtol=1e-12)
    assert (rotation_at(index, 8, torch.float64) - turn).abs().max() < 1e-14


def test_grid_rotations() -> None:
    every = grid_rotations(4)
    alpha, beta, gamma = 2 * np.pi * 5 / 8, np.pi * (2 * 3 + 1) / 16, 2 * np.pi * 2 / 8
    np.testing.assert_allclose(every[3, 5, 2], euler_zyz(alpha, beta, gamma), atol=1e-14)
    flat = rotation_at(torch.arange(8**3), 4, torch.float64)
    np.testing.assert_allclose(flat.numpy(), every.reshape(-1, 3, 3), atol=1e-14)


def test_leading_axes_broadcast() -> None:
    f, g = fields.coefficients(8, 2, 1, 3, degrees=4), fields.coefficients(9, 5, 3, degrees=4)
    volume = correlate(f, g)
    assert volume.shape == (2, 5, 8, 8, 8)
    assert (volume[1, 4] - correlate(f[1, 0], g[4])).abs().max() < 1e-12
    turn = fields.rotations(8, 7, 1, 1)
    assert correlation_at(f, g, turn).shape == (7, 2, 5)


def test_gradients() -> None:
    parts = torch.randn(2, 2, 3, 3, 2, dtype=torch.float64, requires_grad=True)
    turn = fields.rotations(10, 4)

    def run(parts: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        f, g = torch.view_as_complex(parts)
        return correlate(f, g, 4), correlation_at(f, g, turn)

    assert torch.autograd.gradcheck(run, parts)


def test_degree_zero_only_adds_a_constant() -> None:
    f, g = (fields.coefficients(seed, 2, degrees=4) for seed in (11, 12))
    difference = correlate(f, g) - correlate(without_mean(f), without_mean(g))
    constant = (f[:, 0, 0] * g[:, 0, 0]).real.sum()
    assert (difference - constant).abs().max() < 1e-12


def test_what_does_not_match() -> None:
    f = fields.coefficients(13, 2, degrees=4)
    for g in (f[:1], f[:, :3, :3], f.to(torch.complex64)):
        with pytest.raises(InputError, match="do not match"):
            correlate(f, g)
    with pytest.raises(InputError, match="do not match"):
        correlate(f[0], f[0])
    with pytest.raises(UsageError, match="4 degrees do not fit a correlation of bandwidth 3"):
        correlate(f, f, 3)
    with pytest.raises(InputError, match="no harmonic coefficients"):
        correlate(f.real, f.real)

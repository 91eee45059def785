"""Rotating coefficients and maps: at points, by ducc0, by Wigner's matrices; derivatives."""

import ducc0
import numpy as np
import pytest
import torch

from stages.errors import InputError
from stages.geometry.rotations import euler_zyz, exponential
from stages.sphere.grids import GRIDS, directions
from stages.sphere.rotation import generators, rotate_coefficients, rotate_maps
from stages.sphere.transform import inverse_sht
from stages.sphere.wigner import euler_angles, wigner_D
from tests.sphere import fields
from tests.sphere.test_transform import to_ducc


def test_moves_values_from_x_to_r_x() -> None:
    # (Lambda_R f)(x) = f(R^-1 x)
    truth, at = fields.coefficients(0, degrees=8), fields.points(1, 50)
    for turn in fields.rotations(0, 3):
        found = fields.values(rotate_coefficients(truth, turn), at)
        np.testing.assert_allclose(found, fields.values(truth, at @ turn.numpy()), atol=1e-12)


@pytest.mark.parametrize("limit", [1, 2, 3, 16, 64])
def test_equals_wigner_matrices(limit: int) -> None:
    truth, turn = fields.coefficients(1, 4, degrees=limit), fields.rotations(1, 4)
    turn[0] = torch.eye(3)
    turn[1] = euler_zyz(*torch.tensor([1.0, np.pi, 0.5]).double())
    found = rotate_coefficients(truth, turn)
    for degree in range(limit):
        wanted = wigner_D(degree, turn) @ fields.all_orders(truth, degree)[..., None]
        difference = fields.all_orders(found, degree) - wanted[..., 0]
        assert difference.abs().max() < 1e-12
    assert found.triu(1).abs().max() == 0
    assert found[..., 0].imag.abs().max() == 0


def test_equals_ducc() -> None:
    truth, (turn,) = fields.coefficients(2, degrees=64), fields.rotations(2, 1)
    alpha, beta, gamma = (float(angle) for angle in euler_angles(turn))
    there = ducc0.sht.rotate_alm(to_ducc(truth)[0], 63, gamma, beta, alpha)
    found = to_ducc(rotate_coefficients(truth, turn))[0]
    assert np.abs(found - there).max() < 1e-12


def test_one_after_the_other() -> None:
    truth = fields.coefficients(3, 5, degrees=32)
    first, second = fields.rotations(3, 5), fields.rotations(4, 5)
    twice = rotate_coefficients(rotate_coefficients(truth, first), second)
    assert (twice - rotate_coefficients(truth, second @ first)).abs().max() < 1e-12
    back = rotate_coefficients(rotate_coefficients(truth, first), first.mT)
    assert (back - truth).abs().max() < 1e-12


@pytest.mark.parametrize("grid", GRIDS)
def test_maps(grid: str) -> None:
    truth, (turn,) = fields.coefficients(4, degrees=8), fields.rotations(5, 1)
    found = rotate_maps(inverse_sht(truth, grid=grid), turn, grid)
    at = directions(16, grid).reshape(-1, 3) @ turn.numpy()
    np.testing.assert_allclose(found.reshape(-1), fields.values(truth, at), atol=1e-12)


def test_a_quarter_turn_about_z_rolls_the_map() -> None:
    maps = inverse_sht(fields.coefficients(5, degrees=8))
    turn = torch.tensor([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]]).double()
    assert (rotate_maps(maps, turn) - maps.roll(4, -1)).abs().max() < 1e-12


def test_leading_axes_broadcast() -> None:
    truth, turn = fields.coefficients(6, 3, 2, degrees=4), fields.rotations(6, 5, 3, 1)
    found = rotate_coefficients(truth, turn)
    assert found.shape == (5, 3, 2, 4, 4)
    single = rotate_coefficients(truth[1, 0], turn[4, 1, 0])
    assert (found[4, 1, 0] - single).abs().max() < 1e-14
    low = rotate_coefficients(truth.to(torch.complex64), turn)
    assert low.dtype == torch.complex64
    assert (low - found).abs().max() < 1e-5


@pytest.mark.parametrize("start", ["identity", "half turn", "any"])
def test_gradients_where_euler_angles_have_none(start: str) -> None:
    parts = torch.randn(2, 4, 4, 2, dtype=torch.float64, requires_grad=True)
    omega = torch.zeros(2, 3, dtype=torch.float64, requires_grad=True)
    angles = {"identity": (0, 0, 0), "half turn": (1, np.pi, 0), "any": (1, 2, 3)}[start]
    base = euler_zyz(*torch.tensor(angles).double())

    def run(parts: torch.Tensor, omega: torch.Tensor) -> torch.Tensor:
        turned = rotate_coefficients(torch.view_as_complex(parts), exponential(omega) @ base)
        return torch.view_as_real(turned.contiguous())

    assert torch.autograd.gradcheck(run, (parts, omega))
    assert torch.autograd.gradgradcheck(run, (parts, omega))


def test_generators_are_derivatives() -> None:
    truth, step = fields.coefficients(7, 2, degrees=6), 1e-5
    for found, axis in zip(generators(truth), torch.eye(3).double()):
        ahead, behind = (rotate_coefficients(truth, exponential(s * axis)) for s in (step, -step))
        # central differences: third derivatives, up to 5^3 times the values, times step^2 / 6
        assert (found - (ahead - behind) / (2 * step)).abs().max() < 1e-7


def test_generators_obey_the_algebra() -> None:
    # [L_x, L_y] = L_z and cyclic; L^2 = -l (l + 1)
    truth = fields.coefficients(8, degrees=16)
    second = torch.stack([generators(first) for first in generators(truth)])  # [j, k] L_k L_j
    for x, y, z in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
        assert (second[y, x] - second[x, y] - generators(truth)[z]).abs().max() < 1e-11
    square = second[0, 0] + second[1, 1] + second[2, 2]
    degree = torch.arange(16)[:, None]
    assert (square + degree * (degree + 1) * truth).abs().max() < 1e-11


def test_what_cannot_be_turned() -> None:
    maps, turn = torch.zeros(8, 8), torch.eye(3)
    with pytest.raises(InputError, match="1 of 64 values of the maps are NaN"):
        rotate_maps(torch.where(torch.eye(8)[3] * torch.eye(8)[:, 5:6] > 0, torch.nan, maps), turn)
    with pytest.raises(InputError, match="reflection"):
        rotate_maps(maps, -turn)
    with pytest.raises(InputError, match="no harmonic coefficients"):
        rotate_coefficients(maps, turn)

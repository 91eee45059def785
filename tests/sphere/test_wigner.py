"""Wigner's matrices against the matrix exponential, products of rotations and closed forms."""

import numpy as np
import pytest
import scipy.linalg
import torch
from scipy.special import sph_harm_y

from stages.errors import InputError
from stages.geometry.rotations import euler_zyz
from stages.sphere.wigner import euler_angles, wigner_D, wigner_d
from tests.sphere import fields

BETAS = np.array([0.0, 0.1, 1.0, np.pi / 2, 3.0, np.pi, -0.7])


def angular_momentum_y(degree: int) -> np.ndarray:
    """(2l+1, 2l+1) J_y = (J_+ - J_-) / 2i over orders -l to l."""
    m = np.arange(-degree, degree)
    rise = np.diag(np.sqrt(degree * (degree + 1) - m * (m + 1)), -1)
    return (rise - rise.T) / 2j


@pytest.mark.parametrize("degree", [0, 1, 2, 7, 16, 31, 64])
def test_small_d_is_the_exponential(degree: int) -> None:
    found = wigner_d(degree, BETAS)
    for beta, matrix in zip(BETAS, found):
        truth = scipy.linalg.expm(-1j * beta * angular_momentum_y(degree))
        np.testing.assert_allclose(matrix, truth, atol=1e-12)


def test_small_d_of_degree_one() -> None:
    c, s = np.cos(BETAS), np.sin(BETAS)
    h = s / np.sqrt(2)
    truth = [[(1 + c) / 2, h, (1 - c) / 2], [-h, c, h], [(1 - c) / 2, -h, (1 + c) / 2]]
    np.testing.assert_allclose(wigner_d(1, BETAS), np.moveaxis(np.array(truth), -1, 0), atol=1e-15)


@pytest.mark.parametrize("degree", [100, 200])
def test_high_degrees_stay_orthogonal(degree: int) -> None:
    (matrix,) = wigner_d(degree, np.array([1.234]))
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(2 * degree + 1), atol=1e-12)


@pytest.mark.parametrize("degree", [0, 1, 5, 31])
def test_a_representation(degree: int) -> None:
    first, second = fields.rotations(0, 20), fields.rotations(1, 20)
    product = wigner_D(degree, first) @ wigner_D(degree, second)
    assert (product - wigner_D(degree, first @ second)).abs().max() < 1e-12


@pytest.mark.parametrize("degree", [1, 4, 12])
def test_turns_harmonics(degree: int) -> None:
    # Y_n(R^-1 x) = sum_m D_mn(R) Y_m(x)
    (turn,), at = fields.rotations(2, 1), fields.points(0, 50)

    def harmonics(at: np.ndarray) -> np.ndarray:
        theta, phi = np.arccos(at[:, 2]), np.arctan2(at[:, 1], at[:, 0])
        return sph_harm_y(degree, np.arange(-degree, degree + 1), theta[:, None], phi[:, None])

    back = at @ turn.numpy()  # rows R^T x
    truth = harmonics(at) @ wigner_D(degree, turn).numpy()
    np.testing.assert_allclose(harmonics(back), truth, atol=1e-12)


def test_euler_angles_give_the_matrix_back() -> None:
    angles = torch.tensor(
        [(0, 0, 0), (1, 0, 2), (1, 1e-12, 2), (1, 1e-9, 2), (2, np.pi, 1), (2, np.pi - 1e-9, 1)]
    ).double()
    given = torch.cat([fields.rotations(3, 1000), euler_zyz(*angles.T)])
    alpha, beta, gamma = euler_angles(given)
    assert (euler_zyz(alpha, beta, gamma) - given).abs().max() < 1e-14
    assert beta.min() >= 0
    assert beta.max() <= np.pi


def test_precision_follows_the_rotations() -> None:
    found = wigner_D(8, fields.rotations(4, 2, 3).float())
    assert found.shape == (2, 3, 17, 17)
    assert found.dtype == torch.complex64
    assert (found - wigner_D(8, fields.rotations(4, 2, 3))).abs().max() < 1e-5


@pytest.mark.parametrize(
    ("matrix", "text"),
    [
        (torch.diag(torch.tensor([1.0, 1.0, -1.0])), "reflection"),
        (2 * torch.eye(3), "no rotation: R"),
        (torch.full((3, 3), torch.nan), "no rotation"),
        (torch.eye(4), "holds no rotations"),
        (torch.eye(3, dtype=torch.int64), "int64"),
    ],
)
def test_what_is_no_rotation(matrix: torch.Tensor, text: str) -> None:
    with pytest.raises(InputError, match=text):
        wigner_D(2, matrix)

"""The transform against ducc0, against scipy's harmonics, and against itself."""

import ducc0
import numpy as np
import pytest
import torch

from stages.errors import InputError, UsageError
from stages.sphere import transform
from stages.sphere.grids import GRIDS, directions, quadrature_weights
from stages.sphere.transform import inverse_sht, sht
from tests.sphere import fields

DUCC = {"midpoint": "F1", "driscoll-healy": "DH"}
SIZES = (2, 4, 16, 64, 256)


def to_ducc(coefficients: torch.Tensor) -> np.ndarray:
    """(1, K) of one function (L, L), orders one after the other."""
    limit = len(coefficients)
    rows = [coefficients[m:, m].numpy() for m in range(limit)]
    return np.concatenate(rows)[None]


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("n", SIZES)
def test_round_trip(n: int, grid: str) -> None:
    truth = fields.coefficients(n, 3, degrees=n // 2)
    found = sht(inverse_sht(truth, grid=grid), grid)
    assert (found - truth).abs().max() < 1e-12
    single = sht(inverse_sht(truth.to(torch.complex64), grid=grid), grid)
    assert single.dtype == torch.complex64
    assert (single - truth).abs().max() < 1e-5


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("n", SIZES[1:])
def test_equals_ducc(n: int, grid: str) -> None:
    truth = fields.coefficients(1, degrees=n // 2)
    ducc = ducc0.sht.experimental
    maps = inverse_sht(truth, grid=grid)
    there = ducc.synthesis_2d(
        alm=to_ducc(truth), spin=0, lmax=n // 2 - 1, ntheta=n, nphi=n, geometry=DUCC[grid]
    )[0]
    assert np.abs(maps.numpy() - there).max() < 1e-12 * max(1, np.abs(there).max())
    back = ducc.analysis_2d(map=maps.numpy()[None], spin=0, lmax=n // 2 - 1, geometry=DUCC[grid])
    assert np.abs(back - to_ducc(sht(maps, grid))).max() < 1e-12


@pytest.mark.parametrize("grid", GRIDS)
def test_inverse_is_the_sum_of_harmonics(grid: str) -> None:
    truth = fields.coefficients(2, degrees=6)
    maps = inverse_sht(truth, grid=grid)
    there = fields.values(truth, directions(12, grid).reshape(-1, 3)).reshape(12, 12)
    np.testing.assert_allclose(maps.numpy(), there, atol=1e-12)


def test_closed_forms() -> None:
    x, y, z = torch.as_tensor(directions(16)).unbind(-1)
    found = sht(torch.stack([torch.ones_like(x), x, y, z, x * y]))
    truth = torch.zeros_like(found)
    truth[0, 0, 0] = (4 * np.pi) ** 0.5
    truth[1, 1, 1] = -((2 * np.pi / 3) ** 0.5)  # x is (Y_1,-1 - Y_11) sqrt(2 pi / 3)
    truth[2, 1, 1] = 1j * (2 * np.pi / 3) ** 0.5
    truth[3, 1, 0] = (4 * np.pi / 3) ** 0.5
    truth[4, 2, 2] = -1j * (2 * np.pi / 15) ** 0.5
    assert (found - truth).abs().max() < 1e-14


@pytest.mark.parametrize("grid", GRIDS)
def test_parseval(grid: str) -> None:
    truth = fields.coefficients(3, degrees=8)  # squares are of degree 14 < 16: integrated exactly
    weights = torch.as_tensor(quadrature_weights(16, grid))
    square = (inverse_sht(truth, grid=grid) ** 2).sum(-1) @ weights
    power = 2 * truth.abs().square().sum() - truth[:, 0].abs().square().sum()
    assert abs(square - power) < 1e-11 * power


@pytest.mark.parametrize("grid", GRIDS)
def test_other_sizes(grid: str) -> None:
    truth = fields.coefficients(4, 2, degrees=8)
    fine = inverse_sht(truth, 32, grid)
    assert fine.shape == (2, 32, 32)
    found = sht(fine, grid)
    assert (found[:, :8, :8] - truth).abs().max() < 1e-12
    assert found[:, 8:].abs().max() < 1e-12
    assert (sht(fine, grid, degrees=5) - truth[:, :5, :5]).abs().max() < 1e-12
    cut = inverse_sht(truth[:, :4, :4], 8, grid)
    assert (inverse_sht(truth, 8, grid) - cut).abs().max() < 1e-13


def test_leading_axes_and_memory_layout_do_not_matter() -> None:
    maps = inverse_sht(fields.coefficients(5, 2, 3, 4, degrees=4))
    assert maps.shape == (2, 3, 4, 8, 8)
    found = sht(maps)
    assert found.shape == (2, 3, 4, 4, 4)
    assert (found[1, 2, 3] - sht(maps[1, 2, 3])).abs().max() < 1e-14
    turned = maps.permute(4, 3, 2, 1, 0).contiguous().permute(4, 3, 2, 1, 0)
    assert torch.equal(sht(turned), found)
    assert torch.equal(inverse_sht(found.contiguous()), inverse_sht(found))


def test_one_map_of_channels_last() -> None:
    """A batch of one keeps its strides where others are copied."""
    maps = inverse_sht(fields.coefficients(12, 1, 3, degrees=8))
    strided = maps.to(memory_format=torch.channels_last)
    assert torch.equal(sht(strided), sht(maps))


def test_many_maps_are_done_in_parts() -> None:
    maps = torch.randn(2 * transform.PART + 1, 4, 4)
    for at in (0, transform.PART, 2 * transform.PART):
        assert torch.allclose(sht(maps)[at], sht(maps[at]), atol=1e-6)
        assert torch.allclose(inverse_sht(sht(maps))[at], inverse_sht(sht(maps[at])), atol=1e-6)


@pytest.mark.parametrize("grid", GRIDS)
def test_gradients(grid: str) -> None:
    maps = torch.randn(2, 6, 6, dtype=torch.float64, requires_grad=True)
    parts = torch.randn(2, 3, 3, 2, dtype=torch.float64, requires_grad=True)

    def forward(maps: torch.Tensor) -> torch.Tensor:
        return torch.view_as_real(sht(maps, grid).contiguous())

    def inverse(parts: torch.Tensor) -> torch.Tensor:
        return inverse_sht(torch.view_as_complex(parts), grid=grid)

    assert torch.autograd.gradcheck(forward, maps)
    assert torch.autograd.gradcheck(inverse, parts)
    assert torch.autograd.gradgradcheck(lambda maps: inverse(forward(maps)) ** 2, maps)


def test_gradient_is_the_adjoint() -> None:
    maps = torch.randn(3, 64, 64, dtype=torch.float64, requires_grad=True)
    other = fields.coefficients(6, 3, degrees=32)
    found = sht(maps)
    (grad,) = torch.autograd.grad(found, maps, other)
    left = (found * other.conj()).real.sum()
    assert torch.allclose((maps * grad).sum(), left, rtol=1e-12)


def test_tables_made_in_inference_serve_training() -> None:
    with torch.inference_mode():
        sht(torch.zeros(10, 10))
    maps = torch.randn(10, 10, requires_grad=True)
    inverse_sht(sht(maps)).square().sum().backward()
    assert maps.grad is not None


def test_full_precision_under_autocast() -> None:
    truth = fields.coefficients(7, 2, degrees=16).to(torch.complex64)
    maps = inverse_sht(truth)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(inverse_sht(sht(maps)), inverse_sht(sht(maps.float())))
        assert (sht(maps) - truth).abs().max() < 1e-5
    assert sht(maps.bfloat16()).dtype == torch.complex64


@pytest.mark.parametrize(
    ("maps", "error", "text"),
    [
        (torch.zeros(4), InputError, "no map"),
        (torch.zeros(4, 6), InputError, r"shape \(4, 6\)"),
        (torch.zeros(5, 5), UsageError, "5 x 5"),
        (torch.zeros(0, 0), UsageError, "0 x 0"),
        (torch.zeros(4, 4, dtype=torch.int64), InputError, "int64"),
    ],
)
def test_what_is_no_map(maps: torch.Tensor, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        sht(maps)


def test_what_cannot_be_asked() -> None:
    maps, found = torch.zeros(8, 8), torch.zeros(4, 4, dtype=torch.complex64)
    with pytest.raises(UsageError, match="degrees below 4, not 5"):
        sht(maps, degrees=5)
    with pytest.raises(UsageError, match="unknown"):
        sht(maps, "equiangular")
    with pytest.raises(UsageError, match="9 x 9"):
        inverse_sht(found, 9)
    with pytest.raises(InputError, match="no harmonic coefficients"):
        inverse_sht(maps)
    with pytest.raises(InputError, match="no harmonic coefficients"):
        inverse_sht(found[:3])

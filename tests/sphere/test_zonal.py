"""The convolution against its defining integral, and its equivariance."""

import numpy as np
import pytest
import torch
from scipy.special import eval_legendre

from stages.errors import InputError, UsageError
from stages.sphere.grids import GRIDS, directions, quadrature_weights
from stages.sphere.pooling import spectral_pool
from stages.sphere.rotation import rotate_maps
from stages.sphere.transform import inverse_sht
from stages.sphere.zonal import ZonalConvolution
from tests.sphere import fields


def layer(*args: int, **kwargs: object) -> ZonalConvolution:
    torch.manual_seed(0)
    made = ZonalConvolution(*args, **kwargs).double()  # type: ignore[arg-type]
    if made.bias is not None:
        torch.nn.init.normal_(made.bias)
    return made


@pytest.mark.parametrize("grid", GRIDS)
def test_equals_the_integral(grid: str) -> None:
    # 2 pi int f(y) k(<x, y>) dy + bias; k is the sum of its Legendre polynomials.
    n = 12
    convolution = layer(2, 3, n, grid=grid, anchors=None)
    maps = inverse_sht(fields.coefficients(0, 1, 2, degrees=n // 2), grid=grid)
    at = directions(n, grid).reshape(-1, 3)
    weights = np.repeat(quadrature_weights(n, grid), n)
    cosines = at @ at.T
    with torch.no_grad():
        found = convolution(maps)[0].reshape(3, -1).numpy()
        spectrum = convolution.spectrum().numpy()
    degrees = np.arange(n // 2)[:, None, None]
    harmonics = np.sqrt((2 * degrees + 1) / (4 * np.pi)) * eval_legendre(degrees, cosines)
    for out in range(3):
        truth = np.full(n * n, float(convolution.bias[out].detach()))
        for channel in range(2):
            kernel = np.einsum("l,lxy->xy", spectrum[:, channel, out], harmonics)
            truth += 2 * np.pi * kernel @ (weights * maps[0, channel].reshape(-1).numpy())
        np.testing.assert_allclose(found[out], truth, atol=1e-11)


@pytest.mark.parametrize("grid", GRIDS)
def test_commutes_with_rotations(grid: str) -> None:
    convolution = layer(3, 2, 32, grid=grid)
    maps = inverse_sht(fields.coefficients(1, 5, 3, degrees=16), grid=grid)
    turn = fields.rotations(1, 5, 1)
    with torch.no_grad():
        after = rotate_maps(convolution(maps), turn, grid)
        before = convolution(rotate_maps(maps, turn, grid))
    assert (after - before).abs().max() < 1e-12 * before.abs().max()


def test_spectra_are_linear_between_anchors() -> None:
    convolution = layer(1, 1, 64)
    spectrum = convolution.spectrum()[:, 0, 0].detach().numpy()
    anchors = convolution.weight[:, 0, 0].detach().numpy()
    assert anchors.shape == (8,)
    truth = np.interp(np.arange(32), np.arange(8) * 31 / 7, anchors)
    np.testing.assert_allclose(spectrum, truth, atol=1e-15)
    assert np.isclose(spectrum[-1], anchors[-1])
    # as many anchors as degrees, or fewer degrees than anchors: each degree is its own
    for n, wanted in ((16, 8), (8, 8)):
        small = layer(1, 1, n, anchors=wanted)
        assert torch.allclose(small.spectrum(), small.weight)
        assert len(small.weight) == n // 2


def test_weights_start_as_the_authors_do() -> None:
    torch.manual_seed(0)
    weight = ZonalConvolution(100, 100, 64).weight.detach()
    deviation = 2 / (2 * np.pi * np.sqrt(32 * 100))
    assert weight.abs().max() <= 2 * deviation
    # a normal distribution cut off at two deviations has 0.8796 of the deviation; 80000 samples
    assert abs(weight.std() / deviation - 0.8796) < 0.01
    assert abs(weight.mean()) < 0.01 * deviation


def test_out_size_is_a_spectral_pool() -> None:
    full, half = layer(2, 3, 32), layer(2, 3, 32, out_size=16)
    maps = torch.randn(4, 2, 32, 32, dtype=torch.float64)
    assert torch.equal(full.weight, half.weight)
    difference = half(maps) - spectral_pool(full(maps))
    assert difference.abs().max() < 1e-13


@pytest.mark.parametrize("bias", [True, False])
def test_gradients(bias: bool) -> None:
    convolution = layer(2, 2, 8, anchors=3, bias=bias)
    maps = torch.randn(2, 2, 8, 8, dtype=torch.float64, requires_grad=True)
    names = list(dict(convolution.named_parameters()))

    def run(maps: torch.Tensor, *values: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(convolution, dict(zip(names, values)), (maps,))

    assert len(names) == 1 + bias
    assert torch.autograd.gradcheck(run, (maps, *convolution.parameters()))


def test_full_precision_under_autocast_and_after_a_cast() -> None:
    convolution = layer(2, 2, 16).float()
    maps = torch.randn(1, 2, 16, 16)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(convolution(maps), convolution(maps.float()))
        assert convolution(maps.bfloat16()).dtype == torch.float32
    exact = layer(2, 2, 16)
    twice = exact.float().double()  # the tables are exact again, only the weights were rounded
    turned = rotate_maps(maps.double(), fields.rotations(0, 1), "midpoint")
    difference = rotate_maps(twice(maps.double()), fields.rotations(0, 1)) - twice(turned)
    assert difference.abs().max() < 1e-12


@pytest.mark.parametrize("shape", [(1, 3, 16, 16), (1, 2, 8, 8), (2, 16, 16)])
def test_what_does_not_fit(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"convolution of \(batch, 2, 16, 16\) got"):
        ZonalConvolution(2, 2, 16)(torch.zeros(shape))


def test_what_cannot_be_built() -> None:
    with pytest.raises(UsageError, match="from 16 to 32"):
        ZonalConvolution(2, 2, 16, out_size=32)
    with pytest.raises(UsageError, match="15 x 15"):
        ZonalConvolution(2, 2, 15)
    with pytest.raises(UsageError, match="0 anchors"):
        ZonalConvolution(2, 2, 16, anchors=0)
    with pytest.raises(UsageError, match="unknown"):
        ZonalConvolution(2, 2, 16, grid="gauss")

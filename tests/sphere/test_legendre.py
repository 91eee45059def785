"""Associated Legendre functions against scipy and closed forms."""

import numpy as np
from scipy.special import sph_harm_y

from stages.sphere.grids import colatitudes, quadrature_weights
from stages.sphere.legendre import associated_legendre

THETA = np.array([0.0, 1e-3, 0.3, np.pi / 2, 2.9, np.pi])


def test_equals_scipy() -> None:
    # scipy's own recurrence loses a few digits at degree 128: relative to the largest value, 28
    table = associated_legendre(129, THETA)
    for degree in (0, 1, 2, 7, 31, 64, 128):
        orders = np.arange(degree + 1)
        truth = sph_harm_y(degree, orders[:, None], THETA, 0.0).real
        np.testing.assert_allclose(table[orders, degree], truth, atol=2e-12)


def test_lowest_are_the_known_polynomials() -> None:
    x, s = np.cos(THETA), np.sin(THETA)
    table = associated_legendre(3, THETA)
    known = {
        (0, 0): np.full_like(x, np.sqrt(1 / (4 * np.pi))),
        (0, 1): np.sqrt(3 / (4 * np.pi)) * x,
        (1, 1): -np.sqrt(3 / (8 * np.pi)) * s,
        (0, 2): np.sqrt(5 / (16 * np.pi)) * (3 * x**2 - 1),
        (1, 2): -np.sqrt(15 / (8 * np.pi)) * s * x,
        (2, 2): np.sqrt(15 / (32 * np.pi)) * s**2,
    }
    for (m, degree), truth in known.items():
        np.testing.assert_allclose(table[m, degree], truth, atol=1e-15)
    assert not table[2, 1].any()
    assert not table[1, 0].any()


def test_orthonormal_up_to_degree_255() -> None:
    n = 512
    table = associated_legendre(n // 2, colatitudes(n))
    weights = quadrature_weights(n) * n  # the sum over longitudes is n
    for m in (0, 1, 100, 200, 255):
        gram = (table[m, m:] * weights) @ table[m, m:].T
        np.testing.assert_allclose(gram, np.eye(len(gram)), atol=2e-12)

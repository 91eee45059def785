"""Associated Legendre functions, normalised for orthonormal spherical harmonics.

    Y_lm(theta, phi) = P_lm(cos theta) e^{i m phi},
    P_lm = (-1)^m sqrt((2l+1)/(4 pi) (l-m)!/(l+m)!) (associated Legendre function, no phase),

so that the integral of |Y_lm|^2 over the sphere is 1. The sign (-1)^m is the Condon-Shortley phase,
as in scipy.special.sph_harm_y. Recurrence upwards in the degree at fixed order (Holmes and
Featherstone 2002, equations 11 and 12), which is stable.
"""

from __future__ import annotations

import numpy as np


def associated_legendre(degrees: int, theta: np.ndarray) -> np.ndarray:
    """(L, L, J) float64 [order m, degree l, colatitude] P_lm at J colatitudes (radians).

    L is `degrees`; entries with l < m are zero. Relative error about 1e-15 l; values below 1e-308,
    near the poles at orders of several hundred, come out as zero.
    """
    theta = np.asarray(theta, np.float64)
    x, s = np.cos(theta), np.sin(theta)
    out = np.zeros((degrees, degrees, len(theta)))
    sectoral = np.full(len(theta), np.sqrt(0.25 / np.pi))  # P_mm
    for m in range(degrees):
        if m:
            sectoral = -sectoral * s * np.sqrt((2 * m + 1) / (2 * m))
        out[m, m] = sectoral
        below = np.zeros_like(x)
        for l in range(m + 1, degrees):  # noqa: E741 (the degree is l everywhere)
            a = np.sqrt((4 * l * l - 1) / (l * l - m * m))
            b = np.sqrt(((l - 1) ** 2 - m * m) / (4 * (l - 1) ** 2 - 1))
            out[m, l] = a * (x * out[m, l - 1] - b * below)
            below = out[m, l - 1]
    return out

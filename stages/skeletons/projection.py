"""Skeletons from their parameters, and their pictures (3D-INN, equation 1).

    Y = sum_k alpha_k B_k        X = P(R Y + T)        R = Rx(theta_x) Ry(theta_y) Rz(theta_z)

with P the central projection of the published code: for a point (x, y, z) after rotation and
translation, u = x / (1 + z / f) + W / 2 and v = y / (1 + z / f) + H / 2. So the camera is f in
front of the object's origin, T has no z, and f is distance and focal length at once, in pixels.

Every function takes NumPy arrays or Torch tensors and returns the same kind; of tensors all are
differentiable. Letters: N keypoints, K bases.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from stages.geometry.rotations import Array

WIDTH, HEIGHT = 240, 320  # of the pictures that skeletons are projected into, pixels
# Least 1 + z / f: a point nearer than a fifth of the camera's distance, or behind it, is projected
# as if it were there. Skeletons with such a point are never drawn (`sampling`).
LEAST_DIVISOR = 0.2


def combine(alpha: Array, bases: Array) -> Array:
    """(..., N, 3) keypoints of weights (..., K) and base shapes (K, N, 3)."""
    flat = alpha @ bases.reshape(len(bases), -1)  # (..., 3 N)
    return flat.reshape(*alpha.shape[:-1], *bases.shape[1:])


def rotation(sine: Array, cosine: Array) -> Array:
    """(..., 3, 3) matrices Rx Ry Rz of the sines and cosines (..., 3) of the three angles."""
    lib = _library(sine)
    sx, sy, sz = (sine[..., axis] for axis in range(3))
    cx, cy, cz = (cosine[..., axis] for axis in range(3))
    rows = [
        [cy * cz, -cy * sz, sy],
        [cx * sz + sx * sy * cz, cx * cz - sx * sy * sz, -sx * cy],
        [sx * sz - cx * sy * cz, sx * cz + cx * sy * sz, cx * cy],
    ]
    return lib.stack([lib.stack(row, -1) for row in rows], -2)


def unit_angles(sine: Array, cosine: Array) -> tuple[Array, Array]:
    """Sines and cosines scaled so that their squares sum to 1, as a network's need not.

    Where both are 0 no angle is meant: the cosine becomes 1, and the gradient 0.
    """
    lib = _library(sine)
    square = sine**2 + cosine**2
    nothing = square < 1e-12
    length = lib.sqrt(lib.where(nothing, lib.ones_like(square), square))
    one = lib.ones_like(square)
    return (
        lib.where(nothing, square * 0, sine / length),
        lib.where(nothing, one, cosine / length),
    )


def divisors(points: Array, inverse_focal: Array) -> Array:
    """(..., N) 1 + z / f of points (..., N, 3) after rotation; `inverse_focal` (...) is 1 / f."""
    return 1 + points[..., 2] * inverse_focal[..., None]


def project(
    points: Array, translation: Array, inverse_focal: Array, least: float = LEAST_DIVISOR
) -> Array:
    """(..., N, 2) pixels of points (..., N, 3) after rotation; `translation` (..., 2) in pixels.

    Divisors below `least` count as that (`LEAST_DIVISOR`), so nothing is ever infinite: such a
    point still moves with x and y, but no longer with its depth.
    """
    lib = _library(points)
    divisor = divisors(points, inverse_focal)
    divisor = lib.where(divisor < least, lib.full_like(divisor, least), divisor)
    centre = np.array([WIDTH / 2, HEIGHT / 2])
    if lib is not np:
        centre = lib.as_tensor(centre, dtype=points.dtype, device=points.device)
    return (points[..., :2] + translation[..., None, :]) / divisor[..., None] + centre


def in_frame(pixels: Array) -> Array:
    """(...) whether pixels (..., 2) lie inside of the picture."""
    u, v = pixels[..., 0], pixels[..., 1]
    return (u >= 0) & (u < WIDTH) & (v >= 0) & (v < HEIGHT)


def _library(array: Any) -> Any:
    if isinstance(array, np.ndarray | np.generic):
        return np
    import torch  # only here: NumPy callers need not pay for it

    return torch

"""Rotation matrices and the angles between them, for NumPy arrays and for Torch tensors.

Every function takes either kind and returns the same kind, shape (..., 3, 3) for matrices and the
leading shape for angles; Torch ones are differentiable. Angles are radians. `camera` is the
rotation of `stages.geometry.cameras.extrinsics`; `about_z`, `about_y` and `euler_zyz` are active
rotations, `R = Rz(a) Ry(b) Rz(g)`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Array = Any  # np.ndarray or torch.Tensor


def _library(array: Array) -> Any:
    """The module, numpy or torch, that made `array`."""
    if isinstance(array, (np.ndarray, np.generic, float, int)):
        return np
    import torch  # only here: NumPy callers need not pay for it

    return torch


def _matrix(rows: list[list[Array]]) -> Array:
    lib = _library(rows[0][0])
    return lib.stack([lib.stack(row, -1) for row in rows], -2)


def about_z(angle: Array) -> Array:
    """Active rotation about +z: x turns towards y."""
    lib = _library(angle)
    c, s = lib.cos(angle), lib.sin(angle)
    zero, one = c * 0, c * 0 + 1
    return _matrix([[c, -s, zero], [s, c, zero], [zero, zero, one]])


def about_y(angle: Array) -> Array:
    """Active rotation about +y: z turns towards x."""
    lib = _library(angle)
    c, s = lib.cos(angle), lib.sin(angle)
    zero, one = c * 0, c * 0 + 1
    return _matrix([[c, zero, s], [zero, one, zero], [-s, zero, c]])


def euler_zyz(alpha: Array, beta: Array, gamma: Array) -> Array:
    """Active rotation Rz(alpha) Ry(beta) Rz(gamma)."""
    return about_z(alpha) @ about_y(beta) @ about_z(gamma)


def camera(azimuth: Array, elevation: Array, inplane: Array | None = None) -> Array:
    """World-to-camera rotation of a viewpoint: rows are right, down and forward in the world.

    Equal to the rotation of `cameras.extrinsics` at the same angles; differentiable in all three.
    """
    lib = _library(azimuth)
    sa, ca, se, ce = lib.sin(azimuth), lib.cos(azimuth), lib.sin(elevation), lib.cos(elevation)
    rotation = _matrix([[ca, sa, sa * 0], [se * sa, -se * ca, -ce], [-ce * sa, ce * ca, -se]])
    # Turning the picture counter-clockwise is a rotation by -inplane about the optical axis, whose
    # y points down: rows (ci*right + si*down, ci*down - si*right).
    return rotation if inplane is None else about_z(-inplane) @ rotation


def geodesic(first: Array, second: Array) -> Array:
    """Angle in radians, 0 to pi, of the rotation that takes `first` to `second`.

    The arc tangent of the half angle's sine and cosine; arccos((trace - 1) / 2) loses half of the
    digits near 0, where good predictions are. At 0 and at half turns, where it has none, the
    gradient is finite.
    """
    lib = _library(first)
    # |A - B|^2 = 8 sin^2(half), trace(A^T B) + 1 = 4 cos^2(half).
    sine = _root(((first - second) ** 2).sum((-2, -1)) / 8)
    cosine = _root((first * second).sum((-2, -1)) + 1) / 2
    return 2 * lib.arctan2(sine, cosine)


def _root(square: Array) -> Array:
    """The root of what is 0 or more but for rounding; where it is 0, so is the gradient."""
    lib = _library(square)
    there = square > 0
    return lib.where(there, lib.sqrt(lib.where(there, square, lib.ones_like(square))), square * 0)


def exponential(vector: Array) -> Array:
    """Active rotations (..., 3, 3) about (..., 3) vectors, by their length in radians."""
    lib = _library(vector)
    square = (vector**2).sum(-1)
    small = square < 1e-8  # where sin(t)/t is 1 - t^2/6 to the last digit
    safe = lib.where(small, lib.ones_like(square), square)
    angle = lib.sqrt(safe)
    first = lib.where(small, 1 - square / 6, lib.sin(angle) / angle)[..., None, None]
    second = lib.where(small, 0.5 - square / 24, (1 - lib.cos(angle)) / safe)[..., None, None]
    x, y, z = vector[..., 0], vector[..., 1], vector[..., 2]
    zero = x * 0
    cross = _matrix([[zero, -z, y], [z, zero, -x], [-y, x, zero]])
    one = _matrix([[zero + 1, zero, zero], [zero, zero + 1, zero], [zero, zero, zero + 1]])
    return one + first * cross + second * (cross @ cross)


def logarithm(matrix: Array) -> Array:
    """The vectors (..., 3), of lengths 0 to pi, whose `exponential` is (..., 3, 3).

    By way of the quaternion whose largest part is found first (Shepperd 1978): no angle is special.
    At half turns either of two opposite vectors.
    """
    lib = _library(matrix)
    m = [[matrix[..., i, j] for j in range(3)] for i in range(3)]
    a, b, c = m[2][1] - m[1][2], m[0][2] - m[2][0], m[1][0] - m[0][1]
    d, e, f = m[0][1] + m[1][0], m[0][2] + m[2][0], m[1][2] + m[2][1]
    rows = [  # 4 q q^T, of the quaternion q = (w, x, y, z)
        [1 + m[0][0] + m[1][1] + m[2][2], a, b, c],
        [a, 1 + m[0][0] - m[1][1] - m[2][2], d, e],
        [b, d, 1 - m[0][0] + m[1][1] - m[2][2], f],
        [c, e, f, 1 - m[0][0] - m[1][1] + m[2][2]],
    ]
    outer = _matrix(rows)  # (..., 4, 4)
    diagonal = lib.stack([rows[i][i] for i in range(4)], -1)
    largest = diagonal.argmax(-1)[..., None]
    pick = _one_hot(largest)
    q = (outer * pick).sum(-2)  # the row of the largest part, a multiple of q
    q = q / lib.sqrt((q**2).sum(-1))[..., None]
    q = lib.where(q[..., :1] < 0, -q, q)
    length = lib.sqrt((q[..., 1:] ** 2).sum(-1))
    small = length < 1e-12
    safe = lib.where(small, lib.ones_like(length), length)
    angle = 2 * lib.arctan2(length, q[..., 0])
    return q[..., 1:] * lib.where(small, 2 * lib.ones_like(length), angle / safe)[..., None]


def _one_hot(index: Array) -> Array:
    """(..., 4, 1) booleans of (..., 1) numbers from 0 to 3."""
    lib = _library(index)
    numbers = lib.arange(4) if lib is np else lib.arange(4, device=index.device)
    return (numbers == index)[..., None]

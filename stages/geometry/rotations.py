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
    digits near 0, where good predictions are.
    """
    lib = _library(first)
    # |A - B|^2 = 8 sin^2(half), trace(A^T B) + 1 = 4 cos^2(half).
    sine = lib.sqrt(((first - second) ** 2).sum((-2, -1)) / 8)
    cosine = lib.sqrt(lib.clip((first * second).sum((-2, -1)) + 1, 0, None)) / 2
    return 2 * lib.arctan2(sine, cosine)

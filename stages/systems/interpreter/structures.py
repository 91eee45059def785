"""Skeletons compared: 3D errors and azimuths, of NumPy arrays or of Torch tensors.

What the paper leaves open is chosen so: a skeleton is centred at the mean of its keypoints and
scaled by the diagonal of its own box, since a picture does not tell how large an object is; it is
not turned. Letters: B skeletons, N keypoints.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Array = Any  # np.ndarray or torch.Tensor
_LEAST = 1e-9


def unit_shape(points: Array) -> Array:
    """(B, N, 3) skeletons with mean 0 and a box of diagonal 1."""
    centred = points - points.mean(1)[:, None]
    if isinstance(points, np.ndarray):
        diagonal = np.linalg.norm(points.max(1) - points.min(1), axis=-1)
        return centred / np.maximum(diagonal, _LEAST)[:, None, None]
    diagonal = (points.amax(1) - points.amin(1)).norm(dim=-1)
    return centred / diagonal.clamp(min=_LEAST)[:, None, None]


def rmse(told: Array, truth: Array) -> Array:
    """(B,) root mean squared distances of keypoints (B, N, 3), both as `unit_shape` makes them."""
    square = ((unit_shape(told) - unit_shape(truth)) ** 2).sum(-1).mean(-1)
    return square**0.5


def azimuth_deg(rotation: Array) -> Array:
    """(B,) azimuths, -180 to 180, of the cameras that see skeletons turned by (B, 3, 3).

    The optical axis in the skeleton's frame is the third row; the camera stands against it. Azimuth
    0 sees the front, +z, azimuth 90 the object's own left, +x, as in `stages.geometry.cameras`.
    """
    x, z = -rotation[..., 2, 0], -rotation[..., 2, 2]
    if isinstance(rotation, np.ndarray):
        return np.degrees(np.arctan2(x, z))
    return x.atan2(z).rad2deg()

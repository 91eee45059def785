"""Which part of a picture is kept, and where its points come to lie.

Letters: W, H width and height of the stored picture; an affine (2, 3) maps (x, y, 1) of the
original picture to (u, v) of the stored one, both with pixel centres at +0.5.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from PIL import Image

_LEAST_SIDE = 16.0  # pixels of the original that are kept at least
_SUPPORT = 2  # of the bicubic filter, in pixels of the coarser picture


def object_region(boxes: np.ndarray, margin: float) -> np.ndarray:
    """(4,) the box around (n, 4) boxes, and `margin` times its longer side on all four sides."""
    low, high = boxes[:, :2].min(0), boxes[:, 2:].max(0)
    side = max(float((high - low).max()), _LEAST_SIDE)
    spare = np.maximum(_LEAST_SIDE - (high - low), 0) / 2 + margin * side
    return np.concatenate([low - spare, high + spare])


def affine_to(region: np.ndarray, width: int, height: int, stretch: bool) -> np.ndarray:
    """(2, 3) float64 affine of a region (left, upper, right, lower edge) to W x H pixels.

    Without `stretch` it is one scale for both axes, the region in full and centred.
    """
    extent = region[2:] - region[:2]
    scale = np.array([width, height]) / extent
    if not stretch:
        scale[:] = scale.min()
    shift = np.array([width, height]) / 2 - scale * (region[:2] + region[2:]) / 2
    return np.concatenate([np.diag(scale), shift[:, None]], 1)


def apply_affine(affine: np.ndarray, points: np.ndarray) -> np.ndarray:
    """(..., 2) stored coordinates of (..., 2) original ones."""
    return points @ affine[:, :2].T + affine[:, 2]


def resample(
    picture: Image.Image, affine: np.ndarray, width: int, height: int, grey: int
) -> np.ndarray:
    """(H, W, 3) uint8: a picture through an affine without rotation; `grey` outside of it.

    Where the picture is made smaller, the filter takes in all its pixels, so nothing aliases.
    """
    from PIL import Image

    canvas = Image.new("RGB", (width, height), (grey, grey, grey))
    corners = np.array([[0, 0], picture.size], float)
    low, high = apply_affine(affine, corners)
    first = np.clip(np.floor(low), 0, (width, height)).astype(int)
    last = np.clip(np.ceil(high), 0, (width, height)).astype(int)
    if (last <= first).any():
        return np.asarray(canvas)
    # A rim of grey, wide enough for the filter: pixels at the edge are mixed as they should be.
    scale = affine.diagonal()
    rim = [math.ceil((_SUPPORT + 1) * max(1.0, 1 / s)) for s in scale]
    padded = Image.new(
        "RGB", (picture.width + 2 * rim[0], picture.height + 2 * rim[1]), (grey, grey, grey)
    )
    padded.paste(picture, (rim[0], rim[1]))
    left, upper, right, lower = ((np.stack([first, last]) - affine[:, 2]) / scale + rim).ravel()
    part = padded.resize(
        (int(last[0] - first[0]), int(last[1] - first[1])),
        Image.Resampling.BICUBIC,
        box=(left, upper, right, lower),
    )
    canvas.paste(part, (int(first[0]), int(first[1])))
    return np.asarray(canvas)

"""From a source's axes to the canonical frame: z up, front facing -y, box centred, diagonal 1."""

from __future__ import annotations

import numpy as np

from stages.errors import ItemError, UsageError
from stages.geometry.mesh import Mesh

AXES = ("+x", "-x", "+y", "-y", "+z", "-z")


def canonical_rotation(up: str, front: str) -> np.ndarray:
    """(3, 3) float64 rotation that takes a source's `up` to +z and its `front` to -y.

    `up` and `front` are each one of AXES, as directions of the source. The object's own left then
    is +x. Raises UsageError for an unknown axis and for two axes along one line.
    """
    vertical, forward = _direction(up, "up"), _direction(front, "front")
    if abs(vertical @ forward) > 0:
        raise UsageError(
            f"up {up!r} and front {front!r} lie along one line", "name two axes at right angles"
        )
    return np.stack([np.cross(vertical, forward), -forward, vertical])


def _direction(axis: str, what: str) -> np.ndarray:
    if axis not in AXES:
        raise UsageError(f"{what} axis {axis!r} is unknown", f"use one of {' '.join(AXES)}")
    direction = np.zeros(3)
    direction["xyz".index(axis[1])] = 1 if axis[0] == "+" else -1
    return direction


def canonicalise(mesh: Mesh, up: str, front: str) -> Mesh:
    """The mesh in the canonical frame; the box is that of the vertices that faces use.

    Raises ItemError for a mesh without faces or of no finite, positive extent.
    """
    rotation = canonical_rotation(up, front)
    if not len(mesh.faces):
        raise ItemError("it has no faces")
    low, high = mesh.bounds().astype(np.float64)
    diagonal = float(np.linalg.norm(high - low))
    if not (np.isfinite(diagonal) and diagonal > 0):
        raise ItemError("it has no extent: all its vertices are one point")
    centre = (low + high) / 2
    return mesh.moved(rotation, 1 / diagonal, -rotation @ centre / diagonal)


def random_scales(
    box: np.ndarray, stretch: float, count: int, rng: np.random.Generator
) -> np.ndarray:
    """(count, 3) factors along x, y, z that leave the diagonal of the bounding box as it is.

    The random anisotropic scaling that Esteves et al. (2019, appendix A) augment shapes by. Each
    factor is log-uniform from 1 / stretch to stretch; then one factor for all three restores the
    diagonal of the box, which has the (3,) sides `box`.
    """
    scale = stretch ** rng.uniform(-1, 1, (count, 3))
    diagonals = np.linalg.norm(scale * box, axis=1, keepdims=True)
    return scale * (np.linalg.norm(box) / diagonals)

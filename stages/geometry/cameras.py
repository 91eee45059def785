"""Viewpoints and cameras, in the one convention of the project.

World: right-handed, z up, the front of an object faces -y. Camera: OpenCV (x right, y down,
z forward), `x_cam = R x_world + t`, pixel centres at +0.5. A viewpoint is
(azimuth_deg, elevation_deg, inplane_deg, distance) as in PASCAL3D+: the camera sits at
`distance * (cos e sin a, -cos e cos a, sin e)` and looks at the origin; azimuth 0 sees the front;
a positive in-plane angle turns the picture counter-clockwise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# 60 mm lens on a 32 mm sensor: the camera of MVC (Tulsiani et al. 2018), in image widths.
FOCAL = 1.875
# Distance at which a unit-diagonal object fills that picture.
DISTANCE = 2.0


@dataclass(frozen=True)
class Ranges:
    """Between which angles viewpoints are drawn; the widest, upright, unless said otherwise."""

    azimuth_deg: tuple[float, float] = (0.0, 360.0)
    elevation_deg: tuple[float, float] = (-90.0, 90.0)
    inplane_deg: tuple[float, float] = (0.0, 0.0)


def extrinsics(viewpoints: np.ndarray) -> np.ndarray:
    """(..., 3, 4) float64 matrices [R | t] of (..., 4) viewpoints (degrees, world units)."""
    viewpoints = np.asarray(viewpoints, np.float64)
    azimuth, elevation, inplane = np.moveaxis(np.radians(viewpoints[..., :3]), -1, 0)
    sa, ca, se, ce = np.sin(azimuth), np.cos(azimuth), np.sin(elevation), np.cos(elevation)
    zero = np.zeros_like(sa)
    right = np.stack([ca, sa, zero], -1)
    down = np.stack([se * sa, -se * ca, -ce], -1)
    forward = np.stack([-ce * sa, ce * ca, -se], -1)
    si, ci = np.sin(inplane)[..., None], np.cos(inplane)[..., None]
    rotation = np.stack([ci * right + si * down, ci * down - si * right, forward], -2)
    translation = np.zeros((*viewpoints.shape[:-1], 3, 1))
    translation[..., 2, 0] = viewpoints[..., 3]
    return np.concatenate([rotation, translation], -1)


def viewpoints_of(rotations: np.ndarray, distance: float = DISTANCE) -> np.ndarray:
    """(..., 4) viewpoints whose `extrinsics` hold the rotations (..., 3, 3), azimuth in [0, 360).

    Straight from above or below the azimuth is 0 or whatever rounding makes of it, and the in-plane
    angle what it then has to be.
    """
    rotations = np.asarray(rotations, np.float64)
    x, y, z = np.moveaxis(rotations[..., 2, :], -1, 0)  # forward: (-ce sa, ce ca, -se)
    azimuth = np.degrees(np.arctan2(-x, y))
    elevation = np.degrees(np.arctan2(-z, np.hypot(x, y)))
    zero = np.zeros_like(azimuth)
    upright = extrinsics(np.stack([azimuth, elevation, zero, zero], -1))[..., :3]
    roll = rotations @ np.swapaxes(upright, -1, -2)  # about the optical axis
    inplane = np.degrees(np.arctan2(roll[..., 0, 1], roll[..., 0, 0]))
    return np.stack([np.mod(azimuth, 360), elevation, inplane, np.full_like(zero, distance)], -1)


def intrinsics(size: int, focal: float = FOCAL) -> np.ndarray:
    """(3, 3) float64 matrix of a square picture of `size` pixels; `focal` is in image widths."""
    return np.array([[focal * size, 0, size / 2], [0, focal * size, size / 2], [0, 0, 1.0]])


def project(points: np.ndarray, matrix: np.ndarray, lens: np.ndarray) -> np.ndarray:
    """(..., 3) pixel u, pixel v and metric depth of (..., 3) world points.

    `matrix` is one (3, 4) extrinsic, `lens` one (3, 3) intrinsic matrix.
    """
    cam = np.asarray(points, np.float64) @ matrix[:, :3].T + matrix[:, 3]
    uvw = cam @ lens.T
    return np.concatenate([uvw[..., :2] / uvw[..., 2:], cam[..., 2:]], -1)


def grid24() -> np.ndarray:
    """(24, 4) viewpoints: azimuth k * 15 degrees, elevation 30 (PTN; pose-aware paper, 3)."""
    azimuth = np.arange(24) * 15.0
    return np.stack([azimuth, np.full(24, 30.0), np.zeros(24), np.full(24, DISTANCE)], -1)


def uniform(count: int, rng: np.random.Generator, ranges: Ranges) -> np.ndarray:
    """(count, 4) viewpoints at DISTANCE, every angle uniform in degrees.

    The first of them do not depend on `count`.
    """
    low, high = np.array([ranges.azimuth_deg, ranges.elevation_deg, ranges.inplane_deg]).T
    angles = low + (high - low) * rng.random((count, 3))
    return _at_distance(angles)


def on_sphere(count: int, rng: np.random.Generator, ranges: Ranges) -> np.ndarray:
    """(count, 4) viewpoints at DISTANCE, directions uniform over the area of the sphere.

    Over that part of it which the ranges leave; the in-plane angle is uniform in degrees. With all
    angles free the camera's rotation is uniform over SO(3). The first do not depend on `count`.
    """
    low, high = np.array([ranges.azimuth_deg, ranges.elevation_deg, ranges.inplane_deg]).T
    part = rng.random((count, 3))
    angles = low + (high - low) * part
    bottom, top = np.sin(np.radians([low[1], high[1]]))  # areas between parallels go with height
    height = bottom + (top - bottom) * part[:, 1]
    angles[:, 1] = np.clip(np.degrees(np.arcsin(height)), low[1], high[1])
    return _at_distance(angles)


def _at_distance(angles: np.ndarray) -> np.ndarray:
    """(N, 4) viewpoints of (N, 3) angles, azimuth brought into [0, 360)."""
    azimuth = np.mod(angles[:, :1], 360)
    return np.column_stack([azimuth, angles[:, 1:], np.full(len(angles), DISTANCE)])

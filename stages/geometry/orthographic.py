"""The orthographic camera of depth maps and the views it takes, for NumPy arrays and for Torch.

Extrinsics are as everywhere (`stages.geometry.cameras`): OpenCV, `x_cam = R x_world + t`, at
DISTANCE from the origin and looking at it. The picture shows the square of side 1 around the
optical axis, which holds a unit-diagonal shape at any rotation. With W pixels a side and the centre
of pixel (row i, column j) at u = j + 0.5, v = i + 0.5,

    u = W (x_cam + 1/2),   v = W (y_cam + 1/2),   depth = z_cam,

so that depths of such a shape lie in 0.5 .. 1.5. The code of the structure generator (Lin, Kong and
Lucey 2018) has the same camera in Blender's axes, where y and z point the other way:
`u = W x + W/2, v = -W y + W/2, depth = 1 - z`. It takes pixel centres to be whole numbers, half a
pixel off those that Blender draws.

Letters: H = W pixels a side, P points; leading axes are free.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from stages.errors import UsageError
from stages.geometry import cameras

Array = Any  # np.ndarray or torch.Tensor

DISTANCE = 1.0  # of the camera from the origin, in world units

GOLDEN = (1 + 5**0.5) / 2
SOLIDS = {4: "tetrahedron", 6: "octahedron", 8: "cube", 12: "icosahedron", 20: "dodecahedron"}


def intrinsics(size: int) -> np.ndarray:
    """(3, 3) float64 matrix K of `size` pixels a side: (u, v, 1) = K (x_cam, y_cam, 1)."""
    return np.array([[size, 0, size / 2], [0, size, size / 2], [0, 0, 1.0]])


def project(points: Array, extrinsics: Array, size: int) -> tuple[Array, Array, Array]:
    """u, v in pixels and depth, each (..., P), of (..., P, 3) world points.

    `extrinsics` (..., 3, 4) are those of one camera for each leading index.
    """
    camera = points @ extrinsics[..., :3].mT + extrinsics[..., None, :, 3]  # (..., P, 3)
    return (camera[..., 0] + 0.5) * size, (camera[..., 1] + 0.5) * size, camera[..., 2]


def unproject(u: Array, v: Array, depth: Array, extrinsics: Array) -> Array:
    """(..., H, W, 3) world points of pixels u, v (broadcast) at depth (..., H, W).

    The inverse of `project` for pictures of as many pixels a side as `depth` has, seen by one
    camera of `extrinsics` (..., 3, 4) for each leading index.
    """
    size = depth.shape[-1]
    rotation = extrinsics[..., :3]
    origin = -(extrinsics[..., None, :, 3] @ rotation)[..., None, :]  # (..., 1, 1, 3): R^T (-t)
    right, down, forward = (rotation[..., None, None, row, :] for row in range(3))
    across, along = (u / size - 0.5)[..., None], (v / size - 0.5)[..., None]
    return origin + across * right + along * down + depth[..., None] * forward


def xyz_maps(depth: Array, extrinsics: Array) -> Array:
    """(..., H, W, 3) world points that the pixel centres of depth maps (..., H, W) show.

    Those of pixels without depth mean nothing.
    """
    if isinstance(depth, np.ndarray):
        library: Any = np
    else:
        import torch as library  # only here: NumPy callers need not pay for it
    size = depth.shape[-1]
    centres = library.arange(size, dtype=depth.dtype, device=depth.device) + 0.5
    return unproject(centres, centres[:, None], depth, extrinsics)


def fixed_viewpoints(count: int) -> np.ndarray:
    """(count, 4) viewpoints, as in `cameras`, from the corners of a regular solid.

    Upright, without in-plane rotation; none looks along the vertical, where upright means nothing.
    The 8 are the corners of the cube in the order of the structure generator's code, and begin with
    its 4; they begin the 20. The 6 are turned by 45 degrees about x, as there. The 12 and 20
    have their standard coordinates, which that code turns and rounds. Raises UsageError for any
    other number.
    """
    if count not in SOLIDS:
        raise UsageError(f"there are no {count} fixed views", f"use {', '.join(map(str, SOLIDS))}")
    directions = _corners(count)
    directions = directions / np.linalg.norm(directions, axis=1, keepdims=True)
    azimuth = np.degrees(np.arctan2(directions[:, 0], -directions[:, 1]))
    elevation = np.degrees(np.arcsin(directions[:, 2]))
    return np.stack([azimuth, elevation, np.zeros(count), np.full(count, DISTANCE)], -1)


def _corners(count: int) -> np.ndarray:
    """(count, 3) float64 corners of the regular solid, at one distance from the origin."""
    p, q = GOLDEN, 1 / GOLDEN
    cube = [
        *[(1, 1, 1), (1, -1, -1), (-1, 1, -1), (-1, -1, 1)],
        *[(1, 1, -1), (1, -1, 1), (-1, 1, 1), (-1, -1, -1)],
    ]
    if count in (4, 8):
        return np.array(cube[:count], np.float64)
    if count == 6:
        r = 2**0.5  # as far as the others
        return np.array(
            [(r, 0, 0), (0, -1, 1), (0, 1, -1), (-r, 0, 0), (0, 1, 1), (0, -1, -1)], np.float64
        )
    signs = [(1, 1), (1, -1), (-1, 1), (-1, -1)]
    rectangle = (1, p) if count == 12 else (q, p)
    first = [(0, s * rectangle[0], t * rectangle[1]) for s, t in signs]
    rest = [np.roll(corner, turn) for turn in range(3) for corner in first]
    return np.array(rest if count == 12 else [*cube, *rest], np.float64)


def random_viewpoints(count: int, rng: np.random.Generator) -> np.ndarray:
    """(count, 4) viewpoints: directions uniform on the sphere, in-plane rotation on the circle.

    That is, uniform over all rotations. The first of them do not depend on `count`.
    """
    viewpoints = cameras.on_sphere(count, rng, cameras.Ranges(inplane_deg=(0.0, 360.0)))
    viewpoints[:, 3] = DISTANCE
    return viewpoints

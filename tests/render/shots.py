"""One picture, taken by either renderer in the simplest way."""

from __future__ import annotations

import numpy as np

from stages.geometry import cameras
from stages.geometry.mesh import Mesh
from stages.render import backend
from stages.render.surface import Shot, light, prepare

FRONT = (0.0, 0.0, 0.0, 2.0)
EVEN = light(0, 0, 0, 1)  # ambient light only: colours come out as they are
SIDE = light(-30, 45, 0.6, 0.4)


UNSCALED = np.ones(3)


def shoot(
    mesh: Mesh,
    viewpoint=FRONT,
    size=64,
    lamp=EVEN,
    smooth=True,
    name="numba",
    scale=UNSCALED,
):
    """(size, size, 3) uint8 and (size, size) float32 of the mesh, one sample a pixel."""
    lens = cameras.intrinsics(size)
    surface = prepare(mesh, smooth, lens[0, 0] / viewpoint[3])
    scene = backend.scene_class(name)(surface)
    return scene.shoot(Shot(cameras.extrinsics(np.array(viewpoint)), lens, size, lamp, scale))


def rays(size: int) -> np.ndarray:
    """(size, size, 3) points at depth 1 that pixel centres look at, in the camera frame."""
    v, u = np.mgrid[:size, :size] + 0.5
    focal = cameras.FOCAL * size
    return np.stack([(u - size / 2) / focal, (v - size / 2) / focal, np.ones_like(u)], -1)

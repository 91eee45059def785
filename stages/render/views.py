"""Pictures of a mesh from viewpoints, antialiased, by whichever renderer."""

from __future__ import annotations

import numpy as np

from stages.geometry import cameras
from stages.geometry.mesh import Mesh
from stages.render import Params, backend
from stages.render.surface import compiled, light, prepare
from stages.stage import Arrays


def render_views(mesh: Mesh, viewpoints: np.ndarray, params: Params) -> Arrays:
    """The arrays of `stages.render.SPEC` for (N, 4) viewpoints of a mesh in the world frame.

    Only the fields of `params` that say how to draw are read, not those that choose viewpoints.
    """
    name = backend.choose(params.backend)
    size, fine = params.size, params.size * params.supersample
    extrinsics = cameras.extrinsics(viewpoints)
    distance = float(viewpoints[:, 3].min())
    surface = prepare(mesh, params.shading == "smooth", cameras.FOCAL * fine / distance)
    lamp = light(
        params.light_azimuth_deg, params.light_elevation_deg, params.directional, params.ambient
    )
    scene = backend.scene_class(name)(surface, lamp)
    count = len(viewpoints)
    rgb = np.empty((count, size, size, 3), np.uint8)
    mask = np.empty((count, size, size), np.uint8)
    depth = np.empty((count, size, size), np.float32)
    for n in range(count):
        colours, depths = scene.shoot(extrinsics[n], cameras.intrinsics(fine), fine)
        _average(colours, depths, params.background, (rgb[n], mask[n], depth[n]))
    return {
        "rgb": rgb,
        "mask": mask,
        "depth": depth,
        "viewpoint": viewpoints.astype(np.float32),
        "extrinsics": extrinsics.astype(np.float32),
        "intrinsics": cameras.intrinsics(size).astype(np.float32),
        "renderer": np.array(name.encode(), "S16"),
    }


@compiled
def _average(colours, depths, background, out):
    """Box averages of the (fine, fine) pictures into (rgb, mask, depth) of (size, size).

    The number of samples a side is odd, so that one of them is at the centre of the pixel.
    """
    rgb, mask, depth = out
    size = len(depth)
    side = len(depths) // size
    samples = side * side
    for y in range(size):
        for x in range(size):
            covered, red, green, blue = 0, 0, 0, 0
            for row in range(y * side, (y + 1) * side):
                for column in range(x * side, (x + 1) * side):
                    if depths[row, column] > 0:
                        covered += 1
                        red += colours[row, column, 0]
                        green += colours[row, column, 1]
                        blue += colours[row, column, 2]
            empty = (samples - covered) * background
            rgb[y, x, 0] = (red + empty + samples // 2) // samples
            rgb[y, x, 1] = (green + empty + samples // 2) // samples
            rgb[y, x, 2] = (blue + empty + samples // 2) // samples
            mask[y, x] = (covered * 255 + samples // 2) // samples
            depth[y, x] = depths[y * side + side // 2, x * side + side // 2]

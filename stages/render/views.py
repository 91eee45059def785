"""Pictures of a mesh from viewpoints, antialiased, by whichever renderer."""

from __future__ import annotations

import numpy as np

from stages.geometry import cameras
from stages.geometry.mesh import Mesh
from stages.render import backend
from stages.render.params import Params
from stages.render.surface import Shot, compiled, light, prepare
from stages.render.variety import Variety, fixed
from stages.stage import Arrays


def render_views(
    mesh: Mesh, viewpoints: np.ndarray, params: Params, variety: Variety | None = None
) -> Arrays:
    """The arrays of `stages.render.SPEC` for (N, 4) viewpoints of a mesh in the world frame.

    Only the fields of `params` that say how to draw are read, not those that say what is drawn at
    random: that is `variety`, by default none at all.
    """
    count, size = len(viewpoints), params.size
    variety = variety or fixed(params, count)
    name = backend.choose(params.backend)
    fine = size * params.supersample
    lens = cameras.intrinsics(fine, params.focal)
    extrinsics = cameras.extrinsics(viewpoints)
    # As the nearest view needs the textures; what a scale adds to that is not worth more texels.
    surface = prepare(mesh, params.shading == "smooth", lens[0, 0] / float(viewpoints[:, 3].min()))
    scene = backend.scene_class(name)(surface)
    rgb = np.empty((count, size, size, 3), np.uint8)
    mask = np.empty((count, size, size), np.uint8)
    depth = np.empty((count, size, size), np.float32)
    for n in range(count):
        shot = Shot(extrinsics[n], lens, fine, light(*variety.light[n]), variety.scale[n])
        colours, depths = scene.shoot(shot)
        _average(colours, depths, variety.background(n), (rgb[n], mask[n], depth[n]))
    return {
        "rgb": rgb,
        "mask": mask,
        "depth": depth,
        "viewpoint": viewpoints.astype(np.float32),
        "extrinsics": extrinsics.astype(np.float32),
        "intrinsics": cameras.intrinsics(size, params.focal).astype(np.float32),
        "scale": variety.scale.astype(np.float32),
        "light": variety.light.astype(np.float32),
        "renderer": np.array(name.encode(), "S16"),
    }


@compiled
def _average(colours, depths, background, out):
    """Box averages of the (fine, fine) pictures into (rgb, mask, depth) of (size, size).

    The background, (size, size, 3), fills the share of a pixel that is not covered. The number of
    samples a side is odd, so that one of them is at the centre of the pixel.
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
            free = samples - covered
            half = samples // 2
            rgb[y, x, 0] = (red + free * background[y, x, 0] + half) // samples
            rgb[y, x, 1] = (green + free * background[y, x, 1] + half) // samples
            rgb[y, x, 2] = (blue + free * background[y, x, 2] + half) // samples
            mask[y, x] = (covered * 255 + samples // 2) // samples
            depth[y, x] = depths[y * side + side // 2, x * side + side // 2]

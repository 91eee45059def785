"""Views: pictures of every shape with mask, depth and camera (`crossdim render`).

Per shape N views of S x S pixels, by default with the camera of MVC (Tulsiani et al. 2018), a 60 mm
lens on a 32 mm sensor at distance 2 of the unit-diagonal shape. Viewpoints are on a grid, drawn
from ranges, or from a density fitted to real pictures; the shape's proportions, its light and what
is behind it may differ from view to view. Presets are the views that the papers learn from. Which
renderer drew is kept beside the pictures: both draw the same but for the last bit of a colour and
the pixels at a silhouette.
"""

from __future__ import annotations

import numpy as np

from stages.geometry.mesh import Mesh, refuse_broken
from stages.render.attach import attach
from stages.render.params import Params, check
from stages.render.presets import PRESETS, variant
from stages.stage import Arrays, ArraySpec, Item, Stage

VERSION = 2

_PICTURE, _SIDES = ("view", "row", "column"), (None, "size", "size")
SPEC = {
    "rgb": ArraySpec(
        "uint8",
        ("view", "row", "column", "channel"),
        "sRGB 0..255",
        "image",
        shape=(None, "size", "size", 3),
    ),
    "mask": ArraySpec("uint8", _PICTURE, "covered share of the pixel x 255", "image", shape=_SIDES),
    "depth": ArraySpec(
        "float32",
        _PICTURE,
        "world units at the pixel centre, 0 = nothing",
        "camera z (OpenCV)",
        shape=_SIDES,
    ),
    "viewpoint": ArraySpec(
        "float32",
        ("view", "parameter"),
        "azimuth_deg, elevation_deg, inplane_deg, distance in world units",
        "canonical",
        shape=(None, 4),
    ),
    "extrinsics": ArraySpec(
        "float32",
        ("view", "row", "column"),
        "[R | t], x_cam = R (scale * x_world) + t",
        "camera (OpenCV)",
        shape=(None, 3, 4),
    ),
    "intrinsics": ArraySpec("float32", ("row", "column"), "pixels", "image", shape=(3, 3)),
    "scale": ArraySpec(
        "float32",
        ("view", "axis"),
        "factors of the shape along x, y, z",
        "canonical",
        shape=(None, 3),
    ),
    "light": ArraySpec(
        "float32",
        ("view", "parameter"),
        "azimuth_deg, elevation_deg from the shape, 0 = from the camera; directional, ambient "
        "strength",
        "camera, right and up",
        shape=(None, 4),
    ),
    "renderer": ArraySpec("S16", label=True),
}


def process(item: Item, params: Params, rng: np.random.Generator) -> Arrays:
    """The arrays of SPEC for one shape of the stage `shapes`.

    Raises ItemError for a broken mesh, and for a category without fitted viewpoints.
    """
    from stages.render.variety import draw_variety, draw_viewpoints, streams
    from stages.render.views import render_views

    mesh = Mesh.from_arrays(dict(item.inputs["shapes"]))
    refuse_broken(mesh)
    rngs = streams(rng)
    viewpoints = draw_viewpoints(item, params, rngs)
    return render_views(mesh, viewpoints, params, draw_variety(item, mesh, params, rngs))


STAGE = Stage(
    name="views",
    version=VERSION,
    params=Params,
    spec=SPEC,
    process=process,
    inputs=("shapes",),
    command="crossdim render",
    variant=variant,
    check=check,
    presets=PRESETS,
    attach=attach,
)

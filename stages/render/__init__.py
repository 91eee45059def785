"""Views: pictures of every shape with mask, depth and camera (`crossdim render`).

Per shape N views of S x S pixels by the camera of MVC (Tulsiani et al. 2018), 60 mm lens on a 32 mm
sensor at distance 2 of the unit-diagonal shape; the viewpoints are the 24 of PTN (Yan et al. 2016;
used by the pose-aware paper, section 3) or drawn uniformly. Which renderer drew is kept beside the
pictures: both draw the same but for the last bit of a colour and the pixels at a silhouette.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from stages.errors import UsageError
from stages.geometry import cameras
from stages.geometry.mesh import Mesh
from stages.stage import Arrays, ArraySpec, Item, Stage, differing, option

GRID_VIEWS = 24
MOST_SAMPLES = 8192  # a side: 1.3 GB while a view is drawn


@dataclass(frozen=True)
class Params:
    """How shapes are seen and drawn."""

    size: int = option(64, "pixels a side", low=8, high=4096)
    views: int = option(GRID_VIEWS, "views a shape (uniform)", low=1, high=10000)
    viewpoints: Literal["grid24", "uniform"] = option(
        "grid24", "24 azimuths at elevation 30, or drawn at random"
    )
    elevation_min_deg: float = option(-20.0, "lowest elevation (uniform)", low=-90, high=90)
    elevation_max_deg: float = option(40.0, "highest elevation (uniform)", low=-90, high=90)
    supersample: int = option(3, "samples a pixel side, odd", low=1, high=15)
    shading: Literal["smooth", "flat"] = option("smooth", "normals of the vertices or the faces")
    background: int = option(255, "grey level behind the shape", low=0, high=255)
    # Together 0.9: white keeps apart from a white background.
    ambient: float = option(0.4, "strength of the light from everywhere", low=0, high=2)
    directional: float = option(0.5, "strength of the directional light", low=0, high=2)
    light_azimuth_deg: float = option(-30.0, "light right of the camera", low=-180, high=180)
    light_elevation_deg: float = option(45.0, "light above the camera", low=-90, high=90)
    backend: Literal["auto", "numba", "pyrender"] = option(
        "auto", "auto: pyrender where OpenGL runs on a graphics device, else numba"
    )


VERSION = 1

SPEC = {
    "rgb": ArraySpec("uint8", ("view", "row", "column", "channel"), "sRGB 0..255", "image"),
    "mask": ArraySpec(
        "uint8", ("view", "row", "column"), "covered share of the pixel x 255", "image"
    ),
    "depth": ArraySpec(
        "float32",
        ("view", "row", "column"),
        "world units at the pixel centre, 0 = nothing",
        "camera z (OpenCV)",
    ),
    "viewpoint": ArraySpec(
        "float32",
        ("view", "parameter"),
        "azimuth_deg, elevation_deg, inplane_deg, distance in world units",
        "canonical",
    ),
    "extrinsics": ArraySpec(
        "float32", ("view", "row", "column"), "[R | t], x_cam = R x_world + t", "camera (OpenCV)"
    ),
    "intrinsics": ArraySpec("float32", ("row", "column"), "pixels", "image"),
    "renderer": ArraySpec("S16", label=True),
}


def process(item: Item, params: Params, rng: np.random.Generator) -> Arrays:
    """The arrays of SPEC for one shape of the stage `shapes`."""
    from stages.render.views import render_views

    if params.viewpoints == "grid24":
        viewpoints = cameras.grid24()
    else:
        elevations = (params.elevation_min_deg, params.elevation_max_deg)
        viewpoints = cameras.uniform(params.views, rng, elevations)
    return render_views(Mesh.from_arrays(item.inputs["shapes"]), viewpoints, params)


def check(params: Params) -> None:
    """Raises UsageError where options contradict each other, EnvironmentLacks without OpenGL."""
    if params.supersample % 2 == 0:
        raise UsageError(
            f"--supersample {params.supersample} is even: no sample at the centre of a pixel",
            "use 1, 3, 5, ...",
        )
    if params.size * params.supersample > MOST_SAMPLES:
        raise UsageError(
            f"--size {params.size} with --supersample {params.supersample} is too fine",
            f"their product may be {MOST_SAMPLES} at most",
        )
    if params.viewpoints == "grid24":
        for name in sorted(
            {"views", "elevation_min_deg", "elevation_max_deg"} & set(differing(params))
        ):
            raise UsageError(
                f"--{name.replace('_', '-')} does nothing with --viewpoints grid24",
                "add --viewpoints uniform",
            )
    if params.elevation_min_deg > params.elevation_max_deg:
        raise UsageError(
            f"--elevation-min-deg {params.elevation_min_deg:g} is above the highest elevation",
            "raise --elevation-max-deg",
        )
    if params.backend == "pyrender":
        from stages.render.backend import choose

        choose(params.backend)


def variant(params: Params) -> str:
    """`grid24-64px`, `uniform10-128px-flat`: what differs from the defaults, in order."""
    rest = {
        name: value
        for name, value in differing(params).items()
        if name not in ("size", "views", "viewpoints")
    }
    kind = "grid24" if params.viewpoints == "grid24" else f"uniform{params.views}"
    return "-".join([kind, f"{params.size}px", *(_word(*entry) for entry in rest.items())])


def _word(name: str, value: Any) -> str:
    """A parameter in a folder's name: `flat`, `supersample1`, `elevationmin-10`."""
    if isinstance(value, str):
        return value
    return name.removesuffix("_deg").replace("_", "") + f"{value:g}"


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
)

"""Sphere maps of every shape (`crossdim raycast`): how far out its surface is in each direction.

Rays go out from the centre of the shape, and the value is the distance to the farthest hit, 0 where
nothing is hit (Esteves et al., Learning SO(3) Equivariant Representations with Spherical CNNs,
2018). From a sphere of radius R around the shape it is R minus the distance of the first hit on the
way to the centre (Cohen et al., Spherical CNNs, 2018), which must not be looked for beyond it:
otherwise the far wall would show through a hole in the near one.

Channels may add the sine of the angle between the ray and the normal at the hit, and both of the
convex hull. Front or back of a face makes no difference to any of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from stages.errors import ItemError, UsageError
from stages.geometry.mesh import Mesh, refuse_broken
from stages.stage import Arrays, ArraySpec, Item, Stage, option

if TYPE_CHECKING:
    from stages.raycast.body import Body

CHANNELS: dict[str, tuple[str, ...]] = {
    "length": ("length",),
    "length+sine": ("length", "sine"),
    "length+hull": ("length", "hull length"),
    "all": ("length", "sine", "hull length", "hull sine"),
}


@dataclass(frozen=True)
class Params:
    """The rays, and what is kept of their hits."""

    res: int = option(64, "rays a side, even", low=4, high=1024)
    grid: Literal["midpoint", "driscoll-healy"] = option(
        "midpoint", "colatitudes pi (2j + 1) / 2n, or pi j / n from the pole on"
    )
    channels: Literal["length", "length+sine", "length+hull", "all"] = option(
        "length", "ray length; sine of the angle to the normal; those of the convex hull"
    )
    centre: Literal["box", "ball"] = option(
        "box", "rays go out from the centre of the bounding box, or of the smallest ball"
    )


VERSION = 1

SPEC = {
    "map": ArraySpec(
        "float32",
        ("channel", "colatitude", "longitude"),
        "channels in the order length, sine, hull length, hull sine, those that `channels` names; "
        "lengths in world units (diagonals of the bounding box), 0 = no hit",
        "canonical around `centre`; colatitude from +z, longitude from +x towards +y",
    ),
    "centre": ArraySpec("float32", ("axis",), "world units, where rays start", "canonical"),
    "radius": ArraySpec("float32", ("value",), "world units, from `centre` to the farthest vertex"),
}


def process(item: Item, params: Params, rng: np.random.Generator) -> Arrays:
    """The arrays of SPEC for one shape of the stage `shapes`.

    Lengths are at most `radius`. Raises ItemError for a broken mesh, and for one that no ray hits:
    a flat one through its centre, or one so thin all over that it lies between the rays.
    """
    from stages.raycast.body import prepare, smallest_ball, used_vertices

    mesh = Mesh.from_arrays(dict(item.inputs["shapes"]))
    refuse_broken(mesh)
    centre = np.zeros(3)  # of the box, in the canonical frame
    if params.centre == "ball":
        centre, _ = smallest_ball(used_vertices(mesh.vertices, mesh.faces))
    body = prepare(mesh, hull="hull length" in _names(params.channels), centre=centre)
    found = cast(body, params.res, params.grid, params.channels)
    if not found[0].any():
        raise ItemError(f"none of {params.res} x {params.res} rays from its centre hits it")
    radius = np.linalg.norm(used_vertices(*body.shape), axis=1).max()
    return {
        "map": found,
        "centre": centre.astype(np.float32),
        "radius": np.array([radius], np.float32),
    }


def cast(
    mesh: Body | Mesh | np.ndarray,
    res: int = 64,
    grid: str = "midpoint",
    channels: str = "length",
    matrix: np.ndarray | None = None,
) -> np.ndarray:
    """(C, res, res) float32 sphere map [channel, colatitude, longitude] around the origin.

    mesh: a mesh, (F, 3, 3) triangles, or what `stages.raycast.body.prepare` made of either, which
    saves the checks and the hull when one shape is cast many times. channels: a key of CHANNELS,
    whose values name the C channels. matrix: (3, 3) linear map to see the shape under, such as a
    rotation or an anisotropic scaling; rotating by it rotates the map.

    Lengths are in the units of the mesh, 0 where nothing is hit. Sines are of the angle between the
    ray and the normal of the face, 0 where it is hit head-on or not at all. Raises ItemError for a
    broken mesh, UsageError for a grid, channels or a matrix that cannot be.
    """
    from stages.raycast.body import Body, prepare
    from stages.raycast.incidence import sines
    from stages.raycast.scan import rays, scan

    names = _names(channels)
    body = mesh if isinstance(mesh, Body) else prepare(mesh, hull="hull length" in names)
    moved = np.eye(3) if matrix is None else np.ascontiguousarray(matrix, np.float64)
    if moved.shape != (3, 3) or not np.isfinite(moved).all():
        raise UsageError("the matrix to cast under is no finite 3 x 3 one", "check its entries")
    directions = rays(res, grid)
    maps = []
    for what, triangles in (("", body.shape), ("hull ", body.hull)):
        if what + "length" in names:
            if triangles is None:
                raise UsageError("the body has no hull", "prepare it with hull=True")
            length, face = scan(*triangles, moved, directions)
            maps.append(length)
            if what + "sine" in names:
                maps.append(sines(*triangles, moved, directions, face))
    return np.stack(maps).astype(np.float32)


def _names(channels: str) -> tuple[str, ...]:
    if channels not in CHANNELS:
        raise UsageError(f"channels {channels!r} are unknown", f"use one of {' '.join(CHANNELS)}")
    return CHANNELS[channels]


def check(params: Params) -> None:
    """Raises UsageError for a grid that has no whole band limit."""
    if params.res % 2:
        raise UsageError(f"--res {params.res} is odd: no whole band limit", "use an even number")


def variant(params: Params) -> str:
    """`res64`, `res64-dh-length+sine-ball`: the grid, then what is not the default."""
    names = [f"res{params.res}"]
    if params.grid == "driscoll-healy":
        names.append("dh")
    if params.channels != "length":
        names.append(params.channels)
    if params.centre != "box":
        names.append(params.centre)
    return "-".join(names)


STAGE = Stage(
    name="spheres",
    version=VERSION,
    params=Params,
    spec=SPEC,
    process=process,
    inputs=("shapes",),
    command="crossdim raycast",
    variant=variant,
    check=check,
)

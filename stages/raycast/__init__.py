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

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from stages.errors import ItemError, UsageError
from stages.geometry.mesh import Mesh, refuse_broken
from stages.stage import Arrays, ArraySpec, Attachment, Item, Stage, differing, option

if TYPE_CHECKING:
    from stages.raycast.body import Body
    from stages.raycast.poses import Poses
    from stages.store.workspace import Workspace

MOST_RAYS = 2**28  # of an item: 1 GiB of maps, and two copies of it while they are stored

CHANNELS: dict[str, tuple[str, ...]] = {
    "length": ("length",),
    "length+sine": ("length", "sine"),
    "length+hull": ("length", "hull length"),
    "all": ("length", "sine", "hull length", "hull sine"),
}


@dataclass(frozen=True)
class Params:
    """The rays, what is kept of their hits, and the poses of the shape."""

    res: int = option(64, "rays a side, even", low=4, high=1024)
    grid: Literal["midpoint", "driscoll-healy"] = option(
        "midpoint", "colatitudes pi (2j + 1) / 2n, or pi j / n from the pole on"
    )
    oversample: Literal[1, 2, 4] = option(
        1, "cast so many times as many rays a side, keep what a map of --res can hold"
    )
    channels: Literal["length", "length+sine", "length+hull", "all"] = option(
        "length", "ray length; sine of its angle to the normal; both of the convex hull"
    )
    centre: Literal["box", "ball"] = option(
        "box", "rays start at the centre of the bounding box, or of the smallest ball"
    )
    poses: Literal["canonical", "random", "views"] = option(
        "canonical", "one map, maps at random rotations, or one map a picture as its camera sees it"
    )
    count: int = option(8, "maps a shape (random)", low=1, high=10000)
    stretch: float = option(
        1.0, "scale each axis by up to this factor, then to diagonal 1 (random)", low=1, high=4
    )
    views: str = option("", "artefact with the pictures; default: the only one (views)")


VERSION = 1

SPEC = {
    "map": ArraySpec(
        "float32",
        ("pose", "channel", "colatitude", "longitude"),
        "in this order, where asked for: length, sine, hull length, hull sine; lengths in world "
        "units (diagonals of the bounding box), 0 = no hit",
        "x = rotation scale (x_canonical - centre), colatitude from +z, longitude from +x to +y",
        shape=(None, None, "res", "res"),
    ),
    "rotation": ArraySpec(
        "float32",
        ("pose", "row", "column"),
        "",
        "canonical to that of the map",
        shape=(None, 3, 3),
    ),
    "scale": ArraySpec(
        "float32", ("pose", "axis"), "factors before the rotation", "canonical", shape=(None, 3)
    ),
    "centre": ArraySpec(
        "float32", ("axis",), "world units, where rays start", "canonical", shape=(3,)
    ),
    "radius": ArraySpec("float32", ("pose",), "world units, from `centre` to the farthest vertex"),
}


def process(item: Item, params: Params, rng: np.random.Generator) -> Arrays:
    """The arrays of SPEC for one shape of the stage `shapes`.

    No length is more than `radius`, but for ripples of oversampled maps. Raises ItemError for a
    broken mesh, for one that no ray hits (a flat one through its centre, or one so thin all over
    that it lies between the rays), and for one without pictures where their poses are asked for.
    """
    from stages.raycast.body import prepare, smallest_ball, used_vertices

    mesh = Mesh.from_arrays(dict(item.inputs["shapes"]))
    refuse_broken(mesh)
    used = used_vertices(mesh.vertices, mesh.faces).astype(np.float64)
    centre = np.zeros(3)  # of the box, in the canonical frame
    if params.centre == "ball":
        centre, _ = smallest_ball(used)
    body = prepare(mesh, "hull length" in _names(params.channels), centre)
    poses = _poses(item, params, np.ptp(used, axis=0), rng)
    matrices = poses.matrices()
    maps = [_map(body, params, matrix) for matrix in matrices]
    if not any(one[0].any() for one in maps):
        raise ItemError(f"none of {params.res} x {params.res} rays from its centre hits it")
    far = [np.linalg.norm((used - centre) * factors, axis=1).max() for factors in poses.scale]
    return {
        "map": np.stack(maps),
        "rotation": poses.rotation,
        "scale": poses.scale,
        "centre": centre.astype(np.float32),
        "radius": np.array(far, np.float32),
    }


def _map(body: Body, params: Params, matrix: np.ndarray) -> np.ndarray:
    """(C, res, res) float32: cast, or cast finer and freed of what would alias."""
    fine = cast(body, params.res * params.oversample, params.grid, params.channels, matrix)
    if params.oversample == 1:
        return fine
    import torch

    from stages.sphere.pooling import resampled

    # in float64: whatever the threads, the digits that are kept are the same
    coarse = resampled(torch.from_numpy(fine).double(), params.res, params.grid)
    return coarse.numpy().astype(np.float32)


def _poses(item: Item, params: Params, box: np.ndarray, rng: np.random.Generator) -> Poses:
    from stages.raycast import poses

    if params.poses == "random":
        return poses.random(params.count, params.stretch, box, rng)
    if params.poses == "canonical":
        return poses.canonical()
    if "views" not in item.attached:
        raise ItemError("there are no pictures of it among the views")
    return poses.of_views(item.attached["views"][0])


def attach(
    params: Params, seed: int, workspace: Workspace, ids: list[str]
) -> Mapping[str, Attachment]:
    """The pictures of the shapes whose poses are to be theirs."""
    from stages.raycast.poses import attach_views

    return attach_views(workspace, params.views, ids) if params.poses == "views" else {}


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
    """Raises UsageError for a grid that cannot be, and for options that do nothing."""
    if params.res % 2:
        raise UsageError(f"--res {params.res} is odd: no whole band limit", "use an even number")
    for name, poses in (("count", "random"), ("stretch", "random"), ("views", "views")):
        if name in differing(params) and params.poses != poses:
            raise UsageError(
                f"--{name} does nothing with --poses {params.poses}", f"add --poses {poses}"
            )
    most = MOST_RAYS // (params.res**2 * len(_names(params.channels)))
    if params.poses == "random" and params.count > most:
        raise UsageError(
            f"--count {params.count} maps of --res {params.res} are too many for one item",
            f"use --count {most} or less",
        )


def variant(params: Params) -> str:
    """`res64`, `res64-dh-length+sine-ball-random8`: the grid, then what is not the default."""
    names = [f"res{params.res}"]
    if params.grid == "driscoll-healy":
        names.append("dh")
    if params.oversample > 1:
        names.append(f"oversample{params.oversample}")
    changed = differing(params)
    names += [changed[name] for name in ("channels", "centre") if name in changed]
    if params.poses == "random":
        names.append(f"random{params.count}")
    if params.stretch != 1:
        names.append(f"stretch{params.stretch:g}")
    if params.poses == "views":
        names += ["views", params.views] if params.views else ["views"]
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
    attach=attach,
)

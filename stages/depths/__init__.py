"""Orthographic depth maps at fixed and at novel views (`crossdim depths`).

What the structure generator (Lin, Kong and Lucey 2018) learns from: depth and mask of every shape
from fixed views around it, which its network predicts, and from random novel ones, which its
pseudo-renderer is compared with. Where each pixel lies in the world is not stored but follows from
depth and extrinsics: `stages.geometry.orthographic.xyz_maps`, or `stages.geometry.points.fuse` for
the cloud. As in the voxels, every face counts, whatever its material.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from stages.errors import ItemError, UsageError
from stages.geometry import cameras, orthographic
from stages.geometry.mesh import Mesh, refuse_broken
from stages.stage import Arrays, ArraySpec, Item, Stage, option

MOST_PIXELS = 2**28  # of an item: 1 GiB of depths, and two copies of it while they are stored
# Canonical shapes lie in the ball of this radius, which every picture holds; rounding included.
RADIUS = 0.5 + 1e-5


@dataclass(frozen=True)
class Params:
    """From where shapes are seen, and how finely."""

    views: Literal[4, 6, 8, 12, 20] = option(8, "fixed views: corners of a regular solid")
    novel: int = option(100, "random views of each shape, 0 for none", low=0, high=10000)
    size: int = option(128, "pixels a side", low=8, high=1024)


VERSION = 1

_DEPTH = "world units at the pixel centre, 0 = nothing"
_POSE = "azimuth_deg, elevation_deg, inplane_deg, distance in world units"
_CAMERA = "camera (OpenCV), orthographic"
_RT = "[R | t], x_cam = R x_world + t"
_PICTURE, _PARAMETER = ("view", "row", "column"), ("view", "parameter")
_FIXED, _NOVEL = ("views", "size", "size"), ("novel", "size", "size")
# gzip 1: beside 4, five to ten per cent more bytes and two thirds of the time to read them
SPEC = {
    "depth": ArraySpec("float32", _PICTURE, _DEPTH, _CAMERA, shape=_FIXED, compress=1),
    "mask": ArraySpec("bool", _PICTURE, "depth > 0", "image", shape=_FIXED, packed=True),
    "viewpoint": ArraySpec("float32", _PARAMETER, _POSE, "canonical", shape=("views", 4)),
    "extrinsics": ArraySpec("float32", _PICTURE, _RT, _CAMERA, shape=("views", 3, 4)),
    "novel_depth": ArraySpec(
        "float32", _PICTURE, _DEPTH, _CAMERA, shape=_NOVEL, ragged=True, compress=1
    ),
    "novel_mask": ArraySpec("bool", _PICTURE, "depth > 0", "image", shape=_NOVEL, ragged=True),
    "novel_viewpoint": ArraySpec(
        "float32", _PARAMETER, _POSE, "canonical", shape=("novel", 4), ragged=True
    ),
    "novel_extrinsics": ArraySpec(
        "float32", _PICTURE, _RT, _CAMERA, shape=("novel", 3, 4), ragged=True
    ),
    "intrinsics": ArraySpec(
        "float32",
        ("row", "column"),
        "pixels, (u, v, 1) = K (x_cam, y_cam, 1)",
        "image, orthographic",
        shape=(3, 3),
    ),
}


def process(item: Item, params: Params, rng: np.random.Generator) -> Arrays:
    """The arrays of SPEC for one shape of the stage `shapes`.

    Raises ItemError for a broken mesh, one that is not unit-diagonal, and one that is not seen.
    """
    mesh = Mesh.from_arrays(dict(item.inputs["shapes"]))
    refuse_broken(mesh)
    _refuse_large(mesh)
    fixed = _seen(mesh, orthographic.fixed_viewpoints(params.views), params.size)
    if not fixed["mask"].any():
        raise ItemError("no fixed view sees it: its faces cover no centre of a pixel")
    novel = _seen(mesh, orthographic.random_viewpoints(params.novel, rng), params.size)
    return {
        **fixed,
        **{f"novel_{name}": array for name, array in novel.items()},
        "intrinsics": orthographic.intrinsics(params.size).astype(np.float32),
    }


def _seen(mesh: Mesh, viewpoints: np.ndarray, size: int) -> Arrays:
    """Depth, mask, viewpoint and extrinsics of (N, 4) viewpoints."""
    from stages.depths.zbuffer import depth_maps

    extrinsics = cameras.extrinsics(viewpoints).astype(np.float32)  # as stored, so drawn
    depth = depth_maps(mesh, extrinsics, size)
    return {
        "depth": depth,
        "mask": depth > 0,
        "viewpoint": viewpoints.astype(np.float32),
        "extrinsics": extrinsics,
    }


def _refuse_large(mesh: Mesh) -> None:
    used = np.zeros(len(mesh.vertices), bool)
    used[mesh.faces] = True
    radius = float(np.linalg.norm(mesh.vertices[used].astype(np.float64), axis=1).max())
    if radius > RADIUS:
        raise ItemError(
            f"it leaves the pictures: a vertex is {radius:.3g} from the origin, "
            "those of a centred shape of diagonal 1 are 0.5 at most"
        )


def check(params: Params) -> None:
    """Raises UsageError for more pictures than one item of an artefact can hold."""
    most = MOST_PIXELS // params.size**2
    if params.views + params.novel > most:
        raise UsageError(
            f"--novel {params.novel} pictures of --size {params.size} are too many for one item",
            f"use --novel {most - params.views} or less",
        )


def variant(params: Params) -> str:
    """`cube8-novel100-128px`, `dodecahedron20-64px`."""
    novel = [f"novel{params.novel}"] if params.novel else []
    solid = f"{orthographic.SOLIDS[params.views]}{params.views}"
    return "-".join([solid, *novel, f"{params.size}px"])


STAGE = Stage(
    name="depths",
    version=VERSION,
    params=Params,
    spec=SPEC,
    process=process,
    inputs=("shapes",),
    command="crossdim depths",
    variant=variant,
    check=check,
)

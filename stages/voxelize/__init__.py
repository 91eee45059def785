"""Occupancy grids of every shape (`crossdim voxelize`).

What `fill` makes of a mesh that need not be closed: `solid` the voxels whose centre is inside
(`stages.voxelize.solid`), `surface` those that a triangle touches (`stages.voxelize.surface`),
`both` either of them. At 32^3 the wings of a unit-diagonal airplane are thinner than a voxel and no
centre is inside of them: `both` keeps them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from stages.errors import EnvironmentLacks, ItemError, UsageError
from stages.geometry.mesh import Mesh, refuse_broken
from stages.stage import Arrays, ArraySpec, Item, Stage, option

GIB = 2**30
# Peak of `process`: the grid of booleans, the bits of the solid and their copy in the store;
# measured 1.2. The crossings before that need less: seven grids of bits.
BYTES_PER_VOXEL = 1.5
# A stored item is one HDF5 chunk, less than 4 GiB, eight voxels to a byte.
LARGEST_RES = 3200


@dataclass(frozen=True)
class Params:
    """The grid, and what counts as occupied."""

    res: int = option(32, "voxels a side", low=1)
    fill: Literal["solid", "surface", "both"] = option(
        "both", "centre inside, touched by the surface, or either"
    )
    fit: Literal["diagonal", "longest-side"] = option(
        "diagonal", "what the grid's side is: the shape's diagonal (1), or its longest side"
    )


VERSION = 1

SPEC = {
    "voxels": ArraySpec(
        "bool", ("x", "y", "z"), "occupied", "canonical", shape=("res",) * 3, packed=True
    ),
    "origin": ArraySpec(
        "float32", ("axis",), "world units, lowest corner", "canonical", shape=(3,)
    ),
    "extent": ArraySpec(
        "float32", ("value",), "world units, side of the grid", "canonical", shape=(1,)
    ),
    "disagreement": ArraySpec(
        "float32", ("value",), "share of inside voxels, 0 for closed meshes", shape=(1,)
    ),
}


def process(item: Item, params: Params, rng: np.random.Generator) -> Arrays:
    """The arrays of SPEC for one shape of the stage `shapes`.

    Voxel [x, y, z] has its centre at `([x, y, z] + 0.5) / res * extent + origin`. `disagreement`
    is the share of voxels on which the parities of the three axes differ (`solid_bits`).
    Raises ItemError for a mesh without faces, with corners that are not finite, or of no size.
    """
    from stages.voxelize.solid import in_voxels, solid_bits
    from stages.voxelize.surface import add_surface

    mesh = Mesh.from_arrays(dict(item.inputs["shapes"]))
    refuse_broken(mesh)
    origin, extent = _cube(mesh, params.fit)
    res = params.res
    points = in_voxels(mesh.vertices, origin.astype(np.float64), res / float(extent[0]))  # (V, 3)
    faces = np.ascontiguousarray(mesh.faces, np.int32)
    bits, disagreement = solid_bits(points, faces, res)
    if params.fill == "surface":
        bits[:] = 0
    if params.fill != "solid":
        add_surface(points, faces, bits)
    octets = bits[:res, :res].astype("<u8", copy=False).view(np.uint8)
    return {
        "voxels": np.unpackbits(octets, axis=-1, count=res, bitorder="little").view(bool),
        "origin": origin,
        "extent": extent,
        "disagreement": np.array([disagreement], np.float32),
    }


def _cube(mesh: Mesh, fit: str) -> tuple[np.ndarray, np.ndarray]:
    """(3,) lowest corner and (1,) side of the grid, float32, in the frame of the mesh."""
    if fit == "diagonal":
        return np.full(3, -0.5, np.float32), np.ones(1, np.float32)
    low, high = mesh.bounds().astype(np.float64)
    side = (high - low).max()
    if side == 0:
        raise ItemError("all vertices are at one place")
    return ((low + high - side) / 2).astype(np.float32), np.array([side], np.float32)


def check(params: Params) -> None:
    """Raises UsageError for a grid that cannot be, EnvironmentLacks for one too big to work on."""
    if params.res < 1:
        raise UsageError(f"--res {params.res} is no grid", "use 1 or more")
    needed, free = float(min(params.res, 10**9)) ** 3 * BYTES_PER_VOXEL, free_memory()
    if needed > free:
        largest = min(int((free / BYTES_PER_VOXEL) ** (1 / 3)), LARGEST_RES)
        raise EnvironmentLacks(
            f"--res {params.res} needs about {needed / GIB:.1f} GiB a shape, "
            f"{free / GIB:.1f} GiB are free",
            f"use --res {largest} or less",
        )
    if params.res > LARGEST_RES:
        raise UsageError(
            f"--res {params.res} is more than one item of an artefact can hold",
            f"use --res {LARGEST_RES} or less",
        )


def free_memory() -> int:
    """Bytes that a process can get: those available, within the limit of its control group."""
    import psutil

    free = psutil.virtual_memory().available
    try:
        return min(free, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    except (OSError, ValueError):  # no such group, or its limit is the word "max"
        return free


def variant(params: Params) -> str:
    """`res32`, `res96-surface-longest-side`: the grid, then what is not the default."""
    names = [f"res{params.res}"]
    if params.fill != "both":
        names.append(params.fill)
    if params.fit != "diagonal":
        names.append(params.fit)
    return "-".join(names)


STAGE = Stage(
    name="voxels",
    version=VERSION,
    params=Params,
    spec=SPEC,
    process=process,
    inputs=("shapes",),
    command="crossdim voxelize",
    variant=variant,
    check=check,
)

"""Meshes and voxels as the bytes of common file formats."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Literal

import numpy as np

from stages.errors import UsageError
from stages.export.choose import Grid
from stages.geometry.mesh import Mesh
from stages.geometry.voxels import encode_binvox

SUFFIXES = {
    "mesh": (".obj", ".ply", ".glb", ".stl"),
    "voxels": (".binvox", ".npz"),
    "points": (".ply", ".npz", ".pcd", ".xyz"),
}


def check_suffix(path: Path, kind: Literal["mesh", "voxels", "points"]) -> None:
    """UsageError unless the suffix is one that this kind can be written as."""
    if path.suffix.lower() not in SUFFIXES[kind]:
        raise UsageError(
            f"cannot write {kind} as {path.suffix or path.name!r}",
            f"use one of {', '.join(SUFFIXES[kind])}",
        )


def mesh_bytes(mesh: Mesh, suffix: str) -> bytes:
    """A mesh as OBJ, PLY, GLB or STL: faces with their materials' colours, canonical frame.

    glTF is y-up by its standard: there the mesh is turned so that its z points up in viewers.
    """
    import trimesh

    suffix = suffix.lower().removeprefix(".")
    vertices = mesh.vertices.astype(np.float64)
    if suffix == "glb":
        vertices = vertices[:, [0, 2, 1]] * [1, 1, -1]
    colours = (mesh.material_rgba[mesh.face_material] * 255).round().astype(np.uint8)
    plain = suffix in ("stl", "obj")  # neither has colours of faces
    made = trimesh.Trimesh(
        vertices, mesh.faces, face_colors=None if plain else colours, process=False
    )
    data = made.export(file_type=suffix)
    return data.encode() if isinstance(data, str) else bytes(data)


def voxel_bytes(grid: Grid, suffix: str) -> bytes:
    """A grid as .binvox (filled or not) or .npz (values, origin, extent, threshold)."""
    if suffix.lower() == ".binvox":
        return encode_binvox(grid.values >= grid.threshold, grid.origin, grid.extent)
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        voxels=grid.values >= grid.threshold,
        probability=grid.values,
        origin=np.asarray(grid.origin, np.float32),
        extent=np.float32(grid.extent),
        threshold=np.float32(grid.threshold),
    )
    return buffer.getvalue()

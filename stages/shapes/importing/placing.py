"""A model turned and stretched as the catalogue that lists it says; keypoints beside it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from stages.errors import ItemError
from stages.geometry.mesh import Mesh
from stages.shapes.importing.parts import Part, check, placed


def as_catalogued(parts: Sequence[Part], source: Mapping[str, Any]) -> list[Part]:
    """The parts after the `rotation` and within the `size` of their source, where it has any.

    rotation: nine numbers, the rows of a matrix for column vectors in the file's axes; a mirror is
    one as well. size: three numbers, the extent along the file's x, y and z after the rotation, of
    which only the proportions count. As Sweet Home 3D shows a piece of furniture.

    Raises ItemError for anything else than numbers.
    """
    if not (source.get("rotation") or source.get("size")):
        return list(parts)
    parts = [check(part) for part in parts if len(part.faces)]
    if source.get("rotation"):
        matrix = np.eye(4)
        matrix[:3, :3] = np.reshape(_numbers(source["rotation"], 9, "rotation"), (3, 3))
        parts = [placed(part, matrix) for part in parts]
    if source.get("size") and parts:
        size = _numbers(source["size"], 3, "size")
        if min(size) <= 0:
            raise ItemError(f"its catalogue gives the size {source['size'][:60]!r}")
        used = np.concatenate([part.vertices[np.unique(part.faces)] for part in parts])
        with np.errstate(over="ignore"):  # coordinates without bounds are refused later
            extent = np.ptp(used, axis=0)
        flat = extent <= 1e-9 * extent.max()  # a rug may have no height to be stretched
        scale = np.where(flat, 1, size / np.where(flat, 1, extent))
        parts = [placed(part, np.diag([*scale, 1])) for part in parts]
    return parts


def with_keypoints(mesh: Mesh, parts: Sequence[Part], source: Mapping[str, Any]) -> Mesh:
    """The mesh that `join` made of the parts, with the `keypoints` of its source.

    These are names and coordinates of the file; like the mesh they are moved and scaled so that the
    box is centred and its diagonal 1.
    """
    points = source.get("keypoints")
    if not points:
        return mesh
    used = [part.vertices[np.unique(part.faces)] for part in parts if len(part.faces)]
    vertices = np.concatenate(used).astype(np.float64)
    low, high = vertices.min(0), vertices.max(0)
    placed_at = (np.array(list(points.values())) - (low + high) / 2) / np.linalg.norm(high - low)
    return dataclasses.replace(
        mesh, keypoints=placed_at.astype(np.float32), keypoint_names=tuple(points)
    )


def _numbers(text: str, count: int, what: str) -> list[float]:
    try:
        values = [float(word) for word in text.split()]
    except ValueError:
        values = []
    if len(values) != count or not all(map(math.isfinite, values)):
        raise ItemError(f"its catalogue gives the {what} {text[:60]!r}")
    return values

"""Where the named keypoints of shapes are in their views, and which are hidden
(`crossdim landmarks`).

What the 3D interpreter network learns keypoints from where no annotated photos are to be had: those
of generated shapes, or of annotated CAD models, projected by the camera of each picture. One is
visible if it is in the picture and the depth map there, or in one of the eight pixels around, is
not nearer than it by more than `tolerance`: keypoints lie on edges, where a pixel shows one side or
the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from stages.errors import ItemError
from stages.skeletons.naming import convention_of
from stages.stage import Arrays, ArraySpec, Attachment, Item, Stage, differing, option

VERSION = 1

_CAMERA = "camera (OpenCV)"


_LENGTHS = {"uv": 2, "xyz": 3}


def _named(dtype: str, *axes: str, units: str = "", frame: str = "") -> ArraySpec:
    shape = tuple(map(_LENGTHS.get, axes))
    return ArraySpec(dtype, axes, units, frame, shape=shape, ragged=True)


SPEC = {
    "keypoints": _named("float32", "view", "keypoint", "uv", units="pixels", frame="image"),
    "visible": _named("uint8", "view", "keypoint", units="0 or 1"),
    "points": _named("float32", "view", "keypoint", "xyz", units="world units", frame=_CAMERA),
    "shape_points": _named("float32", "keypoint", "xyz", units="world units", frame="canonical"),
    "keypoint_names": _named("S32", "keypoint"),
    "extrinsics": ArraySpec(
        "float32",
        ("view", "row", "column"),
        "[R | t], those of the views",
        _CAMERA,
        shape=(None, 3, 4),
    ),
    "convention": ArraySpec("S16", label=True),  # whose names they are: generated, objectnet3d
}


@dataclass(frozen=True)
class Params:
    """Which views, and what counts as hidden."""

    views: str = option("", "artefact with the pictures; default: the only one")
    tolerance: float = option(
        0.03, "in front of a keypoint that does not hide it, in diagonals", low=0, high=1
    )
    convention: Literal["auto", "generated", "objectnet3d"] = option(
        "auto", "whose names the keypoints have; auto: generated, else objectnet3d"
    )


def process(item: Item, params: Params, rng: np.random.Generator) -> Arrays:
    """The arrays of SPEC of one shape; ItemError where it has no keypoints, or no views."""
    if "views" not in item.attached:
        raise ItemError("there are no pictures of it among the views")
    shape, views = item.inputs["shapes"], item.attached["views"][0]
    points = shape["keypoints"].astype(np.float64)  # (L, 3)
    if not len(points):
        raise ItemError("it has no named keypoints")
    if not np.isfinite(points).all():
        raise ItemError("a keypoint is not finite")
    matrices = views["extrinsics"].astype(np.float64)
    scaled = points * views["scale"].astype(np.float64)[:, None]  # (V, L, 3)
    seen = scaled @ matrices[:, :, :3].transpose(0, 2, 1) + matrices[:, None, :, 3]
    if seen[..., 2].min() <= 0:
        raise ItemError("a keypoint lies behind the camera")
    flat = seen @ views["intrinsics"].astype(np.float64).T
    pixels = flat[..., :2] / flat[..., 2:]  # (V, L, 2)
    convention: str = params.convention
    if convention == "auto":
        convention = convention_of(bytes(shape["source"]))
    return {
        "keypoints": pixels.astype(np.float32),
        "visible": visible(pixels, seen[..., 2], views["depth"], params.tolerance),
        "points": seen.astype(np.float32),
        "shape_points": shape["keypoints"],
        "keypoint_names": shape["keypoint_names"],
        "extrinsics": views["extrinsics"],
        "convention": np.array(convention.encode(), "S16"),
    }


def visible(
    pixels: np.ndarray, depth: np.ndarray, maps: np.ndarray, tolerance: float
) -> np.ndarray:
    """(V, L) uint8: whether points at pixels (V, L, 2) of a depth (V, L) are to be seen.

    maps: (V, rows, columns) depths at pixel centres, 0 where there is nothing. Points outside of
    the picture are not.
    """
    views, rows, columns = maps.shape
    column, row = np.moveaxis(np.floor(pixels).astype(np.int64), -1, 0)  # (V, L)
    inside = (row >= 0) & (row < rows) & (column >= 0) & (column < columns)
    far = np.where(maps > 0, maps, np.inf)
    far = np.pad(far, ((0, 0), (1, 1), (1, 1)))  # nothing beyond the edge shows a point
    view = np.arange(views)[:, None]
    farthest = np.zeros(depth.shape)
    for down in range(3):
        for right in range(3):
            at = np.clip(row, 0, rows - 1) + down, np.clip(column, 0, columns - 1) + right
            farthest = np.maximum(farthest, far[view, at[0], at[1]])
    return (inside & (farthest >= depth - tolerance)).astype(np.uint8)


def attach(params: Params, seed: int, workspace: Any, ids: list[str]) -> Mapping[str, Attachment]:
    """The pictures of the shapes."""
    from stages.raycast.poses import attach_views

    return attach_views(workspace, params.views, ids)


def variant(params: Params) -> str:
    """`views`, or the name of the views, and what is not the default."""
    told = {k: v for k, v in differing(params).items() if k != "views"}
    return "-".join([params.views or "views", *(f"{name}{v}" for name, v in told.items())])


STAGE = Stage(
    name="landmarks",
    version=VERSION,
    params=Params,
    spec=SPEC,
    process=process,
    inputs=("shapes",),
    command="crossdim landmarks",
    variant=variant,
    attach=attach,
)

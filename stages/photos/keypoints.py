"""Photos with annotated keypoints (`crossdim keypoints import`).

One item is one annotated object in one picture. Which there are is said by the layouts (module
`stages.photos.layouts`); what becomes of one is said here. Letters: K keypoints, A annotators,
W, H size of the stored picture.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from stages.errors import ItemError
from stages.photos.files import file_inside, source_digest, text_array
from stages.photos.layouts import list_sources
from stages.stage import Arrays, ArraySpec, Item, Stage, differing, option

VERSION = 1

_PIXELS = "pixels, centres at +0.5"
SPEC = {
    "rgb": ArraySpec(
        "uint8",
        ("row", "column", "channel"),
        "sRGB 0..255",
        "image",
        shape=("height", "width", 3),
        compress=1,
    ),
    # NaN where it is not visible
    "keypoints": ArraySpec(
        "float32", ("keypoint", "xy"), _PIXELS, "image", shape=(None, 2), ragged=True, unknown=True
    ),
    "visible": ArraySpec("uint8", ("keypoint",), "0 or 1", ragged=True),
    # spread of the annotators; NaN where there are fewer than two
    "sigma": ArraySpec("float32", ("keypoint",), "pixels", ragged=True, unknown=True),
    "keypoint_names": ArraySpec("S32", ("keypoint",), ragged=True),
    "annotator_keypoints": ArraySpec(
        "float32",
        ("annotator", "keypoint", "xy"),
        _PIXELS,
        "image",
        shape=(None, None, 2),
        ragged=True,
        unknown=True,
    ),
    "bbox": ArraySpec(
        "float32", ("edge",), "pixels: left, upper, right, lower", "image", shape=(4,)
    ),
    "viewpoint": ArraySpec(
        "float32",
        ("parameter",),
        "azimuth_deg, elevation_deg, inplane_deg, distance as the data set has it",
        "canonical",
        shape=(4,),
        unknown=True,
    ),
    "affine": ArraySpec(
        "float64", ("uv", "xy1"), "pixels", "original to stored picture", shape=(2, 3)
    ),
    "source_size": ArraySpec("int32", ("side",), "pixels: width, height", shape=(2,)),
    "split": ArraySpec("S16", label=True),  # train, val, test; empty: the data set has none
    "family": ArraySpec("S128", label=True),  # what near-copies share: film, species, model
    "source": ArraySpec("S200"),  # path of the picture in the data set
}


@dataclass(frozen=True)
class Params:
    """What becomes of a picture."""

    width: int = option(240, "Columns of the stored picture.", low=16, high=4096)
    height: int = option(320, "Rows of the stored picture.", low=16, high=4096)
    region: Literal["picture", "object"] = option(
        "picture", "All of the picture, or what is around the object."
    )
    fit: Literal["letterbox", "stretch"] = option(
        "letterbox", "Keep the aspect and fill with grey, or stretch the region to the size."
    )
    margin: float = option(0.1, "Around an object, in its longer sides.", low=0, high=10)
    grey: int = option(128, "Grey level where there is no picture.", low=0, high=255)


def process(item: Item, params: Params, rng: np.random.Generator) -> Arrays:
    """The arrays of SPEC of one annotated object.

    Points that lie up to a pixel outside of the picture are moved to its edge; others outside are
    not visible. Raises ItemError when the picture cannot be read, when the data set says nothing
    usable of it, and when it names keypoints of which none is in the picture.
    """
    from stages.photos import placing
    from stages.photos.pictures import read_as_annotated

    source = item.source
    if "problem" in source:
        raise ItemError(source["problem"])
    size = tuple(source["size"]) if "size" in source else None
    picture = read_as_annotated(file_inside(Path(source["root"]), source["path"]), size)
    names = source["names"]
    points = _inside(_array(source["points"], (len(names),)), picture.size)  # (K, 2)
    clicks = _array(source.get("clicks", []), (-1, len(names)))  # (A, K, 2)
    _check_points(source["points"], points)
    bbox = _bbox(source.get("bbox"), points, picture.size)  # (4,)
    region = np.array([0, 0, *picture.size], float)
    if params.region == "object":
        boxes = [bbox, *(np.tile(p, 2) for p in points if np.isfinite(p).all())]
        region = placing.object_region(np.array(boxes), params.margin)
    affine = placing.affine_to(region, params.width, params.height, params.fit == "stretch")
    rgb = placing.resample(picture, affine, params.width, params.height, params.grey)
    points, clicks = (placing.apply_affine(affine, p) for p in (points, clicks))
    return {
        "rgb": rgb,
        "keypoints": points.astype(np.float32),
        "visible": np.isfinite(points).all(-1).astype(np.uint8),
        "sigma": spread(clicks).astype(np.float32),
        "keypoint_names": np.array([name.encode() for name in names], "S32"),
        "annotator_keypoints": clicks.astype(np.float32),
        "bbox": placing.apply_affine(affine, bbox.reshape(2, 2)).reshape(4).astype(np.float32),
        "viewpoint": np.array(source.get("viewpoint", [None] * 4), np.float32),
        "affine": affine,
        "source_size": np.array(picture.size, np.int32),
        **{name: text_array(source.get(name, ""), SPEC[name]) for name in ("split", "family")},
        "source": text_array(source["path"], SPEC["source"]),
    }


def spread(clicks: np.ndarray) -> np.ndarray:
    """(K,) sigma of (A, K, 2) clicks, NaN where one is missing; NaN with fewer than two.

    `sqrt(sum_a |p_a - mean|^2 / (n - 1))` over the n annotators of a keypoint: the unit in which
    the 3D-INN paper measures errors (PCP, AE; section 4.1).
    """
    there = np.isfinite(clicks).all(-1)  # (A, K)
    count = there.sum(0)  # (K,)
    values = np.where(there[..., None], clicks, 0)
    mean = values.sum(0) / np.maximum(count, 1)[:, None]  # (K, 2)
    square = np.where(there, ((values - mean) ** 2).sum(-1), 0).sum(0)
    return np.where(count > 1, np.sqrt(square / np.maximum(count - 1, 1)), np.nan)


def _array(points: list[Any], shape: tuple[int, ...]) -> np.ndarray:
    """Nested lists of points as an array (*shape, 2), NaN where one is None."""
    nothing = [float("nan")] * 2
    flat = points if len(shape) == 1 else [p for row in points for p in row]
    if len(shape) == 2:
        shape = (len(points), shape[1])
    return np.array([p or nothing for p in flat], float).reshape(*shape, 2)


def _inside(points: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(K, 2) points, NaN for those that lie more than a pixel outside of the picture."""
    clipped = np.clip(points, 0, size)
    near = np.abs(points - clipped).max(-1, initial=0) <= 1  # (K,), not for NaN
    return np.where(near[:, None], clipped, np.nan)


def _check_points(annotated: list[Any], points: np.ndarray) -> None:
    if not len(points) or np.isfinite(points).any():
        return
    some = any(point is not None for point in annotated)
    raise ItemError(
        "all its keypoints lie outside of the picture" if some else "no keypoint is annotated"
    )


def _bbox(given: list[float] | None, points: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(4,) the box in the picture: as given, else around the points, else all of the picture."""
    seen = points[np.isfinite(points).all(-1)]
    if given is not None:
        low, high = np.clip(np.reshape(given, (2, 2)).astype(float), 0, size)
        if not (high > low).all():
            raise ItemError(f"its box is empty or outside of the picture: {given}")
        return np.concatenate([low, high])
    if len(seen):
        return np.concatenate([seen.min(0), seen.max(0)])
    return np.array([0, 0, *size], float)


def _variant(params: Params) -> str:
    return "imported" + "".join(f"-{k}{v}" for k, v in differing(params).items())


STAGE = Stage(
    name="keypoints",
    version=VERSION,
    params=Params,
    spec=SPEC,
    process=process,
    command="crossdim keypoints import",
    untrusted=True,
    list_sources=list_sources,
    digest=source_digest,
    variant=_variant,  # the base name is the caller's to choose: which data set it is
)

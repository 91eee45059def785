"""Readers of annotation files: PASCAL3D+ and ObjectNet3D, the fine-grained data sets, tables.

Each returns the annotated objects of one file, and raises ItemError with the reason when it cannot
be read. None of them runs anything that a file says.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from stages.errors import ItemError
from stages.store.texts import TextError, read_rows
from stages.viewpoints.annotations import FLAGS, NAN, Annotation
from stages.viewpoints.matfile import read_mat
from stages.viewpoints.pickles import unpickled

COLUMNS = ("category", "azimuth_deg", "elevation_deg", "inplane_deg", "distance")
_REQUIRED = COLUMNS[:3]
_MOST_BYTES = 256 << 20


def read_record(path: Path, category: str = "", split: str = "") -> list[Annotation]:
    """The objects of a PASCAL3D+ or ObjectNet3D annotation, of one class if that is named.

    The record of a picture lists all objects; the folder of each class holds its own copy, in
    which only the objects of that class count. Objects without a viewpoint are left out. Where
    there is no exact viewpoint (distance 0, or no azimuth) the coarse one stands, flagged.

    `theta` is the in-plane rotation: their project_3d.m turns the projected points, y upwards, by
    +theta, so the picture turns counter-clockwise, as here.
    """
    found = read_mat(path, "record")
    record = found[0] if isinstance(found, list) and found else None
    if not isinstance(record, dict):
        raise ItemError("its record is no struct")
    objects = record.get("objects")
    if objects is None or (isinstance(objects, np.ndarray) and not objects.size):
        return []
    if not isinstance(objects, list) or not all(isinstance(one, dict) for one in objects):
        raise ItemError("its objects are no structs")
    image = record.get("filename")
    image = image if isinstance(image, str) and image else path.stem
    annotations = (_object(one, split, image) for one in objects)
    return [one for one in annotations if one and category in ("", one.category)]


def _object(one: Mapping[str, Any], split: str, image: str) -> Annotation | None:
    name, view = one.get("class"), one.get("viewpoint")
    if not isinstance(name, str) or not isinstance(view, list) or not view:
        return None
    view = view[0]
    if not isinstance(view, dict):
        raise ItemError("a viewpoint is no struct")
    exact, flags = _numbers(view, "azimuth", "elevation", "theta", "distance"), 0
    if not exact[3] > 0 or math.isnan(exact[0]) or math.isnan(exact[1]):
        flags = FLAGS["coarse"]
        exact = [*_numbers(view, "azimuth_coarse", "elevation_coarse"), NAN, NAN]
        if math.isnan(exact[0]) or math.isnan(exact[1]):
            return None
    for flag in ("truncated", "occluded", "difficult"):
        if _numbers(one, flag)[0] > 0:
            flags |= FLAGS[flag]
    box = one.get("bbox")
    whole = isinstance(box, np.ndarray) and box.size == 4
    bbox = [float(v) for v in box.reshape(-1)] if whole else [NAN] * 4  # type: ignore[union-attr]
    return Annotation(name, exact, bbox, flags, split, image)


def _numbers(of: Mapping[str, Any], *names: str) -> list[float]:
    """The scalars of these names; NaN for one that is missing or empty."""
    values = [of.get(name) for name in names]
    return [
        float(v.reshape(-1)[0]) if isinstance(v, np.ndarray) and v.size == 1 else NAN
        for v in values
    ]


def read_finegrained(path: Path, category: str, split: str = "") -> list[Annotation]:
    """The pictures of StanfordCars3D, FGVC-Aircraft3D or CompCars3D (Wang et al. 2018).

    A pickle of {picture: {azimuth, elevation, theta, distance, ...}} in radians. Their azimuth 0
    sees the object's left and 90 degrees its front (the CAD models of ShapeNet v1 face +x), and
    their projection looks along -z without mirroring x, which for symmetric objects is a picture
    seen from 90 degrees - azimuth, turned clockwise by theta: both are converted.
    """
    found = unpickled(_bytes(path))
    if not isinstance(found, dict) or not all(isinstance(name, str) for name in found):
        raise ItemError("it is no dictionary of annotations")
    annotations = []
    for image, one in sorted(found.items()):
        if not isinstance(one, dict):
            raise ItemError("it is no dictionary of annotations")
        azimuth, elevation, theta, distance = (
            _float(one.get(name), f"{name} of {image}")
            for name in ("azimuth", "elevation", "theta", "distance")
        )
        angles = [90 - math.degrees(azimuth), math.degrees(elevation), -math.degrees(theta)]
        view = [angles[0] % 360, angles[1], angles[2], distance if distance > 0 else NAN]
        annotations.append(Annotation(category, view, split=split, image=image))
    return annotations


def _float(value: Any, what: str) -> float:
    """A number from a pickle or a table, NaN for none."""
    try:
        return NAN if value is None or value == "" else float(value)
    except (TypeError, ValueError, OverflowError):
        shown = repr(value[:40]) if isinstance(value, str) else type(value).__name__
        raise ItemError(f"{what} is no number: {shown}") from None


def _bytes(path: Path) -> bytes:
    if path.stat().st_size > _MOST_BYTES:
        raise ItemError(f"it is larger than {_MOST_BYTES >> 20} MiB")
    return path.read_bytes()


def read_table(path: Path) -> list[Annotation]:
    """The rows of a CSV file: COLUMNS by the names in its first line, and `split`, `image`.

    Azimuth and elevation are needed; in-plane and distance may be empty or missing. Already in
    this project's convention.
    """
    try:
        reader = read_rows(path)
        absent = [name for name in _REQUIRED if name not in (reader.fieldnames or ())]
        if absent:
            raise ItemError(f"line 1: no column {', '.join(absent)}")
        return [_table_row(row, reader.line_num) for row in reader]
    except TextError as error:
        raise ItemError(f"it {error}") from None


def _table_row(row: Mapping[str, Any], line: int) -> Annotation:
    if None in row or None in row.values():
        raise ItemError(f"line {line}: not as many values as columns")
    row = {name: value.strip() for name, value in row.items()}
    if not row["category"].isprintable() or not row["category"]:
        raise ItemError(f"line {line}: no category")
    values = [_float(row.get(name), f"line {line}: {name}") for name in COLUMNS[1:]]
    if not all(map(math.isfinite, values[:2])) or any(map(math.isinf, values)):
        raise ItemError(f"line {line}: no viewpoint")
    values[0] %= 360
    if not values[3] > 0:
        values[3] = NAN
    return Annotation(
        row["category"], values, split=row.get("split", ""), image=row.get("image", "")
    )

"""PASCAL3D+ (Xiang et al. 2014) and ObjectNet3D (2016): objects with keypoints and viewpoints.

    Annotations/car_imagenet/<name>.mat   record.objects: class, bbox (x1, y1, x2, y2), anchors,
                                          viewpoint; also car_pascal and so on
    Images/car_imagenet/<name>.JPEG
    Image_sets/car_imagenet_train.txt, ..._val.txt
    PASCAL/VOCdevkit/VOC2012/ImageSets/Main/train.txt, val.txt    the split of car_pascal

ObjectNet3D has no folders by class: Annotations/<name>.mat, Images, Image_sets/train.txt.

Pixels are counted from 1. An anchor counts as visible if it has a location and its status is 1. Of
a folder `<class>_...` only objects of that class are read, and of all only those with at least one
visible anchor. Azimuth and elevation are the fine ones where the distance is above 0, else the
coarse ones, with no distance and no in-plane angle; theta is the in-plane angle. What anchors call
left is left for who looks at that side of the object: of a chair or the front of a car, its own
right; of the back of a car, its own left (as the CAD models of ObjectNet3D show).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from stages.errors import InputError, ItemError
from stages.photos.annotated import (
    LISTING,
    UNKNOWN,
    Annotated,
    Entry,
    checked_names,
    to_points,
)
from stages.photos.files import SUFFIXES
from stages.photos.layouts.tables import read_lines
from stages.photos.values import number, numbers, struct, structs, text, vector
from stages.store.guarded import Refused, call_each
from stages.viewpoints.matfile import read_mat

_FROM_ONE = -0.5  # pixel 1 has its centre at 0.5
_VISIBLE = 1  # status of an anchor
_MOST_OBJECTS = 10_000
_VOC_SETS = Path("PASCAL/VOCdevkit/VOC2012/ImageSets/Main")


def read_pascal3d(root: Path) -> list[Entry]:
    """Every annotated object; a file that cannot be read is an item with that problem.

    Raises InputError when there are no annotations.
    """
    annotations = root / "Annotations"
    if not annotations.is_dir():
        raise InputError(
            f"{root} holds no folder Annotations", "name the folder PASCAL3D+_release1.1"
        )
    folders = [annotations, *sorted(path for path in annotations.iterdir() if path.is_dir())]
    files = [
        (folder.relative_to(annotations).as_posix(), path)
        for folder in folders
        for path in sorted(folder.glob("*.mat"))
    ]
    results = call_each(read_record, [str(path) for _, path in files], LISTING)
    pictures = {folder: _pictures(root, folder) for folder in dict.fromkeys(f for f, _ in files)}
    splits = {folder: _split(root, folder) for folder in pictures}
    entries = []
    for (folder, path), result in zip(files, results):
        name = pictures[folder].get(path.stem, f"{path.stem}.jpg")
        common = {
            "path": (Path("Images") / folder / name).as_posix(),
            "split": splits[folder].get(path.stem, ""),
        }
        wanted = "" if folder == "." else folder.rsplit("_", 1)[0]
        entries += _entries(path.stem, wanted, common, result)
    return entries


def _entries(stem: str, wanted: str, common: dict[str, Any], result: Any) -> list[Entry]:
    """The objects of one file, of the class `wanted` unless that is empty."""
    if isinstance(result, Refused):
        return [Entry(wanted or UNKNOWN, stem, Annotated(**common, problem=result.reason))]
    return [
        Entry(category, f"{stem}-{number}", Annotated(**common, **values))
        for number, (category, values) in enumerate(result, 1)
        if wanted in ("", category) and any(point is not None for point in values["points"])
    ]


def read_record(path: str) -> list[tuple[str, dict[str, Any]]]:
    """The objects of an annotation file: class, and what `Annotated` takes. Raises ItemError.

    Only in a guarded process.
    """
    record = struct(read_mat(Path(path), "record"), "record")
    if "objects" not in record:
        raise ItemError("record has no objects")
    objects = structs(record["objects"], "record.objects")
    if len(objects) > _MOST_OBJECTS:
        raise ItemError(f"record has {len(objects)} objects")
    return [_object(one) for one in objects]


def _object(fields: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    category = text(fields.get("class"), "class")
    bbox = vector(fields.get("bbox"), 4, "bbox")
    anchors = _anchors(fields.get("anchors", np.zeros(0)))
    return category, {
        "names": checked_names(list(anchors)),
        "points": to_points(np.array(list(anchors.values())).reshape(-1, 2), _FROM_ONE),
        "bbox": [float(edge) for edge in bbox - [1, 1, 0, 0]],  # pixels 1 to n: edges 0 to n
        "viewpoint": _viewpoint(fields.get("viewpoint", np.zeros(0))),
    }


def _anchors(value: Any) -> dict[str, np.ndarray]:
    """Name -> (x, y), NaN where it is not visible."""
    found = {}
    for name, anchor in struct(value, "anchors").items():
        fields = struct(anchor, f"anchor {name}")
        place = numbers(fields.get("location", np.zeros(0)), f"location of {name}").ravel()
        if place.size not in (0, 2):
            raise ItemError(f"location of {name} is {place.size} numbers")
        status = number(fields.get("status", np.ones(1)), f"status of {name}")
        found[name] = place if place.size and status == _VISIBLE else np.full(2, np.nan)
    return found


def _viewpoint(value: Any) -> list[float | None]:
    """Azimuth, elevation, in-plane in degrees, and distance; None where it is not known."""
    fields = struct(value, "viewpoint")

    def get(name: str) -> float | None:
        return number(fields.get(name), f"viewpoint.{name}")

    azimuth, elevation, distance = get("azimuth"), get("elevation"), get("distance")
    if azimuth is not None and elevation is not None and distance is not None and distance > 0:
        return [azimuth, elevation, get("theta"), distance]
    return [get("azimuth_coarse"), get("elevation_coarse"), None, None]


def _pictures(root: Path, folder: str) -> dict[str, str]:
    """Stem -> file name of the pictures of a folder."""
    try:
        names = sorted(os.listdir(root / "Images" / folder))
    except OSError:
        return {}
    return {Path(name).stem: name for name in names if name.lower().endswith(SUFFIXES)}


def _split(root: Path, folder: str) -> dict[str, str]:
    """Stem of a picture -> train, val or test, as far as the data set says it."""
    sets = root / "Image_sets"
    found: dict[str, str] = {}
    for split in ("train", "val", "test"):
        paths = [sets / f"{folder}_{split}.txt"]
        if folder == ".":
            paths = [sets / f"{split}.txt"]
        elif folder.endswith("_pascal"):
            paths.append(root / _VOC_SETS / f"{split}.txt")
        for path in paths:
            if path.is_file():
                found.update({line.split()[0]: split for _, line in read_lines(path)})
    return found

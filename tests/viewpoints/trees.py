"""Data sets in their true layouts, written by SciPy and pickle."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import scipy.io

EMPTY = np.zeros((0, 0))


def viewpoint(azimuth: float, elevation: float, theta: float, distance: float) -> dict[str, Any]:
    """A viewpoint as PASCAL3D+ keeps it, with coarse angles beside the exact ones."""
    return {
        "azimuth_coarse": 40.0,
        "elevation_coarse": 10.0,
        "azimuth": azimuth,
        "elevation": elevation,
        "distance": distance,
        "focal": 1,
        "px": 120.5,
        "py": 80.0,
        "theta": theta,
        "viewport": 3000,
    }


def thing(name: str, view: Any, **more: Any) -> dict[str, Any]:
    """An object of a record; flags as MATLAB keeps them."""
    flags = {"truncated": np.uint8(0), "occluded": np.uint8(0), "difficult": np.uint8(0)}
    box = np.array([[10.0, 20.0, 110.0, 90.5]])
    return {"class": name, "view": "", "bbox": box, **flags, "viewpoint": view, **more}


def record(*things: dict[str, Any], filename: str = "picture.JPEG") -> dict[str, Any]:
    """A whole annotation of one picture."""
    objects: Any = EMPTY
    if things:
        objects = np.zeros((1, len(things)), [(name, "O") for name in things[0]])
        for number, one in enumerate(things):
            for name, value in one.items():
                objects[0, number][name] = value
    return {
        "record": {"filename": filename, "imgsize": np.array([[500, 375, 3]]), "objects": objects}
    }


def write_mat(path: Path, content: dict[str, Any], compressed: bool = True) -> Path:
    """A MATLAB 5 file, in folders made as needed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scipy.io.savemat(path, content, do_compression=compressed)
    return path


def pascal3d(root: Path) -> Path:
    """A release of PASCAL3D+ with four annotations of cars and one of a chair, and its lists."""
    folder = root / "Annotations"
    seen = thing("car", viewpoint(30.5, 5.25, -2.0, 7.5), truncated=np.uint8(1))
    write_mat(
        folder / "car_imagenet" / "n02814533_1.mat", record(seen, filename="n02814533_1.JPEG")
    )
    coarse = thing("car", viewpoint(0, 0, 0, 0), occluded=np.uint8(1), difficult=np.uint8(1))
    unseen = thing("car", EMPTY)
    write_mat(folder / "car_imagenet" / "n02814533_2.mat", record(coarse, unseen))
    write_mat(folder / "car_imagenet" / "n02814533_3.mat", record())
    other = thing("chair", viewpoint(350, 20, 1.5, 3.0))
    both = record(thing("car", viewpoint(200.0, -3.0, 0.5, 11.0)), other)
    write_mat(folder / "car_pascal" / "2008_000028.mat", both, compressed=False)
    write_mat(folder / "chair_pascal" / "2008_000028.mat", both)
    (root / "Image_sets").mkdir()
    (root / "Image_sets" / "car_imagenet_train.txt").write_text("n02814533_1\nn02814533_3\n")
    (root / "Image_sets" / "car_imagenet_val.txt").write_text("n02814533_2\n")
    voc = root / "PASCAL" / "VOCdevkit" / "VOC2012" / "ImageSets" / "Main"
    voc.mkdir(parents=True)
    (voc / "car_val.txt").write_text("2008_000028  1\n2008_000030 -1\n")
    return root


def objectnet3d(root: Path) -> Path:
    """ObjectNet3D: records of any classes in one folder."""
    cup, fan = thing("cup", viewpoint(10, 40, 3, 2)), thing("fan", viewpoint(99, -5, 0, 4))
    write_mat(root / "Annotations" / "n03147509_12.mat", record(cup, fan))
    (root / "Image_sets").mkdir()
    (root / "Image_sets" / "test.txt").write_text("n03147509_12\n")
    return root


def finegrained(root: Path, protocol: int = 0) -> Path:
    """The repository of the fine-grained data sets: pickles of dicts, in radians."""
    picture = {"azimuth": 1.0, "elevation": 0.1, "theta": -0.05, "distance": 2.5}
    picture |= {"u": 3.0, "v": -4.0, "f": 400.0, "model_id": "abc"}
    arrays = {name: np.float64(v) if isinstance(v, float) else v for name, v in picture.items()}
    for group, split, content in (
        ("StanfordCars", "train", {"00001.jpg": picture, "00002.jpg": {**picture, "azimuth": 4.0}}),
        ("StanfordCars", "test", {"00001.jpg": arrays}),
        ("FGVC_Aircraft", "train", {"0034309.jpg": picture}),
    ):
        folder = root / "Anno3D" / group
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{split}_anno.pkl").write_bytes(pickle.dumps(content, protocol))
        (folder / f"{split}_anno_v2.pkl").write_bytes(pickle.dumps(content, protocol))
    return root


def table(path: Path, *rows: str) -> Path:
    """A CSV file of annotations."""
    path.parent.mkdir(parents=True, exist_ok=True)
    head = "category,split,image,azimuth_deg,elevation_deg,inplane_deg,distance"
    path.write_text("\n".join([head, *rows]) + "\n")
    return path

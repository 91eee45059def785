"""Keypoint-5 (3D-INN; Wu et al. 2016): furniture with up to three annotators a picture.

    chair/coords.mat          coords (2, K, annotators, pictures), x and y, counted from 1
    chair/images/00000001.jpg picture 1, and so on; also bed, sofa, swivelchair, table

NaN or (0, 0) is not annotated. Annotators beyond the third are not used (bed has an empty fourth),
nor are rows beyond the K of NAMES. The truth is the median of the annotators, for each coordinate
of its own, as in the paper. No split was published. Left and right are those of the picture when
the furniture is seen from the front, as the published base shapes show (left has the smaller x).
"""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from stages.errors import InputError, ItemError
from stages.photos.annotated import LISTING, MAX_KEYPOINTS, Annotated, Entry, to_points
from stages.photos.annotated import result_or_error as checked
from stages.photos.files import SUFFIXES
from stages.photos.values import numbers
from stages.store.guarded import call_each
from stages.viewpoints.matfile import read_mat

_MOST_PICTURES = 1_000_000
_ANNOTATORS = 3
_FROM_ONE = -0.5  # pixel 1 has its centre at 0.5
_ROUND = ("front_left", "front_right", "back_right", "back_left")
_SIDES = ("left", "right")
_BED = ("frame_back", "frame_front", "mattress_back", "mattress_front", "bedpost_top")
_SOFA = ("bottom_back", "bottom_front", "seat_back", "seat_front", "arm_back", "arm_front", "top")

# In the order of the data set.
NAMES: dict[str, tuple[str, ...]] = {
    "chair": (
        *(f"leg_{corner}" for corner in _ROUND),
        *(f"seat_{corner}" for corner in _ROUND),
        *(f"back_top_{side}" for side in _SIDES),
    ),
    "bed": tuple(f"{part}_{side}" for side in _SIDES for part in _BED),
    "sofa": tuple(f"{part}_{side}" for side in _SIDES for part in _SOFA),
    "swivelchair": (
        *(f"wheel_{number}" for number in range(1, 6)),
        *("column_bottom", "column_top"),
        *(f"seat_{corner}" for corner in _ROUND),
        *(f"back_top_{side}" for side in _SIDES),
    ),
    # which corner is which was never published
    "table": tuple(f"{part}_{number}" for part in ("top", "leg") for number in range(1, 5)),
}


def read_keypoint5(root: Path) -> list[Entry]:
    """Every picture of every folder with a coords.mat, and every annotation without a picture.

    Folders of other names than in NAMES have keypoints called keypoint_1 and so on. Raises
    InputError when there is no coords.mat, or one cannot be read.
    """
    folders = [root, *sorted(path for path in root.iterdir() if path.is_dir())]
    folders = [folder for folder in folders if (folder / "coords.mat").is_file()]
    if not folders:
        raise InputError(f"{root} holds no coords.mat", "name the folder above chair, bed, sofa")
    results = call_each(read_coords, [str(folder / "coords.mat") for folder in folders], LISTING)
    entries = []
    for folder, result in zip(folders, results):
        coords = checked(result, folder / "coords.mat")
        entries += _entries(root, folder, coords)
    return entries


def read_coords(path: str) -> np.ndarray:
    """(pictures, annotators, K, 2) float64 of a coords.mat; only in a guarded process.

    A file of three axes has one annotator, one of two axes one picture, too. Raises ItemError.
    """
    coords = numbers(read_mat(Path(path), "coords"), "coords")
    if coords.ndim in (2, 3):
        coords = coords[:, :, None] if coords.ndim == 3 else coords[:, :, None, None]
    if coords.ndim != 4 or coords.shape[0] != 2 or 0 in coords.shape:
        shape = "x".join(map(str, coords.shape))
        raise ItemError(f"coords is {shape}, not 2 x keypoints x annotators x pictures")
    if coords.shape[1] > MAX_KEYPOINTS or coords.shape[3] > _MOST_PICTURES:
        raise ItemError(f"coords has {coords.shape[1]} keypoints, {coords.shape[3]} pictures")
    coords = coords[:, :, :_ANNOTATORS].transpose(3, 2, 1, 0)
    missing = ~np.isfinite(coords).all(-1) | (coords == 0).all(-1)  # (pictures, annotators, K)
    return np.where(missing[..., None], np.nan, coords)


def _entries(root: Path, folder: Path, coords: np.ndarray) -> list[Entry]:
    names = NAMES.get(folder.name, tuple(f"keypoint_{n + 1}" for n in range(coords.shape[2])))
    if coords.shape[2] < len(names):
        raise InputError(
            f"{folder / 'coords.mat'} has {coords.shape[2]} keypoints, not {len(names)}",
            f"is it of the category {folder.name}?",
        )
    coords = coords[:, :, : len(names)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # where no annotator has a point
        truth = np.nanmedian(coords, axis=1)  # (pictures, K, 2)
    images = folder / "images" if (folder / "images").is_dir() else folder
    inside = images.relative_to(root).as_posix()
    files, odd = _numbered(images)
    entries = []
    for number in sorted({*files, *range(1, len(coords) + 1)}):
        for path in files.get(number, [f"{number:08d}.jpg"]):
            annotated: dict[str, Any] = {"path": f"{inside}/{path}", "names": names}
            if number > len(coords) or number < 1:
                problem = f"coords.mat has annotations of pictures 1 to {len(coords)}"
                annotated |= {"problem": problem}
            elif len(files.get(number, ())) > 1:
                annotated |= {"problem": f"there are several pictures of number {number}"}
            else:
                annotated |= {
                    "points": to_points(truth[number - 1], _FROM_ONE),
                    "clicks": [to_points(one, _FROM_ONE) for one in coords[number - 1]],
                }
            entries.append(Entry(folder.name, Path(path).stem, Annotated(**annotated)))
    for path in odd:
        problem = "its name is no number, so which annotation is its cannot be told"
        entries.append(
            Entry(folder.name, Path(path).stem, Annotated(f"{inside}/{path}", problem=problem))
        )
    return entries


def _numbered(images: Path) -> tuple[dict[int, list[str]], list[str]]:
    """The pictures of a folder by their number, and those without one."""
    files: dict[int, list[str]] = {}
    odd = []
    for name in sorted(path.name for path in images.iterdir() if path.suffix.lower() in SUFFIXES):
        if re.fullmatch(r"[0-9]{1,12}", Path(name).stem):
            files.setdefault(int(Path(name).stem), []).append(name)
        else:
            odd.append(name)
    return files, odd

"""A picture in a file, framed as a network knows pictures.

Letters: W, H width and height of the picture as it is to be looked at (EXIF orientation applied),
S pixels a side of what the network is given.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from stages.errors import ItemError
from stages.photos.files import walk_pictures
from stages.photos.pictures import read_cut_out
from stages.photos.placing import affine_to, resample
from stages.store.guarded import Limits, Refused, call_each
from stages.weights.cards import Camera

if TYPE_CHECKING:
    from PIL import Image

Crop = Literal["auto", "mask", "none"]
Box = tuple[float, float, float, float]  # left, upper, right, lower edge

PICTURES = Limits(jobs=2, seconds=60.0, memory_gib=2.0)
SHOWN = 160  # pixels of the longer side of the whole picture, as it is shown
_COVERED = 128  # of 255, from which a pixel counts as the object's
_PLAIN = 20  # most that the rim of a plain background differs from its middle colour, 0 to 255
_PLAIN_SHARE = 0.95  # of the rim's pixels that must be so
_FOREIGN = 32  # least that a pixel of an object differs from a plain background
_SOFT = 56  # from which it is nothing but object
_LEAST = 2  # pixels of an object
_LONGEST = 3000  # pixels of the longer side; larger pictures are reduced by a whole factor first


@dataclass(frozen=True)
class Look:
    """What is wanted of a picture; plain values, so that it travels to a guarded process."""

    path: str
    size: int
    background: int
    fill: float
    crop: Crop = "auto"
    box: Box | None = None
    down: float = 0.0


class Seen(NamedTuple):
    """A picture as a network is given it."""

    rgb: np.ndarray  # (S, S, 3) uint8
    mask: np.ndarray | None  # (S, S) uint8 coverage of the object, where it is known
    region: tuple[float, ...]  # left, upper, right, lower edge of what is seen, in pixels W x H
    size: tuple[int, int]  # W, H
    mask_from: str  # "alpha", "plain background", or "" where no mask is known
    shown: np.ndarray  # (h, w, 3) uint8: the whole picture, small


def pictures_in(paths: Sequence[Path]) -> list[Path]:
    """The files of paths, folders being all the pictures in them and in the folders in those.

    Raises InputError for a folder that cannot be read. A file that is not there is not an error
    yet: it is named when it is read.
    """
    found: list[Path] = []
    for path in paths:
        found += [path / name for name in walk_pictures(path)] if path.is_dir() else [path]
    return list(dict.fromkeys(found))


def look_at(
    paths: Sequence[Path], camera: Camera, crop: Crop, box: Box | None
) -> list[Seen | Refused]:
    """Every picture as a network of that camera is given it, parsed in guarded processes."""
    wanted = [
        Look(str(path), camera.size, camera.background, camera.fill, crop, box, camera.down)
        for path in paths
    ]
    return call_each(look, wanted, PICTURES)


def look(wanted: Look) -> Seen:
    """One picture: its object found, cut out and composed on the background of the training.

    The object is what `box` says, else what a mask covers: the alpha channel, or what differs from
    a background of one colour. Its box then takes `fill` of the square that is looked at. With crop
    "none", or where no object is known, the square is around the whole picture.

    Raises ItemError when the picture cannot be read, the box is not in it, or crop is "mask" and
    there is none.
    """
    picture = read_cut_out(Path(wanted.path))
    size, factor = picture.size, math.ceil(max(picture.size) / _LONGEST)
    if factor > 1:
        picture = picture.reduce(factor)
    if factor > 1 and wanted.box is not None:
        edges = (edge / factor for edge in wanted.box)
        wanted = replace(wanted, box=tuple(edges))  # type: ignore[arg-type]
    mask, source = _mask(picture, wanted.crop)
    region = _region(picture, mask, wanted)
    composed = _composed(picture, mask, source, wanted.background)
    affine = affine_to(region, wanted.size, wanted.size, stretch=False)
    rgb = resample(composed, affine, wanted.size, wanted.size, wanted.background)
    return Seen(
        rgb=rgb,
        mask=None if mask is None else _placed(mask, affine, wanted.size),
        region=tuple(float(factor * edge) for edge in region),
        size=size,
        mask_from=source,
        shown=_small(composed),
    )


def _mask(picture: Image.Image, crop: Crop) -> tuple[np.ndarray | None, str]:
    """(H, W) uint8 coverage of the object and where it comes from, None and "" if unknown."""
    if picture.mode == "RGBA":
        alpha = np.asarray(picture)[..., 3]
        if (alpha >= _COVERED).sum() < _LEAST:
            raise ItemError("all of it is transparent")
        if alpha.min() < 255:
            return alpha, "alpha"
    if crop == "none":
        return None, ""
    colours = np.asarray(picture.convert("RGB")).astype(np.int16)
    coverage = _before_plain(colours)
    if coverage is None or (coverage >= _COVERED).sum() < _LEAST:
        return None, ""
    return coverage, "plain background"


def _before_plain(rgb: np.ndarray) -> np.ndarray | None:
    """(H, W) uint8 coverage of what differs from a background of one colour; None without one."""
    colour = _rim_colour(rgb)
    if colour is None:
        return None
    away = np.abs(rgb - colour).max(-1)
    return (np.clip((away - _FOREIGN / 2) / (_SOFT - _FOREIGN / 2), 0, 1) * 255).astype(np.uint8)


def _rim_colour(rgb: np.ndarray) -> np.ndarray | None:
    """(3,) the colour of the picture's rim, where nearly all of it has that one."""
    rim = np.concatenate([rgb[0], rgb[-1], rgb[1:-1, 0], rgb[1:-1, -1]])
    colour = np.median(rim, axis=0)
    plain = (np.abs(rim - colour).max(-1) <= _PLAIN).mean() >= _PLAIN_SHARE
    return colour.astype(np.int16) if plain else None


def _region(picture: Image.Image, mask: np.ndarray | None, wanted: Look) -> np.ndarray:
    """(4,) the square that is looked at, in pixels of the picture; it may reach beyond it."""
    whole = np.array([0, 0, *picture.size], float)
    if wanted.box is not None:
        box = np.array(wanted.box, float)
        inside = np.concatenate([np.maximum(box[:2], whole[:2]), np.minimum(box[2:], whole[2:])])
        if not (np.isfinite(box).all() and (inside[2:] > inside[:2]).all()):
            width, height = picture.size
            raise ItemError(f"its {width}x{height} pixels hold nothing of the box")
        return _square(box, wanted.fill, wanted.down)
    if wanted.crop == "mask" and mask is None:
        raise ItemError("it has no mask: no transparent pixels, no background of one colour")
    if wanted.crop == "none" or mask is None:
        return _square(whole, 1.0)
    rows, columns = (np.flatnonzero((mask >= _COVERED).any(axis)) for axis in (1, 0))
    box = np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], float)
    return _square(box, wanted.fill, wanted.down)


def _square(box: np.ndarray, fill: float, down: float = 0.0) -> np.ndarray:
    """The square whose `fill` the longer side of a box takes.

    The middle of the box lies below that of the square by `down` of its side.
    """
    half = (box[2:] - box[:2]).max() / fill / 2
    middle = (box[:2] + box[2:]) / 2 - np.array([0, 2 * half * down])
    return np.concatenate([middle - half, middle + half])


def _composed(
    picture: Image.Image, mask: np.ndarray | None, source: str, background: int
) -> Image.Image:
    """The picture as RGB, with that grey behind the object."""
    from PIL import Image

    if source == "alpha":
        grey = Image.new("RGBA", picture.size, (background, background, background, 255))
        return Image.alpha_composite(grey, picture).convert("RGB")
    rgb = picture.convert("RGB")
    if mask is None:
        return rgb
    colours = np.asarray(rgb).astype(np.int16)
    colour = _rim_colour(colours)
    if colour is None:
        return rgb
    # the old background is taken off as far as it shows, so that no rim of it stays
    shows = 1 - mask[..., None] / 255.0
    moved = colours + shows * (background - colour)
    return Image.fromarray(np.clip(np.round(moved), 0, 255).astype(np.uint8))


def _placed(mask: np.ndarray, affine: np.ndarray, size: int) -> np.ndarray:
    from PIL import Image

    return resample(Image.fromarray(mask).convert("RGB"), affine, size, size, 0)[..., 0].copy()


def _small(picture: Image.Image) -> np.ndarray:
    from PIL import Image

    scale = SHOWN / max(picture.size)
    if scale < 1:
        size = tuple(max(1, round(side * scale)) for side in picture.size)
        picture = picture.resize(size, Image.Resampling.BOX)  # type: ignore[arg-type]
    return np.asarray(picture)

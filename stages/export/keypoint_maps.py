"""Heatmaps of keypoints over their pictures, a colour a keypoint (figure 5 of 3D-INN).

Letters: N keypoints, h x w pixels of a tile, 320 x 240.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from stages.evaluate.answers import network
from stages.evaluate.landmarked import Pictures, read_pictures
from stages.export.skeletons import Shown, colours
from stages.skeletons.projection import HEIGHT, WIDTH, in_frame
from stages.train.run import Run

COLUMNS = ("picture", "before the refinement", "refined", "keypoints, as told")
TRUTH = "truth"
_GAP, _LINE, _SIDE = 6, 20, 8
_FAINT = 0.05  # of a Gaussian's height; what is lower is not coloured

# One line a picture: what was shown, and its true keypoints (N, 2), NaN where not labelled.
Told = tuple[Shown, np.ndarray | None]


def true_keypoints(run: Run, pictures: Pictures, item: str, device: str) -> np.ndarray:
    """(N, 2) pixels of 240 x 320 in the first picture of an item, NaN where not labelled."""
    trained = network(str(run.folder), run.best()["sha256"], device)
    found = read_pictures(pictures.source(run, device), item, trained)
    points = found["keypoints"][0].numpy()
    labelled = found["known"][0].numpy() & in_frame(points)
    return np.where(labelled[:, None], points, np.nan)


def keypoint_sheet(told: Sequence[Told], names: Sequence[str]) -> bytes:
    """PNG, a row a picture: itself, heatmaps before and after the refinement, keypoints.

    The truth stands last where one of the pictures has it. `names` of the keypoints, in their
    colours, stand below.
    """
    columns = [*COLUMNS, *([TRUTH] if any(truth is not None for _, truth in told) else [])]
    height = _LINE + len(told) * (HEIGHT + _GAP)
    width = len(columns) * (WIDTH + _GAP)
    font = ImageFont.load_default(12)
    places, lines = _flow(names, width, font)
    image = Image.new("RGB", (width, height + (lines + 1) * _LINE), "white")
    draw = ImageDraw.Draw(image)
    for number, head in enumerate(columns):
        draw.text((number * (WIDTH + _GAP) + 2, 3), head, "black", font)
    for row, (one, truth) in enumerate(told):
        for number, tile in enumerate(_tiles(one, truth)):
            place = number * (WIDTH + _GAP), _LINE + row * (HEIGHT + _GAP)
            image.paste(Image.fromarray(tile), place)
    for (x, line), name, colour in zip(places, names, colours(len(names))):
        y = height + line * _LINE
        draw.ellipse((x, y + 4, x + _SIDE, y + 4 + _SIDE), fill=colour, outline="black")
        draw.text((x + _SIDE + 4, y), name, "black", font)
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _flow(names: Sequence[str], width: int, font: Any) -> tuple[list[tuple[int, int]], int]:
    """Where each name begins, (x, line), in lines of a width, and the last of the lines."""
    places, x, line = [], 0, 0
    for name in names:
        length = int(font.getlength(name)) + _SIDE + 20
        if x and x + length > width:
            x, line = 0, line + 1
        places.append((x, line))
        x += length
    return places, line


def _tiles(one: Shown, truth: np.ndarray | None) -> list[np.ndarray]:
    tiles = [one.rgb, *(coloured(one.rgb, one.told[name]) for name in ("rough", "heatmaps"))]
    tiles.append(marked(one.rgb, one.told["keypoints"]))
    return tiles if truth is None else [*tiles, marked(one.rgb, truth)]


def faded(rgb: np.ndarray) -> np.ndarray:
    """(h, w, 3) float, 0 to 255: a picture in pale greys, for colours to stand out."""
    grey = rgb.astype(np.float64).mean(-1, keepdims=True)
    return np.repeat(150 + 0.4 * grey, 3, axis=-1).clip(0, 255)


def coloured(rgb: np.ndarray, maps: np.ndarray) -> np.ndarray:
    """(h, w, 3) uint8: heatmaps (N, 40, 30) over a picture (h, w, 3).

    Every pixel has the colour of the keypoint that is highest there, as opaque as it is high: 1 is
    what a network learns at a keypoint. Nothing is stretched, so that false peaks are not hidden.
    """
    size = rgb.shape[1], rgb.shape[0]
    large = np.stack([np.asarray(Image.fromarray(m.astype(np.float32)).resize(size)) for m in maps])
    height = np.where(large < _FAINT, 0, large).clip(0, 1)  # (N, h, w)
    colour = np.array(colours(len(maps)), np.float64)[height.argmax(0)]  # (h, w, 3)
    opaque = height.max(0)[..., None]
    return (faded(rgb) * (1 - opaque) + colour * opaque).round().astype(np.uint8)


def marked(rgb: np.ndarray, points: np.ndarray) -> np.ndarray:
    """(h, w, 3) uint8: points (N, 2), pixels, in their colours; those that are NaN are left out."""
    image = Image.fromarray(faded(rgb).round().astype(np.uint8))
    draw = ImageDraw.Draw(image)
    for (x, y), colour in zip(points, colours(len(points))):
        if np.isfinite(x) and np.isfinite(y):
            draw.ellipse((x - 5, y - 5, x + 5, y + 5), fill=colour, outline=(0, 0, 0))
    return np.asarray(image)

"""Predictions as pictures: shapes turned to four views, and one sheet for each prediction."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image, ImageDraw

from stages.export.pictures import STANDARD, picture, sheet_png
from stages.geometry.cameras import DISTANCE
from stages.geometry.mesh import Mesh
from stages.predict.images import Seen
from stages.predict.prediction import Prediction, Tile

COLOUR = (0.85, 0.45, 0.20, 1.0)
# Quarter turns from where all sheets of shapes are seen.
TURNS = tuple((float(STANDARD[0]) + 90 * n, float(STANDARD[1])) for n in range(4))
_TITLES = ("from front left", "from front right", "from behind right", "from behind left")
_MASKED = np.array([255, 120, 60])


def turned(draw: Callable[[np.ndarray], np.ndarray]) -> list[Tile]:
    """Four views, by what draws a shape from a viewpoint (4,)."""
    views = [np.array([*angles, 0, DISTANCE], np.float32) for angles in TURNS]
    return [Tile(title, draw(view)) for title, view in zip(_TITLES, views)]


def turned_mesh(mesh: Mesh | None) -> list[Tile]:
    """Four views of a mesh; white where there is none."""
    return turned(lambda view: picture(mesh, view))


def coloured_mesh(mesh: Mesh) -> Mesh:
    """The mesh in the colour of what was told, without its own materials."""
    return dataclasses.replace(
        mesh,
        face_material=np.zeros(len(mesh.faces), np.int32),
        material_rgba=np.array([COLOUR], np.float32),
        material_texture=np.full(1, -1, np.int32),
        textures=(),
    )


def sheet(name: str, seen: Seen, told: Prediction) -> bytes:
    """PNG of one row: the picture and what of it was looked at, its mask, and what was told."""
    tiles = [Tile("picture", _framed(seen)), Tile("looked at", seen.rgb)]
    if seen.mask is not None:
        tiles.append(Tile(f"mask: {seen.mask_from}", grey(seen.mask)))
    tiles += told.tiles
    label = "\n".join([_short(name), *(f"{k} {v:.2f}" for k, v in told.confidence.items())])
    return sheet_png([tile.title for tile in tiles], [(label, [tile.rgb for tile in tiles])])


def grey(mask: np.ndarray) -> np.ndarray:
    """(h, w, 3) uint8 of a coverage (h, w) uint8, the object black."""
    return np.repeat(255 - mask[..., None], 3, axis=2)


def outlined(rgb: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """A picture with what a mask (h, w) bool of the same size covers tinted."""
    mixed = np.where(mask[..., None], 0.5 * rgb + 0.5 * _MASKED, rgb)
    return mixed.round().astype(np.uint8)


def _framed(seen: Seen) -> np.ndarray:
    """The whole picture in a white square, the part that was looked at in a frame."""
    height, width = seen.shown.shape[:2]
    side = max(height, width)
    square = Image.new("RGB", (side, side), "white")
    corner = (side - width) // 2, (side - height) // 2
    square.paste(Image.fromarray(seen.shown), corner)
    scale = side / max(seen.size)
    edges = [edge * scale + corner[n % 2] for n, edge in enumerate(seen.region)]
    edges = [min(max(edge, 0), side - 1) for edge in edges]
    ImageDraw.Draw(square).rectangle(edges, outline=(220, 40, 40), width=2)
    return np.asarray(square)


def _short(name: str) -> str:
    return name if len(name) <= 22 else f"{name[:19]}..."


def png(rgb: np.ndarray) -> bytes:
    """PNG of a picture (h, w, 3) uint8."""
    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def beside(pictures: Sequence[np.ndarray]) -> np.ndarray:
    """Pictures of one size next to each other."""
    return np.concatenate(list(pictures), 1)

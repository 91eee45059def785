"""Textures: image files of others as RGBA arrays of a limited size."""

from __future__ import annotations

import io
import struct

import numpy as np
from PIL import Image, UnidentifiedImageError

from stages.errors import ItemError

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TGA")
MAX_PIXELS = 64_000_000  # a few kilobytes can declare an image of any size

# what Pillow raises on damaged pixels
_DAMAGE = (OSError, ValueError, SyntaxError, EOFError, IndexError, TypeError, struct.error)


def open_image(data: bytes, name: str) -> Image.Image:
    """The image in `data`, its pixels not yet read.

    Raises ItemError when it is none of FORMATS, or larger than MAX_PIXELS.
    """
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except Image.DecompressionBombError:
        raise ItemError(f"texture {name} is too large") from None
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, EOFError) as error:
        what = "empty" if not data else f"damaged, or none of {', '.join(FORMATS)}"
        raise ItemError(f"texture {name} is {what}") from error
    check_size(image, name)
    return image


def check_size(image: Image.Image, name: str) -> None:
    """Raise ItemError for an image of more than MAX_PIXELS, and for what is no image at all."""
    if not isinstance(image, Image.Image):  # trimesh keeps what a damaged scene calls one
        raise ItemError(f"texture {name} is no image")
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise ItemError(
            f"texture {name} has {width}x{height} pixels, at most {MAX_PIXELS} are read"
        )


def copied(image: Image.Image, name: str) -> Image.Image:
    """A copy, for what changes an image in reading it; ItemError when its pixels cannot be read."""
    check_size(image, name)
    try:
        return image.copy()
    except _DAMAGE as error:
        raise ItemError(f"texture {name} is damaged: {error}") from error


def to_rgba(image: Image.Image, longest: int, name: str) -> np.ndarray:
    """(h, w, 4) uint8 of an image, its longer side reduced to `longest` pixels if it is longer.

    Raises ItemError when its pixels cannot be read.
    """
    check_size(image, name)
    try:
        image.draft("RGB", (longest, longest))  # JPEG: decode at a smaller size, never below this
        image = _eight_bit(image).convert("RGBA")
    except _DAMAGE as error:
        raise ItemError(f"texture {name} is damaged: {error}") from error
    scale = longest / max(image.size)
    if scale < 1:
        width, height = (max(1, round(side * scale)) for side in image.size)
        image = image.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=3.0)
    return np.ascontiguousarray(np.asarray(image, np.uint8))


def _eight_bit(image: Image.Image) -> Image.Image:
    """Grey of 16 bits brought to 8: Pillow's own conversion would clip it."""
    if not image.mode.startswith("I"):
        return image
    return Image.fromarray((np.asarray(image).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8))

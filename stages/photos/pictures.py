"""Pictures of others as RGB.

The content of a file decides what it is, not its name. What is transparent shows white, grey of 16
bits is brought to 8 by its high byte (as Pillow does with colours of 16 bits), CMYK and the others
go through Pillow's own conversion; colour profiles are not applied. Of an animation, or a file of
several pages, the first picture counts.
"""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from stages.errors import ItemError

if TYPE_CHECKING:
    from PIL import Image

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF", "PPM")
MAX_PIXELS = 64_000_000  # a few kilobytes can declare a picture of any size
MAX_BYTES = 256 << 20
_ORIENTATION = 0x0112  # the EXIF tag


def read_picture(path: Path, least: int = 0, upright: bool = True) -> Image.Image:
    """The picture in a file, mode RGB; unless `upright`, its EXIF orientation is not applied.

    With `least`, a large JPEG may be decoded at a half, a quarter or an eighth of its size, its
    shorter side never below `least` pixels. Raises ItemError when the file cannot be read, is too
    large, none of FORMATS, cut short or damaged.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what Pillow finds odd and reads all the same
        return _to_rgb(_open(_data(path)), least, upright)


def read_cut_out(path: Path) -> Image.Image:
    """The upright picture in a file: mode RGBA where a part of it is transparent, else RGB.

    Raises ItemError as `read_picture` does.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _loaded(_open(_data(path)), 0, True)


def read_as_annotated(path: Path, size: tuple[int, int] | None) -> Image.Image:
    """The picture in the pixels that its annotations count.

    Those are the pixels of the file: MATLAB, and browsers before 2020, ignore EXIF orientation.
    Where the data set says (width, height) and only the upright picture fits, it is that one.
    Raises ItemError as `read_picture` does, and when neither fits.
    """
    picture = read_picture(path, upright=False)
    if size is None or picture.size == size:
        return picture
    upright = read_picture(path)
    if upright.size != size:
        seen, here = (f"{width}x{height}" for width, height in (size, picture.size))
        raise ItemError(f"the annotated picture had {seen} pixels, this one has {here}")
    return upright


def _data(path: Path) -> bytes:
    """The bytes of a file; ItemError when it cannot be read, or is too large."""
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise ItemError(f"it is a file of {size >> 20} MiB, at most {MAX_BYTES >> 20} are read")
        return path.read_bytes()
    except OSError as error:
        raise ItemError(f"it cannot be read: {error.strerror}") from error


def _open(data: bytes) -> Image.Image:
    """The picture in `data`, its pixels not yet read; ItemError when it is too large or none."""
    from PIL import Image

    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except Image.DecompressionBombError:
        raise ItemError(f"it declares more than {MAX_PIXELS} pixels") from None
    except Exception as error:  # damaged headers raise whatever they like
        what = "empty" if not data else f"damaged, or none of {', '.join(FORMATS)}"
        raise ItemError(f"the picture is {what}") from error
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise ItemError(f"it has {width}x{height} pixels, at most {MAX_PIXELS} are read")
    return image


def _to_rgb(image: Image.Image, least: int, upright: bool) -> Image.Image:
    """The picture as RGB, white where it is transparent."""
    from PIL import Image

    image = _loaded(image, least, upright)
    if image.mode == "RGBA":
        white = Image.new("RGBA", image.size, (255, 255, 255, 255))
        image = Image.alpha_composite(white, image)
    return image.convert("RGB")


def _loaded(image: Image.Image, least: int, upright: bool) -> Image.Image:
    """The picture with its pixels: RGBA where it has transparency data, else RGB."""
    try:
        if least:
            image.draft(None, (least, least))
        image.load()
        image = _eight_bit(image)
        if upright:
            image = _upright(image)
        return image.convert("RGBA" if image.has_transparency_data else "RGB")
    except (ItemError, MemoryError):
        raise
    except Exception as error:  # damaged data raise whatever they like
        raise ItemError(f"the picture is damaged: {error}") from error


def _eight_bit(image: Image.Image) -> Image.Image:
    """Grey of 16 bits brought to 8, which Pillow's own conversion would clip."""
    from PIL import Image

    if image.mode == "F" or not image.mode.startswith("I"):
        if image.mode == "F":
            raise ItemError("its pixels are floating-point numbers of an unknown range")
        return image
    values = np.asarray(image).astype(np.int64)  # (h, w)
    if values.min() < 0 or values.max() > 0xFFFF:
        raise ItemError("its pixels have more than 16 bits")
    grey = Image.fromarray((values >> 8).astype(np.uint8))
    if (clear := image.info.get("transparency")) is not None:
        grey.putalpha(Image.fromarray(np.where(values == clear, 0, 255).astype(np.uint8)))
    grey.getexif().update(image.getexif())
    return grey


def _upright(image: Image.Image) -> Image.Image:
    """The picture turned and mirrored as its EXIF orientation says; a damaged EXIF says nothing."""
    from PIL import ImageOps

    try:
        if image.getexif().get(_ORIENTATION, 1) not in range(2, 9):
            return image
    except Exception:  # damaged EXIF raises whatever it likes
        return image
    return ImageOps.exif_transpose(image)

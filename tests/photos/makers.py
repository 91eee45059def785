"""Pictures whose content says where it is, and data sets in their published layouts."""

from __future__ import annotations

import colorsys
import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from scipy.io import savemat

ORIENTATION = 0x0112
# What EXIF says of the first row and column of the file: how to bring it upright, by numpy alone.
UPRIGHT = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: a.swapaxes(0, 1)[:, ::-1],
    7: lambda a: a.swapaxes(0, 1)[::-1, ::-1],
    8: lambda a: a.swapaxes(0, 1)[::-1],
}


def colours(count: int) -> np.ndarray:
    """(count, 3) uint8 colours that are far apart and none grey."""
    hues = [colorsys.hsv_to_rgb(n / count, 1, 1 - 0.5 * (n % 2)) for n in range(count)]
    return (np.array(hues) * 255).astype(np.uint8)


def dotted(size: tuple[int, int], pixels: np.ndarray, radius: float = 6) -> np.ndarray:
    """(h, w, 3) grey gradient with a disc of its own colour around each of (K, 2) pixels (x, y)."""
    width, height = size
    y, x = np.mgrid[:height, :width]
    picture = np.repeat((60 + 40 * x / width + 40 * y / height)[..., None], 3, -1).astype(np.uint8)
    for (column, row), colour in zip(pixels, colours(len(pixels))):
        if np.isfinite([column, row]).all():
            picture[np.hypot(x - column, y - row) <= radius] = colour
    return picture


def spots(size: tuple[int, int], count: int, seed: int = 0) -> np.ndarray:
    """(count, 2) integer pixels (x, y), at least 16 apart from each other and from the edge."""
    rng = np.random.default_rng(seed)
    grid = [(x, y) for x in range(16, size[0] - 16, 20) for y in range(16, size[1] - 16, 20)]
    chosen = rng.choice(len(grid), count, replace=False)
    return np.array(grid)[chosen] + rng.integers(0, 3, (count, 2))


def encode(pixels: np.ndarray, format: str = "PNG", **more: Any) -> bytes:
    """An image file of pixels."""
    buffer = io.BytesIO()
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    if format == "JPEG":
        more = {"quality": 95, "subsampling": 0, **more}
    image.save(buffer, format, **more)
    return buffer.getvalue()


def oriented(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return exif


def write(path: Path, data: bytes | str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def keypoint5(
    root: Path, category: str, pictures: dict[int, np.ndarray], coords: np.ndarray
) -> Path:
    """One category of Keypoint-5: pictures by number, coords (2, K, annotators, pictures)."""
    for number, pixels in pictures.items():
        write(root / category / "images" / f"{number:08d}.jpg", encode(pixels, "JPEG"))
    savemat(write(root / category / "coords.mat", b""), {"coords": coords}, do_compression=True)
    return root


def flic_example(**fields: Any) -> dict[str, Any]:
    coords = np.full((2, 29), np.nan)
    return {
        "poselet_hit_idx": 3,
        "moviename": "film",
        "coords": coords,
        "filepath": "film-00000001.jpg",
        "imgdims": np.array([[200, 300, 3]]),
        "currframe": 1,
        "torsobox": np.array([[20.0, 30, 120, 150]]),
        "istrain": True,
        "istest": False,
        **fields,
    }


def struct_array(rows: list[dict[str, Any]]) -> np.ndarray:
    """(1, n) struct array as MATLAB has it."""
    array = np.empty((1, len(rows)), [(name, object) for name in rows[0]])
    for number, row in enumerate(rows):
        array[0, number] = tuple(row.values())
    return array


def flic(root: Path, examples: list[dict[str, Any]]) -> Path:
    savemat(write(root / "examples.mat", b""), {"examples": struct_array(examples)})
    return root


def pascal_object(category: str, places: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """An object of a record; places: anchor -> (x, y) or a status other than visible."""
    shown = {
        name: {"location": np.array([place], float), "status": 1.0}
        if not np.isscalar(place)
        else {"location": np.zeros((0, 0)), "status": float(place)}
        for name, place in places.items()
    }
    viewpoint = {
        "azimuth_coarse": 30.0,
        "elevation_coarse": 0.0,
        "azimuth": 33.5,
        "elevation": 7.25,
        "distance": 4.5,
        "theta": -3.0,
        "focal": 1.0,
        "viewport": 3000.0,
    }
    return {
        "class": category,
        "bbox": np.array([[21.0, 31, 220, 180]]),
        "anchors": shown or np.zeros((0, 0)),
        "viewpoint": viewpoint,
        "truncated": False,
        **fields,
    }


def record(path: Path, objects: list[dict[str, Any]], **more: Any) -> Path:
    array = struct_array(objects) if objects else np.zeros((0, 0))
    savemat(write(path, b""), {"record": {"filename": path.stem, "objects": array, **more}})
    return path


def cub(root: Path, pictures: list[tuple[str, np.ndarray]], parts: list[str]) -> Path:
    """The tables of CUB-200-2011 without locations, which the test appends."""
    lines: dict[str, list[str]] = {"images.txt": [], "bounding_boxes.txt": []}
    lines["train_test_split.txt"] = []
    for number, (name, pixels) in enumerate(pictures, 1):
        write(root / "images" / name, encode(pixels, "JPEG"))
        lines["images.txt"].append(f"{number} {name}")
        lines["bounding_boxes.txt"].append(f"{number} 20.0 30.0 200.0 120.0")
        lines["train_test_split.txt"].append(f"{number} {number % 2}")
    lines["parts/parts.txt"] = [f"{n} {name}" for n, name in enumerate(parts, 1)]
    for file, rows in lines.items():
        write(root / file, "\n".join(rows) + "\n")
    return root


def huge_png(width: int, height: int) -> bytes:
    """A few bytes that declare a picture of any size."""
    head = struct.pack(">2I5B", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(bytes(100))), (b"IEND", b""))
    body = b"".join(
        struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + body


def mat_head() -> bytes:
    return b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM"


def mat_bomb(size: int = 1 << 30) -> bytes:
    """A variable that unpacks to `size` zeros: about a thousandth of that on disk."""
    packer = zlib.compressobj(9)
    body = packer.compress(struct.pack("<II", 14, size)) + packer.flush(zlib.Z_FULL_FLUSH)
    # after a full flush a block stands for itself, so it can be repeated as it is
    chunk = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    body += chunk * (size >> 20) + packer.flush()
    return mat_head() + struct.pack("<II", 15, len(body)) + body


def mat_nested(depth: int) -> bytes:
    """A cell in a cell in a cell ..."""
    inner = struct.pack("<II", 14, 0)
    for level in range(depth):
        name = b"coords" if level == depth - 1 else b""
        flags = struct.pack("<IIII", 6, 8, 1, 0)
        shape = struct.pack("<IIii", 5, 8, 1, 1)
        label = struct.pack("<II", 1, len(name)) + name.ljust(-(-len(name) // 8) * 8, b"\0")
        inner = flags + shape + label + inner
        inner = struct.pack("<II", 14, len(inner)) + inner
    return mat_head() + inner


def mat_object(kind: int) -> bytes:
    """An object: 3 of an old class, with a shape; 17 of a new one, without."""
    flags = struct.pack("<IIII", 6, 8, kind, 0)
    flags += struct.pack("<IIii", 5, 8, 1, 1) if kind == 3 else b""
    name = struct.pack("<II", 1, 6) + b"coords\0\0"
    kind = struct.pack("<II", 1, 4) + b"MCOS\0\0\0\0"
    body = flags + name + kind
    return mat_head() + struct.pack("<II", 14, len(body)) + body

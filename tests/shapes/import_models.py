"""Small models as files: written byte by byte, so that what is in them is known."""

from __future__ import annotations

import io
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from stages.geometry.mesh import Mesh
from stages.shapes.importing.read import read_model

# A box of 1 x 2 x 3 with quads that run counter-clockwise as seen from outside.
BOX = np.array([[x, y, z] for x in (0, 1) for y in (0, 2) for z in (0, 3)], float)
QUADS = ((0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3))
TRIANGLES = np.array([t for a, b, c, d in QUADS for t in ((a, b, c), (a, c, d))])
BOX_OBJ = "".join(f"v {x} {y} {z}\n" for x, y, z in BOX) + "".join(
    f"f {a + 1} {b + 1} {c + 1} {d + 1}\n" for a, b, c, d in QUADS
)
# Rows and columns can be told apart, and so can the four corners.
PICTURE = np.zeros((4, 6, 3), np.uint8)
PICTURE[:2, :3] = (255, 0, 0)  # upper left red
PICTURE[:2, 3:] = (0, 255, 0)  # upper right green
PICTURE[2:, :3] = (0, 0, 255)  # lower left blue
PICTURE[2:, 3:] = (255, 255, 0)  # lower right yellow


def write(path: Path, data: str | bytes) -> Path:
    """The path, its file and folders made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def read_mesh(path: Path, texture_size: int) -> tuple[Mesh, list[str]]:
    """The mesh in a file by itself, and the files that it misses."""
    return read_model({"root": str(path.parent), "path": path.name}, texture_size)


def read(path: Path, texture_size: int = 512) -> Mesh:
    """The mesh in a file, which must miss nothing."""
    mesh, missing = read_mesh(path, texture_size)
    assert missing == []
    return mesh


def png(pixels: np.ndarray, format: str = "PNG") -> bytes:
    """An image file of (h, w) or (h, w, 3 or 4) uint8 pixels."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format)
    return buffer.getvalue()


def unit(points: Any) -> np.ndarray:
    """Points with their box centred and its diagonal 1: what the reader makes of vertices."""
    points = np.asarray(points, float)
    low, high = points.min(0), points.max(0)
    return (points - (low + high) / 2) / np.linalg.norm(high - low)


def corner_set(triangles: np.ndarray) -> set[tuple[float, ...]]:
    """(F, 3, 3) triangles as a set, each turned so that its lowest corner is first: equal for equal
    surfaces whose faces run the same way round, whatever their order."""
    result = set()
    for corners in np.round(np.asarray(triangles, float), 5) + 0.0:
        first = min(range(3), key=lambda k: tuple(corners[k]))
        result.add(tuple(np.roll(corners, -first, axis=0).reshape(-1).tolist()))
    return result


def volume(mesh: Mesh) -> float:
    """The signed volume inside: positive where faces run counter-clockwise from outside."""
    a, b, c = np.moveaxis(mesh.triangles.astype(float), 1, 0)
    return float(np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6)


class Glb:
    """A glTF file under construction: arrays become accessors of one buffer."""

    def __init__(self, **extra: Any) -> None:
        self.header: dict[str, Any] = {
            "asset": {"version": "2.0"},
            "scene": 0,
            "scenes": [{"nodes": [0]}],
            "accessors": [],
            "bufferViews": [],
            **extra,
        }
        self.binary = b""

    def view(self, data: bytes) -> int:
        """The number of a buffer view of these bytes."""
        self.binary += b"\0" * (-len(self.binary) % 4)
        views = self.header["bufferViews"]
        views.append({"buffer": 0, "byteOffset": len(self.binary), "byteLength": len(data)})
        self.binary += data
        return len(views) - 1

    def array(self, values: Any, dtype: type = np.float32, **extra: Any) -> int:
        """The number of an accessor of an (n,) or (n, k) array."""
        values = np.asarray(values, dtype)
        code = {np.float32: 5126, np.uint32: 5125, np.uint8: 5121, np.int16: 5122}[dtype]
        kind = "SCALAR" if values.ndim == 1 else f"VEC{values.shape[1]}"
        accessor = {"bufferView": self.view(values.tobytes()), "componentType": code}
        accessors = self.header["accessors"]
        accessors.append({**accessor, "count": len(values), "type": kind, **extra})
        return len(accessors) - 1

    def primitive(self, vertices: Any, faces: Any, **more: Any) -> dict[str, Any]:
        """A primitive; keys in capitals are attributes."""
        attributes = {"POSITION": self.array(vertices)}
        attributes.update({k: self.array(v) for k, v in more.items() if k.isupper() or "_" in k})
        rest = {k: v for k, v in more.items() if k not in attributes}
        indices = self.array(np.asarray(faces).reshape(-1), np.uint32)
        return {"attributes": attributes, "indices": indices, **rest}

    def box(self, **more: Any) -> dict[str, Any]:
        """The primitive of the box."""
        return self.primitive(BOX, TRIANGLES, **more)

    def glb(self) -> bytes:
        """The bytes of a binary file."""
        binary = self.binary + b"\0" * (-len(self.binary) % 4)
        header = {**self.header, "buffers": [{"byteLength": len(binary)}]}
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 4)
        total = 12 + 8 + len(text) + 8 + len(binary)
        head = b"glTF" + struct.pack("<2I", 2, total)
        chunks = struct.pack("<I", len(text)) + b"JSON" + text
        return head + chunks + struct.pack("<I", len(binary)) + b"BIN\0" + binary

    def gltf(self, uri: str) -> str:
        """The text of a file whose buffer is at `uri`."""
        buffer = {"byteLength": len(self.binary), "uri": uri}
        return json.dumps({**self.header, "buffers": [buffer]})

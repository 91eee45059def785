"""What a file declares, held against what it holds, before anything is allocated for it.

Also the bytes of glTF images, which the loader would otherwise pass over in silence when they are
damaged.
"""

from __future__ import annotations

import base64
import binascii
import json
import struct
from collections.abc import Callable
from typing import Any

from stages.errors import ItemError
from stages.shapes.importing.images import open_image

_STL_HEAD, _STL_ROW = 84, 50
_PLY_BYTES = {
    **dict.fromkeys(("char", "uchar", "int8", "uint8"), 1),
    **dict.fromkeys(("short", "ushort", "int16", "uint16", "float16"), 2),
    **dict.fromkeys(("int", "uint", "int32", "uint32", "float", "float32"), 4),
    **dict.fromkeys(("double", "float64", "int64", "uint64"), 8),
}
_COMPONENT_BYTES = {5120: 1, 5121: 1, 5122: 2, 5123: 2, 5125: 4, 5126: 4}
_COMPONENTS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT2": 4, "MAT3": 9, "MAT4": 16}
# Extensions that change materials only; every other one that a file requires changes its geometry,
# its textures or its structure.
_HARMLESS = ("KHR_materials_", "KHR_lights_punctual", "EXT_texture_webp", "KHR_xmp")
_TRIANGLES, _STRIP, _FAN = 4, 5, 6


def check_stl(data: bytes) -> bytes:
    """The STL file without what trails it; ItemError if it is cut short."""
    if data[:5].lower() == b"solid" and b"facet" in data[:4096]:
        return data
    if len(data) < _STL_HEAD:
        raise ItemError("it is no STL file")
    count = int.from_bytes(data[80:_STL_HEAD], "little")
    end = _STL_HEAD + _STL_ROW * count
    if end > len(data):
        held = (len(data) - _STL_HEAD) // _STL_ROW
        raise ItemError(f"it declares {count} triangles, and holds at most {held}")
    return data[:end]


def check_ply(data: bytes) -> None:
    """Raise ItemError unless a PLY file can hold the elements that its header declares."""
    end = data.find(b"end_header")
    if not data.startswith(b"ply") or end < 0:
        raise ItemError("it is no PLY file")
    body = data[end:].split(b"\n", 1)[-1]
    is_ascii = b"ascii" in data[:end].split(b"\n", 2)[1]
    # Every element takes a line, or the bytes of its numbers; a list at least those of its length.
    room = body.count(b"\n") + 1 if is_ascii else len(body)
    total = 0
    size, count = 0, 0
    for line in [*data[:end].decode("latin-1").splitlines(), "element end 0"]:
        words = line.split()
        try:
            if words[:1] == ["element"]:
                total += count * (1 if is_ascii else size)
                count, size = int(words[2]), 0
                if count < 0:
                    raise ItemError(f"it declares {count} times {words[1]}")
            elif words[:1] == ["property"]:
                size += _PLY_BYTES[words[2] if words[1] == "list" else words[1]]
        except (ValueError, IndexError, KeyError):
            raise ItemError(f"its header has the line {line[:60]!r}") from None
    if total > room:
        unit = "lines" if is_ascii else "bytes"
        raise ItemError(f"it declares elements that take {total} {unit}, and holds {room}")


def check_gltf(data: bytes, is_binary: bool, get: Callable[[str], bytes]) -> None:
    """Raise ItemError when a glTF file needs what is not supported, declares more than it holds, or
    has an image that cannot be read. `get` gives the bytes of a file that it names."""
    header, chunk = _gltf_chunks(data) if is_binary else (_json(data), b"")
    if not isinstance(header.get("asset"), dict):
        raise ItemError("it is no glTF file: it has no asset")
    for extension in header.get("extensionsRequired", []):
        if not str(extension).startswith(_HARMLESS):
            raise ItemError(f"it needs the glTF extension {extension}, which is not supported")
    try:
        buffers = [_bytes_of(entry, chunk, get) for entry in header.get("buffers", [])]
        _check_accessors(header, len(data) + sum(map(len, buffers)))
        for number, image in enumerate(header.get("images", [])):
            _check_image(header, buffers, image, image.get("name") or f"image {number}", get)
    except (KeyError, IndexError, TypeError, AttributeError, ValueError) as error:
        raise ItemError(f"its glTF header is damaged ({type(error).__name__}: {error})") from error


def _gltf_chunks(data: bytes) -> tuple[dict[str, Any], bytes]:
    """The JSON and the binary chunk of a GLB file."""
    if len(data) < 20 or data[:4] != b"glTF":
        raise ItemError("it is no GLB file: it does not begin with glTF")
    version, total, length, kind = struct.unpack("<4I", data[4:20])
    if version != 2 or kind != 0x4E4F534A:
        raise ItemError(f"it is glTF of version {version}, only version 2 is read")
    if total > len(data) or 20 + length > len(data):
        raise ItemError(f"it declares {max(total, 20 + length)} bytes, and holds {len(data)}")
    rest = data[20 + length :]
    binary = b""
    if len(rest) >= 8:
        size, kind = struct.unpack("<2I", rest[:8])
        if size > len(rest) - 8:
            raise ItemError(f"its binary part declares {size} bytes, and holds {len(rest) - 8}")
        binary = rest[8 : 8 + size] if kind == 0x004E4942 else b""
    return _json(data[20 : 20 + length]), binary


def _json(data: bytes) -> dict[str, Any]:
    try:
        header = json.loads(data)
    except (ValueError, RecursionError):
        raise ItemError("its glTF header is no JSON") from None
    if not isinstance(header, dict):
        raise ItemError("its glTF header is no JSON object")
    return header


def _bytes_of(entry: dict[str, Any], chunk: bytes, get: Callable[[str], bytes]) -> bytes:
    """The bytes of a buffer or an image: embedded, in the binary chunk, or in a file."""
    uri = entry.get("uri")
    if uri is None:
        return chunk
    if not uri.startswith("data:"):
        return get(uri)
    try:
        return base64.b64decode(uri.partition("base64,")[2])
    except binascii.Error:
        raise ItemError("it has embedded data that are damaged") from None


def _check_accessors(header: dict[str, Any], room: int) -> None:
    accessors = header.get("accessors", [])
    views = header.get("bufferViews", [])
    for accessor in accessors:
        size = _COMPONENT_BYTES[accessor["componentType"]] * _COMPONENTS[accessor["type"]]
        held = views[accessor["bufferView"]]["byteLength"] if "bufferView" in accessor else room
        if not 0 <= accessor["count"] * size <= held:
            raise ItemError(f"it declares an array of {accessor['count']}, and holds {held} bytes")
    for mesh in header.get("meshes", []):
        for primitive in mesh["primitives"]:
            position = primitive.get("attributes", {}).get("POSITION")
            for number in (position, primitive.get("indices")):
                if number is not None and "sparse" in accessors[number]:
                    raise ItemError("it has sparse arrays of vertices, which are not supported")
            if position is not None and accessors[position].get("normalized"):
                raise ItemError("it has quantised vertices, which are not supported")
            if primitive.get("mode", _TRIANGLES) == _FAN:
                raise ItemError("it has triangle fans, which are not supported")


def _check_image(
    header: dict[str, Any],
    buffers: list[bytes],
    image: dict[str, Any],
    name: str,
    get: Callable[[str], bytes],
) -> None:
    if "bufferView" in image:
        view = header["bufferViews"][image["bufferView"]]
        start = view.get("byteOffset", 0)
        open_image(buffers[view["buffer"]][start : start + view["byteLength"]], name)
    elif "uri" in image:
        try:
            open_image(_bytes_of(image, b"", get), image["uri"][:80])
        except FileNotFoundError:
            return  # a texture that is missing leaves its plain colour
    else:
        raise ItemError(f"texture {name} says not where it is")

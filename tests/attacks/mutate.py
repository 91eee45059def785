"""Damages files as somebody would who knows their formats: fields, counts, tokens, not only bits.

`mutated(name, data, rng)` changes the bytes of a file by what its name says it is. What a format
wraps is unwrapped, changed inside, and wrapped again with checksums and lengths that are right: the
members of archives, the JSON of a GLB file, the variables of a MATLAB file, the chunks of a PNG.
"""

from __future__ import annotations

import io
import json
import random
import struct
import warnings
import zipfile
import zlib
from pathlib import PurePosixPath
from typing import Any

from tests.attacks.names import NAMES

_MOST = 1 << 20  # bytes of what comes out: more finds nothing else, and takes its time
_INTEGERS = (0, 1, 2, 3, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 1 << 20, 0x7FFFFFFF, 0x80000000)
_INTEGERS += (0xFFFFFFFF, 1 << 40, (1 << 63) - 1, (1 << 64) - 1)
_FLOATS = (float("nan"), float("inf"), -float("inf"), 0.0, -1.0, 1e-320, 1e38, 1e308, 1e-45)
_NUMBERS = ("0", "-1", "1", "2", "3", "1e308", "-1e308", "1e-308", "1e999", "nan", "inf", "-inf")
_NUMBERS += ("2147483648", "9223372036854775808", "9" * 30, "0x10", "1.5", "1,5", "1_0", "", "٣")
_TEXT = (".obj", ".mtl", ".off", ".csv", ".txt", ".properties", ".toml", ".gltf")
_BROKEN = (struct.error, zlib.error, zipfile.BadZipFile)
_ZIPS = (".sh3f", ".zip", ".pt")


def mutated(name: str, data: bytes, rng: random.Random) -> bytes:
    """The file, changed in one to four places."""
    for _ in range(rng.choice((1, 1, 1, 2, 2, 4))):
        data = _once(name, data, rng)[:_MOST]
    return data


def _once(name: str, data: bytes, rng: random.Random) -> bytes:
    suffix = PurePosixPath(name).suffix.lower()
    try:
        if rng.random() < 0.75:
            if suffix in (".json", ".gltf"):
                return json.dumps(changed_value(json.loads(data), rng)).encode("utf-8", "replace")
            if suffix == ".glb":
                return _glb(data, rng)
            if suffix in _ZIPS:
                return _zip(data, suffix, rng)
            if suffix == ".mat":
                return _mat(data, rng)
            if suffix == ".png":
                return _png(data, rng)
            if suffix == ".safetensors":
                return _safetensors(data, rng)
            if suffix in _TEXT or (suffix in (".ply", ".stl", ".binvox") and rng.random() < 0.5):
                return _lines(data, rng)
    except (LookupError, ValueError, RuntimeError, EOFError, *_BROKEN):
        pass  # an earlier change has broken what wraps it
    return _bytes(data, rng)


def _bytes(data: bytes, rng: random.Random) -> bytes:
    if not data:
        return rng.randbytes(rng.choice((1, 8, 200)))
    place = rng.randrange(len(data))
    end = min(len(data), place + rng.choice((1, 2, 4, 8, 64, 1000)))
    kind = rng.randrange(8)
    if kind == 0:
        return data[:place] + bytes([data[place] ^ (1 << rng.randrange(8))]) + data[place + 1 :]
    if kind == 1:
        return data[:place] + rng.randbytes(end - place) + data[end:]
    if kind == 2:
        return data[:place] + data[end:]
    if kind == 3:
        return data[:place] + data[place:end] * rng.choice((2, 3, 50)) + data[end:]
    if kind == 4:
        return data[:place]
    if kind == 5:  # a field of a header, most of which are aligned
        place -= place % rng.choice((1, 2, 4, 8))
        form = rng.choice("<>") + rng.choice("BHIQ")
        width = struct.calcsize(form)
        return _over(data, place, struct.pack(form, rng.choice(_INTEGERS) % (1 << 8 * width)))
    if kind == 6:
        place -= place % 4
        form = rng.choice("<>") + rng.choice("fd")
        value = rng.choice(_FLOATS)
        return _over(data, place, struct.pack(form, value if form[1] == "d" else _small(value)))
    other = rng.randrange(len(data))
    return _over(data, place, data[other : other + end - place])


def _over(data: bytes, place: int, new: bytes) -> bytes:
    return data[:place] + new + data[place + len(new) :]


def _small(value: float) -> float:
    return value if abs(value) < 3e38 or value in (float("inf"), -float("inf")) else 3e38


def _lines(data: bytes, rng: random.Random) -> bytes:
    lines = data.split(b"\n")
    number = rng.randrange(len(lines))
    kind = rng.randrange(7)
    if kind == 0:
        lines.pop(number)
    elif kind == 1:
        lines[number : number + 1] = [lines[number]] * rng.choice((2, 3, 1000))
    elif kind == 2:
        other = rng.randrange(len(lines))
        lines[number], lines[other] = lines[other], lines[number]
    elif kind == 3:
        lines = lines[: number + 1]
    else:
        words = _split(lines[number])
        place = rng.randrange(len(words))
        new = rng.choice(_NUMBERS) if kind < 6 else rng.choice(NAMES)
        words[place] = new.encode("utf-8", "surrogatepass")
        lines[number] = b"".join(words)
    return b"\n".join(lines)


def _split(line: bytes) -> list[bytes]:
    """The words of a line and what is between them; joined they are the line."""
    words = [b""]
    for n in range(len(line)):
        one = line[n : n + 1]
        if (one in b" \t,=/") != (words[-1][:1] in b" \t,=/" and words[-1] != b""):
            words.append(b"")
        words[-1] += one
    return words


def changed_value(value: Any, rng: random.Random) -> Any:
    """A JSON value with one place in it changed: another type, number, name, or gone."""
    if isinstance(value, dict) and value and rng.random() < 0.85:
        key = rng.choice(list(value))
        kind = rng.random()
        if kind < 0.1:
            return {k: v for k, v in value.items() if k != key}
        if kind < 0.2:
            return {**value, str(rng.choice((*NAMES[:-1], *value))): value[key]}
        return {**value, key: changed_value(value[key], rng)}
    if isinstance(value, list) and value and rng.random() < 0.85:
        place = rng.randrange(len(value))
        kind = rng.random()
        if kind < 0.1:
            return value[:place] + value[place + 1 :]
        if kind < 0.2:
            return value + value[place : place + 1] * rng.choice((1, 300))
        return [*value[:place], changed_value(value[place], rng), *value[place + 1 :]]
    nested: Any = []
    for _ in range(200):
        nested = [nested]
    fixed = (None, True, [], {}, "", "x", nested, [value], {"a": value}, 1.5, -value_of(value))
    return rng.choice((*fixed, *_INTEGERS, *_FLOATS, *NAMES[:-1], *_NUMBERS))


def value_of(value: Any) -> float:
    """The number, or 1 for what is none."""
    return value if isinstance(value, int | float) else 1


def _glb(data: bytes, rng: random.Random) -> bytes:
    length = struct.unpack_from("<I", data, 12)[0]
    header, rest = data[20 : 20 + length], data[20 + length :]
    if rng.random() < 0.7:
        header = json.dumps(changed_value(json.loads(header), rng)).encode("utf-8", "replace")
        header += b" " * (-len(header) % 4)
    else:
        rest = _bytes(rest, rng)
    total = 20 + len(header) + len(rest)
    return data[:8] + struct.pack("<II", total, len(header)) + data[16:20] + header + rest


def _zip(data: bytes, suffix: str, rng: random.Random) -> bytes:
    with zipfile.ZipFile(io.BytesIO(data)) as source:
        members = {entry.filename: source.read(entry) for entry in source.infolist()}
    victim = rng.choice(list(members))
    kind = rng.random()
    if kind < 0.1:
        members.pop(victim)
    elif kind < 0.2:
        members[rng.choice(NAMES[:-1]) or "x"] = members.pop(victim)
    else:
        members[victim] = _once(victim, members[victim], rng)
    stream = io.BytesIO()
    packing = zipfile.ZIP_STORED if suffix == ".pt" else zipfile.ZIP_DEFLATED
    with zipfile.ZipFile(stream, "w", packing) as target, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, content in members.items():
            target.writestr(name, content)
    return stream.getvalue()


def _mat(data: bytes, rng: random.Random) -> bytes:
    kind, size = struct.unpack_from("<II", data, 128)
    if kind != 15:
        return data[:128] + _bytes(data[128:], rng)
    inner = _bytes(zlib.decompress(data[136 : 136 + size]), rng)
    packed = zlib.compress(inner, 1)
    return data[:128] + struct.pack("<II", 15, len(packed)) + packed + data[136 + size :]


def _png(data: bytes, rng: random.Random) -> bytes:
    chunks, place = [], 8
    while place + 12 <= len(data):
        size = struct.unpack_from(">I", data, place)[0]
        chunks.append((data[place + 4 : place + 8], data[place + 8 : place + 8 + size]))
        place += 12 + size
    number = rng.randrange(len(chunks))
    kind, body = chunks[number]
    choice = rng.random()
    if choice < 0.1:
        chunks.pop(number)
    elif choice < 0.2:
        chunks.append(chunks[number])
    else:
        inner = zlib.decompress(body) if kind == b"IDAT" else body
        inner = _bytes(inner, rng)
        chunks[number] = (kind, zlib.compress(inner, 1) if kind == b"IDAT" else inner)
    return data[:8] + b"".join(
        struct.pack(">I", len(b)) + k + b + struct.pack(">I", zlib.crc32(k + b)) for k, b in chunks
    )


def _safetensors(data: bytes, rng: random.Random) -> bytes:
    size = struct.unpack_from("<Q", data)[0]
    header = json.dumps(changed_value(json.loads(data[8 : 8 + size]), rng)).encode()
    return struct.pack("<Q", len(header)) + header + data[8 + size :]

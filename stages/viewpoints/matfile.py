"""MATLAB 5 files (`save -v6`, `-v7`), read without trust: numbers, text, cells and structs only.

A reader of our own, because scipy's crashes the interpreter on damaged files, unpacks a megabyte
into a gigabyte, and says itself that it is not hardened. This one never asks for more memory than
the file unpacks to, which is limited, and refuses what it does not know: objects, function handles,
sparse arrays, MATLAB 4 and 7.3 (HDF5) files. Format: "MAT-File Format", The MathWorks.

Numbers become float64 arrays of their shape, text becomes `str` (its rows joined), cells become
lists, a struct becomes a list of dicts, one for each of its elements in Fortran order.
"""

from __future__ import annotations

import math
import struct
import zlib
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from stages.errors import ItemError

Value: TypeAlias = Any  # np.ndarray | str | list[Value] | list[dict[str, Value]]

FILE_BYTES = 32 << 20
UNPACKED_BYTES = 32 << 20
_DEPTH = 16
_ELEMENTS = 1_000_000  # cells, fields and arrays of one file

_MATRIX, _COMPRESSED, _UTF8, _UTF16, _UTF32 = 14, 15, 16, 17, 18
_NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8"}
_NUMBERS |= {12: "i8", 13: "u8"}
_TEXT = {_UTF8: "utf-8", _UTF16: "utf-16", _UTF32: "utf-32"}
_CELL, _STRUCT, _CHAR = 1, 2, 4
_NUMERIC = range(6, 16)  # double, single, int8 .. uint64
_REFUSED = {3: "an object", 5: "a sparse array", 16: "a function handle", 17: "an opaque object"}


def read_mat(path: Path, name: str) -> Value:
    """The variable `name` of a file; ItemError with the reason if it cannot be had."""
    if path.stat().st_size > FILE_BYTES:
        raise ItemError(f"it is larger than {FILE_BYTES >> 20} MiB")
    data = path.read_bytes()
    order = _byte_order(data)
    budget, start = UNPACKED_BYTES, 128
    while start + 8 <= len(data):
        kind, size = struct.unpack_from(order + "II", data, start)
        end = start + 8 + size
        if end > len(data):
            raise ItemError("it is cut off")
        array: memoryview | bytes = memoryview(data)[start:end]
        if kind == _COMPRESSED:
            array = _unpacked(array[8:], budget)
            budget -= len(array)
        elif kind != _MATRIX:
            raise ItemError(f"it holds data of an unknown type {kind}")
        found = _Reader(memoryview(array), order).variable(name)
        if found is not None:
            return found
        start = end if kind == _COMPRESSED else end + -size % 8
    raise ItemError(f"it has no variable {name!r}")


def _byte_order(data: bytes) -> str:
    """The byte order, once the header has been checked."""
    if data[:8] == b"\x89HDF\r\n\x1a\n" or data[512:520] == b"\x89HDF\r\n\x1a\n":
        raise ItemError("it is a MATLAB 7.3 file; save it with -v7")
    if len(data) < 128 or data[126:128] not in (b"IM", b"MI"):
        raise ItemError("it is no MATLAB 5 file")
    order = "<" if data[126:128] == b"IM" else ">"
    if struct.unpack_from(order + "H", data, 124)[0] != 0x0100:
        raise ItemError("it is of an unknown version of MATLAB's format; save it with -v7")
    return order


def _unpacked(body: memoryview | bytes, limit: int) -> bytes:
    unzip = zlib.decompressobj()
    try:
        unpacked = unzip.decompress(body, limit + 1)  # 0 would mean no limit
    except zlib.error as error:
        raise ItemError(f"it is damaged: {error}") from None
    if len(unpacked) > limit:
        raise ItemError(f"it unpacks to more than {UNPACKED_BYTES >> 20} MiB")
    if not unzip.eof:
        raise ItemError("it is cut off")
    return unpacked


class _Reader:
    """The elements of one variable."""

    def __init__(self, data: memoryview, order: str) -> None:
        self._data = data
        self._order = order
        self._left = _ELEMENTS

    def variable(self, wanted: str) -> Value | None:
        """The value of the variable if it has that name, else None."""
        kind, body, _ = self._element(0, len(self._data))
        if kind != _MATRIX:
            raise ItemError("it is damaged: a variable is no array")
        name = self._head(*body)[3]
        return self._matrix(*body, depth=0) if name == wanted else None

    def _element(self, start: int, end: int) -> tuple[int, tuple[int, int], int]:
        """Type, (start, end) of the data, and where the next element begins."""
        if start + 8 > end:
            raise ItemError("it is damaged: an element is cut off")
        first, size = struct.unpack_from(self._order + "II", self._data, start)
        if first >> 16:  # a small element: type and size share four bytes
            kind, size, body, after = first & 0xFFFF, first >> 16, start + 4, start + 8
            if size > 4:
                raise ItemError("it is damaged: a small element is too big")
        else:
            kind, body = first, start + 8
            after = body + size + (0 if kind == _COMPRESSED else -size % 8)
        if body + size > end:
            raise ItemError("it is damaged: an element is longer than its array")
        return kind, (body, body + size), min(after, end)

    def _numbers(self, kind: int, body: tuple[int, int]) -> np.ndarray:
        if kind not in _NUMBERS:
            raise ItemError(f"it is damaged: numbers of type {kind}")
        dtype = np.dtype(self._order + _NUMBERS[kind])
        if (body[1] - body[0]) % dtype.itemsize:
            raise ItemError("it is damaged: half a number")
        return np.frombuffer(self._data[body[0] : body[1]], dtype)

    def _head(self, start: int, end: int) -> tuple[int, tuple[int, ...], bool, str, int]:
        """Class, shape, whether complex, name of an array, and where its data begin."""
        kind, body, after = self._element(start, end)
        flags = self._numbers(kind, body)
        if flags.dtype.itemsize != 4 or len(flags) != 2:
            raise ItemError("it is damaged: array flags")
        kind, body, after = self._element(after, end)
        shape = tuple(int(n) for n in self._numbers(kind, body))
        if not 2 <= len(shape) <= 32 or min(shape) < 0:
            raise ItemError("it is damaged: the shape of an array")
        kind, body, after = self._element(after, end)
        name = bytes(self._data[body[0] : body[1]]).decode("latin-1")
        return int(flags[0]) & 0xFF, shape, bool(int(flags[0]) & 0x0800), name, after

    def _matrix(self, start: int, end: int, depth: int) -> Value:
        self._left -= 1
        if depth > _DEPTH or self._left < 0:
            raise ItemError("it is nested too deeply, or has too many elements")
        if start == end:  # how MATLAB writes an empty array inside of a cell
            return np.zeros((0, 0))
        kind, shape, is_complex, _, at = self._head(start, end)
        if kind in _REFUSED:
            raise ItemError(f"it holds {_REFUSED[kind]}")
        count = math.prod(shape)
        if kind == _CELL:
            return self._children(at, end, count, depth)[0]
        if kind == _STRUCT:
            return self._struct(at, end, count, depth)
        if kind != _CHAR and kind not in _NUMERIC:
            raise ItemError(f"it holds an array of unknown class {kind}")
        if is_complex:
            raise ItemError("it holds complex numbers")
        tag, body, _ = self._element(at, end)
        return self._text(tag, body, shape) if kind == _CHAR else self._array(tag, body, shape)

    def _array(self, tag: int, body: tuple[int, int], shape: tuple[int, ...]) -> np.ndarray:
        values = self._numbers(tag, body)
        if len(values) != math.prod(shape):
            raise ItemError(f"it is damaged: {len(values)} numbers for shape {shape}")
        return values.astype(np.float64).reshape(shape, order="F")

    def _text(self, tag: int, body: tuple[int, int], shape: tuple[int, ...]) -> str:
        if tag in _TEXT:
            wide = {"<": "-le", ">": "-be"}[self._order] if tag != _UTF8 else ""
            raw = bytes(self._data[body[0] : body[1]])
            text = raw.decode(_TEXT[tag] + wide, "replace")
        else:
            codes = self._numbers(tag, body)
            if codes.dtype.kind == "f":
                raise ItemError("it is damaged: text")
            text = "".join(chr(int(code) & 0xFFFF) for code in codes)
        if shape[0] == 1:
            return text  # its length may be that of its bytes, where it is UTF-8
        if len(text) != math.prod(shape):
            raise ItemError("it is damaged: text")
        return "".join(np.array(list(text)).reshape(shape, order="F").reshape(-1))

    def _children(self, at: int, end: int, count: int, depth: int) -> tuple[list[Value], int]:
        if count > (end - at) // 8:
            raise ItemError(f"it is damaged: {count} elements in {end - at} bytes")
        values = []
        for _ in range(count):
            kind, body, at = self._element(at, end)
            if kind != _MATRIX:
                raise ItemError("it is damaged: an element is no array")
            values.append(self._matrix(*body, depth + 1))
        return values, at

    def _struct(self, at: int, end: int, count: int, depth: int) -> list[dict[str, Value]]:
        kind, body, at = self._element(at, end)
        lengths = self._numbers(kind, body)
        width = int(lengths[0]) if len(lengths) == 1 else 0
        kind, body, at = self._element(at, end)
        text = bytes(self._data[body[0] : body[1]])
        if (width < 1 and text) or (text and len(text) % width):
            raise ItemError("it is damaged: the names of fields")
        cut = [text[n : n + width] for n in range(0, len(text), max(1, width))]
        names = [part.split(b"\0", 1)[0].decode("latin-1") for part in cut]
        if count > _ELEMENTS:  # without fields, they would take no bytes of the file
            raise ItemError(f"it is damaged: a struct of {count} elements")
        values, _ = self._children(at, end, count * len(names), depth)
        step = len(names)
        return [dict(zip(names, values[n * step : (n + 1) * step])) for n in range(count)]

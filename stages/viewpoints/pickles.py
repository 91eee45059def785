"""Pickles of annotations, as data: numbers, text, bytes, containers, arrays of numbers or text.

NumPy's own functions are not among what a pickle may call: told of a type or a shape that does not
fit the bytes, they end the process. What stands in for them checks first.
"""

from __future__ import annotations

import io
import math
import pickle
import re
from typing import Any

import numpy as np

from stages.errors import ItemError

_KIND = re.compile(r"b1|[iu][1248]|f[248]|[SU]\d{1,5}")
_MOST_LETTER = 0x10FFFF


def unpickled(data: bytes) -> Any:
    """What a pickle holds; arrays are an `Array` each. ItemError for anything that is not data."""
    try:
        return _Unpickler(io.BytesIO(data), encoding="latin1").load()
    except (ItemError, MemoryError):
        raise
    except Exception as error:  # a damaged pickle may fail in any way
        raise ItemError(f"it is no pickle of annotations ({type(error).__name__})") from None


class _Type:
    """Stands in for numpy.dtype: called with its code, then given the order of bytes."""

    def __init__(self, code: Any, *_: Any) -> None:
        if not isinstance(code, str) or not _KIND.fullmatch(code):
            raise ItemError(f"it holds an array of {str(code)[:20]!r}, neither numbers nor text")
        self._code = code
        self.dtype = np.dtype(code)

    def __setstate__(self, state: Any) -> None:
        # version, order of bytes, then what only structures and arrays of arrays have
        if not isinstance(state, tuple) or len(state) < 5 or state[1] not in ("<", ">", "|", "="):
            raise ItemError("it holds an array of an unknown type")
        if any(one is not None for one in state[2:5]):
            raise ItemError("it holds an array of structures")
        self.dtype = np.dtype(state[1] + self._code)


class Array:
    """Stands in for numpy.ndarray: made empty, then given shape, type and bytes, which must fit."""

    def __init__(self) -> None:
        self.values: np.ndarray = np.zeros(0)

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, tuple) or len(state) != 5:
            raise ItemError("it holds an array without shape, type and bytes")
        _, shape, kind, fortran, data = state
        if not isinstance(shape, tuple) or len(shape) > 32:
            raise ItemError("it holds an array without a shape")
        if not all(type(n) is int and 0 <= n < 1 << 40 for n in shape):
            raise ItemError("it holds an array of an impossible shape")
        flat = _values(kind, data, math.prod(shape))
        self.values = flat.reshape(shape, order="F" if fortran else "C")

    def __float__(self) -> float:
        if self.values.size != 1:
            raise TypeError("more or fewer than one number")
        return float(self.values.reshape(-1)[0])


def _values(kind: Any, data: Any, count: int) -> np.ndarray:
    """(count,) values; ItemError unless that is what the bytes hold."""
    if isinstance(data, str):  # of Python 2
        data = data.encode("latin1")
    if not isinstance(kind, _Type) or not isinstance(data, bytes):
        raise ItemError("it holds an array without type and bytes")
    if not kind.dtype.itemsize or len(data) != count * kind.dtype.itemsize:
        raise ItemError(f"it holds an array of {count} values in {len(data)} bytes")
    values = np.frombuffer(data, kind.dtype)
    if kind.dtype.kind == "U":
        letters = np.frombuffer(data, np.dtype("u4").newbyteorder(kind.dtype.byteorder))
        if letters.max(initial=0) > _MOST_LETTER:
            raise ItemError("it holds text of no letters")
    return values


def _reconstruct(kind: Any, *_: Any) -> Array:
    if kind is not Array:
        raise ItemError("it holds an array of an unknown kind")
    return Array()


def _scalar(kind: Any, data: Any = None) -> Any:
    return _values(kind, data, 1)[0]


def _encode(text: Any, encoding: Any = "latin1") -> bytes:
    """Bytes, as Python 3 writes them for Python 2."""
    if not isinstance(text, str) or encoding != "latin1":
        raise ItemError("it holds bytes of an unknown kind")
    return text.encode("latin1")


def _no_bytes() -> bytes:
    """None at all, as Python 3 writes them for Python 2."""
    return b""


_KNOWN = {
    ("numpy", "ndarray"): Array,
    ("numpy", "dtype"): _Type,
    ("_codecs", "encode"): _encode,
    ("__builtin__", "bytes"): _no_bytes,
}
for _module in ("numpy.core.multiarray", "numpy._core.multiarray"):
    _KNOWN[_module, "_reconstruct"] = _reconstruct
    _KNOWN[_module, "scalar"] = _scalar


class _Unpickler(pickle.Unpickler):
    """Calls nothing but what is _KNOWN."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _KNOWN:
            raise ItemError(f"it asks for {module}.{name}, which is no data")
        return _KNOWN[module, name]

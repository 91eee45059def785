"""Pickles of annotations: what NumPy wrote is what is read; what would end NumPy is refused."""

from __future__ import annotations

import pickle
import struct
from typing import Any

import numpy as np
import pytest

from stages.errors import ItemError
from stages.viewpoints.pickles import Array, unpickled


class Reduced:
    """Pickled as a call of `function` with `args`, given `state` if there is one."""

    def __init__(self, function: Any, args: tuple[Any, ...], *state: Any) -> None:
        self.reduced = (function, args, *state)

    def __reduce__(self) -> Any:
        return self.reduced


NATIVE = (3, "<", None, None, None, -1, -1, 0)
MADE = np._core.multiarray._reconstruct  # type: ignore[attr-defined]
SCALAR = np._core.multiarray.scalar  # type: ignore[attr-defined]


def kind(code: Any = "f8", state: Any = NATIVE) -> Reduced:
    return Reduced(np.dtype, (code, False, True), state)


def array(shape: Any = (1,), of: Any = None, data: Any = bytes(8), order: Any = False) -> Reduced:
    state = (1, shape, kind() if of is None else of, order, data)
    return Reduced(MADE, (np.ndarray, (0,), b"b"), state)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL))
@pytest.mark.parametrize(
    "values",
    [
        np.array([[1.5, -2], [3, 4]]),
        np.array([[1, 2, 3], [4, 5, 6]], ">i4", order="F"),
        np.zeros((0, 3), np.float32),
        np.array([True, False]),
        np.array(["leg", "ä"]),
        np.array([b"leg"]),
        np.array(7, np.uint8),
    ],
    ids=str,
)
def test_arrays_are_those_that_numpy_wrote(values: np.ndarray, protocol: int) -> None:
    found = unpickled(pickle.dumps({"a": values}, protocol))["a"]
    assert isinstance(found, Array)
    assert found.values.dtype == values.dtype
    assert found.values.shape == values.shape
    assert found.values.tolist() == values.tolist()


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL))
@pytest.mark.parametrize("value", [np.float32(1.5), np.int64(-3), np.bool_(True), np.str_("leg")])
def test_numbers_are_those_that_numpy_wrote(value: Any, protocol: int) -> None:
    assert unpickled(pickle.dumps([value, 1.25, "a", b"\xff"], protocol)) == [
        value.item(), 1.25, "a", b"\xff",
    ]  # fmt: skip


HOSTILE = {
    "more values than bytes": array((1 << 30,)),
    "fewer values than bytes": array((0,)),
    "negative shape": array((-1,)),
    "shape beyond all memory": array((1 << 62, 1 << 62)),
    "shape of floats": array((1.0,)),
    "no shape": array(None),
    "no bytes": array(data=None),
    "no type": array(of=3),
    "list of objects": array(of=kind("O8", (3, "|", None, None, None, -1, -1, 63)), data=[7]),
    "structures": array(of=kind("V8", (3, "|", None, ("a",), {"a": 1}, 8, 1, 0))),
    "type of size zero": array((1 << 39,), kind("S0"), b""),
    "type of any size": array(of=kind("S99999999"), data=b""),
    "dates": array(of=kind("M8")),
    "short state": array(of=kind(state=(3,))),
    "order of no bytes": array(of=kind(state=(3, "x", None, None, None, -1, -1, 0))),
    "array of arrays": array(of=kind(state=(3, "<", ("f8", (9,)), None, None, -1, -1, 0))),
    "no letters": array((2,), kind("U1"), struct.pack("<2I", 97, 0xFFFFFFFF)),
    "array by its size": Reduced(np.ndarray, ((1 << 40,),)),
    "type of a list": Reduced(np.dtype, ([("a", "f8")],)),
    "number of few bytes": Reduced(SCALAR, (kind(), b"abc")),
    "number of no type": Reduced(SCALAR, (7, b"abcdefgh")),
    "number of no bytes": Reduced(SCALAR, (kind(),)),
    "state given twice": Reduced(MADE, (np.dtype, (0,), b"b"), (1, (1,), kind(), False, bytes(8))),
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_what_does_not_fit_is_refused(name: str, protocol: int) -> None:
    with pytest.raises(ItemError, match=r"it holds|it is no pickle") as error:
        unpickled(pickle.dumps({"a": HOSTILE[name]}, protocol))
    assert str(error.value).isprintable()

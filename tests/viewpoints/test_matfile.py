"""MATLAB files: against SciPy's reader, on files that MATLAB wrote, and on broken ones."""

from __future__ import annotations

import struct
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
import scipy.io.matlab

from stages.errors import ItemError
from stages.viewpoints.matfile import UNPACKED_BYTES, read_mat
from tests.viewpoints.trees import EMPTY, record, thing, viewpoint, write_mat

UNREADABLE = {
    "complex": "complex",
    "struct": "complex",  # one of its fields
    "object": "an object",
    "sparse": "a sparse array",
    "func": "a function handle",
    "hdf5": "7.3",
}
MATLAB_FILES = Path(scipy.io.matlab.__file__).parent / "tests" / "data"


def same(mine: Any, theirs: Any) -> None:
    """Our value against SciPy's, all the way down."""
    assert not isinstance(theirs, scipy.io.matlab.MatlabObject)  # those are refused
    if theirs is None:  # what SciPy makes of a struct without fields
        assert mine == {}
    elif theirs.dtype.names is not None:
        elements = theirs.reshape(-1, order="F")
        assert len(mine) == len(elements)
        for one, other in zip(mine, elements):
            assert list(one) == list(theirs.dtype.names)
            for name in theirs.dtype.names:
                same(one[name], other[name])
    elif theirs.dtype.kind == "O":
        assert len(mine) == theirs.size
        for one, other in zip(mine, theirs.reshape(-1, order="F")):
            same(one, other)
    elif theirs.dtype.kind == "U":
        assert mine == "".join(theirs.reshape(-1))
    else:
        np.testing.assert_array_equal(mine, theirs)


def test_records_as_scipy_reads_them(tmp_path: Path) -> None:
    one = thing("car", viewpoint(30.5, -5, 2, 7.25), anchors=EMPTY, note="Zürich")
    content = record(one, thing("sofa", EMPTY, anchors=np.arange(6.0).reshape(2, 3), note=""))
    content["extra"] = np.arange(24).reshape(2, 3, 4).astype(np.int16)
    for compressed in (True, False):
        path = write_mat(tmp_path / "a.mat", content, compressed)
        theirs = scipy.io.loadmat(path, chars_as_strings=False)
        for name in ("record", "extra"):
            same(read_mat(path, name), theirs[name])


def test_files_that_matlab_wrote() -> None:
    """Those that SciPy tests itself with: equal values, or a refusal for a reason."""
    if not MATLAB_FILES.is_dir():
        pytest.skip("SciPy was installed without its test data")
    read, refused = 0, {}
    for path in sorted(MATLAB_FILES.glob("test*.mat")):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                theirs = scipy.io.loadmat(path, chars_as_strings=False)
            except NotImplementedError:
                theirs = {"x": None}  # HDF5
        for name in (name for name in theirs if not name.startswith("__")):
            try:
                mine = read_mat(path, name)
            except ItemError as error:
                refused[path.name] = str(error)
                continue
            same(mine, theirs[name])
            read += 1
    assert read >= 30
    for name, reason in refused.items():
        if any(four in name for four in ("mat4", "4.2c", "vec_4")):
            assert "no MATLAB 5 file" in reason, name
        else:
            what = next(word for word in UNREADABLE if name.startswith(f"test{word}"))
            assert UNREADABLE[what] in reason, name


def packed(body: bytes) -> bytes:
    """A MATLAB 5 file of one compressed variable."""
    data = zlib.compress(body, 9)
    return header() + struct.pack("<II", 15, len(data)) + data


def header(version: int = 0x0100, order: bytes = b"IM") -> bytes:
    return b"MATLAB 5.0 MAT-file".ljust(124) + struct.pack("<H", version) + order


def matrix(kind: int, shape: tuple[int, ...], name: bytes, rest: bytes) -> bytes:
    """A matrix element of a class, with whatever follows its name."""
    padded = name.ljust(-(-len(name) // 8) * 8, b"\0")
    sizes = struct.pack(f"<{len(shape)}i", *shape).ljust(-(-len(shape) // 2) * 8, b"\0")
    inner = struct.pack("<IIII", 6, 8, kind, 0) + struct.pack("<II", 5, 4 * len(shape)) + sizes
    inner += struct.pack("<II", 1, len(name)) + padded + rest
    return struct.pack("<II", 14, len(inner)) + inner


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "no MATLAB 5 file"),
        (b"record = 5\n" * 20, "no MATLAB 5 file"),
        (header(version=0x0200), "unknown version"),
        (b"MATLAB 7.3 MAT-file".ljust(512) + b"\x89HDF\r\n\x1a\n", "7.3"),
        (header(), "no variable"),
        (header() + struct.pack("<II", 14, 10**9), "cut off"),
        (header() + struct.pack("<II", 99, 0), "unknown type"),
        (packed(bytes(UNPACKED_BYTES + 1)), "unpacks to more than"),
        (packed(b"\0" * 16), "no array"),
        (header() + struct.pack("<II", 15, 4) + b"junk", "damaged"),
        (packed(matrix(6, (1, 10**9), b"record", struct.pack("<II", 9, 0))), "0 numbers for"),
        (packed(matrix(6, (-1, 4), b"record", b"")), "shape"),
        (packed(matrix(1, (1, 2**30), b"record", b"")), "elements in 0 bytes"),
        (
            packed(matrix(2, (2**14, 2**14), b"record", struct.pack("<IIII", 0x40005, 8, 1, 0))),
            "struct of",
        ),
        (packed(matrix(3, (1, 1), b"record", b"")), "an object"),
        (packed(matrix(16, (1, 1), b"record", b"")), "a function handle"),
        (packed(matrix(17, (1, 1), b"record", b"")), "an opaque object"),
        (packed(matrix(77, (1, 1), b"record", b"")), "unknown class"),
    ],
)
def test_refused_with_a_reason(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "bad.mat"
    path.write_bytes(content)
    with pytest.raises(ItemError, match=reason):
        read_mat(path, "record")


def test_cells_in_cells_do_not_nest_without_end(tmp_path: Path) -> None:
    inner = matrix(6, (1, 1), b"", struct.pack("<IId", 9, 8, 1.0))
    for _ in range(100):
        inner = matrix(1, (1, 1), b"record", inner)
    (tmp_path / "deep.mat").write_bytes(packed(inner))
    with pytest.raises(ItemError, match="nested"):
        read_mat(tmp_path / "deep.mat", "record")


def test_damage_is_a_reason_or_other_values_never_more(tmp_path: Path) -> None:
    """800 files with a flipped byte, half of them behind no checksum, and 100 cut ones."""
    one = thing("car", viewpoint(30.5, -5, 2, 7.25))
    rng = np.random.default_rng(0)
    path = tmp_path / "flipped.mat"
    refused = 0
    for compressed in (True, False):
        good = write_mat(tmp_path / "good.mat", record(one, one), compressed).read_bytes()
        for number in range(450):
            bad = bytearray(good)
            if number < 400:
                bad[int(rng.integers(len(bad)))] ^= int(rng.integers(1, 256))
            else:
                del bad[int(rng.integers(len(bad))) :]
            path.write_bytes(bad)
            try:
                read_mat(path, "record")
            except ItemError:
                refused += 1
    assert refused > 400  # zlib's checksum alone finds nearly all of the first half

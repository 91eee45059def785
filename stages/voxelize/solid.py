"""Solid occupancy from crossings of the surface with the three families of grid columns.

A column is the line through the centres of a row of voxels along one axis. Every place where the
surface crosses a column is found by scan conversion, all columns of a triangle at once, and two
questions are asked of the crossings in the three columns of each voxel:

- parity (Nooruddin and Turk 2003): an odd number of crossings before the centre means inside. The
  axes vote and the majority wins; a column with an odd number in all has met a hole and does not
  vote. Exact on closed meshes, and repairs holes seen along an axis.
- carving: space that is seen from outside along any of the six directions is empty; a voxel stays
  if on all three axes there is a crossing before and one after its centre. Holds on duplicated
  faces, overlapping parts and inner walls, where parity fails; leaks through holes, where parity
  holds.

Solid is what either of them keeps.

Letters: `res` voxels a side, W = res // 64 + 1 words. Bits are (res + 1, res + 1, W) uint64,
[x, y, z // 64], the voxel z in bit z % 64. They have one place more than `res` along each axis: a
crossing is kept at the first voxel whose centre is not before it, and place `res` holds those
behind the last centre.
"""

from __future__ import annotations

from math import ceil
from typing import NamedTuple

import numpy as np
from numba import njit

# error_model="numpy": no division here is by zero, and checking each costs a third of the time.
ONE, ALL = np.uint64(1), np.uint64(0xFFFFFFFFFFFFFFFF)
PAIRS = np.uint64(0x3333333333333333)
# Three whole numbers of 21 bits in one word: the next voxel centre along each axis.
IN_X, IN_Y, IN_Z = np.uint64(0x1FFFFF), np.uint64(0x1FFFFF << 21), np.uint64(0x1FFFFF << 42)


class Columns(NamedTuple):
    """The crossings of all columns; first axis: 0, 1, 2 for columns along x, y, z."""

    flips: np.ndarray  # (3, res + 1, res + 1, W) bits: an odd number of crossings here
    first: np.ndarray  # (3, res, res) int32 lowest place of a crossing, res + 1 for none
    last: np.ndarray  # (3, res, res) int32 highest place, -1 for none


@njit(cache=True, nogil=True, error_model="numpy")
def in_voxels(vertices: np.ndarray, origin: np.ndarray, scale: float) -> np.ndarray:
    """(V, 3) float64 `(vertices - origin) * scale`: positions in a grid that spans 0 to `res`."""
    points = np.empty(vertices.shape)
    for i in range(len(vertices)):
        for axis in range(3):
            points[i, axis] = (vertices[i, axis] - origin[axis]) * scale
    return points


@njit(cache=True, nogil=True, error_model="numpy")
def solid_bits(points: np.ndarray, faces: np.ndarray, res: int) -> tuple[np.ndarray, float]:
    """The bits of the solid voxels, and the share of them on which the axes disagree.

    `points` are (V, 3) of `in_voxels`, `faces` (F, 3) rows of them. The axes agree on a voxel if
    the parities of all three say inside: the share is 0 for a convex closed mesh, 1 where the vote
    is worth nothing, as when every face is there twice.
    """
    columns = Columns(
        np.zeros((3, res + 1, res + 1, res // 64 + 1), np.uint64),
        np.full((3, res, res), res + 1, np.int32),
        np.full((3, res, res), -1, np.int32),
    )
    _cross(points, faces, columns)
    spans = _spans(columns)
    _run(columns.flips)
    _run(spans)
    return _vote(columns.flips, spans)


@njit(cache=True, nogil=True, error_model="numpy")
def _cross(points: np.ndarray, faces: np.ndarray, columns: Columns) -> None:
    """Mark the crossings of every triangle, axis by axis."""
    res = columns.first.shape[1]
    crossing, counts = _candidates(points, faces, res)
    for axis in range(3):
        _scan(points, faces, crossing[axis, : counts[axis]], axis, columns)


@njit(cache=True, nogil=True, error_model="numpy")
def _candidates(points: np.ndarray, faces: np.ndarray, res: int) -> tuple[np.ndarray, np.ndarray]:
    """(3, F) int32 faces that may cross a column along each axis, and how many of a row count.

    Most triangles of a fine mesh lie between columns: all three corners have the same next centre
    along one of the two other axes, which packed integers tell by one comparison.
    """
    centres = np.empty(len(points), np.uint64)
    for i in range(len(points)):
        x, y, z = _corner(points, i, 0, 1, 2)
        centres[i] = _whole(x, res) | _whole(y, res) << 21 | _whole(z, res) << 42
    found = np.empty((3, len(faces)), np.int32)
    counts = np.zeros(3, np.int64)
    for face in range(len(faces)):
        first = centres[faces[face, 0]]
        apart = (first ^ centres[faces[face, 1]]) | (first ^ centres[faces[face, 2]])
        on_x, on_y, on_z = apart & IN_X != 0, apart & IN_Y != 0, apart & IN_Z != 0
        for axis, on in enumerate((on_y & on_z, on_x & on_z, on_x & on_y)):
            found[axis, counts[axis]] = face  # written over unless it counts: no branch
            counts[axis] += on
    return found, counts


@njit(cache=True, nogil=True, error_model="numpy")
def _corner(points: np.ndarray, i: int, row: int, col: int, axis: int) -> tuple:
    """(row, column, depth) of a point, half a voxel down so that centres are whole numbers."""
    return points[i, row] - 0.5, points[i, col] - 0.5, points[i, axis] - 0.5


@njit(cache=True, nogil=True, error_model="numpy")
def _whole(value: float, res: int) -> int:
    """The least whole number not below `value`, within 0 to `res`."""
    return ceil(min(max(value, 0.0), float(res)))


@njit(cache=True, nogil=True, error_model="numpy")
def _scan(
    points: np.ndarray, faces: np.ndarray, chosen: np.ndarray, axis: int, columns: Columns
) -> None:
    """Mark where the columns along `axis` cross the chosen faces.

    Ties are broken as if every centre were moved up by an infinitely small amount: an edge owns the
    rows from its lower end up to but without its upper end, a span its columns likewise. Where an
    edge meets a row is worked out from its lower end, so that both triangles at an edge agree to
    the last bit and a closed mesh has an even number of crossings in every column.
    """
    res = columns.first.shape[1]
    r, s = 1 if axis == 0 else 0, 1 if axis == 2 else 2  # what rows and columns run along
    for face in chosen:
        a = _corner(points, faces[face, 0], r, s, axis)
        b = _corner(points, faces[face, 1], r, s, axis)
        c = _corner(points, faces[face, 2], r, s, axis)
        if a[0] > b[0]:
            a, b = b, a
        if b[0] > c[0]:
            b, c = c, b
        if a[0] > b[0]:
            a, b = b, a
        for row in range(_whole(a[0], res), _whole(c[0], res)):
            left, left_depth = _edge_at(a, c, row)
            right, right_depth = _edge_at(a, b, row) if row < b[0] else _edge_at(b, c, row)
            if left > right:
                left, left_depth, right, right_depth = right, right_depth, left, left_depth
            start, stop = _whole(left, res), _whole(right, res)
            if start < stop:
                slope = (right_depth - left_depth) / (right - left)
                for col in range(start, stop):
                    at = _whole(left_depth + (col - left) * slope, res)
                    _flip(columns.flips, axis, row, col, at)
                    columns.first[axis, row, col] = min(columns.first[axis, row, col], at)
                    columns.last[axis, row, col] = max(columns.last[axis, row, col], at)


@njit(cache=True, nogil=True, error_model="numpy")
def _edge_at(low: tuple, high: tuple, row: int) -> tuple[float, float]:
    """Column and depth at which the edge meets the row."""
    share = (row - low[0]) / (high[0] - low[0])
    return low[1] + share * (high[1] - low[1]), low[2] + share * (high[2] - low[2])


@njit(cache=True, nogil=True, error_model="numpy")
def _flip(bits: np.ndarray, axis: int, row: int, col: int, at: int) -> None:
    """Flip the bit at place `at` of a column; rows and columns are the other axes in order."""
    if axis == 0:
        x, y, z = at, row, col
    elif axis == 1:
        x, y, z = row, at, col
    else:
        x, y, z = row, col, at
    bits[axis, x, y, z >> 6] ^= ONE << np.uint64(z & 63)


@njit(cache=True, nogil=True, error_model="numpy")
def _spans(columns: Columns) -> np.ndarray:
    """Flips at the first and the last crossing of each column: what no side sees lies between."""
    res = columns.first.shape[1]
    spans = np.zeros(columns.flips.shape, np.uint64)
    for axis in range(3):
        for row in range(res):
            for col in range(res):
                first, last = columns.first[axis, row, col], columns.last[axis, row, col]
                if first < last:
                    _flip(spans, axis, row, col, first)
                    _flip(spans, axis, row, col, last)
    return spans


@njit(cache=True, nogil=True, error_model="numpy")
def _run(flips: np.ndarray) -> None:
    """In place, each place becomes the XOR of all flips of its column up to it: inside or not."""
    side, words = flips.shape[1], flips.shape[3]
    for x in range(side):
        for y in range(side):
            carry = np.uint64(0)
            for w in range(words):
                if x:
                    flips[0, x, y, w] ^= flips[0, x - 1, y, w]
                if y:
                    flips[1, x, y, w] ^= flips[1, x, y - 1, w]
                word = flips[2, x, y, w]
                for shift in (1, 2, 4, 8, 16, 32):
                    word ^= word << np.uint64(shift)
                flips[2, x, y, w] = word ^ carry
                carry = _spread(flips[2, x, y, w], 63)


@njit(cache=True, nogil=True, error_model="numpy")
def _vote(inside: np.ndarray, spans: np.ndarray) -> tuple[np.ndarray, float]:
    """Inside by most of the axes that vote or unseen along all, and the share not agreed on."""
    res, words = inside.shape[1] - 1, inside.shape[3]
    solid = np.zeros(inside.shape[1:], np.uint64)
    filled = agreed = 0
    for x in range(res):
        for y in range(res):
            odd_z = _spread(inside[2, x, y, res >> 6], res & 63)
            for w in range(words):
                # the running XOR at place `res` says whether the whole column is odd
                odd_x, odd_y = inside[0, res, y, w], inside[1, x, res, w]
                a, b, c = inside[0, x, y, w], inside[1, x, y, w], inside[2, x, y, w]
                against = ~(a | odd_x) | ~(b | odd_y) | ~(c | odd_z)
                a, b, c = a & ~odd_x, b & ~odd_y, c & ~odd_z
                most = (a & b) | (c & (a | b)) | ((a | b | c) & ~against)
                unseen = spans[0, x, y, w] & spans[1, x, y, w] & spans[2, x, y, w]
                grid = ALL if w < words - 1 else (ONE << np.uint64(res & 63)) - ONE
                solid[x, y, w] = (most | unseen) & grid
                filled += _count(solid[x, y, w])
                agreed += _count(a & b & c & grid)
    return solid, (filled - agreed) / max(filled, 1)


@njit(cache=True, nogil=True, error_model="numpy")
def _spread(word: np.uint64, bit: int) -> np.uint64:
    """All ones if the bit is set, else zero."""
    return ALL if (word >> np.uint64(bit)) & ONE else np.uint64(0)


@njit(cache=True, nogil=True, error_model="numpy")
def _count(word: np.uint64) -> int:
    """Number of bits that are set: sums of 2, 4 and 8 bits, then of the bytes."""
    word -= (word >> np.uint64(1)) & np.uint64(0x5555555555555555)
    word = (word & PAIRS) + ((word >> np.uint64(2)) & PAIRS)
    word = (word + (word >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return int(np.int64((word * np.uint64(0x0101010101010101)) >> np.uint64(56)))

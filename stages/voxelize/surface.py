"""Voxels that the surface touches: exact overlap of triangles and closed boxes.

A triangle and a box are apart if and only if one of thirteen axes separates them (Akenine-Möller
2001): the three axes of the grid, the triangle's normal, and the nine cross products of its edges
with the axes. The nine ask whether the shadows of the two meet on each of the coordinate planes;
they are written as edge functions (Schwarz and Seidel 2010). Touching counts, so a face in the
plane between two voxels marks both.

Everything is in voxels: the grid spans 0 to `res`, box i spans i to i + 1.
"""

from __future__ import annotations

from math import ceil, floor

import numpy as np
from numba import njit

ONE = np.uint64(1)


@njit(cache=True, nogil=True)
def add_surface(points: np.ndarray, faces: np.ndarray, bits: np.ndarray) -> None:
    """Set the bits of all voxels that a triangle touches.

    `points` are (V, 3) of `in_voxels`, `bits` (res + 1, res + 1, W) as in `solid`. A triangle
    whose box is wider than one voxel along at most one axis touches all of its box; along two, only
    their shadow needs a test.
    """
    res = len(bits) - 1
    for face in range(len(faces)):
        a = _point(points, faces[face, 0])
        b = _point(points, faces[face, 1])
        c = _point(points, faces[face, 2])
        x0, x1 = _range(a[0], b[0], c[0], res)
        y0, y1 = _range(a[1], b[1], c[1], res)
        z0, z1 = _range(a[2], b[2], c[2], res)
        low = max(x0, 0), max(y0, 0), max(z0, 0)
        high = min(x1, res - 1), min(y1, res - 1), min(z1, res - 1)
        if (x0 != x1) + (y0 != y1) + (z0 != z1) < 2:
            _fill(low, high, bits)
        elif x0 == x1:
            _fill_where(_edges(a, b, c, 1, 2), low, high, 0, bits)
        elif y0 == y1:
            _fill_where(_edges(a, b, c, 0, 2), low, high, 1, bits)
        elif z0 == z1:
            _fill_where(_edges(a, b, c, 0, 1), low, high, 2, bits)
        else:
            _fill_overlap(a, b, c, low, high, bits)


@njit(cache=True, nogil=True)
def _point(points: np.ndarray, i: int) -> tuple[float, float, float]:
    return points[i, 0], points[i, 1], points[i, 2]


@njit(cache=True, nogil=True)
def _range(a: float, b: float, c: float, res: int) -> tuple[int, int]:
    """First and last voxel that the numbers touch, at most two voxels outside of the grid."""
    low = ceil(min(max(min(a, b, c), -1.0), res + 1.0)) - 1
    return low, floor(min(max(max(a, b, c), -1.0), res + 1.0))


@njit(cache=True, nogil=True)
def _mark(bits: np.ndarray, x: int, y: int, z: int) -> None:
    bits[x, y, z >> 6] |= ONE << np.uint64(z & 63)


@njit(cache=True, nogil=True)
def _fill(low: tuple, high: tuple, bits: np.ndarray) -> None:
    for x in range(low[0], high[0] + 1):
        for y in range(low[1], high[1] + 1):
            for z in range(low[2], high[2] + 1):
                _mark(bits, x, y, z)


@njit(cache=True, nogil=True)
def _fill_where(edges: tuple, low: tuple, high: tuple, flat: int, bits: np.ndarray) -> None:
    """Mark the boxes whose shadow along the axis `flat`, one voxel deep, meets the triangle's."""
    for x in range(low[0], high[0] + 1):
        for y in range(low[1], high[1] + 1):
            for z in range(low[2], high[2] + 1):
                u, v = (y, z) if flat == 0 else (x, z) if flat == 1 else (x, y)
                if _meets(edges, u, v):
                    _mark(bits, x, y, z)


@njit(cache=True, nogil=True)
def _edges(a: tuple, b: tuple, c: tuple, u: int, v: int) -> tuple:
    """Three edge functions of the shadow on plane (u, v); one that is a line has both its sides."""
    area = (b[u] - a[u]) * (c[v] - a[v]) - (b[v] - a[v]) * (c[u] - a[u])
    side = 1.0 if area >= 0 else -1.0
    return (
        _edge(a[u], a[v], b[u], b[v], side),
        _edge(b[u], b[v], c[u], c[v], side),
        _edge(c[u], c[v], a[u], a[v], side),
    )


@njit(cache=True, nogil=True)
def _edge(au: float, av: float, bu: float, bv: float, side: float) -> tuple[float, float, float]:
    """Steps along u and v and start of the value at a box's corner farthest inside of the edge."""
    step_u, step_v = (av - bv) * side, (bu - au) * side
    return step_u, step_v, max(step_u, 0.0) + max(step_v, 0.0) - step_u * au - step_v * av


@njit(cache=True, nogil=True)
def _meets(edges: tuple, u: int, v: int) -> bool:
    """Whether the box [u, u + 1] x [v, v + 1] reaches the inner side of all three edges."""
    p, q, r = edges
    return (
        p[0] * u + p[1] * v + p[2] >= 0
        and q[0] * u + q[1] * v + q[2] >= 0
        and r[0] * u + r[1] * v + r[2] >= 0
    )


@njit(cache=True, nogil=True)
def _fill_overlap(a: tuple, b: tuple, c: tuple, low: tuple, high: tuple, bits: np.ndarray) -> None:
    """Mark the boxes that no axis separates from the triangle."""
    on_xy, on_xz, on_yz = _edges(a, b, c, 0, 1), _edges(a, b, c, 0, 2), _edges(a, b, c, 1, 2)
    nx = (b[1] - a[1]) * (c[2] - a[2]) - (b[2] - a[2]) * (c[1] - a[1])
    ny = (b[2] - a[2]) * (c[0] - a[0]) - (b[0] - a[0]) * (c[2] - a[2])
    nz = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
    reach = (abs(nx) + abs(ny) + abs(nz)) / 2
    for x in range(low[0], high[0] + 1):
        for y in range(low[1], high[1] + 1):
            if _meets(on_xy, x, y):
                # the plane passes the centre of box z at a distance of level + nz * z
                level = nx * (x + 0.5 - a[0]) + ny * (y + 0.5 - a[1]) + nz * (0.5 - a[2])
                first, last = low[2], high[2]
                if abs(nz) * (last - first) > 4 * reach:  # only a small part of them can pass
                    ends = (-level - reach) / nz, (-level + reach) / nz
                    first = max(first, floor(max(min(ends), -1.0)))  # rounded to more, not less
                    last = min(last, ceil(min(max(ends), float(last))))
                for z in range(first, last + 1):
                    if abs(level + nz * z) <= reach and _meets(on_xz, x, z) and _meets(on_yz, y, z):
                        _mark(bits, x, y, z)

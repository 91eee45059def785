"""All rays from the origin against all triangles without a tree: a z-buffer on the sphere.

The rays of one longitude lie in a half-plane that the z axis bounds, a meridian. A triangle is
drawn as a rasteriser draws it, line by line, and the poles and longitude 0 are nothing special:

1. Every vertex gets the place of its longitude among the meridians, a whole number. Where the
   three of a triangle agree it lies between two meridians: most triangles of a fine mesh end here.
2. A meridian cuts the triangle in a segment, whose ends are on the triangle's edges.
3. The rays between the two ends hit. How far out is interpolated between the ends.

Places between meridians, or between the rays of one, are odd; those on them are even, and belong to
both sides: no ray slips through an edge or a corner that triangles share. What is closer to a ray
than SNAP counts as on it, so that rounding opens no gap. As distances are interpolated between
corners, never extrapolated, rounding cannot put a hit off its triangle.

A triangle without area, or whose plane holds the origin, has no extent seen from there: no ray hits
it.

Letters: n rays a side, V vertices, F faces; (rho, z) coordinates in the half-plane of a meridian,
s the distance from its plane, w what a point in it has been multiplied by.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numba import njit

from stages.errors import UsageError
from stages.sphere.grids import colatitude_circle, longitude_circle

SNAP = 1e-13  # radians
AXIS = -2  # the place of vertices on the z axis, where all meridians meet
STEPS = 16  # steps of a table to a ray

compiled = njit(cache=True, nogil=True, error_model="numpy")
# Arrays handed to a function in the innermost loop cost more than the arithmetic there.
inlined = njit(inline="always", error_model="numpy")


class Rays(NamedTuple):
    """The directions of a grid, and tables of the rays just before each step around and down."""

    cos_phi: np.ndarray  # (n,) float64, likewise the next three
    sin_phi: np.ndarray
    cos_theta: np.ndarray
    sin_theta: np.ndarray
    around: np.ndarray  # (STEPS n,) int64 meridian, see `_place_around`
    down: np.ndarray  # (STEPS n,) int64 ray of a meridian, see `_place_down`


@lru_cache(maxsize=16)
def rays(n: int, grid: str) -> Rays:
    """The rays of an n x n grid of `stages.sphere.grids`, n even and 4 or more."""
    if n < 4:
        raise UsageError(f"a grid of {n} x {n} rays is too coarse to draw on", "use 4 or more")
    cos_phi, sin_phi = longitude_circle(n)
    cos_theta, sin_theta = colatitude_circle(n, grid)
    share = (np.arange(STEPS * n) + 0.5) / (STEPS * n)
    # Where `_place_around` has turned by this share, and what is this share from pole to pole.
    x = np.where(share < 0.5, 1 - 4 * share, 4 * share - 3)
    y = np.where(share < 0.5, 1, -1) * (1 - np.abs(x))
    around = np.floor(np.arctan2(y, x) / (2 * np.pi) % 1 * n).astype(np.int64)
    z = 1 - 2 * share
    theta = np.arctan2(1 - np.abs(z), z)
    down = np.searchsorted(np.arctan2(sin_theta, cos_theta), theta, side="right") - 1
    return Rays(cos_phi, sin_phi, cos_theta, sin_theta, around, down)


@compiled
def scan(vertices, faces, matrix, rays):
    """(n, n) float64 distance of the farthest hit of each ray, and (n, n) int32 its face.

    0 and -1 where there is none. vertices: (V, 3) float64, moved by the (3, 3) `matrix` first.
    faces: (F, 3) int32.
    """
    n = len(rays.cos_phi)
    length, face = np.zeros((n, n)), np.full((n, n), -1, np.int32)
    # Arrays taken out of the tuple, or handed to a function, in the loop cost more than all else.
    cos_phi, sin_phi = rays.cos_phi, rays.sin_phi
    cos_theta, sin_theta, down = rays.cos_theta, rays.sin_theta, rays.down
    points, places = _place_vertices(vertices, matrix, rays)
    for f in range(len(faces)):
        i, j, k = faces[f, 0], faces[f, 1], faces[f, 2]
        if places[i] == places[j] and places[i] == places[k] and places[i] & 1:
            continue
        first, last = _meridians(places[i], places[j], places[k], n)
        a = (points[i, 0], points[i, 1], points[i, 2])
        b = (points[j, 0], points[j, 1], points[j, 2])
        c = (points[k, 0], points[k, 1], points[k, 2])
        for meridian in range(first, last + 1):
            column = meridian % n
            p, q = _cut(a, b, c, cos_phi[column], sin_phi[column])
            if p[2] == 0:
                continue
            share = 0.5 - 0.5 * p[1] / (p[0] + abs(p[1]))  # 0 to 1 from pole to pole
            start = down[min(max(int(share * len(down)), 0), len(down) - 1)]
            if 0 <= start < n - 1:  # most segments of a fine mesh end here
                ray, following = (cos_theta[start], sin_theta[start]), start + 1
                if _lie_between(p, q, ray, (cos_theta[following], sin_theta[following])):
                    continue
            above = _place_down(p[0], p[1], start, cos_theta, sin_theta)
            below = _place_down(q[0], q[1], above >> 1, cos_theta, sin_theta)
            if above == below:  # between two rays, or along one
                continue
            for row in range((min(above, below) + 1) >> 1, (max(above, below) >> 1) + 1):
                t = _distance(p, q, cos_theta[row], sin_theta[row])
                if t > length[row, column]:
                    length[row, column] = t
                    face[row, column] = f
    if sin_theta[0] == 0:
        _share_pole(length, face)
    return length, face


@compiled
def _place_vertices(vertices, matrix, rays):
    """(V, 3) float64 moved vertices, and (V,) places among the meridians."""
    points = np.empty((len(vertices), 3))
    places = np.empty(len(vertices), np.int32)
    for i in range(len(vertices)):
        x, y, z = apply(matrix, vertices[i, 0], vertices[i, 1], vertices[i, 2])
        points[i, 0], points[i, 1], points[i, 2] = x, y, z
        places[i] = _place_around(x, y, rays)
    return points, places


@inlined
def apply(matrix, x, y, z):
    """The product of a (3, 3) matrix and a vector, which a matrix of 0, 1 and -1 leaves exact."""
    return (
        matrix[0, 0] * x + matrix[0, 1] * y + matrix[0, 2] * z,
        matrix[1, 0] * x + matrix[1, 1] * y + matrix[1, 2] * z,
        matrix[2, 0] * x + matrix[2, 1] * y + matrix[2, 2] * z,
    )


@inlined
def _place_around(x, y, rays):
    """The place among the meridians: 2k on meridian k, 2k + 1 between it and the next."""
    n, size = len(rays.cos_phi), abs(x) + abs(y)
    if size == 0:
        return AXIS
    turn = 1 - x / size if y >= 0 else 3 + x / size  # 0 to 4, grows with the longitude
    k = rays.around[min(max(int(turn * (len(rays.around) / 4)), 0), len(rays.around) - 1)]
    following = k + 1 if k + 1 < n else 0
    while rays.cos_phi[following] * y - rays.sin_phi[following] * x >= -SNAP * size:
        k = following
        following = k + 1 if k + 1 < n else 0
    before = rays.cos_phi[k] * y - rays.sin_phi[k] * x
    while before < -SNAP * size:
        k = k - 1 if k else n - 1
        before = rays.cos_phi[k] * y - rays.sin_phi[k] * x
    return 2 * k + (before > SNAP * size)


@inlined
def _place_down(rho, z, start, cos_theta, sin_theta):
    """The place among the rays of a meridian, sought from ray `start` on.

    2j on ray j, 2j + 1 below it; -1 above all.
    """
    n, j, near = len(cos_theta), start, SNAP * (rho + abs(z))
    while j + 1 < n and rho * cos_theta[j + 1] - z * sin_theta[j + 1] >= -near:
        j += 1
    while j >= 0 and rho * cos_theta[j] - z * sin_theta[j] < -near:
        j -= 1
    on_ray = j >= 0 and rho * cos_theta[j] - z * sin_theta[j] <= near
    return 2 * j + (not on_ray)


@compiled
def _meridians(a, b, c, n):
    """The first and the last meridian that meet a triangle of these places; the last may be >= n.

    All of them where the triangle may reach around the axis; none where it lies on it.
    """
    if a == AXIS:
        a = b if b != AXIS else c
    b = a if b == AXIS else b
    c = a if c == AXIS else c
    if a == AXIS:
        return 0, -1
    to_b = (b - a + n) % (2 * n) - n  # the shorter way around, as the edge goes
    to_c = (c - a + n) % (2 * n) - n
    low, high = min(0, to_b, to_c), max(0, to_b, to_c)
    if high - low >= n - 2:  # half of the way around, as far as places can tell
        return 0, n - 1
    return (a + low + 1) >> 1, (a + high) >> 1


@compiled
def _cut(a, b, c, cosine, sine):
    """The two ends (rho, z, w) of the segment that a meridian cuts out of a triangle; w 0: none."""
    none = (0.0, 0.0, 0.0)
    a, b, c = _in_plane(a, cosine, sine), _in_plane(b, cosine, sine), _in_plane(c, cosine, sine)
    # The corner alone on its side comes first; where one or two lie in the plane, any other one.
    if a[0] * b[0] > 0:
        a, c = c, a
    elif a[0] * c[0] > 0 or (a[0] == 0 and b[0] != 0):
        a, b = b, a
    elif a[0] == 0:
        a, c = c, a
    if a[0] == 0 or a[0] * b[0] > 0 or a[0] * c[0] > 0:  # in the plane, or at most touched by it
        return none, none
    p, q = _between(a, b), _between(a, c)
    if p[0] <= 0 and q[0] <= 0:  # in the half-plane on the other side, or along the axis
        return none, none
    if p[0] < 0:
        p = _on_axis(p, q)
    elif q[0] < 0:
        q = _on_axis(p, q)
    if p[0] + abs(p[1]) == 0 or q[0] + abs(q[1]) == 0:  # an end at the origin
        return none, none
    return p, q


@compiled
def _on_axis(p, q):
    """(0, z, w) where the segment from p to q crosses the axis; z is 0 close to the origin."""
    u, v = abs(p[0]), abs(q[0])
    z = u * q[1] + v * p[1]
    near = SNAP * (u * abs(q[1]) + v * abs(p[1]) + u * v)
    return 0.0, z if abs(z) > near else 0.0, u * q[2] + v * p[2]


@compiled
def _in_plane(point, cosine, sine):
    """(s, rho, z) of a point and a meridian; s is 0 where it is nearer than SNAP."""
    x, y, z = point
    s = cosine * y - sine * x
    return s if abs(s) > SNAP * (abs(x) + abs(y)) else 0.0, cosine * x + sine * y, z


@compiled
def _between(a, b):
    """(rho, z, w) where the edge from a to b, on both sides of the plane or in it, crosses it.

    The same bits for the edge from b to a.
    """
    u, v = abs(a[0]), abs(b[0])
    rho, z = u * b[1] + v * a[1], u * b[2] + v * a[2]
    return rho if abs(rho) > SNAP * abs(z) else 0.0, z, u + v


@compiled
def _lie_between(p, q, first, second):
    """Whether both points of a half-plane are below the first ray and above the second.

    Rays are (cosine, sine) of the colatitude.
    """
    near_p, near_q = SNAP * (p[0] + abs(p[1])), SNAP * (q[0] + abs(q[1]))
    return (
        (p[0] * first[0] - p[1] * first[1] > near_p)
        & (q[0] * first[0] - q[1] * first[1] > near_q)
        & (p[0] * second[0] - p[1] * second[1] < -near_p)
        & (q[0] * second[0] - q[1] * second[1] < -near_q)
    )


@compiled
def _distance(p, q, cosine, sine):
    """Distance from the origin at which a ray of a meridian crosses the segment from p to q."""
    u, v = abs(p[0] * cosine - p[1] * sine), abs(q[0] * cosine - q[1] * sine)
    along = u * (q[0] * sine + q[1] * cosine) + v * (p[0] * sine + p[1] * cosine)
    return along / (u * q[2] + v * p[2])


@compiled
def _share_pole(length, face):
    """All rays of the first row are one and the same, at the pole: the farthest hit of any."""
    best = 0
    for column in range(length.shape[1]):
        if length[0, column] > length[0, best]:
            best = column
    length[0], face[0] = length[0, best], face[0, best]

"""Orthographic depth maps of a mesh, exact at pixel centres.

A triangle with corners p, q, r in pixels covers the centres (u, v) where none of

    E = (p_v - q_v) u + (q_u - p_u) v + p_u q_v - p_v q_u,   for p -> q, q -> r and r -> p,

is negative, once they are turned so that their sum, twice the area, is positive. The depth there is
the mean of the depths of the corners, each weighed with E of the opposite edge. Two triangles that
share an edge compute exactly opposite E for it, whichever way their corners run, so that no centre
falls between them; one exactly on an edge belongs to both. A triangle that is seen edge-on, where
rounding would make up the weights, counts as its three sides: that closes the surface, too, where a
step in depth runs through centres. Both faces of a triangle count, its material does not. Of all
that covers a centre the smallest depth is kept: the order of the triangles does not matter.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from stages.geometry.mesh import Mesh

# Pixels. Triangles thinner than this are seen edge-on; E decides for centres so near to a box.
SLACK = 1e-6

compiled = njit(cache=True, nogil=True, error_model="numpy")


def depth_maps(mesh: Mesh, extrinsics: np.ndarray, size: int) -> np.ndarray:
    """(N, size, size) float32 depths seen by orthographic cameras (N, 3, 4), 0 = nothing.

    The cameras are those of `stages.geometry.orthographic`; what lies outside of their pictures is
    cut off, and every vertex must be before them.
    """
    depth = np.full((len(extrinsics), size, size), np.inf, np.float32)
    vertices = np.ascontiguousarray(mesh.vertices, np.float32)
    faces = np.ascontiguousarray(mesh.faces, np.int32)
    for camera, picture in zip(extrinsics, depth):
        _draw(_project(vertices, np.ascontiguousarray(camera, np.float64), size), faces, picture)
    depth[np.isinf(depth)] = 0
    return depth


@compiled
def _project(vertices, camera, size):
    """(V, 3) float64 u, v in pixels and depth."""
    points = np.empty((len(vertices), 3))
    for i in range(len(vertices)):
        x, y, z = vertices[i, 0], vertices[i, 1], vertices[i, 2]
        for k in range(3):
            points[i, k] = camera[k, 0] * x + camera[k, 1] * y + camera[k, 2] * z + camera[k, 3]
        points[i, 0] = (points[i, 0] + 0.5) * size
        points[i, 1] = (points[i, 1] + 0.5) * size
    return points


@compiled
def _span(a, b, c, size):
    """First and last of the `size` pixels whose centre may lie between three coordinates."""
    low = max(0, int(np.ceil(min(a, b, c) - 0.5 - SLACK)))
    high = min(size - 1, int(np.floor(max(a, b, c) - 0.5 + SLACK)))
    return low, high


@compiled
def _edge(p, q, sign):
    """E of the edge from p to q as a u + b v + c, times a sign."""
    return sign * (p[1] - q[1]), sign * (q[0] - p[0]), sign * (p[0] * q[1] - p[1] * q[0])


@compiled
def _between(a, row, left, right):
    """The part of the pixels left to right of a row where a u + row can be positive or zero."""
    # A division may be far off where a is near 0: a thousandth of a pixel more, E decides.
    if a > 0:
        left = max(left, int(min(np.ceil(-row / a - 0.5 - 1e-3), right + 1.0)))
    elif a < 0:
        right = min(right, int(max(np.floor(-row / a - 0.5 + 1e-3), left - 1.0)))
    return left, right


@compiled
def _draw(points, faces, depth):
    """Lowers (size, size) `depth` to that of the triangles where it is larger."""
    size = len(depth)
    for f in range(len(faces)):
        i, j, k = faces[f, 0], faces[f, 1], faces[f, 2]
        left, right = _span(points[i, 0], points[j, 0], points[k, 0], size)
        if left > right:
            continue
        top, bottom = _span(points[i, 1], points[j, 1], points[k, 1], size)
        if top > bottom:
            continue
        p = (points[i, 0], points[i, 1], points[i, 2])
        q = (points[j, 0], points[j, 1], points[j, 2])
        r = (points[k, 0], points[k, 1], points[k, 2])
        area = (q[0] - p[0]) * (r[1] - p[1]) - (q[1] - p[1]) * (r[0] - p[0])
        if area**2 <= SLACK**2 * max(_square(p, q), _square(q, r), _square(r, p)):
            for a, b in ((p, q), (q, r), (r, p)):
                _draw_side(a, b, (left, right, top, bottom), depth)
            continue
        sign = 1.0 if area > 0 else -1.0
        a0, b0, c0 = _edge(q, r, sign)
        a1, b1, c1 = _edge(r, p, sign)
        a2, b2, c2 = _edge(p, q, sign)
        for y in range(top, bottom + 1):
            v = y + 0.5
            row0, row1, row2 = b0 * v + c0, b1 * v + c1, b2 * v + c2
            first, last = left, right
            if right - left > 3:
                first, last = _between(a0, row0, first, last)
                first, last = _between(a1, row1, first, last)
                first, last = _between(a2, row2, first, last)
            for x in range(first, last + 1):
                u = x + 0.5
                e0, e1, e2 = a0 * u + row0, a1 * u + row1, a2 * u + row2
                if e0 >= 0 and e1 >= 0 and e2 >= 0:
                    z = (e0 * p[2] + e1 * q[2] + e2 * r[2]) / (e0 + e1 + e2)
                    if z < depth[y, x]:
                        depth[y, x] = z


@compiled
def _square(p, q):
    """The squared length of the side from p to q, in pixels."""
    return (q[0] - p[0]) ** 2 + (q[1] - p[1]) ** 2


@compiled
def _draw_side(p, q, pixels, depth):
    """Lowers `depth` to that of the side from p to q, at centres that lie on it."""
    left, right, top, bottom = pixels
    along_u, along_v, square = q[0] - p[0], q[1] - p[1], _square(p, q)
    for y in range(top, bottom + 1):
        for x in range(left, right + 1):
            u, v = x + 0.5 - p[0], y + 0.5 - p[1]
            share = (u * along_u + v * along_v) / square if square > 0 else 0.0
            share = min(max(share, 0.0), 1.0)
            if (u - share * along_u) ** 2 + (v - share * along_v) ** 2 <= SLACK**2:
                z = p[2] + share * (q[2] - p[2])
                if z < depth[y, x]:
                    depth[y, x] = z

"""Orthographic depth maps of a mesh, exact at pixel centres.

A triangle with corners p, q, r in pixels covers the centres c where none of

    E = (p_v - q_v) c_u + (q_u - p_u) c_v + p_u q_v - p_v q_u,   for p -> q, q -> r, r -> p,

is negative, once they are turned so that their sum, twice the area, is positive. The depth there is
the mean of the depths of the corners, each weighed with E of the opposite edge. Two triangles that
share an edge compute exactly opposite E for it, whichever way their corners run, so that no centre
falls between them; one exactly on an edge belongs to both. Both faces of a triangle count, and its
material does not. Of all that covers a centre the smallest depth is kept: the order of the
triangles does not matter.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from stages.geometry.mesh import Mesh

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
    # The slack keeps centres that rounding puts beside a triangle whose E says they are in it.
    low = max(0, int(np.ceil(min(a, b, c) - 0.5 - 1e-6)))
    high = min(size - 1, int(np.floor(max(a, b, c) - 0.5 + 1e-6)))
    return low, high


@compiled
def _edge(p, q, sign):
    """E of the edge from p to q as a c_u + b c_v + c, times a sign."""
    return sign * (p[1] - q[1]), sign * (q[0] - p[0]), sign * (p[0] * q[1] - p[1] * q[0])


@compiled
def _between(a, row, left, right):
    """The part of the pixels left to right of a row where a u + row can be positive or zero."""
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
        top, bottom = _span(points[i, 1], points[j, 1], points[k, 1], size)
        if left > right or top > bottom:
            continue
        p = (points[i, 0], points[i, 1])
        q = (points[j, 0], points[j, 1])
        r = (points[k, 0], points[k, 1])
        area = (q[0] - p[0]) * (r[1] - p[1]) - (q[1] - p[1]) * (r[0] - p[0])
        if area == 0:  # seen edge-on
            continue
        sign = 1.0 if area > 0 else -1.0
        a0, b0, c0 = _edge(q, r, sign)
        a1, b1, c1 = _edge(r, p, sign)
        a2, b2, c2 = _edge(p, q, sign)
        z0, z1, z2 = points[i, 2], points[j, 2], points[k, 2]
        near, far = min(z0, z1, z2), max(z0, z1, z2)
        for y in range(top, bottom + 1):
            v = y + 0.5
            row0, row1, row2 = b0 * v + c0, b1 * v + c1, b2 * v + c2
            start, stop = left, right
            if right - left > 3:
                start, stop = _between(a0, row0, start, stop)
                start, stop = _between(a1, row1, start, stop)
                start, stop = _between(a2, row2, start, stop)
            for x in range(start, stop + 1):
                u = x + 0.5
                e0, e1, e2 = a0 * u + row0, a1 * u + row1, a2 * u + row2
                total = e0 + e1 + e2
                if e0 >= 0 and e1 >= 0 and e2 >= 0 and total > 0:
                    z = (e0 * z0 + e1 * z1 + e2 * z2) / total
                    # Almost edge-on, rounding can take the mean out of the range of the corners.
                    z = min(max(z, near), far)
                    if z < depth[y, x]:
                        depth[y, x] = z

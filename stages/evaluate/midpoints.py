"""A mesh as the points that the published evaluation of point clouds compares with.

Its vertices, and the midpoint of the longest edge, again and again; each splits the triangles at
its edge, which makes new edges. Unlike points on the surface they are not uniform over its area:
where a mesh has many small faces, there are many of them.
"""

from __future__ import annotations

import heapq

import numpy as np
from numba import njit

from stages.geometry.mesh import Mesh

compiled = njit(cache=True, nogil=True, error_model="numpy")


def densified(mesh: Mesh, count: int) -> np.ndarray:
    """(N, 3) float64: the vertices of a mesh that has an area, and `count` midpoints."""
    vertices, faces = _welded(mesh)
    sides = np.stack([faces, np.roll(faces, -1, 1)], -1).reshape(-1, 2)  # of corners 01, 12, 20
    ends, of_face = np.unique(np.sort(sides, 1), axis=0, return_inverse=True)
    points = np.concatenate([vertices, np.empty((count, 3))])
    _split(points, faces, ends, of_face.reshape(-1, 3), count)
    return points


def _welded(mesh: Mesh) -> tuple[np.ndarray, np.ndarray]:
    """Vertices, equal ones made one, and the different faces that have three of them."""
    vertices, index = np.unique(mesh.vertices.astype(np.float64), axis=0, return_inverse=True)
    faces = index.reshape(-1)[mesh.faces]
    faces = faces[(faces != np.roll(faces, 1, 1)).all(1)]
    faces = faces[np.unique(np.sort(faces, 1), axis=0, return_index=True)[1]]
    used, faces = np.unique(faces, return_inverse=True)
    return vertices[used], faces.reshape(-1, 3)


@compiled
def _length(points, a, b):
    """The squared length of an edge."""
    return np.sum((points[a] - points[b]) ** 2)


@compiled
def _split(points, faces, ends, of_face, count):
    """Fills the last `count` rows of `points`.

    faces: (F, 3) corners; ends: (E, 2) of each edge; of_face: (F, 3) edges from corners 0, 1 and 2
    to the next. Each edge has a list of its triangles: `first` of it, and the `after` of each link.
    """
    corners = [(face[0], face[1], face[2]) for face in faces]
    edges = [(face[0], face[1], face[2]) for face in of_face]
    sides = [(side[0], side[1]) for side in ends]
    first, after, triangle = [-1 for _ in ends], [-1 for _ in range(0)], [-1 for _ in range(0)]
    for number in range(len(faces)):
        for edge in of_face[number]:
            _link(edge, number, first, after, triangle)
    heap = [(-_length(points, sides[e][0], sides[e][1]), e) for e in range(len(ends))]
    heapq.heapify(heap)
    for m in range(len(points) - count, len(points)):
        split = heapq.heappop(heap)[1]
        a, b = sides[split]
        points[m] = (points[a] + points[b]) / 2
        begun = len(sides)  # the new edges: a m, m b, and one for each triangle
        for side in ((a, m), (m, b)):
            sides.append(side)
            first.append(-1)
        link = first[split]
        while link >= 0:
            number, other = triangle[link], len(corners)
            link = after[link]
            p, q, c, of_q, of_c = _turned(corners[number], edges[number], split)
            halves = (begun, begun + 1) if p == a else (begun + 1, begun)
            middle = len(sides)
            sides.append((m, c))
            first.append(-1)
            corners[number], edges[number] = (p, m, c), (halves[0], middle, of_c)
            corners.append((m, q, c))
            edges.append((halves[1], of_q, middle))
            seen = first[of_q]
            while triangle[seen] != number:
                seen = after[seen]
            triangle[seen] = other
            _link(halves[0], number, first, after, triangle)
            _link(halves[1], other, first, after, triangle)
            _link(middle, number, first, after, triangle)
            _link(middle, other, first, after, triangle)
        for edge in range(begun, len(sides)):
            heapq.heappush(heap, (-_length(points, sides[edge][0], sides[edge][1]), edge))


@compiled
def _link(edge, number, first, after, triangle):
    """Adds a triangle to the list of an edge."""
    after.append(first[edge])
    triangle.append(number)
    first[edge] = len(after) - 1


@compiled
def _turned(corners, edges, edge):
    """Corners p, q, c of a triangle whose `edge` is p q, and its edges q c and c p."""
    if edges[0] == edge:
        return corners[0], corners[1], corners[2], edges[1], edges[2]
    if edges[1] == edge:
        return corners[1], corners[2], corners[0], edges[2], edges[0]
    return corners[2], corners[0], corners[1], edges[0], edges[1]

"""A shape made ready for casting: its triangles and those of its convex hull, and its ball.

Letters: V vertices, F faces, H faces of the hull.
"""

from __future__ import annotations

from itertools import combinations
from typing import NamedTuple

import numpy as np

from stages.errors import ItemError
from stages.geometry.mesh import Mesh, refuse_broken

THIN = 1e-6  # extent, as a share of the longest, below which a shape is flat, or a line


class Triangles(NamedTuple):
    """Vertices around the origin that rays go out from, and faces of any orientation."""

    vertices: np.ndarray  # (V, 3) float64, finite
    faces: np.ndarray  # (F, 3) int32, rows of `vertices`


class Body(NamedTuple):
    """What `stages.raycast.cast` takes whole, prepared once and cast at many rotations."""

    shape: Triangles
    hull: Triangles | None


def prepare(mesh: Mesh | np.ndarray, hull: bool = False, centre: np.ndarray | None = None) -> Body:
    """The body of a mesh or of (F, 3, 3) triangles, with its convex hull if asked for.

    `centre` becomes the origin that rays go out from. A hull stays the hull when both are rotated
    or scaled. Raises ItemError for a mesh without faces, with a vertex that is not finite, or a
    face of vertices that are not there.
    """
    if isinstance(mesh, Mesh):
        refuse_broken(mesh)
        vertices, faces = mesh.vertices, mesh.faces
    else:
        vertices = np.asarray(mesh).reshape(-1, 3)
        faces = np.arange(len(vertices)).reshape(-1, 3)
        if not len(faces) or not np.isfinite(vertices).all():
            raise ItemError("there are no triangles, or a corner is not finite")
    placed = vertices.astype(np.float64, order="C")
    if centre is not None:
        placed -= centre
    shape = Triangles(placed, np.ascontiguousarray(faces, np.int32))
    return Body(shape, hull_of(used_vertices(*shape)) if hull else None)


def used_vertices(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(U, 3) those of the (V, 3) vertices that one of the (F, 3) faces uses."""
    used = np.zeros(len(vertices), bool)
    used[faces] = True
    return vertices[used]


def hull_of(points: np.ndarray) -> Triangles:
    """The convex hull of (V, 3) points, H triangles without a common orientation.

    Of points in one plane (to THIN) it is the polygon around them, of points on a line it has no
    triangles.
    """
    from scipy.spatial import ConvexHull

    points = np.asarray(points, np.float64)
    _, axes = np.linalg.eigh(np.cov(points.T, bias=True))
    along = points @ axes  # thinnest axis first
    extents = np.ptp(along, axis=0)
    thin = extents <= THIN * extents.max()
    if thin.sum() >= 2:
        faces = np.zeros((0, 3), np.int64)
    elif thin.any():
        corners = ConvexHull(along[:, ~thin]).vertices  # in order around the polygon
        faces = np.stack([np.full(len(corners) - 2, corners[0]), corners[1:-1], corners[2:]], 1)
    else:
        faces = ConvexHull(points).simplices
    used, index = np.unique(faces, return_inverse=True)
    return Triangles(points[used], index.reshape(-1, 3).astype(np.int32))


def smallest_ball(points: np.ndarray) -> tuple[np.ndarray, float]:
    """(3,) float64 centre and the radius of the smallest ball around (V, 3) points.

    At most four points decide it (Welzl 1991). The ball around those known so far is held against
    all; the farthest one outside joins them, and those that decide the ball of these five go on.
    It grows each time, so none comes twice.
    """
    points = np.asarray(points, np.float64)
    support, centre, radius = points[:1], points[0], 0.0
    while True:
        distances = np.linalg.norm(points - centre, axis=1)
        farthest = distances.argmax()
        grown = _ball_of_few(np.vstack([support, points[farthest]]))
        if distances[farthest] <= radius or grown[2] <= radius:  # the latter: rounding
            return centre, float(distances[farthest])
        support, centre, radius = grown


def _ball_of_few(points: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Of at most five points those that decide their smallest ball, its centre and radius."""
    best = (points, points[0], np.inf)
    for count in range(1, 5):
        for chosen in combinations(points, count):
            centre = _circumcentre(np.array(chosen))
            radius = float(np.linalg.norm(points - centre, axis=1).max())
            if radius < best[2]:
                best = np.array(chosen), centre, radius
    return best


def _circumcentre(points: np.ndarray) -> np.ndarray:
    """(3,) of the points in their common plane, line or space, the one equally far from all."""
    sides = points[1:] - points[0]
    shift, *_ = np.linalg.lstsq(2 * sides, (sides**2).sum(1), rcond=None)
    return points[0] + shift

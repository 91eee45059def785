"""Closed solids: lofts, lathes, sweeps, boxes, cushions, shells.

Every solid is a watertight triangle mesh with shared indices and outward faces. A loft joins
rings of equally many points; all other solids are lofts. Letters: S rings, P points a ring (even),
V vertices, F faces. Lengths are in the caller's unit; x to the object's left, -y front, z up.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from numpy.typing import ArrayLike

_DOME = (0.3, 0.6, 0.85)  # rings of a dome, as shares of the flat side below it
AXES = {"x": (1, 2, 0), "y": (2, 0, 1), "z": (0, 1, 2)}  # (u, v, along) -> rows of (x, y, z)


@dataclass(frozen=True)
class Solid:
    """A closed triangle mesh; `bands` tells groups of faces apart that may differ in material."""

    vertices: np.ndarray  # (V, 3) float64
    faces: np.ndarray  # (F, 3) int64, counter-clockwise from outside
    bands: np.ndarray  # (F,) int64

    def at(self, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> Solid:
        """The solid moved by (x, y, z)."""
        return replace(self, vertices=self.vertices + np.array([x, y, z]))

    def scaled(self, x: float = 1.0, y: float = 1.0, z: float = 1.0) -> Solid:
        """The solid stretched about the origin by positive factors."""
        return replace(self, vertices=self.vertices * np.array([x, y, z]))

    def bent(self, change: Callable[[np.ndarray], np.ndarray]) -> Solid:
        """The solid with its (V, 3) vertices changed; `change` must keep the inside inside."""
        return replace(self, vertices=change(self.vertices))

    def turned(self, axis: str, angle_deg: float) -> Solid:
        """The solid turned about an axis, counter-clockwise as seen from the axis' tip."""
        u, v, _ = AXES[axis]
        c, s = np.cos(np.radians(angle_deg)), np.sin(np.radians(angle_deg))
        turned = self.vertices.copy()
        turned[:, u] = c * self.vertices[:, u] - s * self.vertices[:, v]
        turned[:, v] = s * self.vertices[:, u] + c * self.vertices[:, v]
        return replace(self, vertices=turned)

    def mirrored(self, axis: int = 0) -> Solid:
        """The mirror image in the plane through the origin across `axis` (0: left and right)."""
        flip = np.ones(3)
        flip[axis] = -1
        return Solid(self.vertices * flip, self.faces[:, ::-1], self.bands)


def loft(
    rings: ArrayLike,
    start: ArrayLike | None = None,
    end: ArrayLike | None = None,
    bands: ArrayLike = 0,
) -> Solid:
    """The solid through (S, P, 3) rings, closed at both ends.

    An end is closed flat by a strip between ring points i and P-1-i (right for convex rings), or by
    a fan to the point that `start` or `end` gives. `bands`, broadcast to (S-1, P), labels the
    quads; a fan takes the labels of the quads beside it, a strip that of the last one of them.
    """
    rings = np.asarray(rings, np.float64)
    count, points = rings.shape[:2]
    tops, quads = _tube_faces(count, points)
    labels = np.broadcast_to(np.asarray(bands), (max(count - 1, 1), points))
    vertices, faces = [rings.reshape(-1, 3)], [quads]
    label = [np.repeat(labels[: count - 1].reshape(-1), 2)]
    size = count * points
    for pole, first, row, sign in ((start, 0, 0, 1), (end, size - points, -1, -1)):
        if pole is None:
            cap, kind = first + tops, np.full(len(tops), labels[row, -1])
        else:
            ring = first + np.arange(points)
            cap = np.stack([np.roll(ring, -1), ring, np.full(points, size)], 1)
            vertices.append(np.asarray(pole, np.float64).reshape(1, 3))
            size, kind = size + 1, labels[row]
        faces.append(cap[:, ::sign])
        label.append(kind)
    return _outward(np.concatenate(vertices), np.concatenate(faces), np.concatenate(label))


@cache
def _tube_faces(count: int, points: int) -> tuple[np.ndarray, np.ndarray]:
    """The faces of a flat end and of the wall of a loft, before their orientation is settled."""
    ring = np.arange(points)
    low = ring + points * np.arange(count - 1)[:, None]
    low_next = np.roll(ring, -1) + points * np.arange(count - 1)[:, None]
    quad = np.stack([low, low_next, low_next + points, low, low_next + points, low + points], -1)
    i = np.arange(points // 2 - 1)
    strip = np.stack([i, points - 1 - i, points - 2 - i, i, points - 2 - i, i + 1], -1)
    return strip.reshape(-1, 3), quad.reshape(-1, 3)


def _outward(vertices: np.ndarray, faces: np.ndarray, bands: np.ndarray) -> Solid:
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    if np.einsum("ij,ij->", a, np.cross(b, c)) < 0:  # six times the signed volume
        faces = faces[:, ::-1]
    return Solid(vertices, faces, bands)


@cache
def circle(points: int) -> np.ndarray:
    """(points, 2) points of the unit circle, counter-clockwise, half a step off the first axis."""
    angle = (np.arange(points) + 0.5) * (2 * np.pi / points)
    points_of_circle = np.stack([np.cos(angle), np.sin(angle)], -1)
    points_of_circle.setflags(write=False)  # it is cached
    return points_of_circle


def rounded_rectangle(half: tuple[float, float], radius: float, steps: int) -> np.ndarray:
    """(4 * (steps + 1), 2) points of a centred rectangle with round corners, counter-clockwise."""
    radius = max(radius, 1e-3 * min(half))  # a corner of several points needs some room
    radius = min(radius, 0.999 * min(half))
    angle = np.linspace(0, np.pi / 2, steps + 1) + np.arange(4)[:, None] * (np.pi / 2)
    arc = radius * np.stack([np.cos(angle), np.sin(angle)], -1)  # (4, steps + 1, 2)
    signs = np.array([[1, 1], [-1, 1], [-1, -1], [1, -1]])
    return (arc + (signs * (np.array(half) - radius))[:, None]).reshape(-1, 2)


def box(low: ArrayLike, high: ArrayLike) -> Solid:
    """The box between two corners, sharp edges."""
    low, high = np.asarray(low, np.float64), np.asarray(high, np.float64)
    corner = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], bool)
    ring = np.where(corner, high[:2], low[:2])
    return loft([np.column_stack([ring, np.full(4, z)]) for z in (low[2], high[2])])


def prism(outline: ArrayLike, low: float, high: float, axis: str = "z") -> Solid:
    """The (P, 2) outline, convex, extruded from `low` to `high` along `axis`.

    The outline's two coordinates are (x, y) for z, (y, z) for x and (z, x) for y.
    """
    outline = np.asarray(outline, np.float64)
    rings = np.stack([np.column_stack([outline, np.full(len(outline), h)]) for h in (low, high)])
    return _along(loft(rings), axis)


def lathe(profile: ArrayLike, points: int, axis: str = "z", bands: ArrayLike = 0) -> Solid:
    """The solid of revolution of an (S, 2) profile of (radius, position along the axis).

    A radius of zero at an end closes it by a point, anything else by a disc. `bands` labels the
    S-1 pieces of the profile.
    """
    profile = np.asarray(profile, np.float64)
    labels = np.broadcast_to(np.asarray(bands), len(profile) - 1)
    poles = [np.array([0, 0, h]) if radius == 0 else None for radius, h in profile[[0, -1]]]
    keep = slice(poles[0] is not None, len(profile) - (poles[1] is not None))
    ring = profile[keep, :1, None] * circle(points)  # (S, P, 2)
    along = np.broadcast_to(profile[keep, 1, None, None], (*ring.shape[:2], 1))
    solid = loft(np.concatenate([ring, along], -1), poles[0], poles[1])
    # The wall takes the inner labels; the ends, the first and the last one where there are points.
    wall = np.repeat(labels[keep.start : keep.stop - 1], 2 * points)
    ends = [
        np.full(points if pole is not None else points - 2, label)
        for pole, label in zip(poles, labels[[0, -1]])
    ]
    return _along(replace(solid, bands=np.concatenate([wall, *ends])), axis)


def _along(solid: Solid, axis: str) -> Solid:
    """The solid built along z, laid along another axis (a cyclic change of axes, no mirroring)."""
    u, v, w = AXES[axis]
    placed = np.empty_like(solid.vertices)
    placed[:, [u, v, w]] = solid.vertices
    return replace(solid, vertices=placed)


def ellipsoid(radii: ArrayLike, points: int, axis: str = "z") -> Solid:
    """The ellipsoid of three radii about the origin, its poles on `axis`."""
    angle = np.linspace(0, np.pi, points // 2 + 1)
    profile = np.stack([np.sin(angle), -np.cos(angle)], -1)
    profile[[0, -1], 0] = 0
    x, y, z = np.asarray(radii, np.float64)
    return lathe(profile, points, axis).scaled(x, y, z)


def sweep(
    path: ArrayLike, section: ArrayLike, side: ArrayLike = (1, 0, 0), scale: ArrayLike = 1.0
) -> Solid:
    """A (P, 2) section carried along an (S, 3) path, without twist.

    The section's first axis starts out as the part of `side` across the path, its second as
    tangent x first; `scale` (broadcast to S) shrinks or widens it on the way.
    """
    path = np.asarray(path, np.float64)
    section = np.asarray(section, np.float64)
    tangent = np.gradient(path, axis=0)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    first = np.empty_like(path)
    across = np.asarray(side, np.float64)
    for i, t in enumerate(tangent):  # each frame is the last one, made square to the path again
        across = across - (across @ t) * t
        across = across / np.sqrt(across @ across)
        first[i] = across
    second = np.cross(tangent, first)
    size = np.broadcast_to(np.asarray(scale, np.float64), len(path))[:, None, None] * section
    return loft(path[:, None] + size[..., :1] * first[:, None] + size[..., 1:] * second[:, None])


def tube(path: ArrayLike, radius: ArrayLike, points: int) -> Solid:
    """A round bar along an (S, 3) path; `radius` is one number or one a path point."""
    path = np.asarray(path, np.float64)
    heading = path[-1] - path[0] if len(path) == 2 else path[1] - path[0]
    side = np.eye(3)[np.argmin(np.abs(heading))]
    return sweep(path, circle(points), side, radius)


def bar(low: ArrayLike, high: ArrayLike, size: tuple[float, float], taper: float = 1.0) -> Solid:
    """A straight bar of rectangular section (along x, across) between two points.

    `taper` is the size at `high` over that at `low`.
    """
    a, b = np.array(size) / 2
    section = [[a, b], [-a, b], [-a, -b], [a, -b]]
    path = np.stack([np.asarray(low, np.float64), np.asarray(high, np.float64)])
    side = (0, 1, 0) if np.argmax(np.abs(path[1] - path[0])) == 0 else (1, 0, 0)
    return sweep(path, section, side, [1.0, taper])


def cushion(
    low: ArrayLike,
    high: ArrayLike,
    radius: float,
    crown: tuple[float, float] = (0.0, 0.0),
    steps: int = 3,
    axis: str = "z",
) -> Solid:
    """A box with rounded edges; `crown` domes its low and its high side along `axis` outward.

    `low` and `high` bound the box without the domes.
    """
    order = list(AXES[axis])
    low, high = np.asarray(low, np.float64)[order], np.asarray(high, np.float64)[order]
    half = (high - low) / 2
    radius = min(radius, *(0.9 * half))
    outline = rounded_rectangle((half[0], half[1]), radius, steps)
    solid = slab(outline, (-half[2], half[2]), radius, crown, steps)
    return _along(solid.at(*(low + half)), axis)


def slab(
    outline: ArrayLike,
    span: tuple[float, float],
    radius: float,
    crown: tuple[float, float] = (0.0, 0.0),
    steps: int = 3,
) -> Solid:
    """The (P, 2) outline about the origin, raised from span[0] to span[1] in z, edges rounded.

    `crown` domes the lower and the upper side outward; `radius` is at most half the height.
    """
    outline = np.asarray(outline, np.float64)
    if any(crown):
        outline = _refined(outline, 4)
    half = np.abs(outline).max(0)
    low, high = span
    turn = np.linspace(0, np.pi / 2, steps + 1)
    inset, rise = radius * (1 - np.sin(turn)), radius * (1 - np.cos(turn))
    edge = [
        np.column_stack([outline * (1 - d / half), np.full(len(outline), r)])
        for d, r in zip(inset, rise)
    ]
    below = [_domed(edge[0], share, -crown[0]) for share in _DOME if crown[0]]
    above = [_domed(edge[0], share, -crown[1]) for share in _DOME if crown[1]]
    lower = np.stack([*below, *edge]) + np.array([0, 0, low])
    upper = np.stack([*above, *edge])[::-1] * np.array([1, 1, -1]) + np.array([0, 0, high])
    rings = np.concatenate([lower, upper])
    if not any(crown):
        return loft(rings)
    return loft(rings, (0, 0, low - crown[0]), (0, 0, high + crown[1]))


def _refined(outline: np.ndarray, pieces: int) -> np.ndarray:
    """The outline with its four longest edges cut into pieces: a dome on it becomes round."""
    after = np.roll(outline, -1, axis=0)
    long = np.argsort(-np.linalg.norm(after - outline, axis=1), kind="stable")[:4]
    count = np.ones(len(outline), int)
    count[long] = pieces
    step = np.concatenate([np.arange(n) / n for n in count])[:, None]
    return np.repeat(outline, count, axis=0) * (1 - step) + np.repeat(after, count, axis=0) * step


def _domed(rim: np.ndarray, share: float, height: float) -> np.ndarray:
    """The rim shrunk by `share` and raised onto a dome over the rim's bounding rectangle."""
    ring = rim * [share, share, 1]
    x, y = (ring[:, :2] / np.abs(rim[:, :2]).max(0)).T
    return ring + np.outer(height * (1 - x**2) * (1 - y**2), [0, 0, 1])


def shell(front: ArrayLike, back: ArrayLike, bands: ArrayLike = 0) -> Solid:
    """The solid between two (S, N, 3) grids of points: curved backs, seats, cloths, wings."""
    front, back = np.asarray(front, np.float64), np.asarray(back, np.float64)
    return loft(np.concatenate([front, back[:, ::-1]], 1), bands=bands)


def repeated(solid: Solid, offsets: ArrayLike) -> Solid:
    """Copies of the solid at (N, 3) offsets, as one part."""
    offsets = np.asarray(offsets, np.float64).reshape(-1, 3)
    size, count = len(solid.vertices), len(offsets)
    vertices = (offsets[:, None] + solid.vertices).reshape(-1, 3)
    faces = (np.arange(count)[:, None, None] * size + solid.faces).reshape(-1, 3)
    return Solid(vertices, faces, np.tile(solid.bands, count))


def joined(solids: list[Solid]) -> Solid:
    """Several solids as one part."""
    starts = np.cumsum([0, *(len(s.vertices) for s in solids)])
    return Solid(
        np.concatenate([s.vertices for s in solids]),
        np.concatenate([s.faces + n for s, n in zip(solids, starts)]),
        np.concatenate([s.bands for s in solids]),
    )

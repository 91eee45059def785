"""What stands below and above the seat of a chair: bases, backs, arms."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from stages.shapes.generate import primitives as make
from stages.shapes.generate.furniture import LegStyle, four, leg
from stages.shapes.generate.model import Model
from stages.shapes.generate.primitives import Solid

if TYPE_CHECKING:
    from stages.shapes.generate.chair import Chair


def add_base(model: Model, p: Chair, detail: int) -> None:
    """Adds what the seat stands on, with the keypoints of the four feet."""
    {"four": _four, "sled": _bent, "cantilever": _bent, "star": _star, "disc": _disc}[p.base](
        model, p, detail
    )


def _feet(model: Model, x: float, front: float, back: float, z: float = 0.0) -> None:
    model.keypoint_pair("leg_lower_{}", (x, front, z))
    model.keypoint_pair("leg_upper_{}", (x, back, z))


def _four(model: Model, p: Chair, detail: int) -> None:
    style = LegStyle(p.leg_size, p.leg_taper, p.leg_section, detail)
    inset = 0.5 * p.leg_size + 0.12 * p.seat_corner * p.seat_width
    x, y = 0.5 * p.seat_width * p.seat_taper - inset, 0.5 * p.seat_depth - inset
    top = p.seat_height - 0.7 * p.seat_thickness
    out = top * np.tan(np.radians(p.splay_deg))
    for sx, sy in four(1, -1, 1):
        leg(model, style, (sx * x, sy * y, top), (sx * (x + out), sy * (y + out), 0), "legs")
    _feet(model, x + out, -y - out, y + out)
    if p.stretchers == "none":
        return
    low = 0.38 * top
    ax, ay = (side + out * (1 - low / top) for side in (x, y))
    thin = LegStyle(0.6 * p.leg_size, 1.0, p.leg_section, detail)
    model.add_pair(thin.bar((ax, -ay, low), (ax, ay, low)), "bars")
    if p.stretchers == "sides":
        model.add(thin.bar((-ax, 0, low), (ax, 0, low)), "bars")
    else:
        for y in (-ay, ay):
            model.add(thin.bar((-ax, y, low), (ax, y, low)), "bars")


def _bent(model: Model, p: Chair, detail: int) -> None:
    """Two bent tubes: closed under the seat (sled), or open behind (cantilever)."""
    r = 0.5 * p.leg_size
    x, y = 0.5 * p.seat_width * p.seat_taper - r, 0.5 * p.seat_depth
    out = 0.6 * p.seat_height * np.tan(np.radians(p.splay_deg))
    top = p.seat_height - p.seat_thickness
    front, back = -y - out, y + out
    corners = [(x, 0.8 * y, top), (x, -y + 0.05, top), (x, front, r), (x, back, r)]
    if p.base == "sled":
        corners = [(x, 0, top), *corners[1:], (x, 0.85 * y, top), (x, 0, top + 0.002)]
    path = _bend(np.array(corners), 0.06, 4 * detail)
    model.add_pair(make.tube(path, r, 10 * detail), "legs")
    model.add(make.tube([(-x, back - 0.02, r), (x, back - 0.02, r)], 0.85 * r, 8 * detail), "legs")
    model.add(make.tube([(-x, -0.4 * y, top), (x, -0.4 * y, top)], 0.85 * r, 8 * detail), "legs")
    glide = make.box((x - 1.2 * r, -0.03, 0), (x + 1.2 * r, 0.03, 0.6 * r))
    for spot in (front + 0.09, back - 0.07):
        model.add_pair(glide.at(y=spot), "dark")
    _feet(model, x, front + 0.09, back - 0.07)


def _bend(corners: np.ndarray, radius: float, steps: int) -> np.ndarray:
    """The path through the corners, each inner one rounded by a quadratic Bezier arc."""
    path = [corners[:1]]
    t = np.linspace(0, 1, steps + 1)[:, None]
    for before, corner, after in zip(corners, corners[1:], corners[2:]):
        ends = []
        for other in (before, after):
            gap = other - corner
            length = np.linalg.norm(gap)
            ends.append(corner + gap * min(radius, 0.45 * length) / length)
        path.append((1 - t) ** 2 * ends[0] + 2 * t * (1 - t) * corner + t**2 * ends[1])
    return np.concatenate([*path, corners[-1:]])


def _star(model: Model, p: Chair, detail: int) -> None:
    """A star of feet on castors under a gas spring."""
    reach = 0.5 * max(p.seat_width, p.seat_depth) * (0.9 + 0.02 * p.splay_deg)
    wheel = 0.026
    turn = -90.0 if p.star_feet == 5 else -45.0
    angles = np.radians(turn + 360.0 / p.star_feet * np.arange(p.star_feet))
    foot = make.bar((0.03, 0, 0.115), (reach, 0, 0.075), (1.1 * p.leg_size, 1.4 * p.leg_size), 0.6)
    castor = make.lathe(
        [(0, -0.022), (0.8 * wheel, -0.022), (wheel, -0.012), (wheel, 0.012), (0.8 * wheel, 0.022), (0, 0.022)],
        12 * detail, "y",
    )  # fmt: skip
    for angle in np.degrees(angles):
        model.add(foot.turned("z", angle), "legs")
        model.add(castor.at(reach, 0, wheel).turned("z", angle), "dark")
    top = p.seat_height - p.seat_thickness
    column = [(0.045, 0.085), (0.045, 0.15), (0.032, 0.16), (0.032, 0.5 * top + 0.09), (0.02, 0.5 * top + 0.1), (0.02, top)]
    model.add(make.lathe(column, 14 * detail, bands=(0, 0, 0, 0, 1)), "dark", "metal")
    plate = 0.3 * p.seat_width
    model.add(make.box((-plate, -plate, top - 0.025), (plate, plate, top + 0.005)), "dark")
    model.keypoint("foot_center", (0, 0, 0.085))
    # The left and right feet before and behind the middle; a fifth foot points to the front.
    spots = [(reach * np.cos(a), reach * np.sin(a)) for a in angles]
    left = sorted((s for s in spots if s[0] > 1e-6), key=lambda s: s[1])
    for spot, name in zip((left[0], left[-1]), ("lower", "upper")):
        model.keypoint_pair(f"leg_{name}_{{}}", (*spot, 0.0))


def _disc(model: Model, p: Chair, detail: int) -> None:
    """A round plate with a column and a foot ring."""
    reach = 0.45 * max(p.seat_width, p.seat_depth) * (1 + 0.012 * p.splay_deg)
    top = p.seat_height - p.seat_thickness
    r = 0.6 * p.leg_size
    plate = [(0, 0), (reach, 0), (reach, 0.012), (0.3 * reach, 0.03), (2 * r, 0.05), (r, 0.1), (r, top - 0.05), (2.6 * r, top), (0, top)]
    model.add(make.lathe(plate, 28 * detail), "metal")
    pad = make.box((-0.32 * p.seat_width,) * 2 + (top - 0.012,), (0.32 * p.seat_width,) * 2 + (top + 0.004,))
    model.add(pad, "dark")
    diagonal = np.sqrt(0.5) * reach
    _feet(model, diagonal, -diagonal, diagonal)
    model.keypoint("foot_center", (0, 0, 0))
    if p.stretchers == "ring":
        turn = np.linspace(-np.pi, 0, 13 * detail)
        ring = np.stack([0.16 * np.cos(turn), 0.1 + 0.2 * np.sin(turn) - 0.1, 0 * turn + 0.36 * top], -1)
        model.add(make.tube(ring, 0.009, 8 * detail), "metal")
        model.add(make.tube([(-0.16, 0, 0.36 * top), (0.16, 0, 0.36 * top)], 0.009, 8 * detail), "metal")


class Back:
    """The back of a chair: a curved, reclined surface, u = -1..1 from right to left, v = 0..1 up."""

    def __init__(self, p: Chair) -> None:
        self.p = p
        self.half = 0.5 * p.seat_width * p.seat_taper * (1 - 0.12 * p.seat_corner) - 0.012
        self.foot = 0.5 * p.seat_depth - 0.03

    def surface(self, u: np.ndarray, v: np.ndarray, forward: np.ndarray | float = 0.0) -> np.ndarray:
        """(..., 3) points; `forward` moves them to the front, metres."""
        p = self.p
        x = u * self.half * (1 + (p.back_taper - 1) * v)
        lean = np.tan(np.radians(p.recline_deg)) * p.back_height
        y = self.foot + lean * np.clip(v, 0, None) ** 1.3 - p.back_curve * u**2 - forward
        z = p.seat_height - 0.015 + v * p.back_height + p.crest * (1 - u**2) * v
        return np.stack(np.broadcast_arrays(x, y, z), -1)

    def add(self, model: Model, detail: int) -> None:
        """Adds the back and its upper keypoints."""
        p = self.p
        if p.back == "cushion":
            self._cushion(model, detail)
            return
        thick = 0.4 * p.leg_size + 0.008
        if p.back == "panel":
            gap = p.back_gap
            model.add(self._sheet((-1, 1), (gap, 1), thick, detail), "back")
        elif p.back == "ladder":
            edges = np.linspace(0.2, 1.0, p.bars + 1)
            for low, high in zip(edges, edges[1:]):
                model.add(self._sheet((-1, 1), (high - 0.62 * (high - low), high), 0.7 * thick, detail), "bars")
        else:
            model.add(self._sheet((-1, 1), (0.84, 1.0), 1.2 * thick, detail), "bars")
            spots = np.linspace(-0.82, 0.82, p.bars)
            width = 0.5 / p.bars
            v = np.linspace(0, 0.9, 5)
            for u in spots:
                if p.back == "slats":
                    model.add(self._sheet((u - width, u + width), (0, 0.9), 0.6 * thick, 1), "back")
                else:
                    model.add(make.tube(self.surface(u, v), 0.0085, 6 * detail), "back")
        posts = p.back not in ("spindles",) and not (p.back == "panel" and p.back_gap < 0.1)
        if posts:
            v = np.linspace(-0.06, 1.0, 8)
            post = make.tube(self.surface(np.ones(8), v), 0.62 * thick, 8 * detail)
            model.add_pair(post, "frame" if p.base == "four" else "legs")
        self._corners(model, 1.0, 0.0)

    def _corners(self, model: Model, v: float, forward: float) -> None:
        model.keypoint_pair("back_upper_{}", self.surface(np.float64(1), np.float64(v), forward))

    def _sheet(
        self, u: tuple[float, float], v: tuple[float, float], thick: float, detail: int
    ) -> Solid:
        wide = np.linspace(*u, (9 if u[1] - u[0] > 1 else 3) + 4 * (detail - 1))
        tall = np.linspace(*v, (7 if v[1] - v[0] > 0.5 else 3) + 4 * (detail - 1))
        grid = wide[None, :], tall[:, None]
        return make.shell(self.surface(*grid, 0.5 * thick), self.surface(*grid, -0.5 * thick))

    def _cushion(self, model: Model, detail: int) -> None:
        p = self.p
        steps = 12 * detail + 1
        bulge = np.sin(np.linspace(0, np.pi, steps)) ** 0.5  # round edges: half ellipses
        u, v = -np.cos(np.linspace(0, np.pi, steps)), 0.5 - 0.5 * np.cos(np.linspace(0, np.pi, steps))
        low = p.back_gap
        grid = u[None, :], low + (1 - low) * v[:, None]
        thick = (0.03 + 0.35 * p.seat_thickness) * bulge[None, :] * bulge[:, None] + 0.008
        model.add(make.shell(self.surface(*grid, thick), self.surface(*grid, -0.55 * thick)), "back")
        if low > 0.04:
            bar = np.linspace(-0.1, min(low + 0.3, 0.8), 6)
            for u_bar in (0.0,) if p.base in ("star", "disc") else (0.7, -0.7):
                size = 0.02 if p.base in ("star", "disc") else 0.5 * p.leg_size
                model.add(make.tube(self.surface(np.full(6, u_bar), bar, -0.015), size, 8 * detail), "legs")
        self._corners(model, 1.0, 0.0)


def add_arms(model: Model, p: Chair, back: Back, detail: int) -> None:
    """Adds arm rests, with ObjectNet3D's keypoints at their ends."""
    if p.arms == "none":
        return
    height = p.seat_height + p.arm_height
    share = np.float64(min(p.arm_height / p.back_height, 0.9))
    rear = back.surface(np.float64(1), share)
    x = 0.5 * p.seat_width
    front = -0.5 * p.seat_depth
    if p.arms == "box":
        bottom = p.seat_height - 0.9 * p.seat_thickness
        block = make.cushion((x - 0.01, front - 0.01, bottom), (x + p.arm_width, rear[1] + 0.04, height), 0.035)
        model.add_pair(block, "fabric")
        ends = (front + 0.03, rear[1])
        middle, top = x + 0.5 * p.arm_width, height
    elif p.arms == "bar":
        r = 0.45 * p.leg_size
        post = front + 0.25 * p.seat_depth
        path = _bend(np.array([rear, (x + 0.02, front + 0.12, height), (x - 0.5 * r, post, p.seat_height - 0.02)]), 0.05, 4 * detail)
        model.add_pair(make.tube(path, r, 8 * detail), "bars" if p.base == "four" else "legs")
        ends = (front + 0.17, rear[1] - 0.02)
        middle, top = None, height + r
    else:
        inner = x - 0.01
        pad = make.cushion((inner, front + 0.1, height - 0.03), (inner + p.arm_width, 0.38 * p.seat_depth, height), 0.014, steps=2)
        model.add_pair(pad, "dark")
        low = p.seat_height - p.seat_thickness + 0.01
        path = _bend(np.array([(0.5 * x, 0.02, low), (inner + 0.5 * p.arm_width, 0.02, low), (inner + 0.5 * p.arm_width, 0.02, height - 0.01)]), 0.04, 4 * detail)
        model.add_pair(make.tube(path, 0.014, 8 * detail), "legs")
        ends = (front + 0.12, 0.36 * p.seat_depth)
        middle, top = inner + 0.5 * p.arm_width, height
    for y, name in zip(ends, ("front", "back")):
        if middle is None:
            t = (y - rear[1]) / (front + 0.12 - rear[1])
            point = rear + t * (np.array([x + 0.02, front + 0.12, height]) - rear) + [0, 0, 0.45 * p.leg_size]
        else:
            point = np.array([middle, y, top])
        model.keypoint_pair(f"{{}}_handle_{name}", point)

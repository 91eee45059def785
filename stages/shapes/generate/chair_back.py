"""The backs and the arms of chairs."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from stages.shapes.generate import primitives as make
from stages.shapes.generate.furniture import bend
from stages.shapes.generate.model import Model
from stages.shapes.generate.primitives import Solid

if TYPE_CHECKING:
    from stages.shapes.generate.chair import Chair

Value = float | np.ndarray


class Back:
    """The back of a chair: a curved surface; u is -1 right, 1 left, v is 0 below, 1 above."""

    def __init__(self, p: Chair) -> None:
        self.p = p
        self.half = 0.5 * p.seat_width * p.seat_taper * (1 - 0.12 * p.seat_corner) - 0.012
        self.foot = 0.5 * p.seat_depth - 0.03
        self.thick = 0.4 * p.leg_size + 0.008

    def surface(self, u: Value, v: Value, forward: Value = 0.0) -> np.ndarray:
        """(..., 3) points; `forward` moves them to the front, metres."""
        p = self.p
        x = u * self.half * (1 + (p.back_taper - 1) * v)
        lean = np.tan(np.radians(p.recline_deg)) * p.back_height
        y = self.foot + lean * np.clip(v, 0, None) ** 1.3 - p.back_curve * np.square(u) - forward
        z = p.seat_height - 0.015 + v * p.back_height + p.crest * (1 - np.square(u)) * v
        return np.stack(np.broadcast_arrays(x, y, z), -1)

    def add(self, model: Model, detail: int) -> None:
        """Adds the back and its upper keypoints."""
        p, thick = self.p, self.thick
        posts = p.back in ("slats", "ladder") or (p.back == "panel" and p.back_gap >= 0.1)
        if p.back == "cushion":
            self._cushion(model, detail)
        elif p.back == "panel":
            model.add(self._sheet((-1, 1), (p.back_gap, 1), thick, detail), "back")
        elif p.back == "ladder":
            for low, high in pairwise(np.linspace(0.2, 1.0, p.bars + 1).tolist()):
                span = (high - 0.62 * (high - low), high)
                model.add(self._sheet((-1, 1), span, 0.7 * thick, detail), "bars")
        else:
            model.add(self._sheet((-1, 1), (0.84, 1.0), 1.2 * thick, detail), "bars")
            self._uprights(model, detail)
        if posts:
            post = make.tube(
                self.surface(1.0, np.linspace(-0.06, 1.0, 8)), 0.62 * thick, 8 * detail
            )
            model.add_pair(post, "frame" if p.base == "four" else "legs")
        model.keypoint_pair("back_upper_{}", self.surface(1.0, 1.0))

    def _uprights(self, model: Model, detail: int) -> None:
        """Slats or spindles between the seat and the top rail."""
        width = 0.5 / self.p.bars
        for u in np.linspace(-0.82, 0.82, self.p.bars).tolist():
            if self.p.back == "slats":
                bar = self._sheet((u - width, u + width), (0, 0.9), 0.6 * self.thick, 1)
            else:
                bar = make.tube(self.surface(u, np.linspace(0, 0.9, 5)), 0.0085, 6 * detail)
            model.add(bar, "back")

    def _sheet(
        self, u: tuple[float, float], v: tuple[float, float], thick: float, detail: int
    ) -> Solid:
        wide = np.linspace(*u, (9 if u[1] - u[0] > 1 else 3) + 4 * (detail - 1))[None, :]
        tall = np.linspace(*v, (7 if v[1] - v[0] > 0.5 else 3) + 4 * (detail - 1))[:, None]
        front, back = (self.surface(wide, tall, side * thick) for side in (0.5, -0.5))
        return make.shell(front, back)

    def _cushion(self, model: Model, detail: int) -> None:
        p, low = self.p, self.p.back_gap
        turn = np.linspace(0, np.pi, 12 * detail + 1)
        u, v = -np.cos(turn)[None, :], low + (1 - low) * (0.5 - 0.5 * np.cos(turn))[:, None]
        bulge = np.outer(np.sqrt(np.abs(np.sin(turn))), np.sqrt(np.abs(np.sin(turn))))
        thick = (0.03 + 0.35 * p.seat_thickness) * bulge + 0.008
        pad = make.shell(self.surface(u, v, thick), self.surface(u, v, -0.55 * thick))
        model.add(pad, "back")
        if low > 0.04:  # one bar holds the back of a swivel chair, two the others
            swivel = p.base in ("star", "disc")
            height = np.linspace(-0.1, min(low + 0.3, 0.8), 6)
            for at in (0.0,) if swivel else (0.7, -0.7):
                path = self.surface(at, height, -0.015)
                size = 0.02 if swivel else 0.5 * p.leg_size
                model.add(make.tube(path, size, 8 * detail), "legs")


def add_arms(model: Model, p: Chair, back: Back, detail: int) -> None:
    """Adds arm rests, with ObjectNet3D's keypoints at their ends."""
    if p.arms == "none":
        return
    kinds = {"box": _box_arm, "bar": _bar_arm, "pad": _pad_arm}
    rear = back.surface(1.0, min(p.arm_height / p.back_height, 0.9))
    ends = kinds[p.arms](model, p, rear, detail)
    for point, name in zip(ends, ("front", "back")):
        model.keypoint_pair(f"{{}}_handle_{name}", point)


Ends = tuple[tuple[float, float, float] | np.ndarray, tuple[float, float, float] | np.ndarray]


def _box_arm(model: Model, p: Chair, rear: np.ndarray, detail: int) -> Ends:
    x, front, top = 0.5 * p.seat_width, -0.5 * p.seat_depth, p.seat_height + p.arm_height
    low = (x - 0.01, front - 0.01, p.seat_height - 0.9 * p.seat_thickness)
    block = make.cushion(low, (x + p.arm_width, rear[1] + 0.04, top), 0.035)
    model.add_pair(block, "fabric")
    middle = x + 0.5 * p.arm_width
    return (middle, front + 0.03, top), (middle, rear[1], top)


def _bar_arm(model: Model, p: Chair, rear: np.ndarray, detail: int) -> Ends:
    """A bar from the back to the front and down to the seat."""
    x, front, r = 0.5 * p.seat_width, -0.5 * p.seat_depth, 0.45 * p.leg_size
    knee = np.array([x + 0.02, front + 0.12, p.seat_height + p.arm_height])
    foot = (x - 0.5 * r, front + 0.25 * p.seat_depth, p.seat_height - 0.02)
    path = bend(np.stack([rear, knee, np.array(foot)]), 0.05, 4 * detail)
    model.add_pair(make.tube(path, r, 8 * detail), "bars" if p.base == "four" else "legs")
    reach = (knee - rear) / np.linalg.norm(knee - rear)
    above = np.array([0, 0, r])
    return knee - 0.05 * reach + above, rear + 0.02 * reach + above


def _pad_arm(model: Model, p: Chair, rear: np.ndarray, detail: int) -> Ends:
    """A pad on a post that comes from below the seat."""
    x, top = 0.5 * p.seat_width - 0.01, p.seat_height + p.arm_height
    front, back = -0.5 * p.seat_depth + 0.1, 0.38 * p.seat_depth
    pad = make.cushion((x, front, top - 0.03), (x + p.arm_width, back, top), 0.014, steps=2)
    model.add_pair(pad, "dark")
    low, middle = p.seat_height - p.seat_thickness + 0.01, x + 0.5 * p.arm_width
    corners = [(0.5 * x, 0.02, low), (middle, 0.02, low), (middle, 0.02, top - 0.01)]
    path = bend(np.array(corners), 0.04, 4 * detail)
    model.add_pair(make.tube(path, 0.014, 8 * detail), "legs")
    return (middle, front + 0.02, top), (middle, back - 0.02, top)

"""What furniture is made of: legs with feet, drawer fronts, bent bars."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from stages.shapes.generate import primitives as make
from stages.shapes.generate.model import Model
from stages.shapes.generate.primitives import Solid


@dataclass(frozen=True)
class LegStyle:
    """How the legs of a piece of furniture look; lengths in metres."""

    size: float  # thickness at the top
    taper: float  # thickness at the foot over that at the top
    section: str  # "round" or "square"
    detail: int = 1

    def bar(self, top: ArrayLike, foot: ArrayLike) -> Solid:
        """The leg from `top` to `foot`."""
        if self.section == "square":
            return make.bar(top, foot, (self.size, self.size), self.taper)
        path = np.stack([np.asarray(top, np.float64), np.asarray(foot, np.float64)])
        return make.tube(path, 0.5 * self.size * np.array([1, self.taper]), 12 * self.detail)


def leg(model: Model, style: LegStyle, top: ArrayLike, foot: ArrayLike, material: str) -> None:
    """Adds a leg with a dark glide under it; the glide's underside is around `foot`."""
    foot = np.asarray(foot, np.float64)
    radius = 0.42 * style.size * style.taper + 0.004
    glide = make.lathe([(radius, 0), (radius, 0.012)], 10 * style.detail)
    model.add(style.bar(top, foot + np.array([0, 0, 0.008])), material)
    model.add(glide.at(*foot), "dark")


def four(x: float, front: float, back: float) -> list[tuple[float, float]]:
    """The corners (x, y): front left, front right, back left, back right."""
    return [(x, front), (-x, front), (x, back), (-x, back)]


def bend(corners: np.ndarray, radius: float, steps: int) -> np.ndarray:
    """The (S, 3) path through the corners, each inner one rounded by a quadratic Bezier arc."""
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


def rail(start: ArrayLike, end: ArrayLike, size: tuple[float, float]) -> Solid:
    """A straight bar along x or y, `size` = (thickness across, height)."""
    start, end = np.asarray(start, np.float64), np.asarray(end, np.float64)
    low, high = np.minimum(start, end), np.maximum(start, end)
    across = np.array([0.5 * size[0], 0.5 * size[0], 0.5 * size[1]])
    across[np.argmax(high - low)] = 0
    return make.box(low - across, high + across)


def drawers(
    model: Model, low: ArrayLike, high: ArrayLike, count: int, materials: tuple[str, str]
) -> None:
    """Adds `count` drawer fronts, one above the other, on the front of the box low..high."""
    low, high = np.asarray(low, np.float64), np.asarray(high, np.float64)
    step = (high[2] - low[2]) / count
    front = low[1]
    for k in range(count):
        bottom, top = low[2] + k * step + 0.006, low[2] + (k + 1) * step - 0.006
        corners = (low[0] + 0.008, front - 0.012, bottom), (high[0] - 0.008, front + 0.01, top)
        model.add(make.box(*corners), materials[0])
        grip = make.box((-0.05, -0.034, -0.008), (0.05, -0.008, 0.008))
        model.add(grip.at(0.5 * (low[0] + high[0]), front, 0.5 * (bottom + top)), materials[1])

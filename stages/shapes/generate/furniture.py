"""What furniture is made of: legs with feet, drawer fronts, bars around a frame."""

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
        return make.tube([top, foot], 0.5 * self.size * np.array([1, self.taper]), 12 * self.detail)


def leg(model: Model, style: LegStyle, top: ArrayLike, foot: ArrayLike, material: str) -> None:
    """Adds a leg with a dark glide under it; the glide's underside is around `foot`."""
    foot = np.asarray(foot, np.float64)
    radius = 0.42 * style.size * style.taper + 0.004
    glide = make.lathe([(radius, 0), (radius, 0.012)], 10 * style.detail)
    model.add(style.bar(top, foot + [0, 0, 0.008]), material)
    model.add(glide.at(*foot), "dark")


def four(x: float, front: float, back: float) -> list[tuple[float, float]]:
    """The corners (x, y): front left, front right, back left, back right."""
    return [(x, front), (-x, front), (x, back), (-x, back)]


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
    """Adds `count` drawer fronts, one above the other, on the face y = low[1] of the box low..high."""
    low, high = np.asarray(low, np.float64), np.asarray(high, np.float64)
    step = (high[2] - low[2]) / count
    middle = 0.5 * (low[0] + high[0])
    for k in range(count):
        bottom, top = low[2] + k * step + 0.006, low[2] + (k + 1) * step - 0.006
        model.add(
            make.box((low[0] + 0.008, low[1] - 0.012, bottom), (high[0] - 0.008, low[1] + 0.01, top)),
            materials[0],
        )
        grip = make.box((-0.05, -0.034, -0.008), (0.05, -0.008, 0.008))
        model.add(grip.at(middle, low[1], 0.5 * (bottom + top)), materials[1])

"""What airplanes are made of: hull, lifting surfaces, wheel legs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from stages.shapes.generate import primitives as make
from stages.shapes.generate.model import Model
from stages.shapes.generate.primitives import Solid

if TYPE_CHECKING:
    from stages.shapes.generate.airplane import Airplane

_CHORD = np.array([0.0, 0.03, 0.12, 0.28, 0.48, 0.72, 1.0])  # the last piece is the flap
# Half a section from the belly up, in degrees above the side: edges of colours lie on these.
_ANGLES = np.array([-84.0, -62, -40, -20, -4, 6, 15, 27, 44, 64, 84])
_LINE, _BELLY, _REAR, _GLASS = 1, 2, 3, 4


@dataclass(frozen=True)
class Hull:
    """The fuselage: elliptic sections of varying size on a bent axis, t = 0 nose to t = 1 tail."""

    p: Airplane

    def solid(self, detail: int) -> Solid:
        """The hull's faces. Bands: paint, line, belly, rear, glass."""
        p = self.p
        nose = p.nose_length * (1 - np.cos(np.pi / 2 * np.linspace(0.12, 1, 9 * detail)))
        end = 1 - p.tail_length
        trunk, tail = np.linspace(p.nose_length, end, 5), np.linspace(end, 1, 9 * detail)
        panes = self._panes().reshape(-1) if p.cabin == "side" else np.zeros(0)
        t = np.unique(np.round(np.concatenate([nose, trunk, tail, panes]), 4))
        t = np.delete(t, np.flatnonzero(np.diff(t) < 0.0015) + 1)
        half = np.interp(np.linspace(0, 10, 10 * detail + 1), np.arange(11), _ANGLES)
        angle = np.radians(np.concatenate([half, 180 - half[::-1]]))
        size, axis = self._size(t), self._axis(t)
        ring = size[:, None] * np.stack([np.cos(angle), np.sin(angle)], -1)  # (S, P, 2)
        rings = np.stack(
            [ring[..., 0], np.broadcast_to(t[:, None] - 0.5, ring.shape[:2]), ring[..., 1]], -1
        )
        rings[..., 2] *= np.where(rings[..., 2] > 0, self._roof(t)[:, None], 1)
        rings[..., 2] += axis[:, None]
        bands = self._bands(0.5 * (t[1:] + t[:-1])[:, None], np.degrees(_middle(angle)))
        return make.loft(rings, self.axis(0.0), self.axis(1.0), bands)

    def axis(self, t: float) -> np.ndarray:
        """The middle of the section at t."""
        return np.array([0.0, t - 0.5, float(self._axis(np.array([t]))[0])])

    def size(self, t: float) -> tuple[float, float]:
        """(half width, half height) of the section at t."""
        width, height = self._size(np.array([t]))[0]
        return float(width), float(height)

    def top(self, t: float) -> float:
        """The z of the upper line at t."""
        return float(self.axis(t)[2] + self.size(t)[1] * self._roof(np.array([t]))[0])

    def _share(self, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Section size over the largest one, at the nose and at the tail."""
        p = self.p
        blunt = 0.5 if p.engines == "prop1" else 0.0
        u = np.clip(t / p.nose_length, 0, 1)
        nose = blunt + (1 - blunt) * (1 - (1 - u) ** 2) ** p.nose_sharpness
        tip = 0.78 if p.engines == "intakes" else 0.13
        v = np.clip((t - 1 + p.tail_length) / p.tail_length, 0, 1)
        return nose, 1 - (1 - tip) * v**1.6

    def _size(self, t: np.ndarray) -> np.ndarray:
        nose, tail = self._share(t)
        share = 0.5 * self.p.diameter * nose * tail
        return np.stack([share, share * self.p.height_ratio], -1)

    def _axis(self, t: np.ndarray) -> np.ndarray:
        nose, tail = self._share(t)
        height = 0.5 * self.p.diameter * self.p.height_ratio
        return height * (self.p.tail_rise * (1 - tail) - self.p.nose_droop * (1 - nose))

    def _panes(self) -> np.ndarray:
        """(4, 2) first and last t of the windscreen and of three side windows of a small cabin."""
        panes = np.array([(0.0, 0.075), (0.085, 0.135), (0.145, 0.19), (0.2, 0.24)])
        return self.p.nose_length + 0.01 + panes

    def _roof(self, t: np.ndarray) -> np.ndarray:
        """Height of the upper half over the round one: a small cabin stands above the cowling."""
        if self.p.cabin != "side":
            return np.ones_like(t)
        first, last = self._panes()[0]
        return (
            0.6
            + 0.55 * np.clip((t - first) / (last - first), 0, 1)
            - 0.15 * np.clip((t - last) / 0.3, 0, 1)
        )

    def _bands(self, t: np.ndarray, angle_deg: np.ndarray) -> np.ndarray:
        p = self.p
        up = np.where(angle_deg > 90, 180 - angle_deg, angle_deg)
        label = np.zeros(np.broadcast_shapes(t.shape, up.shape), int)
        label[np.broadcast_to((up > -5) & (up < 15), label.shape)] = _LINE
        label[np.broadcast_to(up < -4, label.shape)] = _BELLY
        label[np.broadcast_to(t > 1 - 0.72 * p.tail_length, label.shape)] = _REAR
        u = t / p.nose_length
        if p.cabin == "deck":
            label[(u > 0.3) & (u < 0.5) & (up > 27)] = _GLASS
            label[(u > 0.5) & (u < 0.7) & (up > 27) & (up < 44)] = _GLASS
        elif p.cabin == "side":
            for first, last in self._panes()[1:]:
                label[(t > first) & (t < last) & (up > 15) & (up < 44)] = _GLASS
            first, last = self._panes()[0]
            label[(t > first) & (t < last) & (up > 15)] = _GLASS
        return label


@dataclass(frozen=True)
class Wing:
    """The left wing's planform, for what hangs on it."""

    x: np.ndarray  # stations from the middle to the tip
    lead: np.ndarray  # y of the leading edge
    z: np.ndarray
    chord: np.ndarray

    def at(self, x: float) -> tuple[float, float, float]:
        """(leading edge y, z, chord) at x."""
        lead, z, chord = (float(np.interp(x, self.x, v)) for v in (self.lead, self.z, self.chord))
        return lead, z, chord


def _middle(angle: np.ndarray) -> np.ndarray:
    """The middle angle of each piece of the ring; the last piece closes it below."""
    after = np.append(angle[1:], angle[0] + 2 * np.pi)
    middle = (angle + after) / 2
    return np.where(middle > 1.5 * np.pi, middle - 2 * np.pi, middle)


def lifting_surface(
    stations: ArrayLike, detail: int, flaps: tuple[int, int] = (0, 0), upright: bool = False
) -> Solid:
    """A wing or a fin through (S, 5) stations: (along, leading edge y, height, chord, thickness).

    `along` is x for a wing, z for an upright fin, `height` the other one; thickness is a share of
    the chord. Sections are symmetric NACA 4-digit ones (closed trailing edge) with edges of 0.6 %.
    Bands: 0 skin, 1 flap between the stations numbered `flaps`, 2 leading edge, 3 the last piece.
    """
    along, lead, height, chord, thick = np.asarray(stations, np.float64).T[:, :, None]
    c = np.interp(np.linspace(0, 6, 6 * detail + 1), np.arange(7), _CHORD)
    polynomial = 1.4845 * np.sqrt(c) - 0.63 * c - 1.758 * c**2 + 1.4215 * c**3 - 0.518 * c**4
    rise = chord * np.maximum(thick * polynomial, 0.003)
    y = lead + chord * c
    upper, lower = (
        np.stack([np.broadcast_to(along, y.shape), y, height + sign * rise], -1) for sign in (1, -1)
    )
    if upright:
        upper, lower = upper[..., ::-1], lower[..., ::-1]
    count, points = y.shape
    spot = np.concatenate([c[:-1] + 1e-9, [1.0], c[:-1][::-1] + 1e-9, [0.0]])  # (2N,) of each quad
    bands = np.zeros((count - 1, 2 * points), int)
    bands[-1] = 3
    bands[flaps[0] : flaps[1], (spot > 0.72) | (spot == 1.0)] = 1
    bands[:, spot < 0.03] = 2
    return make.shell(upper, lower, bands)


def wheel_leg(
    model: Model, top: ArrayLike, ground: tuple[float, ...], radius: float, detail: int
) -> None:
    """Adds a strut from `top` to a wheel that stands on the point `ground`."""
    axle = np.array(ground) + np.array([0, 0, radius])
    model.add(make.tube(np.stack([np.asarray(top), axle]), 0.0055, 8 * detail), "metal")
    half = [(0, 0.36), (0.5, 0.36), (0.85, 0.36), (1.0, 0.18)]  # radius, distance to the middle
    profile = np.array([(r, -w) for r, w in half] + half[::-1])
    wheel = make.lathe(radius * profile, 14 * detail, "x", (1, 0, 0, 0, 0, 0, 1))
    model.add(wheel.at(*axle), "tyre", "metal")

"""What airplanes are made of: hull, lifting surfaces, nacelles, propellers, wheel legs."""

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
    solid: Solid

    @classmethod
    def of(cls, p: Airplane, detail: int) -> Hull:
        """The hull with its faces labelled paint, line, belly, rear, glass (bands 0 to 4)."""
        hull = cls(p, None)  # type: ignore[arg-type]
        nose = p.nose_length * (1 - np.cos(np.pi / 2 * np.linspace(0.12, 1, 9 * detail)))
        end = 1 - p.tail_length
        t = np.concatenate(
            [nose, np.linspace(p.nose_length, end, 5), np.linspace(end, 1, 9 * detail)]
        )
        t = np.concatenate([t, *([hull._panes().reshape(-1)] if p.cabin == "side" else [])])
        t = np.unique(np.round(t, 4))
        t = np.delete(t, np.flatnonzero(np.diff(t) < 0.0015) + 1)
        half = np.interp(np.linspace(0, 10, 10 * detail + 1), np.arange(11), _ANGLES)
        angle = np.radians(np.concatenate([half, 180 - half[::-1]]))
        size, axis = hull._size(t), hull._axis(t)
        ring = size[:, None] * np.stack([np.cos(angle), np.sin(angle)], -1)  # (S, P, 2)
        rings = np.stack(
            [ring[..., 0], np.broadcast_to(t[:, None] - 0.5, ring.shape[:2]), ring[..., 1]], -1
        )
        rings[..., 2] *= np.where(rings[..., 2] > 0, hull._roof(t)[:, None], 1)
        rings[..., 2] += axis[:, None]
        bands = hull._bands(0.5 * (t[1:] + t[:-1])[:, None], np.degrees(_middle(angle)))
        return cls(p, make.loft(rings, hull.axis(0.0), hull.axis(1.0), bands))

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
        start = self.p.nose_length + 0.01 + np.array([0.0, 0.085, 0.145, 0.2])
        return np.stack([start, start + [0.075, 0.05, 0.045, 0.04]], -1)

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
    the chord. Sections are symmetric NACA 4-digit ones (closed trailing edge), cut off blunt by 0.3 %.
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


def engine_nacelle(radius: float, detail: int) -> Solid:
    """A jet engine about the y axis, inlet lip at y = 0. Bands: fan, lip, cowl, exhaust."""
    r = radius
    profile = [(0, 0.25 * r), (0.16 * r, 0.45 * r), (0.8 * r, 0.5 * r), (0.84 * r, 0.12 * r), (0.92 * r, 0),
               (1.02 * r, 0.2 * r), (1.08 * r, 1.0 * r), (1.0 * r, 2.4 * r), (0.78 * r, 3.4 * r),
               (0.7 * r, 3.38 * r), (0.5 * r, 3.4 * r), (0, 4.3 * r)]  # fmt: skip
    bands = (0, 0, 0, 1, 1, 2, 2, 2, 3, 3, 3)
    return make.lathe(profile, 16 * detail, "y", bands)


def propeller(
    model: Model, hub: tuple[float, float, float], radius: float, blades: int, detail: int
) -> float:
    """Adds a spinner and its blades in front of `hub`; returns the y of the spinner's tip."""
    x, y, z = hub
    r = 0.17 * radius
    profile = [
        (0, -2.2 * r),
        (0.45 * r, -1.9 * r),
        (0.82 * r, -1.1 * r),
        (r, 0.0),
        (0.9 * r, 0.4 * r),
    ]
    model.add(make.lathe(profile, 12 * detail, "y").at(x, y, z), "accent")
    along = radius * np.array([0.05, 0.3, 0.65, 0.93, 1.0])
    chord = radius * np.array([0.09, 0.17, 0.2, 0.15, 0.06])
    blade = lifting_surface(
        np.stack([along, -0.4 * chord, np.zeros(5), chord, np.full(5, 0.14)], -1), 1
    )
    blade = blade.turned("x", 62.0)  # coarse pitch: the chord stands mostly across the flight
    for k in range(blades):
        turned = blade.turned("y", 360.0 * (k + 0.25) / blades)
        model.add(turned.at(x, y - 0.6 * r, z), *["dark"] * 3, "accent")
    return y - 2.2 * r


def wheel_leg(
    model: Model, top: tuple[float, ...], ground: tuple[float, ...], radius: float, detail: int
) -> None:
    """Adds a strut from `top` to a wheel that stands on the point `ground`."""
    axle = np.array(ground) + [0, 0, radius]
    model.add(make.tube([top, axle], 0.0055, 8 * detail), "metal")
    w = 0.36 * radius
    profile = [(0, -w), (0.5 * radius, -w), (0.85 * radius, -w), (radius, -0.5 * w),
               (radius, 0.5 * w), (0.85 * radius, w), (0.5 * radius, w), (0, w)]  # fmt: skip
    bands = (1, 0, 0, 0, 0, 0, 1)
    model.add(make.lathe(profile, 14 * detail, "x", bands).at(*axle), "tyre", "metal")

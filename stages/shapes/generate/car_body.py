"""The two lofts of a car: the lower body with its wheel arches, and the cabin."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from stages.shapes.generate import primitives as make
from stages.shapes.generate.primitives import Solid

if TYPE_CHECKING:
    from stages.shapes.generate.car import Car

# Half a section of the body from below to above: share of the height, share of the half width.
_RISE = np.array([-0.01, 0.0, 0.05, 0.17, 0.45, 0.66, 0.84, 0.94, 1.0, 1.015])
_WIDTH = np.array([0.5, 0.9, 0.965, 0.99, 1.0, 0.985, 0.955, 0.9, 0.8, 0.4])
OPEN = ("bed", "box")  # the body ends at the load floor behind the cab
_SEAM = 0.018  # metres between two doors
_PAINT, _DARK, _CLADDING, _LAMP, _RED = range(5)


class Body:
    """The lower body of a car: its lines as functions of y, and the solid between them."""

    def __init__(self, p: Car, detail: int) -> None:
        self.p, self.detail = p, detail
        self.front, self.rear = -p.length / 2, p.length / 2
        middle = p.wheel_shift * p.length
        self.axles = (middle - p.wheelbase * p.length / 2, middle + p.wheelbase * p.length / 2)
        self.arch_radius = 1.17 * p.wheel_radius
        self.cowl = self.front + p.hood_length * p.length  # foot of the windscreen
        self.deck = self.rear - p.trunk_length * p.length  # foot of the rear window
        self.floor = max(
            p.clearance + 0.45 * (p.belt - p.clearance), 1.95 * p.wheel_radius
        )  # of a pickup's bed
        self._line = self._upper_line()

    def _upper_line(self) -> tuple[np.ndarray, np.ndarray]:
        p = self.p
        nose, tail = p.belt - p.hood_drop, p.belt - p.trunk_drop
        y = [self.front, self.front + 0.5 * (self.cowl - self.front), self.cowl, self.deck]
        z = [nose, p.belt - 0.42 * p.hood_drop, p.belt, p.belt]
        if p.rear in OPEN:
            return np.array([*y, self.deck + 0.02, self.rear]), np.array(
                [*z, self.floor, self.floor]
            )
        return np.array([*y, self.rear]), np.array([*z, tail])

    def top(self, y: float) -> float:
        """The upper line: hood, belt, trunk, rounded off at both ends."""
        near = min(y - self.front, self.rear - y) / 0.22
        fall = 1 - np.sqrt(1 - (1 - min(max(near, 0.0), 1.0)) ** 2)
        z = float(np.interp(y, *self._line))
        return z - 0.26 * fall * (z - self.p.clearance)

    def sill(self, y: float) -> float:
        """The lower line without the arches; the bumpers are a little higher."""
        near = min(max(min(y - self.front, self.rear - y) / 0.35, 0.0), 1.0)
        return self.p.clearance + 0.05 * (1 - near) ** 2

    def half(self, y: float) -> float:
        """Half the width at y."""
        near = min(max(min(y - self.front, self.rear - y) / (0.2 * self.p.length), 0.0), 1.0)
        return 0.5 * self.p.width * (1 - self.p.rounding * (1 - near) ** 2.6)

    def side(self, y: float, z: float) -> float:
        """The x of the left side at a height."""
        share = (z - self.sill(y)) / (self.top(y) - self.sill(y))
        return self.half(y) * float(np.interp(share, _RISE[1:], _WIDTH[1:]))

    def edge(self, y: float) -> np.ndarray:
        """The shoulder point of the left side at y, where the side turns into the deck."""
        rise = self.sill(y) + _RISE[7] * (self.top(y) - self.sill(y))
        return np.array([_WIDTH[7] * self.half(y), y, rise])

    def _bottom(self, y: float) -> float:
        bottom = self.sill(y)
        for axle in self.axles:
            rest = self.arch_radius**2 - (y - axle) ** 2
            if rest >= -1e-9:
                bottom = max(bottom, self.p.wheel_radius + np.sqrt(max(rest, 0.0)))
        return min(bottom, self.top(y) - 0.06)

    def _stations(self, seams: np.ndarray) -> np.ndarray:
        turn = np.cos(np.linspace(0, np.pi, 13 * self.detail))
        arches = [
            axle + self.arch_radius * np.concatenate([[-1.015], turn, [1.015]])
            for axle in self.axles
        ]
        ends = np.array([0.0, 0.012, 0.04, 0.09, 0.15, 0.22, 0.35])
        fill = np.linspace(self.front, self.rear, 14 * self.detail)
        lines = self._line[0]
        y = np.concatenate(
            [*arches, self.front + ends, self.rear - ends, [self.rear - 0.1], fill, lines]
        )
        y = y[np.abs(y[:, None] - seams - _SEAM / 2).min(1) > 0.02]
        y = np.concatenate([y, seams, seams + _SEAM])
        y = np.unique(np.round(y[(y >= self.front) & (y <= self.rear)], 4))
        keep = np.concatenate([[True], np.diff(y) > 0.004])
        keep[-1] = True
        return y[keep]

    def solid(self, seams: np.ndarray) -> Solid:
        """The lower body, with a dark line at each y of `seams`.

        Bands: paint, dark below, cladding, head lamps, rear lamps.
        """
        ys = self._stations(seams)
        sill, top, bottom, half = (
            np.array([f(y) for y in ys])[:, None]
            for f in (self.sill, self.top, self._bottom, self.half)
        )
        z = bottom + _RISE * (top - bottom)  # (S, 10), below to above
        x = half * np.interp((z - sill) / (top - sill), _RISE[1:-1], _WIDTH[1:-1])
        x[:, 0], x[:, -1] = 0.5 * half[:, 0], _WIDTH[-1] * half[:, 0]
        y = np.broadcast_to(ys[:, None], z.shape)
        left = np.stack([x, y, z], -1)
        rings = np.concatenate([left, left[:, ::-1] * [-1, 1, 1]], 1)  # (S, 20, 3)
        return make.loft(rings, bands=self._bands(ys, seams))

    def _bands(self, ys: np.ndarray, seams: np.ndarray) -> np.ndarray:
        middle = 0.5 * (ys[1:] + ys[:-1])
        half = np.full((len(middle), 10), _PAINT)  # quads of the left side, the last is the deck's
        half[:, 0] = _DARK
        half[:, 1:3] = _CLADDING
        half[np.ix_(middle < self.front + 0.2, [4, 5])] = _LAMP
        half[np.ix_(middle > self.rear - 0.13, [4, 5])] = _RED
        seam = np.abs(middle[:, None] - seams - _SEAM / 2).min(1) < _SEAM / 2
        half[seam, 3:7] = _DARK
        bands = np.concatenate([half, half[:, -2::-1], half[:, :1]], 1)
        bands[[0, -1], -1] = _PAINT  # the flat ends
        return bands

    def underside(self) -> Solid:
        """A dark block between the wheels, so that one cannot see through the arches."""
        p = self.p
        half = 0.5 * p.width - p.wheel_width - 0.06
        low, high = p.clearance + 0.06, min(p.belt - p.hood_drop, self.floor + 0.15) - 0.16
        return make.box(
            (-half, self.front + 0.3, low), (half, self.rear - 0.3, max(high, low + 0.1))
        )


class Cabin:
    """What stands above the belt line: windscreens, side windows, pillars, roof."""

    def __init__(self, body: Body) -> None:
        p = body.p
        self.p, self.body = p, body
        self.roof = p.belt + p.cabin_height
        rakes = np.tan(np.radians([p.windscreen_rake_deg, p.rear_rake_deg])) * p.cabin_height
        room = body.deck - body.cowl - 0.22 * p.length  # the roof keeps a fifth of the length
        rakes = rakes * min(1.0, room / rakes.sum())
        self.foot = (body.cowl, body.deck)
        self.roof_span = (body.cowl + rakes[0], body.deck - rakes[1])
        self.roof_half = 0.5 * p.width * 0.93 * p.tumblehome

    @cached_property
    def _shares(self) -> tuple[np.ndarray, np.ndarray]:
        """Cuts along a side, shares of its length from front to rear, and whether glass follows."""
        p = self.p
        pillar = 0.035
        end = 0.97 if p.trunk_length < 0.05 or p.rear in OPEN else 0.86
        cuts = np.linspace(0.03, end + pillar, p.windows + 1)
        first, last = cuts[:-1], cuts[1:] - pillar
        shares = np.concatenate([[0.0], np.stack([first, last], -1).reshape(-1), [1.0]])
        glass = np.zeros(len(shares) - 1, bool)
        glass[1::2] = True
        if p.rear == "panel":
            glass[3:] = False
        return shares, glass

    @cached_property
    def _rings(self) -> np.ndarray:
        """(levels, P, 3) rings from below the belt to the middle of the roof."""
        p = self.p
        height = p.cabin_height
        belt_half = 0.5 * p.width * 0.945
        rows = []
        levels = [(-0.1, 0.0), (0.035, 0.0), (height - 0.09, 0.0)]  # z above the belt, inset
        levels += [(height - 0.035, 0.008), (height - 0.01, 0.05)]
        for z, inset in levels:
            t = min(z, height - 0.035) / height
            half = belt_half + (self.roof_half - belt_half) * t - inset
            start = self.foot[0] + (self.roof_span[0] - self.foot[0]) * t + 1.4 * inset
            end = self.foot[1] + (self.roof_span[1] - self.foot[1]) * t - 1.4 * inset
            rows.append(self._ring(half, start, end, p.belt + z))
        edge = rows[-1]
        middle = edge.mean(0)
        for share, rise in ((0.7, 0.014), (0.35, 0.024)):
            ring = middle + share * (edge - middle)
            rows.append(ring + np.array([0, 0, rise]))
        return np.stack(rows)

    def _ring(self, half: float, start: float, end: float, z: float) -> np.ndarray:
        corner = min(0.1, 0.12 * (end - start))
        bow = 0.11 * half  # the windscreens are curved in plan
        along = self._shares[0]
        y_side = start + corner + along * (end - start - 2 * corner)
        x_side = half * (1 - 0.06 * (2 * along - 1) ** 2)
        x = np.concatenate([[0.4 * half, 0.84 * half], x_side, [0.82 * half, 0.4 * half]])
        y = np.concatenate([[start - bow, start], y_side, [end, end + 0.7 * bow]])
        left = np.stack([x, y, np.full(len(x), z)], -1)
        return np.concatenate([left, left[::-1] * [-1, 1, 1]])

    def point(self, level: int, place: int) -> np.ndarray:
        """A vertex of the left side; level 1 is below, 2 above the glass; places run rearwards."""
        side = self._rings[level, : self._rings.shape[1] // 2]
        return side[place]

    @property
    def window(self) -> tuple[int, int]:
        """The places where the first side window begins and ends."""
        return 3, 4

    @property
    def doors(self) -> list[float]:
        """The y of the door handles: behind the first one or two windows."""
        count = min(self.p.windows, 2) if self.p.rear != "panel" else 1
        return [float(self.point(1, 4 + 2 * k)[1]) - 0.14 for k in range(count)]

    @property
    def seams(self) -> np.ndarray:
        """The y of the lines between the doors: before the first one, behind each one."""
        ends = [float(self.point(1, 4 + 2 * k)[1]) + 0.02 for k in range(len(self.doors))]
        return np.array([float(self.point(1, 3)[1]) - 0.06, *ends])

    def solid(self) -> Solid:
        """The cabin. Bands: paint below, glass, roof and pillars."""
        rings = self._rings
        back = 2 if self.p.rear == "panel" else 1
        side = [1, 2, *np.where(self._shares[1], 1, 2), 2, back]  # windscreen to rear window
        bands = np.full((len(rings) - 1, rings.shape[1]), 2)
        bands[0] = 0
        bands[1] = [*side, back, *side[::-1], 1]
        middle = rings[-1].mean(0) + np.array([0, 0, 0.005])
        return make.loft(rings, end=middle, bands=bands)

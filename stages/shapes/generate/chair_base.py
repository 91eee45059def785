"""What chairs stand on: four legs, bent tubes, a star on castors, a round plate."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from stages.shapes.generate import primitives as make
from stages.shapes.generate.furniture import LegStyle, bend, four, leg
from stages.shapes.generate.model import Model

if TYPE_CHECKING:
    from stages.shapes.generate.chair import Chair


def add_base(model: Model, p: Chair, detail: int) -> None:
    """Adds what the seat stands on, with the keypoints of four feet (a star may have five)."""
    bases = {"four": _four, "sled": _bent, "cantilever": _bent, "star": _star, "disc": _disc}
    bases[p.base](model, p, detail)


def _feet(model: Model, x: float, front: float, back: float) -> None:
    model.keypoint_pair("leg_lower_{}", (x, front, 0))
    model.keypoint_pair("leg_upper_{}", (x, back, 0))


def _four(model: Model, p: Chair, detail: int) -> None:
    style = LegStyle(p.leg_size, p.leg_taper, p.leg_section, detail)
    inset = 0.5 * p.leg_size + 0.12 * p.seat_corner * p.seat_width
    x, y = 0.5 * p.seat_width * p.seat_taper - inset, 0.5 * p.seat_depth - inset
    top = p.seat_height - 0.7 * p.seat_thickness
    out = top * np.tan(np.radians(p.splay_deg))
    for sx, sy in four(1, -1, 1):
        foot = (sx * (x + out), sy * (y + out), 0)
        leg(model, style, (sx * x, sy * y, top), foot, "legs")
    _feet(model, x + out, -y - out, y + out)
    if p.stretchers == "none":
        return
    low = 0.38 * top
    ax, ay = (side + out * (1 - low / top) for side in (x, y))
    thin = LegStyle(0.6 * p.leg_size, 1.0, p.leg_section, detail)
    model.add_pair(thin.bar((ax, -ay, low), (ax, ay, low)), "bars")
    for across in (0.0,) if p.stretchers == "sides" else (-ay, ay):
        model.add(thin.bar((-ax, across, low), (ax, across, low)), "bars")


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
    path = bend(np.array(corners), 0.06, 4 * detail)
    model.add_pair(make.tube(path, r, 10 * detail), "legs")
    for at, z in ((back - 0.02, r), (-0.4 * y, top)):
        model.add(make.tube([(-x, at, z), (x, at, z)], 0.85 * r, 8 * detail), "legs")
    glide = make.box((x - 1.2 * r, -0.03, 0), (x + 1.2 * r, 0.03, 0.6 * r))
    for spot in (front + 0.09, back - 0.07):
        model.add_pair(glide.at(y=spot), "dark")
    _feet(model, x, front + 0.09, back - 0.07)


def _star(model: Model, p: Chair, detail: int) -> None:
    """A star of feet on castors under a gas spring."""
    reach = 0.5 * max(p.seat_width, p.seat_depth) * (0.9 + 0.02 * p.splay_deg)
    wheel, half = 0.026, 0.022
    turn = -90.0 if p.star_feet == 5 else -45.0
    angles = np.radians(turn + 360.0 / p.star_feet * np.arange(p.star_feet))
    foot = make.bar((0.03, 0, 0.115), (reach, 0, 0.075), (1.1 * p.leg_size, 1.4 * p.leg_size), 0.6)
    tread = [(0, half), (0.8 * wheel, half), (wheel, 0.5 * half)]
    profile = [(radius, -along) for radius, along in tread] + tread[::-1]
    castor = make.lathe(profile, 12 * detail, "y")
    for angle in np.degrees(angles):
        model.add(foot.turned("z", angle), "legs")
        model.add(castor.at(reach, 0, wheel).turned("z", angle), "dark")
    top = p.seat_height - p.seat_thickness
    column = [
        *((0.045, 0.085), (0.045, 0.15), (0.032, 0.16), (0.032, 0.5 * top + 0.09)),
        *((0.02, 0.5 * top + 0.1), (0.02, top)),
    ]
    model.add(make.lathe(column, 14 * detail, bands=(0, 0, 0, 0, 1)), "dark", "metal")
    plate = 0.3 * p.seat_width
    model.add(make.box((-plate, -plate, top - 0.025), (plate, plate, top + 0.005)), "dark")
    model.keypoint("foot_center", (0, 0, 0.085))
    # The left and right feet before and behind the middle; a fifth foot points to the front.
    spots = reach * np.stack([np.cos(angles), np.sin(angles)], -1)
    left = sorted(spots[spots[:, 0] > 1e-6].tolist(), key=lambda spot: spot[1])
    model.keypoint_pair("leg_lower_{}", (*left[0], 0.0))
    model.keypoint_pair("leg_upper_{}", (*left[-1], 0.0))


def _disc(model: Model, p: Chair, detail: int) -> None:
    """A round plate with a column and a foot ring."""
    reach = 0.45 * max(p.seat_width, p.seat_depth) * (1 + 0.012 * p.splay_deg)
    top = p.seat_height - p.seat_thickness
    r = 0.6 * p.leg_size
    profile = [
        *((0, 0), (reach, 0), (reach, 0.012), (0.3 * reach, 0.03), (2 * r, 0.05)),
        *((r, 0.1), (r, top - 0.05), (2.6 * r, top), (0, top)),
    ]
    model.add(make.lathe(profile, 28 * detail), "metal")
    half = 0.32 * p.seat_width
    model.add(make.box((-half, -half, top - 0.012), (half, half, top + 0.004)), "dark")
    diagonal = np.sqrt(0.5) * reach
    _feet(model, diagonal, -diagonal, diagonal)
    model.keypoint("foot_center", (0, 0, 0))
    if p.stretchers == "ring":
        turn, z = np.linspace(-np.pi, 0, 13 * detail), 0.36 * top
        ring = np.stack([0.16 * np.cos(turn), 0.2 * np.sin(turn), np.full(len(turn), z)], -1)
        model.add(make.tube(ring, 0.009, 8 * detail), "metal")
        model.add(make.tube([(-0.16, 0, z), (0.16, 0, z)], 0.009, 8 * detail), "metal")

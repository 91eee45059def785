"""Airplanes: jetliners, business jets, turboprops, light planes, fighters and gliders.

The fuselage is one long, from y = -0.5 (nose) to y = 0.5 (tail). Its length is the unit of every other
length here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stages.shapes.generate import primitives as make
from stages.shapes.generate.airplane_parts import (
    Hull,
    engine_nacelle,
    lifting_surface,
    propeller,
    wheel_leg,
)
from stages.shapes.generate.freedom import Rgb, colour, draw, one_of, real, rgb, shade, whole
from stages.shapes.generate.model import Model

CHORD_SPOT = 0.45  # wing-tip keypoints sit at this share of the tip chord


@dataclass(frozen=True)
class Airplane:
    """The degrees of freedom of an airplane; lengths in fuselage lengths."""

    diameter: float = real(0.08, 0.14)
    height_ratio: float = real(0.95, 1.25)  # fuselage height over width
    nose_length: float = real(0.1, 0.26)
    nose_sharpness: float = real(0.45, 0.8)  # 0.5 is an ellipsoid, 1 nearly a cone
    nose_droop: float = real(0.0, 0.5)  # 1 brings the nose tip to the belly line
    tail_length: float = real(0.28, 0.5)
    tail_rise: float = real(0.2, 0.9)  # 1 keeps the upper line straight to the end
    wing_mount: str = one_of("low", "mid", "high")
    wing_position: float = real(0.36, 0.5)  # leading edge at the root, from the nose
    span: float = real(0.75, 1.25)
    root_chord: float = real(0.14, 0.24)
    taper: float = real(0.25, 0.8)
    kink: float = real(
        0.0, 0.5
    )  # how much longer the root chord is than the straight trailing edge
    sweep_deg: float = real(0.0, 35.0)
    dihedral_deg: float = real(-2.0, 7.0)
    wing_thickness: float = real(0.1, 0.15)
    winglet: float = real(0.0, 0.05)
    engines: str = one_of("under2", "under4", "rear2", "prop1", "prop2", "prop4", "intakes", "none")
    engine_size: float = real(0.8, 1.25)
    engine_spot: float = real(0.28, 0.4)  # innermost engine, share of the half span
    blades: int = whole(2, 6)
    tail: str = one_of("conventional", "cruciform", "t")
    fin_height: float = real(0.09, 0.16)
    fin_chord: float = real(0.11, 0.17)
    fin_sweep_deg: float = real(10.0, 45.0)
    tail_span: float = real(0.28, 0.44)
    gear: str = one_of("up", "up", "tricycle", "taildragger")
    cabin: str = one_of("deck", "side", "bubble")
    windows: int = whole(5, 22)
    livery: str = one_of("plain", "line", "belly", "rear")
    paint: Rgb = colour("f4f5f7", "f4f5f7", "e9ecef", "d7dde3", "f3ead7", "bcd4e6")
    accent: Rgb = colour("c0392b", "1f4e9c", "0b7a75", "e67e22", "2c3e50", "7d3c98", "2e8b57")
    metal: Rgb = colour("b8bec5", "9aa3ab", "cfd4d8")


_LIGHT_COLOURS = ("f4f5f7", "ffd65a", "e8572a", "3f7fbf", "f3ead7", "c9303e", "7fb069")
PRIORS: tuple[dict, ...] = (
    {  # jetliner
        "wing_mount": ("low",), "engines": ("under2", "under2", "under4"), "sweep_deg": (24, 36),
        "taper": (0.2, 0.35), "kink": (0.25, 0.55), "span": (0.85, 1.1), "gear": ("up",),
        "cabin": ("deck",), "tail": ("conventional",), "windows": (14, 22), "dihedral_deg": (4, 7),
        "nose_sharpness": (0.45, 0.6), "nose_length": (0.1, 0.16), "height_ratio": (1.0, 1.1),
    },
    {  # business jet
        "wing_mount": ("low",), "engines": ("rear2",), "sweep_deg": (5, 30), "cabin": ("deck",),
        "tail": ("t", "t", "cruciform"), "windows": (5, 8), "span": (0.75, 1.05), "gear": ("up", "tricycle"),
        "nose_length": (0.16, 0.26), "nose_sharpness": (0.5, 0.7), "wing_position": (0.42, 0.5),
    },
    {  # turboprop and transport
        "wing_mount": ("high", "high", "low"), "engines": ("prop2", "prop2", "prop4"), "kink": (0, 0.1),
        "sweep_deg": (0, 6), "taper": (0.45, 0.8), "span": (0.95, 1.25), "winglet": (0.0, 0.02),
        "tail": ("t", "conventional", "cruciform"), "cabin": ("deck",), "blades": (4, 6),
        "dihedral_deg": (0, 4), "fin_sweep_deg": (10, 30), "gear": ("up", "tricycle"),
    },
    {  # light plane
        "engines": ("prop1",), "diameter": (0.12, 0.16), "span": (1.1, 1.5), "sweep_deg": (-1, 4),
        "root_chord": (0.17, 0.24), "taper": (0.55, 1.0), "kink": (0.0, 0.05), "winglet": (0.0, 0.01),
        "cabin": ("side", "side", "bubble"), "gear": ("tricycle", "taildragger"), "blades": (2, 3),
        "tail": ("conventional",), "tail_length": (0.45, 0.58), "fin_sweep_deg": (10, 35),
        "nose_length": (0.16, 0.24), "nose_sharpness": (0.3, 0.5), "paint": _LIGHT_COLOURS,
        "wing_mount": ("low", "high", "high"), "height_ratio": (1.05, 1.3), "wing_position": (0.25, 0.33),
    },
    {  # fighter
        "engines": ("intakes",), "diameter": (0.075, 0.1), "span": (0.5, 0.75), "sweep_deg": (30, 50),
        "root_chord": (0.32, 0.45), "taper": (0.1, 0.3), "kink": (0.0, 0.1), "winglet": (0.0, 0.005),
        "cabin": ("bubble",), "tail": ("conventional",), "nose_length": (0.25, 0.36),
        "nose_sharpness": (0.6, 0.8), "wing_mount": ("mid", "high"), "wing_position": (0.34, 0.45),
        "tail_span": (0.26, 0.36), "fin_sweep_deg": (35, 50), "fin_chord": (0.16, 0.22), "dihedral_deg": (-3, 1),
        "livery": ("plain", "belly", "rear"), "paint": ("8d99a6", "6b7a6a", "a3a58c", "5c6b7a", "b7bec4"),
        "gear": ("up", "tricycle"), "tail_rise": (0.0, 0.2), "wing_thickness": (0.05, 0.07), "tail_length": (0.28, 0.36),
    },
    {  # glider
        "engines": ("none",), "diameter": (0.085, 0.11), "span": (1.7, 2.4), "sweep_deg": (-2, 3),
        "root_chord": (0.1, 0.14), "taper": (0.3, 0.6), "kink": (0.0, 0.05), "cabin": ("bubble",),
        "tail": ("t",), "tail_length": (0.6, 0.7), "wing_mount": ("mid", "high"), "gear": ("up",),
        "nose_length": (0.2, 0.3), "livery": ("plain", "rear"), "paint": ("f4f5f7",), "tail_span": (0.26, 0.34),
        "wing_position": (0.3, 0.38), "fin_sweep_deg": (10, 25), "dihedral_deg": (2, 5), "tail_rise": (0.3, 0.7),
    },
)  # fmt: skip
_CHANCES = (0.28, 0.16, 0.17, 0.19, 0.12, 0.08)


def sample(rng: np.random.Generator) -> Airplane:
    """An airplane of one of the kinds in PRIORS."""
    return draw(Airplane, rng, PRIORS[int(rng.choice(len(PRIORS), p=_CHANCES))])


def build(p: Airplane, detail: int = 1) -> Model:
    """The parts of the airplane; `detail` multiplies the segments of round parts."""
    model = Model(
        {
            "paint": p.paint, "accent": p.accent, "metal": p.metal, "glass": rgb("27343f"),
            "belly": p.accent if p.livery == "belly" else p.paint,
            "line": p.accent if p.livery == "line" else p.paint,
            "rear": p.accent if p.livery == "rear" else p.paint,
            "wing": shade(p.paint, 0.9), "flap": shade(p.metal, 0.92), "dark": rgb("22262a"),
            "tyre": rgb("1d1f21"),
        }
    )  # fmt: skip
    hull = Hull.of(p, detail)
    model.add(hull.solid, "paint", "line", "belly", "rear", "glass")
    model.keypoint("tail", hull.axis(1.0))
    _cabin(model, p, hull, detail)
    wing = _wings(model, p, hull, detail)
    _tail(model, p, hull, detail)
    _engines(model, p, hull, wing, detail)
    _gear(model, p, hull, wing, detail)
    return model


@dataclass(frozen=True)
class _Wing:
    """The left wing's planform, for what hangs on it."""

    x: np.ndarray  # stations from the middle to the tip
    lead: np.ndarray  # y of the leading edge
    z: np.ndarray
    chord: np.ndarray

    def at(self, x: float) -> tuple[float, float, float]:
        """(leading edge y, z, chord) at x."""
        lead, z, chord = (float(np.interp(x, self.x, v)) for v in (self.lead, self.z, self.chord))
        return lead, z, chord


def _wings(model: Model, p: Airplane, hull: Hull, detail: int) -> _Wing:
    half = p.span / 2
    x = half * np.array([0.0, 0.12, 0.36, 0.7, 0.97, 1.0])
    share = x / half
    chord = p.root_chord * (1 + (p.taper - 1) * share)
    lead = p.wing_position - 0.5 + x * np.tan(np.radians(p.sweep_deg))
    lead = lead + 0.25 * (p.root_chord - chord)  # sweep is that of the quarter-chord line
    chord = chord + p.kink * p.root_chord * np.clip(1 - share / 0.36, 0, None) * 0.6
    level = {"low": -0.62, "mid": 0.0, "high": 0.86}[p.wing_mount]
    middle = float(np.clip(p.wing_position + 0.4 * p.root_chord, 0, 1))
    z = hull.axis(middle)[2] + level * hull.size(middle)[1] + x * np.tan(np.radians(p.dihedral_deg))
    lead[-1] += 0.12 * chord[-1]  # a rounded tip
    chord[-1] *= 0.84
    thick = p.wing_thickness * np.array([1.15, 1.1, 0.95, 0.85, 0.8, 0.45])
    wing = _Wing(x, lead, z, chord)
    solid = lifting_surface(np.stack([x, lead, z, chord, thick], -1), detail, flaps=(1, 4))
    tip = "accent" if p.livery == "rear" else "wing"
    model.add_pair(solid, "wing", "flap", "metal", tip)
    model.keypoint_pair("{}_wing", (half, lead[-1] + CHORD_SPOT * chord[-1], z[-1]))
    if p.winglet > 0.015:
        stations = [
            (0, lead[-2] + 0.25 * chord[-2], 0, 0.7 * chord[-2], 0.07),
            (p.winglet, lead[-2] + 0.25 * chord[-2] + 0.8 * p.winglet, 0, 0.3 * chord[-2], 0.07),
        ]
        blade = lifting_surface(stations, detail, upright=True).turned("y", 12.0)
        model.add_pair(blade.at(x=half * 0.985, z=z[-1]), "accent", "accent", "accent", "accent")
    return wing


def _tail(model: Model, p: Airplane, hull: Hull, detail: int) -> None:
    slope = np.tan(np.radians(p.fin_sweep_deg))
    back = 0.485  # trailing edge of the fin's root
    root = back - p.fin_chord
    base, roof = hull.axis(root + 0.5)[2], hull.top(root + 0.5)
    tip_chord = 0.55 * p.fin_chord
    tip_lead, tip = root + slope * p.fin_height, roof + p.fin_height
    bottom = base + 0.3 * (roof - base)
    stations = [
        (bottom, root - 0.12 * p.fin_chord, 0, 1.1 * p.fin_chord, 0.1),
        (roof, root, 0, p.fin_chord, 0.1),
        (roof + 0.93 * p.fin_height, root + 0.93 * slope * p.fin_height, 0, 1.06 * tip_chord, 0.1),
        (tip, tip_lead, 0, tip_chord, 0.07),
    ]
    fin = lifting_surface(stations, detail, flaps=(1, 2), upright=True)
    model.add(fin, "paint" if p.livery == "plain" else "accent", "flap", "metal", "accent")
    model.keypoint("rudder_lower", (0, root, roof))
    model.keypoint("rudder_upper", (0, tip_lead + tip_chord, tip))

    up = {"conventional": 0.0, "cruciform": 0.4, "t": 0.97}[p.tail]
    half, chord = p.tail_span / 2, 0.72 * p.fin_chord
    lead = root + 0.3 * p.fin_chord * (1 - up) + slope * p.fin_height * up - 0.02
    z = (base + 0.25 * (roof - base)) * (1 - (up > 0)) + (roof + up * p.fin_height) * (up > 0)
    x = half * np.array([0.0, 0.15, 0.95, 1.0])
    swept = lead + x * np.tan(np.radians(0.6 * p.sweep_deg + 8))
    chords = chord * np.array([1.0, 0.94, 0.55, 0.46])
    stations = np.stack([x, swept, np.full(4, z), chords, [0.1, 0.1, 0.09, 0.06]], -1)
    model.add_pair(lifting_surface(stations, detail, flaps=(1, 2)), "wing", "flap", "metal", "wing")
    model.keypoint_pair("{}_elevator", (half, swept[-1] + CHORD_SPOT * chords[-1], z))


def _cabin(model: Model, p: Airplane, hull: Hull, detail: int) -> None:
    if p.cabin == "bubble":
        centre = p.nose_length + 0.06
        half_width, half_height = hull.size(centre)
        dome = make.ellipsoid((0.72 * half_width, 0.1, 0.95 * half_height), 16 * detail, "y")
        model.add(dome.at(*hull.axis(centre)).at(z=0.42 * half_height), "glass")
        return
    first, last = p.nose_length + 0.05, 1 - p.tail_length - 0.01
    if p.cabin == "side":
        return  # its windows are faces of the hull
    spots = np.linspace(first, last, p.windows)
    half_width, half_height = hull.size(0.5 * (first + last))
    size = min(0.34 * (last - first) / p.windows, 0.14 * half_height)
    pane = make.cushion(
        (-0.01, -size, -1.3 * size), (0.0, size, 1.3 * size), size, steps=2, axis="x"
    )
    z = hull.axis(0.5)[2] + 0.2 * half_height
    x = half_width * 0.985 + 0.0022
    model.add_pair(make.repeated(pane, [(x, s - 0.5, z) for s in spots]), "glass")


def _engines(model: Model, p: Airplane, hull: Hull, wing: _Wing, detail: int) -> None:
    half, size = p.span / 2, p.engine_size
    nose = hull.axis(0.0)
    if p.engines == "prop1":
        tip = propeller(model, (0, -0.5, nose[2]), 0.115 * size, p.blades, detail)
        nose = np.array([0, tip, nose[2]])
    model.keypoint("noselanding", nose)
    spots = [p.engine_spot] if p.engines[-1] == "2" else [p.engine_spot, p.engine_spot + 0.27]
    if p.engines in ("under2", "under4"):
        radius = (0.036 if p.engines == "under2" else 0.029) * size
        for spot in spots:
            lead, z, chord = wing.at(spot * half)
            middle = (spot * half, lead - 1.7 * radius, z - 1.25 * radius)
            model.add_pair(engine_nacelle(radius, detail).at(*middle), *_NACELLE)
            top, bottom = z - 0.02 * chord, z - 0.6 * radius
            stations = [
                (bottom, lead - 1.2 * radius, 0, 0.4 * chord + 1.6 * radius, 0.06),
                (top, lead + 0.02 * chord, 0, 0.55 * chord, 0.06),
            ]
            pylon = lifting_surface(stations, detail, upright=True).at(x=spot * half)
            model.add_pair(pylon, *["paint"] * 4)
    elif p.engines == "rear2":
        radius, spot = 0.028 * size, 0.7
        half_width, half_height = hull.size(spot)
        x, z = half_width + 1.35 * radius, hull.axis(spot)[2] + 0.35 * half_height
        model.add_pair(
            engine_nacelle(radius, detail).at(x, spot - 0.5 - 1.5 * radius, z), *_NACELLE
        )
        stations = [
            (0.3 * half_width, spot - 0.5, z, 3 * radius, 0.1),
            (x, spot - 0.5, z, 2.6 * radius, 0.1),
        ]
        model.add_pair(lifting_surface(stations, detail), *["paint"] * 4)
    elif p.engines in ("prop2", "prop4"):
        radius = 0.024 * size
        for spot in spots:
            lead, z, chord = wing.at(spot * half)
            _prop_engine(model, p, (spot * half, lead, z), (radius, chord), detail)
    elif p.engines == "intakes":
        _intakes(model, p, hull, detail)


_NACELLE = ("dark", "metal", "accent", "dark")


def _prop_engine(
    model: Model,
    p: Airplane,
    spot: tuple[float, float, float],
    size: tuple[float, float],
    detail: int,
) -> None:
    x, lead, z = spot
    radius, chord = size
    front = lead - 2.6 * radius
    profile = [(0, front - 0.001), (0.55 * radius, front), (0.9 * radius, front + 0.6 * radius),
               (radius, lead), (0.85 * radius, lead + 0.5 * chord), (0, lead + 1.05 * chord)]  # fmt: skip
    body = make.lathe(profile, 14 * detail, "y").scaled(z=1.15)
    model.add_pair(body.at(x=x, z=z), "paint")
    for side in (x, -x):
        propeller(model, (side, front, z), 0.088 * p.engine_size, p.blades, detail)


def _intakes(model: Model, p: Airplane, hull: Hull, detail: int) -> None:
    start = p.nose_length + 0.12
    half_width, half_height = hull.size(start + 0.1)
    z = hull.axis(start)[2]
    width = 0.55 * half_width * p.engine_size
    rings = []
    for y, grow, inner in ((start, 0.95, 0.5), (start + 0.1, 1.0, 0.4), (0.9, 0.7, 0.0)):
        ring = make.rounded_rectangle(
            (width * grow, 0.62 * half_height * grow), 0.4 * width * grow, 3 * detail
        )
        x = half_width * (0.78 + 0.22 * inner) + 0.4 * width
        rings.append(np.column_stack([ring[:, 0] + x, np.full(len(ring), y - 0.5), ring[:, 1] + z]))
    lip = np.array(rings[0])
    throat = lip.mean(0) + 0.82 * (lip - lip.mean(0)) + [0, 0.0005, 0]
    inside = throat + [0, 0.03, 0]
    bands = np.array([1, 1, 0, 0])[:, None]
    model.add_pair(make.loft([inside, throat, *rings], bands=bands), "paint", "dark")
    half_width, half_height = hull.size(0.985)
    radius = 0.5 * (half_width + half_height)
    profile = [
        (0, 0.47),
        (0.75 * radius, 0.47),
        (0.8 * radius, 0.515),
        (0.95 * radius, 0.515),
        (1.1 * radius, 0.44),
        (0, 0.43),
    ]
    model.add(
        make.lathe(profile, 16 * detail, "y", (0, 0, 1, 1, 1)).at(z=hull.axis(1.0)[2]),
        "dark",
        "metal",
    )
    model.keypoint("tail", (0.8 * radius, 0.515, hull.axis(1.0)[2]))


def _gear(model: Model, p: Airplane, hull: Hull, wing: _Wing, detail: int) -> None:
    if p.gear == "up":
        return
    drop = {"low": 0.05, "mid": 0.07, "high": 0.085}[p.wing_mount] * (
        1.25 if p.engines[:4] == "prop" else 1
    )
    share = 0.4 if p.gear == "tricycle" else 0.12
    lead, _, chord = wing.at(0.1 * p.span)
    mains = lead + share * chord
    half_width, half_height = hull.size(mains + 0.5)
    belly = hull.axis(mains + 0.5)[2] - half_height
    ground = belly - drop
    x = max(0.9 * half_width + 0.04, 0.06)
    top = (0.5 * half_width, mains, belly + 0.4 * half_height)
    for side in (1, -1):
        wheel_leg(model, (side * top[0], *top[1:]), (side * x, mains, ground), 0.022, detail)
    spot = 0.5 * p.nose_length + 0.03 if p.gear == "tricycle" else 0.96
    radius = 0.018 if p.gear == "tricycle" else 0.011
    z = hull.axis(spot)[2]
    low = ground if p.gear == "tricycle" else z - hull.size(spot)[1] - 0.03
    wheel_leg(model, (0, spot - 0.5, z), (0, spot - 0.5, low), radius, detail)

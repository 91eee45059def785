"""Airplanes: jetliners, business jets, turboprops, light planes, fighters and gliders.

The fuselage reaches from y = -0.5 (nose) to y = 0.5 (tail): its length is the unit of all lengths.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stages.shapes.generate import primitives as make
from stages.shapes.generate.airplane_engines import add_engines
from stages.shapes.generate.airplane_parts import Hull, Wing, lifting_surface, wheel_leg
from stages.shapes.generate.freedom import colour, draw, draw_kind, one_of, real, rgb, shade, whole
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
    paint: tuple[float, float, float] = colour(
        "f4f5f7", "f4f5f7", "e9ecef", "d7dde3", "f3ead7", "bcd4e6"
    )
    accent: tuple[float, float, float] = colour(
        "c0392b", "1f4e9c", "0b7a75", "e67e22", "2c3e50", "7d3c98", "2e8b57"
    )
    metal: tuple[float, float, float] = colour("b8bec5", "9aa3ab", "cfd4d8")


def sample(rng: np.random.Generator) -> Airplane:
    """An airplane of one of the kinds in kinds.json."""
    return draw(Airplane, rng, draw_kind("airplane", rng))


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
    hull = Hull(p)
    model.add(hull.solid(detail), "paint", "line", "belly", "rear", "glass")
    model.keypoint("tail", hull.axis(1.0))
    _cabin(model, p, hull, detail)
    wing = _wings(model, p, hull, detail)
    _tail(model, p, hull, detail)
    add_engines(model, p, hull, wing, detail)
    _gear(model, p, hull, wing, detail)
    return model


def _wings(model: Model, p: Airplane, hull: Hull, detail: int) -> Wing:
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
    wing = Wing(x, lead, z, chord)
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
    chord, tall = p.fin_chord, p.fin_height
    root = 0.485 - chord  # leading edge of the fin where it leaves the hull
    base, roof = hull.axis(root + 0.5)[2], hull.top(root + 0.5)
    tip_lead, tip_chord = root + slope * tall, 0.55 * chord
    stations = [
        (base + 0.3 * (roof - base), root - 0.12 * chord, 0, 1.1 * chord, 0.1),
        (roof, root, 0, chord, 0.1),
        (roof + 0.93 * tall, root + 0.93 * slope * tall, 0, 1.06 * tip_chord, 0.1),
        (roof + tall, tip_lead, 0, tip_chord, 0.07),
    ]
    fin = lifting_surface(stations, detail, flaps=(1, 2), upright=True)
    model.add(fin, "paint" if p.livery == "plain" else "accent", "flap", "metal", "accent")
    model.keypoint("rudder_lower", (0, root, roof))
    model.keypoint("rudder_upper", (0, tip_lead + tip_chord, roof + tall))

    up = {"conventional": 0.0, "cruciform": 0.4, "t": 0.97}[p.tail]  # share of the fin
    z = roof + up * tall if up else base + 0.25 * (roof - base)
    x = 0.5 * p.tail_span * np.array([0.0, 0.15, 0.95, 1.0])
    lead = root + 0.3 * chord * (1 - up) + slope * tall * up - 0.02
    lead = lead + x * np.tan(np.radians(0.6 * p.sweep_deg + 8))
    chords = 0.72 * chord * np.array([1.0, 0.94, 0.55, 0.46])
    half = np.stack([x, lead, np.full(4, z), chords, [0.1, 0.1, 0.09, 0.06]], -1)
    model.add_pair(lifting_surface(half, detail, flaps=(1, 2)), "wing", "flap", "metal", "wing")
    model.keypoint_pair("{}_elevator", (x[-1], lead[-1] + CHORD_SPOT * chords[-1], z))


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


def _gear(model: Model, p: Airplane, hull: Hull, wing: Wing, detail: int) -> None:
    if p.gear == "up":
        return
    nose = p.gear == "tricycle"
    drop = {"low": 0.05, "mid": 0.07, "high": 0.085}[p.wing_mount]
    drop *= 1.25 if p.engines.startswith("prop") else 1.0  # room for the propellers
    lead, _, chord = wing.at(0.1 * p.span)
    mains = lead + (0.4 if nose else 0.12) * chord
    half_width, half_height = hull.size(mains + 0.5)
    belly = hull.axis(mains + 0.5)[2] - half_height
    x = max(0.9 * half_width + 0.04, 0.06)
    for side in (1, -1):
        top = (side * 0.5 * half_width, mains, belly + 0.4 * half_height)
        wheel_leg(model, top, (side * x, mains, belly - drop), 0.022, detail)
    spot, radius = (0.5 * p.nose_length + 0.03, 0.018) if nose else (0.96, 0.011)
    z = hull.axis(spot)[2]
    low = belly - drop if nose else z - hull.size(spot)[1] - 0.03
    wheel_leg(model, (0, spot - 0.5, z), (0, spot - 0.5, low), radius, detail)

"""Engines of airplanes: under the wings, at the tail, propellers, intakes of fighters."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from stages.shapes.generate import primitives as make
from stages.shapes.generate.airplane_parts import Hull, Wing, lifting_surface
from stages.shapes.generate.model import Model
from stages.shapes.generate.primitives import Solid

if TYPE_CHECKING:
    from stages.shapes.generate.airplane import Airplane

_NACELLE = ("dark", "metal", "accent", "dark")


def add_engines(model: Model, p: Airplane, hull: Hull, wing: Wing, detail: int) -> None:
    """Adds the engines, and the keypoint at the foremost point of the nose or of its spinner."""
    nose = hull.axis(0.0)
    if p.engines == "prop1":
        tip = _propeller(model, (0, -0.5, nose[2]), 0.115 * p.engine_size, p.blades, detail)
        nose = np.array([0, tip, nose[2]])
    model.keypoint("noselanding", nose)
    spots = [p.engine_spot] if p.engines.endswith("2") else [p.engine_spot, p.engine_spot + 0.27]
    for x in 0.5 * p.span * np.array(spots):
        if p.engines in ("under2", "under4"):
            _under_wing(model, p, wing, float(x), detail)
        elif p.engines in ("prop2", "prop4"):
            _on_wing(model, p, wing, float(x), detail)
    if p.engines == "rear2":
        _rear(model, p, hull, detail)
    elif p.engines == "intakes":
        _intakes(model, p, hull, detail)
        _nozzle(model, hull, detail)


def _under_wing(model: Model, p: Airplane, wing: Wing, x: float, detail: int) -> None:
    radius = (0.036 if p.engines == "under2" else 0.029) * p.engine_size
    lead, z, chord = wing.at(x)
    nacelle = _nacelle(radius, detail).at(x, lead - 1.7 * radius, z - 1.25 * radius)
    model.add_pair(nacelle, *_NACELLE)
    stations = [
        (z - 0.6 * radius, lead - 1.2 * radius, 0, 0.4 * chord + 1.6 * radius, 0.06),
        (z - 0.02 * chord, lead + 0.02 * chord, 0, 0.55 * chord, 0.06),
    ]
    pylon = lifting_surface(stations, detail, upright=True)
    model.add_pair(pylon.at(x=x), *["paint"] * 4)


def _rear(model: Model, p: Airplane, hull: Hull, detail: int) -> None:
    radius, spot = 0.028 * p.engine_size, 0.7
    half_width, half_height = hull.size(spot)
    x, z = half_width + 1.35 * radius, hull.axis(spot)[2] + 0.35 * half_height
    model.add_pair(_nacelle(radius, detail).at(x, spot - 0.5 - 1.5 * radius, z), *_NACELLE)
    stations = [
        (0.3 * half_width, spot - 0.5, z, 3 * radius, 0.1),
        (x, spot - 0.5, z, 2.6 * radius, 0.1),
    ]
    model.add_pair(lifting_surface(stations, detail), *["paint"] * 4)


def _nacelle(radius: float, detail: int) -> Solid:
    """A jet engine about the y axis, inlet lip at y = 0. Bands: fan, lip, cowl, exhaust."""
    profile = [
        *((0, 0.25), (0.16, 0.45), (0.8, 0.5), (0.84, 0.12), (0.92, 0), (1.02, 0.2)),
        *((1.08, 1.0), (1.0, 2.4), (0.78, 3.4), (0.7, 3.38), (0.5, 3.4), (0, 4.3)),
    ]
    bands = (0, 0, 0, 1, 1, 2, 2, 2, 3, 3, 3)
    return make.lathe(radius * np.array(profile), 16 * detail, "y", bands)


def _on_wing(model: Model, p: Airplane, wing: Wing, x: float, detail: int) -> None:
    """A propeller engine in a slender nacelle on the leading edge."""
    radius = 0.024 * p.engine_size
    lead, z, chord = wing.at(x)
    front = lead - 2.6 * radius
    profile = [
        *((0, front - 0.001), (0.55 * radius, front), (0.9 * radius, front + 0.6 * radius)),
        *((radius, lead), (0.85 * radius, lead + 0.5 * chord), (0, lead + 1.05 * chord)),
    ]
    body = make.lathe(profile, 14 * detail, "y").scaled(z=1.15)
    model.add_pair(body.at(x=x, z=z), "paint")
    for side in (x, -x):
        _propeller(model, (side, front, z), 0.088 * p.engine_size, p.blades, detail)


def _propeller(
    model: Model, hub: tuple[float, float, float], radius: float, blades: int, detail: int
) -> float:
    """A spinner in front of `hub` and its blades; returns the y of the spinner's tip."""
    x, y, z = hub
    r = 0.17 * radius
    profile = r * np.array([(0, -2.2), (0.45, -1.9), (0.82, -1.1), (1, 0), (0.9, 0.4)])
    model.add(make.lathe(profile, 12 * detail, "y").at(x, y, z), "accent")
    along = radius * np.array([0.05, 0.3, 0.65, 0.93, 1.0])
    chord = radius * np.array([0.09, 0.17, 0.2, 0.15, 0.06])
    stations = np.stack([along, -0.4 * chord, np.zeros(5), chord, np.full(5, 0.14)], -1)
    blade = lifting_surface(stations, 1).turned(
        "x", 62.0
    )  # the chord lies mostly across the flight
    for k in range(blades):
        turned = blade.turned("y", 360.0 * (k + 0.25) / blades)
        model.add(turned.at(x, y - 0.6 * r, z), *["dark"] * 3, "accent")
    return y - 2.2 * r


def _intakes(model: Model, p: Airplane, hull: Hull, detail: int) -> None:
    """Air intakes along both sides of a fighter."""
    start = p.nose_length + 0.12
    half_width, half_height = hull.size(start + 0.1)
    width, z = 0.55 * half_width * p.engine_size, hull.axis(start)[2]
    rings = []
    for y, grow, out in ((start, 0.95, 0.89), (start + 0.1, 1.0, 0.868), (0.9, 0.7, 0.78)):
        size = (width * grow, 0.62 * half_height * grow)
        ring = make.rounded_rectangle(size, 0.4 * width * grow, 3 * detail)
        x = ring[:, 0] + half_width * out + 0.4 * width
        rings.append(np.column_stack([x, np.full(len(ring), y - 0.5), ring[:, 1] + z]))
    middle = rings[0].mean(0)
    throat = middle + 0.82 * (rings[0] - middle) + np.array([0, 0.0005, 0])
    inside = throat + np.array([0, 0.03, 0])
    bands = np.array([1, 1, 0, 0])[:, None]
    model.add_pair(make.loft([inside, throat, *rings], bands=bands), "paint", "dark")


def _nozzle(model: Model, hull: Hull, detail: int) -> None:
    """The exhaust at the end of a fighter's hull; the keypoint of the tail moves to its rim."""
    radius, z = 0.5 * sum(hull.size(0.985)), hull.axis(1.0)[2]
    profile = [
        *((0, 0.47), (0.75 * radius, 0.47), (0.8 * radius, 0.515)),
        *((0.95 * radius, 0.515), (1.1 * radius, 0.44), (0, 0.43)),
    ]
    solid = make.lathe(profile, 16 * detail, "y", (0, 0, 1, 1, 1))
    model.add(solid.at(z=z), "dark", "metal")
    model.keypoint("tail", (0, 0.515, z + 0.87 * radius))

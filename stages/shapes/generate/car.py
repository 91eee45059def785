"""Cars: city cars, hatchbacks, saloons, coupes, estates, off-roaders, vans, pickups.

Metres, standing on z = 0, front at y = -length / 2. The lower body is a loft along y with arches
cut out below; the cabin above the belt line is a loft along z whose faces are glass or paint.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stages.shapes.generate import primitives as make
from stages.shapes.generate.car_body import Body, Cabin
from stages.shapes.generate.car_parts import add_fittings
from stages.shapes.generate.freedom import colour, draw, draw_kind, one_of, real, rgb, shade, whole
from stages.shapes.generate.model import Model

PAINTS = (
    *("b3202a", "1f4e9c", "e8e9eb", "2b2f33", "8f979e", "d9a21b"),
    *("2f6b4f", "c8ccd0", "e06a1c", "6fa3c7", "5b2333"),
)


@dataclass(frozen=True)
class Car:
    """The degrees of freedom of a car; lengths in metres, shares of the length where it says so."""

    length: float = real(3.4, 5.2)
    width: float = real(1.6, 1.95)
    belt: float = real(0.82, 1.05)  # height of the window sills above the ground
    cabin_height: float = real(0.42, 0.6)  # of the roof above the belt
    clearance: float = real(0.15, 0.26)
    hood_length: float = real(0.16, 0.3)  # share of the length, to the foot of the windscreen
    hood_drop: float = real(0.06, 0.24)  # of the hood's front below the belt
    trunk_length: float = real(0.02, 0.2)  # share of the length, behind the foot of the rear window
    trunk_drop: float = real(0.0, 0.08)
    windscreen_rake_deg: float = real(35.0, 62.0)  # from the vertical
    rear_rake_deg: float = real(8.0, 60.0)
    tumblehome: float = real(0.76, 0.9)  # width of the roof over that of the belt
    rounding: float = real(0.08, 0.3)  # of the plan: how much narrower the ends are
    wheelbase: float = real(0.55, 0.63)  # share of the length
    wheel_shift: float = real(-0.025, 0.03)  # share of the length, wheels behind the middle
    wheel_radius: float = real(0.29, 0.36)
    wheel_width: float = real(0.19, 0.26)
    spokes: int = whole(5, 9)
    rear: str = one_of("closed", "closed", "panel", "bed", "box")
    windows: int = whole(1, 3)  # on a side
    box_height: float = real(0.75, 1.25)  # of a truck's box over the cabin's height
    spoiler: str = one_of("none", "none", "lip", "wing")
    rack: bool = one_of(False, False, True)
    cladding: bool = one_of(False, False, True)
    grille: float = real(0.3, 0.62)  # share of the width
    paint: tuple[float, float, float] = colour(*PAINTS)
    roof: str = one_of("paint", "paint", "paint", "contrast")
    rim: tuple[float, float, float] = colour("c9ced3", "9097a0", "4a4f55")


def sample(rng: np.random.Generator) -> Car:
    """A car of one of the kinds in kinds.json."""
    return draw(Car, rng, draw_kind("car", rng))


def build(p: Car, detail: int = 1) -> Model:
    """The parts of the car; `detail` multiplies the segments of round parts."""
    model = Model(
        {
            "paint": p.paint, "dark": rgb("24272b"), "glass": rgb("33424e"), "lamp": rgb("f2f3ea"),
            "roof": shade(p.paint, 0.35) if p.roof == "contrast" else p.paint,
            "cladding": rgb("3c4045") if p.cladding else p.paint, "red": rgb("b01820"),
            "tyre": rgb("1b1c1e"), "load": rgb("e6e7e4"), "rim": p.rim, "chrome": rgb("c3c8cc"),
            "plate": rgb("e9e9e2"),
        }
    )  # fmt: skip
    body = Body(p, detail)
    cabin = Cabin(body)
    model.add(body.solid(cabin.seams), "paint", "dark", "cladding", "lamp", "red")
    model.add(body.underside(), "dark")
    model.add(cabin.solid(), "paint", "glass", "roof")
    _keypoints(model, body, cabin)
    _wheels(model, body, detail)
    _face(model, body, front=True)
    _face(model, body, front=False)
    add_fittings(model, body, cabin, detail)
    return model


def _keypoints(model: Model, body: Body, cabin: Cabin) -> None:
    for level, name in ((1, "lower"), (2, "upper")):
        model.keypoint_pair(name + "_{}_windshield", cabin.point(level, 1))
        model.keypoint_pair(name + "_{}_rearwindow", cabin.point(level, -2))
    first, last = cabin.window
    corners = [cabin.point(level, k) for level in (1, 2) for k in (first, last)]
    model.keypoint_pair("{}_window_center", np.mean(corners, 0))
    model.keypoint_pair("{}_window_up", np.mean(corners[2:], 0))
    model.keypoint_pair("{}_back_trunk", body.edge(body.rear - 0.1))


def _wheels(model: Model, body: Body, detail: int) -> None:
    p = body.p
    r, w = p.wheel_radius, p.wheel_width
    out = 0.5 * p.width * 1.005
    sections = [  # radius, distance from the outer face
        *((0, 1), (0.7, 1), (0.94, 0.95), (1, 0.8), (1, 0.18), (0.95, 0.04), (0.74, 0.01)),
        *((0.7, 0), (0.65, 0.02), (0.62, 0.3), (0.24, 0.26), (0.2, 0.04), (0, 0.02)),
    ]
    profile = [(r * radius, out - w * depth) for radius, depth in sections]
    bands = (1, 0, 0, 0, 0, 0, 1, 1, 1, 2, 1, 1)
    places = [(0, y, r) for y in body.axles]
    wheel = make.lathe(profile, 24 * detail, "x", bands)
    model.add_pair(make.repeated(wheel, places), "tyre", "rim", "dark")
    inner, outer = (out - 0.12 * w, 0, 0.15 * r), (out - 0.1 * w, 0, 0.66 * r)
    spoke = make.bar(inner, outer, (0.16 * w, 0.17 * r), 0.7)
    spokes = [spoke.turned("x", 360.0 * k / p.spokes) for k in range(p.spokes)]
    model.add_pair(make.repeated(make.joined(spokes), places), "rim")
    for y, name in zip(body.axles, ("front", "back")):
        model.keypoint_pair("{}_" + name + "_wheel", (out - 0.02 * w, y, r))
    if p.cladding:
        _arch_trims(model, body, places, detail)


def _arch_trims(
    model: Model, body: Body, places: list[tuple[int, float, float]], detail: int
) -> None:
    angle = np.linspace(-0.35, np.pi + 0.35, 14 * detail)
    ring = (body.arch_radius + 0.015) * np.stack([np.cos(angle), np.sin(angle)], -1)
    path = np.column_stack([np.full(len(ring), 0.497 * body.p.width), ring])
    path = path[path[:, 2] > body.sill(0.0) - body.p.wheel_radius]
    section = np.array([[0.03, 0.03], [-0.03, 0.03], [-0.03, -0.03], [0.03, -0.03]])
    model.add_pair(make.repeated(make.sweep(path, section), places), "cladding")


def _face(model: Model, body: Body, front: bool) -> None:
    """Lamps, grille, bumper and number plate on the flat middle of one end."""
    p = body.p
    y, sign = (body.front, -1) if front else (body.rear, 1)
    half, low = body.half(y), body.sill(y)
    tall = body.top(y) - low

    def panel(x: tuple[float, float], z: tuple[float, float], depth: float) -> make.Solid:
        """x and z as shares of the half width and of the height, `depth` outward in metres."""
        near, far = sorted((y - 0.05 * sign, y + depth * sign))
        corners = (x[0] * half, near, low + z[0] * tall), (x[1] * half, far, low + z[1] * tall)
        return make.cushion(*corners, 0.025, steps=2)

    x, z = (0.66 if front else 0.72, 0.965), (0.45, 0.84)
    model.add_pair(panel(x, z, 0.015), "lamp" if front else "red")
    middle = 0.5 * sum(x) * half, y + 0.015 * sign, low + 0.5 * sum(z) * tall
    model.keypoint_pair("{}_front_light" if front else "{}_back_light", middle)
    model.add(panel((-0.97, 0.97), (0.08, 0.3), 0.035), "cladding" if p.cladding else "dark")
    if front:
        model.add(panel((-p.grille, p.grille), (0.38, 0.86), 0.008), "dark")
        bars = [panel((-p.grille, p.grille), (z, z + 0.04), 0.018) for z in (0.48, 0.6, 0.72)]
        model.add(make.joined(bars), "chrome")
    plate = make.box((-0.22, y - 0.02, 0), (0.22, y + 0.02, 0.1))
    lift, out = (0.12, -0.024) if front else (0.5, 0.0)
    model.add(plate.at(y=out, z=low + lift * tall), "plate")

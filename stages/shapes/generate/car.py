"""Cars: city cars, hatchbacks, saloons, coupes, estates, off-roaders, vans, pickups.

Metres, standing on z = 0, front at y = -length / 2. The lower body is a loft along y with arches cut
out below; the cabin above the belt line is a loft along z whose faces are glass or paint.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stages.shapes.generate import primitives as make
from stages.shapes.generate.car_body import Body, Cabin
from stages.shapes.generate.freedom import Rgb, colour, draw, one_of, real, rgb, shade, whole
from stages.shapes.generate.model import Model


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
    spoiler: str = one_of("none", "none", "lip")
    rack: bool = one_of(False, False, True)
    cladding: bool = one_of(False, False, True)
    grille: float = real(0.3, 0.62)  # share of the width
    paint: Rgb = colour(
        "b3202a",
        "1f4e9c",
        "e8e9eb",
        "2b2f33",
        "8f979e",
        "d9a21b",
        "2f6b4f",
        "c8ccd0",
        "e06a1c",
        "6fa3c7",
        "5b2333",
    )
    roof: str = one_of("paint", "paint", "paint", "contrast")
    rim: Rgb = colour("c9ced3", "9097a0", "4a4f55")


PRIORS: tuple[dict, ...] = (
    {  # saloon
        "length": (4.3, 5.1), "cabin_height": (0.42, 0.5), "hood_length": (0.22, 0.29), "rear": ("closed",),
        "trunk_length": (0.13, 0.19), "rear_rake_deg": (45, 62), "windows": (2, 3), "belt": (0.86, 0.98),
        "spoiler": ("none", "none", "lip", "wing"),
    },
    {  # coupe
        "length": (4.0, 4.7), "cabin_height": (0.28, 0.38), "hood_length": (0.27, 0.36), "rear": ("closed",),
        "trunk_length": (0.04, 0.13), "rear_rake_deg": (58, 68), "windows": (1, 2), "belt": (0.7, 0.84),
        "windscreen_rake_deg": (54, 64), "clearance": (0.11, 0.16), "wheel_radius": (0.31, 0.35), "width": (1.8, 2.1),
        "spoiler": ("none", "lip", "wing"), "rack": (False,), "cladding": (False,), "rounding": (0.16, 0.32),
    },
    {  # city car and hatchback
        "length": (3.0, 4.2), "cabin_height": (0.48, 0.62), "hood_length": (0.13, 0.24), "rear": ("closed",),
        "trunk_length": (0.01, 0.03), "rear_rake_deg": (10, 35), "windows": (1, 2), "wheelbase": (0.59, 0.66),
    },
    {  # microcar
        "length": (2.4, 3.0), "width": (1.45, 1.65), "cabin_height": (0.55, 0.75), "hood_length": (0.06, 0.16),
        "trunk_length": (0.01, 0.03), "rear_rake_deg": (4, 30), "windows": (1, 1), "wheelbase": (0.6, 0.68),
        "wheel_radius": (0.26, 0.3), "rear": ("closed",), "rack": (False,), "windscreen_rake_deg": (28, 48),
        "hood_drop": (0.1, 0.3), "spoiler": ("none",), "rounding": (0.12, 0.3),
    },
    {  # limousine
        "length": (5.8, 7.2), "width": (1.8, 1.95), "cabin_height": (0.42, 0.5), "hood_length": (0.17, 0.22),
        "trunk_length": (0.1, 0.14), "rear_rake_deg": (40, 58), "windows": (3, 4), "wheelbase": (0.62, 0.68),
        "rear": ("closed",), "rack": (False,), "cladding": (False,), "spoiler": ("none",), "rounding": (0.05, 0.14),
        "paint": ("2b2f33", "e8e9eb", "5b2333"), "belt": (0.9, 1.0),
    },
    {  # estate
        "length": (4.4, 5.1), "cabin_height": (0.42, 0.52), "hood_length": (0.21, 0.28), "rear": ("closed",),
        "trunk_length": (0.01, 0.03), "rear_rake_deg": (15, 40), "windows": (3, 3), "rack": (True, False),
    },
    {  # off-roader
        "length": (3.9, 5.0), "cabin_height": (0.58, 0.74), "belt": (1.05, 1.25), "clearance": (0.26, 0.42),
        "wheel_radius": (0.37, 0.46), "hood_length": (0.18, 0.27), "hood_drop": (0.02, 0.1), "width": (1.75, 2.05),
        "rear_rake_deg": (3, 18), "trunk_length": (0.01, 0.03), "windscreen_rake_deg": (12, 42), "rear": ("closed",),
        "cladding": (True, False), "rack": (True, False), "tumblehome": (0.85, 0.95), "windows": (2, 3),
    },
    {  # van
        "length": (4.2, 5.8), "cabin_height": (0.85, 1.35), "belt": (1.0, 1.2), "hood_length": (0.06, 0.15),
        "hood_drop": (0.16, 0.36), "trunk_length": (0.005, 0.02), "rear_rake_deg": (1, 6), "windscreen_rake_deg": (28, 48),
        "tumblehome": (0.86, 0.96), "rear": ("panel", "closed"), "windows": (3, 3), "spoiler": ("none",), "roof": ("paint",),
        "rounding": (0.08, 0.16), "width": (1.75, 2.1), "wheel_radius": (0.31, 0.37), "clearance": (0.18, 0.26),
    },
    {  # pickup
        "length": (4.8, 5.8), "cabin_height": (0.52, 0.68), "belt": (1.08, 1.28), "clearance": (0.26, 0.4),
        "hood_length": (0.22, 0.27), "hood_drop": (0.03, 0.1), "trunk_length": (0.28, 0.42), "rear_rake_deg": (1, 10),
        "windscreen_rake_deg": (30, 50), "rear": ("bed",), "windows": (1, 2), "rack": (False,), "wheel_radius": (0.37, 0.44),
        "width": (1.75, 2.05), "rounding": (0.08, 0.14), "wheelbase": (0.57, 0.63), "spoiler": ("none",),
        "roof": ("paint",),
    },
    {  # delivery truck: a short cab before a box
        "length": (4.6, 6.4), "cabin_height": (0.6, 0.8), "belt": (1.15, 1.35), "clearance": (0.26, 0.42),
        "hood_length": (0.06, 0.16), "hood_drop": (0.1, 0.3), "trunk_length": (0.5, 0.62), "rear_rake_deg": (1, 4),
        "windscreen_rake_deg": (14, 34), "rear": ("box",), "windows": (1, 1), "wheel_radius": (0.34, 0.42), "rack": (False,),
        "width": (1.8, 2.2), "rounding": (0.05, 0.1), "wheelbase": (0.55, 0.62), "spoiler": ("none",), "roof": ("paint",),
    },
)  # fmt: skip
_CHANCES = (0.11, 0.12, 0.09, 0.12, 0.08, 0.06, 0.11, 0.12, 0.1, 0.09)


def sample(rng: np.random.Generator) -> Car:
    """A car of one of the kinds in PRIORS."""
    return draw(Car, rng, PRIORS[int(rng.choice(len(PRIORS), p=_CHANCES))])


def build(p: Car, detail: int = 1) -> Model:
    """The parts of the car; `detail` multiplies the segments of round parts."""
    dark = rgb("24272b")
    model = Model(
        {
            "paint": p.paint, "dark": dark, "glass": rgb("33424e"), "lamp": rgb("f2f3ea"),
            "roof": shade(p.paint, 0.35) if p.roof == "contrast" else p.paint,
            "cladding": rgb("3c4045") if p.cladding else p.paint, "red": rgb("b01820"),
            "tyre": rgb("1b1c1e"), "load": rgb("e6e7e4"), "rim": p.rim, "chrome": rgb("c3c8cc"), "plate": rgb("e9e9e2"),
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
    _fittings(model, body, cabin, detail)
    if p.rear == "bed":
        _bed(model, body, cabin)
    elif p.rear == "box":
        _box(model, body, cabin)
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
    profile = [(0, out - w), (0.7 * r, out - w), (0.94 * r, out - 0.95 * w), (r, out - 0.8 * w),
               (r, out - 0.18 * w), (0.95 * r, out - 0.04 * w), (0.74 * r, out - 0.01 * w), (0.7 * r, out),
               (0.65 * r, out - 0.02 * w), (0.62 * r, out - 0.3 * w), (0.24 * r, out - 0.26 * w),
               (0.2 * r, out - 0.04 * w), (0, out - 0.02 * w)]  # fmt: skip
    bands = (1, 0, 0, 0, 0, 0, 1, 1, 1, 2, 1, 1)
    places = [(0, y, r) for y in body.axles]
    wheel = make.lathe(profile, 24 * detail, "x", bands)
    model.add_pair(make.repeated(wheel, places), "tyre", "rim", "dark")
    spoke = make.bar(
        (out - 0.12 * w, 0, 0.15 * r), (out - 0.1 * w, 0, 0.66 * r), (0.16 * w, 0.17 * r), 0.7
    )
    spokes = [spoke.turned("x", 360.0 * k / p.spokes) for k in range(p.spokes)]
    model.add_pair(make.repeated(make.joined(spokes), places), "rim")
    for y, name in zip(body.axles, ("front", "back")):
        model.keypoint_pair("{}_" + name + "_wheel", (out - 0.02 * w, y, r))
    if p.cladding:
        angle = np.linspace(-0.35, np.pi + 0.35, 14 * detail)
        arch = body.arch_radius + 0.015
        path = np.stack(
            [np.full(len(angle), 0.497 * p.width), arch * np.cos(angle), arch * np.sin(angle)], -1
        )
        path = path[path[:, 2] > body.sill(0.0) - r]
        section = np.array([[0.03, 0.03], [-0.03, 0.03], [-0.03, -0.03], [0.03, -0.03]])
        model.add_pair(make.repeated(make.sweep(path, section), places), "cladding")


def _face(model: Model, body: Body, front: bool) -> None:
    """Lamps, grille, bumper and number plate on the flat middle of one end."""
    p = body.p
    y = body.front if front else body.rear
    sign = -1 if front else 1
    half = body.half(y)
    low, high = body.sill(y), body.top(y)
    tall = high - low

    def panel(x: tuple[float, float], z: tuple[float, float], depth: float) -> make.Solid:
        ys = sorted((y - 0.05 * sign, y + depth * sign))
        return make.cushion(
            (x[0] * half, ys[0], low + z[0] * tall),
            (x[1] * half, ys[1], low + z[1] * tall),
            0.03,
            steps=2,
        )

    lamp = ((0.66, 0.965), (0.45, 0.84)) if front else ((0.72, 0.965), (0.45, 0.84))
    model.add_pair(panel(*lamp, 0.015), "lamp" if front else "red")
    middle = (np.mean(lamp[0]) * half, y + 0.015 * sign, low + np.mean(lamp[1]) * tall)
    model.keypoint_pair("{}_front_light" if front else "{}_back_light", middle)
    bumper = panel((-0.97, 0.97), (0.08, 0.3), 0.035)
    model.add(bumper, "cladding" if p.cladding else "dark")
    if front:
        model.add(panel((-p.grille, p.grille), (0.38, 0.86), 0.008), "dark")
        bars = [panel((-p.grille, p.grille), (z, z + 0.04), 0.018) for z in (0.48, 0.6, 0.72)]
        model.add(make.joined(bars), "chrome")
    plate = make.box((-0.26, y - 0.02, 0), (0.26, y + 0.02, 0.11)).at(
        y=0.03 * sign, z=low + (0.16 if front else 0.4) * tall
    )
    model.add(plate, "plate")


def _fittings(model: Model, body: Body, cabin: Cabin, detail: int) -> None:
    p = body.p
    x, y, z = cabin.point(1, 2)
    mirror = make.cushion((0, -0.05, 0), (0.2, 0.06, 0.14), 0.05, steps=2)
    model.add_pair(mirror.at(x - 0.03, y + 0.12, z + 0.01), "roof")
    first, last = cabin.window
    handle = make.cushion((-0.03, -0.09, -0.015), (0.012, 0.09, 0.015), 0.012, steps=1)
    spots = cabin.doors
    height = body.p.belt - 0.12
    for spot in spots:
        model.add_pair(handle.at(body.side(spot, height), spot, height), "chrome")
    pipe = make.tube([(0.55 * body.half(body.rear), body.rear - 0.2, body.sill(body.rear) + 0.02),
                      (0.55 * body.half(body.rear), body.rear + 0.06, body.sill(body.rear) + 0.02)], 0.035, 10 * detail)  # fmt: skip
    model.add(pipe, "chrome")
    roof = cabin.roof
    if p.rack:
        start, end = cabin.roof_span
        rail_x = 0.78 * cabin.roof_half
        path = [
            (rail_x, start + 0.1, roof - 0.06),
            (rail_x, start + 0.2, roof + 0.035),
            (rail_x, end - 0.2, roof + 0.035),
            (rail_x, end - 0.1, roof - 0.06),
        ]
        model.add_pair(make.tube(path, 0.02, 8 * detail), "dark")
    if p.spoiler != "none":
        _spoiler(model, body, cabin)


def _spoiler(model: Model, body: Body, cabin: Cabin) -> None:
    p = body.p
    notched = p.trunk_length > 0.05 and p.rear == "closed"
    y, z = (
        (body.rear - 0.16, body.top(body.rear - 0.16))
        if notched
        else (cabin.roof_span[1], cabin.roof - 0.03)
    )
    half = 0.78 * body.half(y) if notched else 0.92 * cabin.roof_half
    lift = 0.2 if p.spoiler == "wing" else 0.02
    blade = make.cushion(
        (-half, y - 0.12, z + lift - 0.02), (half, y + 0.16, z + lift + 0.02), 0.018, steps=2
    )
    model.add(blade, "roof" if not notched else "paint")
    if p.spoiler == "wing":
        post = make.box((-0.02, -0.06, -0.06), (0.02, 0.06, lift))
        model.add_pair(post.at(0.7 * half, y, z), "dark")


def _bed(model: Model, body: Body, cabin: Cabin) -> None:
    """The walls and the tailgate of a pickup's bed."""
    p = body.p
    start, end = cabin.foot[1] - 0.03, body.rear - 0.02
    floor, rim = body.floor - 0.06, p.belt - 0.02
    half = 0.5 * p.width * 0.985
    turn = body.axles[1] - body.arch_radius * np.cos(np.linspace(0, np.pi, 15))
    y = np.unique(np.concatenate([[start, start + 0.04, end - 0.04, end], turn]))
    y = y[(y >= start) & (y <= end)]
    arch = np.sqrt(np.clip(body.arch_radius**2 - (y - body.axles[1]) ** 2, 0, None)) + p.wheel_radius
    low = np.maximum(floor, np.where(arch > p.wheel_radius, arch, 0))
    corners = np.array([[0, 0], [1, 0], [1, 0.8], [0.8, 1], [0.2, 1], [0, 0.8]])
    x = half - 0.09 + 0.09 * corners[:, 0] + 0 * y[:, None]
    z = low[:, None] + (rim - low[:, None]) * corners[:, 1]
    z[:, 2:] = rim - 0.018 * np.array([1, 0, 0, 1])
    wall = make.loft(np.stack([x, np.broadcast_to(y[:, None], x.shape), z], -1))
    model.add_pair(wall, "paint")
    housing = [(0, 0), (1, 0), (1, 1), (0, 1)] * np.array([body.arch_radius + 0.004, p.wheel_width + 0.06])
    cover = make.lathe(housing + [0, half - p.wheel_width - 0.1], 24, "x")
    model.add_pair(cover.at(y=body.axles[1], z=p.wheel_radius), "dark")
    gate = make.cushion((-half + 0.02, end - 0.1, floor), (half - 0.02, end + 0.015, rim - 0.01), 0.035, steps=2)
    model.add(gate, "paint")
    lamp = make.cushion((half - 0.16, end - 0.1, floor + 0.04), (half + 0.005, end + 0.03, rim - 0.03), 0.02, steps=2)
    model.add_pair(lamp, "red")
    front = make.cushion((-half + 0.02, start, floor), (half - 0.02, start + 0.08, rim - 0.02), 0.03, steps=2)
    model.add(front, "paint")


def _box(model: Model, body: Body, cabin: Cabin) -> None:
    """The load box of a delivery truck, with a door seam behind and a skirt of lamps."""
    p = body.p
    start, end = cabin.foot[1] + 0.06, body.rear + 0.03
    floor, roof = body.floor + 0.05, p.belt + (0.45 + p.box_height) * p.cabin_height
    half = 0.5 * p.width * 1.03
    load = make.cushion((-half, start, floor), (half, end, roof), 0.05, steps=2)
    model.add(load, "load")
    rail = make.box((-half - 0.01, start + 0.03, floor + 0.02), (half + 0.01, end - 0.03, floor + 0.1))
    model.add(rail, "chrome")
    seam = make.box((-0.012, end - 0.02, floor + 0.05), (0.012, end + 0.01, roof - 0.05))
    model.add(seam, "dark")

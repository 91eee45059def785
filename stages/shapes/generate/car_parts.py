"""What is fitted to the body of a car: mirrors, handles, rails, spoilers, load beds and boxes."""

from __future__ import annotations

import numpy as np

from stages.shapes.generate import primitives as make
from stages.shapes.generate.car_body import Body, Cabin
from stages.shapes.generate.model import Model
from stages.shapes.generate.primitives import Solid


def add_fittings(model: Model, body: Body, cabin: Cabin, detail: int) -> None:
    """Adds all that the car's parameters ask for besides body, cabin, wheels and faces."""
    p = body.p
    _small(model, body, cabin, detail)
    if p.rack:
        start, end = cabin.roof_span
        x, low, high = 0.78 * cabin.roof_half, cabin.roof - 0.06, cabin.roof + 0.035
        path = [
            (x, start + 0.1, low),
            (x, start + 0.2, high),
            (x, end - 0.2, high),
            (x, end - 0.1, low),
        ]
        model.add_pair(make.tube(path, 0.02, 8 * detail), "dark")
    if p.spoiler != "none":
        _spoiler(model, body, cabin)
    if p.rear == "bed":
        _bed(model, body, cabin)
    elif p.rear == "box":
        _box(model, body, cabin)


def _small(model: Model, body: Body, cabin: Cabin, detail: int) -> None:
    """Mirrors, door handles, exhaust pipe."""
    x, y, z = cabin.point(1, 2)
    mirror = make.cushion((0, -0.05, 0), (0.2, 0.06, 0.14), 0.05, steps=2)
    model.add_pair(mirror.at(x - 0.03, y + 0.12, z + 0.01), "roof")
    handle = make.cushion((-0.03, -0.09, -0.015), (0.012, 0.09, 0.015), 0.012, steps=1)
    height = body.p.belt - 0.12
    for spot in cabin.doors:
        model.add_pair(handle.at(body.side(spot, height), spot, height), "chrome")
    x, z = 0.55 * body.half(body.rear), body.sill(body.rear) + 0.02
    pipe = make.tube([(x, body.rear - 0.2, z), (x, body.rear + 0.06, z)], 0.035, 10 * detail)
    model.add(pipe, "chrome")


def _spoiler(model: Model, body: Body, cabin: Cabin) -> None:
    """A lip or a wing on the trunk, or at the end of the roof where there is no trunk."""
    p = body.p
    if p.trunk_length > 0.05 and p.rear == "closed":
        y = body.rear - 0.16
        z, half, material = body.top(y), 0.78 * body.half(y), "paint"
    else:
        y, z = cabin.roof_span[1], cabin.roof - 0.03
        half, material = 0.92 * cabin.roof_half, "roof"
    lift = 0.2 if p.spoiler == "wing" else 0.02
    low, high = (-half, y - 0.12, z + lift - 0.02), (half, y + 0.16, z + lift + 0.02)
    model.add(make.cushion(low, high, 0.018, steps=2), material)
    if p.spoiler == "wing":
        post = make.box((-0.02, -0.06, -0.06), (0.02, 0.06, lift))
        model.add_pair(post.at(0.7 * half, y, z), "dark")


def _bed(model: Model, body: Body, cabin: Cabin) -> None:
    """The walls, the tailgate and the wheel housings of a pickup's bed."""
    p = body.p
    start, end = cabin.foot[1] - 0.03, body.rear - 0.02
    floor, rim = body.floor - 0.06, p.belt - 0.02
    half = 0.5 * p.width * 0.985
    model.add_pair(_bed_wall(body, (start, end), (floor, rim), half), "paint")
    inner, outer = half - p.wheel_width - 0.1, half - 0.04
    radius = body.arch_radius + 0.004
    housing = make.lathe([(0, inner), (radius, inner), (radius, outer), (0, outer)], 24, "x")
    model.add_pair(housing.at(y=body.axles[1], z=p.wheel_radius), "dark")

    def board(x: float, y: tuple[float, float], z: tuple[float, float]) -> Solid:
        return make.cushion((-x, y[0], z[0]), (x, y[1], z[1]), 0.03, steps=2)

    model.add(board(half - 0.02, (end - 0.1, end + 0.015), (floor, rim - 0.01)), "paint")
    model.add(board(half - 0.02, (start, start + 0.08), (floor, rim - 0.02)), "paint")
    low, high = (half - 0.16, end - 0.1, floor + 0.04), (half + 0.005, end + 0.03, rim - 0.03)
    model.add_pair(make.cushion(low, high, 0.02, steps=2), "red")


def _bed_wall(
    body: Body, span: tuple[float, float], height: tuple[float, float], half: float
) -> Solid:
    """The left wall of a bed, cut out over the wheel arch."""
    (start, end), (floor, rim) = span, height
    axle, radius = body.axles[1], body.arch_radius
    turn = axle - radius * np.cos(np.linspace(0, np.pi, 15))
    y = np.unique(np.concatenate([[start, start + 0.04, end - 0.04, end], turn]))
    y = y[(y >= start) & (y <= end)]
    rest = radius**2 - (y - axle) ** 2
    arch = np.where(rest > 0, body.p.wheel_radius + np.sqrt(np.clip(rest, 0, None)), 0)
    low = np.minimum(np.maximum(floor, arch), rim - 0.04)[:, None]
    corners = np.array([[0, 0], [1, 0], [1, 0.8], [0.8, 1], [0.2, 1], [0, 0.8]])
    x = np.broadcast_to(half - 0.09 + 0.09 * corners[:, 0], (len(y), 6))
    z = low + (rim - low) * corners[:, 1]
    z[:, 2:] = rim - 0.018 * np.array([1, 0, 0, 1])
    return make.loft(np.stack([x, np.broadcast_to(y[:, None], x.shape), z], -1))


def _box(model: Model, body: Body, cabin: Cabin) -> None:
    """The load box of a delivery truck, with a rail along its foot and a seam between its doors."""
    p = body.p
    start, end = cabin.foot[1] + 0.06, body.rear + 0.03
    floor, roof = body.floor + 0.05, p.belt + (0.45 + p.box_height) * p.cabin_height
    half = 0.515 * p.width
    model.add(make.cushion((-half, start, floor), (half, end, roof), 0.05, steps=2), "load")
    foot = (-half - 0.01, start + 0.03, floor + 0.02), (half + 0.01, end - 0.03, floor + 0.1)
    model.add(make.box(*foot), "chrome")
    seam = (-0.012, end - 0.02, floor + 0.05), (0.012, end + 0.01, roof - 0.05)
    model.add(make.box(*seam), "dark")

"""Sofas: two- to four-seaters, club chairs, chesterfields, daybeds, sectionals with a chaise.

Metres, standing on z = 0, front at -y, the seats' front edge at y = -depth / 2.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from stages.shapes.generate import primitives as make
from stages.shapes.generate.chair import FABRICS, WOODS
from stages.shapes.generate.freedom import colour, draw, draw_kind, one_of, real, rgb, shade, whole
from stages.shapes.generate.furniture import LegStyle, leg
from stages.shapes.generate.model import LEFT, Model

SIDES = ((LEFT, "left"), (-LEFT, "right"))


@dataclass(frozen=True)
class Sofa:
    """The degrees of freedom of a sofa; lengths in metres."""

    seats: int = whole(1, 4)
    seat_width: float = real(0.52, 0.8)  # of one seat
    depth: float = real(0.75, 1.05)
    seat_height: float = real(0.36, 0.48)
    cushion: float = real(0.1, 0.2)  # thickness of the seat cushions
    crown: float = real(0.0, 0.022)
    leg_height: float = real(0.03, 0.18)
    leg_size: float = real(0.035, 0.08)
    leg_section: str = one_of("round", "square")
    arms: str = one_of("box", "box", "rolled", "slope", "none")
    arm_width: float = real(0.08, 0.28)
    arm_height: float = real(0.12, 0.28)  # above the seat
    back: str = one_of("loose", "loose", "tight", "tufted")
    back_height: float = real(0.32, 0.55)  # above the seat
    back_thickness: float = real(0.14, 0.26)
    recline_deg: float = real(4.0, 18.0)
    crest: float = real(-0.05, 0.12)  # how much the back's middle stands above its corners
    chaise: str = one_of("none", "none", "none", "left", "right")
    chaise_length: float = real(0.45, 0.85)
    pillows: int = whole(0, 3)
    fabric: tuple[float, float, float] = colour(*FABRICS)
    pillow: tuple[float, float, float] = colour(*FABRICS)
    wood: tuple[float, float, float] = colour(*WOODS, "b9bec4", "2c2f33")


def sample(rng: np.random.Generator) -> Sofa:
    """A sofa of one of the kinds in kinds.json."""
    return draw(Sofa, rng, draw_kind("sofa", rng))


@dataclass(frozen=True)
class _Plan:
    """Where things are."""

    inner: float  # half width between the arms
    outer: float  # half width over all
    front: float
    back: float
    deep: float  # y where the back cushions begin
    fronts: dict[float, float]  # front y of the outermost seat on either side, by the sign of x

    @classmethod
    def of(cls, p: Sofa) -> _Plan:
        inner = 0.5 * p.seats * p.seat_width
        outer = inner + (p.arm_width if p.arms != "none" else 0.0)
        front, back = -0.5 * p.depth, 0.5 * p.depth
        chaise = p.chaise if p.seats > 1 else "none"
        fronts = {s: front - (p.chaise_length if chaise == side else 0.0) for s, side in SIDES}
        loose = 0.13 if p.back == "loose" else 0.0
        return cls(inner, outer, front, back, back - p.back_thickness - loose, fronts)


def build(p: Sofa, detail: int = 1) -> Model:
    """The parts of the sofa; `detail` multiplies the segments of round parts."""
    model = Model(
        {
            "fabric": p.fabric, "seat": shade(p.fabric, 1.08), "frame": shade(p.fabric, 0.85),
            "button": shade(p.fabric, 0.6), "pillow": p.pillow, "wood": p.wood,
            "dark": rgb("26282a"),
        }
    )  # fmt: skip
    plan = _Plan.of(p)
    _base(model, p, plan, detail)
    _seats(model, p, plan, detail)
    _back(model, p, plan, detail)
    if p.arms != "none":
        _arms(model, p, plan, detail)
    _pillows(model, p, plan, detail)
    return model


def _base(model: Model, p: Sofa, plan: _Plan, detail: int) -> None:
    top = p.seat_height - 0.9 * p.cushion
    low = (-plan.outer + 0.005, plan.front + 0.02, p.leg_height)
    model.add(make.cushion(low, (plan.outer - 0.005, plan.back, top), 0.02, steps=2), "frame")
    style = LegStyle(p.leg_size, 0.7, p.leg_section, detail)
    inset = 0.6 * p.leg_size + 0.02

    def stand(x: float, y: float) -> tuple[float, float, float]:
        leg(model, style, (x, y, p.leg_height + 0.02), (x, y, 0), "wood")
        return (x, y, 0.0)

    for sign, side in SIDES:
        x, front = sign * (plan.outer - inset), plan.fronts[sign] + inset + 0.02
        model.keypoint(f"front_bottom_{side}", stand(x, front))
        model.keypoint(f"{side}_bottom_back", stand(x, plan.back - inset))
        if plan.fronts[sign] < plan.front:  # the chaise
            inner = sign * (plan.inner - p.seat_width)
            low_x, high_x = sorted((inner, sign * (plan.outer - 0.005)))
            low = (low_x, plan.fronts[sign] + 0.02, p.leg_height)
            model.add(make.cushion(low, (high_x, plan.front + 0.1, top), 0.02, steps=2), "frame")
            stand(inner + sign * inset, front)


def _seats(model: Model, p: Sofa, plan: _Plan, detail: int) -> None:
    radius = min(0.045, 0.4 * p.cushion)
    low, high = p.seat_height - p.cushion, p.seat_height
    fronts = np.full(p.seats, plan.front)
    fronts[0], fronts[-1] = plan.fronts[-1.0], plan.fronts[1.0]  # seats run from -x to +x
    for k, front in enumerate(fronts.tolist()):
        x = -plan.inner + k * p.seat_width
        corner = (x + p.seat_width - 0.003, plan.back - 0.5 * p.back_thickness, high)
        seat = make.cushion((x + 0.003, front, low), corner, radius, (0, p.crown), 3 * detail)
        model.add(seat, "seat")
    for sign, side in SIDES:
        x = sign * (plan.inner - 0.003 - radius)
        model.keypoint(f"seat_bottom_{side}", (x, plan.fronts[sign] + radius, high))
        model.keypoint(f"seat_top_{side}", (x, plan.deep, high))


def _leaning(p: Sofa, plan: _Plan) -> Callable[[np.ndarray], np.ndarray]:
    """Bends (..., 3) points of an upright back: leant, its top raised to the crest."""
    slope = np.tan(np.radians(p.recline_deg))

    def lean(points: np.ndarray) -> np.ndarray:
        x, y, z = np.moveaxis(points, -1, 0)
        share = np.clip((z - p.seat_height) / p.back_height, 0, None)
        z = z + p.crest * (1 - (x / plan.inner) ** 2) * share**2
        return np.stack([x, y + slope * np.clip(z - p.seat_height, -0.2, None), z], -1)

    return lean


def _back(model: Model, p: Sofa, plan: _Plan, detail: int) -> None:
    lean = _leaning(p, plan)
    low, top = p.leg_height + 0.05, p.seat_height + p.back_height
    half = plan.inner + (0.0 if p.arms == "none" else 0.3 * p.arm_width)
    size = (0.5 * p.back_thickness, 0.5 * (top - low))
    outline = make.rounded_rectangle(size, min(0.06, 0.4 * p.back_thickness), 3 * detail)
    middle = np.array([plan.back - size[0], 0.5 * (top + low)])
    x = half * np.sin(np.linspace(-0.5, 0.5, 9 * detail) * np.pi)  # cut so that a crest can bend it
    shrink = np.ones(len(x))
    shrink[[0, -1]] = 0.93
    rings = np.stack(
        [
            np.column_stack([np.full(len(outline), a), s * outline + middle])
            for a, s in zip(x, shrink)
        ]
    )
    model.add(make.loft(rings).bent(lean), "fabric")
    for sign, side in SIDES:
        corner = np.array([sign * 0.9 * half, middle[0], top])
        model.keypoint(f"top_{side}_corner", lean(corner))
    if p.back == "loose":
        for k in range(p.seats):
            left = -plan.inner + k * p.seat_width + 0.004
            first = (left, plan.deep, p.seat_height - 0.01)
            last = (left + p.seat_width - 0.008, plan.deep + 0.15, top + 0.01)
            pad = make.cushion(first, last, 0.05, (0.03, 0.0), 3 * detail, axis="y")
            model.add(pad.bent(lean), "seat")
    elif p.back == "tufted":
        _buttons(model, p, plan)


def _buttons(model: Model, p: Sofa, plan: _Plan) -> None:
    """Three rows of buttons, every other one shifted by half a step."""
    columns = np.linspace(-0.86, 0.86, 3 * p.seats + 1) * plan.inner
    between = columns[:-1] + 0.5 * (columns[1] - columns[0])
    rows = p.seat_height + p.back_height * np.array([0.3, 0.55, 0.8])
    spots = [(x, plan.deep, z) for xs, z in zip((between, columns, between), rows) for x in xs]
    button = make.ellipsoid((0.02, 0.016, 0.02), 8, "y")
    model.add(make.repeated(button, _leaning(p, plan)(np.array(spots))), "button")


def _arms(model: Model, p: Sofa, plan: _Plan, detail: int) -> None:
    top = p.seat_height + p.arm_height
    front, back = plan.front + 0.01, plan.back - 0.01
    low = (plan.inner, front, p.leg_height + 0.005)
    x = plan.inner + 0.5 * p.arm_width
    if p.arms == "rolled":
        roll = 0.62 * p.arm_width
        x += 0.12 * p.arm_width  # the roll leans outward
        model.add_pair(make.cushion(low, (plan.outer, back, top - 0.6 * roll), 0.02), "fabric")
        face = [(0, front - 0.012), (0.9 * roll, front - 0.012), (roll, front)]
        cylinder = make.lathe([*face, (roll, back), (0, back)], 24 * detail, "y")
        model.add_pair(cylinder.at(x=x, z=top - roll), "fabric")
    else:
        radius = min(0.05, 0.3 * p.arm_width)
        arm = make.cushion(low, (plan.outer, back, top), radius, steps=3 * detail)
        model.add_pair(arm.bent(_sloping(p, plan)) if p.arms == "slope" else arm, "fabric")
    ends = np.array([(x, front + 0.05, top), (x, back - 0.05, top)])
    if p.arms == "slope":
        ends = _sloping(p, plan)(ends)
    model.keypoint_pair("{}_arm_front", ends[0])
    model.keypoint_pair("{}_arm_back", ends[1])


def _sloping(p: Sofa, plan: _Plan) -> Callable[[np.ndarray], np.ndarray]:
    """Lowers (V, 3) points of an arm towards the front, the more the higher they are."""
    tall = p.seat_height + p.arm_height - p.leg_height

    def slope(points: np.ndarray) -> np.ndarray:
        forward = np.clip((plan.back - points[:, 1]) / p.depth, 0, 1)
        raised = np.clip((points[:, 2] - p.leg_height) / tall, 0, 1)
        return points - np.outer(0.75 * p.arm_height * forward * raised, [0, 0, 1])

    return slope


def _pillows(model: Model, p: Sofa, plan: _Plan, detail: int) -> None:
    size = min(0.42, 0.9 * p.back_height, 0.8 * p.seat_width)
    half = 0.5 * size
    pillow = make.cushion(
        (-half, -0.025, -half), (half, 0.025, half), 0.025, (0.06, 0.06), 2 * detail, axis="y"
    )
    spots = (plan.inner - 0.55 * size, -plan.inner + 0.55 * size, plan.inner - 1.15 * size)
    for k in range(p.pillows):
        if k == 2 and p.seats < 2:
            break
        turned = pillow.turned("x", -22.0).turned("z", (18.0, -18.0, 8.0)[k])
        y = plan.deep - (0.1 if k < 2 else 0.14)
        model.add(turned.at(spots[k], y, p.seat_height + 0.5 * size - 0.005), "pillow")

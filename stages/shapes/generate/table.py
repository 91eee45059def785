"""Tables: dining, coffee, bistro, side and console tables, desks, workbenches.

Metres, standing on z = 0, long side along x, front at -y (the side one sits at, or the drawers').
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from stages.shapes.generate import primitives as make
from stages.shapes.generate.chair import WOODS
from stages.shapes.generate.freedom import colour, draw, draw_kind, one_of, real, rgb, shade, whole
from stages.shapes.generate.furniture import LegStyle, drawers, four, leg, rail
from stages.shapes.generate.model import Model


@dataclass(frozen=True)
class Table:
    """The degrees of freedom of a table; lengths in metres."""

    length: float = real(0.8, 2.2)
    width: float = real(0.6, 1.0)
    height: float = real(0.68, 0.78)
    top_thickness: float = real(0.02, 0.06)
    corner: float = real(0.02, 1.0)  # radius of the corners over half the width; 1 is round or oval
    outline: str = one_of("oblong", "oblong", "even")  # even: as wide as long
    base: str = one_of("four", "trestle", "pedestal", "panels", "frames", "cross")
    leg_size: float = real(0.035, 0.1)
    leg_taper: float = real(0.45, 1.0)
    leg_section: str = one_of("round", "square")
    splay_deg: float = real(0.0, 10.0)
    inset: float = real(0.02, 0.14)  # of the legs from the edge, share of the length
    apron: float = real(0.0, 0.12)  # height of the boards under the top
    shelf: str = one_of("none", "none", "none", "low", "middle")
    stretcher: str = one_of("none", "none", "h", "ring")
    drawers: int = whole(0, 3)
    cabinet: str = one_of("none", "none", "none", "left", "right", "both")
    column: float = real(0.05, 0.14)  # radius of a pedestal
    feet: int = whole(0, 5)  # of a pedestal; fewer than three make a round plate
    screen: float = real(0.0, 0.35)  # height of the board behind the top; none below 0.15
    top: tuple[float, float, float] = colour(*WOODS, "eceae4", "dfe6e8", "4b5157")
    frame: tuple[float, float, float] = colour(*WOODS, "2b2e31", "e8e8e6", "9aa0a6")
    accent: tuple[float, float, float] = colour("c9ccd0", "b08d57", "2c2f33", "7d8a99")


def sample(rng: np.random.Generator) -> Table:
    """A table of one of the kinds in kinds.json."""
    return draw(Table, rng, draw_kind("table", rng))


@dataclass(frozen=True)
class _Plan:
    """Where things are: half sizes of the top, the legs' tops, the underside of the top."""

    half: np.ndarray  # (2,)
    corner: float
    legs: np.ndarray  # (2,)
    under: float

    @classmethod
    def of(cls, p: Table) -> _Plan:
        length = p.length
        half = 0.5 * np.array([length, length if p.outline == "even" else min(p.width, length)])
        corner = p.corner * half.min()
        # Legs stay under a rounded top: the inscribed rectangle of its corners.
        legs = half - p.inset * length * 0.6 - 0.5 * p.leg_size - 0.3 * corner
        return cls(half, corner, np.maximum(legs, 0.25 * half), p.height - p.top_thickness)


def build(p: Table, detail: int = 1) -> Model:
    """The parts of the table; `detail` multiplies the segments of round parts."""
    model = Model(
        {
            "top": p.top, "frame": p.frame, "accent": p.accent, "dark": rgb("26282a"),
            "board": shade(p.frame, 0.88), "front": shade(p.top, 1.12),
        }
    )  # fmt: skip
    plan = _Plan.of(p)
    _top(model, p, plan, detail)
    bases = {
        "four": _legs,
        "trestle": _trestle,
        "pedestal": _pedestal,
        "panels": _panels,
        "frames": _frames,
        "cross": _frames,
    }
    bases[p.base](model, p, plan, detail)
    if p.base != "pedestal":
        _shelf(model, p, plan, detail)
        _boards(model, p, plan)
        _cabinets(model, p, plan)
    if p.screen > 0.15:
        x, y = 0.96 * plan.half[0], plan.half[1]
        board = make.box((-x, y - 0.03, plan.under), (x, y - 0.008, p.height + p.screen))
        model.add(board, "board")
    return model


def _top(model: Model, p: Table, plan: _Plan, detail: int) -> None:
    outline = make.rounded_rectangle((plan.half[0], plan.half[1]), plan.corner, 8 * detail)
    radius = 0.18 * p.top_thickness
    model.add(make.slab(outline, (plan.under, p.height), radius, steps=1), "top")
    band = 0.985 - 0.2 * p.top_thickness
    edge = make.prism(outline * band, plan.under - 0.008, plan.under + 0.004)
    model.add(edge, "accent")
    reach = (plan.half - plan.corner * (1 - np.sqrt(0.5))) * (1 - radius / plan.half)
    for y, name in ((-reach[1], "lower"), (reach[1], "upper")):
        model.keypoint_pair(f"top_{name}_{{}}", (reach[0], y, p.height))


def _feet(model: Model, x: float, y: float, z: float = 0.0) -> None:
    model.keypoint_pair("leg_lower_{}", (x, -y, z))
    model.keypoint_pair("leg_upper_{}", (x, y, z))


def _legs(model: Model, p: Table, plan: _Plan, detail: int) -> None:
    style = LegStyle(p.leg_size, p.leg_taper, p.leg_section, detail)
    x, y = plan.legs
    out = min(plan.under * np.tan(np.radians(p.splay_deg)), 0.12)
    for sx, sy in four(1, -1, 1):
        foot = (sx * (x + out), sy * (y + out), 0)
        leg(model, style, (sx * x, sy * y, plan.under), foot, "frame")
    _feet(model, x + out, y + out)
    if p.stretcher != "none":
        _stretcher(model, p, (x + 0.75 * out, y + 0.75 * out), 0.22 * plan.under)


def _stretcher(model: Model, p: Table, reach: tuple[float, float], z: float) -> None:
    x, y = reach
    size = (0.5 * p.leg_size, 0.6 * p.leg_size)
    model.add_pair(rail((x, -y, z), (x, y, z), size), "board")
    for at in (0.0,) if p.stretcher == "h" else (-y, y):
        model.add(rail((-x, at, z), (x, at, z), size), "board")


def _trestle(model: Model, p: Table, plan: _Plan, detail: int) -> None:
    """Two upright boards on feet across, tied by a beam."""
    x, y = plan.legs[0] * 0.86, plan.legs[1]
    size = p.leg_size
    reach = y * (0.8 + 0.02 * p.splay_deg)
    foot = make.cushion(
        (x - 0.6 * size, -reach, 0.012), (x + 0.6 * size, reach, 0.012 + size), 0.012, steps=1
    )
    model.add_pair(foot, "frame")
    bearer = make.cushion(
        (x - 0.5 * size, -0.85 * y, plan.under - 0.9 * size),
        (x + 0.5 * size, 0.85 * y, plan.under),
        0.01,
        steps=1,
    )
    model.add_pair(bearer, "frame")
    wide = y * 0.3 * (1 + p.leg_taper)
    post = make.bar((x, 0, 0.5 * size), (x, 0, plan.under), (0.7 * size, wide), p.leg_taper)
    model.add_pair(post, "board")
    beam = rail((-x, 0, 0.36 * plan.under), (x, 0, 0.36 * plan.under), (0.6 * size, 1.4 * size))
    model.add(beam, "frame")
    pad = make.box((x - 0.5 * size, -0.05, 0), (x + 0.5 * size, 0.05, 0.03))
    for sign in (-1, 1):
        model.add_pair(pad.at(y=sign * (reach - 0.06)), "dark")
    _feet(model, x, reach - 0.06)


def _pedestal(model: Model, p: Table, plan: _Plan, detail: int) -> None:
    """A turned column on a plate, or on three to five feet."""
    r, under = p.column * (0.6 + 0.4 * plan.half[1]), plan.under
    waist = (0.45 + 0.5 * p.leg_taper) * r
    profile = [
        *((0, 0.03), (1.25 * r, 0.03), (1.2 * r, 0.1 * under), (waist, 0.3 * under)),
        *((0.8 * waist, 0.55 * under), (r, 0.85 * under), (1.8 * r, 0.97 * under)),
        *((1.8 * r, under + 0.002), (0, under + 0.002)),
    ]
    model.add(make.lathe(profile, 24 * detail), "frame")
    reach = plan.half[1] * (0.65 + 0.03 * p.splay_deg)
    if p.feet >= 3:
        _pedestal_feet(model, p, (0.5 * r, reach, 0.26 * under), detail)
        return
    plate = [(reach, 0), (reach, 0.018), (0.9 * reach, 0.03), (1.3 * r, 0.06)]
    model.add(make.lathe([(0, 0), *plate, (0, 0.06)], 32 * detail), "board")
    _feet(model, np.sqrt(0.5) * reach, np.sqrt(0.5) * reach)


def _pedestal_feet(model: Model, p: Table, size: tuple[float, float, float], detail: int) -> None:
    """Curved feet from the column; size is (inner radius, outer radius, height at the column)."""
    inner, outer, tall = size
    turn = 45.0 if p.feet == 4 else 90.0  # one of three or five feet points to the back
    angles = np.radians(turn + 360.0 / p.feet * np.arange(p.feet))
    t, thick = np.linspace(0, 1, 7), max(p.leg_size, 0.04)
    path = np.stack([inner + (outer - inner) * t, 0 * t, 0.04 + (tall - 0.04) * (1 - t) ** 2.2], -1)
    section = 0.5 * thick * np.array([[1.0, 1.0], [-1, 1], [-1, -1], [1, -1]])
    arm = make.sweep(path, section, (0, 1, 0), 1.2 - 0.5 * t)
    end = outer - 0.3 * thick
    glide = make.lathe([(0.4 * thick, 0), (0.4 * thick, 0.04)], 12 * detail).at(x=end)
    for angle in np.degrees(angles):
        model.add(arm.turned("z", angle), "board")
        model.add(glide.turned("z", angle), "dark")
    spots = end * np.stack([np.cos(angles), np.sin(angles)], -1)
    left = sorted(spots[spots[:, 0] > 1e-6].tolist(), key=lambda spot: spot[1])
    back = left[-1] if p.feet != 3 else spots[0]
    model.keypoint_pair("leg_lower_{}", (*left[0], 0.0))
    model.keypoint_pair("leg_upper_{}", (*back, 0.0))


def _panels(model: Model, p: Table, plan: _Plan, detail: int) -> None:
    """Two upright sides."""
    x, y = plan.legs + 0.5 * p.leg_size
    wide = 0.6 * p.leg_size
    side = make.bar(
        (x - 0.5 * wide, 0, 0.006),
        (x - 0.5 * wide, 0, plan.under),
        (wide, 2 * y * (0.7 + 0.3 * p.leg_taper)),
    )
    model.add_pair(side, "frame")
    y *= 0.7 + 0.3 * p.leg_taper
    strip = make.box((x - 0.8 * wide, -y, 0), (x - 0.2 * wide, y, 0.012))
    model.add_pair(strip, "dark")
    _feet(model, x - 0.5 * wide, y)
    if p.stretcher != "none":
        model.add(
            rail(
                (-x, 0.4 * y, 0.6 * plan.under),
                (x, 0.4 * y, 0.6 * plan.under),
                (0.02, 0.3 * plan.under),
            ),
            "board",
        )


def _frames(model: Model, p: Table, plan: _Plan, detail: int) -> None:
    """Two frames across the table: rectangles, or crossed bars."""
    x, y = plan.legs
    size = 0.7 * p.leg_size
    style = LegStyle(size, 1.0, p.leg_section, detail)
    out = min(plan.under * np.tan(np.radians(p.splay_deg)), 0.12)
    low = 0.5 * size + 0.006
    if p.base == "cross":
        ends = [((x, y, plan.under), (x + out, -y, low)), ((x, -y, plan.under), (x + out, y, low))]
        for top, foot in ends:
            model.add_pair(style.bar(top, foot), "frame")
        middle = x + 0.5 * out
        model.add(style.bar((-middle, 0, 0.5 * plan.under), (middle, 0, 0.5 * plan.under)), "board")
    else:
        for sy in (-1, 1):
            model.add_pair(style.bar((x, sy * y, plan.under), (x + out, sy * y, 0.006)), "frame")
        model.add_pair(
            style.bar((x + out, -y - 0.5 * size, low), (x + out, y + 0.5 * size, low)), "frame"
        )
        model.add_pair(
            style.bar((x, -y, plan.under - 0.5 * size), (x, y, plan.under - 0.5 * size)), "board"
        )
    glide = make.lathe([(0.6 * size, 0), (0.6 * size, 0.02)], 10 * detail)
    for sy in (-1, 1):
        model.add_pair(glide.at(x + out, sy * (y - 0.1 * size), 0), "dark")
    _feet(model, x + out, y - 0.1 * size)


def _shelf(model: Model, p: Table, plan: _Plan, detail: int) -> None:
    if p.shelf == "none":
        return
    z = (0.2 if p.shelf == "low" else 0.52) * plan.under
    half = plan.legs * (0.98 if p.base != "cross" else 0.9)
    outline = make.rounded_rectangle(
        (half[0], half[1]), 0.5 * min(plan.corner, half.min()), 4 * detail
    )
    model.add(make.prism(outline, z, z + 0.022), "front")


def _boards(model: Model, p: Table, plan: _Plan) -> None:
    """The apron under the top, with drawers in its front where it is high enough."""
    if p.apron < 0.025:
        return
    x, y = plan.legs
    low = plan.under - p.apron
    z = 0.5 * (low + plan.under)
    model.add_pair(rail((x, -y, z), (x, y, z), (0.022, p.apron)), "board")
    for at in (-y, y):
        model.add(rail((-x, at, z), (x, at, z), (0.022, p.apron)), "board")
    if p.drawers and p.apron > 0.06 and p.cabinet == "none":
        edges = np.linspace(-0.92 * x, 0.92 * x, p.drawers + 1)
        for left, right in pairwise(edges.tolist()):
            drawers(model, (left, -y - 0.011, low), (right, y, plan.under), 1, ("front", "accent"))


def _cabinets(model: Model, p: Table, plan: _Plan) -> None:
    """Desk cabinets with drawers beside the legroom."""
    sides = {"none": (), "left": (1,), "right": (-1,), "both": (1, -1)}[p.cabinet]
    x, y = plan.legs
    wide = min(0.42, 0.6 * x)
    for side in sides:
        low_x, high_x = sorted((side * (x - wide), side * (x - 0.3 * p.leg_size)))
        low, high = (low_x, -y + 0.01, 0.08), (high_x, y - 0.01, plan.under + 0.002)
        model.add(make.box(low, high), "board")
        drawers(model, low, high, max(p.drawers, 1), ("front", "accent"))

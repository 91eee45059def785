"""Beds: platform beds, beds with head and foot boards, divans, four-posters, bunks and lofts.

Metres, standing on z = 0, the head at +y, the foot at -y (front).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stages.shapes.generate import primitives as make
from stages.shapes.generate.chair import FABRICS, WOODS
from stages.shapes.generate.freedom import colour, draw, draw_kind, one_of, real, rgb, shade, whole
from stages.shapes.generate.furniture import LegStyle, drawers, rail
from stages.shapes.generate.model import Model


@dataclass(frozen=True)
class Bed:
    """The degrees of freedom of a bed; lengths in metres."""

    width: float = real(0.85, 1.95)  # of the mattress
    length: float = real(1.85, 2.15)
    mattress: float = real(0.14, 0.3)  # thickness
    crown: float = real(0.0, 0.03)
    frame_low: float = real(0.1, 0.26)  # underside of the side boards
    frame_height: float = real(0.1, 0.22)
    post_size: float = real(0.05, 0.1)
    post_section: str = one_of("round", "square")
    head: str = one_of("panel", "slats", "arch", "padded", "none")
    head_height: float = real(0.3, 0.8)  # above the frame
    head_lean_deg: float = real(0.0, 14.0)
    foot: str = one_of("none", "none", "panel", "slats", "arch")
    foot_height: float = real(0.1, 0.45)
    bars: int = whole(4, 11)
    finial: float = real(0.0, 0.1)  # how much the posts stand above the boards
    store: str = one_of("open", "open", "drawers", "closed")  # below the mattress
    level: str = one_of("single", "single", "single", "canopy", "bunk", "loft")
    clear: float = real(0.85, 1.2)  # canopy, bunk, loft: height of the room above the lower level
    pillows: int = whole(1, 3)
    cover: float = real(0.35, 0.8)  # share of the length under the blanket
    drop: float = real(0.06, 0.3)  # how far the blanket hangs down
    wood: tuple[float, float, float] = colour(*WOODS, "e8e8e6", "2e3033")
    sheet: tuple[float, float, float] = colour("f4f2ec", "e9edf0", "f0e6d8", "dfe7e2")
    blanket: tuple[float, float, float] = colour(*FABRICS)
    metal: tuple[float, float, float] = colour("b9bec4", "b08d57", "2c2f33")


def sample(rng: np.random.Generator) -> Bed:
    """A bed of one of the kinds in kinds.json."""
    return draw(Bed, rng, draw_kind("bed", rng))


# ObjectNet3D numbers the corners of a bed from the foot's -x one, counter-clockwise from above.
CORNERS = ((-1, -1), (1, -1), (1, 1), (-1, 1))


@dataclass(frozen=True)
class _Plan:
    """Where things are: half sizes to the posts' middles, levels of the frames and of the posts."""

    x: float
    y: float
    decks: tuple[float, ...]  # tops of the frames that carry a mattress, from below
    boards: tuple[float, float]  # tops of the corners of the head board and of the foot board
    tops: tuple[float, float]  # of the posts at the head and at the foot
    slope: float  # of the ends above the frame

    @classmethod
    def of(cls, p: Bed) -> _Plan:
        deck = p.frame_low + p.frame_height
        x, y = 0.5 * p.width + 0.35 * p.post_size, 0.5 * p.length + 0.5 * p.post_size
        upper = deck + p.clear + p.mattress
        decks = {"bunk": (deck, upper), "loft": (upper,)}.get(p.level, (deck,))
        head = decks[-1] + (p.head_height if p.head != "none" else 0.0)
        foot = decks[-1] + (p.foot_height if p.foot != "none" else 0.0)
        tops = (head + p.finial, foot + p.finial)
        if p.level == "canopy":
            tops = (max(deck + p.clear, head) + p.finial,) * 2
        slope = np.tan(np.radians(p.head_lean_deg if p.level == "single" else 0.0))
        return cls(x, y, decks, (head, foot), tops, slope)

    def leant(self, head: bool, z: float) -> float:
        """The y of an end at height z: boards and posts lean outward above the frame."""
        out = self.y + self.slope * max(z - self.decks[-1], 0.0)
        return out if head else -out

    def lean(self, points: np.ndarray) -> np.ndarray:
        """(V, 3) points of an upright head board, leant."""
        out = self.slope * np.clip(points[:, 2] - self.decks[-1], 0, None)
        return points + np.outer(out, [0, 1, 0])


def build(p: Bed, detail: int = 1) -> Model:
    """The parts of the bed; `detail` multiplies the segments of round parts."""
    model = Model(
        {
            "wood": p.wood, "board": shade(p.wood, 0.9), "metal": p.metal, "dark": rgb("26282a"),
            "sheet": p.sheet, "pillow": shade(p.sheet, 1.3), "blanket": p.blanket,
            "padded": shade(p.blanket, 0.85), "fold": shade(p.blanket, 1.25),
        }
    )  # fmt: skip
    plan = _Plan.of(p)
    _posts(model, p, plan, detail)
    for deck in plan.decks:  # keypoints are those of the upper one
        _frame(model, p, plan, deck)
        _bedding(model, p, plan, deck, detail)
    _end(model, p, plan, True, detail)
    _end(model, p, plan, False, detail)
    if p.level in ("bunk", "loft"):
        _ladder(model, p, plan, detail)
    _storage(model, p, plan)
    return model


def _posts(model: Model, p: Bed, plan: _Plan, detail: int) -> None:
    style = LegStyle(p.post_size, 1.0, p.post_section, detail)
    foot = make.lathe([(0.35 * p.post_size, 0), (0.35 * p.post_size, 0.03)], 12 * detail)
    knob = make.ellipsoid((0.62 * p.post_size,) * 3, 12 * detail)
    deck = plan.decks[-1]
    for k, (sx, sy) in enumerate(CORNERS, 1):
        x, y, top = sx * plan.x, sy * plan.y, plan.tops[0 if sy > 0 else 1]
        tip = plan.leant(sy > 0, top)
        model.add(style.bar((x, y, 0.02), (x, y, deck)), "wood")
        model.add(style.bar((x, y, deck - 0.01), (x, tip, max(top, deck + 0.005))), "wood")
        model.add(foot.at(x, y), "dark")
        model.keypoint(f"bedpost_bottom{k}", (x, y, 0))
        if p.finial > 0.04:
            model.add(knob.at(x, tip, top), "metal")
            top += 0.62 * p.post_size
        model.keypoint(f"bedpost_top{k}", (x, tip, max(top, deck + 0.005)))
    if p.level == "canopy":
        z, size = plan.tops[0] - p.finial - 0.02, (0.6 * p.post_size, 0.6 * p.post_size)
        model.add_pair(rail((plan.x, -plan.y, z), (plan.x, plan.y, z), size), "wood")
        for y in (-plan.y, plan.y):
            model.add(rail((-plan.x, y, z), (plan.x, y, z), size), "wood")


def _frame(model: Model, p: Bed, plan: _Plan, deck: float) -> None:
    """Side boards and the slatted base of one level."""
    z, thick = deck - 0.5 * p.frame_height, 0.4 * p.post_size
    model.add_pair(rail((plan.x, -plan.y, z), (plan.x, plan.y, z), (thick, p.frame_height)), "wood")
    low = deck - min(0.06, 0.5 * p.frame_height)
    model.add(make.box((-plan.x, -plan.y, low), (plan.x, plan.y, low + 0.025)), "board")


def _bedding(model: Model, p: Bed, plan: _Plan, deck: float, detail: int) -> None:
    """Mattress, blanket, its folded edge, pillows."""
    half, end = 0.5 * p.width, 0.5 * p.length
    low = deck - min(0.035, 0.3 * p.frame_height)
    top = low + p.mattress
    radius = 0.05
    model.add(make.cushion((-half, -end, low), (half, end, top), radius, (0, p.crown), 3), "sheet")
    corner = half - 0.6 * radius, end - 0.6 * radius
    for k, (sx, sy) in enumerate(CORNERS, 1):
        model.keypoint(f"mattress{k}", (sx * corner[0], sy * corner[1], top - 0.09 * radius))
    until = -end + p.cover * p.length
    below = (
        max(top - p.drop, deck + 0.005)
        if p.store != "open"
        else top - min(p.drop, p.mattress + 0.1)
    )
    side = 0.012 + (0.35 * p.post_size + 0.4 * p.post_size if below < deck else 0.0)
    foot = -end - 0.007  # close to the mattress: there may be a board behind it
    high = top + p.crown + 0.012
    blanket = make.cushion(
        (-half - side, foot, below), (half + side, until, high), 0.045, (0, 0.015)
    )
    model.add(blanket, "blanket")
    side, below = side + 0.005, max(below, top - 0.12)
    fold = make.cushion(
        (-half - side, until - 0.02, below),
        (half + side, until + 0.16, high + 0.012),
        0.03,
        (0, 0.01),
        2,
    )
    model.add(fold, "fold")
    wide = min(0.62, 0.92 * p.width / p.pillows)
    pillow = make.cushion(
        (-0.48 * wide, -0.19, 0.0), (0.48 * wide, 0.19, 0.05), 0.025, (0.03, 0.075), 2 * detail
    )
    pillow = pillow.turned("x", 14.0)
    for k in range(p.pillows):
        x = (k - 0.5 * (p.pillows - 1)) * min(p.width / p.pillows, wide * 1.12)
        model.add(pillow.at(x, end - 0.27, top + 0.045 + 0.6 * p.crown), "pillow")


def _end(model: Model, p: Bed, plan: _Plan, head: bool, detail: int) -> None:
    """The head board (or the foot board) on the end board of the frame, and its four corners."""
    kind, top = (p.head, plan.boards[0]) if head else (p.foot, plan.boards[1])
    deck, x, thick = plan.decks[-1], plan.x, 0.4 * p.post_size
    for level in plan.decks:
        y, z = plan.leant(head, 0.0), level - 0.5 * p.frame_height
        model.add(rail((-x, y, z), (x, y, z), (thick, p.frame_height)), "wood")
    rise = 0.3 * (top - deck) if kind == "arch" else 0.0
    if kind == "slats":
        _bars(model, p, plan, head, detail)
    elif kind == "padded":
        low, high = (-x - 0.02, plan.y - 0.05, deck - 0.1), (x + 0.02, plan.y + 0.04, top)
        pad = make.cushion(low, high, 0.04, (0.015, 0), axis="y")
        model.add(pad.bent(plan.lean), "padded")
    elif kind != "none":
        u = np.linspace(-1, 1, 15 * detail)
        tops = top + rise * (1 - u**2)
        levels = np.stack([np.full_like(u, deck - 0.02), np.full_like(u, deck), tops])
        places = [[(plan.leant(head, z), z) for z in level] for level in levels.tolist()]
        grid = np.concatenate([np.tile(u * x, (3, 1))[..., None], places], -1)  # (3, U, 3)
        half = np.array([0, 0.5 * thick, 0])
        model.add(make.shell(grid - half, grid + half), "board")
    inside = x - 0.5 * p.post_size
    top += rise * (1 - (inside / x) ** 2)
    upper = plan.leant(head, top) - (0.005 if kind == "padded" else 0.0)
    low_end, high_end = (plan.leant(head, 0.0), deck - p.frame_height), (upper, top)
    corners = [(-inside, *low_end), (inside, *low_end), (inside, *high_end), (-inside, *high_end)]
    for k, corner in enumerate(corners, 1):
        model.keypoint(f"frame_{'back' if head else 'front'}{k}", corner)


def _bars(model: Model, p: Bed, plan: _Plan, head: bool, detail: int) -> None:
    """Upright bars between the frame and a rail between the posts."""
    deck, top = plan.decks[-1], plan.boards[0 if head else 1]
    size = 0.45 * p.post_size
    z = top - 0.5 * size
    low, high = (0, plan.leant(head, deck), deck - 0.02), (0, plan.leant(head, z), z)
    model.add(rail((-plan.x, high[1], z), (plan.x, high[1], z), (size, size)), "wood")
    bar = make.tube([low, high], 0.2 * p.post_size, 8 * detail)
    spots = np.linspace(-plan.x, plan.x, p.bars + 2)[1:-1]
    model.add(make.repeated(bar, [(s, 0, 0) for s in spots]), "metal")


def _ladder(model: Model, p: Bed, plan: _Plan, detail: int) -> None:
    """Guard rails along the upper level, a ladder at the foot of the left side."""
    deck = plan.decks[-1]
    z = deck + 0.26
    model.add_pair(rail((plan.x, -plan.y, z), (plan.x, plan.y, z), (0.03, 0.06)), "wood")
    low, high = -plan.y + 0.18, -plan.y + 0.5
    foot = 0.28
    for y in (low, high):
        model.add(
            make.bar((plan.x + foot, y, 0), (plan.x + 0.03, y, z + 0.1), (0.04, 0.05)), "wood"
        )
    count = 5 if p.level == "bunk" else 6
    for t in np.linspace(0.12, 0.86, count):
        x, height = plan.x + foot + t * (0.03 - foot), t * (z + 0.1)
        model.add(make.tube([(x, low, height), (x, high, height)], 0.016, 8 * detail), "metal")


def _storage(model: Model, p: Bed, plan: _Plan) -> None:
    """Drawers or a closed base between the floor and the lowest frame."""
    if p.store == "open" or p.level == "loft":
        return
    high = p.frame_low + p.frame_height - 0.05
    low = (-plan.x + 0.03, -plan.y + 0.03, 0.02)
    model.add(make.box(low, (plan.x - 0.03, plan.y - 0.03, high)), "board")
    if p.store == "drawers":
        wide = 0.9 * plan.x
        side = make.box((-0.01, -wide, 0.05), (0.012, -0.02, high - 0.02))
        for y in (wide + 0.02 - plan.x, wide + 0.02 + 0.04):
            model.add_pair(side.at(x=plan.x, y=min(y, plan.y - 0.1)), "padded")
        drawers(model, (-wide, -plan.y + 0.03, 0.04), (wide, 0, high), 1, ("padded", "metal"))

"""Chairs: dining chairs, office chairs, stools with backs, armchairs, cantilevers, Windsor chairs.

Metres, standing on z = 0, the seat's middle over the origin, front at -y.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stages.shapes.generate import primitives as make
from stages.shapes.generate.chair_back import Back, add_arms
from stages.shapes.generate.chair_base import add_base
from stages.shapes.generate.freedom import colour, draw, draw_kind, one_of, real, rgb, shade, whole
from stages.shapes.generate.model import Model

WOODS = ("8a5a33", "b98a56", "5d3a22", "d2b48c", "3b2a20", "a8683a", "e3d5bf")
FABRICS = (
    "7a2e2e",
    "2f4f6f",
    "556b4a",
    "c9b79c",
    "3a3d42",
    "b5651d",
    "8c8f94",
    "d8d2c4",
    "6b4a6e",
    "1f6f6b",
)


@dataclass(frozen=True)
class Chair:
    """The degrees of freedom of a chair; lengths in metres."""

    seat_width: float = real(0.4, 0.54)
    seat_depth: float = real(0.4, 0.52)
    seat_height: float = real(0.4, 0.5)
    seat_thickness: float = real(0.025, 0.08)
    seat_corner: float = real(0.04, 0.6)  # radius of the corners over half the width
    seat_taper: float = real(0.8, 1.0)  # width at the back over that at the front
    seat_crown: float = real(0.0, 0.03)
    base: str = one_of("four", "sled", "cantilever", "star", "disc")
    leg_size: float = real(0.022, 0.05)
    leg_taper: float = real(0.5, 1.0)
    leg_section: str = one_of("round", "square")
    splay_deg: float = real(0.0, 12.0)
    stretchers: str = one_of("none", "sides", "ring")
    star_feet: int = whole(4, 5)
    back: str = one_of("panel", "cushion", "slats", "ladder", "spindles")
    back_height: float = real(0.32, 0.6)
    back_gap: float = real(0.05, 0.45)  # share of the back's height that is open below a panel
    back_taper: float = real(0.75, 1.1)  # width at the top over that at the seat
    back_curve: float = real(0.0, 0.07)  # depth of the hollow, seen from above
    recline_deg: float = real(4.0, 18.0)
    crest: float = real(0.0, 0.06)  # how much the middle of the top stands above its corners
    bars: int = whole(3, 7)
    arms: str = one_of("none", "none", "bar", "pad", "box")
    arm_height: float = real(0.16, 0.25)
    arm_width: float = real(0.04, 0.08)
    frame: tuple[float, float, float] = colour(*WOODS)
    fabric: tuple[float, float, float] = colour(*FABRICS)
    metal: tuple[float, float, float] = colour("b9bec4", "2c2f33", "e8e8e8", "8d9298")


def sample(rng: np.random.Generator) -> Chair:
    """A chair of one of the kinds in kinds.json."""
    return draw(Chair, rng, draw_kind("chair", rng))


def build(p: Chair, detail: int = 1) -> Model:
    """The parts of the chair; `detail` multiplies the segments of round parts."""
    wooden = p.back in ("slats", "ladder", "spindles")
    model = Model(
        {
            "frame": p.frame, "metal": p.metal, "dark": rgb("25272a"), "fabric": p.fabric,
            "legs": p.frame if p.base == "four" else p.metal,
            "seat": shade(p.frame, 0.86) if p.back == "spindles" else p.fabric,
            "back": p.frame if wooden else p.fabric, "bars": shade(p.frame, 1.12),
        }
    )  # fmt: skip
    add_base(model, p, detail)
    _seat(model, p, detail)
    back = Back(p)
    back.add(model, detail)
    add_arms(model, p, back, detail)
    return model


def _seat(model: Model, p: Chair, detail: int) -> None:
    half = np.array([p.seat_width, p.seat_depth]) / 2
    corner = p.seat_corner * half.min()
    radius = min(0.45 * p.seat_thickness, 0.03)
    outline = make.rounded_rectangle((half[0], half[1]), corner, 5 * detail)
    top = p.seat_height
    solid = make.slab(outline, (top - p.seat_thickness, top), radius, (0.0, p.seat_crown))

    def narrowed(points: np.ndarray) -> np.ndarray:
        share = (points[..., 1] + half[1]) / p.seat_depth
        factor = 1 + (p.seat_taper - 1) * share
        return np.stack([factor * points[..., 0], points[..., 1], points[..., 2]], -1)

    model.add(solid.bent(narrowed), "seat")
    reach = (half - corner * (1 - np.sqrt(0.5))) * (1 - radius / half)
    for y, name in ((-reach[1], "lower"), (reach[1], "upper")):
        model.keypoint_pair(f"seat_{name}_{{}}", narrowed(np.array([reach[0], y, top])))

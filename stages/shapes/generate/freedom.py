"""Degrees of freedom, declared as fields of a frozen dataclass and drawn field by field.

A category is such a dataclass; a kind of `kinds.json` narrows some of its fields ("a glider has a
long span"), so that what belongs together is drawn together while every field stays free by itself.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

Rgb = tuple[float, float, float]
T = TypeVar("T")

_COLOUR_JITTER = 0.035  # sRGB, uniform: no two shapes have quite the same white


def real(low: float, high: float) -> Any:
    """A field drawn uniformly from [low, high)."""
    return dataclasses.field(metadata={"kind": "real", "domain": (low, high)})


def whole(low: int, high: int) -> Any:
    """A field drawn uniformly from the whole numbers low..high, both included."""
    return dataclasses.field(metadata={"kind": "whole", "domain": (low, high)})


def one_of(*options: Any) -> Any:
    """A field drawn from the options with equal chances; repeat one to make it likelier."""
    return dataclasses.field(metadata={"kind": "choice", "domain": options})


def colour(*hexes: str) -> Any:
    """A field drawn from sRGB colours such as "c0392b", each channel jittered a little."""
    return dataclasses.field(metadata={"kind": "colour", "domain": hexes})


def draw(kind: type[T], rng: np.random.Generator, prior: Mapping[str, Any] | None = None) -> T:
    """An instance of the dataclass `kind`, its fields drawn in their order.

    `prior` replaces the domain of the fields that it names: [low, high] for `real` and `whole`, the
    options for `one_of` and `colour`. Raises KeyError for a name that is no field.
    """
    prior = dict(prior or {})
    values = {}
    for field in dataclasses.fields(kind):  # type: ignore[arg-type]
        domain = prior.pop(field.name, field.metadata["domain"])
        values[field.name] = draw_value(field.metadata["kind"], domain, rng)
    if prior:
        raise KeyError(f"{kind.__name__} has no field {sorted(prior)[0]}")
    return kind(**values)


def draw_kind(category: str, rng: np.random.Generator) -> dict[str, Any]:
    """The prior of one of the category's kinds, drawn by their chances."""
    kinds = list(_kinds()[category].values())
    chances = [kind["chance"] for kind in kinds]
    prior = dict(kinds[int(rng.choice(len(kinds), p=chances))])
    del prior["chance"]
    return prior


@cache
def _kinds() -> dict[str, dict[str, dict[str, Any]]]:
    return json.loads((Path(__file__).parent / "kinds.json").read_text("utf-8"))


def draw_value(kind: str, domain: Sequence[Any], rng: np.random.Generator) -> Any:
    """One value of a field of that kind."""
    if kind == "real":
        return float(rng.uniform(*domain))
    if kind == "whole":
        return int(rng.integers(domain[0], domain[1] + 1))
    picked = domain[int(rng.integers(len(domain)))]
    if kind == "choice":
        return picked
    jitter = rng.uniform(-_COLOUR_JITTER, _COLOUR_JITTER, 3)
    return rgb(picked, jitter)


def rgb(code: str, jitter: np.ndarray | float = 0.0) -> Rgb:
    """The sRGB colour, 0..1, of a code such as "c0392b", shifted by `jitter` and clipped."""
    channels = np.array([int(code[i : i + 2], 16) for i in (0, 2, 4)]) / 255
    red, green, blue = np.clip(channels + jitter, 0.0, 1.0).tolist()
    return red, green, blue


def shade(base: Rgb, factor: float) -> Rgb:
    """The colour darkened (factor < 1) or moved towards white (factor > 1, 2 is white)."""
    mix = np.array(base) * factor if factor <= 1 else 1 - (1 - np.array(base)) * (2 - factor)
    red, green, blue = np.clip(mix, 0.0, 1.0).tolist()
    return red, green, blue

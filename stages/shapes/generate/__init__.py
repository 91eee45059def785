"""Parametric CAD shapes (`crossdim shapes generate`): closed parts, materials, named keypoints.

A category is a module with a frozen dataclass of its degrees of freedom, `sample(rng)` that draws
one, and `build(p, detail)` that makes the parts. Keypoints carry the names of ObjectNet3D;
"left" is the object's own left, +x in the canonical frame (`model.LEFT`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from typing import Any

import numpy as np

from stages.errors import UsageError
from stages.geometry.mesh import Mesh
from stages.shapes.spec import SPEC, labels
from stages.stage import Arrays, Item, Stage, differing, option

CATEGORIES = ("airplane", "car", "chair", "sofa", "table", "bed")
VERSION = 2
MOST = 9999  # of each category


@dataclass(frozen=True)
class Params:
    """How finely shapes are cut into triangles; their form does not depend on it."""

    detail: int = option(1, "segments of round parts, as a multiple of the usual", low=1, high=8)


def generate(category: str, rng: np.random.Generator, detail: int = 1) -> Mesh:
    """A random shape of the category, in the canonical frame (box centred, diagonal 1).

    Equal states of `rng` give equal shapes. Raises UsageError for an unknown category.
    """
    module = category_module(category)
    return module.build(module.sample(rng), detail).mesh()


def category_module(category: str) -> ModuleType:
    """The module with `sample` and `build`; UsageError for an unknown category."""
    if category not in CATEGORIES:
        raise UsageError(f"no generator for {category!r}", f"known: {', '.join(CATEGORIES)}")
    return import_module(f"{__name__}.{category}")


def process(item: Item, params: Params, rng: np.random.Generator) -> Arrays:
    """The shape `category/name` drawn by `rng`; it is its own family and in no split yet."""
    category, name = item.id.split("/", 1)
    mesh = generate(category, rng, params.detail)
    return {**mesh.to_arrays(), **labels("", name, "crossdim shapes generate", "CC0-1.0")}


def list_sources(origin: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Every shape that can be generated, by id; what one looks like follows from seed and id."""
    return {f"{c}/generated-{number:04d}": {} for c in CATEGORIES for number in range(MOST)}


STAGE = Stage(
    name="shapes",
    version=VERSION,
    params=Params,
    spec=SPEC,
    process=process,
    command="crossdim shapes generate",
    list_sources=list_sources,
    variant=lambda params: "-".join(
        ["generated", *(f"{name}{value}" for name, value in differing(params).items())]
    ),
)

"""What the tests of the generator share: samples, occupancy, distances to the surface."""

from __future__ import annotations

import dataclasses
from functools import cache
from typing import Any

import numpy as np

from stages.geometry.mesh import Mesh
from stages.shapes.generate import CATEGORIES, category_module
from stages.shapes.generate.freedom import draw
from stages.shapes.generate.model import Model

OF_KINDS, OF_DOMAIN = 8, 8  # per category: drawn from the kinds, and from the whole domain


def freedom_class(category: str) -> type:
    """The dataclass of the category's degrees of freedom."""
    kind = getattr(category_module(category), category.capitalize())
    assert dataclasses.is_dataclass(kind)
    return kind


def drawn(category: str, number: int) -> Any:
    """Parameters by number: the first OF_KINDS as users get them, the others from the whole domain.

    Every combination of the fields' domains must give a valid shape, however odd it looks.
    """
    rng = np.random.default_rng(number)
    if number < OF_KINDS:
        return category_module(category).sample(rng)
    return draw(freedom_class(category), rng)


@cache
def model(category: str, number: int, detail: int = 1) -> Model:
    """The parts of the shape with those parameters."""
    return category_module(category).build(drawn(category, number), detail)


@cache
def mesh(category: str, number: int, detail: int = 1) -> Mesh:
    """The mesh of that model."""
    return model(category, number, detail).mesh()


SHAPES = [(c, n) for c in CATEGORIES for n in range(OF_KINDS + OF_DOMAIN)]


def surface_distance(points: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """(K,) distances of (K, 3) points to the nearest of (F, 3, 3) triangles, by brute force.

    The nearest point of a triangle is either the foot of the perpendicular, if that lies inside,
    or the nearest point of one of its edges.
    """
    a, b, c = triangles.astype(np.float64).transpose(1, 0, 2)
    normal = np.cross(b - a, c - a)
    square = np.einsum("ij,ij->i", normal, normal)
    nearest = []
    for p in points.astype(np.float64):
        v = np.einsum("ij,ij->i", np.cross(p - a, c - a), normal) / square
        w = np.einsum("ij,ij->i", np.cross(b - a, p - a), normal) / square
        inside = (v >= 0) & (w >= 0) & (v + w <= 1)
        above = np.abs(np.einsum("ij,ij->i", p - a, normal)) / np.sqrt(square)
        best = np.where(inside, above, np.inf).min()
        for start, end in ((a, b), (b, c), (c, a)):
            edge = end - start
            t = np.einsum("ij,ij->i", p - start, edge) / np.einsum("ij,ij->i", edge, edge)
            foot = start + np.clip(t, 0, 1)[:, None] * edge
            best = min(best, np.linalg.norm(p - foot, axis=1).min())
        nearest.append(best)
    return np.array(nearest)

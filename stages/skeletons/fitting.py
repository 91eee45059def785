"""Templates fitted to shapes: mean and base shapes of named keypoints by PCA (`skeletons fit`).

Shapes have boxes of diagonal 1, so alpha_1 is the diagonal in pixels. Each shape counts as it is
and mirrored: what is learnt is as symmetric as the category. A base shape is a principal direction
times the deviation along it. Letters: M shapes, N keypoints, K bases.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from stages.errors import InputError, UsageError
from stages.skeletons.naming import columns, convention_of, mirror, wrong_sides
from stages.skeletons.template import TO_CANONICAL, Ranges, Template, load
from stages.store.workspace import Artefact, Workspace, category_of
from stages.viewpoints.categories import canonical

SCALE = (110.0, 220.0)  # diagonals in a picture of 240 x 320 pixels
_SHARE = (1.0, 99.0)  # percentiles of the weights that the ranges span
_ROUND = 6  # digits


@dataclass(frozen=True)
class Fit:
    """What to fit: shapes of a category, keypoints and edges of a template."""

    category: str
    template: str
    name: str  # of the fitted one
    sources: tuple[str, ...] = ()  # of the shapes; none: all
    convention: str = "auto"
    bases: int = 6


class Fitted(NamedTuple):
    """A fitted template, and how it came about."""

    template: Template
    shapes: int  # M
    left_out: dict[str, str]  # id -> why
    explained: np.ndarray  # (K - 1,) shares of the variance


def fit(workspace: Workspace, wanted: Fit) -> Fitted:
    """The template of all shapes of the category that have every keypoint.

    Raises InputError when there are none, UsageError when there are not more than base shapes.
    """
    template = load(wanted.template, workspace)
    points, left_out = _collect(workspace, wanted, template)
    if len(points) <= wanted.bases:
        raise UsageError(
            f"{len(points)} shapes of {wanted.category} have all keypoints, too few for "
            f"{wanted.bases} bases",
            "add shapes, or use fewer --bases",
        )
    mean, bases, weights, explained = principal(np.stack(points), wanted.bases)
    low, high = np.percentile(weights, _SHARE, axis=0)
    before = next(iter(template.ranges.values()))
    alpha = tuple((float(a), float(b)) for a, b in zip(low.round(3), high.round(3)))
    ranges = Ranges(SCALE, alpha, before.theta_deg, before.translation, before.focal)
    named = ", ".join(wanted.sources) or "all sources"
    made = dataclasses.replace(
        template,
        name=wanted.name,
        bases=np.concatenate([mean[None], bases]).round(_ROUND),
        ranges={"published": ranges},
        provenance=f"PCA of {len(points)} shapes of {wanted.category} from {named}, each mirrored "
        "as well; left is the object's own unless the names of sources say otherwise.",
    )
    return Fitted(made, len(points), left_out, explained)


def principal(
    shapes: np.ndarray, bases: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Mean (N, 3), `bases` - 1 base shapes, weights (M or 2 M, K - 1) and shares of the variance.

    shapes: (M, N, 3) in the skeleton frame. They are mirrored, too, where the mean has two sides.
    """
    partner = mirror(shapes.mean(0))
    if partner is not None:
        shapes = np.concatenate([shapes, shapes[:, partner] * [-1, 1, 1]])
    mean = shapes.mean(0)
    flat = (shapes - mean).reshape(len(shapes), -1)
    _, values, directions = np.linalg.svd(flat, full_matrices=False)
    deviation = values / np.sqrt(len(flat))
    kept = int(min(bases - 1, (deviation > 1e-9).sum()))
    made = (deviation[:kept, None] * directions[:kept]).reshape(kept, *mean.shape)
    weights = flat @ directions[:kept].T / deviation[:kept]
    total = max(float((deviation**2).sum()), 1e-12)
    return mean, made, weights, deviation[:kept] ** 2 / total


def _collect(
    workspace: Workspace, wanted: Fit, template: Template
) -> tuple[list[np.ndarray], dict[str, str]]:
    """The keypoints (N, 3) of each shape, skeleton frame, and why others are left out."""
    points: list[np.ndarray] = []
    left_out: dict[str, str] = {}
    seen = False
    for item, artefact in _shapes(workspace, wanted):
        seen = True
        arrays = artefact.read(item, ("keypoints", "keypoint_names", "source"))
        names = [bytes(name).decode() for name in arrays["keypoint_names"]]
        convention = wanted.convention
        if convention == "auto":
            convention = convention_of(bytes(arrays["source"]))
        try:
            column = columns(item, template, convention, names)
        except InputError as error:
            left_out[item] = str(error)
            continue
        if (column < 0).any():
            left_out[item] = f"it has no {template.keypoints[int((column < 0).argmax())]}"
        elif wrong := wrong_sides(template, arrays["keypoints"], column):
            left_out[item] = f"{wrong[0]} is on the other side: names of another --convention"
        else:
            points.append(arrays["keypoints"][column].astype(np.float64) @ TO_CANONICAL)
    if not seen:
        raise InputError(
            f"no shapes of {wanted.category} in {workspace.root}",
            f"run: crossdim shapes generate --category {wanted.category}",
        )
    return points, left_out


def _shapes(workspace: Workspace, wanted: Fit) -> Iterator[tuple[str, Artefact]]:
    """The shapes of the category, whatever their source calls it."""
    for artefact in workspace.artefacts("shapes"):
        if wanted.sources and artefact.variant not in wanted.sources:
            continue
        for item in artefact.index.items():
            if canonical(category_of(item)) == canonical(wanted.category):
                yield item, artefact

"""Which named point of a source is which keypoint of a template.

Sources call the same corner by different names: the left of the generator of shapes is the
object's own, that of ObjectNet3D is the left of who looks at that side (docs/photos.md). Each
template says for each convention what its keypoints are called there; nothing is guessed from the
names. Letters: N keypoints of the template, L points of the source.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from stages.errors import InputError
from stages.skeletons.template import TO_CANONICAL, Template

GENERATED = b"crossdim shapes generate"  # what the generator says as the source of its shapes
_PHOTOS = ("keypoint5", "flic", "cub")
_CLEAR = 0.05  # diagonals from the plane of symmetry: a point there has a side


def convention_of(source: bytes) -> str:
    """Whose names the keypoints of a shape have, by what it says of its source.

    Named keypoints come from the generator, or with CAD models annotated like those of ObjectNet3D.
    """
    return "generated" if source.startswith(GENERATED) else "objectnet3d"


def convention_of_photos(template: Template) -> str:
    """Whose names the keypoints of annotated photos have: those that the template is made for."""
    return next((name for name in _PHOTOS if name in template.sources), _PHOTOS[0])


def columns(
    item: str, template: Template, convention: str, names: Sequence[str], other: bool = False
) -> np.ndarray:
    """(N,) rows of `names`, those of a source, that are the template's keypoints; -1 for none.

    Raises InputError for a convention that the template does not know, and when none is found,
    unless it is an item of an `other` category.
    """
    if convention not in template.sources:
        raise InputError(
            f"template {template.name} does not know the keypoints' names of {convention!r}",
            f"it knows: {', '.join(template.sources)}",
        )
    known, place = template.sources[convention], {name: row for row, name in enumerate(names)}
    found = np.array([place.get(known.get(name, ""), -1) for name in template.keypoints])
    if (found < 0).all() and not other:
        raise InputError(
            f"{item} has none of the keypoints of template {template.name}",
            f"it has: {', '.join(names[:6])}" if names else "it has no named keypoints",
        )
    return found


def wrong_sides(template: Template, points: np.ndarray, column: np.ndarray) -> list[str]:
    """The keypoints that lie on the other side than those of the mean shape do.

    points: (L, 3) of the source, canonical frame; `column` is what `columns` gave. Names of another
    convention than was told give themselves away like this.
    """
    mean = template.bases[0] @ TO_CANONICAL.T
    side = mean[:, 0] / np.linalg.norm(np.ptp(mean, axis=0))
    known = column >= 0
    there = np.where(known, points[column, 0], 0)
    wrong = known & (side * there < 0) & (np.abs(side) > _CLEAR) & (np.abs(there) > _CLEAR)
    return [name for name, bad in zip(template.keypoints, wrong) if bad]


def mirror(mean: np.ndarray) -> list[int] | None:
    """Which keypoint each one becomes in a mirrored picture, of a mean shape (N, 3).

    None where a side is not the other one's mirror, as of the five wheels of a swivel chair.
    """
    apart = np.linalg.norm(mean[:, None] - mean[None] * [-1, 1, 1], axis=-1)  # (N, N)
    partner = apart.argmin(1)
    symmetric = apart.min(1).max() < _CLEAR * np.linalg.norm(np.ptp(mean, axis=0))
    whole = (partner[partner] == np.arange(len(mean))).all()
    return [int(p) for p in partner] if symmetric and whole else None

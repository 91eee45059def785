"""Rotations told of pairs, beside the truth: what is kept of them, and their tables.

A pair is a view of one shape and what it is compared with: another view, or the mesh of a shape.
The rotation sought takes the second's frame to the first's: R1 R2^T of two cameras, R1 of a camera
and a mesh in the canonical frame; of two shapes, as if they were one.

Letters: N pairs, V views, M methods.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from stages.errors import InputError
from stages.evaluate.tables import Row, Table
from stages.geometry.rotations import geodesic
from stages.stage import Arrays, ArraySpec
from stages.store.workspace import Artefact, category_of
from stages.viewpoints.categories import canonical

PAIRS = 3  # of a view
# Categories of which some shapes are their own half turn: the paper counts errors up to one.
HALF_TURN = ("airplane",)
_GUESSES = 20  # of chance, for each pair


class Pair(NamedTuple):
    """A view of the item, and what it is compared with: a view of a shape, or its mesh (-1)."""

    view: int
    shape: str
    other: int = -1


def spec_of(base: str) -> dict[str, ArraySpec]:
    """The arrays of the pairs of one kind, `instance` or `category`; of an item any number."""

    def pairs(dtype: str, *axes: str, units: str = "", frame: str = "") -> ArraySpec:
        shape = (None, *map({"row": 3, "column": 3}.get, axes))
        return ArraySpec(dtype, ("pair", *axes), units, frame, shape=shape, ragged=True)

    frame = "from the second's frame to the first's"
    return {
        f"{base}_view": pairs("int32"),
        f"{base}_shape": pairs("S200"),
        f"{base}_other": pairs("int32"),  # view of that shape, -1 for its mesh
        f"{base}_truth": pairs("float32", "row", "column", frame=frame),
        f"{base}_told": pairs("float32", "method", "row", "column", frame=frame),
        f"{base}_error_deg": pairs("float32", "method", units="deg"),
    }


ROTATION = ArraySpec(
    "float32",
    ("view", "row", "column"),
    frame="canonical to camera (OpenCV)",
    shape=(None, 3, 3),
)


def arrays_of(base: str, pairs: Sequence[Pair], truth: np.ndarray, told: np.ndarray) -> Arrays:
    """The arrays of `spec_of` for N pairs: truth (N, 3, 3), told (N, M, 3, 3)."""
    error = np.degrees(geodesic(told.astype(np.float64), truth[:, None].astype(np.float64)))
    return {
        f"{base}_view": np.array([pair.view for pair in pairs], np.int32),
        f"{base}_shape": np.array([pair.shape.encode() for pair in pairs], "S200"),
        f"{base}_other": np.array([pair.other for pair in pairs], np.int32),
        f"{base}_truth": truth.astype(np.float32),
        f"{base}_told": told.astype(np.float32),
        f"{base}_error_deg": error.astype(np.float32),
    }


def some_of(names: Sequence[str], rng: np.random.Generator) -> list[str]:
    """PAIRS different names, or all where there are fewer, in random order."""
    order = rng.permutation(len(names))[:PAIRS]
    return [names[number] for number in order]


def angle_tables(
    results: Artefact, ids: Sequence[str], methods: Sequence[str], titles: Mapping[str, str]
) -> tuple[Table, ...]:
    """A table for each base in `titles`: median error, shares below 15 and 30 degrees, by category.

    Chance answers with the truth of other pairs of the category. Where HALF_TURN says so there are
    rows up to a half turn about the vertical axis of the shape, too, and as the paper's code has
    them: the smaller of e and 180 - e, which forgives half turns about any axis, and of other
    errors whatever is not about that axis. A table without pairs is left out; raises InputError
    when none has any.
    """
    tables = []
    for base, title in titles.items():
        told = _told(results, ids, base)
        if not told:
            continue
        rows: list[Row] = []
        for number, method in enumerate(methods):
            rows += _rows(method, {c: one.by(number) for c, one in told.items()})
        chance = {c: _chance(one) for c, one in told.items() if len(one.truth) > 1}
        tables.append(Table(base, title, (*rows, *_rows("chance", chance))))
    if not tables:
        raise InputError(
            f"no pairs in {results.name}: a single view of each shape, a single shape of each kind",
            "measure on more views, or train on more shapes",
        )
    return tuple(tables)


@dataclass(frozen=True)
class _Told:
    """What was told of all pairs of a category, float64."""

    first: np.ndarray  # (N, 3, 3) rotation of the first view
    truth: np.ndarray  # (N, 3, 3)
    answer: np.ndarray  # (N, M, 3, 3), or (N, 3, 3) of one method

    def by(self, method: int) -> _Told:
        return _Told(self.first, self.truth, self.answer[:, method])

    def errors(self) -> np.ndarray:
        """(N,) degrees between answer and truth."""
        return np.degrees(geodesic(self.answer, self.truth))

    def errors_to_half_turn(self) -> np.ndarray:
        """(N,) degrees, of the truth and of that for the first shape turned by half."""
        half = np.diag([-1.0, -1.0, 1.0])
        turned = self.first @ half @ self.first.transpose(0, 2, 1) @ self.truth
        return np.minimum(self.errors(), np.degrees(geodesic(self.answer, turned)))


def _told(results: Artefact, ids: Sequence[str], base: str) -> dict[str, _Told]:
    """What was told by category, without those that have no pairs."""
    found: dict[str, list[tuple[np.ndarray, ...]]] = {}
    names = tuple(f"{base}_{what}" for what in ("view", "truth", "told"))
    for item in ids:
        arrays = results.read(item, ("rotation", *names))
        view, truth, told = (arrays[name] for name in names)
        if len(view):
            found.setdefault(category_of(item), []).append((arrays["rotation"][view], truth, told))
    return {
        category: _Told(*(np.concatenate(parts).astype(np.float64) for parts in zip(*rows)))
        for category, rows in found.items()
    }


def _chance(told: _Told) -> _Told:
    """Each pair answered with the truths of some other pairs."""
    count = len(told.truth)
    order = np.random.default_rng(0).permutation(count)
    shifts = range(1, min(_GUESSES, count - 1) + 1)
    other = np.concatenate([np.roll(order, shift) for shift in shifts])
    this = np.tile(order, len(shifts))
    return _Told(told.first[this], told.truth[this], told.truth[other])


def _rows(method: str, told: Mapping[str, _Told]) -> list[Row]:
    """Three rows of a method, and six more where a category calls for it."""

    def rows(suffix: str, of: Mapping[str, np.ndarray]) -> list[Row]:
        def row(what: str, value: Callable[[np.ndarray], Any]) -> Row:
            return f"{method}: {what}{suffix}", {c: float(value(e)) for c, e in of.items()}

        return [
            row("median error", np.median),
            row("acc@15", lambda e: (e < 15).mean()),
            row("acc@30", lambda e: (e < 30).mean()),
        ]

    errors = {c: one.errors() for c, one in told.items()}
    turned = {c: one for c, one in told.items() if canonical(c) in HALF_TURN}
    if not turned:
        return rows("", errors)
    exact = {c: one.errors_to_half_turn() for c, one in turned.items()}
    paper = {c: np.minimum(errors[c], 180 - errors[c]) for c in turned}
    return [
        *rows("", errors),
        *rows(", up to a half turn", exact),
        *rows(", min(e, 180 - e)", paper),
    ]

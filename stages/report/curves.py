"""Learning curves as SVG, drawn in the colours of the page.

A panel a metric. Letters that `metrics.csv` puts before a name: `val_` all of validation, `curve_`
one validation batch, nothing for the training batches.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_SKIPPED = ("step", "seconds", "lr")
_KINDS = (("", "training"), ("curve_", "a validation batch"), ("val_", "validation"))
_MOST_POINTS = 240
WIDTH, HEIGHT = 300, 150
_LEFT, _RIGHT, _TOP, _BOTTOM = 50, 8, 8, 22
_WIDE = 10.0  # largest over smallest value, from which the scale is logarithmic


@dataclass(frozen=True)
class Line:
    """One curve: what it is of, its points in the panel, and its last value."""

    kind: str
    points: str
    last: str
    dot: tuple[float, float] | None = None  # a curve of a single point


@dataclass(frozen=True)
class Panel:
    """All curves of one metric, on one scale."""

    name: str
    lines: tuple[Line, ...]
    ticks: tuple[tuple[float, str], ...]  # height in the panel, value
    steps: tuple[tuple[float, str], ...]
    logarithmic: bool

    @property
    def text(self) -> str:
        """What the panel shows, for those who do not see it."""
        ends = "; ".join(f"{line.kind} ends at {line.last}" for line in self.lines)
        return f"{self.name} against the step: {ends}"


def panels(rows: Sequence[Mapping[str, float]]) -> list[Panel]:
    """The panels of a run's metrics, in the order of their columns; [] without rows."""
    names: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for row in rows:
        for column, value in row.items():
            if column in _SKIPPED or not math.isfinite(value):
                continue
            prefix = next((p for p, _ in _KINDS[1:] if column.startswith(p)), "")
            series = names.setdefault(column.removeprefix(prefix), {})
            series.setdefault(prefix, []).append((row["step"], value))
    return [_panel(name, series) for name, series in names.items()]


def _panel(name: str, series: Mapping[str, Sequence[tuple[float, float]]]) -> Panel:
    every = [point for points in series.values() for point in points]
    first, last = min(p[0] for p in every), max(p[0] for p in every)
    low, high = min(p[1] for p in every), max(p[1] for p in every)
    logarithmic = 0 < low * _WIDE < high
    bottom, top = (math.log10(low), math.log10(high)) if logarithmic else (low, high)
    wide, tall = (last - first) or 1.0, (top - bottom) or 1.0

    def place(point: tuple[float, float]) -> tuple[float, float]:
        value = math.log10(point[1]) if logarithmic else point[1]
        x = _LEFT + (point[0] - first) / wide * (WIDTH - _LEFT - _RIGHT)
        y = HEIGHT - _BOTTOM - (value - bottom) / tall * (HEIGHT - _TOP - _BOTTOM)
        return x, y

    lines = []
    for prefix, kind in _KINDS:
        points = list(series.get(prefix, ()))
        if points:
            placed = [place(p) for p in _thinned(points)]
            text = " ".join(f"{x:.1f},{y:.1f}" for x, y in placed)
            dot = placed[0] if len(placed) == 1 else None
            lines.append(Line(kind, text, f"{points[-1][1]:.4g}", dot))
    middle = (bottom + top) / 2
    levels = [10**v if logarithmic else v for v in dict.fromkeys((bottom, middle, top))]
    ticks = tuple((place((first, v))[1], _short(v)) for v in levels)
    steps = tuple((place((s, high))[0], f"{s:,.0f}") for s in dict.fromkeys((first, last)))
    return Panel(name, tuple(lines), ticks, steps, logarithmic)


def _short(value: float) -> str:
    """Three digits, in little room: 1.05e4 where that is shorter."""
    return re.sub(r"e([+-])0?", lambda m: "e-" if m[1] == "-" else "e", f"{value:.3g}")


def _thinned(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """At most _MOST_POINTS of them, evenly, the last one among them."""
    if len(points) <= _MOST_POINTS:
        return list(points)
    return [points[round(n * (len(points) - 1) / (_MOST_POINTS - 1))] for n in range(_MOST_POINTS)]

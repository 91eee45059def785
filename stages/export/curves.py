"""Learning curves of runs, from their metrics.csv."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

from stages.errors import InputError, UsageError
from stages.train.log import read_metrics
from stages.train.run import Run

_SKIPPED = ("step", "seconds", "lr")
# What stands before the name of a metric in metrics.csv, and what is shown for it.
_KINDS = {"": "training batches", "curve_": "a validation batch", "val_": "all of validation"}
_WIDE = 10.0  # largest over smallest value, from which the scale is logarithmic

Rows = Sequence[Mapping[str, float]]


def curves_png(run: Run) -> bytes:
    """PNG of every loss and validation number of a run against the step, a panel each."""
    rows = _rows(run)
    names = [n for n in dict.fromkeys(k for row in rows for k in row) if n not in _SKIPPED]
    figure, panels = _panels(len(names))
    for axes, name in zip(panels, names):
        axes.plot(*_points(rows, name), linewidth=1)
        axes.set_title(name, fontsize=9)
    return _png(figure)


def compared_png(runs: Sequence[Run], metric: str) -> bytes:
    """PNG of one metric of several runs, a panel each on one scale, as figure 4 of deep encoding.

    In training and in validation, where the runs log both. Raises UsageError for a metric that a
    run does not have.
    """
    figure, panels = _panels(len(runs), shared=True)
    values: list[float] = []
    for axes, run in zip(panels, runs):
        rows = _rows(run)
        shown = {kind: _points(rows, f"{kind}{metric}") for kind in _KINDS}
        if not any(steps for steps, _ in shown.values()):
            there = dict.fromkeys(k for row in rows for k in row if k not in _SKIPPED)
            raise UsageError(
                f"run {run.name} has no metric {metric!r}", f"there are: {', '.join(there)}"
            )
        for kind, points in shown.items():
            if points[0]:
                axes.plot(*points, linewidth=1, label=_KINDS[kind])
                values += points[1]
        axes.set_title(run.name, fontsize=9)
    if 0 < min(values) * _WIDE < max(values):  # the first steps would flatten all others
        panels[0].set_yscale("log")
    panels[0].legend(fontsize=7, frameon=False)
    panels[0].set_ylabel(metric, fontsize=8)
    return _png(figure)


def _rows(run: Run) -> Rows:
    rows = read_metrics(run.metrics)
    if not rows:
        raise InputError(f"run {run.name} has no metrics yet", f"run: crossdim train {run.system}")
    return rows


def _points(rows: Rows, name: str) -> tuple[list[float], list[float]]:
    found = [(row["step"], row[name]) for row in rows if name in row]
    return [step for step, _ in found], [value for _, value in found]


def _panels(count: int, shared: bool = False) -> tuple[Any, list[Any]]:
    """A figure, and `count` axes in it, four a line; `shared` ones have one scale."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = min(4, count)
    lines = -(-count // columns)
    figure = Figure(figsize=(3.2 * columns, 2.4 * lines), layout="constrained")
    FigureCanvasAgg(figure)
    panels: list[Any] = []
    for number in range(count):
        same = panels[0] if shared and panels else None
        axes = figure.add_subplot(lines, columns, number + 1, sharey=same, sharex=same)
        axes.tick_params(labelsize=7)
        panels.append(axes)
    return figure, panels


def _png(figure: Any) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()

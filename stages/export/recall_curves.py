"""Curves of 3D-INN over a threshold: PCK (figure 4), recall of structure and viewpoint (figure 7).

Made of cached results, without the networks.
Letters: S pictures, N keypoints, T thresholds.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from stages.errors import InputError, UsageError
from stages.evaluate import skeleton
from stages.evaluate.keypoints import METHODS
from stages.evaluate.keypoints_protocol import CONSTANT, NAMES, constant_answer, distances
from stages.evaluate.landmarked import by_category
from stages.evaluate.skeleton_metrics import (
    AZIMUTH_THRESHOLDS,
    RMSE_THRESHOLDS,
    pck_curve,
    recall,
    torso_known,
)
from stages.evaluate.skeleton_protocol import NAMES as SKELETON_NAMES
from stages.evaluate.skeleton_protocol import azimuth_errors
from stages.export.measured import Group, Measured, grouped
from stages.stage import Arrays
from stages.store.workspace import Workspace

PCK_RANGE = np.linspace(0, 0.3, 61).round(6)  # with those of the table
CHANCE = "chance: any azimuth alike"
_TRIVIAL = (CONSTANT, CHANCE, "mean shape")
_BESIDE = (*_TRIVIAL, "optimisation")  # what a run is compared with
_DASHES: tuple[Any, ...] = (
    "-",
    "--",
    "-.",
    (0, (4, 1, 1, 1, 1, 1)),
)  # of the methods, where runs have colours
_TELLS = {"after": "after step joint", "before": "before step joint"}
_GREY = "0.35"


class Curve(NamedTuple):
    """Shares (T,) by a method, of the run of this name; of all of them alike without."""

    method: str
    run: str | None
    values: np.ndarray


class Panel(NamedTuple):
    """Curves over the same thresholds and the same samples."""

    title: str
    thresholds: np.ndarray  # (T,)
    label: str  # of the thresholds
    curves: tuple[Curve, ...]


class Zoom(NamedTuple):
    """The thresholds that are drawn once more, larger."""

    low: float
    high: float


def pck_png(
    workspace: Workspace, found: Sequence[Measured], which: str, torso: bool, zoom: Zoom
) -> bytes:
    """PNG of figure 4: a line of panels for each set of pictures and category, all and a part.

    `which` and `torso` as of `pck_panel`. Raises UsageError for a zoom that is not on the curves.
    """
    check(zoom, PCK_RANGE)
    panels = [pck_panel(workspace, group, which, torso) for group in grouped(found)]
    figure, lines = _figure(len(panels), 2, beside=2.2)
    runs = [one.run.name for one in found]
    for (whole, part), panel in zip(lines, panels):
        _draw(whole, panel, runs)
        _enlarge(whole, part, panel, runs, zoom)
        whole.set_ylabel("PCK")
        part.legend(fontsize=8, bbox_to_anchor=(1.02, 1), loc="upper left", frameon=False)
    return _png(figure, runs)


def recall_png(found: Sequence[Measured], zoom: Zoom) -> bytes:
    """PNG of figure 7: recall of structure, a part of it, recall of azimuth.

    The legends have the average recalls. Raises UsageError for a zoom that is not on the curves.
    """
    check(zoom, RMSE_THRESHOLDS)
    rows = [recall_panels(group) for group in grouped(found)]
    figure, lines = _figure(len(rows), 3)
    runs = [one.run.name for one in found]
    for (whole, part, view), (structure, azimuth) in zip(lines, rows):
        if structure.curves:
            _draw(whole, structure, runs, averages=True)
            _enlarge(whole, part, structure, runs, zoom)
            whole.set_ylabel("recall")
            _legend_below(whole)
        else:
            whole.text(0.5, 0.5, "no keypoint is known in 3D", ha="center", fontsize=9)
            whole.set_axis_off()
            part.set_axis_off()
        _draw(view, azimuth, runs, averages=True)
        view.set_ylabel("recall")
        _legend_below(view)
    return _png(figure, runs)


def check(zoom: Zoom, thresholds: np.ndarray) -> None:
    """UsageError unless some of the thresholds lie in it, and it in them."""
    inside = ((thresholds >= zoom.low) & (thresholds <= zoom.high)).sum()
    if inside < 2 or zoom.low < 0 or zoom.high > thresholds[-1]:
        raise UsageError(
            f"there is no curve from {zoom.low:g} to {zoom.high:g}",
            f"choose --zoom-from and --zoom-to between 0 and {thresholds[-1]:g}",
        )


def _legend_below(axes: Any) -> None:
    axes.legend(
        title="average recall",
        loc="upper center",
        bbox_to_anchor=(0.5, -0.17),
        fontsize=8,
        title_fontsize=8,
        frameon=False,
    )


def pck_panel(workspace: Workspace, group: Group, which: str, torso: bool) -> Panel:
    """The curves of each run and method, and those of the mean of its training.

    `which`: of keypoints that are `labelled`, or `visible`; in lengths of the box, or of the
    `torso`. UsageError where no torso is known, InputError where no such keypoint is.
    """
    found: dict[str, Mapping[str, np.ndarray]] = {}
    for one in group.measured:
        arrays = by_category(one.results, group.ids, NAMES)[group.category]
        away = distances(arrays, which, constant_answer(workspace, one.run))
        found[one.run.name] = {name: _pck(d, arrays, torso) for name, d in away.items()}
    if not any(found.values()):
        raise InputError(f"{group.on} has no {which} keypoint", "give other pictures")
    if torso:
        counted = arrays[which][torso_known(np.where(arrays[which], 0, np.nan), arrays["torso"])]
        label = "distance / length of the torso"
    else:
        counted = arrays[which]
        label = "distance / longer side of the keypoints' box"
    title = _title(group, f"{int(counted.sum()):,} {which} keypoints of {len(counted):,} pictures")
    return Panel(title, PCK_RANGE, label, _curves(found, (*METHODS, CONSTANT)))


def _pck(away: np.ndarray, arrays: Arrays, torso: bool) -> np.ndarray:
    """(T,) of distances (S, N)."""
    if not torso:
        return pck_curve(away, arrays["length"], PCK_RANGE)
    known = torso_known(away, arrays["torso"])
    if not known.any():
        raise UsageError("no torso is known in these pictures", "leave out --torso")
    return pck_curve(away[known], arrays["torso"][known], PCK_RANGE)


def recall_panels(group: Group) -> tuple[Panel, Panel]:
    """Of structure, and of azimuth, as `skeleton_protocol.skeleton_tables` counts.

    Without curves of structure where no keypoint is known in 3D.
    """
    structure: dict[str, dict[str, np.ndarray]] = {}
    azimuth: dict[str, dict[str, np.ndarray]] = {}
    for one in group.measured:
        arrays = by_category(one.results, group.ids, SKELETON_NAMES)[group.category]
        structure[one.run.name] = {
            name: recall(errors, RMSE_THRESHOLDS)
            for name, errors in zip(skeleton.METHODS, arrays["rmse"].T)
            if np.isfinite(errors).any()
        }
        azimuth[one.run.name] = {
            name: recall(azimuth_errors(arrays, m), AZIMUTH_THRESHOLDS)
            for m, name in enumerate(skeleton.METHODS[:-1])
        } | {CHANCE: AZIMUTH_THRESHOLDS / 180}
    unknown = int(np.isnan(arrays["rmse"]).all(1).sum())
    missed = f", {unknown:,} without truth count as missed" if unknown else ""
    counted = f"{len(arrays['rmse']):,} pictures"
    methods = (*skeleton.METHODS, CHANCE)
    return (
        Panel(
            _title(group, counted + missed),
            RMSE_THRESHOLDS,
            "RMSE of the skeleton (diagonals)",
            _curves(structure, methods),
        ),
        Panel(
            _title(group, counted),
            AZIMUTH_THRESHOLDS,
            "azimuth error (degrees)",
            _curves(azimuth, methods),
        ),
    )


def _title(group: Group, counted: str) -> str:
    return f"{group.category} of {group.on}: {len(group.ids):,} items,\n{counted}"


def _curves(
    found: Mapping[str, Mapping[str, np.ndarray]], methods: Sequence[str]
) -> tuple[Curve, ...]:
    """A curve a method and run; one of all runs where it is the same, as trivial answers are."""
    curves: list[Curve] = []
    for method in methods:
        there = [(run, of[method]) for run, of in found.items() if method in of]
        if len(there) > 1 and all(np.array_equal(there[0][1], other) for _, other in there[1:]):
            there = [("", there[0][1])]
        curves += [Curve(method, run or None, values) for run, values in there]
    return tuple(curves)


def _draw(axes: Any, panel: Panel, runs: Sequence[str], averages: bool = False) -> None:
    """All curves; of one run in a colour a method, of several in a colour a run."""
    methods = list(dict.fromkeys(curve.method for curve in panel.curves))
    for curve in panel.curves:
        label = _TELLS.get(curve.method, curve.method)
        number: int = methods.index(curve.method)
        style: Any = "-"
        if len(runs) > 1:
            style = _DASHES[number % len(_DASHES)]
            number = runs.index(curve.run) if curve.run else 0
            label = f"{curve.run}: {label}" if curve.run else label
        colour = f"C{number}" if curve.run else _GREY
        if curve.method in _TRIVIAL:
            style, colour = ":", _GREY if len(runs) == 1 else colour
        label += f": {curve.values.mean():.3f}" if averages else ""
        axes.plot(panel.thresholds, curve.values, ls=style, color=colour, label=label, lw=1.3)
    axes.set_title(panel.title, fontsize=8)
    axes.set_xlabel(panel.label, fontsize=9)
    axes.set_xlim(panel.thresholds[0], panel.thresholds[-1])
    axes.set_ylim(0, 1)


def _enlarge(whole: Any, part: Any, panel: Panel, runs: Sequence[str], zoom: Zoom) -> None:
    """Draw what lies between two thresholds once more, and a dashed rectangle around it.

    As high as what the runs have there; what they are compared with may lie below.
    """
    from matplotlib.patches import Rectangle

    _draw(part, panel, runs)
    inside = (panel.thresholds >= zoom.low) & (panel.thresholds <= zoom.high)
    shown = np.stack([c.values[inside] for c in panel.curves if c.method not in _BESIDE])
    low, high = max(0, float(shown.min()) - 0.02), min(1, float(shown.max()) + 0.02)
    part.set_xlim(zoom.low, zoom.high)
    part.set_ylim(low, high)
    part.set_title("dashed part", fontsize=8)
    size = zoom.high - zoom.low, high - low
    box = Rectangle((zoom.low, low), *size, fill=False, ls="--", lw=0.8, color="black")
    whole.add_patch(box)


def _figure(lines: int, columns: int, beside: float = 0) -> tuple[Any, Any]:
    """A figure and its axes (lines, columns); `beside`: inches for a legend on the right."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.2 * columns + beside, 4.2 * lines), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(lines, columns, squeeze=False)


def _png(figure: Any, runs: Sequence[str]) -> bytes:
    if len(runs) == 1:
        figure.suptitle(f"run {runs[0]}", fontsize=9)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()

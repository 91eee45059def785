"""Viewpoints on the unit sphere, as Fig. 2 of the deep-encoding paper, and their azimuths."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import numpy as np

from stages.geometry import cameras
from stages.viewpoints.fitted import density_of

SAMPLES = 20_000  # drawn for the histogram
_DOTS = 2000  # shown on a sphere
_TILTED_DEG = 15.0  # from which the paper draws a point in green
_UPRIGHT, _TILTED = "#c03028", "#2f8f3a"
_EYE = np.array([25.0, 20.0, 0.0, 4.0])  # from where the spheres are seen
_BINS = 24


def viewpoints_png(table: Mapping[str, Any], title: str, seed: int = 0) -> bytes:
    """PNG of a fitted table: annotations and samples as camera positions, azimuths of both.

    The front of the object is towards the arrow; points beyond the sphere's rim are pale.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    density = density_of(table)
    rng = np.random.default_rng(seed)
    drawn = density.sample(SAMPLES, rng)
    annotated = np.repeat(density.points, density.counts.astype(int), axis=0)
    shown = annotated[rng.permutation(len(annotated))[:_DOTS]]
    figure = Figure(figsize=(12.6, 4.6), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title)
    for number, (points, name) in enumerate(
        ((shown, f"annotations, n = {table['n']}"), (drawn[:_DOTS], "samples"))
    ):
        axes = figure.add_subplot(1, 3, number + 1)
        _sphere(axes, points)
        axes.set_title(name, fontsize=10)
    _azimuths(figure.add_subplot(1, 3, 3, projection="polar"), annotated, drawn)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()


def _positions(viewpoints: np.ndarray) -> np.ndarray:
    """(N, 3) camera positions on the unit sphere, world frame."""
    views = np.array(viewpoints, np.float64)
    views[:, 3] = 1.0
    extrinsics = cameras.extrinsics(views)
    return -np.einsum("nji,nj->ni", extrinsics[:, :, :3], extrinsics[:, :, 3])


def _seen(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(N, 2) orthographic picture positions, y upwards, and whether they are on the near side."""
    rotation = cameras.extrinsics(_EYE)[:, :3]
    turned = points @ rotation.T
    return turned[:, :2] * (1, -1), turned[:, 2] < 0


def _sphere(axes: Any, viewpoints: np.ndarray) -> None:
    circle = np.linspace(0, 2 * np.pi, 361)
    axes.plot(np.cos(circle), np.sin(circle), color="0.5", linewidth=0.8)
    lines = [(np.full(361, e), np.degrees(circle)) for e in (-60, -30, 0, 30, 60)]
    lines += [(np.linspace(-180, 180, 361), np.full(361, a)) for a in (0, 30, 60, 90, 120, 150)]
    for elevation, azimuth in lines:
        zeros = np.zeros(361)
        line, near = _seen(_positions(np.stack([azimuth, elevation, zeros, zeros], -1)))
        strong = 1.0 if (elevation == 0).all() else 0.5
        for part, alpha in ((near, 0.5), (~near, 0.15)):
            kept = np.where(part[:, None], line, np.nan)
            axes.plot(*kept.T, color="0.4", linewidth=strong, alpha=alpha)
    places, near = _seen(_positions(viewpoints))
    tilted = np.abs(viewpoints[:, 2]) > _TILTED_DEG
    for mask, colour, word in ((~tilted, _UPRIGHT, "<"), (tilted, _TILTED, ">")):
        label = f"in-plane {word} {_TILTED_DEG:g}°"
        axes.scatter(*places[mask & ~near].T, s=3, color=colour, alpha=0.15, linewidths=0)
        axes.scatter(
            *places[mask & near].T, s=4, color=colour, alpha=0.6, linewidths=0, label=label
        )
    front, _ = _seen(np.array([[0, -1.05, 0], [0, -1.6, 0.0]]))
    axes.annotate("", front[1], front[0], arrowprops={"arrowstyle": "->", "color": "0.2"})
    axes.text(*front[1], "front", fontsize=8, ha="center", va="top")
    axes.legend(loc="lower right", fontsize=7, frameon=False, markerscale=3)
    axes.set_xlim(-1.25, 1.25)
    axes.set_ylim(-1.25, 1.25)
    axes.set_aspect("equal")
    axes.set_axis_off()


def _azimuths(axes: Any, annotated: np.ndarray, drawn: np.ndarray) -> None:
    """Shares of 24 azimuth bins, seen from above with the front of the object below."""
    step = 360 / _BINS
    for viewpoints, name, more in (
        (annotated, "annotations", {"color": "0.75", "edgecolor": "0.6"}),
        (drawn, "samples", {"facecolor": "none", "edgecolor": _UPRIGHT, "linewidth": 1.2}),
    ):
        bins = np.floor((viewpoints[:, 0] + step / 2) % 360 / step).astype(int) % _BINS
        shares = 100 * np.bincount(bins, minlength=_BINS) / len(viewpoints)
        angles = np.radians(np.arange(_BINS) * step)
        axes.bar(angles, shares, width=np.radians(step), label=name, **more)
    axes.set_theta_zero_location("S")
    axes.set_theta_direction(1)
    axes.tick_params(labelsize=7)
    axes.set_title("azimuth, % in bins of 15°", fontsize=10)
    axes.legend(loc="upper left", bbox_to_anchor=(-0.2, 1.05), fontsize=7, frameon=False)

"""Codes of test pictures, and of voxels among them, in the plane: figure 5 of deep encoding.

Drawn from the results of `eval retrieval`, without the network. Letters: N codes, C length of one.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from stages.errors import InputError, UsageError
from stages.export.pictures import in_turn
from stages.store.cells import text_cell
from stages.store.shard import params_of
from stages.store.workspace import Artefact, Workspace
from stages.train.run import Run

_MARKERS = "os^vD<>pPX*hHd8"
_THUMBNAIL = 28  # pixels a side


@dataclass(frozen=True)
class Options:
    """Which codes, and the parameters of t-SNE."""

    objects: int = 10
    images: int = 300  # of all objects together
    voxels: bool = False  # the codes of their voxels, too
    perplexity: float = 30.0
    seed: int = 0


@dataclass(frozen=True)
class Plane:
    """Codes in the plane: one row a code, pictures of each shape, then its voxels."""

    shape: tuple[str, ...]  # (N,) ids
    view: np.ndarray  # (N,) numbers of views, -1 for voxels
    place: np.ndarray  # (N, 2)
    kl: float  # Kullback-Leibler divergence that t-SNE ends with


def choose_results(workspace: Workspace, run: Run, name: str | None) -> Artefact:
    """The results of retrieval of a run on the views of that name, else on the first ones."""
    for artefact in workspace.artefacts("results/retrieval"):
        params = params_of(artefact.index.key) if artefact.index.key else {}
        views = {text.partition(" ")[0] for text in params.get("inputs", ())}
        is_wanted = name is None or f"views/{name}" in views
        if params.get("run") == f"{run.system}-{run.name}" and is_wanted:
            return artefact
    on = f" on views/{name}" if name else ""
    raise InputError(
        f"run {run.name} has no results of retrieval{on}",
        f"run: crossdim eval retrieval --run {run.name}" + (f" --views {name}" if name else ""),
    )


def views_of(workspace: Workspace, results: Artefact) -> Artefact:
    """The views that results of retrieval were measured on."""
    inputs = params_of(results.index.key)["inputs"] if results.index.key else ()
    names = [text.partition(" ")[0] for text in inputs]
    variant = next(name.partition("/")[2] for name in names if name.startswith("views/"))
    return workspace.artefact("views", variant)


def plane_of(results: Artefact, options: Options) -> Plane:
    """The codes of some test shapes by t-SNE (van der Maaten and Hinton 2008; scikit-learn's).

    Shapes in turn from the categories, the same number of views of each, the first ones. The same
    seed gives the same plane. Raises UsageError where there are too few codes for the perplexity.
    """
    from sklearn.manifold import TSNE

    chosen = in_turn(sorted(results.index.items()), options.objects)
    each = max(1, options.images // len(chosen))
    codes: list[np.ndarray] = []
    shape: list[str] = []
    view: list[int] = []
    for item in chosen:
        arrays = results.read(item, ("image_code", "voxel_code"))
        images = arrays["image_code"][:each]  # (K, C)
        voxel = [arrays["voxel_code"][None]] if options.voxels else []
        codes += [images, *voxel]
        numbers = [*range(len(images)), *([-1] * len(voxel))]
        view += numbers
        shape += [item] * len(numbers)
    if len(view) <= options.perplexity:
        raise UsageError(
            f"{len(view)} codes are too few for a perplexity of {options.perplexity:g}",
            f"use --perplexity {max(1, (len(view) - 1) // 3)} or less, or show more",
        )
    tsne = TSNE(perplexity=options.perplexity, init="pca", random_state=options.seed)
    place = tsne.fit_transform(np.concatenate(codes))
    return Plane(tuple(shape), np.array(view), place, float(tsne.kl_divergence_))


def plane_csv(plane: Plane) -> bytes:
    """shape, view (empty for voxels), x, y: one row a code."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("shape", "view", "x", "y"))
    for shape, view, (x, y) in zip(plane.shape, plane.view, plane.place):
        writer.writerow((text_cell(shape), "" if view < 0 else view, f"{x:.6g}", f"{y:.6g}"))
    return text.getvalue().encode()


def plane_png(plane: Plane, title: str, views: Artefact | None = None) -> bytes:
    """PNG of a plane: a marker and a colour an object, voxels black-rimmed and large.

    With `views`, pictures as thumbnails, framed in the colour of their object.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.6, 7.2), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.set_title(title, fontsize=10)
    objects = list(dict.fromkeys(plane.shape))
    for number, (item, colour) in enumerate(zip(objects, _colours(len(objects)))):
        mine = np.array([shape == item for shape in plane.shape])
        pictures = mine & (plane.view >= 0)
        marker = _MARKERS[number % len(_MARKERS)]
        size = 16 if views is None else 1  # under the thumbnails
        style: dict[str, Any] = {"marker": marker, "color": colour}
        if views is not None:
            _thumbnails(axes, views, item, plane.view[pictures], plane.place[pictures], colour)
        x, y = plane.place[pictures].T
        axes.scatter(x, y, s=size, linewidths=0, label=item, **style)
        x, y = plane.place[mine & (plane.view < 0)].T
        axes.scatter(x, y, s=110, edgecolors="black", linewidths=1.2, zorder=3, **style)
    axes.set_xticks([])
    axes.set_yticks([])
    legend = figure.legend(loc="outside right center", fontsize=7, frameon=False)
    for handle in legend.legend_handles:
        handle.set_sizes([24])  # type: ignore[union-attr]
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()


def _colours(count: int) -> Sequence[Any]:
    from matplotlib import colormaps

    if count <= 10:
        return [colormaps["tab10"](n) for n in range(count)]
    return [colormaps["hsv"](n / count) for n in range(count)]


def _thumbnails(
    axes: Any, views: Artefact, item: str, numbers: np.ndarray, places: np.ndarray, colour: Any
) -> None:
    from matplotlib.offsetbox import AnnotationBbox, OffsetImage

    rgb = views.read(item, ("rgb",))["rgb"]
    for number, place in zip(numbers, places):
        picture = OffsetImage(rgb[number], zoom=_THUMBNAIL / rgb.shape[1])
        frame = {"edgecolor": colour, "linewidth": 1.2}
        axes.add_artist(AnnotationBbox(picture, place, pad=0.1, bboxprops=frame))

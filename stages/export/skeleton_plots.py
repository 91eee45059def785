"""Plots of the 3D interpreter network's results: figure 6, the object graph, what is alike."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np

from stages.errors import InputError
from stages.evaluate.skeleton_metrics import AZIMUTH_THRESHOLDS, RMSE_THRESHOLDS, recall
from stages.evaluate.skeleton_noise import METHODS, Params
from stages.evaluate.skeleton_protocol import noise_errors
from stages.stage import params_from_json
from stages.store.shard import params_of
from stages.store.workspace import Artefact, Workspace
from stages.train.run import Run

_STYLES = ("-", "--", ":")
_SIDE = 96  # pixels of a picture in a sheet


def results_of(workspace: Workspace, run: Run, protocol: str) -> Artefact:
    """The results of a run; InputError where it was not measured."""
    name = f"{run.system}-{run.name}"
    for artefact in workspace.artefacts(f"results/{protocol}"):
        key = artefact.index.key
        if key and params_of(key).get("run") == name:
            return artefact
    raise InputError(
        f"run {run.name} was not measured yet", f"run: crossdim eval skeleton --run {run.name}"
    )


def noise_png(results: Artefact) -> bytes:
    """Figure 6: recall against the threshold, a colour a level of noise, a style a method."""
    from matplotlib import colormaps

    key = results.index.key
    levels = params_from_json(Params, params_of(key) if key else {}).levels
    found = noise_errors(results, list(results.index.items()))
    figure, (structure, view) = _figure(2)
    panels = (
        (structure, "rmse", RMSE_THRESHOLDS, "RMSE of the skeleton (diagonals)"),
        (view, "azimuth_error_deg", AZIMUTH_THRESHOLDS, "azimuth error (deg)"),
    )
    for axes, name, thresholds, label in panels:
        for n, level in enumerate(levels):
            colour = colormaps["viridis"](n / max(len(levels), 2))
            for m, style in enumerate(_STYLES):
                title = f"{METHODS[m]}, {100 * level:g} %"
                curve = recall(found[name][n, m], thresholds)
                axes.plot(thresholds, curve, style, color=colour, label=title, linewidth=1.2)
        axes.set_xlabel(label)
        axes.set_ylabel("recall")
        axes.set_ylim(0, 1)
    view.legend(fontsize=6, bbox_to_anchor=(1.02, 1), loc="upper left")
    return _png(figure)


def _figure(panels: int) -> tuple[Any, Any]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.5 * panels + 2, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(1, panels)


def _png(figure: Any) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()


def told_of(results: Artefact) -> tuple[list[tuple[str, int]], np.ndarray, np.ndarray]:
    """(item, view) of all P pictures measured, alpha (P, K) and rotation (P, 3, 3) told of them."""
    names, alpha, rotation = [], [], []
    for item in sorted(results.index.items()):
        arrays = results.read(item, ("alpha", "rotation"))
        names += [(item, view) for view in range(len(arrays["alpha"]))]
        alpha.append(arrays["alpha"])
        rotation.append(arrays["rotation"])
    return names, np.concatenate(alpha), np.concatenate(rotation)


def nearest(features: np.ndarray, query: int, count: int) -> np.ndarray:
    """(count,) rows of `features` (P, D) nearest to row `query`, Euclidean, without itself."""
    away = np.linalg.norm(features - features[query], axis=1)
    away[query] = np.inf
    return np.argsort(away, kind="stable")[:count]


def features_of(alpha: np.ndarray, rotation: np.ndarray, by: str) -> np.ndarray:
    """(P, D) what retrieval compares (section 5): `structure` alpha, `viewpoint` R."""
    return alpha if by == "structure" else rotation.reshape(len(rotation), -1)


def neighbours_sheet(results: Artefact, views: Artefact, queries: int, count: int) -> bytes:
    """PNG, two rows a query: it, and the pictures nearest by structure, then by viewpoint."""
    from PIL import Image

    names, alpha, rotation = told_of(results)
    queries, count = min(queries, len(names)), min(count, len(names) - 1)
    step = len(names) // queries
    rows = []
    for query in range(0, step * queries, step):
        for by in ("structure", "viewpoint"):
            found = nearest(features_of(alpha, rotation, by), query, count)
            rows.append(_row(views, [names[k] for k in (query, *found)]))
    buffer = io.BytesIO()
    Image.fromarray(np.concatenate(rows)).save(buffer, format="png")
    return buffer.getvalue()


def _row(views: Artefact, names: Sequence[tuple[str, int]]) -> np.ndarray:
    return np.concatenate([_thumbnail(views, item, view) for item, view in names], 1)


def _thumbnail(views: Artefact, item: str, view: int) -> np.ndarray:
    from PIL import Image

    rgb = views.read(item, ("rgb",))["rgb"][view]
    return np.asarray(Image.fromarray(rgb).resize((_SIDE, _SIDE)))


def graph_png(results: Artefact, views: Artefact, most: int, seed: int) -> bytes:
    """Figure 11: pictures where t-SNE puts the viewpoints that were told of them."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.offsetbox import AnnotationBbox, OffsetImage
    from sklearn.manifold import TSNE

    names, alpha, rotation = told_of(results)
    chosen = np.random.default_rng(seed).permutation(len(names))[:most]
    features = features_of(alpha, rotation, "viewpoint")[chosen]
    if len(features) < 4:
        raise InputError(f"{results.name} has {len(names)} pictures, too few", "measure on more")
    perplexity = min(30.0, (len(features) - 1) / 3)
    places = TSNE(2, perplexity=perplexity, random_state=seed, init="pca").fit_transform(features)
    figure = Figure(figsize=(9, 9))
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0.05, 0.05, 0.9, 0.9))
    axes.scatter(places[:, 0], places[:, 1], s=1)
    for (x, y), row in zip(places, chosen):
        image = OffsetImage(_thumbnail(views, *names[row]), zoom=0.3)
        axes.add_artist(AnnotationBbox(image, (x, y), frameon=False))
    axes.set_axis_off()
    return _png(figure)

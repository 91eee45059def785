"""Runs the protocol of novel views on one or several sets of views of a run's test shapes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from stages.engine.status import require_fresh
from stages.errors import InputError
from stages.evaluate.answers import network
from stages.evaluate.measure import Measurement, Report, Show, about, evaluate, run_params
from stages.evaluate.metrics import iou_at_thresholds
from stages.evaluate.posed import choose_items, choose_views, name_of
from stages.evaluate.protocol import known_threshold
from stages.evaluate.summary import best_threshold
from stages.evaluate.tables import Row, Table, to_json
from stages.evaluate.training_views import contrast, grey_of
from stages.evaluate.views import SAME, STAGE, TURNED, Drawer, Params
from stages.stage import Arrays
from stages.store.shard import params_of
from stages.store.workspace import Artefact, Workspace, category_of
from stages.train.run import Run

_RENDER = "run: crossdim render --preset equivariant-3dof-test"
_NAMES = ("PSNR", "SSIM", "mask IoU")  # of METRICS
_BINS = ((0, 60), (60, 120), (120, 180))  # degrees of a turn
_BY_TURN = (0, 1, 4, 5)  # of TURNED
_NUMBERS = ("score", "turn_deg", "turn_score")


def choose_plain(workspace: Workspace, names: Sequence[str], run: Run) -> list[Artefact]:
    """The sets of views of these names; without any, all that will do but the run's own.

    Of 128 pixels, before the grey that the run's own pictures are before, of shapes as they are: a
    stretched one is another shape in every view. Raises InputError where there is none.
    """
    own = workspace.artefact("views", run.record()["data"]["variants"]["views"])
    grey = grey_of(own)
    there = choose_views(workspace, names, run)
    faults = [(views, _fault(views, grey)) for views in there]
    fits = [views for views, fault in faults if not fault]
    if names and len(fits) < len(there):
        views, fault = next((v, f) for v, f in faults if f)
        raise InputError(f"{views.name} {fault}", _RENDER)
    if not fits:
        raise InputError("no views of shapes as they are to measure on", _RENDER)
    return fits


def _fault(views: Artefact, grey: int) -> str:
    """Why novel views cannot be measured on these, "" if they can."""
    key = views.index.key
    params = params_of(key) if key else {}
    if params.get("stretch") != 1:
        return "stretches a shape differently in each view"
    if (params.get("background"), params.get("grey")) != ("grey", grey):
        return f"has not the background that the run learnt from, grey {grey}"
    return ""


def evaluate_views(
    workspace: Workspace, run: Run, views: Artefact, device: str, dry_run: bool, show: Show
) -> Report:
    """Measure a run on one set of views of its test shapes.

    Raises InputError when the run has no best checkpoint or no test shapes, they have no views, or
    what it was trained on has changed.
    """
    ids, left_out = choose_items(workspace, run, views)
    data = run.record()["data"]
    own = workspace.artefact("views", data["variants"]["views"])
    require_fresh(workspace, own, [*data["ids"]["train"], *data["ids"]["val"]])
    params = Params(**vars(run_params(run, [views])))
    source = {"run": str(run.folder), "pictures": str(views.folder), "device": device}
    meshes = {item: a for a in workspace.artefacts("shapes") for item in a.index.items()}
    sources = {item: {**source, "shapes": str(meshes[item].folder)} for item in ids}
    results = Measurement(STAGE, params, sources, name_of(views)).results(workspace)
    threshold = known_threshold(results, params)
    if threshold is None:
        if dry_run:
            return Report(results, {}, todo=len(ids))
        threshold = _validated_threshold(run, own, params.weights, device)
    params = replace(params, threshold=threshold)

    def tell(results: Artefact) -> tuple[tuple[Table, ...], dict[str, Any]]:
        tables = views_tables(results, ids, threshold)
        facts = {"data": params.data, "threshold": threshold, "left_out": left_out}
        return tables, {**about(run, params, ids), **facts, "tables": to_json(tables)}

    what = Measurement(STAGE, params, sources, name_of(views))
    return evaluate(workspace, what, dry_run, show, tell)


def _validated_threshold(run: Run, own: Artefact, weights: str, device: str) -> float:
    """Where the silhouettes of the pictures drawn of the validation shapes fit best."""
    drawer = Drawer(network(str(run.folder), weights, device), device)
    grey, scores = grey_of(own), []
    for item in sorted(run.record()["data"]["ids"]["val"]):
        arrays = own.read(item, ("rgb", "mask"))
        some = slice(drawer.trained.params.validation_views)
        told = drawer.draw(drawer.embed(arrays["rgb"][some]))
        scores.append(iou_at_thresholds(contrast(told, grey), arrays["mask"][some] >= 128))
    return best_threshold(np.concatenate(scores))


def views_tables(results: Artefact, ids: Sequence[str], threshold: float) -> tuple[Table, ...]:
    """PSNR, SSIM and mask IoU of the view that was looked at and of others; IoU by the turn.

    Means over pictures, a column a category; the answers are those of SAME and TURNED.
    """
    per_category: dict[str, list[Arrays]] = {}
    for item in ids:
        per_category.setdefault(category_of(item), []).append(results.read(item, _NUMBERS))
    stacked = {
        category: {n: np.concatenate([a[n] for a in arrays]) for n in _NUMBERS}
        for category, arrays in per_category.items()
    }

    def row(what: str, of: Callable[[Arrays], np.ndarray]) -> Row:
        chosen = {category: of(arrays) for category, arrays in stacked.items()}
        return what, {c: float(values.mean()) for c, values in chosen.items() if values.size}

    def scores(name: str, answers: Sequence[str]) -> tuple[Row, ...]:
        return tuple(
            row(f"{answer}: {metric}", lambda a, n=number, m=which: a[name][..., n, m])  # type: ignore[misc]
            for which, metric in enumerate(_NAMES)
            for number, answer in enumerate(answers)
        )

    def between(low: int, high: int, number: int) -> Callable[[Arrays], np.ndarray]:
        def of(arrays: Arrays) -> np.ndarray:
            inside = (arrays["turn_deg"] >= low) & (arrays["turn_deg"] < high + (high == 180))
            return arrays["turn_score"][inside][:, number, 2]

        return of

    angle = row("mean angle (deg)", lambda a: a["turn_deg"])
    by_turn = tuple(
        row(f"{TURNED[number]}: mask IoU, {low} to {high} deg", between(low, high, number))
        for number in _BY_TURN
        for low, high in _BINS
    )
    title = f"The view that was looked at (silhouettes at contrast {threshold:.2f})"
    return (
        Table("same", title, scores("score", SAME)),
        Table("turned", "Other views of the same shape", scores("turn_score", TURNED)),
        Table("by_turn", "By the angle between the cameras", (angle, *by_turn)),
    )

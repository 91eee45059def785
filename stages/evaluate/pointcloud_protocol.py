"""Runs the protocol of point clouds on the pictures of a run's test shapes."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from stages.engine.status import require_fresh
from stages.errors import InputError
from stages.evaluate.clouds import NUMBERS
from stages.evaluate.measure import Measurement, Report, Show, about, evaluate, run_params, usable
from stages.evaluate.pointcloud import ANSWERS, STAGE
from stages.evaluate.tables import Row, Table, to_json
from stages.stage import Arrays
from stages.store.shard import params_of
from stages.store.workspace import Artefact, Workspace, category_of
from stages.systems.structure_generator.params import IMAGE
from stages.train.run import Run

_RENDER = f"run: crossdim render --size {IMAGE}"
_PAPER, _SOUND = NUMBERS[:2], NUMBERS[2:]


def choose_pictures(workspace: Workspace, names: Sequence[str], run: Run) -> list[Artefact]:
    """The sets of views of these names; without any, those that the run was trained on.

    Raises InputError when a named one is not there, or of another size.
    """
    names = names or [run.record()["data"]["variants"]["views"]]
    there = {artefact.variant: artefact for artefact in workspace.artefacts("views")}
    for name in names:
        if name not in there:
            raise InputError(f"no views/{name} in {workspace.root}", _RENDER)
        key = there[name].index.key
        if not key or params_of(key).get("size") != IMAGE:
            raise InputError(f"views/{name} is not of size {IMAGE}", _RENDER)
    return [there[name] for name in names]


def evaluate_pointcloud(
    workspace: Workspace, run: Run, views: Artefact, device: str, dry_run: bool, show: Show
) -> Report:
    """Measure a run on one set of pictures of its test shapes.

    Raises InputError when the run has no best checkpoint or no test shapes, they have no pictures,
    or what it was trained on has changed.
    """
    data = run.record()["data"]
    test, ids = data["ids"]["test"], usable(run.record(), views)
    if not test:
        raise InputError(f"run {run.name} has no test shapes", "add shapes, then train again")
    if not ids:
        raise InputError(
            f"{views.name} shows none of the {len(test)} test shapes of {run.name}", _RENDER
        )
    depths, own = (workspace.artefact(s, data["variants"][s]) for s in ("depths", "views"))
    known = [*data["ids"]["train"], *data["ids"]["val"]]  # of the baselines
    require_fresh(workspace, views, ids)
    require_fresh(workspace, depths, [*known, *ids])
    require_fresh(workspace, own, known)
    params = run_params(run, [views, depths])
    source = {
        "run": str(run.folder),
        "pictures": str(views.folder),
        "depths": str(depths.folder),
        "device": device,
    }
    meshes = {item: a for a in workspace.artefacts("shapes") for item in a.index.items()}
    sources = {item: {**source, "shapes": str(meshes[item].folder)} for item in ids}

    def tell(results: Artefact) -> tuple[tuple[Table, ...], dict[str, Any]]:
        tables = pointcloud_tables(results, ids)
        found = [results.read(item, ("count",))["count"] for item in ids]
        facts = {
            "left_out": len(test) - len(ids),
            "views": sum(len(count) for count in found),
            "empty": int(sum((count == 0).sum() for count in found)),
        }
        return tables, {**about(run, params, ids), **facts, "tables": to_json(tables)}

    what = Measurement(STAGE, params, sources, views.variant)
    return evaluate(workspace, what, dry_run, show, tell)


def pointcloud_tables(results: Artefact, ids: Sequence[str]) -> tuple[Table, ...]:
    """The published distances, the sound ones with Chamfer and F-score, and what clouds hold.

    Means over the pictures of a shape, then over shapes, a column a category. Empty clouds have no
    distance and are left out of those means; their share stands above.
    """
    kept = ("number", "count")
    per_category: dict[str, list[Arrays]] = {}
    for item in ids:
        per_category.setdefault(category_of(item), []).append(results.read(item, kept))

    def row(what: str, of: Callable[[Arrays], np.ndarray]) -> Row:
        means = {c: _mean([_mean(of(a)) for a in arrays]) for c, arrays in per_category.items()}
        return what, {c: value for c, value in means.items() if np.isfinite(value)}

    def number(answer: int, name: str) -> Row:
        which = NUMBERS.index(name)
        what = f"{ANSWERS[answer]}: {name.removesuffix(', 200 points')}"
        return row(what, lambda arrays: arrays["number"][:, answer, which])

    def rows(names: Sequence[str]) -> tuple[Row, ...]:
        return tuple(number(answer, name) for answer in range(len(ANSWERS)) for name in names)

    empty = row("empty clouds", lambda a: a["count"] == 0)
    points = row("points in a cloud", lambda a: a["count"])
    return (
        Table("paper", "Distances x 100, as published: 200 points", (empty, *rows(_PAPER))),
        Table("all", "Distances x 100, all points, uniform over the area", (empty, *rows(_SOUND))),
        Table("clouds", "Predicted clouds", (empty, points)),
    )


def _mean(values: Any) -> float:
    """The mean of what is known; NaN where nothing is."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of an empty slice
        return float(np.nanmean(values))

"""Runs the protocol of relative pose on one or several sets of views of a run's test shapes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from stages.engine.status import require_fresh
from stages.errors import InputError
from stages.evaluate.measure import Report, Show, keep, measure, todo
from stages.evaluate.relpose import METHODS, STAGE, Params, shapes_digest, wanted
from stages.evaluate.tables import Row, Table, to_json
from stages.stage import Arrays
from stages.store.shard import params_of
from stages.store.workspace import Artefact, Workspace, category_of
from stages.train.run import Run

# Categories whose shapes are nearly their own half turn: the paper counts errors up to one.
HALF_TURN = ("airplane", "aeroplane")
SIZE = 128
_NUMBERS = tuple(
    f"{base}_{what}" for base in ("instance", "category") for what in ("error_deg", "chance_deg")
)


def choose_views(workspace: Workspace, names: Sequence[str], run: Run) -> list[Artefact]:
    """The sets of views of these names; without any, all of 128 pixels but the run's own.

    Raises InputError when there is none, or it is not of that size.
    """
    own = run.record()["data"]["variants"].get("views")
    there = {a.variant: a for a in workspace.artefacts("views")}
    command = "run: crossdim render --preset equivariant-3dof-test"
    for name in names:
        if name not in there:
            raise InputError(f"no views/{name} in {workspace.root}", command)
    chosen = [there[name] for name in names] or [a for a in there.values() if a.variant != own]
    fits = [a for a in chosen if a.index.key and params_of(a.index.key).get("size") == SIZE]
    if names and len(fits) < len(chosen):
        bad = next(a for a in chosen if a not in fits)
        raise InputError(f"{bad.name} is not of {SIZE} pixels", command)
    if not fits:
        raise InputError(f"no views of {SIZE} pixels to measure on but those trained on", command)
    return fits


def evaluate_relpose(
    workspace: Workspace, run: Run, views: Artefact, device: str, dry_run: bool, show: Show
) -> Report:
    """Measure a run on one set of views of its test shapes.

    Raises InputError when the run has no best checkpoint or no test shapes, or they have no views.
    """
    record = run.record()
    test = sorted(record["data"]["ids"]["test"])
    ids = [item for item in test if item in views.index.items()]
    if not ids:
        raise InputError(
            f"{views.name} shows none of the {len(test)} test shapes of {run.name}",
            "run: crossdim render --preset equivariant-3dof-test",
        )
    require_fresh(workspace, views, ids)
    best = run.best()
    params = Params(
        f"{run.system}-{run.name}",
        best["sha256"],
        record["data"]["fingerprint"],
        views.variant,
        shapes_digest(views, ids),
    )
    results = workspace.artefact(STAGE.name, f"{params.run}-{views.variant}")
    work = wanted(run, params, views, ids, device)
    if dry_run:
        return Report(results, {}, todo=todo(STAGE, params, results, work))
    results = measure(STAGE, params, results, work, show)
    tables = relpose_tables(results, ids, METHODS[run.system])
    summary = {
        "run": run.name,
        "system": run.system,
        "step": best["step"],
        "seed": record["seed"],
        "weights": params.weights,
        "views_set": views.variant,
        "shapes": len(ids),
        "left_out": len(test) - len(ids),
        "tables": to_json(tables),
    }
    keep(results, summary, tables)
    return Report(results, summary, tables)


def relpose_tables(
    results: Artefact, ids: Sequence[str], methods: Sequence[str]
) -> tuple[Table, ...]:
    """Table 2 of the equivariant paper: median error, share below 15 and 30 degrees, per category.

    Chance answers with the relative pose of two other views.
    """
    per_category: dict[str, list[Arrays]] = {}
    for item in ids:
        per_category.setdefault(category_of(item), []).append(results.read(item, _NUMBERS))
    stacked = {
        c: {n: np.concatenate([a[n] for a in arrays]) for n in _NUMBERS}
        for c, arrays in per_category.items()
    }
    titles = {"instance": "IB: other views of the same shape", "category": "CB: other shapes"}
    tables = []
    for base, title in titles.items():
        error, chance = f"{base}_error_deg", f"{base}_chance_deg"
        rows: list[Row] = []
        for number, method in enumerate(methods):
            rows += _rows(method, {c: a[error][..., number] for c, a in stacked.items()})
        rows += _rows("chance", {c: a[chance] for c, a in stacked.items()})
        tables.append(Table(base, title, tuple(rows)))
    return tuple(tables)


def _rows(method: str, errors: dict[str, np.ndarray]) -> list[Row]:
    """Three rows of a method, and three up to a half turn where a category calls for it."""

    def rows(suffix: str, of: dict[str, np.ndarray]) -> list[Row]:
        return [
            (f"{method}: median error{suffix}", {c: float(np.median(e)) for c, e in of.items()}),
            (f"{method}: acc@15{suffix}", {c: float((e < 15).mean()) for c, e in of.items()}),
            (f"{method}: acc@30{suffix}", {c: float((e < 30).mean()) for c, e in of.items()}),
        ]

    turned = {c: np.minimum(e, 180 - e) for c, e in errors.items() if c in HALF_TURN}
    return rows("", errors) + (rows(", up to a half turn", turned) if turned else [])

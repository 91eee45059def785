"""Runs a protocol: choose the threshold on validation shapes, then measure the test shapes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from stages.engine.status import require_fresh
from stages.errors import InputError
from stages.evaluate.measure import Report, Show, keep, measure, todo
from stages.evaluate.reconstruction import STAGE, Params, validation_iou, wanted
from stages.evaluate.summary import best_threshold, reconstruction_tables
from stages.evaluate.tables import to_json
from stages.store.summary import SUMMARY, read_summary
from stages.store.workspace import Artefact, Workspace
from stages.train.run import Run


def results_of(workspace: Workspace, run: Run) -> Artefact:
    """The artefact of a run's results on its test shapes."""
    return workspace.artefact(STAGE.name, f"{run.system}-{run.name}")


def evaluate_reconstruction(
    workspace: Workspace, run: Run, device: str, limit: int, dry_run: bool, show: Show
) -> Report:
    """Evaluate a run on its test shapes (the first `limit` of them if that is not 0).

    Raises InputError when the run has no best checkpoint, its inputs have changed since it was
    trained, or its split left no shapes to test.
    """
    record = run.record()
    data = record["data"]
    artefacts = {s: workspace.artefact(s, data["variants"][s]) for s in STAGE.inputs}
    test, val = sorted(data["ids"]["test"]), sorted(data["ids"]["val"])
    if not test:
        raise InputError(f"run {run.name} has no test shapes", "add shapes, then train again")
    test = test[:limit] if limit else test
    for artefact in artefacts.values():
        require_fresh(workspace, artefact, [*test, *val])
    weights = run.best()
    params = Params(weights["sha256"], 0.5, data["fingerprint"])
    results = results_of(workspace, run)
    threshold = known_threshold(results, params)
    if dry_run:
        count = len(test)
        if threshold is not None:
            params = replace(params, threshold=threshold)
            count = todo(STAGE, params, results, wanted(run, params, artefacts, test, "cpu"))
        return Report(results, {}, todo=count)
    if threshold is None:
        threshold = best_threshold(validation_iou(run, artefacts, val, device))
    params = replace(params, threshold=threshold)
    work = wanted(run, params, artefacts, test, device)
    results = measure(STAGE, params, results, work, show)
    tables = reconstruction_tables(results, test, params.threshold)
    summary = {
        "run": run.name,
        "system": run.system,
        "step": weights["step"],
        "seed": record["seed"],
        "weights": params.weights,
        "data": params.data,
        "threshold": params.threshold,
        "validation_shapes": len(val),
        "shapes": len(test),
        "views": sum(len(results.read(i, ("mask_iou",))["mask_iou"]) for i in test),
        "tables": to_json(tables),
    }
    keep(results, summary, tables)
    return Report(results, summary, tables)


def known_threshold(results: Artefact, params: Any) -> float | None:
    """The threshold chosen before for the same weights and shapes, None if there is none.

    One that is not as it was written counts as none: it is chosen again.
    """
    try:
        summary = read_summary(results.folder / SUMMARY)
        same = (summary["weights"], summary["data"]) == (params.weights, params.data)
        return float(summary["threshold"]) if same else None
    except (OSError, ValueError, KeyError, TypeError):
        return None

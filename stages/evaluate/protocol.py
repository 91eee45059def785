"""Runs a protocol: choose the threshold on validation shapes, then measure the test shapes."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from stages.engine.plan import make_plan
from stages.engine.pools import Limits
from stages.engine.runner import Progress, execute
from stages.engine.status import require_fresh
from stages.errors import CrossdimError, InputError
from stages.evaluate.reconstruction import STAGE, Params, validation_iou, wanted
from stages.evaluate.summary import (
    Table,
    best_threshold,
    reconstruction_tables,
    to_csv,
    to_json,
)
from stages.stage import params_json
from stages.store.commit import commit_bytes
from stages.store.fingerprint import canonical_json
from stages.store.workspace import Artefact, Workspace
from stages.train.run import Run

Show = Callable[[Progress], None]


@dataclass(frozen=True)
class Report:
    """What an evaluation found, and where it is kept."""

    results: Artefact
    summary: dict[str, Any]
    tables: tuple[Table, ...] = ()
    todo: int = 0


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
    threshold = _known_threshold(results, params)
    if dry_run:
        todo = len(test)
        if threshold is not None:
            params = replace(params, threshold=threshold)
            todo = _todo(run, params, results, artefacts, test)
        return Report(results, {}, todo=todo)
    if threshold is None:
        threshold = best_threshold(validation_iou(run, artefacts, val, device))
    params = replace(params, threshold=threshold)
    _measure(run, params, results, artefacts, test, device, show)
    results = results.refresh()
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
    commit_bytes(results.folder / "summary.json", (json.dumps(summary, indent=1) + "\n").encode())
    commit_bytes(results.folder / "summary.csv", to_csv(tables).encode())
    return Report(results, summary, tables)


def _known_threshold(results: Artefact, params: Params) -> float | None:
    """The threshold chosen before for the same weights and shapes, None if there is none."""
    try:
        summary = json.loads((results.folder / "summary.json").read_bytes())
        same = (summary["weights"], summary["data"]) == (params.weights, params.data)
        return float(summary["threshold"]) if same else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _todo(
    run: Run, params: Params, results: Artefact, inputs: dict[str, Artefact], ids: list[str]
) -> int:
    if not _is_of(results, params):
        return len(ids)
    return make_plan(STAGE, params, 0, results, wanted(run, params, inputs, ids, "cpu")).todo


def _measure(
    run: Run,
    params: Params,
    results: Artefact,
    inputs: dict[str, Artefact],
    ids: list[str],
    device: str,
    show: Show,
) -> None:
    """Bring the results of these shapes up to date; what other weights gave is replaced."""
    if not _is_of(results, params):  # of other weights, or of another threshold
        for path in (*results.folder.glob("shard-*.h5"), results.folder / "manifest.json"):
            path.unlink(missing_ok=True)
        results = results.refresh()
    work = wanted(run, params, inputs, ids, device)
    plan = make_plan(STAGE, params, 0, results, work, retry_failed=True)
    outcome = execute(plan, STAGE, params, Limits(jobs=0), show)
    if outcome.failures:
        item, reason = next(iter(outcome.failures.items()))
        raise CrossdimError(f"evaluating {item} failed: {reason}", "run it again with --debug")


def _is_of(results: Artefact, params: Params) -> bool:
    """Whether what the artefact holds, if anything, was made with these parameters."""
    key = results.index.key
    return key is None or key.params == canonical_json(params_json(params))

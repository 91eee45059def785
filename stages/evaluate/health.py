"""Whether cached results still belong to their runs. Imports no torch."""

from __future__ import annotations

from typing import Any

from stages.errors import CrossdimError
from stages.evaluate.measure import changed_input
from stages.store.shard import params_of
from stages.store.workspace import Artefact, Workspace
from stages.train.run import list_runs

PROTOCOLS = (
    *("reconstruction", "relpose", "views", "align", "classification"),
    *("pointcloud", "retrieval", "keypoints", "skeleton", "skeleton-noise", "compare"),
    "skeleton-detections",
)
# Of a comparison: trivial answers, and weights that come with the package.
_OF_NO_RUN = ("baselines-", "weights-")


def results_status(workspace: Workspace) -> list[dict[str, Any]]:
    """One record an artefact of results: `name`, `items`, `fresh` and `why`."""
    runs = {f"{run.system}-{run.name}": run for run in list_runs(workspace.root)}
    records = []
    for protocol in PROTOCOLS:
        for artefact in workspace.artefacts(f"results/{protocol}"):
            run = runs.get(_run_of(artefact))
            why = "its run is gone" if run is None else difference(workspace, artefact, run)
            if _run_of(artefact).startswith(_OF_NO_RUN):  # there is nothing that could change
                why = next(iter(artefact.index.damaged.values()), "")
            record = {"name": artefact.name, "items": len(artefact.index.items())}
            records.append({**record, "fresh": not why, "why": why})
    return records


def _run_of(artefact: Artefact) -> str:
    """`system-name` of the run that was measured, where the artefact's name says more."""
    key = artefact.index.key
    return str(params_of(key).get("run", artefact.variant)) if key else artefact.variant


def difference(workspace: Workspace, artefact: Artefact, run: Any) -> str:
    """Why results are not those of the run and its inputs as they are now, "" if they are."""
    try:
        record = run.record()
        now = (run.best()["sha256"], record["data"]["fingerprint"])
        key = artefact.index.key
        params = params_of(key) if key else {}
        if artefact.index.damaged:
            return next(iter(artefact.index.damaged.values()))
        if now != (params["weights"], params["data"]):
            return "its run was trained on"
        changed = changed_input(workspace, record, params.get("inputs", ()))
        return f"{changed} has changed" if changed else ""
    except (ValueError, KeyError, TypeError, CrossdimError) as error:
        return str(error)

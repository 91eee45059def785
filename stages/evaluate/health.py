"""Whether cached results still belong to their runs. Imports no torch."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from stages.catalogue import find_stage
from stages.errors import CrossdimError
from stages.evaluate.compared_field import KnownField, changed
from stages.evaluate.measure import changed_input
from stages.store.shard import params_of
from stages.store.summary import SUMMARY, read_summary
from stages.store.workspace import Artefact, Workspace
from stages.train.run import list_runs
from stages.weights.cards import shipped

PROTOCOLS = (
    *("reconstruction", "relpose", "views", "align", "classification"),
    *("pointcloud", "retrieval", "keypoints", "skeleton", "skeleton-noise", "compare"),
    "skeleton-detections",
)
# Of a comparison: trivial answers, and weights that come with the package.
_TRIVIAL, _SHIPPED = "baselines-", "weights-"


def results_status(workspace: Workspace) -> list[dict[str, Any]]:
    """One record an artefact of results: `name`, `items`, `fresh` and `why`."""
    runs = {f"{run.system}-{run.name}": run for run in list_runs(workspace.root)}
    records: list[dict[str, Any]] = []
    fields: dict[KnownField, str] = {}
    for protocol in PROTOCOLS:
        for artefact in workspace.artefacts(f"results/{protocol}"):
            name = _run_of(artefact)
            if name.startswith((_TRIVIAL, _SHIPPED)):
                why = _of_no_run(artefact, name)
            elif name in runs:
                why = difference(workspace, artefact, runs[name])
            else:
                why = "its run is gone"
            if protocol == "compare":  # what all of them were measured on comes first
                why = _field_change(workspace, artefact, fields) or why
            record = {"name": artefact.name, "items": len(artefact.index.items())}
            records.append({**record, "fresh": not why, "why": why})
    return records


def _of_no_run(artefact: Artefact, name: str) -> str:
    """Why results of trivial answers or shipped weights are not those of today, "" if they are."""
    if artefact.index.damaged:
        return next(iter(artefact.index.damaged.values()))
    if name.startswith(_TRIVIAL):
        return ""
    card = name.removeprefix(_SHIPPED)
    weights = params_of(artefact.index.key).get("weights") if artefact.index.key else None
    try:
        now = _shipped().get(card)
    except CrossdimError as error:
        return str(error)
    return "" if now == weights else f"the weights {card} come with crossdim no more, or are others"


@lru_cache(maxsize=1)
def _shipped() -> dict[str, str]:
    """The sha256 of the weights that come with the package, by name."""
    return {card.name: str(card.facts["sha256"]) for card in shipped()}


def _field_change(workspace: Workspace, artefact: Artefact, known: dict[KnownField, str]) -> str:
    """Why a comparison would be made on something else now, "" where it says nothing of that.

    `known` keeps the answers: all that are compared with each other have one.
    """
    try:
        summary = read_summary(artefact.folder / SUMMARY)
        on = KnownField.from_json(summary["field"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return ""
    if on not in known:
        known[on] = changed(workspace, on)
    return known[on]


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
        stage = find_stage(artefact.stage)
        if key and stage and key.stage_version != stage.version:
            return f"measured by version {key.stage_version} of its protocol, now {stage.version}"
        if now != (params["weights"], params["data"]):
            return "its run was trained on"
        changed = changed_input(workspace, record, params.get("inputs", ()))
        return f"{changed} has changed" if changed else ""
    except (ValueError, KeyError, TypeError, CrossdimError) as error:
        return str(error)

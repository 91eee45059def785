"""Runs the protocol of classification on sphere maps of one kind of poses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from stages.engine.status import require_fresh
from stages.errors import InputError
from stages.evaluate.classification import STAGE
from stages.evaluate.measure import Measurement, Report, Show, about, evaluate, run_params, usable
from stages.evaluate.tables import Row, Table, to_json
from stages.store.shard import params_of
from stages.store.workspace import Artefact, Workspace, category_of
from stages.systems.spherical_cnn.params import MAPS
from stages.train.run import Run

ALL = "all"  # the column over all maps
POSES = {"canonical": "unrotated", "random": "rotated"}


def choose_maps(workspace: Workspace, names: Sequence[str]) -> list[Artefact]:
    """The sphere maps of these names; without any, all at canonical and at random poses.

    Raises InputError when there are none of either kind, or a named one does not fit.
    """
    there = {artefact.variant: artefact for artefact in workspace.artefacts("spheres")}
    for name in names:
        if name not in there:
            raise InputError(f"no spheres/{name} in {workspace.root}", "run: crossdim raycast")
        if poses_of(there[name]) not in POSES:
            raise InputError(
                f"spheres/{name} are not lengths of 64 x 64 rays at canonical or random poses",
                "run: crossdim raycast --poses random",
            )
    if names:
        return [there[name] for name in names]
    found = {kind: [a for a in there.values() if poses_of(a) == kind] for kind in POSES}
    for kind, artefacts in found.items():
        if not artefacts:
            raise InputError(
                f"no spheres at {kind} poses in {workspace.root}",
                f"run: crossdim raycast --poses {kind}",
            )
    return [artefact for artefacts in found.values() for artefact in artefacts]


def poses_of(artefact: Artefact) -> str:
    """Canonical, random or views; "" for maps that the network does not read."""
    params = params_of(artefact.index.key) if artefact.index.key else {}
    fits = all(params.get(name) == value for name, value in MAPS.items())
    return str(params["poses"]) if fits else ""


def evaluate_classification(
    workspace: Workspace, run: Run, spheres: Artefact, device: str, dry_run: bool, show: Show
) -> Report:
    """Accuracy of a run of spherical-cnn on the maps of its test shapes, and the confusion matrix.

    Raises InputError when the run has no best checkpoint or no test shapes, or they have no maps.
    """
    record = run.record()
    test, ids = record["data"]["ids"]["test"], usable(record, spheres)
    if not test:
        raise InputError(f"run {run.name} has no test shapes", "add shapes, then train again")
    if not ids:
        raise InputError(
            f"{spheres.name} holds none of the {len(test)} test shapes of {run.name}",
            f"run: crossdim raycast --poses {poses_of(spheres)}",
        )
    require_fresh(workspace, spheres, ids)
    params = run_params(run, [spheres])
    source = {"run": str(run.folder), "spheres": str(spheres.folder), "device": device}

    def tell(results: Artefact) -> tuple[tuple[Table, ...], dict[str, Any]]:
        found = {item: results.read(item, ("told", "truth")) for item in ids}
        classes = record["params"]["classes"]
        tables = (accuracy_table(found, record, POSES[poses_of(spheres)]),)
        summary = {
            **about(run, params, ids),
            "left_out": len(test) - len(ids),
            "maps": sum(len(one["told"]) for one in found.values()),
            "classes": classes,
            "confusion": confusion(found.values(), len(classes)).tolist(),
            "tables": to_json(tables),
        }
        return tables, summary

    what = Measurement(STAGE, params, dict.fromkeys(ids, source), spheres.variant)
    return evaluate(workspace, what, dry_run, show, tell)


def accuracy_table(
    found: Mapping[str, Mapping[str, np.ndarray]], record: Mapping[str, Any], poses: str
) -> Table:
    """Shares of maps whose class is told rightly: by category, and of all.

    Beside them the answer that is always the most frequent class of the training shapes.
    """
    classes = record["params"]["classes"]
    train = Counter(category_of(item) for item in record["data"]["ids"]["train"])
    majority = min(train, key=lambda category: (-train[category], category))
    right: dict[str, list[np.ndarray]] = {category: [] for category in classes}
    for item, one in found.items():
        right[category_of(item)].append(one["told"] == one["truth"])
    by_category = {c: np.concatenate(parts) for c, parts in right.items() if parts}

    def row(what: str, values: Mapping[str, np.ndarray]) -> Row:
        everything = np.concatenate(list(values.values()))
        return what, {**{c: float(v.mean()) for c, v in values.items()}, ALL: everything.mean()}

    constant = {c: np.full(len(v), c == majority) for c, v in by_category.items()}
    rows = (row("accuracy", by_category), row(f"always {majority}", constant))
    return Table(poses, f"classification, {poses} shapes", rows)


def confusion(found: Any, count: int) -> np.ndarray:
    """(count, count) numbers of maps: rows are what they are, columns what was told."""
    matrix = np.zeros((count, count), int)
    for one in found:
        np.add.at(matrix[int(one["truth"])], one["told"], 1)
    return matrix

"""Runs the protocol of 2D keypoints: PCK, PCP, average error."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from stages.errors import InputError
from stages.evaluate.keypoints import METHODS, STAGE
from stages.evaluate.landmarked import Pictures, by_category, choose_items
from stages.evaluate.measure import Measurement, Report, Show, about, evaluate, run_params
from stages.evaluate.skeleton_metrics import PCK_THRESHOLDS, average_error, pck, pcp, torso_pck
from stages.evaluate.tables import Row, Table, to_json
from stages.stage import Arrays, params_from_json
from stages.store.workspace import Artefact, Workspace
from stages.train.run import Run

SIGMA = 4.0  # pixels of 240 x 320, where there are no annotators
CONSTANT = "mean of the training"
NAMES = ("told", "truth", "labelled", "visible", "sigma", "length", "torso")


def evaluate_keypoints(
    workspace: Workspace, run: Run, pictures: Pictures, device: str, dry_run: bool, show: Show
) -> Report:
    """PCK, PCP and average error of a run on one set of pictures, by category.

    Beside them the constant answer: each keypoint where it is in the mean of the training pictures.
    Raises InputError when the run has no best checkpoint, or there is nothing to measure it on.
    """
    ids = choose_items(workspace, run, pictures)
    params = run_params(run, [pictures.marks], pictures.others)
    source = pictures.source(run, device)
    what = Measurement(STAGE, params, dict.fromkeys(ids, source), pictures.variant)

    def tell(results: Artefact) -> tuple[tuple[Table, ...], dict[str, Any]]:
        tables = keypoint_tables(results, ids, constant_answer(workspace, run))
        chosen = {
            "PCK relative to": "the longer side of the box around the keypoints",
            "sigma without annotators": f"{SIGMA:g} px of 240 x 320",
        }
        return tables, {
            **about(run, params, ids),
            "left_out": 0,
            "chosen": chosen,
            "tables": to_json(tables),
        }

    return evaluate(workspace, what, dry_run, show, tell)


def constant_answer(workspace: Workspace, run: Run) -> np.ndarray:
    """(N, 2) mean places of the labelled keypoints of the run's training pictures."""
    from stages.systems.interpreter import Params, arrays, dataset
    from stages.train.inputs import Loader

    record = run.record()
    params = params_from_json(Params, record["params"])
    load = Loader(workspace.root, record["data"]["variants"], arrays(params))
    samples = dataset(load, record["data"]["ids"]["train"], params)
    total: Any = 0.0
    count: Any = 0
    for start in range(0, len(samples), 64):
        batch = samples.batch(range(start, min(start + 64, len(samples))), None)
        present = batch["present"][..., None].numpy()
        total = total + (batch["keypoints"].numpy() * present).sum(0)
        count = count + present.sum(0)
    return total / np.maximum(count, 1)


def keypoint_tables(results: Artefact, ids: list[str], constant: np.ndarray) -> tuple[Table, ...]:
    """One table of all labelled keypoints, one of those that are visible; a column a category."""
    stacked = by_category(results, ids, NAMES)
    if not any(one["labelled"].any() for one in stacked.values()):
        raise InputError(f"{results.name} has no labelled keypoint", "give other pictures")
    return (
        Table("labelled", "all keypoints in the picture", _rows(stacked, "labelled", constant)),
        Table("visible", "visible keypoints", _rows(stacked, "visible", constant)),
    )


def _rows(stacked: Mapping[str, Arrays], which: str, constant: np.ndarray) -> tuple[Row, ...]:
    found = {category: distances(one, which, constant) for category, one in stacked.items()}
    rows: list[Row] = []
    for method in (*METHODS, CONSTANT):
        away = {category: of[method] for category, of in found.items() if method in of}
        if away:
            rows += _measured(method, stacked, away)
    return tuple(rows)


def distances(one: Arrays, which: str, constant: np.ndarray) -> dict[str, np.ndarray]:
    """(S, N) pixels from the truth by each of METHODS that there is and by CONSTANT.

    NaN where keypoints are not `labelled` or not `visible`, as `which` says.
    """
    told = {name: one["told"][:, number] for number, name in enumerate(METHODS)}
    found = {}
    for method, points in {**told, CONSTANT: constant}.items():
        away = np.linalg.norm(points - one["truth"], axis=-1)
        away = np.where(one[which], away, np.nan)
        if np.isfinite(away).any():
            found[method] = away
    return found


def _measured(
    method: str, stacked: Mapping[str, Arrays], away: Mapping[str, np.ndarray]
) -> list[Row]:
    def row(what: str, of: Callable[[np.ndarray, Arrays], float]) -> Row:
        return f"{method}: {what}", {c: of(a, stacked[c]) for c, a in away.items()}

    def sigma(one: Arrays) -> np.ndarray:
        return np.where(np.isfinite(one["sigma"]), one["sigma"], SIGMA)

    pcks = [
        row(f"PCK@{t:g}", lambda a, one, t=t: pck(a, one["length"], t))  # type: ignore[misc]
        for t in PCK_THRESHOLDS
    ]
    if any(np.isfinite(stacked[category]["torso"]).any() for category in away):
        pcks += [
            row(f"PCK@{t:g} torso", lambda a, one, t=t: torso_pck(a, one["torso"], t))  # type: ignore[misc]
            for t in PCK_THRESHOLDS
        ]
    return [
        *pcks,
        row("mean distance (px)", lambda a, one: float(np.nanmean(a))),
        row("PCP", lambda a, one: pcp(a, sigma(one))),
        row("AE", lambda a, one: average_error(a, sigma(one))),
    ]

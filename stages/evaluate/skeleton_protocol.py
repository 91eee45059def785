"""Runs the protocols of 3D skeletons: on pictures, and on synthetic heatmaps with noise."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from stages.engine.status import require_fresh
from stages.errors import InputError, UsageError
from stages.evaluate import skeleton, skeleton_noise
from stages.evaluate.landmarked import Pictures, by_category, choose_items
from stages.evaluate.measure import (
    Measurement,
    Report,
    Show,
    about,
    evaluate,
    input_print,
    run_params,
)
from stages.evaluate.skeleton_metrics import (
    AVP_VIEWS,
    AZIMUTH_THRESHOLDS,
    RMSE_THRESHOLDS,
    average_recall,
    average_viewpoint_precision,
    recall,
    view_bin,
)
from stages.evaluate.tables import Row, Table, to_json
from stages.stage import Arrays
from stages.store.workspace import Artefact, Workspace
from stages.train.run import Run

AT_RMSE, AT_AZIMUTH = 0.15, 30.0
NAMES = tuple(name for name in skeleton.SPEC if name not in ("alpha", "rotation"))
# What the paper leaves open, printed beside every table.
CHOSEN = {
    "rmse": "of Y, in the object's frame; centred, diagonal of the box 1, not turned",
    "rmse_thresholds": [0.0, 0.3, len(RMSE_THRESHOLDS)],
    "azimuth_thresholds_deg": [0, 90, len(AZIMUTH_THRESHOLDS)],
    "detections": "one a picture, its box given; score: mean height of the peaks",
}


def evaluate_skeleton(
    workspace: Workspace, run: Run, pictures: Pictures, device: str, dry_run: bool, show: Show
) -> Report:
    """RMSE and azimuth recall, reprojection and AVP of a run of step joint, and before that step.

    Raises UsageError for a run of another step or for photos, whose 3D truth nobody knows.
    """
    require_joint(run, pictures)
    ids = choose_items(workspace, run, pictures)
    params = run_params(run, [pictures.marks], pictures.others)
    source = pictures.source(run, device)
    what = Measurement(skeleton.STAGE, params, dict.fromkeys(ids, source), pictures.variant)

    def tell(results: Artefact) -> tuple[tuple[Table, ...], dict[str, Any]]:
        tables = skeleton_tables(results, ids)
        return tables, {
            **about(run, params, ids),
            "left_out": 0,
            "chosen": CHOSEN,
            "tables": to_json(tables),
        }

    return evaluate(workspace, what, dry_run, show, tell)


def require_joint(run: Run, pictures: Pictures) -> None:
    """UsageError unless the run is of step joint, and the pictures are rendered."""
    require_skeletons(run, "joint or interpret")
    if pictures.views is None:
        raise UsageError(
            f"{pictures.marks.name} has no 3D truth", "measure keypoints: crossdim eval keypoints"
        )


def require_skeletons(run: Run, wanted: str = "joint") -> None:
    """UsageError unless the run is of step joint; `wanted` are the steps that are asked for."""
    step = run.record()["params"]["step"]
    if step != "joint":
        raise UsageError(
            f"run {run.name} is of step {step}: it tells no skeletons"
            + (" of pictures" if step == "interpret" else ""),
            f"name a run of step {wanted} with --run",
        )


def skeleton_tables(results: Artefact, ids: Sequence[str]) -> tuple[Table, ...]:
    """Structure, viewpoint and AVP; a column a category, rows of the methods."""
    stacked = by_category(results, ids, NAMES)
    told = skeleton.METHODS[:-1]

    def rows(methods: Sequence[str], what: str, of: Callable[[Arrays, int], float]) -> list[Row]:
        return [
            (f"{method}: {what}", {c: of(a, m) for c, a in stacked.items()})
            for m, method in enumerate(methods)
        ]

    view = rows(
        told, "median azimuth error (deg)", lambda a, m: float(np.median(azimuth_errors(a, m)))
    )
    view += rows(
        told,
        "average recall of azimuth",
        lambda a, m: average_recall(azimuth_errors(a, m), AZIMUTH_THRESHOLDS),
    )
    view += rows(
        told, f"azimuth within {AT_AZIMUTH:g} deg", lambda a, m: _within(azimuth_errors(a, m))
    )
    avp = [
        row
        for count in AVP_VIEWS
        for row in rows(told, f"AVP, {count} views", lambda a, m, n=count: _avp(a, m, n))  # type: ignore[misc]
    ]
    return (
        *_structure(stacked),
        Table("viewpoint", "viewpoint", tuple(view)),
        Table("avp", "viewpoint precision, given detections", tuple(avp)),
    )


def _structure(stacked: Mapping[str, Arrays]) -> tuple[Table, ...]:
    """The table of 3D errors and reprojection; none where no keypoint is known.

    Of another category than the run's are known those of the same names, perhaps none.
    """
    known = {c: a for c, a in stacked.items() if np.isfinite(a["rmse"]).any()}

    def rows(name: str, what: str, of: Callable[[np.ndarray], float]) -> list[Row]:
        methods = [
            (m, method)
            for m, method in enumerate(skeleton.METHODS)
            if all(np.isfinite(arrays[name][:, m]).any() for arrays in known.values())
        ]
        return [
            (f"{method}: {what}", {c: of(a[name][:, m]) for c, a in known.items()})
            for m, method in methods
        ]

    def mean(errors: np.ndarray) -> float:
        return float(np.nanmean(errors))

    structure: list[Row] = []
    for name, title in (("rmse", "RMSE"), ("aligned_rmse", "aligned RMSE")):
        structure += rows(name, f"mean {title}", mean)
        structure += rows(
            name, f"average recall of {title}", lambda e: average_recall(e, RMSE_THRESHOLDS)
        )
    structure += rows(
        "rmse",
        f"recall at RMSE {AT_RMSE:g}",
        lambda e: float(recall(e, np.array([AT_RMSE]))[0]),
    )
    structure += rows("reprojection", "reprojection (px)", mean)
    return (Table("structure", "3D structure", tuple(structure)),) if known else ()


def azimuth_errors(arrays: Arrays, method: int) -> np.ndarray:
    """(S,) degrees, 0 to 180; NaN of what tells no azimuth."""
    away = arrays["azimuth_deg"][:, method] - arrays["true_azimuth_deg"]
    return np.abs((away + 180) % 360 - 180)


def _within(away: np.ndarray) -> float:
    return float((away <= AT_AZIMUTH).mean())


def _avp(arrays: Arrays, method: int, views: int) -> float:
    truth = view_bin(arrays["true_azimuth_deg"], views)
    right = view_bin(arrays["azimuth_deg"][:, method], views) == truth
    count = len(right)
    return average_viewpoint_precision(arrays["score"], np.ones(count, bool), right, count)


def choose_skeletons(workspace: Workspace, run: Run, name: str | None) -> Artefact:
    """The skeletons of that name, or those that the run was trained on; InputError without any."""
    wanted = name or run.record()["data"]["variants"].get("skeletons")
    found = next((a for a in workspace.artefacts("skeletons") if a.variant == wanted), None)
    if found is None:
        raise InputError(
            f"no skeletons/{wanted} in {workspace.root}", "run: crossdim skeletons --category NAME"
        )
    return found


def evaluate_noise(
    workspace: Workspace, run: Run, skeletons: Artefact, device: str, dry_run: bool, show: Show
) -> Report:
    """Figure 6: recall of structure and azimuth at levels of noise, beside the optimisation.

    Raises UsageError for a run of another step than interpret, InputError without test skeletons.
    """
    record = run.record()
    if record["params"]["step"] != "interpret":
        raise UsageError(f"run {run.name} is not of step interpret", "name one with --run")
    ids = [item for item in record["data"]["ids"]["test"] if item in skeletons.index.items()]
    if not ids:
        raise InputError(
            f"{skeletons.name} has none of the test skeletons of {run.name}",
            "run: crossdim skeletons --test 1000",
        )
    require_fresh(workspace, skeletons, ids)
    own = run_params(run, [])
    prints = (input_print(record, skeletons),)
    params = skeleton_noise.Params(own.run, own.weights, own.data, prints)
    source = {"run": str(run.folder), "skeletons": str(skeletons.folder), "device": device}
    what = Measurement(
        skeleton_noise.STAGE, params, dict.fromkeys(sorted(ids), source), skeletons.variant
    )

    def tell(results: Artefact) -> tuple[tuple[Table, ...], dict[str, Any]]:
        found = noise_errors(results, ids)
        tables = noise_tables(found, params.levels)
        return tables, {
            **about(run, params, ids),
            "left_out": 0,
            "skeletons": int(found["rmse"].shape[-1]),
            "chosen": {**CHOSEN, "ridge_px2": params.ridge, "peak": skeleton.PEAK},
            "levels": list(params.levels),
            "tables": to_json(tables),
        }

    return evaluate(workspace, what, dry_run, show, tell)


def noise_errors(results: Artefact, ids: Sequence[str]) -> Arrays:
    """Each array of SPEC (L, M, S) over all blocks."""
    parts = [results.read(item) for item in sorted(ids)]
    return {name: np.concatenate([p[name] for p in parts], -1) for name in skeleton_noise.SPEC}


def noise_tables(found: Mapping[str, np.ndarray], levels: Sequence[float]) -> tuple[Table, ...]:
    """Means and average recalls, a column a level of noise."""

    def rows(name: str, methods: int, of: Callable[[np.ndarray], float], what: str) -> list[Row]:
        return [
            (
                f"{method}: {what}",
                {f"{100 * level:g} %": of(found[name][n, m]) for n, level in enumerate(levels)},
            )
            for m, method in enumerate(skeleton_noise.METHODS[:methods])
        ]

    structure: list[Row] = []
    for name, title in (("rmse", "RMSE"), ("aligned_rmse", "aligned RMSE")):
        structure += rows(
            name, 4, lambda e: average_recall(e, RMSE_THRESHOLDS), f"average recall of {title}"
        )
    structure += rows("rmse", 4, lambda e: float(np.mean(e)), "mean RMSE")
    view = rows(
        "azimuth_error_deg",
        3,
        lambda e: average_recall(e, AZIMUTH_THRESHOLDS),
        "average recall of azimuth",
    )
    view += rows("azimuth_error_deg", 3, lambda e: float(np.median(e)), "median error (deg)")
    return (
        Table("structure", "3D structure at noise", tuple(structure)),
        Table("viewpoint", "azimuth at noise", tuple(view)),
    )

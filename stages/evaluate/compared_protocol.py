"""Runs the comparison: every system that is trained, and trivial answers, on the same views."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from stages.engine.runner import Progress
from stages.engine.status import require_fresh
from stages.errors import InputError, UsageError
from stages.evaluate.compared import NAME, STAGE, CompareParams
from stages.evaluate.contenders import Contender, reasons, trivial
from stages.evaluate.measure import Measurement, Report, evaluate, input_print
from stages.evaluate.metrics import iou_at_thresholds
from stages.evaluate.reconstruction import predicted
from stages.evaluate.said import RES, TELL, fitted, opened
from stages.evaluate.summary import best_threshold
from stages.evaluate.tables import Row, Table, to_json
from stages.shapes.splits import assign
from stages.store.fingerprint import canonical_json, digest
from stages.store.shard import params_of
from stages.store.workspace import Artefact, Workspace, select_categories
from stages.train.inputs import choose_variant

_MAKE = "run: crossdim render --size 128 --viewpoints uniform --views 8 --name compare"
USUAL = "compare"  # name of the views that are taken if there are several
SHAPE_COLUMNS = ("voxel IoU", "Chamfer", "F-score")
POSE_COLUMNS = ("median", "acc@15", "acc@30")
KINDS = {"error_deg": "absolute", "instance": "same shape", "category": "two shapes"}
Show = Callable[[str, Progress], None]


@dataclass(frozen=True)
class Field:
    """The shapes and views that all are compared on."""

    views: Artefact
    voxels: Artefact
    shapes: tuple[tuple[str, str], ...]  # id, folder
    category: str
    split: Mapping[str, tuple[str, ...]]
    excluded: Mapping[str, str] = field(default_factory=dict)  # id -> who has learned from it


@dataclass(frozen=True)
class Comparison:
    """What the comparison found."""

    field: Field
    reports: Mapping[str, Report]  # by label
    table: Table
    missing: Mapping[str, str]  # system -> the command that trains it
    reasons: Mapping[str, Mapping[str, str]]  # label -> currency -> why there is no number
    contenders: tuple[Contender, ...]

    def summary(self) -> dict[str, Any]:
        """All of it as plain values."""
        return {
            "category": self.field.category,
            "views": self.field.views.name,
            "voxels": self.field.voxels.name,
            "shapes": {split: len(ids) for split, ids in self.field.split.items()},
            "test": list(self.field.split["test"]),
            "excluded": dict(self.field.excluded),
            "networks": {c.label: c.who for c in self.contenders if c.system},
            "table": to_json([self.table])["compare"],
            "reasons": {label: dict(why) for label, why in self.reasons.items()},
            "not_trained": dict(self.missing),
        }


def choose_field(
    workspace: Workspace, category: str, views: str | None, contenders: Sequence[Contender]
) -> Field:
    """The test shapes of a category that nobody has learned from, with views and voxels.

    Raises InputError when there are none, UsageError when several sets of views show them.
    """
    voxels = choose_variant(workspace, "voxels", {"res": RES})
    owners = {i: a for a in workspace.artefacts("shapes") for i in a.index.items()}
    if not owners:
        raise InputError(f"no shapes in {workspace.root}", "run: crossdim shapes import DIR")
    chosen = select_categories(owners, (category,))
    picture = _views(workspace, views, chosen)
    there = [i for i in chosen if i in voxels.index.items() and i in picture.index.items()]
    for artefact in (voxels, picture):
        require_fresh(workspace, artefact, there)
    split = assign({i: owners[i].index.items()[i].labels for i in there})
    ids = {s: tuple(i for i in there if split[i] == s) for s in ("train", "val", "test")}
    excluded = {
        item: one.label for one in contenders for item in ids["test"] if item in one.learned_from
    }
    ids["test"] = tuple(i for i in ids["test"] if i not in excluded)
    if not ids["test"] or not ids["train"]:
        what = "train" if not ids["train"] else "test"
        why = f"; {len(excluded)} were learned from" if excluded else ""
        raise InputError(
            f"no {what} shapes of {category} in {picture.name} and {voxels.name}{why}",
            "add shapes of more families: crossdim shapes import PATH",
        )
    shapes = tuple((i, str(owners[i].folder)) for i in (*ids["train"], *ids["test"]))
    return Field(picture, voxels, shapes, category, ids, excluded)


def _views(workspace: Workspace, name: str | None, wanted: Sequence[str]) -> Artefact:
    there = {a.variant: a for a in workspace.artefacts("views")}
    if name is not None:
        if name not in there:
            raise InputError(f"no views/{name} in {workspace.root}", _MAKE)
        return there[name]
    fits = [a for a in there.values() if any(item in a.index.items() for item in wanted)]
    if not fits:
        raise InputError(f"no views of these shapes in {workspace.root}", _MAKE)
    usual = [a for a in fits if a.variant == USUAL]
    if len(fits) > 1 and not usual:
        names = ", ".join(a.variant for a in fits)
        raise UsageError(f"several views show them: {names}", "choose one with --views NAME")
    return (usual or fits)[0]


def compare(
    workspace: Workspace,
    on: Field,
    contenders: Sequence[Contender],
    missing: Mapping[str, str],
    device: str,
    show: Show,
) -> Comparison:
    """Measure all of them, as far as it is not cached, and put them into one table."""
    everybody = (*contenders, *trivial())
    reports: dict[str, Report] = {}
    unsaid: dict[str, dict[str, str]] = {}
    rows: list[Row] = []
    for one in everybody:
        if one.system and one.system not in TELL:
            unsaid[one.label] = reasons(one)
            rows.append((one.label, {}))
            continue
        report = _measured(workspace, on, one, device, show)
        reports[one.label] = report
        rows.append((one.label, numbers(report.results, on.split["test"])))
        if why := reasons(one):
            unsaid[one.label] = why
    table = Table("compare", f"{on.category}, {on.views.name}", tuple(rows))
    return Comparison(on, reports, table, missing, unsaid, everybody)


def _measured(workspace: Workspace, on: Field, one: Contender, device: str, show: Show) -> Report:
    stand_in = {"data": {"ids": {"test": list(on.split["test"])}, "categories": [on.category]}}
    record = one.record or stand_in
    prints = tuple(input_print(record, artefact) for artefact in (on.views, on.voxels))
    training = _print(on)
    params = CompareParams(one.name, one.weights, one.data, prints, 0.5, training)
    source = {
        "who": one.who,
        "weights": one.weights,
        "device": device,
        "views": str(on.views.folder),
        "voxels": str(on.voxels.folder),
        "shapes": [list(pair) for pair in on.shapes],
        **{split: list(ids) for split, ids in on.split.items()},
        "category": on.category,
        "prints": [*prints, training],
    }
    what = Measurement(STAGE, params, {}, f"{on.views.variant}-{on.category}")
    if one.system == "pose-aware":
        threshold = _threshold(workspace, on, one, what, device)
        params = CompareParams(one.name, one.weights, one.data, prints, threshold, training)
    sources = dict.fromkeys(on.split["test"], source)
    what = Measurement(STAGE, params, sources, what.name)

    def tell(results: Artefact) -> tuple[tuple[Table, ...], dict[str, Any]]:
        table = Table(NAME, one.label, ((one.label, numbers(results, on.split["test"])),))
        facts = {"run": one.name, "weights": one.weights, "threshold": params.threshold}
        return (table,), {**facts, "tables": to_json((table,))}

    return evaluate(workspace, what, False, lambda p: show(one.label, p), tell)


def _print(on: Field) -> str:
    """A fingerprint of the shapes of every split, their meshes, views and voxels."""
    members = [i for ids in on.split.values() for i in ids]
    parts = [[a.index.entries[i].fingerprint for i in members] for a in (on.views, on.voxels)]
    return digest(canonical_json([list(map(list, on.split.items())), parts]).encode())


def _threshold(
    workspace: Workspace, on: Field, one: Contender, what: Measurement, device: str
) -> float:
    """The occupancy threshold that is best on the validation shapes, as these views show them."""
    key = what.results(workspace).index.key
    known = params_of(key) if key else {}
    same = ("weights", "inputs", "training")
    wanted = {"weights": one.weights, "inputs": list(what.params.inputs)}
    wanted["training"] = _print(on)
    if known and all(known.get(name) == wanted[name] for name in same):
        return float(known["threshold"])
    from stages.weights.framing import picture_size

    trained = opened(one.who, one.weights, device)
    size = picture_size(one.system, trained.params)
    scores = []
    for item in on.split["val"] or on.split["train"]:
        truth = on.voxels.read(item, ("voxels",))["voxels"]
        rgb = fitted(on.views.read(item, ("rgb",))["rgb"], size)
        told = predicted(trained, rgb, device)["voxels"]
        scores.append(iou_at_thresholds(told, np.broadcast_to(truth, told.shape)))
    return best_threshold(np.concatenate(scores))


def numbers(results: Artefact, ids: Sequence[str]) -> dict[str, float]:
    """The numbers of a row: means over the views of all shapes, medians and shares over all views
    or pairs; what a system does not tell is left out.
    """
    names = ("voxel_iou", "chamfer", "f_score", "error_deg")
    errors = ("instance_error_deg", "category_error_deg")
    found: dict[str, list[np.ndarray]] = {name: [] for name in (*names, *errors)}
    for item in ids:
        arrays = results.read(item, (*names, *errors))
        for name in names:
            found[name].append(arrays[name])
        for name in errors:
            found[name].append(arrays[name].reshape(-1))
    whole = {name: np.concatenate(parts) for name, parts in found.items()}
    row: dict[str, float] = {}
    for name, column in zip(names[:3], SHAPE_COLUMNS):
        known = whole[name][np.isfinite(whole[name])]
        if len(known):
            row[column] = float(known.mean())
    for name, kind in KINDS.items():
        error = whole[name if name in whole else f"{name}_error_deg"]
        if len(error):
            row[f"{kind}: {POSE_COLUMNS[0]}"] = float(np.median(error))
            row[f"{kind}: {POSE_COLUMNS[1]}"] = float((error < 15).mean())
            row[f"{kind}: {POSE_COLUMNS[2]}"] = float((error < 30).mean())
    return row


COLUMNS = (*SHAPE_COLUMNS, *(f"{kind}: {c}" for kind in KINDS.values() for c in POSE_COLUMNS))

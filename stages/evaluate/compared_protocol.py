"""Runs the comparison: every system that is trained, and trivial answers, on the same views."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from stages.engine.runner import Progress
from stages.engine.status import require_fresh
from stages.errors import InputError, UsageError
from stages.evaluate.compared import (
    BASELINES,
    NAME,
    RES,
    STAGE,
    TELL,
    CompareParams,
    fitted,
)
from stages.evaluate.measure import Measurement, Report, evaluate, input_print
from stages.evaluate.metrics import iou_at_thresholds
from stages.evaluate.reconstruction import predicted
from stages.evaluate.summary import best_threshold
from stages.evaluate.tables import Row, Table, to_json
from stages.shapes.splits import assign
from stages.store.fingerprint import canonical_json, digest
from stages.store.shard import params_of
from stages.store.workspace import Artefact, Workspace, select_categories
from stages.train.inputs import choose_variant
from stages.train.run import Run, find_run
from stages.weights.cards import Card, find_card
from stages.weights.lineage import learned_from

SYSTEMS = (
    *("pose-aware", "structure-generator", "deep-encoding", "interpreter"),
    *("pose-regression", "equivariant", "view-synthesis"),
)
# What a system has no answer for, and why.
NO_SHAPE = {
    "interpreter": "a skeleton fills no voxels and has no surface",
    "pose-regression": "it tells a pose alone",
    "equivariant": "it tells an embedding alone",
    "view-synthesis": "it draws pictures: crossdim eval views",
}
NO_POSE = {
    "structure-generator": "its cloud is in the canonical frame: it tells no camera",
    "deep-encoding": "codes tell no pose",
    "view-synthesis": "it draws pictures: crossdim eval views",
}
NO_ABSOLUTE = {"equivariant": "an embedding has a pose against a mesh alone: crossdim eval align"}
_ONLY = {"equivariant": {"layer": "pose"}, "interpreter": {"step": "joint"}}
_MAKE = "run: crossdim render --size 128 --viewpoints uniform --views 8 --name compare"
USUAL = "compare"  # name of the views that are taken if there are several
SHAPE_COLUMNS = ("voxel IoU", "Chamfer", "F-score")
POSE_COLUMNS = ("median", "acc@15", "acc@30")
KINDS = {"error_deg": "absolute", "instance": "same shape", "category": "two shapes"}
Show = Callable[[str, Progress], None]


@dataclass(frozen=True)
class Contender:
    """Who takes part: a run, packed weights, or a trivial answer."""

    label: str  # as the table has it
    system: str  # "" for trivial answers
    who: str  # as `compared.Asked.who`
    name: str  # of its results
    weights: str
    data: str  # fingerprint of what a run was trained on
    record: Mapping[str, Any] | None = None  # of a run
    learned_from: frozenset[str] = frozenset()


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


def choose_contenders(
    workspace: Workspace, category: str, named: Sequence[str], shipped: bool
) -> tuple[list[Contender], dict[str, str]]:
    """Who takes part, and of each system that does not the command that trains it.

    Of every system the run that `named` has (`SYSTEM/RUN`), or the newest finished one of the
    category; with `shipped`, weights that come with the package where there is none.
    """
    wanted = dict(_named(one) for one in named)
    found, missing = [], {}
    for system in SYSTEMS:
        only = _ONLY.get(system)
        try:
            run = find_run(workspace.root, system, wanted.get(system), category, only)
            found.append(_of_run(run, category))
        except InputError:
            if system in wanted:
                raise
            card = _card(system, category) if shipped else None
            if card is None:
                missing[system] = f"crossdim train {system} --category {category}"
            else:
                found.append(_of_card(card))
    return found, missing


def _named(text: str) -> tuple[str, str]:
    system, _, run = text.partition("/")
    if system not in SYSTEMS or not run:
        raise UsageError(f"{text!r} is no run", f"give SYSTEM/RUN, one of {', '.join(SYSTEMS)}")
    return system, run


def _card(system: str, category: str) -> Card | None:
    try:
        return find_card(system, category)
    except InputError:
        return None


def _of_run(run: Run, category: str) -> Contender:
    record = run.record()
    if category not in record["data"]["categories"]:
        known = ", ".join(record["data"]["categories"])
        raise InputError(f"run {run.name} of {run.system} knows {known}", "name another run")
    return Contender(
        label=f"{run.system} ({run.name})",
        system=run.system,
        who=str(run.folder),
        name=f"{run.system}-{run.name}",
        weights=run.best()["sha256"],
        data=record["data"]["fingerprint"],
        record=record,
        learned_from=frozenset(learned_from(run)),
    )


def _of_card(card: Card) -> Contender:
    return Contender(
        label=f"{card.system} (shipped weights)",
        system=card.system,
        who=str(card.path),
        name=f"weights-{card.name}",
        weights=str(card.facts["sha256"]),
        data="",
        learned_from=frozenset(card.learned_from),
    )


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
    trivial = [
        Contender(name, "", name, f"baselines-{name.split(' (')[0].replace(' ', '-')}", "", "")
        for name in BASELINES
    ]
    everybody = (*contenders, *trivial)
    reports: dict[str, Report] = {}
    reasons: dict[str, dict[str, str]] = {}
    rows: list[Row] = []
    for one in everybody:
        if one.system and one.system not in TELL:
            reasons[one.label] = _reasons(one)
            rows.append((one.label, {}))
            continue
        report = _measured(workspace, on, one, device, show)
        reports[one.label] = report
        rows.append((one.label, numbers(report.results, on.split["test"])))
        if why := _reasons(one):
            reasons[one.label] = why
    table = Table("compare", f"{on.category}, {on.views.name}", tuple(rows))
    return Comparison(on, reports, table, missing, reasons, everybody)


def _reasons(one: Contender) -> dict[str, str]:
    """Why there is no number, by currency."""
    if not one.system:
        return {}
    found = {}
    for currency, why in (("shape", NO_SHAPE), ("pose", NO_POSE), ("absolute pose", NO_ABSOLUTE)):
        if one.system in why:
            found[currency] = why[one.system]
    return found


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
    from stages.evaluate.compared import opened
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

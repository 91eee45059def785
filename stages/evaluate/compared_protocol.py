"""Runs the comparison: every system that is trained, and trivial answers, on the same views."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from stages.engine.runner import Progress
from stages.evaluate.compared import NAME, STAGE, CompareParams
from stages.evaluate.compared_field import Field, KnownField
from stages.evaluate.compared_table import count_views, numbers
from stages.evaluate.contenders import Contender, reasons, trivial
from stages.evaluate.measure import Measurement, Report, evaluate, input_print
from stages.evaluate.metrics import iou_at_thresholds
from stages.evaluate.reconstruction import predicted
from stages.evaluate.said import TELL, fitted, opened
from stages.evaluate.summary import best_threshold
from stages.evaluate.tables import Row, Table, to_json
from stages.store.shard import params_of
from stages.store.workspace import Artefact, Workspace

Show = Callable[[str, Progress], None]


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
    known = KnownField.of(on)
    training = known.print
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
        views = count_views(results, on.split["test"])
        facts = {**_facts(one, params), "views": views, "field": known.to_json()}
        return (table,), {**facts, "tables": to_json((table,))}

    return evaluate(workspace, what, False, lambda p: show(one.label, p), tell)


def _facts(one: Contender, params: CompareParams) -> dict[str, Any]:
    """What a summary says of a contender."""
    return {
        "run": one.name,
        "weights": one.weights,
        "threshold": params.threshold,
        "label": one.label,
        "system": one.system,
        "reasons": reasons(one),
    }


def _threshold(
    workspace: Workspace, on: Field, one: Contender, what: Measurement, device: str
) -> float:
    """The occupancy threshold that is best on the validation shapes, as these views show them."""
    key = what.results(workspace).index.key
    known = params_of(key) if key else {}
    same = ("weights", "inputs", "training")
    wanted = {"weights": one.weights, "inputs": list(what.params.inputs)}
    wanted["training"] = KnownField.of(on).print
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

"""The report of a workspace: what there is, what failed, what was learnt, how good it is."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from stages.doctor.versions import about
from stages.errors import CrossdimError
from stages.export.pictures import in_turn
from stages.report import compared, facts
from stages.report.curves import Panel, panels
from stages.report.facts import KNOWS, ResultFact, RunFact, TableFact
from stages.report.page import Page, render
from stages.report.shown import Shown, show
from stages.shapes.splits import SPLITS
from stages.store.workspace import Artefact, Workspace

Tell = Callable[[int, int], None]
_OPEN = 6  # so many results or fewer are shown unfolded
_HIGHER = (
    *("iou", "acc", "recall", "psnr", "ssim", "f-score", "map", "pck", "pcp", "avp"),
    *("category@", "within", "classification"),
)
_LOWER = ("error", "distance", "chamfer", "rank", "rmse", "->", "reprojection", "flips")
PROTOCOLS = {
    "reconstruction": "Voxels, silhouette and camera pose told from one picture, without poses to "
    "learn from. IoU: share of the union that both fill.",
    "relpose": "The rotation between two views, of one shape or of two of a category, as the angle "
    "that is left when the told rotation is undone.",
    "align": "The pose of a view, told by comparing it with a mesh: its own, or another's.",
    "views": "The shape as it looks from elsewhere, drawn from one picture, beside true pictures.",
    "classification": "The category of a shape, told from its sphere map, as it stands and turned.",
    "retrieval": "Shapes sought by pictures, and pictures by shapes, through codes in one space.",
    "pointcloud": "A cloud told from one picture, beside points of the surface: how far told "
    "points are from the truth, and the truth from told points.",
    "keypoints": "Named points found in a picture.",
    "skeleton": "A skeleton in three dimensions, and the side that is seen, told from a picture.",
    "compare": "What each of them says of the same views. Their numbers are at the head of the "
    "results, beside each other.",
    "skeleton-noise": "The same from keypoints that are off by more and more.",
}


@dataclass(frozen=True)
class RunView:
    """A run as the template has it."""

    name: str
    status: str
    categories: str
    preset: str
    counts: str
    steps: str
    best_step: str
    seconds: str
    remark: str
    note: str
    panels: tuple[Panel, ...]
    keys: tuple[str, ...]
    params: dict[str, str]
    command: str


def report(workspace: Workspace, pictures: int, title: str, tell: Tell) -> bytes:
    """The page of a workspace, `pictures` examples of the shapes and of each result on it.

    `tell` is told of the results as they are drawn. What is missing, or cannot be read, is said on
    the page; an empty workspace makes a page, too.
    """
    page = Page()
    sources = facts.sources(workspace)
    stages, failed, count = facts.stage_facts(workspace)
    trained = facts.run_facts(workspace)
    runs = [_run_view(one) for one in trained]
    results = facts.result_facts(workspace)
    side_by_side, left = compared.gather(workspace, results)
    return render(
        "report.html",
        page,
        title=title,
        contents=[one for one in _CONTENTS if one[0] != "compared" or side_by_side],
        cards=_cards(sources, runs, results, count),
        missing=_missing(stages, runs, results),
        sources=sources,
        splits=_splits(sources),
        shapes=_shapes(workspace, pictures),
        stages=stages,
        failures=failed,
        failed=count,
        runs=runs,
        compared=compared.sections(workspace, side_by_side, trained, pictures),
        left=left,
        protocols=_protocols(workspace, results, pictures, tell),
        open=sum(one.protocol != compared.PROTOCOL for one in results) <= _OPEN,
        environment=about(),
    )


_CONTENTS = (
    ("data", "Data"),
    ("stages", "Stages"),
    ("runs", "Runs"),
    ("results", "Results"),
    ("compared", "Systems compared"),
    ("environment", "Environment"),
)


def _splits(sources: Sequence[facts.Source]) -> tuple[str, ...]:
    unknown = ("",) if any("" in row[1] for s in sources for row in s.rows) else ()
    return (*SPLITS, *unknown)


def _cards(
    sources: Sequence[facts.Source], runs: Sequence[RunView], results: Sequence[Any], failed: int
) -> list[tuple[str, str]]:
    categories = {row[0] for source in sources for row in source.rows}
    return [
        (f"{sum(s.total for s in sources):,}", "shapes"),
        (str(len(categories)), "categories"),
        (str(len(runs)), "runs"),
        (str(len(results)), "evaluations"),
        (str(failed), "items failed"),
    ]


def _missing(
    stages: Sequence[facts.StageFact], runs: Sequence[RunView], results: Sequence[ResultFact]
) -> list[tuple[str, str]]:
    """(what is not there, the command that makes it)."""
    there = {one.name.partition("/")[0] for one in stages}
    stale = [one.name for one in stages if one.state in ("stale", "missing", "damaged")]
    old: dict[str, list[str]] = {"eval": [], "compare": []}  # by the command that mends it
    for one in results:
        command = "compare" if one.protocol == compared.PROTOCOL else "eval"
        old[command] += [] if one.fresh else [one.artefact.name]
    found = [
        ("no shapes", "shapes" in there, "crossdim shapes generate"),
        ("no pictures", "views" in there, "crossdim render"),
        ("nothing trained", bool(runs), "crossdim train pose-aware"),
        ("nothing evaluated", bool(results), "crossdim eval --help"),
        (f"not up to date: {', '.join(stale)}", not stale, "crossdim status"),
        *(
            (f"not up to date: {', '.join(names)}", not names, f"crossdim {command} --help")
            for command, names in old.items()
        ),
    ]
    return [(what, command) for what, there, command in found if not there]


def _shapes(workspace: Workspace, count: int) -> list[Shown]:
    shown = []
    for artefact in workspace.artefacts("shapes"):
        for item in spread(artefact, count):
            one = _seen(workspace, artefact, item, 0)
            shown += [one] if one.solids else []
    return shown


def spread(artefact: Artefact, count: int) -> list[str]:
    """Items in turn from the categories and spread over them; the same ones for equal items."""
    every = in_turn(sorted(artefact.index.items()), len(artefact.index.items()))
    if count >= len(every):
        return every
    return [every[n * len(every) // count] for n in range(count)]


def _seen(workspace: Workspace, artefact: Artefact, item: str, view: int) -> Shown:
    try:
        return show(workspace, artefact, item, view)
    except (CrossdimError, KeyError, IndexError, ValueError, TypeError) as error:
        return Shown(item, f"cannot be shown: {error}")
    finally:
        artefact.close()


def _run_view(fact: RunFact) -> RunView:
    record = fact.record
    data = record.get("data", {})
    ids = data.get("ids", {})
    drawn = tuple(panels(fact.metrics))
    seconds = fact.metrics[-1].get("seconds") if fact.metrics else None
    remark = fact.why if fact.why != fact.status else ""
    if (reason := str(record.get("reason", ""))) != "steps":
        remark = "; ".join(filter(None, (remark, reason)))
    known = [line.kind for panel in drawn for line in panel.lines]
    return RunView(
        fact.name,
        fact.status,
        ", ".join(data.get("categories", ())),
        str(record.get("preset", "")),
        " / ".join(str(len(ids.get(split, ()))) for split in SPLITS),
        str(record.get("step", "")),
        str(record.get("best_step", "")),
        f"{seconds:,.0f}" if seconds is not None else "",
        remark,
        fact.note,
        drawn,
        tuple(dict.fromkeys(known)),
        {key: facts.plain(value) for key, value in _details(record).items()},
        shlex.join(["crossdim", *record["argv"]]) if record.get("argv") else "",
    )


def _details(record: dict[str, Any]) -> dict[str, Any]:
    """What a run was asked for, and the versions that it was trained with."""
    versions = {f"{name}, version": v for name, v in record.get("versions", {}).items()}
    return {**record.get("params", {}), "seed": record.get("seed", ""), **versions}


def _protocols(
    workspace: Workspace, results: Sequence[ResultFact], pictures: int, tell: Tell
) -> list[tuple[str, str, list[dict[str, Any]]]]:
    """(protocol, what it is, its results as the template has them), in the order of PROTOCOLS."""
    grouped: dict[str, list[dict[str, Any]]] = {}
    for number, fact in enumerate(results):
        grouped.setdefault(fact.protocol, []).append(
            {
                "fact": fact,
                "about": _about(fact.summary),
                # what is compared has its numbers at the head
                "tables": [_table(t) for t in fact.tables if fact.protocol != compared.PROTOCOL],
                "examples": _examples(workspace, fact, pictures),
            }
        )
        tell(number + 1, len(results))
    return [(name, PROTOCOLS.get(name, ""), grouped[name]) for name in grouped]


def _about(summary: dict[str, Any]) -> str:
    """One line: the run, its step and seed, and what it was measured on."""
    if not summary:
        return ""
    if "field" in summary:  # of a comparison: the head of the results says the rest
        return str(summary.get("label", ""))
    count, inputs = summary.get("items", summary.get("shapes", "?")), summary.get("inputs", ())
    on = " and ".join(map(str, inputs if isinstance(inputs, list) else ()))
    text = f"run {summary.get('run')} of {summary.get('system')}, step {summary.get('step')}, "
    text += f"seed {summary.get('seed')}: {count} test items" + (f" of {on}" if on else "")
    return text + (f", {summary['left_out']} left out" if summary.get("left_out") else "")


def _examples(workspace: Workspace, fact: ResultFact, count: int) -> list[Shown]:
    items = spread(fact.artefact, count)
    shown = [_seen(workspace, fact.artefact, item, n) for n, item in enumerate(items)]
    return [one for one in shown if one.pictures or one.solids or "cannot" in one.note]


def _table(table: TableFact) -> dict[str, Any]:
    """A table with arrows, and the best of each column marked."""
    metrics = []
    for name, answers in table.metrics:
        sense = direction(name or table.title)
        best = _best(answers, sense, len(table.columns)) if len(answers) > 1 else {}
        rows = [
            {
                "who": one.who,
                "kind": one.kind,
                "css": {"trivial answer": "trivial", KNOWS: "limit"}.get(one.kind, ""),
                "cells": [
                    (v, one.kind != KNOWS and n in best and best[n] == _value(v))
                    for n, v in enumerate(one.values)
                ],
            }
            for one in answers
        ]
        metrics.append({"name": name, "arrow": {1: "↑", -1: "↓"}.get(sense, ""), "rows": rows})
    return {"title": table.title, "columns": table.columns, "metrics": metrics}


def direction(metric: str) -> int:
    """1 where more is better, -1 where less is, 0 where that cannot be told from the name."""
    text = metric.lower()
    if any(word in text for word in _HIGHER):
        return 1
    return -1 if any(word in text for word in _LOWER) else 0


def _best(answers: Sequence[facts.Answer], sense: int, columns: int) -> dict[int, float]:
    """The best value of each column, of the answers that do not know the truth."""
    best: dict[int, float] = {}
    honest = [one for one in answers if one.kind != KNOWS]
    for column in range(columns):
        values = [v for one in honest if (v := _value(one.values[column])) is not None]
        if sense and len(values) > 1:
            best[column] = max(values, key=lambda v: sense * v)
    return best


def _value(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None

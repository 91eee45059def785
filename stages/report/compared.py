"""Systems compared, as the page has them: the summaries of all contenders, one table a field.

Numbers that were measured on other shapes, views or voxels never share a table: what results of a
comparison say of their field has to be that of their own cache, and equal fields make a table.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from stages.errors import CrossdimError
from stages.evaluate.compared_field import KnownField, changed
from stages.evaluate.compared_table import Column, Part, parts, unsaid
from stages.evaluate.contenders import BASELINES, NO_POSE, NO_SHAPE, SYSTEMS
from stages.export.comparison import Answers, Tile, comparison_rows
from stages.report.facts import KNOWS, ResultFact, RunFact, kind_of
from stages.store.shard import params_of
from stages.store.workspace import Workspace

PROTOCOL = "compare"
MOST_DRAWN = 6  # rows of pictures
_MOST = 1e6  # no number of a comparison is so large


@dataclass(frozen=True)
class Entry:
    """One contender: its results, and what their summary says of them."""

    fact: ResultFact
    field: KnownField
    label: str
    system: str  # "" of trivial answers
    values: dict[str, float]
    reasons: dict[str, str]
    views: int


@dataclass(frozen=True)
class Compared:
    """All contenders of one field, in the order of the systems; `why` they are stale, or ""."""

    field: KnownField
    why: str
    entries: tuple[Entry, ...]


def gather(
    workspace: Workspace, results: Sequence[ResultFact]
) -> tuple[list[Compared], list[tuple[str, str]]]:
    """The comparisons, and (results, why) of those that cannot stand in one.

    By category and views; of one set of views those that are as the workspace is now come first,
    then those with more contenders.
    """
    fields: dict[KnownField, list[Entry]] = {}
    left = []
    for fact in results:
        if fact.protocol != PROTOCOL:
            continue
        try:
            entry = entry_of(fact)
        except ValueError as error:
            left.append((fact.artefact.name, str(error)))
        else:
            fields.setdefault(entry.field, []).append(entry)
    found = [
        Compared(field, changed(workspace, field), tuple(sorted(entries, key=_rank)))
        for field, entries in fields.items()
    ]
    order = [(c.field.category, c.field.views, bool(c.why), -len(c.entries)) for c in found]
    return [found[n] for n in sorted(range(len(found)), key=order.__getitem__)], left


def entry_of(fact: ResultFact) -> Entry:
    """What results of a comparison say; ValueError where that is not of what they hold."""
    if fact.note:
        raise ValueError(fact.note)
    summary, key = fact.summary, fact.artefact.index.key
    field = KnownField.from_json(summary.get("field"))
    try:
        ((label, values),) = summary["tables"][PROTOCOL].items()
        known = {str(name): float(v) for name, v in values.items() if abs(v) < _MOST}  # nor NaN
        reasons = {str(name): str(why) for name, why in summary["reasons"].items()}
        system, views = str(summary["system"]), int(summary["views"])
        same = (field.print, summary["weights"])
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
        raise ValueError(f"its summary is no comparison ({type(error).__name__})") from error
    params = params_of(key) if key else {}
    if same != (params.get("training"), params.get("weights")):
        raise ValueError("its summary is of other results than are there")
    if not set(field.ids("test")) <= fact.artefact.index.items().keys():
        raise ValueError("it does not hold all shapes that its summary names")
    return Entry(fact, field, label, system, known, reasons, views)


def _rank(entry: Entry) -> tuple[int, int, str]:
    """Systems in their order, then trivial answers in theirs."""
    order, last = list(SYSTEMS), len(SYSTEMS)
    system = order.index(entry.system) if entry.system in order else last
    trivial = BASELINES.index(entry.label) if entry.label in BASELINES else 0
    return system, trivial, entry.label


def sections(
    workspace: Workspace, found: Sequence[Compared], runs: Sequence[RunFact], pictures: int
) -> list[dict[str, Any]]:
    """The comparisons as the template has them; folded what is stale beside one that is fresh."""
    fresh = {(c.field.category, c.field.views) for c in found if not c.why}
    return [
        {
            **_section(workspace, c, runs, pictures),
            "folded": bool(c.why) and (c.field.category, c.field.views) in fresh,
        }
        for c in found
    ]


def _section(
    workspace: Workspace, found: Compared, runs: Sequence[RunFact], pictures: int
) -> dict[str, Any]:
    field, entries = found.field, found.entries
    by_label = _labelled(entries)
    old = {k: e.fact.why for k, e in by_label.items() if e.fact.why and e.fact.why != found.why}
    drawn, note = _grid(workspace, found, by_label, min(pictures, MOST_DRAWN))
    return {
        "category": field.category,
        "on": f"views/{field.views} and voxels/{field.voxels}",
        "counts": _counts(found),
        "why": found.why,
        "again": _again(field),
        "parts": [
            _part(part, by_label, old) for part in parts((k, e.values) for k, e in by_label.items())
        ],
        "unsaid": [line for k, e in by_label.items() for line in unsaid(k, e.reasons)],
        "old": list(old.items()),
        "excluded": field.excluded,
        "absent": [] if found.why else _absent(found, runs),
        "grid": drawn,
        "grid_note": note,
    }


def _labelled(entries: Sequence[Entry]) -> dict[str, Entry]:
    """The entries by label; who shares one is told apart by the name of its results."""
    labels = [entry.label for entry in entries]
    return {
        e.label if labels.count(e.label) == 1 else f"{e.label}: {e.fact.artefact.variant}": e
        for e in entries
    }


def _counts(found: Compared) -> str:
    """How many shapes and views the numbers are of."""
    train, val, test = (len(found.field.ids(split)) for split in ("train", "val", "test"))
    views = max(entry.views for entry in found.entries)
    text = f"{test} test shape{'s' * (test != 1)}, {views} views"
    return f"{text}. Trivial answers know {train} train and {val} val shapes."


def _part(part: Part, entries: dict[str, Entry], old: dict[str, str]) -> dict[str, Any]:
    """A table with arrows, the best of each column marked: of what is fresh and knows no truth."""
    kinds = {k: "" if entries[k].system else kind_of(k) for k, _ in part.rows}
    honest = {k: v for k, v in part.rows if kinds[k] != KNOWS and k not in old}
    best: list[str] = []
    for n, column in enumerate(part.columns):
        known = [v for values in honest.values() if (v := values[n]) is not None]
        # as it is shown: who looks the same is as good
        first = min(known, default=None) if column.less else max(known, default=None)
        best.append(_cell(first, column) if len(known) > 1 else "")
    rows = [
        {
            "who": label,
            "kind": kinds[label],
            "css": {"": "", KNOWS: "limit"}.get(kinds[label], "trivial"),
            "old": label in old,
            "cells": [
                (text, label in honest and text == best[n])
                for n, text in enumerate(map(_cell, values, part.columns))
            ],
        }
        for label, values in part.rows
    ]
    columns = [(column.name, "↓" if column.less else "↑") for column in part.columns]
    return {"title": part.title, "columns": columns, "rows": rows}


def _cell(value: float | None, column: Column) -> str:
    return "–" if value is None else f"{value:.{column.digits}f}"


def _absent(found: Compared, runs: Sequence[RunFact]) -> list[tuple[str, str, str]]:
    """(system, why it is in no table, the command that changes that)."""
    category = found.field.category
    there = {entry.system for entry in found.entries}
    trained = {
        r.run.system for r in runs if category in r.record.get("data", {}).get("categories", ())
    }
    absent = []
    for system in [one for one in SYSTEMS if one not in there]:
        if system in NO_SHAPE and system in NO_POSE:
            absent.append((system, NO_SHAPE[system], ""))
        elif system in trained:
            absent.append((system, "trained, but not compared", _again(found.field)))
        else:
            train = f"crossdim train {system} --category {shlex.quote(category)}"
            absent.append((system, "not trained", train))
    return absent


def _again(on: KnownField) -> str:
    """The command that compares on such a field as it is now."""
    return f"crossdim compare --category {shlex.quote(on.category)} --views {shlex.quote(on.views)}"


def _grid(
    workspace: Workspace, found: Compared, entries: dict[str, Entry], count: int
) -> tuple[list[tuple[str, list[Tile]]], str]:
    """Pictures of what everybody says of the first test shapes, or why there are none."""
    if found.why or not count:  # what was seen may have been something else
        return [], ""
    field = found.field
    told = {label: entry.fact.artefact for label, entry in entries.items()}
    views = workspace.artefact("views", field.views)
    voxels = workspace.artefact("voxels", field.voxels)
    try:
        answers = Answers(views, voxels, field.ids("test"), told)
        return comparison_rows(workspace, answers, count), ""
    except (CrossdimError, KeyError, IndexError, ValueError, TypeError) as error:
        return [], f"The pictures cannot be drawn: {error}"
    finally:
        for artefact in (views, voxels, *told.values()):
            artefact.close()

"""What a workspace holds, in tables of text: data sets and splits, stages, runs, results.

Reads manifests, records and summaries only. What cannot be read is said, and costs itself alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from stages.engine.status import ArtefactStatus, workspace_status
from stages.errors import CrossdimError
from stages.evaluate.health import results_status
from stages.shapes.splits import assign
from stages.store.manifest import Entry
from stages.store.shard import params_of
from stages.store.summary import SUMMARY, read_summary
from stages.store.workspace import Artefact, Workspace, category_of
from stages.train.health import runs_status
from stages.train.log import read_metrics
from stages.train.run import Run, list_runs

MOST_FAILURES = 40
KNOWS = "knows the truth"
_UNREADABLE = (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError)
# Words by which a row of a table is known to be no system's answer: (kind, words).
_KINDS = (
    (
        "trivial answer",
        (
            *("constant", "mean shape", "mean of", "mean training", "mean cloud", "chance"),
            *("always ", "nearest neighbour", "nearest training view", "of the nearest picture"),
            *("input as it is", "input, rolled"),
        ),
    ),
    (KNOWS, ("(limit)", "(oracle)", "gt shape", "gt pose")),
)


@dataclass(frozen=True)
class Source:
    """One artefact of shapes: how many, by category and split; families and failures."""

    name: str
    rows: tuple[tuple[str, dict[str, int], int], ...]  # category, split -> count, all
    note: str = ""

    @property
    def total(self) -> int:
        """How many shapes."""
        return sum(row[2] for row in self.rows)

    def of(self, split: str) -> int:
        """How many of them are in a split."""
        return sum(row[1].get(split, 0) for row in self.rows)


@dataclass(frozen=True)
class StageFact:
    """How one artefact stands."""

    name: str
    items: int
    state: str  # fresh, stale, missing, failed, damaged, unknown
    why: str
    params: dict[str, str] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class RunFact:
    """One training."""

    run: Run
    name: str
    status: str
    fresh: bool
    why: str
    record: dict[str, Any]
    metrics: list[dict[str, float]]
    note: str = ""


@dataclass(frozen=True)
class Answer:
    """One row of a metric: whose answer, what kind of answer, one number a column."""

    who: str
    kind: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class TableFact:
    """One table of a protocol, its rows gathered by what they measure."""

    title: str
    columns: tuple[str, ...]
    metrics: tuple[tuple[str, tuple[Answer, ...]], ...]


@dataclass(frozen=True)
class ResultFact:
    """The results of one run by one protocol."""

    artefact: Artefact
    protocol: str
    fresh: bool
    why: str
    summary: dict[str, Any]
    tables: tuple[TableFact, ...]
    note: str = ""


def sources(workspace: Workspace) -> list[Source]:
    """Shapes by source, category and split; splits that the source leaves open are dealt out."""
    return [_source(artefact) for artefact in workspace.artefacts("shapes")]


def _source(artefact: Artefact) -> Source:
    items = artefact.index.items()
    note = ""
    try:
        split = assign({item: dict(entry.labels) for item, entry in items.items()})
    except CrossdimError as error:
        split, note = dict.fromkeys(items, ""), str(error)
    counts: dict[str, dict[str, int]] = {}
    for item in items:
        row = counts.setdefault(category_of(item), {})
        row[split[item]] = row.get(split[item], 0) + 1
    rows = tuple((c, counts[c], sum(counts[c].values())) for c in sorted(counts))
    if _open(items) and not note:
        note = "splits that the source does not give are dealt out by family, as training does"
    return Source(artefact.name, rows, note)


def _open(items: dict[str, Entry]) -> bool:
    return any(not entry.labels.get("split") for entry in items.values())


def stage_facts(
    workspace: Workspace,
) -> tuple[list[StageFact], list[tuple[str, str, str]], int]:
    """Every artefact of a data stage, inputs first; the first failures, and how many there are.

    A failure is (artefact, item, reason).
    """
    statuses = workspace_status(workspace)
    failures = [
        (status.name, item, reason)
        for status in statuses
        for item, reason in sorted(status.state.failed.items())
    ]
    stages = [_stage_fact(workspace, status) for status in statuses]
    return stages, failures[:MOST_FAILURES], len(failures)


def _stage_fact(workspace: Workspace, status: ArtefactStatus) -> StageFact:
    state = status.state
    stage, _, variant = status.name.rpartition("/")
    key = workspace.artefact(stage, variant).index.key
    params = {k: plain(v) for k, v in params_of(key).items()} if key else {}
    reasons = [*sorted(set(state.stale.values())), *sorted(set(status.damaged.values()))]
    reasons += [status.note] if status.note else []
    if state.extra:
        reasons.append(f"{len(state.extra)} no longer in the input")
    counts = {
        "fresh": len(state.fresh),
        "stale": len(state.stale),
        "missing": len(state.missing),
        "failed": len(state.failed),
    }
    return StageFact(
        status.name, status.items, state_of(status), "; ".join(reasons[:3]), params, counts
    )


def state_of(status: ArtefactStatus) -> str:
    """The worst that is to be said of an artefact, in a word."""
    state = status.state
    for word, there in (
        ("damaged", status.damaged),
        ("unknown", status.note),
        ("stale", state.stale),
        ("missing", state.missing),
        ("failed", state.failed),
    ):
        if there:
            return word
    return "fresh"


def run_facts(workspace: Workspace) -> list[RunFact]:
    """Every run that was begun, by system and name."""
    known = {record["run"]: record for record in runs_status(workspace)}
    return [_run_fact(run, known) for run in list_runs(workspace.root)]


def _run_fact(run: Run, known: dict[str, dict[str, Any]]) -> RunFact:
    health = known.get(f"runs/{run.system}/{run.name}", {})
    record: dict[str, Any] = {}
    metrics: list[dict[str, float]] = []
    note = ""
    try:
        record = run.record()
        metrics = read_metrics(run.metrics)
    except CrossdimError as error:
        note = str(error)
    status, fresh = str(health.get("status", "unknown")), bool(health.get("fresh"))
    return RunFact(
        run, f"{run.system}/{run.name}", status, fresh, str(health.get("why", "")), record,
        metrics, note,
    )  # fmt: skip


def result_facts(workspace: Workspace) -> list[ResultFact]:
    """The results of every protocol, with their tables."""
    return [_result_fact(workspace, record) for record in results_status(workspace)]


def _result_fact(workspace: Workspace, record: dict[str, Any]) -> ResultFact:
    stage, _, variant = record["name"].rpartition("/")
    artefact, protocol = workspace.artefact(stage, variant), stage.rpartition("/")[2]
    summary: dict[str, Any] = {}
    tables: tuple[TableFact, ...] = ()
    note = ""
    try:
        found = read_summary(artefact.folder / SUMMARY)
        titles = found.get("titles", {})
        tables = tuple(
            table_fact(str(titles.get(key, key.replace("_", " "))), rows)
            for key, rows in found["tables"].items()
        )
        summary = found
    except _UNREADABLE as error:
        note = f"its summary cannot be read ({type(error).__name__}); evaluate it again"
    return ResultFact(artefact, protocol, record["fresh"], record["why"], summary, tables, note)


def table_fact(title: str, rows: dict[str, dict[str, Any]]) -> TableFact:
    """A table whose rows `answer: metric` are gathered by metric; others stand for themselves."""
    columns = tuple(dict.fromkeys(column for values in rows.values() for column in values))
    metrics: dict[str, list[Answer]] = {}
    for row, values in rows.items():
        who, _, what = row.partition(": ")
        who, what = (who, what) if what else (row, "")
        cells = tuple(number(values.get(column)) for column in columns)
        metrics.setdefault(what, []).append(Answer(who, kind_of(who), cells))
    return TableFact(title, columns, tuple((what, tuple(a)) for what, a in metrics.items()))


def kind_of(who: str) -> str:
    """Whether an answer is a `trivial answer`, a `limit` that knows the truth, or neither ("")."""
    for kind, words in _KINDS:
        if any(word in who.lower() for word in words):
            return kind
    return ""


def number(value: Any) -> str:
    """A number of a table as text: three digits behind the point, fewer where it is large."""
    if not isinstance(value, int | float) or not abs(value) < 1e300:  # nor NaN
        return "–"
    if float(value).is_integer() and abs(value) >= 10:
        return f"{value:.0f}"
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"


def plain(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)

"""What all protocols share: cached results of a run, brought up to date, and their summary."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stages.engine.plan import make_plan
from stages.engine.pools import Limits
from stages.engine.runner import Progress, execute
from stages.engine.work import Work
from stages.errors import CrossdimError
from stages.evaluate.tables import Table, to_csv
from stages.stage import Stage, params_json
from stages.store.commit import commit_bytes
from stages.store.fingerprint import canonical_json, digest, item_fingerprint
from stages.store.summary import SUMMARY, summary_bytes
from stages.store.workspace import Artefact, Workspace, category_of
from stages.train.run import Run
from stages.viewpoints.categories import canonical

Show = Callable[[Progress], None]
_LONGEST = 100  # characters of a folder's name


@dataclass(frozen=True)
class Report:
    """What an evaluation found, and where it is kept."""

    results: Artefact
    summary: dict[str, Any]
    tables: tuple[Table, ...] = ()
    todo: int = 0


@dataclass(frozen=True)
class RunParams:
    """What the numbers depend on."""

    run: str = ""  # system-name
    weights: str = ""  # sha256 of the checkpoint
    data: str = ""  # fingerprint of the run's shapes and split
    inputs: tuple[str, ...] = ()  # what it is measured on, as of `input_print`


def run_params(run: Run, inputs: Sequence[Artefact], others: bool = False) -> RunParams:
    """The parameters of results of a run as it is now; InputError without a best checkpoint.

    `others`: on categories that the run does not know.
    """
    record = run.record()
    prints = tuple(input_print(record, artefact, others) for artefact in inputs)
    name = f"{run.system}-{run.name}"
    return RunParams(name, run.best()["sha256"], record["data"]["fingerprint"], prints)


def usable(record: Mapping[str, Any], artefact: Artefact, others: bool = False) -> list[str]:
    """The items of an artefact that a run can be measured on: of photos and landmarks those of its
    categories that it has not learnt from, else its test shapes. `others`: all of other categories.
    """
    items, data = artefact.index.items(), record["data"]
    known = {canonical(category) for category in data["categories"]}
    if others:
        return sorted(item for item in items if canonical(category_of(item)) not in known)
    if artefact.stage not in ("keypoints", "landmarks"):
        return sorted(item for item in data["ids"]["test"] if item in items)
    fits = sorted(item for item in items if canonical(category_of(item)) in known)
    if artefact.stage == "keypoints" and artefact.variant != data["variants"].get("keypoints"):
        return fits  # the names of photos in other data sets mean nothing
    seen = {*data["ids"]["train"], *data["ids"]["val"]}
    return [item for item in fits if item not in seen]  # also what it has never seen


def input_print(record: Mapping[str, Any], artefact: Artefact, others: bool = False) -> str:
    """`stage/variant digest`, or with ` others` behind it: the artefact, and what it holds of
    `usable` items."""
    items = artefact.index.items()
    prints = [[item, items[item].fingerprint] for item in usable(record, artefact, others)]
    found = f"{artefact.name} {digest(canonical_json(prints).encode())}"
    return f"{found} others" if others else found


def changed_input(workspace: Workspace, record: Mapping[str, Any], inputs: Sequence[str]) -> str:
    """The first of these inputs that is not as it was, "" when all are."""
    for known in inputs:
        stage, _, variant = known.partition(" ")[0].rpartition("/")
        others = known.endswith(" others")
        if input_print(record, workspace.artefact(stage, variant), others) != known:
            return f"{stage}/{variant}"
    return ""


@dataclass(frozen=True)
class Measurement:
    """Items that a stage is to measure a run on: their sources, and the name of the results."""

    stage: Stage
    params: RunParams
    sources: Mapping[str, Mapping[str, Any]]  # by id
    name: str  # of the inputs

    def results(self, workspace: Workspace) -> Artefact:
        """Where they are kept: `results/<protocol>/<system>-<run>-<inputs>`."""
        name = f"{self.params.run}-{self.name}"
        if len(name) > _LONGEST:
            name = f"{name[:60]}-{digest(name.encode())[:8]}"
        return workspace.artefact(self.stage.name, name)

    def work(self) -> dict[str, Work]:
        """The work by id. The parameters say all that it depends on."""
        values = params_json(self.params)
        print_ = item_fingerprint(self.stage.name, self.stage.version, values, 0, {})
        return {item: Work(item, print_, source=source) for item, source in self.sources.items()}


def evaluate(
    workspace: Workspace,
    what: Measurement,
    dry_run: bool,
    show: Show,
    tell: Callable[[Artefact], tuple[tuple[Table, ...], dict[str, Any]]],
) -> Report:
    """Measure what is not cached, and keep the tables and the summary that `tell` makes of it."""
    stage, params, results, work = what.stage, what.params, what.results(workspace), what.work()
    if dry_run:
        return Report(results, {}, todo=todo(stage, params, results, work))
    results = measure(stage, params, results, work, show)
    tables, summary = tell(results)
    keep(results, summary, tables)
    return Report(results, summary, tables)


def about(run: Run, params: RunParams, ids: Sequence[str]) -> dict[str, Any]:
    """What every summary says first."""
    return {
        "run": run.name,
        "system": run.system,
        "step": run.best()["step"],
        "seed": run.record()["seed"],
        "weights": params.weights,
        "inputs": [text.partition(" ")[0] for text in params.inputs],
        "items": len(ids),
    }


def todo(stage: Stage, params: Any, results: Artefact, work: Mapping[str, Work]) -> int:
    """How many items there are to measure."""
    if not _is_of(results, params):
        return len(work)
    return make_plan(stage, params, 0, results, work).todo


def measure(
    stage: Stage, params: Any, results: Artefact, work: Mapping[str, Work], show: Show
) -> Artefact:
    """Bring the results up to date; what other weights gave is replaced."""
    if not _is_of(results, params):
        for path in (*results.folder.glob("shard-*.h5"), results.folder / "manifest.json"):
            path.unlink(missing_ok=True)
        results = results.refresh()
    plan = make_plan(stage, params, 0, results, work, retry_failed=True)
    outcome = execute(plan, stage, params, Limits(jobs=0), show)
    if outcome.failures:
        item, reason = next(iter(outcome.failures.items()))
        raise CrossdimError(f"evaluating {item} failed: {reason}", "run it again with --debug")
    return results.refresh()


def keep(results: Artefact, summary: dict[str, Any], tables: tuple[Table, ...]) -> None:
    """Write summary.json, with the titles of the tables, and summary.csv beside the results."""
    summary = {**summary, "titles": {table.key: table.title for table in tables}}
    commit_bytes(results.folder / SUMMARY, summary_bytes(summary))
    commit_bytes(results.folder / "summary.csv", to_csv(tables).encode())


def _is_of(results: Artefact, params: Any) -> bool:
    """Whether what the artefact holds, if anything, was made with these parameters."""
    key = results.index.key
    return key is None or key.params == canonical_json(params_json(params))

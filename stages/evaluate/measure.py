"""What all protocols share: cached results of a run, brought up to date, and their summary."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
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
from stages.store.fingerprint import canonical_json
from stages.store.workspace import Artefact

Show = Callable[[Progress], None]


@dataclass(frozen=True)
class Report:
    """What an evaluation found, and where it is kept."""

    results: Artefact
    summary: dict[str, Any]
    tables: tuple[Table, ...] = ()
    todo: int = 0


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
    """Write summary.json and summary.csv beside the results."""
    commit_bytes(results.folder / "summary.json", (json.dumps(summary, indent=1) + "\n").encode())
    commit_bytes(results.folder / "summary.csv", to_csv(tables).encode())


def _is_of(results: Artefact, params: Any) -> bool:
    """Whether what the artefact holds, if anything, was made with these parameters."""
    key = results.index.key
    return key is None or key.params == canonical_json(params_json(params))

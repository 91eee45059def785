"""Runs a plan: items through an engine, results into shards, shards into the artefact.

The order of events is the promise: a shard is committed when its last item is done, whole and
under the name of its content, so a kill at any moment loses at most the shards in work, and the
same command again carries on to the same bytes.
"""

from __future__ import annotations

import contextlib
import dataclasses
import platform
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

from stages.engine import pools
from stages.engine.plan import Plan, Request, ShardTask
from stages.engine.pools import Limits, Result
from stages.engine.work import Job
from stages.errors import CrossdimError
from stages.stage import Stage
from stages.store.commit import commit_bytes, make_folder, sweep
from stages.store.index import discard_damaged, save_index
from stages.store.manifest import Index
from stages.store.shard import Encoded, Failure, build_shard, shard_name

# Shards that the manifest does not know are hashed by all who load the index, so in a long run it
# is written now and then, but never so often that the run waits for it.
_SAVE_SECONDS = 60
_SAVE_SHARE = 0.05
_NO_REQUEST = Request()


@dataclass(frozen=True)
class Progress:
    """How far a run is, for whoever shows it."""

    done: int
    total: int
    failed: int


@dataclass
class Outcome:
    """What a run did."""

    done: int = 0
    failures: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    damaged: dict[str, str] = field(default_factory=dict)  # shards that were made again, and why


def execute(
    plan: Plan,
    stage: Stage,
    params: Any,
    limits: Limits,
    on_progress: Callable[[Progress], None] = lambda progress: None,
    request: Request = _NO_REQUEST,
) -> Outcome:
    """Do what the plan says; the request is kept in the manifest for `status` to look at.

    Raises CrossdimError when a shard cannot be written: all shards before it stay.
    """
    folder, index = plan.artefact.folder, plan.artefact.index
    outcome = Outcome(damaged=dict(index.damaged))
    asked = [one for one in _asked(request) if one not in index.extra.get("asked", [])]
    if not plan.tasks and not asked and request.origin is None and index.saved:
        return outcome
    start = time.monotonic()
    make_folder(folder)
    sweep(folder)
    discard_damaged(folder, index.damaged)
    if asked or (index.key and plan.key.buckets > index.key.buckets):
        # before the work: `status`, and slices with less to do, must count as this run does
        save_index(folder, _origin(request), asked, plan.key.buckets)
    job = Job.of(stage, params, plan.key.seed)
    work = (one for task in plan.tasks for one in task.work)
    try:
        with contextlib.closing(pools.run(job, work, limits, stage.untrusted)) as results:
            _collect(results, plan, outcome, on_progress)
    except BaseException:
        outcome.seconds = time.monotonic() - start
        with contextlib.suppress(CrossdimError):  # the first error is the one to tell
            save_index(folder, _extra(outcome, request))
        raise
    outcome.seconds = time.monotonic() - start
    save_index(folder, _extra(outcome, request))
    return outcome


def _collect(
    results: Iterable[Result],
    plan: Plan,
    outcome: Outcome,
    on_progress: Callable[[Progress], None],
) -> None:
    """Turn results into shards, and now and then into a manifest."""
    collector, total = _Collector(plan), plan.todo
    save_at = time.monotonic() + _SAVE_SECONDS
    for result in results:
        collector.take(result)
        outcome.done += isinstance(result, Encoded)
        if isinstance(result, Failure):
            outcome.failures[result.id] = result.reason
        failed = len(outcome.failures)
        on_progress(Progress(outcome.done + failed, total, failed))
        if (now := time.monotonic()) > save_at:
            save_index(plan.artefact.folder)
            took = time.monotonic() - now
            save_at = now + took + max(_SAVE_SECONDS, took / _SAVE_SHARE)


class _Collector:
    """Gathers results until a shard is complete, then commits it."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._task_of = {one.id: n for n, task in enumerate(plan.tasks) for one in task.work}
        self._results: dict[int, list[Result]] = {}

    def take(self, result: Result) -> None:
        number = self._task_of[result.id]
        results = self._results.setdefault(number, [])
        results.append(result)
        task = self._plan.tasks[number]
        if len(results) == len(task.work):
            self._commit(task, self._results.pop(number))

    def _commit(self, task: ShardTask, results: list[Result]) -> None:
        index = self._plan.artefact.index
        items = [r for r in results if isinstance(r, Encoded)]
        failures = [r for r in results if isinstance(r, Failure) and not _known_failure(index, r)]
        if not items and not failures:
            return
        generation = index.generation_for(r.id for r in results)
        key = dataclasses.replace(self._plan.key, bucket=task.bucket, generation=generation)
        data = build_shard(key, items, failures)
        commit_bytes(self._plan.artefact.folder / shard_name(task.bucket, data), data)


def _known_failure(index: Index, failure: Failure) -> bool:
    """Whether the cache says so already: retried in vain, it need not be said again."""
    entry = index.entries.get(failure.id)
    return entry is not None and (entry.fingerprint, entry.reason) == (
        failure.fingerprint,
        failure.reason,
    )


def _asked(request: Request) -> list[dict[str, Any]]:
    return request.selection.to_json() if request.selection else []


def _origin(request: Request) -> dict[str, Any]:
    return {} if request.origin is None else {"source": dict(request.origin)}


def _extra(outcome: Outcome, request: Request) -> dict[str, Any]:
    return {
        "versions": {"crossdim": version("crossdim"), "python": platform.python_version()},
        "last_run": {
            "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "seconds": round(outcome.seconds, 1),
            "done": outcome.done,
            "failed": len(outcome.failures),
        },
        **_origin(request),
    }

"""Engines: each takes work and yields results, in whatever order they come.

An item that crashes, hangs or eats memory costs itself and nothing else: the supervised pool
(pebble) starts a new process for the next one. Everything else about a run (what to do, shards,
commits) is the runner's.
"""

from __future__ import annotations

import concurrent.futures
from collections.abc import Generator, Iterable
from concurrent.futures import FIRST_COMPLETED, Future
from dataclasses import dataclass
from typing import TypeAlias

from stages.engine.work import Job, Work, perform
from stages.errors import CrossdimError, ItemError
from stages.store import guarded as guard
from stages.store.guarded import guarded_pool, reason_of
from stages.store.shard import Encoded, Failure

Result: TypeAlias = Encoded | Failure
Results: TypeAlias = Generator[Result, None, None]


@dataclass(frozen=True)
class Limits(guard.Limits):
    """Where items run, in how many processes, and what one of them may take."""

    ray: str = ""  # a Ray cluster instead of processes of our own: its address, or `local`


def run(job: Job, work: Iterable[Work], limits: Limits, guarded: bool) -> Results:
    """The result of every item. `guarded` work never runs in this process."""
    if limits.ray:
        from stages.engine.ray_cluster import run_on_ray

        return run_on_ray(job, work, limits)
    if limits.jobs == 0 and not guarded:
        return run_here(job, work)
    return run_supervised(job, work, limits)


def run_here(job: Job, work: Iterable[Work]) -> Results:
    """Process the items one by one in this process."""
    for one in work:
        try:
            yield Encoded(one.id, one.fingerprint, perform(job, one))
        except (ItemError, MemoryError) as error:
            yield Failure(one.id, one.fingerprint, reason_of(error, Limits()))


def run_supervised(job: Job, work: Iterable[Work], limits: Limits) -> Results:
    """Process the items in `limits.jobs` spawned processes, each item under its own limits."""
    count = max(1, limits.jobs)
    pool = guarded_pool(limits)
    waiting: dict[Future[bytes], Work] = {}
    remaining = iter(work)
    finished = False
    try:
        while True:
            # a window, not all at once: a million futures would not fit
            for one in remaining:
                waiting[pool.schedule(perform, args=(job, one), timeout=limits.seconds)] = one
                if len(waiting) >= 4 * count:
                    break
            if not waiting:
                break
            done, _ = concurrent.futures.wait(waiting, return_when=FIRST_COMPLETED)
            for future in done:
                yield result_of(future, waiting.pop(future), limits)
        finished = True
    finally:
        if finished:
            pool.close()
        else:
            pool.stop()
        pool.join()


def result_of(future: Future[bytes], work: Work, limits: Limits) -> Result:
    """What became of an item in a supervised process; raises what concerns more than the item."""
    error = future.exception()
    if error is None:
        return Encoded(work.id, work.fingerprint, future.result())
    if isinstance(error, CrossdimError):
        raise error
    return Failure(work.id, work.fingerprint, reason_of(error, limits))

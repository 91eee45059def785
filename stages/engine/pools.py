"""Engines: each takes work and yields results, in whatever order they come.

An item that crashes, hangs or eats memory costs itself and nothing else: the supervised pool
(pebble) starts a new process for the next one. Everything else about a run (what to do, shards,
commits) is the runner's.
"""

from __future__ import annotations

import concurrent.futures
import ctypes
import multiprocessing
import os
import resource
import signal
import sys
from collections.abc import Generator, Iterable
from concurrent.futures import FIRST_COMPLETED, Future
from dataclasses import dataclass
from typing import TypeAlias

from pebble import ProcessExpired, ProcessPool

from stages.engine.work import Job, Work, perform
from stages.errors import CrossdimError, ItemError
from stages.store.shard import Encoded, Failure

Result: TypeAlias = Encoded | Failure
Results: TypeAlias = Generator[Result, None, None]
GIB = 1 << 30


@dataclass(frozen=True)
class Limits:
    """How many processes, and what one item may take."""

    jobs: int = 1  # 0: in this process, without limits
    seconds: float = 300.0
    memory_gib: float = 4.0


def run(job: Job, work: Iterable[Work], limits: Limits, guarded: bool) -> Results:
    """The result of every item. `guarded` work never runs in this process."""
    if limits.jobs == 0 and not guarded:
        return run_here(job, work)
    return run_supervised(job, work, limits)


def run_here(job: Job, work: Iterable[Work]) -> Results:
    """Process the items one by one in this process."""
    for one in work:
        try:
            yield Encoded(one.id, one.fingerprint, perform(job, one))
        except (ItemError, MemoryError) as error:
            yield Failure(one.id, one.fingerprint, _reason(error, Limits()))


def run_supervised(job: Job, work: Iterable[Work], limits: Limits) -> Results:
    """Process the items in `limits.jobs` spawned processes, each item under its own limits."""
    count = max(1, limits.jobs)
    pool = ProcessPool(
        max_workers=count,
        context=multiprocessing.get_context("spawn"),
        initializer=_prepare_worker,
        initargs=(limits.memory_gib, os.getpid()),
    )
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
                yield _result(future, waiting.pop(future), limits)
        finished = True
    finally:
        if finished:
            pool.close()
        else:
            pool.stop()
        pool.join()


def _result(future: Future[bytes], work: Work, limits: Limits) -> Result:
    error = future.exception()
    if error is None:
        return Encoded(work.id, work.fingerprint, future.result())
    if isinstance(error, CrossdimError):
        raise error
    return Failure(work.id, work.fingerprint, _reason(error, limits))


def _reason(error: BaseException, limits: Limits) -> str:
    """Why an item failed, in one line."""
    if isinstance(error, ItemError):
        return str(error)
    if isinstance(error, MemoryError):
        return f"needs more than {limits.memory_gib:g} GiB of memory"
    if isinstance(error, concurrent.futures.TimeoutError):
        return f"took longer than {limits.seconds:g} s"
    if isinstance(error, ProcessExpired):
        code = error.exitcode
        if code is not None and code < 0:
            return f"its process was killed by {signal.Signals(-code).name}"
        return f"its process ended with exit code {code}"
    return f"{type(error).__name__}: {error}"


def _prepare_worker(memory_gib: float, parent: int) -> None:
    """Limits of a worker: its memory, and that it dies with its parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        limit = int(memory_gib * GIB)
        resource.setrlimit(resource.RLIMIT_DATA, (limit if hard < 0 else min(limit, hard), hard))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

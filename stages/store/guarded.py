"""Functions on files of others, each call in a process that may crash, hang or eat memory.

Parsers of meshes, MATLAB files and images can be brought to all of that by a damaged file. A call
that is lost to it costs itself: the process is replaced, the other calls go on.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import ctypes
import os
import resource
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from multiprocessing.context import SpawnContext, SpawnProcess
from typing import Any

from pebble import ProcessExpired, ProcessPool

from stages.errors import ItemError

GIB = 1 << 30


@dataclass(frozen=True)
class Limits:
    """How many processes, and what one item may take."""

    jobs: int = 1  # 0: in this process, without limits
    seconds: float = 300.0
    memory_gib: float = 4.0


@dataclass(frozen=True)
class Refused:
    """A call that came to nothing, and why, in one line."""

    reason: str


def call_each(
    function: Callable[[Any], Any], arguments: Sequence[Any], limits: Limits
) -> list[Any | Refused]:
    """`function` of each argument, in their order; Refused where it raised, or was stopped.

    The calls run in `limits.jobs` spawned processes (at least one), each call under `limits` of
    its own. The function must be one that can be imported, argument and result picklable.
    """
    if not arguments:
        return []
    pool = guarded_pool(replace(limits, jobs=min(limits.jobs, len(arguments))))
    finished = False
    try:
        calls = [pool.schedule(function, (one,), timeout=limits.seconds) for one in arguments]
        results = [_result(call, limits) for call in calls]
        finished = True
    finally:
        if finished:
            pool.close()
        else:
            pool.stop()
        pool.join()
    return results


def _result(call: concurrent.futures.Future[Any], limits: Limits) -> Any | Refused:
    error = call.exception()
    return call.result() if error is None else Refused(reason_of(error, limits))


@contextlib.contextmanager
def held_back(*numbers: signal.Signals) -> Iterator[None]:
    """Signals that this thread, and processes that it starts meanwhile, get later, or never.

    Ctrl-C reaches all processes of a terminal, also one that has only begun to start and would end
    with a traceback, as long as it has no handlers of its own.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Process(SpawnProcess):
    """A process that Ctrl-C does not reach: it is for its parent to end it."""

    def start(self) -> None:
        """Start it."""
        with held_back(signal.SIGINT):
            super().start()


class _Context(SpawnContext):
    Process = _Process  # type: ignore[assignment]


def guarded_pool(limits: Limits) -> ProcessPool:
    """Processes that obey `limits.memory_gib` and die with this one."""
    return ProcessPool(
        max_workers=max(1, limits.jobs),
        context=_Context(),
        initializer=_prepare_process,
        initargs=(limits.memory_gib, os.getpid()),
    )


def reason_of(error: BaseException, limits: Limits) -> str:
    """Why a call failed, in one line."""
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


def _prepare_process(memory_gib: float, parent: int) -> None:
    """Limits of a process: its memory, and that it dies with its parent."""
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

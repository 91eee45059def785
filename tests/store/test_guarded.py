"""A call that crashes, hangs or eats memory costs itself and no other."""

from __future__ import annotations

import os
import signal
import time

import pytest

from stages.errors import ItemError
from stages.store.guarded import Limits, Refused, call_each

LIMITS = Limits(jobs=2, seconds=3.0, memory_gib=1.0)


def act(what: int | str) -> int:
    """A number comes back squared, a word says how to fail."""
    if isinstance(what, int):
        return what * what
    if what == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if what == "hang":
        time.sleep(60)
    if what == "eat":
        return len(bytearray(3 << 30))
    if what == "exit":
        os._exit(3)
    if what == "refuse":
        raise ItemError("refused on purpose")
    raise KeyError(what)


REASONS = {
    "crash": "its process was killed by SIGSEGV",
    "hang": "took longer than 3 s",
    "eat": "needs more than 1 GiB of memory",
    "exit": "its process ended with exit code 3",
    "refuse": "refused on purpose",
    "bug": "KeyError: 'bug'",
}


def test_results_come_in_order_and_failures_cost_themselves() -> None:
    given: list[int | str] = [*range(10)]
    for place, word in enumerate(REASONS):
        given.insert(2 * place, word)
    wanted = [Refused(REASONS[g]) if isinstance(g, str) else g * g for g in given]
    assert call_each(act, given, LIMITS) == wanted


def test_nothing_to_do_starts_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stages.store.guarded.guarded_pool", None)
    assert call_each(act, [], LIMITS) == []


def test_the_calls_are_not_in_this_process() -> None:
    assert os.getpid() not in call_each(pid, [0, 0], Limits())


def pid(_: int) -> int:
    return os.getpid()

"""What a run costs per item beside the item does not grow with how many there are."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from stages.engine import pools
from stages.engine.cleaning import find_rubbish
from stages.engine.plan import Request, Selection
from stages.engine.pools import Limits
from stages.engine.runner import Progress, execute
from stages.engine.status import slices_of
from stages.engine.work import Job, Work
from stages.errors import ItemError
from stages.store.workspace import Workspace
from tests.engine import fake


def _refuse(job: Job, work: Work) -> bytes:
    raise ItemError("refused")  # an item like all others to the runner, and nearly free


def _seconds_per_item(root: Path, count: int) -> float:
    """CPU to plan, run, plan again and look for rubbish."""
    ids = [f"category-{n % 50:02d}/{n:06d}" for n in range(count)]
    seen: list[Progress] = []
    start = time.process_time()
    plan = fake.plan_of(root, ids)
    request = Request(Selection())
    execute(plan, fake.STAGE, fake.Params(), Limits(jobs=0), seen.append, request)
    assert seen[-1] == Progress(count, count, count)
    again = fake.plan_of(root, ids)
    assert (again.todo, len(again.state.failed), slices_of(again, 7)) == (0, count, [])
    assert find_rubbish(Workspace(root), fake.artefact_of(root)).bytes == 0
    return (time.process_time() - start) / count


def test_ten_thousand_items_cost_ten_times_one_thousand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pools, "perform", _refuse)
    small = min(_seconds_per_item(tmp_path / f"small{n}", 1_000) for n in range(2))
    large = _seconds_per_item(tmp_path / "large", 10_000)
    # a quadratic step anywhere would make it ten times; caches and noise stay below two
    assert large < 2 * small

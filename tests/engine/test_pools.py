"""R11. An item that crashes, hangs, eats memory or refuses costs itself and no other."""

from __future__ import annotations

import dataclasses
import os
import random
from pathlib import Path
from typing import Any

import pytest

from stages.engine.pools import Limits
from stages.engine.runner import Progress, execute
from stages.store.index import verify
from tests.engine import fake
from tests.faults.harness import snapshot
from tests.faults.processes import alive_in_session

GOOD = [f"toy/{number:02d}" for number in range(40)]
BAD = {
    "toy/crash": "its process was killed by SIGSEGV",
    "toy/hang": "took longer than 4 s",
    "toy/eat": "needs more than 1 GiB of memory",
    "toy/refuse": "refused on purpose",
    "toy/bug": "KeyError: 'a bug in the stage'",
    "toy/exit": "its process ended with exit code 3",
}
LIMITS: dict[str, Any] = {"jobs": 2, "seconds": 4.0, "memory_gib": 1.0}


@pytest.fixture(scope="module")
def poisoned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace after a run with one item of every kind of bad among the good ones."""
    root = tmp_path_factory.mktemp("poisoned")
    outcome = fake.run(root, GOOD + list(BAD), **LIMITS)
    assert outcome.failures == BAD
    assert outcome.done == len(GOOD)
    return root


def test_bad_items_are_recorded_and_all_others_done(poisoned: Path) -> None:
    artefact = fake.artefact_of(poisoned)
    assert {i: e.reason for i, e in artefact.index.failures().items()} == BAD
    assert sorted(artefact.index.items()) == GOOD
    assert verify(artefact.folder) == {}
    for item in GOOD:
        assert artefact.read(item)["grid"].shape == (8, 8, 8)


def test_failures_are_not_tried_again(poisoned: Path) -> None:
    plan = fake.plan_of(poisoned, GOOD + list(BAD))
    assert plan.todo == 0
    assert plan.state.failed == BAD
    assert set(plan.state.fresh) == set(GOOD)


def test_failures_are_tried_again_on_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = ["toy/a", "toy/b", "toy/refuse"]
    fake.run(tmp_path, ids)
    before = snapshot(fake.artefact_of(tmp_path).folder)
    assert fake.plan_of(tmp_path, ids, retry_failed=True).todo == 1
    # in vain: nothing new to say, nothing new is written
    assert fake.run(tmp_path, ids, retry_failed=True).failures == {
        "toy/refuse": "refused on purpose"
    }
    assert snapshot(fake.artefact_of(tmp_path).folder) == before
    # mended meanwhile
    monkeypatch.setattr(fake, "REFUSED", "nothing")
    assert fake.run(tmp_path, ids, retry_failed=True).done == 1
    index = fake.artefact_of(tmp_path).index
    assert sorted(index.items()) == ids
    assert index.failures() == {}
    (fake.artefact_of(tmp_path).folder / "manifest.json").unlink()
    assert sorted(fake.artefact_of(tmp_path).index.items()) == ids


def test_the_number_of_workers_and_the_order_change_nothing(tmp_path: Path) -> None:
    ids = [*GOOD[:24], "toy/refuse", "toy/bug"]
    files = []
    for number, jobs in enumerate((0, 1, 4)):
        shuffled = random.Random(number).sample(ids, len(ids))
        root = tmp_path / str(jobs)
        fake.run(root, shuffled, jobs=jobs)
        files.append(snapshot(fake.artefact_of(root).folder))
    assert files[0] == files[1] == files[2]
    assert len(files[0]) == 3  # two buckets and the manifest


def test_guarded_stages_never_run_in_this_process(tmp_path: Path) -> None:
    plan = fake.plan_of(tmp_path, ["toy/who", "toy/exit"])
    stage = dataclasses.replace(fake.STAGE, untrusted=True)
    outcome = execute(plan, stage, fake.Params(), Limits(jobs=0))
    assert outcome.failures == {"toy/exit": "its process ended with exit code 3"}


def test_progress_counts_every_item(tmp_path: Path) -> None:
    seen: list[Progress] = []
    plan = fake.plan_of(tmp_path, [*GOOD[:5], "toy/refuse"])
    execute(plan, fake.STAGE, fake.Params(), Limits(jobs=0), seen.append)
    assert [p.done for p in seen] == [1, 2, 3, 4, 5, 6]
    assert {p.total for p in seen} == {6}
    assert seen[-1].failed == 1


def test_a_long_run_writes_the_manifest_now_and_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stages.engine.runner._SAVE_SECONDS", 0.0)
    monkeypatch.setattr("stages.engine.runner._SAVE_SHARE", float("inf"))
    artefact = fake.artefact_of(tmp_path)
    known: list[int] = []

    def look(progress: Progress) -> None:
        index = artefact.refresh().index
        known.append(len(index.items()) if index.saved else -1)

    execute(fake.plan_of(tmp_path, GOOD[:20]), fake.STAGE, fake.Params(), Limits(jobs=0), look)
    assert max(known[:-1]) > 0


def test_an_interrupted_run_leaves_no_worker_and_keeps_what_is_done(tmp_path: Path) -> None:
    ids = [f"toy/slow-{number:02d}" for number in range(40)]
    mine = set(alive_in_session(os.getsid(0)))

    def interrupt(progress: Progress) -> None:
        if progress.done == 30:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        execute(fake.plan_of(tmp_path, ids), fake.STAGE, fake.Params(), Limits(jobs=2), interrupt)
    workers = [
        pid
        for pid in set(alive_in_session(os.getsid(0))) - mine
        if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]
    assert not [pid for pid in workers if _parent(pid) == os.getpid()]
    artefact = fake.artefact_of(tmp_path)
    assert artefact.index.saved
    assert 0 < len(artefact.index.items()) < 40
    fake.run(tmp_path, ids)
    fake.run(tmp_path / "undisturbed", ids)
    assert snapshot(artefact.folder) == snapshot(fake.artefact_of(tmp_path / "undisturbed").folder)


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])

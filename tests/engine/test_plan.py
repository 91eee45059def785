"""What is to be done, and in which parts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from stages.engine.plan import Request, Selection, make_plan
from stages.engine.pools import Limits
from stages.engine.runner import execute
from stages.engine.status import slices_of
from stages.errors import InputError, UsageError
from stages.store.fingerprint import bucket_of
from stages.store.index import verify
from stages.store.manifest import MANIFEST
from tests.engine import fake
from tests.store.cache import read_all, same

IDS = [f"toy/{number:03d}" for number in range(300)]


def run_slice(root: Path, ids: list[str], number: int, count: int) -> None:
    plan = fake.plan_of(root, ids, part=(number, count))
    execute(plan, fake.STAGE, fake.Params(), Limits(jobs=0))


def test_an_artefact_that_outgrows_its_buckets_gets_more(tmp_path: Path) -> None:
    few, small, grown = IDS[:5], tmp_path / "small", tmp_path / "grown"
    fake.run(small, few)
    assert fake.artefact_of(small).index.key.buckets == 1  # type: ignore[union-attr]
    assert fake.plan_of(small, IDS[:60]).key.buckets == 1  # they fit into one shard
    plan = fake.plan_of(small, IDS)
    assert plan.key.buckets == 32
    assert slices_of(plan, 4) == [0, 1, 2, 3]  # else one slice would have it all

    fake.run(grown, few)
    before = {p.name for p in fake.artefact_of(grown).folder.glob("shard-*")}
    for number in (2, 0, 3, 1):
        run_slice(grown, IDS, number, 4)
    assert before < {p.name for p in fake.artefact_of(grown).folder.glob("shard-*")}
    fake.run(small, IDS)
    assert same(read_all(fake.artefact_of(grown)), read_all(fake.artefact_of(small)))
    names = [{p.name for p in fake.artefact_of(r).folder.glob("*.h5")} for r in (small, grown)]
    assert names[0] == names[1]
    assert verify(fake.artefact_of(grown).folder) == {}
    assert fake.plan_of(grown, IDS).todo == 0


def test_whoever_has_less_to_do_counts_as_the_largest_run(tmp_path: Path) -> None:
    fake.run(tmp_path, IDS[:5])
    run_slice(tmp_path, IDS, 1, 2)
    # what is said to be left for slice 0 of 2 is what slice 0 of 2 does
    assert fake.plan_of(tmp_path, IDS[:40]).key.buckets == 32
    (fake.artefact_of(tmp_path).folder / MANIFEST).unlink()
    assert fake.plan_of(tmp_path, IDS[:40]).key.buckets == 32


def test_slices_are_a_partition(tmp_path: Path) -> None:
    plan = fake.plan_of(tmp_path, IDS)
    for count in (1, 3, 8, 50):
        parts = [fake.plan_of(tmp_path, IDS, part=(n, count)) for n in range(count)]
        ids = [work.id for part in parts for task in part.tasks for work in task.work]
        assert sorted(ids) == IDS
        assert [n for n, part in enumerate(parts) if part.todo] == slices_of(plan, count)
        for number, part in enumerate(parts):
            for task in part.tasks:
                assert task.bucket % count == number
                assert {bucket_of(w.id, 32) for w in task.work} == {task.bucket}


def test_a_selection_chooses_and_survives_the_manifest() -> None:
    ids = [f"{category}/{n}" for category in ("car", "bed", "sofa") for n in range(4)]
    some = Selection(("car", "bed"), {"shapes": "mine"}, 2)
    assert some.choose(ids) == ["bed/0", "bed/1", "car/0", "car/1"]
    assert Selection().choose(reversed(ids)) == sorted(ids)
    parts = [Selection.from_json(value) for value in some.to_json()]
    assert [part.categories for part in parts] == [("car",), ("bed",)]
    assert {(part.limit, part.variants["shapes"]) for part in parts} == {(2, "mine")}
    assert Selection.from_json(Selection().to_json()[0]) == Selection()
    with pytest.raises(UsageError, match="cart"):
        Selection(("cart",)).choose(ids)
    by_parity = Selection(limit=1).choose(ids, lambda item: int(item[-1]) % 2)
    assert by_parity == ["bed/0", "bed/1"]


def test_what_was_asked_is_kept_once(tmp_path: Path) -> None:
    def ask(selection: Selection) -> list[dict[str, object]]:
        plan = fake.plan_of(tmp_path, IDS[:5])
        execute(plan, fake.STAGE, fake.Params(), Limits(jobs=0), request=Request(selection))
        return fake.artefact_of(tmp_path).index.extra["asked"]

    assert ask(Selection(limit=2)) == Selection(limit=2).to_json()
    assert ask(Selection(limit=2)) == Selection(limit=2).to_json()
    both = [*Selection(limit=2).to_json(), *Selection(("toy",)).to_json()]
    assert ask(Selection(("toy",))) == both
    fake.run(tmp_path, IDS)  # that which is not asked by name is forgotten by nobody
    assert fake.artefact_of(tmp_path).index.extra["asked"] == both


def test_an_artefact_of_an_older_version_says_so(tmp_path: Path) -> None:
    @dataclass(frozen=True)
    class Grown(fake.Params):
        added: int = 3

    fake.run(tmp_path, IDS[:2])
    artefact = fake.artefact_of(tmp_path)
    with pytest.raises(InputError, match="another version of crossdim, which differs in added"):
        make_plan(fake.STAGE, Grown(), 0, artefact, {})
    with pytest.raises(InputError, match="made with other parameters"):
        make_plan(fake.STAGE, fake.Params(), 1, artefact, {})

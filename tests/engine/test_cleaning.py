"""What is of no use goes, and nothing else: compared with what a run leaves and readers see."""

from __future__ import annotations

import os
import time
from pathlib import Path
from unittest import mock

import pytest

from stages import registry
from stages.engine.cleaning import Rubbish, find_rubbish, remove
from stages.engine.pools import Limits
from stages.errors import InputError
from stages.store import commit
from stages.store.index import load_index, verify
from stages.store.manifest import MANIFEST
from stages.store.shard import Failure, build_shard, make_key, shard_name
from stages.store.workspace import Artefact, Workspace
from tests.engine import attaching, fake
from tests.engine.test_attach import make_palette, run
from tests.faults.faulty_os import KILL, FaultyOs
from tests.faults.harness import snapshot
from tests.store.cache import make, read_all, same, shards

IDS = [f"toy/{number:02d}" for number in range(20)]


def find(artefact: Artefact, stale: bool = False, extra: bool = False) -> Rubbish:
    workspace = Workspace(artefact.folder.parents[1])
    return find_rubbish(workspace, artefact.refresh(), stale, extra)


def test_a_fresh_artefact_has_no_rubbish(tmp_path: Path) -> None:
    artefact = make(tmp_path, [*IDS, "toy/refuse"])
    before = snapshot(artefact.folder)
    rubbish = find(artefact)
    assert rubbish.bytes == 0
    remove(rubbish)
    assert snapshot(artefact.folder) == before


def test_stale_temporaries_go_young_ones_stay(tmp_path: Path) -> None:
    artefact = make(tmp_path, IDS)
    old, young = (artefact.folder / f"{commit.TEMPORARY}{name}" for name in ("old", "young"))
    for path in (old, young):
        path.write_bytes(b"12345")
    yesterday = time.time() - 25 * 3600
    os.utime(old, (yesterday, yesterday))
    rubbish = find(artefact)
    assert (dict(rubbish.temporaries), rubbish.bytes) == ({old: 5}, 5)
    remove(rubbish)
    assert (old.exists(), young.exists()) == (False, True)


@pytest.mark.parametrize("how", ["flipped", "truncated"])
def test_damaged_shards_go_and_are_made_again(tmp_path: Path, how: str) -> None:
    artefact = make(tmp_path, IDS)
    whole = snapshot(artefact.folder)
    victim = shards(artefact)[0]
    data = bytearray(victim.read_bytes())
    data[len(data) // 2] ^= 1
    victim.write_bytes(data if how == "flipped" else data[:100])
    rubbish = find(artefact)
    assert dict(rubbish.damaged) == {victim.name: victim.stat().st_size}
    remove(rubbish)
    assert not victim.exists()
    assert find(artefact).bytes == 0
    fake.run(tmp_path, IDS)
    assert snapshot(artefact.folder) == whole


def test_superseded_shards_go(tmp_path: Path) -> None:
    artefact = make(tmp_path, IDS)
    first = {path.name for path in shards(artefact)}
    fake.run(tmp_path, IDS, tag="second")
    fake.run_wanted(tmp_path, fake.wanted(IDS[:1], tag="third"))
    arrays, entries = read_all(artefact), load_index(artefact.folder).entries
    rubbish = find(artefact)
    assert set(rubbish.superseded) == first  # those of the second round hold items that count
    assert rubbish.bytes == sum((artefact.folder / name).stat().st_size for name in first)
    remove(rubbish)
    assert not first & {path.name for path in shards(artefact)}
    assert load_index(artefact.folder).saved
    assert load_index(artefact.folder).entries == entries
    assert same(read_all(artefact), arrays)
    assert verify(artefact.folder) == {}
    (artefact.folder / MANIFEST).unlink()
    assert load_index(artefact.folder).entries == entries


def test_beside_damage_nothing_counts_as_superseded(tmp_path: Path) -> None:
    """An older shard may hold what a damaged one held."""
    artefact = make(tmp_path, IDS)
    old = {path.name for path in shards(artefact)}
    fake.run(tmp_path, IDS, tag="second")
    victim = next(path for path in shards(artefact) if path.name not in old)
    victim.write_bytes(b"")
    rubbish = find(artefact)
    assert (set(rubbish.damaged), dict(rubbish.superseded)) == ({victim.name}, {})
    remove(rubbish)
    index_ = load_index(artefact.folder)
    assert sorted(index_.entries) == IDS
    assert {entry.shard for entry in index_.entries.values()} & old
    # of the old ones only that whose items are all in the other new one
    assert len(find(artefact).superseded) == len(old) - 1


def test_what_is_whole_and_belongs_elsewhere_is_named_not_removed(tmp_path: Path) -> None:
    artefact = make(tmp_path, IDS)
    data = build_shard(make_key("fake", 1, {"scale": 2}, 0, 1), [], [Failure("toy/x", "f", "r")])
    stranger = artefact.folder / shard_name(0, data)
    stranger.write_bytes(data)
    with pytest.raises(InputError, match=stranger.name):
        find(artefact)
    assert stranger.exists()


@pytest.fixture
def derived(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Artefact:
    """An artefact made of the fake one, some of its items stale, some no longer in the input."""
    for stage in (fake.STAGE, attaching.STAGE):
        monkeypatch.setitem(registry.DERIVED, stage.name, stage)
    fake.run(tmp_path, [*IDS, "toy/zz-gone"])
    make_palette(tmp_path, "first")
    run(tmp_path, Limits(jobs=0))
    folder = fake.artefact_of(tmp_path).folder
    for path in folder.iterdir():
        path.unlink()
    fake.run_wanted(tmp_path, {**fake.wanted(IDS), **fake.wanted([IDS[3], IDS[8]], tag="changed")})
    return attaching.artefact_of(tmp_path)


def test_items_that_are_stale_or_extra_go_on_request(derived: Artefact) -> None:
    arrays, size = read_all(derived), sum(path.stat().st_size for path in shards(derived))
    assert find(derived).bytes == 0
    rubbish = find(derived, stale=True)
    assert dict(rubbish.items) == {IDS[3]: "input changed", IDS[8]: "input changed"}
    assert dict(find(derived, extra=True).items) == {"toy/zz-gone": "no longer in the input"}
    both = find(derived, stale=True, extra=True)
    assert len(both.items) == 3
    assert 0 < both.bytes < size
    old = {path.name for path in shards(derived)}
    entries = load_index(derived.folder).entries
    remove(both)
    left = [item for item in IDS if item not in (IDS[3], IDS[8])]
    after = load_index(derived.folder)
    assert sorted(after.entries) == left
    assert {i: e.fingerprint for i, e in after.entries.items()} == {
        i: entries[i].fingerprint for i in left
    }
    assert same(read_all(derived), {item: arrays[item] for item in left})
    assert verify(derived.folder) == {}
    assert sum(path.stat().st_size for path in shards(derived)) < size
    assert len({path.name for path in shards(derived)} - old) <= len(old)
    assert find(derived, stale=True, extra=True).bytes == 0
    # what is missing now is made again
    root = derived.folder.parents[1]
    assert {w.id for t in attaching.plan_of(root).tasks for w in t.work} == {IDS[3], IDS[8]}


def test_nothing_goes_where_it_cannot_be_said_what_is_wanted(derived: Artefact) -> None:
    for path in (derived.folder.parents[1] / "fake" / "default").glob("shard-*"):
        path.unlink()
    with pytest.raises(InputError, match="cannot say which items of attaching/default are wanted"):
        find(derived, stale=True)
    assert find(derived).bytes == 0


def test_a_kill_at_any_step_loses_no_item_that_stays(derived: Artefact, tmp_path: Path) -> None:
    arrays = read_all(derived)
    left = {i: a for i, a in arrays.items() if i not in (IDS[3], IDS[8], "toy/zz-gone")}
    rubbish = find(derived, stale=True, extra=True)
    whole = {path.name: path.read_bytes() for path in derived.folder.iterdir()}
    at, completed = 0, False
    while not completed:
        at += 1
        child = os.fork()
        if child == 0:
            faulty = FaultyOs(KILL, at)

            def unlink(path: Path, missing_ok: bool = False, faulty: FaultyOs = faulty) -> None:
                faulty.unlink(path)

            with mock.patch.object(commit, "os", faulty), mock.patch.object(Path, "unlink", unlink):
                remove(rubbish)
            os._exit(0)
        completed = os.waitpid(child, 0)[1] == 0
        seen = read_all(derived)
        assert same({item: seen[item] for item in left}, left)
        assert verify(derived.folder) == {}
        for path in derived.folder.iterdir():
            path.unlink()
        for name, data in whole.items():
            (derived.folder / name).write_bytes(data)
    assert at > 10

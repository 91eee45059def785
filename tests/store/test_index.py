"""The index: rebuilt from the shards alone, right about generations, and never in the way."""

from __future__ import annotations

import dataclasses
import json
import random
from pathlib import Path

import pytest
from filelock import FileLock

from stages.engine.plan import make_plan
from stages.errors import CrossdimError, InputError
from stages.store import index as index_module
from stages.store.index import load_index, save_index, verify
from stages.store.manifest import MANIFEST
from stages.store.workspace import Artefact
from tests.engine import fake
from tests.faults.harness import lasting, snapshot
from tests.store.cache import IDS, make, read_all, same, shards


def _spoil(manifest: Path, how: str) -> None:
    data = manifest.read_bytes()
    if how == "deleted":
        manifest.unlink()
    elif how == "no JSON":
        manifest.write_bytes(b"{" + data)
    elif how == "other JSON":
        manifest.write_bytes(b'{"key": 3, "shards": [], "items": null}')
    elif how == "a list":
        manifest.write_bytes(b"[]")
    elif how == "empty":
        manifest.write_bytes(b"")
    elif how == "deep":
        manifest.write_bytes(b"[" * 100_000)
    elif how == "edited":
        manifest.write_bytes(data.replace(b'"train"', b'"test"', 1))
    else:
        manifest.write_bytes(data[: len(data) // 2])


HOW = ["deleted", "no JSON", "other JSON", "a list", "empty", "deep", "edited", "truncated"]


@pytest.mark.parametrize("how", HOW)
def test_the_manifest_is_rebuilt_from_the_shards_alone(tmp_path: Path, how: str) -> None:
    artefact = make(tmp_path, [*IDS, "toy/refuse"])
    manifest, before, arrays = artefact.folder / MANIFEST, artefact.index, read_all(artefact)
    kept = lasting(manifest.read_bytes())
    _spoil(manifest, how)
    assert set(verify(artefact.folder)) == ({MANIFEST} if how != "deleted" else set())
    again = load_index(artefact.folder)
    assert again.entries == before.entries
    assert again.shards == before.shards
    assert again.key == before.key
    assert not again.saved
    assert same(read_all(artefact), arrays)
    # a run that finds nothing to do still puts it right
    assert fake.run(tmp_path, [*IDS, "toy/refuse"]).done == 0
    assert lasting(manifest.read_bytes()) == kept
    assert verify(artefact.folder) == {}


def test_a_flipped_bit_in_the_manifest_is_never_believed(tmp_path: Path) -> None:
    artefact = make(tmp_path, [*IDS[:3], "toy/refuse"])
    manifest, right = artefact.folder / MANIFEST, artefact.index
    data = manifest.read_bytes()
    flips = random.Random(1)
    for _ in range(200):
        place, bit = flips.randrange(len(data)), flips.randrange(8)
        manifest.write_bytes(data[:place] + bytes([data[place] ^ (1 << bit)]) + data[place + 1 :])
        index = load_index(artefact.folder)
        assert index.entries == right.entries, (place, bit)
        assert index.shards == right.shards
        assert index.damaged == {}


def test_three_new_ids_cost_three_and_touch_nothing(tmp_path: Path) -> None:
    artefact = make(tmp_path)
    before = {p: (p.read_bytes(), p.stat().st_ino, p.stat().st_mtime_ns) for p in shards(artefact)}
    more = ["toy/a", "toy/b", "other/c"]
    assert fake.plan_of(tmp_path, [*IDS, *more]).todo == 3
    assert fake.run(tmp_path, [*IDS, *more]).done == 3
    for path, state in before.items():
        assert (path.read_bytes(), path.stat().st_ino, path.stat().st_mtime_ns) == state
    assert sorted(fake.artefact_of(tmp_path).index.items()) == sorted([*IDS, *more])
    assert fake.plan_of(tmp_path, [*IDS, *more]).todo == 0


def test_a_changed_input_is_computed_again_and_counts(tmp_path: Path) -> None:
    make(tmp_path)
    changed = IDS[:3]
    wanted = {**fake.wanted(IDS), **fake.wanted(changed, tag="new mesh")}
    plan = make_plan(fake.STAGE, fake.Params(), 0, fake.artefact_of(tmp_path), wanted)
    assert plan.state.stale == dict.fromkeys(changed, "input changed")
    assert plan.todo == 3
    assert fake.run_wanted(tmp_path, wanted).done == 3
    artefact = fake.artefact_of(tmp_path)
    index = artefact.index
    assert {i: e.fingerprint for i, e in index.entries.items()} == {
        i: w.fingerprint for i, w in wanted.items()
    }
    assert {index.shards[index.entries[i].shard].generation for i in changed} == {1}
    (artefact.folder / MANIFEST).unlink()
    assert load_index(artefact.folder).entries == index.entries
    # and back again: a third generation, not the first one
    assert fake.run(tmp_path, IDS).done == 3
    (artefact.folder / MANIFEST).unlink()
    index = load_index(artefact.folder)
    assert {index.shards[index.entries[i].shard].generation for i in changed} == {2}
    assert index.entries[IDS[0]].fingerprint == fake.wanted(IDS)[IDS[0]].fingerprint


def test_a_new_stage_version_makes_items_stale(tmp_path: Path) -> None:
    artefact = make(tmp_path)
    wanted = fake.wanted(IDS, tag="as of version 2")
    stage = dataclasses.replace(fake.STAGE, version=2)
    plan = make_plan(stage, fake.Params(), 0, artefact, wanted)
    assert set(plan.state.stale.values()) == {"stage version 1 -> 2"}


@pytest.mark.parametrize("manifest", [True, False], ids=["manifest", "no manifest"])
def test_a_lost_later_shard_is_made_again_with_the_same_bytes(
    tmp_path: Path, manifest: bool
) -> None:
    make(tmp_path)
    wanted = {**fake.wanted(IDS), **fake.wanted(IDS[:3], tag="new")}
    fake.run_wanted(tmp_path, wanted)
    artefact = fake.artefact_of(tmp_path)
    before = snapshot(artefact.folder)
    later = [n for n, info in artefact.index.shards.items() if info.generation == 1]
    for name in later:
        (artefact.folder / name).unlink()
    if not manifest:
        (artefact.folder / MANIFEST).unlink()
    index = load_index(artefact.folder)
    assert set(index.damaged) == (set(later) if manifest else set())
    # what is left says itself that it is out of date
    assert index.entries[IDS[0]].fingerprint != wanted[IDS[0]].fingerprint
    assert fake.run_wanted(tmp_path, wanted).done == 3
    assert snapshot(artefact.folder) == before


def test_other_parameters_are_another_artefact(tmp_path: Path) -> None:
    artefact = make(tmp_path)
    with pytest.raises(InputError, match="other parameters"):
        make_plan(fake.STAGE, fake.Params(scale=2), 0, artefact, {})
    with pytest.raises(InputError, match="other parameters"):
        make_plan(fake.STAGE, fake.Params(), 1, artefact, {})


def test_ids_that_are_gone_are_extra_not_an_error(tmp_path: Path) -> None:
    make(tmp_path)
    state = fake.plan_of(tmp_path, IDS[:5]).state
    assert state.extra == tuple(IDS[5:])
    assert state.fresh == tuple(IDS[:5])


def test_extra_survives_until_it_is_replaced(tmp_path: Path) -> None:
    artefact = make(tmp_path)
    save_index(artefact.folder, {"source": {"kind": "generate"}})
    save_index(artefact.folder, {"note": 1})
    extra = load_index(artefact.folder).extra
    assert extra["source"] == {"kind": "generate"}
    assert extra["note"] == 1


def test_the_manifest_can_be_read_by_people_and_programs(tmp_path: Path) -> None:
    artefact = make(tmp_path, [*IDS, "toy/refuse"])
    text = (artefact.folder / MANIFEST).read_text()
    data = json.loads(text)
    names = list(data["shards"])
    assert data["columns"] == ["fingerprint", "shard", "row", "reason", "labels"]
    for item, (_, shard, row, reason, labels) in data["items"].items():
        entry = artefact.index.entries[item]
        assert (names[shard], row, reason, labels) == (
            entry.shard,
            entry.row,
            entry.reason,
            entry.labels,
        )
        assert sum(json.dumps(item) in line for line in text.splitlines()) == 1
    assert data["items"]["toy/00"][4] == {"split": "train"}
    assert data["items"]["toy/refuse"][2:4] == [-1, "refused on purpose"]


def test_a_lock_held_too_long_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    artefact = make(tmp_path)
    monkeypatch.setattr(index_module, "_LOCK_SECONDS", 0.1)
    with (
        FileLock(artefact.folder / ".manifest.lock"),
        pytest.raises(CrossdimError, match="another process has held"),
    ):
        save_index(artefact.folder)


def test_a_lock_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    artefact = make(tmp_path)
    (artefact.folder / ".manifest.lock").unlink()
    (artefact.folder / ".manifest.lock").mkdir()
    with pytest.raises(CrossdimError, match="cannot write"):
        save_index(artefact.folder)


def test_an_artefact_that_is_not_there_is_empty(tmp_path: Path) -> None:
    nothing = Artefact(tmp_path / "none", "fake", "default")
    assert nothing.index.entries == {}
    assert nothing.index.saved
    assert verify(nothing.folder) == {}
    with pytest.raises(InputError, match="fake/default has no toy/00"):
        nothing.read("toy/00")

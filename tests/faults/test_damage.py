"""R9. Missing, truncated, foreign, renamed, flipped: named by readers, healed by reruns."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from stages.errors import InputError
from stages.store.index import load_index, verify
from stages.store.manifest import MANIFEST
from stages.store.shard import Encoded, build_shard, encode_item, make_key, shard_name
from stages.store.workspace import Artefact
from tests.engine import fake
from tests.faults.harness import snapshot
from tests.store.cache import IDS, make, read_all, same, shards


def _remove(path: Path) -> None:
    path.unlink()


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:1000])


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _grow(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\0")


def _text(path: Path) -> None:
    path.write_text("not HDF5 at all")


def _rename(path: Path) -> None:
    path.rename(path.with_name(path.name.replace(path.stem[-8:], "0" * 8)))


def _other_bucket(path: Path) -> None:
    path.rename(path.with_name(path.name.replace("shard-0000", "shard-0777")))


def _swap(path: Path) -> None:
    """The other shard under this one's name."""
    path.write_bytes(max(path.parent.glob("shard-*.h5")).read_bytes())


DAMAGE = [_remove, _truncate, _empty, _grow, _text, _rename, _swap]


@pytest.fixture(scope="module")
def intact(tmp_path_factory: pytest.TempPathFactory) -> Artefact:
    """Two shards; tests work on copies."""
    return make(tmp_path_factory.mktemp("intact"))


def _copy(intact: Artefact, root: Path) -> Artefact:
    shutil.copytree(intact.folder.parents[1], root, dirs_exist_ok=True)
    return fake.artefact_of(root)


@pytest.mark.parametrize("damage", DAMAGE)
def test_readers_name_the_shard_and_reruns_heal_it(
    tmp_path: Path, intact: Artefact, damage: Callable[[Path], None]
) -> None:
    artefact = _copy(intact, tmp_path)
    victim = shards(artefact)[0]
    damage(victim)
    assert victim.name in verify(artefact.folder)
    for item in IDS:  # those of the other shard, too: an artefact is whole or it is not read
        with pytest.raises(InputError, match=r"shard-0000-.*: .*") as caught:
            artefact.read(item)
        assert "make fake/default again" in caught.value.hint
    outcome = fake.run(tmp_path, IDS)
    assert victim.name in outcome.damaged
    assert 0 < outcome.done < len(IDS)
    assert snapshot(artefact.folder) == snapshot(intact.folder)
    assert same(read_all(artefact), read_all(intact))


@pytest.mark.parametrize("damage", [*DAMAGE[1:], _other_bucket])
def test_without_a_manifest_the_name_tells(
    tmp_path: Path, intact: Artefact, damage: Callable[[Path], None]
) -> None:
    artefact = _copy(intact, tmp_path)
    damage(shards(artefact)[0])
    (artefact.folder / MANIFEST).unlink()
    if damage is _other_bucket:  # whole, and found whatever its name: only its number is wrong
        with pytest.raises(InputError, match="shard-0777"):
            load_index(artefact.folder)
        return
    assert len(load_index(artefact.folder).damaged) == 1
    with pytest.raises(InputError, match="shard-0000"):
        artefact.read(IDS[0])
    fake.run(tmp_path, IDS)
    assert snapshot(artefact.folder) == snapshot(intact.folder)


def test_a_lost_shard_without_a_manifest_is_missing_not_filled(
    tmp_path: Path, intact: Artefact
) -> None:
    artefact = _copy(intact, tmp_path)
    lost = {i for i, e in intact.index.entries.items() if e.shard == shards(intact)[0].name}
    shards(artefact)[0].unlink()
    (artefact.folder / MANIFEST).unlink()
    assert set(fake.plan_of(tmp_path, IDS).state.missing) == lost
    for item in lost:
        with pytest.raises(InputError, match=f"has no {item}"):
            artefact.read(item)


def test_a_duplicate_under_another_number_is_named(tmp_path: Path, intact: Artefact) -> None:
    artefact = _copy(intact, tmp_path)
    victim = shards(artefact)[0]
    double = victim.with_name(victim.name.replace("shard-0000", "shard-0777"))
    shutil.copy(victim, double)
    assert double.name in verify(artefact.folder)
    with pytest.raises(InputError, match="shard-0777"):
        artefact.refresh().read(IDS[0])
    double.unlink()
    assert same(read_all(artefact), read_all(intact))


def test_a_damaged_shard_that_is_not_made_again_alike_is_removed(tmp_path: Path) -> None:
    make(tmp_path, IDS[:10])
    artefact = make(tmp_path, IDS)
    for path in shards(artefact):  # made again, their items share shards they did not share before
        path.write_bytes(b"rot")
    before = len(shards(artefact))
    fake.run(tmp_path, IDS)
    assert len(shards(artefact)) < before
    assert verify(artefact.folder) == {}
    assert sorted(read_all(artefact)) == IDS


def _shard_of(stage: str, scale: int) -> tuple[str, bytes]:
    arrays = {"split": np.array(b"train")}
    one = Encoded("toy/foreign", "f", encode_item({"split": fake.SPEC["split"]}, arrays))
    data = build_shard(make_key(stage, 1, {"scale": scale}, 0, 1), [one])
    return shard_name(0, data), data


@pytest.mark.parametrize(("stage", "scale"), [("fake", 2), ("other", 1)])
def test_a_foreign_shard_is_named_and_never_read(
    tmp_path: Path, intact: Artefact, stage: str, scale: int
) -> None:
    artefact = _copy(intact, tmp_path)
    name, data = _shard_of(stage, scale)
    (artefact.folder / name).write_bytes(data)
    assert name in verify(artefact.folder)
    for attempt in (lambda: artefact.read(IDS[0]), lambda: fake.run(tmp_path, IDS)):
        with pytest.raises(InputError, match=f"{name} belongs to another artefact") as caught:
            attempt()
        assert "move it" in caught.value.hint
    assert (artefact.folder / name).read_bytes() == data  # it is not ours to remove
    (artefact.folder / name).unlink()
    assert same(read_all(artefact), read_all(intact))


def test_a_foreign_manifest_does_no_harm(tmp_path: Path, intact: Artefact) -> None:
    artefact = _copy(intact, tmp_path / "mine")
    make(tmp_path / "other", IDS[:3], tag="other")
    shutil.copy(fake.artefact_of(tmp_path / "other").folder / MANIFEST, artefact.folder / MANIFEST)
    fake.run(tmp_path / "mine", IDS)
    assert snapshot(artefact.folder) == snapshot(intact.folder)


def test_stray_files_are_left_alone(tmp_path: Path, intact: Artefact) -> None:
    artefact = _copy(intact, tmp_path)
    for name in (".tmp-shard-0000-x-1-00", "notes.txt", "shard-0000.h5.bak"):
        (artefact.folder / name).write_text("stray")
    assert verify(artefact.folder) == {}
    assert same(read_all(artefact), read_all(intact))
    (artefact.folder / "shard-mine.h5").write_text("stray")
    assert verify(artefact.folder) == {"shard-mine.h5": "the name is not that of a shard"}
    assert fake.run(tmp_path, IDS).done == 0

"""What is said of an artefact, an item, a file; and files that are made to mislead."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from stages.errors import InputError
from stages.store import inspection
from stages.store.inspection import inspect_artefact, inspect_file, inspect_item
from stages.store.merge import merge
from stages.store.workspace import Artefact
from tests.attacks.make_hdf5 import MAKERS, hostile_shard
from tests.engine import fake
from tests.store.cache import IDS, make, read_all, shards


@pytest.fixture(scope="module")
def artefact(tmp_path_factory: pytest.TempPathFactory) -> Artefact:
    return make(tmp_path_factory.mktemp("inspect"), [*IDS, "toy/refuse"])


def test_an_artefact(artefact: Artefact) -> None:
    found = inspect_artefact(artefact)
    items = read_all(artefact)
    sizes = [path.stat().st_size for path in shards(artefact)]
    assert found["name"] == "fake/default"
    assert (found["stage"], found["stage_version"], found["seed"]) == ("fake", 1, 0)
    assert found["params"] == {"scale": 1}
    assert (found["items"], found["failures"], found["shards"]) == (20, 1, len(sizes))
    assert found["shards_looked_at"] == len(sizes)
    assert found["bytes"] == sum(sizes)
    grid, points, split = found["arrays"]
    assert (grid["name"], grid["dtype"], grid["shape"]) == ("grid", "bool", [8, 8, 8])
    assert (grid["axes"], grid["units"]) == ("x,y,z", "none")
    assert grid["raw"] == 20 * 512  # as it is read, a byte each
    assert grid["ratio"] == pytest.approx(grid["raw"] / grid["stored"], abs=0.005)
    lengths = [len(arrays["points"]) for arrays in items.values()]
    assert points["shape"] == [[min(lengths), max(lengths)], 3]
    assert points["raw"] == 12 * sum(lengths)
    assert (split["dtype"], split["shape"], split["axes"]) == ("|S16", [], "")
    assert 0 < sum(array["stored"] for array in found["arrays"]) < found["bytes"]


def test_a_large_artefact_is_sampled(artefact: Artefact, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inspection, "_SHARDS_LOOKED_AT", 1)
    found = inspect_artefact(artefact)
    assert (found["shards_looked_at"], found["shards"]) == (1, 2)
    assert found["arrays"][0]["raw"] < 20 * 512


def test_an_item(artefact: Artefact) -> None:
    found = inspect_item(artefact, IDS[4])
    entry, arrays = artefact.entry(IDS[4]), artefact.read(IDS[4])
    assert (found["item"], found["file"], found["row"]) == (IDS[4], entry.shard, entry.row)
    assert found["fingerprint"] == entry.fingerprint
    assert found["labels"] == {"split": "train"}
    grid, points, split = found["arrays"]
    assert (grid["min"], grid["max"]) == (False, True)
    assert grid["mean"] == pytest.approx(arrays["grid"].mean())
    assert points["shape"] == list(arrays["points"].shape)
    assert points["max"] == pytest.approx(arrays["points"].max())
    assert split["text"] == "train"
    with pytest.raises(InputError, match="has no toy/none"):
        inspect_item(artefact, "toy/none")
    with pytest.raises(InputError, match="refused on purpose"):
        inspect_item(artefact, "toy/refuse")


def test_unknown_values_are_counted_not_averaged() -> None:
    found = inspection._summary(np.array([1.0, np.nan, 3.0]))
    assert found == {"min": 1.0, "max": 3.0, "mean": 2.0, "unknown": 1}
    assert inspection._summary(np.array([np.nan])) == {}
    assert inspection._summary(np.zeros((0, 3))) == {}


def test_files_say_what_the_artefact_says(artefact: Artefact, tmp_path: Path) -> None:
    path = tmp_path / "all.h5"
    merge(artefact, path)
    found, there = inspect_file(path), inspect_artefact(artefact)
    for name in ("stage", "stage_version", "params", "seed", "items", "failures"):
        assert found[name] == there[name]
    assert found["arrays"] == there["arrays"]
    assert found["bytes"] == path.stat().st_size
    one, same = inspect_file(path, IDS[4]), inspect_item(artefact, IDS[4])
    for name in ("item", "fingerprint", "labels", "arrays"):
        assert one[name] == same[name]
    for item, message in (("toy/none", "is not in it"), ("toy/refuse", "failed: refused on")):
        with pytest.raises(InputError, match=message):
            inspect_file(path, item)


def test_hostile_files_are_refused(artefact: Artefact, tmp_path: Path) -> None:
    artefact.close()  # the makers open it with another setting of locks
    refused = {}
    for make_hostile in MAKERS:
        folder = tmp_path / make_hostile.__name__
        folder.mkdir()
        path = folder / "file.h5"
        path.write_bytes(hostile_shard(make_hostile, shards(artefact)[0], folder))
        # what the guarded process answers; here, for there are many
        answer = inspection._inspect_file((path, ""))
        refused[make_hostile.__name__] = isinstance(answer, InputError)
    assert all(refused.values()), refused


def bomb(path: Path, honest: Path) -> None:
    """A million million ids, by its own account."""
    with h5py.File(honest, "r") as source, h5py.File(path, "w", libver="latest") as file:
        file.attrs.update(source.attrs)
        for name in source:
            if name != "ids":
                source.copy(source[name], file, name)
        file.create_dataset("ids", (10**12,), "S100", chunks=(1000,), fletcher32=True)


def test_what_would_end_a_process_is_refused(artefact: Artefact, tmp_path: Path) -> None:
    artefact.close()
    text = tmp_path / "text.h5"
    text.write_text("no HDF5")
    bomb(tmp_path / "bomb.h5", shards(artefact)[0])
    for path, message in (
        (text, "no HDF5 file"),
        (tmp_path / "bomb.h5", "holds 0 of 1000000000 chunks"),
        (tmp_path / "none.h5", "no file"),
    ):
        with pytest.raises(InputError, match=message):
            inspect_file(path)


def test_a_process_that_is_lost_is_an_answer(
    artefact: Artefact, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inspection, "_inspect_file", fake.crash)
    with pytest.raises(InputError, match="cannot be looked at: its process was killed by SIGSEGV"):
        inspect_file(shards(artefact)[0])

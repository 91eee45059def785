"""Readers: lazy, one open file a process and shard, and nothing that crosses to another process."""

from __future__ import annotations

import multiprocessing
import os
import pickle
from pathlib import Path

import h5py
import numpy as np
import pytest

from stages.engine.work import Job, Work, perform
from stages.errors import InputError, UsageError
from stages.store.reader import OpenShards, read_row
from stages.store.workspace import Artefact, Workspace, select_categories
from tests.engine import fake
from tests.store.cache import IDS, make, read_all, same, shards


@pytest.fixture(scope="module")
def artefact(tmp_path_factory: pytest.TempPathFactory) -> Artefact:
    return make(tmp_path_factory.mktemp("reader"))


def _open_now(artefact: Artefact) -> int:
    """How many descriptors of this process lead to shards of the artefact."""
    links = [os.path.realpath(f"/proc/self/fd/{n}") for n in os.listdir("/proc/self/fd")]
    return sum(link.startswith(str(artefact.folder)) for link in links)


def test_files_are_opened_on_first_use_and_once(artefact: Artefact) -> None:
    artefact.close()
    mine = artefact.refresh()
    sorted(mine.index.items())
    assert _open_now(mine) == 0
    for _ in range(3):
        for item in IDS:
            mine.read(item)
    assert _open_now(mine) == len(shards(mine)) == 2
    mine.close()
    assert _open_now(mine) == 0


def test_only_so_many_files_stay_open(artefact: Artefact, monkeypatch: pytest.MonkeyPatch) -> None:
    artefact.close()
    monkeypatch.setattr("stages.store.reader._OPEN_FILES", 1)
    mine = artefact.refresh()
    for item in IDS:
        mine.read(item)
        assert _open_now(mine) == 1
    mine.close()


def test_only_the_named_arrays_are_read(artefact: Artefact) -> None:
    assert list(artefact.read(IDS[0], ("split",))) == ["split"]
    with pytest.raises(InputError, match=shards(artefact)[0].name[:11]):
        artefact.read(IDS[0], ("colour",))


def test_another_process_starts_with_no_open_file(
    artefact: Artefact, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = OpenShards()
    path = shards(artefact)[0]
    inherited = files.get("fake", path)
    assert files.get("fake", path) is inherited
    monkeypatch.setattr(os, "getpid", lambda: 1)  # what a fork looks like from inside
    fresh = files.get("fake", path)
    assert fresh is not inherited
    assert files.get("fake", path) is fresh
    files.close()
    inherited.close()


def _read_in_child(artefact: Artefact, item: str, answers: multiprocessing.Queue) -> None:  # type: ignore[type-arg]
    answers.put((os.getpid(), artefact.read(item)))


def test_an_open_artefact_travels_to_a_spawned_process(artefact: Artefact) -> None:
    mine = artefact.refresh()
    here = mine.read(IDS[0])  # the file is open now
    context = multiprocessing.get_context("spawn")
    answers = context.Queue()
    child = context.Process(target=_read_in_child, args=(mine, IDS[0], answers))
    child.start()
    pid, there = answers.get(timeout=30)
    child.join()
    answers.close()
    answers.join_thread()
    assert pid != os.getpid()
    assert same({"": here}, {"": there})
    mine.close()


def test_pickles_carry_no_handle(artefact: Artefact) -> None:
    artefact.close()
    mine = artefact.refresh()
    mine.read(IDS[0])
    again = pickle.loads(pickle.dumps(mine))
    mine.close()
    assert _open_now(again) == 0
    assert same({"": again.read(IDS[0])}, {"": artefact.read(IDS[0])})
    again.close()
    empty = pickle.loads(pickle.dumps(OpenShards()))
    assert empty.get("fake", shards(artefact)[0])["ids"].shape
    empty.close()


def test_a_row_that_is_not_the_item_is_an_error(artefact: Artefact) -> None:
    path = shards(artefact)[0]
    with h5py.File(path, "r", locking=False) as file:
        first = file["ids"].asstr()[0]
        assert read_row(file, 0, path, item_id=first)["split"] == b"train"
        for row, item in ((1, first), (0, "toy/none"), (1000, first)):
            with pytest.raises(InputError, match=path.name):
                read_row(file, row, path, item_id=item)
        with pytest.raises(InputError, match=path.name):
            read_row(file, 1000, path)


def test_work_reads_its_inputs_by_shard_and_row(artefact: Artefact) -> None:
    entry = artefact.index.entries[IDS[0]]
    inputs = {"fake": (str(artefact.folder / entry.shard), entry.row)}
    job = Job.of(fake.STAGE, fake.Params(), 0)
    assert perform(job, Work(IDS[0], "f", inputs)) == perform(job, Work(IDS[0], "f"))
    with pytest.raises(InputError, match=f"is not {IDS[1]}"):
        perform(job, Work(IDS[1], "f", inputs))


def test_reading_in_any_order_gives_the_same(artefact: Artefact) -> None:
    forward, backward = read_all(artefact), artefact.refresh()
    for item in reversed(IDS):
        assert same({"": backward.read(item)}, {"": forward[item]})
    backward.close()
    assert len({arrays["grid"].tobytes() for arrays in forward.values()}) == len(IDS)
    assert all(
        a["grid"].dtype == bool and a["points"].dtype == np.float32 for a in forward.values()
    )


def test_failed_and_unknown_items_are_named(tmp_path: Path) -> None:
    artefact = make(tmp_path, ["toy/a", "toy/refuse"])
    with pytest.raises(InputError, match="toy/refuse failed in fake/default: refused on purpose"):
        artefact.read("toy/refuse")
    with pytest.raises(InputError, match="fake/default has no toy/none"):
        artefact.read("toy/none")


def test_workspaces_list_what_has_shards(tmp_path: Path) -> None:
    make(tmp_path, ["toy/a"])
    (tmp_path / "fake" / "empty").mkdir()
    (tmp_path / "fake" / "file").write_text("")
    workspace = Workspace(tmp_path)
    assert [a.name for a in workspace.artefacts("fake")] == ["fake/default"]
    assert workspace.artefacts("none") == []
    with pytest.raises(UsageError):
        workspace.artefact("fake", "../default")


def test_categories_are_selected_and_guessed() -> None:
    ids = ["car/b", "chair/a", "car/a"]
    assert select_categories(ids, ()) == ["car/a", "car/b", "chair/a"]
    assert select_categories(ids, ("car",)) == ["car/a", "car/b"]
    with pytest.raises(UsageError, match="cars") as caught:
        select_categories(ids, ("cars",))
    assert caught.value.hint == "did you mean car?"

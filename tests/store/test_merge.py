"""One file of an artefact: the same arrays, nothing decoded, all of it or none."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from stages.errors import CrossdimError, InputError, UsageError
from stages.store import shard
from stages.store.merge import merge
from stages.store.reader import read_content, read_row
from stages.store.workspace import Artefact
from tests.engine import fake
from tests.faults.command import REPOSITORY, environment
from tests.store.cache import make, read_all, same, shards

IDS = [f"toy/{number:02d}" for number in range(40)]
REFUSED = ["toy/refuse-a", "toy/refuse-b"]


@pytest.fixture(scope="module")
def artefact(tmp_path_factory: pytest.TempPathFactory) -> Artefact:
    """Several buckets, failures, and items of two generations."""
    root = tmp_path_factory.mktemp("merge")
    make(root, [*IDS, *REFUSED])
    work = {**fake.wanted([*IDS, *REFUSED]), **fake.wanted(IDS[:7], tag="changed")}
    fake.run_wanted(root, work)
    found = fake.artefact_of(root)
    assert {info.generation for info in found.index.shards.values()} == {0, 1}
    return found


@pytest.fixture(scope="module")
def merged(artefact: Artefact, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("merged") / "all.h5"
    done = merge(artefact, path)
    assert (done.items, done.failures, done.bytes) == (40, 2, path.stat().st_size)
    return path


def _plain(path: Path) -> h5py.File:
    return h5py.File(path, "r", locking=False)  # as the artefact may have it open


def test_every_item_is_there_as_it_was(artefact: Artefact, merged: Path) -> None:
    content = read_content(merged)
    assert list(content.ids) == IDS  # in order
    entries = artefact.index.entries
    assert list(content.fingerprints) == [entries[i].fingerprint for i in IDS]
    assert list(content.labels) == [entries[i].labels for i in IDS]
    assert {f.id: (f.fingerprint, f.reason) for f in content.failures} == {
        i: (e.fingerprint, e.reason) for i, e in artefact.index.failures().items()
    }
    with _plain(merged) as file:
        arrays = {i: read_row(file, row, merged, item_id=i) for row, i in enumerate(IDS)}
    assert same(arrays, read_all(artefact))


def test_plain_h5py_reads_it(artefact: Artefact, merged: Path) -> None:
    (first, *_) = shards(artefact)
    with _plain(merged) as file, _plain(first) as source:
        assert set(file) == set(source)
        own = ("bucket", "generation", "stage_version")
        for name in set(source.attrs) - set(own):
            assert file.attrs[name] == source.attrs[name]
        assert dict(file["grid"].attrs).keys() == dict(source["grid"].attrs).keys()
        assert file["grid"].attrs["axes"] == source["grid"].attrs["axes"] == b"item,x,y,z"
        grids = np.unpackbits(file["grid"][:], axis=1, count=512).reshape(-1, 8, 8, 8)
        for row, item in enumerate(file["ids"].asstr()[:]):
            arrays = artefact.read(item)
            assert np.array_equal(grids[row], arrays["grid"])
            assert np.array_equal(file["points"][f"{row:06d}"][()], arrays["points"])
        for name in ("grid", "split", "ids"):
            assert file[name].fletcher32
            assert file[name].chunks


def test_chunks_are_copied_not_encoded_again(
    artefact: Artefact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def raw(path: Path) -> dict[str, bytes]:
        with _plain(path) as file:
            ids = file["ids"].asstr()[:]
            return {i: file["grid"].id.read_direct_chunk((n, 0))[1] for n, i in enumerate(ids)}

    path = tmp_path / "all.h5"
    for name in ("encode_item", "_create"):
        monkeypatch.setattr(shard, name, None)
    merge(artefact, path)
    used = {i: e.shard for i, e in artefact.index.items().items()}
    assert raw(path) == {i: raw(artefact.folder / used[i])[i] for i in IDS}


def test_equal_content_is_an_equal_file(artefact: Artefact, merged: Path, tmp_path: Path) -> None:
    merge(artefact.refresh(), tmp_path / "again.h5")
    assert (tmp_path / "again.h5").read_bytes() == merged.read_bytes()
    merge(artefact, tmp_path / "again.h5")  # replaces
    assert (tmp_path / "again.h5").read_bytes() == merged.read_bytes()
    assert [p.name for p in tmp_path.iterdir()] == ["again.h5"]


def test_some_categories(tmp_path: Path) -> None:
    artefact = make(tmp_path, ["car/a", "car/b", "bed/c", "bed/refuse"])
    assert merge(artefact, tmp_path / "cars.h5", ("car",)).failures == 0
    assert read_content(tmp_path / "cars.h5").ids == ("car/a", "car/b")
    assert merge(artefact, tmp_path / "beds.h5", ("bed",)).failures == 1
    with pytest.raises(UsageError, match="sofa"):
        merge(artefact, tmp_path / "sofas.h5", ("sofa",))
    assert not (tmp_path / "sofas.h5").exists()


def test_progress_counts_items(artefact: Artefact, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    merge(artefact, tmp_path / "all.h5", on_progress=lambda *now: seen.append(now))
    assert seen == sorted(seen)
    assert seen[-1] == (40, 40)


def test_many_ids_do_not_lie_in_one_chunk(
    artefact: Artefact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shard, "_STRINGS", 16)
    merge(artefact, tmp_path / "all.h5")
    with _plain(tmp_path / "all.h5") as file:
        assert file["ids"].chunks == (16,)
    assert list(read_content(tmp_path / "all.h5").ids) == IDS


def test_a_damaged_shard_is_never_copied(tmp_path: Path) -> None:
    artefact = make(tmp_path, IDS)
    victim = shards(artefact)[1]
    data = bytearray(victim.read_bytes())
    data[len(data) // 2] ^= 1
    victim.write_bytes(data)
    (tmp_path / "all.h5").write_bytes(b"what was there")
    with pytest.raises(InputError, match=victim.name):
        merge(fake.artefact_of(tmp_path), tmp_path / "all.h5")
    victim.unlink()
    with pytest.raises(InputError, match="the shard is missing"):
        merge(fake.artefact_of(tmp_path), tmp_path / "all.h5")
    assert (tmp_path / "all.h5").read_bytes() == b"what was there"
    assert not list(tmp_path.glob(".tmp-*"))
    with pytest.raises(InputError, match="no artefact fake/default"):
        merge(fake.artefact_of(tmp_path / "empty"), tmp_path / "all.h5")


def test_too_little_room_is_seen_before(
    artefact: Artefact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Usage:
        free = 1000

    monkeypatch.setattr("stages.store.merge.shutil.disk_usage", lambda path: Usage)
    with pytest.raises(CrossdimError, match="1,000 are free"):
        merge(artefact, tmp_path / "all.h5")
    with pytest.raises(InputError, match="no folder"):
        merge(artefact, tmp_path / "none" / "all.h5")


PROGRAM = """
import sys
from pathlib import Path
from stages.errors import CrossdimError
from stages.store.merge import merge
from tests.engine.fake import artefact_of
try:
    merge(artefact_of(Path(sys.argv[1])), Path(sys.argv[2]))
except CrossdimError as error:
    sys.exit(f"{error}\\n{error.hint}")
"""


@pytest.mark.parametrize("share", [0.0, 0.001, 0.02, 0.1, 0.3, 0.5, 0.8, 0.99])
def test_a_disk_that_fills_up_meanwhile(
    artefact: Artefact, merged: Path, tmp_path: Path, share: float
) -> None:
    size = int(share * merged.stat().st_size)
    target = tmp_path / "all.h5"
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(artefact.folder.parents[1]), str(target)],
        cwd=REPOSITORY,
        env=environment(),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size)),
        capture_output=True,
        text=True,
        timeout=60,
    )
    # HDF5 alone would end with a signal here
    assert done.returncode == 1
    message, hint = done.stderr.splitlines()
    assert message == f"cannot write {target}: File too large"
    assert "run the same command again" in hint
    assert list(tmp_path.iterdir()) == []

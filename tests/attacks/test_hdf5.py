"""S2: files that reach for other files are refused, and what they reach for stays as it is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from stages.errors import InputError
from stages.store.index import load_index, save_index, verify
from stages.store.reader import OpenShards, read_row
from stages.store.shard import LIBVER, shard_name
from stages.store.untrusted import open_readonly
from tests.attacks.make_hdf5 import MAKERS, hostile_shard
from tests.engine import fake
from tests.store.cache import make, shards


@pytest.mark.parametrize("maker", MAKERS, ids=lambda maker: maker.__name__)
def test_hostile_shards_are_refused(
    tmp_path: Path, maker: Callable[[h5py.File, Path], None]
) -> None:
    artefact = make(tmp_path, ["toy/a"])
    (honest,) = shards(artefact)
    data = hostile_shard(maker, honest, tmp_path)
    around = {p: p.read_bytes() for p in tmp_path.glob("secret*")}
    name = shard_name(0, data)  # the digest is right: whoever makes files can make names
    honest.unlink()
    (artefact.folder / "manifest.json").unlink()
    path = artefact.folder / name
    path.write_bytes(data)
    for attempt in (
        lambda: artefact.refresh().read("toy/a"),
        lambda: load_index(artefact.folder),
        lambda: save_index(artefact.folder),
        lambda: fake.run(tmp_path, ["toy/a"]),
        lambda: OpenShards().read("fake", path, 0, "toy/a"),
    ):
        with pytest.raises(InputError, match=name):
            attempt()
    assert name in verify(artefact.folder)
    assert {p: p.read_bytes() for p in tmp_path.glob("secret*")} == around


@pytest.mark.parametrize("kind", ["soft", "external", "group"])
def test_members_of_ragged_groups_are_checked_too(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "shard.h5"
    with h5py.File(path, "w", libver=LIBVER) as file:
        group = file.create_group("points")
        if kind == "soft":
            group["000000"] = h5py.SoftLink("/points")
        elif kind == "external":
            group["000000"] = h5py.ExternalLink("other.h5", "/")
        else:
            group.create_group("000000")
    with open_readonly(path, "shard") as file, pytest.raises(InputError, match=r"shard\.h5"):
        read_row(file, 0, path)


def test_too_few_bits_are_not_filled_up(tmp_path: Path) -> None:
    path = tmp_path / "shard.h5"
    with h5py.File(path, "w", libver=LIBVER) as file:
        grid = file.create_dataset(
            "grid", data=np.zeros((1, 8), np.uint8), chunks=(1, 8), fletcher32=True
        )
        grid.attrs["packed"] = np.bytes_("yes")
        grid.attrs["item_shape"] = np.array([8, 8, 8])
    wanted = pytest.raises(InputError, match="do not hold an item")
    with open_readonly(path, "shard") as file, wanted:
        read_row(file, 0, path)


def test_other_hdf5_files_are_no_shards(tmp_path: Path) -> None:
    artefact = make(tmp_path, ["toy/a"])
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file.create_dataset("data", data=np.arange(3), chunks=(3,), fletcher32=True)
    data = (tmp_path / "other.h5").read_bytes()
    name = shard_name(0, data)
    (artefact.folder / name).write_bytes(data)
    with pytest.raises(InputError, match=f"{name} is no crossdim shard"):
        load_index(artefact.folder)


def test_a_newer_format_says_upgrade(tmp_path: Path) -> None:
    artefact = make(tmp_path, ["toy/a"])
    (path,) = shards(artefact)
    with h5py.File(path, "r+") as file:
        file.attrs["format_version"] = 2
    data = path.read_bytes()
    path.unlink()
    (artefact.folder / shard_name(0, data)).write_bytes(data)
    with pytest.raises(InputError, match="format version 2") as caught:
        load_index(artefact.folder)
    assert caught.value.hint == "upgrade crossdim"

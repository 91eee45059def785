"""Shards: readable by anyone, checksummed throughout, equal content in equal files."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from stages.errors import CrossdimError, ItemError
from stages.stage import Arrays, ArraySpec
from stages.store.reader import read_content
from stages.store.shard import (
    Encoded,
    Failure,
    build_shard,
    encode_item,
    make_key,
    params_of,
    shard_name,
)
from stages.store.workspace import Artefact
from tests.engine import fake
from tests.faults.command import REPOSITORY
from tests.store.cache import IDS, make, read_all, shards

KEY = make_key("fake", 1, {"scale": 1}, 0, 1)


def _arrays(**changed: Any) -> Arrays:
    return {
        "grid": np.zeros((8, 8, 8), bool),
        "points": np.zeros((2, 3), np.float32),
        "split": np.array(b"test"),
        **changed,
    }


@pytest.fixture(scope="module")
def artefact(tmp_path_factory: pytest.TempPathFactory) -> Artefact:
    return make(tmp_path_factory.mktemp("shards"), [*IDS, "toy/refuse"])


def test_plain_h5py_can_read_it_without_us(artefact: Artefact) -> None:
    seen = set()
    ours = read_all(artefact)
    for path in shards(artefact):
        with h5py.File(path, "r") as file:
            assert file.attrs["format"] == b"crossdim/fake"
            assert file.attrs["format_version"] == 1
            assert file.attrs["stage"] == b"fake"
            assert file.attrs["stage_version"] == 1
            assert json.loads(file.attrs["params"]) == {"scale": 1}
            assert file.attrs["seed"] == 0
            assert file["grid"].attrs["axes"] == b"item,x,y,z"
            assert file["grid"].attrs["packed"] == b"most significant bit first, C order"
            shape = file["grid"].attrs["item_shape"]
            for row, item in enumerate(file["ids"].asstr()):
                # by hand, as the attribute says: bit 7 - k of byte j is voxel 8 j + k
                bits = [(int(byte) >> (7 - k)) & 1 for byte in file["grid"][row] for k in range(8)]
                mine = ours[item]
                np.testing.assert_array_equal(np.reshape(bits, shape), mine["grid"])
                points = file[f"points/{row:06d}"]
                assert points.attrs["axes"] == b"point,xyz"
                np.testing.assert_array_equal(points[()], mine["points"])
                assert file["split"][row] == mine["split"] == b"train"
                seen.add(item)
            for item, reason in zip(file["failed_ids"].asstr(), file["failed_reasons"].asstr()):
                assert (item, reason) == ("toy/refuse", "refused on purpose")
                seen.add(item)
    assert seen == {*IDS, "toy/refuse"}


def test_every_dataset_is_chunked_and_checksummed_and_every_string_fixed(
    artefact: Artefact,
) -> None:
    count = 0

    def check(name: str, member: h5py.Dataset | h5py.Group) -> None:
        nonlocal count
        types = [member.attrs.get_id(a).dtype for a in member.attrs]
        if isinstance(member, h5py.Dataset):
            types.append(member.dtype)
            assert member.chunks, name
            assert member.fletcher32, name
            plist = member.id.get_create_plist()
            assert not plist.get_obj_track_times(), name
            assert member.compression in (None, "gzip"), name
            count += 1
        for dtype in types:
            assert dtype.kind != "O", name  # variable length

    for path in shards(artefact):
        with h5py.File(path, "r") as file:
            check("/", file)
            file.visititems(check)
        # superblock version 3, the checksummed one: byte 8 of the file
        assert path.read_bytes()[8] == 3
    assert count > 2 * 8


def test_one_item_a_chunk(artefact: Artefact) -> None:
    with h5py.File(shards(artefact)[0], "r") as file:
        assert file["grid"].chunks == (1, 64)
        assert file["split"].chunks == (1,)


def test_ragged_arrays_may_be_empty(artefact: Artefact) -> None:
    lengths = {len(arrays["points"]) for arrays in read_all(artefact).values()}
    assert 0 in lengths
    assert len(lengths) > 3


def test_names_carry_bucket_and_digest(artefact: Artefact) -> None:
    for path in shards(artefact):
        bucket, digest = path.stem.split("-")[1:]
        assert hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest() == digest
        assert read_content(path).key.bucket == int(bucket)


_OTHER_PROCESS = """
import sys
from pathlib import Path
from tests.store.cache import make, shards
print(*(path.name for path in shards(make(Path(sys.argv[1])))))
"""


def test_equal_content_is_an_equal_file_in_every_process(tmp_path: Path) -> None:
    names = [
        subprocess.run(
            [sys.executable, "-c", _OTHER_PROCESS, str(tmp_path / hash_seed)],
            cwd=REPOSITORY,
            env={"PYTHONHASHSEED": hash_seed, "PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()
        for hash_seed in ("1", "2")
    ]
    assert names[0] == names[1] == [path.name for path in shards(make(tmp_path / "here"))]


def test_order_of_items_does_not_matter() -> None:
    items = [Encoded(i, f"f{i}", encode_item(fake.SPEC, _arrays())) for i in "abc"]
    failures = [Failure(i, "f", "why") for i in "xyz"]
    data = build_shard(KEY, items, failures)
    assert build_shard(KEY, items[::-1], failures[::-1]) == data
    assert shard_name(7, data).startswith("shard-0007-")


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"grid": np.zeros((8, 8, 8), np.uint8)}, "uint8"),
        ({"grid": np.zeros((8, 8), bool)}, "expected axes"),
        ({"points": np.zeros((2, 3), np.float64)}, "float64"),
        ({"points": np.zeros((2, 3), ">f4")}, "expected float32"),
        ({"points": np.full((2, 3), np.nan, np.float32)}, "NaN"),
        ({"points": np.full((2, 3), np.inf, np.float32)}, "NaN or infinite"),
        ({"split": np.array(b"far too long for a label")}, "at most"),
        ({"split": np.array("text")}, "expected at most"),
        ({"split": np.array("\xe9".encode("latin-1"))}, "not UTF-8"),
        ({"grid": np.zeros((0, 8, 8), bool)}, "is empty"),
        ({"more": np.zeros(1)}, "its SPEC names"),
    ],
)
def test_what_spec_does_not_say_is_refused(changed: Arrays, reason: str) -> None:
    with pytest.raises(ItemError, match=reason):
        encode_item(fake.SPEC, _arrays(**changed))


def test_a_missing_array_is_refused() -> None:
    arrays = _arrays()
    del arrays["points"]
    with pytest.raises(ItemError, match="its SPEC names"):
        encode_item(fake.SPEC, arrays)


@pytest.mark.parametrize("shape", [(4, 4, 4), (4, 16, 8)], ids=["fewer bits", "as many bits"])
def test_items_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    items = [
        Encoded("a", "f", encode_item(fake.SPEC, _arrays())),
        Encoded("b", "f", encode_item(fake.SPEC, _arrays(grid=np.zeros(shape, bool)))),
    ]
    with pytest.raises(CrossdimError, match="array grid of stage fake") as caught:
        build_shard(KEY, items)
    assert "ragged" in caught.value.hint


@pytest.mark.parametrize("dtype", ["uint8", "int16", "int64", "float16", "float64", "S7"])
@pytest.mark.parametrize("compress", [0, 4])
def test_values_come_back_bit_equal(tmp_path: Path, dtype: str, compress: int) -> None:
    rng = np.random.default_rng(3)
    value = rng.integers(1, 100, (5, 4)).astype(dtype)
    spec = {
        "fixed": ArraySpec(dtype, ("a", "b"), compress=compress, units="m", frame="world"),
        "ragged": ArraySpec(dtype, ("a", "b"), compress=compress, ragged=True),
    }
    data = build_shard(
        KEY, [Encoded("x/y", "f", encode_item(spec, {"fixed": value, "ragged": value[:3]}))]
    )
    folder = tmp_path / "fake" / "default"
    folder.mkdir(parents=True)
    (folder / shard_name(0, data)).write_bytes(data)
    back = fake.artefact_of(tmp_path).read("x/y")
    assert back["fixed"].dtype == value.dtype
    np.testing.assert_array_equal(back["fixed"], value)
    np.testing.assert_array_equal(back["ragged"], value[:3])
    with h5py.File(folder / shard_name(0, data), "r") as file:
        assert file["fixed"].attrs["units"] == b"m"
        assert file["fixed"].attrs["frame"] == b"world"


def test_reasons_become_one_printable_line(tmp_path: Path) -> None:
    reason = "\x1b]0;title\x07 a\nb\udcff" + "ü" * 400
    data = build_shard(KEY, [], [Failure("x/y", "f", reason), Failure("x/z", "f", "\n")])
    path = tmp_path / shard_name(0, data)
    path.write_bytes(data)
    first, second = read_content(path).failures
    assert first.reason.startswith("]0;title a b üüü")
    assert len(first.reason.encode()) <= 400
    assert first.reason.isprintable()
    assert second.reason == "no reason given"


def test_params_come_back() -> None:
    assert params_of(make_key("s", 1, {"b": [1, 2], "a": None}, 0, 1)) == {"a": None, "b": [1, 2]}

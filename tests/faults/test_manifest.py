"""R7, R8: a manifest that is damaged in any way is noticed, and made again from the shards."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

from stages.store.index import load_index, verify
from stages.store.manifest import MANIFEST, read_manifest
from tests.store.cache import make

FLIPS, LENGTHS = 120, 60


def damaged(data: bytes) -> Iterator[bytes]:
    """One bit flipped, and cut short, again and again."""
    for bit in random.Random(3).sample(range(8 * len(data)), FLIPS):
        place = bit // 8
        yield data[:place] + bytes([data[place] ^ (1 << bit % 8)]) + data[place + 1 :]
    for number in range(LENGTHS):
        yield data[: len(data) * number // LENGTHS]


def test_whatever_a_manifest_says(tmp_path: Path) -> None:
    artefact = make(tmp_path, ["toy/a", "toy/b", "toy/refuse"])
    path = artefact.folder / MANIFEST
    data, entries = path.read_bytes(), load_index(artefact.folder).entries
    silent = unnoticed = 0
    for bad in damaged(data):
        path.write_bytes(bad)
        silent += load_index(artefact.folder).entries != entries
        unnoticed += read_manifest(path) is not None  # what means the same to JSON: white space
    path.write_bytes(data[:-9])
    assert MANIFEST in verify(artefact.folder)
    assert silent == 0
    assert unnoticed < FLIPS / 20

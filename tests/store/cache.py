"""A small artefact of the fake stage, and what its items hold."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from stages.stage import Arrays
from stages.store.index import load_index
from stages.store.workspace import Artefact
from tests.engine import fake

IDS = [f"toy/{number:02d}" for number in range(20)]  # two buckets


def make(root: Path, ids: list[str] = IDS, tag: str = "") -> Artefact:
    """Run the fake stage in this process; returns what there is then."""
    fake.run(root, ids, tag=tag)
    return fake.artefact_of(root)


def shards(artefact: Artefact) -> list[Path]:
    """Its shard files, by name."""
    return sorted(artefact.folder.glob("shard-*.h5"))


def read_all(artefact: Artefact) -> dict[str, Arrays]:
    """Every item, read anew."""
    again = artefact.refresh()
    try:
        return {item: again.read(item) for item in load_index(again.folder).items()}
    finally:
        again.close()


def same(left: dict[str, Arrays], right: dict[str, Arrays]) -> bool:
    """Whether ids, names, dtypes, shapes and values all agree."""
    return left.keys() == right.keys() and all(
        left[i].keys() == right[i].keys()
        and all(
            left[i][n].dtype == right[i][n].dtype and np.array_equal(left[i][n], right[i][n])
            for n in left[i]
        )
        for i in left
    )

"""The index costs the same per item, however many there are."""

from __future__ import annotations

import time
from pathlib import Path

from stages.store.index import load_index, save_index
from stages.store.shard import Failure, build_shard, make_key, shard_name

SHARD_ITEMS = 500  # more than a stage puts into one: it is the entries that are counted


def _seconds_per_item(folder: Path, items: int) -> float:
    """CPU to index that many entries from their shards, to save them, and to load them again."""
    folder.mkdir()
    key = make_key("fake", 1, {}, 0, 4096)
    # failures are entries like all others, and cheap to make
    for first in range(0, items, SHARD_ITEMS):
        ids = range(first, min(items, first + SHARD_ITEMS))
        data = build_shard(key, [], [Failure(f"toy/{i:06d}", f"{i:032x}", "why") for i in ids])
        (folder / shard_name(0, data)).write_bytes(data)
    start = time.process_time()
    assert len(save_index(folder).entries) == items
    index = load_index(folder)
    assert index.saved
    assert len(index.entries) == items
    return (time.process_time() - start) / items


def test_twenty_thousand_items_cost_ten_times_two_thousand(tmp_path: Path) -> None:
    small = min(_seconds_per_item(tmp_path / f"small{n}", 2_000) for n in range(2))
    large = min(_seconds_per_item(tmp_path / f"large{n}", 20_000) for n in range(2))
    # a quadratic step anywhere would make it ten times; caches, and load beside it, up to four
    assert large < 6 * small

"""S1 to S6 added up, as `python -m tests.attacks` and the report of faults have them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.attacks.figures import LIMITS, file_rows
from tests.attacks.memory import growth

MOST_SECONDS = 15.0  # 2 on a machine of its own: worst measured 0.3; others run beside the tests


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="measured as Linux tells")
def test_growth_is_what_was_taken() -> None:
    taken = growth(lambda: b"x" * (100 << 20))
    assert 90 << 20 < taken < 130 << 20
    assert growth(lambda: None) < 10 << 20


@pytest.mark.skipif(sys.platform != "linux", reason="measured as Linux tells")
def test_every_hostile_file_is_refused() -> None:
    rows = {row.name.split()[0]: row for row in file_rows()}
    assert list(rows) == ["S1", "S2", "S3", "S4", "S5", "S6"]
    for row in rows.values():
        assert (row.foreign, row.died) == (0, 0), row
        assert row.refused == row.files or not row.must_refuse, row
        assert row.seconds < MOST_SECONDS, row
        assert row.grown < LIMITS.memory_gib * (1 << 30), row
    assert rows["S3"].more.endswith("0 as something else")
    assert rows["S4"].files >= 40
    assert rows["S6"].grown < 250 << 20

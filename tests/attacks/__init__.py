"""Hostile inputs: makers (`make_*.py`, `names.py`), tests by row (S1-S11), and the fuzzing.

`python -m tests.attacks` prints the figures of all rows.
"""

from __future__ import annotations


def count() -> tuple[int, int, int]:
    """Hostile files that were read, how many of them were refused, and bytes of other files that
    came out of any of them. Takes about half a minute."""
    from tests.attacks.figures import file_rows

    rows = [row for row in file_rows() if row.must_refuse]
    return (
        sum(row.files for row in rows),
        sum(row.refused for row in rows),
        sum(row.foreign for row in rows),
    )

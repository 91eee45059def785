"""Cells of CSV files, for spreadsheets: names of others are text there, and nothing else."""

from __future__ import annotations

_FORMULA = ("=", "+", "-", "@")


def text_cell(text: str) -> str:
    """A name as a cell: as it is, or behind an apostrophe where a spreadsheet would run it.

    Characters that are not printable become `?`: Python's csv leaves a carriage return unquoted,
    which ends the row. Names of shapes hold nothing of that (`safe_name`); those in results of
    somebody else may.
    """
    plain = "".join(c if c.isprintable() else "?" for c in text)
    return f"'{plain}" if plain.startswith(_FORMULA) else plain

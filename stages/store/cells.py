"""Cells of CSV files, for spreadsheets: what they would take for a formula is marked as text."""

from __future__ import annotations

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def text_cell(text: str) -> str:
    """A name as a cell: as it is, or behind an apostrophe where a spreadsheet would run it.

    Names of shapes cannot begin so (`safe_name`); those in results of somebody else may.
    """
    return f"'{text}" if text.startswith(_FORMULA) else text

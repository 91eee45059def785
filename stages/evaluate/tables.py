"""Tables of results: rows of one number a category, as text for people and programs."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from stages.store.cells import text_cell

Row = tuple[str, dict[str, float]]  # what, category -> value


@dataclass(frozen=True)
class Table:
    """One table: a title, and rows of one number a category."""

    key: str
    title: str
    rows: tuple[Row, ...]


def to_csv(tables: Sequence[Table]) -> str:
    """The tables as CSV: table, row, category, value."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("table", "row", "category", "value"))
    for one in tables:
        for what, values in one.rows:
            name = text_cell(what)
            writer.writerows((one.key, name, text_cell(c), f"{v:.6g}") for c, v in values.items())
    return text.getvalue()


def to_json(tables: Sequence[Table]) -> dict[str, Any]:
    """The tables as nested dictionaries: table -> row -> category -> value."""
    return {t.key: {what: dict(values) for what, values in t.rows} for t in tables}

"""metrics.csv, one row a logged step, and TensorBoard if it is asked for.

Columns: step, seconds (of training so far, over all sessions), lr, the losses (means since the row
before), and on rows of a validation its metrics as `val_<name>`; where the parameters have a
`curve_every`, every so many steps those of one validation batch as `curve_<name>`. Empty where
there is none.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stages.errors import CrossdimError, EnvironmentLacks, InputError
from stages.store.commit import commit_bytes
from stages.store.texts import TextError, read_whole, rows_of

Row = Mapping[str, float]
_MOST_BYTES = 256 << 20  # a million rows
_MOST_VALUES = 16_000_000


class Metrics:
    """The open metrics.csv of a run; rows after `step` are dropped when it is opened.

    A row is one write to the end of the file. A kill can tear the last one; it belongs to a step
    after the last checkpoint, so opening the file again drops it with the others.
    """

    def __init__(self, path: Path, step: int) -> None:
        self.path = path
        rows = [r for r in _complete_rows(path) if _step_of(r, path) <= step]
        self._columns = list(rows[0]) if rows else []
        if rows or path.exists():
            commit_bytes(path, _text(self._columns, rows).encode())

    def append(self, row: Row) -> None:
        """Add one row. The first with new columns rewrites the file with a wider header."""
        cells = {name: _cell(name, value) for name, value in row.items()}
        new = [name for name in row if name not in self._columns]
        if new:
            self._columns += new
            rows = [*_complete_rows(self.path), cells]
            commit_bytes(self.path, _text(self._columns, rows).encode())
            return
        line = ",".join(cells.get(name, "") for name in self._columns) + "\n"
        try:
            handle = os.open(self.path, os.O_WRONLY | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0))
            try:
                if os.write(handle, line.encode()) != len(line):
                    raise OSError("no space left for a whole row")
            finally:
                os.close(handle)
        except OSError as error:
            raise CrossdimError(
                f"cannot write {self.path}: {error.strerror or error}",
                "mend that, then run the same command again: it carries on",
            ) from error

    def sync(self) -> None:
        """Make the rows durable; called before a checkpoint that counts on them."""
        if self._columns:
            handle = os.open(self.path, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)


def read_metrics(path: Path) -> list[dict[str, float]]:
    """The complete rows of a metrics.csv; empty cells are left out. [] if there is no file."""
    try:
        return [{k: float(v) for k, v in row.items() if v != ""} for row in _complete_rows(path)]
    except ValueError as error:
        raise InputError(f"{path} is damaged: {error}", "delete it; training goes on") from error


def _complete_rows(path: Path) -> list[dict[str, str]]:
    if not path.exists():
        return []
    try:
        lines = read_whole(path, _MOST_BYTES).splitlines(keepends=True)
        # a kill can tear the last line, a power cut leave zero bytes in place of it
        whole = b"".join(line for line in lines if line.endswith(b"\n") and b"\0" not in line)
        rows = rows_of(whole, _MOST_VALUES)
        return [row for row in rows if None not in row and None not in row.values()]
    except TextError as error:
        raise InputError(f"{path} is damaged: it {error}", "delete it; training goes on") from None


def _step_of(row: Mapping[str, str], path: Path) -> int:
    try:
        return int(row["step"])
    except (KeyError, ValueError) as error:
        raise InputError(f"{path} is damaged: a row has no step", "delete it") from error


def _text(columns: list[str], rows: list[dict[str, str]]) -> str:
    lines = [columns, *([row.get(name, "") for name in columns] for row in rows)]
    return "".join(",".join(line) + "\n" for line in lines if line)


def _cell(name: str, value: float) -> str:
    return f"{value:.3f}" if name == "seconds" else repr(value)


def open_tensorboard(folder: Path, step: int) -> Any:
    """A SummaryWriter into `folder` that hides older events after `step`.

    Raises EnvironmentLacks if TensorBoard is not installed.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise EnvironmentLacks(
            "TensorBoard is not installed", "run: pip install 'crossdim[tensorboard]'"
        ) from error
    return SummaryWriter(str(folder), purge_step=step + 1)

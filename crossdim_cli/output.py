"""Everything that a user sees: results on stdout, all else on stderr."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

SCHEMA = 1
_LINE_SECONDS = 30.0
_BAR_SECONDS = 0.2
_SHORT_SECONDS = 2.0


def printable(text: object) -> str:
    """`text` without control characters: names come from files of others."""
    return "".join(c if c.isprintable() else "?" for c in str(text))


def table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """An aligned table: numbers to the right, words to the left, no decoration."""
    cells = [[_cell(value) for value in row] for row in rows]
    widths = [max([len(c), *(len(row[i]) for row in cells)]) for i, c in enumerate(columns)]
    right = [
        bool(rows) and all(isinstance(r[i], int | float) or r[i] is None for r in rows)
        for i in range(len(columns))
    ]

    def line(values: Sequence[str]) -> str:
        parts = [v.rjust(w) if r else v.ljust(w) for v, w, r in zip(values, widths, right)]
        return "  ".join(parts).rstrip()

    return "\n".join([line(columns), *(line(row) for row in cells)])


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"
    return printable(value)


def size(count: float) -> str:
    """A number of bytes for people: `3.2 MB`, powers of ten."""
    if count < 1000:
        return f"{count:.0f} B"
    for unit in ("kB", "MB", "GB", "TB"):
        count /= 1000
        if count < 999.5 or unit == "TB":
            break
    return f"{count:.3g} {unit}"


class Tracker(Protocol):
    """What a command tells about its progress."""

    def __call__(self, done: int, total: int, note: str = "") -> None: ...


_watchers: list[list[Mapping[str, Any]]] = []


@contextlib.contextmanager
def watched() -> Iterator[list[Mapping[str, Any]]]:
    """The results of the commands that are run in this process meanwhile, as they come."""
    seen: list[Mapping[str, Any]] = []
    _watchers.append(seen)
    try:
        yield seen
    finally:
        _watchers.remove(seen)


class Output:
    """The one sink of a command. `as_json` prints results as JSON, `quiet` drops progress."""

    def __init__(self, as_json: bool = False, quiet: bool = False) -> None:
        self.as_json = as_json
        self.quiet = quiet

    def result(self, data: Mapping[str, Any], text: str) -> None:
        """The result: `text` for people, or `data` as one JSON object with its schema number."""
        for seen in _watchers:
            seen.append(data)
        if self.as_json:
            text = json.dumps({"schema": SCHEMA, **data}, indent=1, allow_nan=False, default=str)
        else:  # line by line: names of files of others are among the text
            text = "\n".join(printable(line) for line in text.split("\n"))
        sys.stdout.write(text + "\n")
        sys.stdout.flush()

    def note(self, text: str) -> None:
        """A line for people, on stderr."""
        if not self.quiet:
            self.warn(text)

    def warn(self, text: str) -> None:
        """A line that is shown even with --quiet."""
        sys.stderr.write(printable(text) + "\n")
        sys.stderr.flush()

    @contextlib.contextmanager
    def progress(self, label: str) -> Iterator[Tracker]:
        """A bar on a terminal, a line every 30 s elsewhere, nothing with --quiet."""
        if self.quiet:
            yield lambda done, total, note="": None
        elif sys.stderr.isatty():
            with _bar(label) as tracker:
                yield tracker
        else:
            yield _Lines(label)


@contextlib.contextmanager
def _bar(label: str) -> Iterator[Tracker]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as Remaining

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn())
    extra = (Remaining(), TextColumn("{task.fields[note]}", markup=False))
    with Progress(*columns, *extra, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(printable(label), total=None, note="")
        shown = 0.0

        def update(done: int, total: int, note: str = "") -> None:
            nonlocal shown
            now = time.monotonic()
            if now - shown >= _BAR_SECONDS or done == total:
                bar.update(task, completed=done, total=total, note=printable(note))
                shown = now

        yield update


class _Lines:
    """Progress off a terminal: `label 1200/6778 17.7% 41/s eta 2m`, every 30 s and at the end.

    What is over within two seconds says nothing.
    """

    def __init__(self, label: str) -> None:
        self._label = label
        self._start = self._shown = time.monotonic()
        self._first: int | None = None
        self._last = 0

    def __call__(self, done: int, total: int, note: str = "") -> None:
        now = time.monotonic()
        if done < self._last:  # the next of several counts has its own rate
            self._start, self._first = now, None
        self._last = done
        if self._first is None:
            self._first = done
        if now - self._shown < (_LINE_SECONDS if done < total else _SHORT_SECONDS):
            return
        self._shown = now
        rate = (done - self._first) / max(now - self._start, 1e-9)
        pace = f" {rate:.3g}/s" if rate > 0 else ""
        if rate > 0 and done < total:
            pace += f" eta {_duration((total - done) / rate)}"
        share = f"{100 * done / max(total, 1):.1f}%"
        line = f"{self._label} {done}/{total} {share}{pace} {note}".rstrip()
        sys.stderr.write(printable(line) + "\n")
        sys.stderr.flush()


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f}s"
    return f"{seconds / 60:.0f}m" if seconds < 5400 else f"{seconds / 3600:.1f}h"

"""CSV, JSON and lists that others wrote, and that Python itself parses, in the command.

Python's own parsers neither crash nor hang, but what they make of a file takes up to thirty times
its bytes. So a file is measured before it is read, and what would come of it is counted before it
is parsed. All that is refused is a TextError, whose text goes behind the name of the file:
"is larger than 64 MiB".
"""

from __future__ import annotations

import csv
import io
import json
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

MOST_BYTES = 64 << 20
# Commas, colons, brackets and ends of lines: what each stands for takes about 100 bytes of memory.
MOST_VALUES = 4_000_000
_LONG = re.compile(rb"\d{19}")
MOST_COLUMNS = 1000  # of a table: a row that is too short is filled up to all of them


if TYPE_CHECKING:
    _Reader = csv.DictReader[str]
else:
    _Reader = csv.DictReader


class TextError(ValueError):
    """A file is not read, and why."""


def read_whole(path: Path, most: int = MOST_BYTES) -> bytes:
    """The bytes of a regular file, at most `most` of them.

    Raises TextError for larger files, pipes and devices, OSError when it cannot be read.
    """
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise TextError("is no regular file")
    if found.st_size > most:
        large = f"{most >> 20} MiB" if most >= 1 << 20 else f"{most >> 10} KiB"
        raise TextError(f"is larger than {large}")
    with path.open("rb") as file:
        return file.read(found.st_size)  # of a number that is asked for, all is taken at once


def read_json(path: Path, most: int = MOST_BYTES, values: int = MOST_VALUES) -> Any:
    """What a JSON file says. Raises TextError, and OSError as `read_whole` does."""
    return json_of(read_whole(path, most), values)


def json_of(data: bytes, values: int = MOST_VALUES) -> Any:
    """What JSON says, of at most so many values; TextError when it is none."""
    _check(data, b",:[{", values)
    whole = _whole if _LONG.search(data) else None  # a call for each number takes its time
    try:
        return json.loads(data.decode("utf-8-sig"), parse_int=whole)
    except UnicodeDecodeError as error:
        raise TextError(f"is not UTF-8 text ({error.reason})") from None
    except json.JSONDecodeError as error:
        raise TextError(f"is no JSON: {error}") from None
    except RecursionError:
        raise TextError("nests too deep") from None


def _whole(digits: str) -> int:
    """A whole number that NumPy has a type for; Python's own are no end of an error."""
    if len(digits) <= 20 and -(2**63) <= (value := int(digits)) < 2**64:
        return value
    raise TextError("holds a number of too many digits")


class Rows(_Reader):
    """The rows of a CSV by the names in its first line, `line_num` the line of the last one."""

    def __next__(self) -> dict[str | Any, str | Any]:
        try:
            return super().__next__()
        except csv.Error as error:
            raise TextError(f"is no table in line {self.reader.line_num}: {error}") from None


def read_rows(path: Path, most: int = MOST_BYTES) -> Rows:
    """The rows of a CSV file. Raises as `rows_of`, and OSError as `read_whole` does."""
    return rows_of(read_whole(path, most))


def rows_of(data: bytes, values: int = MOST_VALUES) -> Rows:
    """The rows of a CSV of at most so many values, blanks removed around the names of columns.

    Raises TextError, also while rows are taken.
    """
    _check(data, b",\r\n", values)
    reader = Rows(_lines(data, ""), strict=True)
    try:
        names = [name.strip() for name in reader.fieldnames or ()]
    except csv.Error as error:
        raise TextError(f"is no table in line 1: {error}") from None
    if len(names) > MOST_COLUMNS:
        raise TextError(f"has more than {MOST_COLUMNS} columns")
    reader.fieldnames = names
    return reader


def lines_of(data: bytes) -> Iterator[str]:
    """The lines of a text without their ends; TextError, also while they are taken."""
    _check(data, b"\r\n", MOST_VALUES)
    for line in _lines(data, None):
        yield line.removesuffix("\n")


def _check(data: bytes, marks: bytes, most: int) -> None:
    if 0 in data:
        raise TextError("holds a zero byte")
    if sum(data.count(mark) for mark in marks) > most:
        raise TextError(f"holds more than {most} values")


def _lines(data: bytes, newline: str | None) -> Iterator[str]:
    try:
        yield from io.TextIOWrapper(io.BytesIO(data), "utf-8-sig", newline=newline)
    except UnicodeDecodeError as error:
        raise TextError(f"is not UTF-8 text ({error.reason})") from None

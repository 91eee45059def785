"""Lists and tables in text files, as data sets come with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from stages.errors import InputError
from stages.photos.annotated import MAX_COORDINATE
from stages.store.texts import TextError, lines_of, read_whole


def coordinate(word: str) -> float:
    """A number that can be a place in a picture; ValueError for others."""
    value = float(word)
    if not abs(value) < MAX_COORDINATE:
        raise ValueError(word)
    return value


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines of a text file that are not empty, with their numbers from 1.

    Raises InputError when the file is missing, too large to be a list, or no UTF-8 text.
    """
    try:
        for number, line in enumerate(lines_of(read_whole(path)), 1):
            if line := line.strip():
                yield number, line
    except FileNotFoundError:
        raise InputError(f"{path} is missing", "check --format and the folder") from None
    except TextError as error:
        raise InputError(f"{path} {error}", "check it") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}", "check it") from None


def read_table(path: Path, *kinds: Callable[[str], Any]) -> Iterator[list[Any]]:
    """The rows of a table separated by blanks, each value turned by its column's `kind`.

    The last column takes the rest of the line. Raises InputError, naming file and line.
    """
    for number, line in read_lines(path):
        words = line.split(maxsplit=len(kinds) - 1)
        try:
            yield [kind(word) for kind, word in zip(kinds, words, strict=True)]
        except ValueError:
            raise InputError(
                f"{path.name}, line {number}: not {len(kinds)} columns of the kinds expected",
                "mend the line",
            ) from None

"""Every command's help has an example, and each example is a command line that is right."""

from __future__ import annotations

import functools
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from crossdim_cli.main import CLICK_ERROR, build
from crossdim_cli.pipeline import _check
from stages.errors import UsageError

ROOT = Path(__file__).parents[2]
# Lines that are shown because they are wrong, or that stand for many.
_WRONG = re.compile(r"category cars|SYSTEM|\.\.\.|\$|DIR\b|PATH\b|[A-Z]{4,}|<|\|")


@functools.cache
def root() -> Any:
    return typer.main.get_command(build())


def leaves(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, inner in command.commands.items():
        if hasattr(inner, "commands"):
            yield from leaves(inner, (*path, name))
        else:
            yield (*path, name), inner


COMMANDS = dict(leaves(root()))


def check(words: list[str]) -> None:
    """Raise UsageError unless the command line takes these words after `crossdim`."""
    command, path = root(), []
    while hasattr(command, "commands"):
        if words and words[0].startswith("-") and "sample" in command.commands:
            words = ["sample", *words]  # what `crossdim skeletons` does by itself
        if not words or words[0] not in command.commands:
            raise UsageError(f"no command {' '.join([*path, *words[:1]])!r}")
        path.append(words[0])
        command, words = command.commands[words[0]], words[1:]
    _check("line", root(), path, words)


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_the_example_of_a_command_is_right(path: tuple[str, ...]) -> None:
    command = COMMANDS[path]
    assert command.help
    match = re.fullmatch(r"Example: crossdim (.+)", command.epilog or "")
    assert match is not None
    words = shlex.split(match[1])
    assert tuple(words[: len(path)]) == path  # it is an example of this very command
    check(words)


def lines_of(text: str) -> Iterator[str]:
    """Lines of blocks of code that begin with `crossdim`, their comments cut off."""
    for block in re.findall(r"```[a-z]*\n(.*?)```", text, re.S):
        for line in block.replace("\\\n", " ").splitlines():
            line = line.removeprefix("$ ").split("   #")[0].split("  # ")[0].strip()
            if line.startswith("crossdim ") and not _WRONG.search(line):
                yield line


def scripted(text: str) -> Iterator[str]:
    """The same of a shell script; lines with variables are run by CI anyway."""
    for line in text.replace("\\\n", " ").splitlines():
        line = line.split("   #")[0].split("  # ")[0].strip()
        if line.startswith("crossdim ") and not _WRONG.search(line):
            yield line


FILES = [
    *(ROOT / "README.md", ROOT / "CONTRIBUTING.md"),
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "examples").glob("*.sh")),
]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_the_command_lines_of_the_documentation_are_right(path: Path) -> None:
    text = path.read_text()
    wrong = []
    for line in scripted(text) if path.suffix == ".sh" else lines_of(text):
        try:
            words = shlex.split(line)
            if words[1] not in ("--help", "--version", "--install-completion"):
                check(words[1:])
        except (UsageError, ValueError, CLICK_ERROR) as error:
            wrong.append(f"{line}: {error}")
    assert wrong == []


@pytest.mark.parametrize(
    "line",
    [
        "crossdim voxelise",
        "crossdim voxelize --rez 3",
        "crossdim render --size many",
        "crossdim merge",
    ],
)
def test_the_check_finds_what_is_wrong(line: str) -> None:
    with pytest.raises((UsageError, CLICK_ERROR)):
        check(shlex.split(line)[1:])

"""`crossdim run`: the steps of a file, each a command of crossdim, one after the other.

    [step.shapes]
    command = "shapes generate"
    category = ["chair"]
    count = 24

    [step.network]
    command = "train pose-aware"
    preset = "tiny"

A step's name is its table's, its other keys are options without the dashes in front, or arguments
by their names. `{workspace}` in a text stands for the workspace.
"""

from __future__ import annotations

import contextlib
import difflib
import io
import shlex
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from crossdim_cli.command import Session, add_command, argument, param
from crossdim_cli.config import read_toml
from crossdim_cli.output import table, watched
from stages.errors import UsageError

_NEVER = ("run", "view", "demo")  # itself, what does not end, and what is a pipeline of its own
_SHARED = ("workspace", "config", "json", "quiet", "debug", "print-config", "help")
_WORKSPACE = "{workspace}"


@dataclass(frozen=True)
class Step:
    """One command line: the words after `crossdim`, without the workspace."""

    name: str
    words: tuple[str, ...]

    @property
    def line(self) -> str:
        """As it would be typed."""
        return shlex.join(["crossdim", *self.words])


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    options = [
        argument("file", Path, "The steps, as TOML."),
        param("first", str, "", "Begin with this step.", flags=("--from",)),
        param("last", str, "", "End with this step.", flags=("--to",)),
        param("dry_run", bool, False, "Say what would be run.", flags=("--dry-run", "-n")),
    ]
    add_command(
        app,
        "run",
        options,
        _run,
        help="Run the steps of a file in one workspace; what is fresh is not made again.",
        example="crossdim run examples/pipeline.toml --from network",
    )


def _run(session: Session) -> None:
    options = session.options
    steps = read_steps(options["file"], session.workspace.root)
    steps = between(steps, options["first"], options["last"])
    if options["dry_run"]:
        lines = {step.name: step.line for step in steps}
        width = max(map(len, lines))
        text = "\n".join(f"{name.ljust(width)}  {line}" for name, line in lines.items())
        session.out.result({"steps": lines}, text)
        return
    records: list[dict[str, Any]] = []
    code = 0
    for step in steps:
        if code:
            records.append({"step": step.name, "code": None, "seconds": None, "result": {}})
            continue
        record = _perform(session, step)
        records.append(record)
        code = record["code"]
    rows = [(r["step"], r["seconds"], _outcome(r)) for r in records]
    text = "\n" + table(("step", "seconds", "outcome"), rows)
    session.out.result({"code": code, "steps": records}, text)
    if code:
        raise typer.Exit(code)


def _perform(session: Session, step: Step) -> dict[str, Any]:
    """Run one step in this process; with --json its own output goes nowhere but into the record."""
    from crossdim_cli.main import run

    words = [*step.words, "--workspace", str(session.workspace.root)]
    words += ["--quiet"] if session.out.quiet else []
    start = time.monotonic()
    with contextlib.ExitStack() as stack:
        seen = stack.enter_context(watched())
        if session.out.as_json:
            stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
        else:
            sys.stdout.write(f"\n$ {step.line}\n")
            sys.stdout.flush()
        stack.callback(setattr, sys, "argv", sys.argv)
        sys.argv = ["crossdim", *words]  # what a run that is trained keeps of how it came to be
        code = run(words)
    return {
        "step": step.name,
        "command": step.line,
        "code": code,
        "seconds": round(time.monotonic() - start, 1),
        "result": seen[-1] if seen else {},
    }


def _outcome(record: Mapping[str, Any]) -> str:
    """What a step came to, in a few words."""
    if record["code"] is None:
        return "not run"
    if record["code"]:
        return f"failed, exit code {record['code']}"
    result = record["result"]
    if isinstance(made := result.get("made"), int):
        return f"{made} made, {result.get('fresh', 0)} were fresh"
    if "stopped" in result:
        return f"{result.get('steps')} steps in all"
    if count := result.get("shapes") or result.get("items"):
        return f"{count} items"
    if "path" in result:
        return str(result["path"])
    return "done"


def read_steps(path: Path, root: Path) -> list[Step]:
    """The steps of a file, checked against the command line; UsageError for the first wrong one.

    Nothing is run before all of them are right.
    """
    tables = _tables(path)
    commands = _root_command()
    return [_step(name, values, commands, root) for name, values in tables.items()]


def _tables(path: Path) -> dict[str, dict[str, Any]]:
    try:
        data = read_toml(path)
    except FileNotFoundError:
        raise UsageError(f"no file {path}", "name a file of steps, such as pipeline.toml") from None
    other = sorted(set(data) - {"step"})
    if other:
        raise UsageError(f"unknown {other[0]!r} in {path}", "write [step.NAME] tables")
    steps = data.get("step")
    if not isinstance(steps, dict) or not steps:
        raise UsageError(f"{path} has no steps", 'write [step.NAME] and command = "..."')
    for name, values in steps.items():
        if not isinstance(values, dict) or not isinstance(values.get("command"), str):
            raise UsageError(f"step {name} has no command", 'write command = "shapes generate"')
    return steps


def _root_command() -> Any:
    from crossdim_cli.main import build

    return typer.main.get_command(build())


def _step(name: str, values: Mapping[str, Any], root: Any, workspace: Path) -> Step:
    path = values["command"].split()
    if path[:1] == ["crossdim"]:
        path = path[1:]
    command = _command(name, path, root)
    given = {key: value for key, value in values.items() if key != "command"}
    words = [*path, *_words(name, command, given, workspace)]
    _check(name, root, path, words[len(path) :])
    return Step(name, tuple(words))


def _command(step: str, path: Sequence[str], root: Any) -> Any:
    """The command of these words; UsageError with the one that was probably meant."""
    command = root
    for depth, word in enumerate(path):
        there = getattr(command, "commands", {})
        if word not in there or (depth == 0 and word in _NEVER):
            known = [one for one in there if depth or one not in _NEVER]
            wrong = " ".join(path[: depth + 1])
            raise UsageError(f"step {step}: no command {wrong!r} here", _meant(word, known))
        command = there[word]
    if hasattr(command, "commands"):
        inner = ", ".join(command.commands)
        raise UsageError(f"step {step}: {' '.join(path)!r} is no whole command", f"add: {inner}")
    return command


def _meant(word: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(word, known, 1)
    return f"did you mean {close[0]}?" if close else f"there are: {', '.join(known)}"


def _words(step: str, command: Any, given: Mapping[str, Any], workspace: Path) -> list[str]:
    """The options and arguments of a step as words of a command line."""
    flags = {o.removeprefix("--"): p for p in command.params for o in p.opts if o.startswith("--")}
    arguments = {p.name: p for p in command.params if p.param_type_name == "argument"}
    known = {name: p for name, p in {**flags, **arguments}.items() if name not in _SHARED}
    words: list[str] = []
    last: dict[str, list[str]] = {}
    for key, value in given.items():
        if key not in known:
            raise UsageError(f"step {step}: unknown option {key!r}", _meant(key, list(known)))
        texts = [_text(step, key, v, workspace) for v in _list(value)]
        if key in arguments:
            last[key] = texts
        elif isinstance(value, bool):
            words += _switch(step, key, known[key], value)
        else:
            words += [f"--{key}={text}" for text in texts]
    positional = [text for name in arguments for text in last.get(name, [])]
    return [
        *words,
        *(["--", *positional] if any(t.startswith("-") for t in positional) else positional),
    ]


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _text(step: str, key: str, value: Any, workspace: Path) -> str:
    if isinstance(value, str):
        return value.replace(_WORKSPACE, str(workspace))
    if isinstance(value, bool | int | float):
        return str(value)
    raise UsageError(
        f"step {step}: {key} is a {type(value).__name__}", "use a text, a number, true or a list"
    )


def _switch(step: str, key: str, option: Any, value: bool) -> list[str]:
    if not getattr(option, "is_flag", False):
        raise UsageError(f"step {step}: {key} wants a value", f"write {key} = ...")
    if value:
        return [f"--{key}"]
    return list(option.secondary_opts[:1])  # one that has no opposite is off unless given


def _check(step: str, root: Any, path: Sequence[str], words: Sequence[str]) -> None:
    """Let the command line look at the words, without running anything."""
    from crossdim_cli.main import CLICK_ERROR

    context, command = root.context_class(root, info_name="crossdim"), root
    for word in path:
        parent, command = context, command.commands[word]
        if word != path[-1]:
            context = command.context_class(command, info_name=word, parent=parent)
    try:
        command.make_context(path[-1], list(words), parent=context)
    except CLICK_ERROR as error:
        message = " ".join(error.format_message().split())  # type: ignore[attr-defined]
        help = f"run: crossdim {' '.join(path)} --help"
        raise UsageError(f"step {step}: {message}", help) from None


def between(steps: Sequence[Step], first: str, last: str) -> list[Step]:
    """The steps from one to another, both with them, by name; UsageError for unknown ones."""
    names = [step.name for step in steps]
    for name in (first, last):
        if name and name not in names:
            raise UsageError(f"no step {name!r}", _meant(name, names))
    start = names.index(first) if first else 0
    end = names.index(last) if last else len(names) - 1
    if end < start:
        raise UsageError(f"step {last} comes before {first}", f"the order is: {', '.join(names)}")
    return list(steps[start : end + 1])

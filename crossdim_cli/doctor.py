"""doctor: whether this machine has what crossdim needs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import typer

from crossdim_cli.command import Session, add_command
from crossdim_cli.output import printable

_LACKS = 4
_MARKS = {"ok": "ok ", "note": "-  ", "bad": "BAD"}


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    add_command(
        app,
        "doctor",
        [],
        _doctor,
        help="Say what this machine has: versions, devices, files, extras; exit 4 if it lacks one.",
        example="crossdim doctor --json",
    )


def _doctor(session: Session) -> None:
    from stages.doctor.checks import checks

    found = []
    with session.out.progress("doctor") as tracker:
        for number, check in enumerate(checks(session.workspace.root)):
            found.append(check)
            tracker(number + 1, max(30, number + 1), check.name)
    bad = [check for check in found if check.state == "bad"]
    text = _text(found)
    text += f"\n\n{len(bad)} of {len(found)} checks failed" if bad else "\n\nthe base is complete"
    session.out.result({"ok": not bad, "checks": [check.__dict__ for check in found]}, text)
    if bad:
        raise typer.Exit(_LACKS)


def _text(found: Sequence[Any]) -> str:
    """Group by group; under what is not well, the line that mends it."""
    lines = []
    width = max(len(check.name) for check in found)
    group = ""
    for check in found:
        if check.group != group:
            group = check.group
            lines += ["", group] if lines else [group]
        lines.append(f"  {_MARKS[check.state]} {check.name.ljust(width)}  {printable(check.found)}")
        if check.mend:
            lines.append(f"      {printable(check.mend)}")
    return "\n".join(lines)

"""The doctor's findings as text and as JSON. Needs no package, so that it works without any."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from crossdim_cli.output import SCHEMA, printable
from stages.doctor.checks import Check, checks

_MARKS = {"ok": "ok ", "note": "-  ", "bad": "BAD"}
_ABOUT = 40  # checks, for the progress


def examine(workspace: Path, tell: Callable[[int, int, str], None]) -> list[Check]:
    """All checks; `tell` is told of each."""
    found = []
    for check in checks(workspace):
        found.append(check)
        tell(len(found), max(_ABOUT, len(found) + 1), check.name)
    return found


def is_fine(found: Sequence[Check]) -> bool:
    """Whether all that the base needs is there."""
    return not any(check.state == "bad" for check in found)


def checkup(workspace: str, as_json: bool) -> tuple[str, bool]:
    """Everything there is to say, and whether all is well."""
    found = examine(Path(workspace), lambda done, total, note: None)
    fine = is_fine(found)
    if not as_json:
        return text_of(found), fine
    data = {"schema": SCHEMA, "ok": fine, "checks": [check.__dict__ for check in found]}
    return json.dumps(data, indent=1), fine


def text_of(found: Sequence[Check]) -> str:
    """Group by group; under what is not well, the line that mends it."""
    lines: list[str] = []
    width = max(len(check.name) for check in found)
    group = ""
    for check in found:
        if check.group != group:
            group = check.group
            lines += ["", group] if lines else [group]
        lines.append(f"  {_MARKS[check.state]} {check.name.ljust(width)}  {printable(check.found)}")
        if check.mend:
            lines.append(f"      {printable(check.mend)}")
    bad = sum(check.state == "bad" for check in found)
    verdict = f"{bad} of {len(found)} checks failed" if bad else "the base is complete"
    return "\n".join([*lines, "", verdict])

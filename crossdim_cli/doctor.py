"""doctor: whether this machine has what crossdim needs."""

from __future__ import annotations

import typer

from crossdim_cli.command import Session, add_command

_LACKS = 4


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
    from crossdim_cli.checkup import examine, is_fine, text_of

    with session.out.progress("doctor") as tracker:
        found = examine(session.workspace.root, tracker)
    fine = is_fine(found)
    data = {"ok": fine, "checks": [check.__dict__ for check in found]}
    session.out.result(data, text_of(found))
    if not fine:
        raise typer.Exit(_LACKS)

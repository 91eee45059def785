"""status, verify: what is fresh, what is damaged, and why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import typer

from crossdim_cli.command import Session, add_command, argument, param
from crossdim_cli.output import table
from stages.errors import InputError
from stages.store.index import MANIFEST, verify
from stages.store.workspace import Artefact, Workspace

_COLUMNS = ("artefact", "items", "fresh", "stale", "missing", "failed", "why")


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    check = param(
        "check", bool, False, "Exit with 3 unless everything is fresh.", flags=("--check",)
    )
    add_command(
        app,
        "status",
        [check],
        _status,
        help="Say what is fresh, stale, missing or failed, and why.",
        example="crossdim status --check",
    )
    add_command(
        app,
        "verify",
        [argument("artefact", str, "Only this artefact, as STAGE/VARIANT.", default="")],
        _verify,
        help="Read every file again and compare it with the digest in its name.",
        example="crossdim verify voxels/res32",
    )


def _status(session: Session) -> None:
    from stages.engine.status import ArtefactStatus, workspace_status
    from stages.evaluate.health import results_status
    from stages.train.health import runs_status

    def why(status: ArtefactStatus) -> str:
        state = status.state
        reasons = sorted(set(state.stale.values())) + sorted(set(state.failed.values()))
        reasons += sorted(set(status.damaged.values()))
        if state.extra:
            reasons.append(f"{len(state.extra)} no longer in the input")
        reasons += [status.note] if status.note else []
        return "; ".join(reasons[:3]) + ("; ..." if len(reasons) > 3 else "")

    statuses = workspace_status(session.workspace)
    runs = runs_status(session.workspace)
    results = results_status(session.workspace)
    rows: list[tuple[object, ...]] = []
    for s in statuses:
        state = s.state
        counts = (len(x) for x in (state.fresh, state.stale, state.missing, state.failed))
        rows.append((s.name, s.items, *counts, why(s)))
    rows += [(r["run"], None, None, None, None, None, r["why"]) for r in runs]
    for r in results:
        fresh = r["items"] if r["fresh"] else 0
        rows.append((r["name"], r["items"], fresh, r["items"] - fresh, 0, 0, r["why"]))
    data = {
        "artefacts": [
            {
                "name": s.name,
                "items": s.items,
                "fresh": len(s.state.fresh),
                "stale": dict(s.state.stale),
                "missing": list(s.state.missing),
                "failed": dict(s.state.failed),
                "extra": list(s.state.extra),
                "damaged": s.damaged,
                "note": s.note,
            }
            for s in statuses
        ],
        "runs": runs,
        "results": results,
    }
    empty = f"nothing in {session.workspace.root} yet"
    session.out.result(data, table(_COLUMNS, rows) if rows else empty)
    fresh = all(s.is_fresh for s in statuses) and all(r["fresh"] for r in (*runs, *results))
    if session.options["check"] and not (rows and fresh):
        raise typer.Exit(3)


def _verify(session: Session) -> None:
    from stages.train.health import verify_runs

    wanted = session.options["artefact"]
    artefacts = _artefacts(session.workspace, wanted)
    problems: dict[str, str] = {}
    files = 0
    with session.out.progress("verify") as tracker:
        for number, artefact in enumerate(artefacts):
            files += len(artefact.index.shards)
            found = verify(artefact.folder)
            problems.update({f"{artefact.name}/{k}": v for k, v in found.items()})
            tracker(number + 1, len(artefacts))
    if not wanted:
        count, broken = verify_runs(session.workspace)
        files += count
        problems.update(broken)
    _report(session, files, problems)


def _report(session: Session, files: int, problems: Mapping[str, str]) -> None:
    rows = sorted(problems.items())
    text = f"{files} files checked, {len(problems)} damaged"
    data: dict[str, Any] = {"files": files, "damaged": dict(rows)}
    session.out.result(data, "\n".join([*(f"{n}: {r}" for n, r in rows), text]))
    if problems:
        session.out.warn("make the artefact again: what is whole is kept, the rest is recomputed")
        raise typer.Exit(1)


def _artefacts(workspace: Workspace, wanted: str) -> list[Artefact]:
    """The artefacts to verify: the one that is named, or every folder that holds a manifest."""
    if wanted:
        stage, _, variant = wanted.rpartition("/")
        artefact = workspace.artefact(stage or variant, variant if stage else "default")
        if not artefact.folder.is_dir():
            raise InputError(f"no artefact {wanted}", "run: crossdim status")
        return [artefact]
    folders = sorted(p.parent.relative_to(workspace.root) for p in workspace.root.rglob(MANIFEST))
    return [workspace.artefact(f.parent.as_posix(), f.name) for f in folders]

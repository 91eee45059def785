"""status, verify: what is fresh, what is damaged, and why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import typer

from crossdim_cli.command import Session, add_command, argument, param
from crossdim_cli.output import table
from crossdim_cli.slices import ranges
from stages.errors import InputError, UsageError
from stages.store.fingerprint import safe_name
from stages.store.index import verify
from stages.store.manifest import MANIFEST
from stages.store.workspace import Artefact, Workspace

# Files with a digest of their own, and the format version since which they have one.
_SIGNED = ("results/*/*/summary.json", "viewpoints/*.json", "templates/*.json")
_SIGNED_SINCE = 2
_COLUMNS = ("artefact", "items", "fresh", "stale", "missing", "failed", "why")


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    check = param(
        "check", bool, False, "Exit with 3 unless everything is fresh.", flags=("--check",)
    )
    missing = param("missing", str, "", "List what this artefact, STAGE/VARIANT, still lacks.")
    slices = param("slices", int, 0, "With --missing: which slices of so many have work.", min=0)
    graph = param("graph", Literal["mermaid", "dot"] | None, None, "What came from what, instead.")
    add_command(
        app,
        "status",
        [check, missing, slices, graph],
        _status,
        help="Say what is fresh, stale, missing or failed, and why.",
        example="crossdim status --check",
    )
    add_command(
        app,
        "verify",
        [argument("artefact", str, "Only this artefact, as STAGE/VARIANT.", default="")],
        _verify,
        help="Read every file again and compare it with its digest.",
        example="crossdim verify voxels/res32",
    )


def _missing(session: Session, name: str, count: int) -> None:
    """What is still to be made of one artefact: items, or the slices of an array job."""
    from stages.engine.status import plan_again, slices_of

    artefact = named_artefact(session.workspace, name)
    plan = plan_again(session.workspace, artefact)
    todo = sorted(work.id for task in plan.tasks for work in task.work)
    data: dict[str, Any] = {"artefact": artefact.name, "todo": len(todo)}
    if artefact.index.key is None:
        session.out.note(f"{artefact.name} is not there yet: all {len(todo)} items are missing")
    if not count:
        session.out.result({**data, "items": todo}, "\n".join(todo))
        return
    numbers = slices_of(plan, count)
    text = ranges(numbers)
    session.out.result({**data, "count": count, "slices": numbers, "array": text}, text)


def _status(session: Session) -> None:
    if session.options["missing"]:
        _missing(session, session.options["missing"], session.options["slices"])
        return
    if session.options["slices"]:
        raise UsageError("--slices needs --missing STAGE/VARIANT", "run: crossdim status --help")
    if session.options["graph"]:
        _graph(session)
        return

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


def _graph(session: Session) -> None:
    """Artefacts, runs and results, and what was made of what."""
    from stages.report.graph import to_dot, to_mermaid, workspace_graph

    graph = workspace_graph(session.workspace)
    text = to_dot(graph) if session.options["graph"] == "dot" else to_mermaid(graph)
    nodes = [node.__dict__ for node in graph.nodes]
    session.out.result({"nodes": nodes, "edges": graph.edges, "graph": text}, text)


def _verify(session: Session) -> None:
    from stages.store.signed import damaged
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
        texts = [path for form in _SIGNED for path in session.workspace.root.glob(form)]
        files += count + len(texts)
        problems.update(broken)
        for path, why_not in damaged(texts, _SIGNED_SINCE).items():
            problems[path.relative_to(session.workspace.root).as_posix()] = why_not
    _report(session, files, problems)


def _report(session: Session, files: int, problems: Mapping[str, str]) -> None:
    rows = sorted(problems.items())
    text = f"{files} files checked, {len(problems)} damaged"
    data: dict[str, Any] = {"files": files, "damaged": dict(rows)}
    session.out.result(data, "\n".join([*(f"{n}: {r}" for n, r in rows), text]))
    if problems:
        session.out.warn("run: crossdim clean, then make the artefact again: what is whole is kept")
        raise typer.Exit(1)


def named_artefact(workspace: Workspace, name: str) -> Artefact:
    """The artefact STAGE/VARIANT, or STAGE alone for `default`, whether it is there or not.

    Raises UsageError for a name that leads out of the workspace.
    """
    for part in name.split("/"):
        safe_name(part, "artefact")
    stage, _, variant = name.rpartition("/")
    return workspace.artefact(stage or variant, variant if stage else "default")


def _artefacts(workspace: Workspace, wanted: str) -> list[Artefact]:
    """The artefacts to verify: the one that is named, or every folder that holds a manifest."""
    if wanted:
        artefact = named_artefact(workspace, wanted)
        if not artefact.folder.is_dir():
            raise InputError(f"no artefact {wanted}", "run: crossdim status")
        return [artefact]
    folders = sorted(p.parent.relative_to(workspace.root) for p in workspace.root.rglob(MANIFEST))
    return [workspace.artefact(f.parent.as_posix(), f.name) for f in folders]

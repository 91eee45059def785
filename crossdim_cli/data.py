"""The data stages: shapes generate | import | list, voxelize, render."""

from __future__ import annotations

import inspect
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import typer

from crossdim_cli.command import (
    CATEGORY,
    Session,
    add_command,
    argument,
    new_app,
    param,
    params_from,
    params_options,
    slice_of,
)
from crossdim_cli.output import table
from stages import registry
from stages.engine.plan import Plan, Selection, make_plan, wanted_from_inputs
from stages.engine.pools import Limits
from stages.engine.runner import Outcome, Progress, execute, in_slice
from stages.engine.sources import wanted_from_sources
from stages.engine.work import Work
from stages.errors import InputError
from stages.shapes import importing
from stages.stage import Stage
from stages.store.fingerprint import safe_name
from stages.store.workspace import category_of, select_categories

_SHOWN_FAILURES = 20


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    shapes = new_app("Bring shapes into the workspace, and list them.")
    app.add_typer(shapes, name="shapes")
    _register_generate(shapes)
    _register_import(shapes)
    add_command(
        shapes,
        "list",
        [CATEGORY],
        _list_shapes,
        help="List the shapes of the workspace: category, split, faces failed or cached.",
        example="crossdim shapes list --category chair",
    )
    for name, stage, help in (
        ("voxelize", registry.DERIVED["voxels"], "Turn shapes into occupancy grids."),
        (
            "render",
            registry.DERIVED["views"],
            "Render shapes: RGB, mask, depth and camera per view.",
        ),
    ):
        _register_derived(app, name, stage, help)


def _register_derived(app: typer.Typer, name: str, stage: Stage, help: str) -> None:
    def run(session: Session) -> None:
        params = params_from(stage.params, session.options)
        stage.check(params)
        sources = {"shapes": session.options["source"]} if session.options["source"] else {}
        selection = Selection(tuple(session.options["category"]), sources, session.options["limit"])
        wanted = wanted_from_inputs(
            stage, params, session.options["seed"], session.workspace, selection
        )
        run_stage(session, stage, params, stage.variant(params), wanted)

    source = param(
        "source", str | None, None, "Only the shapes of this source, as `shapes/SOURCE`."
    )
    limit = param("limit", int, 0, "Only the first so many of each category; 0 for all.", min=0)
    options = [*params_options(stage.params), CATEGORY, source, limit, *_engine_options()]
    add_command(app, name, options, run, help=help, example=f"crossdim {name} --jobs 4")


def _engine_options() -> list[inspect.Parameter]:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return [
        param("jobs", int, cores or 1, "Worker processes; 0 works in this one, unguarded.", min=0),
        param("item_seconds", float, 300.0, "Time limit of one item.", min=0.01),
        param("item_memory_gib", float, 4.0, "Memory limit of one worker.", min=0.1),
        param("seed", int, 0, "Seed of everything random.", min=0),
        param("slice", str, "", "Do part i of n, as `i/n`, or `auto` in a SLURM array job."),
        param(
            "retry_failed", bool, False, "Try items again that failed.", flags=("--retry-failed",)
        ),
        param("dry_run", bool, False, "Say what would be done.", flags=("--dry-run", "-n")),
    ]


def run_stage(
    session: Session,
    stage: Stage,
    params: Any,
    variant: str,
    wanted: Mapping[str, Work],
    source: dict[str, Any] | None = None,
) -> None:
    """Plan and run a stage, show what came of it; exit code 1 if any wanted item failed."""
    options = session.options
    artefact = session.workspace.artefact(stage.name, variant)
    plan = make_plan(stage, params, options["seed"], artefact, wanted, options["retry_failed"])
    part = slice_of(options["slice"])
    if part:
        plan = in_slice(plan, *part)
    if options["dry_run"]:
        _show_plan(session, plan)
        return
    limits = Limits(options["jobs"], options["item_seconds"], options["item_memory_gib"])
    with session.out.progress(artefact.name) as tracker:

        def show(progress: Progress) -> None:
            note = f"failed={progress.failed}" if progress.failed else ""
            tracker(progress.done, progress.total, note)

        outcome = execute(plan, stage, params, limits, show, source)
    failed = {**({} if options["retry_failed"] else plan.state.failed), **outcome.failures}
    _show_outcome(session, plan, outcome, failed)
    if failed:
        raise typer.Exit(1)


def _show_plan(session: Session, plan: Plan) -> None:
    state = plan.state
    reasons = {**dict.fromkeys(state.missing, "missing"), **state.stale}
    todo = {one.id: reasons.get(one.id, "failed before") for t in plan.tasks for one in t.work}
    counts: dict[str, int] = {}
    for reason in todo.values():
        counts[reason] = counts.get(reason, 0) + 1
    why = ", ".join(f"{n} {reason}" for reason, n in sorted(counts.items()))
    text = f"{plan.artefact.name}: would make {len(todo)} items" + (f" ({why})" if why else "")
    text += f", {len(state.fresh)} are fresh, {len(state.failed)} failed"
    session.out.result(
        {
            "artefact": plan.artefact.name,
            "todo": todo,
            "fresh": len(state.fresh),
            "failed": dict(state.failed),
        },
        text,
    )


def _show_outcome(
    session: Session, plan: Plan, outcome: Outcome, failed: Mapping[str, str]
) -> None:
    out = session.out
    for name, reason in sorted(outcome.damaged.items()):
        out.warn(f"healed {plan.artefact.name}/{name}: {reason}")
    for item in sorted(failed)[:_SHOWN_FAILURES]:
        out.warn(f"failed {item}: {failed[item]}")
    if len(failed) > _SHOWN_FAILURES:
        out.warn(f"... and {len(failed) - _SHOWN_FAILURES} more: crossdim status --json")
    if outcome.done:
        out.note(f"{outcome.seconds:.1f} s, {1000 * outcome.seconds / outcome.done:.0f} ms an item")
    fresh = len(plan.state.fresh)
    text = f"{plan.artefact.name}: {fresh + outcome.done} items, {outcome.done} made now"
    text += f", {fresh} were fresh, {len(failed)} failed"
    session.out.result(
        {
            "artefact": plan.artefact.name,
            "path": str(plan.artefact.folder),
            "items": fresh + outcome.done,
            "made": outcome.done,
            "fresh": fresh,
            "failed": dict(sorted(failed.items())),
        },
        text,
    )


def _register_generate(app: typer.Typer) -> None:
    from stages.shapes.generate import CATEGORIES

    stage = registry.SOURCES["generate"]

    def run(session: Session) -> None:
        options = session.options
        everything = [
            f"{category}/generated-{number:04d}"
            for category in CATEGORIES
            for number in range(options["count"])
        ]
        ids = select_categories(everything, tuple(options["category"]))
        params = params_from(stage.params, options)
        wanted = wanted_from_sources(stage, params, options["seed"], {i: {} for i in ids})
        variant = stage.variant(params) + (f"-seed{options['seed']}" if options["seed"] else "")
        run_stage(session, stage, params, variant, wanted, {"kind": "generate"})

    count = param("count", int, 40, "Shapes of each category.", min=1, max=9999)
    add_command(
        app,
        "generate",
        [count, *params_options(stage.params), CATEGORY, *_engine_options()],
        run,
        help="Make parametric CAD shapes with materials and named keypoints.",
        example="crossdim shapes generate --category chair --count 100",
    )


def _register_import(app: typer.Typer) -> None:
    stage = registry.SOURCES["import"]

    def run(session: Session) -> None:
        options = session.options
        path = Path(options["path"])
        sources, root = importing.list_sources(options["format"], path)
        limit = options["limit"]
        ids = select_categories(sources, tuple(options["category"]))
        if limit:
            seen: dict[tuple[str, str], int] = {}
            ids = [i for i in ids if _count(seen, (category_of(i), sources[i]["split"])) <= limit]
        params = params_from(stage.params, options)
        wanted = wanted_from_sources(
            stage, params, 0, importing.with_digests({i: sources[i] for i in ids})
        )
        name = safe_name(options["name"] or root.name, "source name")
        suffix = stage.variant(params).removeprefix("imported")
        origin = {"kind": "import", "format": options["format"], "path": str(path.resolve())}
        run_stage(session, stage, params, name + suffix, wanted, origin)

    options = [
        argument("path", Path, "Folder with the data set, or its CSV file."),
        param("format", Literal[tuple(importing.FORMATS)], "manifest", "Layout of the data set."),
        param("name", str, "", "Name of the source in the workspace. Default: the folder's."),
        param("limit", int, 0, "Only the first so many of each category and split.", min=0),
    ]
    add_command(
        app,
        "import",
        [*options, *params_options(stage.params), CATEGORY, *_engine_options()],
        run,
        help="Parse meshes once, into the canonical frame, with materials and textures.",
        example="crossdim shapes import DIR --format manifest",
    )


def _count(seen: dict[tuple[str, str], int], key: tuple[str, str]) -> int:
    seen[key] = seen.get(key, 0) + 1
    return seen[key]


def _list_shapes(session: Session) -> None:
    rows = []
    entries = {}
    for artefact in session.workspace.artefacts("shapes"):
        for item, entry in artefact.index.entries.items():
            entries[item] = (artefact.variant, entry)
    if not entries:
        raise InputError(
            f"no shapes in {session.workspace.root}",
            "run: crossdim shapes generate   (or: crossdim shapes import PATH)",
        )
    for item in select_categories(entries, tuple(session.options["category"])):
        source, entry = entries[item]
        state = f"failed: {entry.reason}" if entry.reason else "cached"
        rows.append(
            (item, source, entry.labels.get("split", ""), entry.labels.get("family", ""), state)
        )
    columns = ("shape", "source", "split", "family", "state")
    data = [dict(zip(columns, row)) for row in rows]
    session.out.result({"shapes": data}, table(columns, rows))

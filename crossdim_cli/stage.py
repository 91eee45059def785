"""What the commands of all data stages share: their options, a plan, a run, and what came of it."""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import typer

from crossdim_cli.command import (
    CATEGORY,
    Session,
    add_command,
    argument,
    param,
    params_from,
    params_options,
)
from crossdim_cli.slices import slice_of
from stages import registry
from stages.engine.plan import Plan, Planner, Request, Selection, wanted_from_inputs
from stages.engine.pools import Limits
from stages.engine.ray_cluster import require_ray
from stages.engine.runner import Outcome, Progress, execute
from stages.engine.sources import select, wanted_from_sources, with_digests
from stages.engine.work import Work
from stages.stage import Stage
from stages.store.fingerprint import safe_name

_SHOWN_FAILURES = 20
_PRESET = "preset"
# Of all ids that are wanted, those that this command has to look at: its slice.
Narrow: TypeAlias = Callable[[list[str]], list[str]]


def add_derived(app: typer.Typer, command: str, stage: Stage, help: str) -> None:
    """Add the command of a stage whose items are those of its inputs."""

    def run(session: Session) -> None:
        options = session.options
        base = stage.presets[options[_PRESET]] if options.get(_PRESET) else stage.params()
        params = params_from(stage.params, options, base)
        stage.check(params)
        sources = {"shapes": options["source"]} if options["source"] else {}
        selection = Selection(tuple(options["category"]), sources, options["limit"])

        def wanted(narrow: Narrow) -> dict[str, Work]:
            seed, workspace = options["seed"], session.workspace
            return wanted_from_inputs(stage, params, seed, workspace, selection, narrow)

        variant = options["name"] or stage.variant(params)
        run_stage(session, stage, params, variant, wanted, Request(selection))

    source = param(
        "source", str | None, None, "Only the shapes of this source, as `shapes/SOURCE`."
    )
    limit = param("limit", int, 0, "Only the first so many of each category; 0 for all.", min=0)
    name = param("name", str, "", "Name of the artefact. Default: what differs from the defaults.")
    own = params_options(stage.params)
    if stage.presets:  # options that are not given leave the preset's values
        own = params_options(stage.params, optional=True, shown=stage.params())
        kind: Any = Literal[tuple(stage.presets)] | None
        own.insert(0, param(_PRESET, kind, None, "Options that belong together; flags win."))
    options = [*own, CATEGORY, source, limit, name, *engine_options()]
    add_command(app, command, options, run, help=help, example=f"{stage.command} --jobs 4")


_AUTO = "auto"


@dataclass(frozen=True)
class ImportOptions:
    """What one kind of import has beyond the options of all.

    `origin` gives what the manifest keeps of `parameters`, to list the sources again; `category`
    the category that a word of `--category` means; `find` tells the layout of what `--format auto`
    is asked for, `told` what was made of it, for people.
    """

    parameters: tuple[inspect.Parameter, ...] = ()
    origin: Callable[[Mapping[str, Any]], dict[str, Any]] = lambda options: {}
    category: Callable[[str], str] = lambda word: word
    find: Callable[[Path], str] | None = None
    told: Callable[[Mapping[str, Any]], str] = lambda sources: ""


def add_import(
    app: typer.Typer,
    kind: str,
    formats: tuple[str, ...],
    help: str,
    example: str,
    more: ImportOptions = ImportOptions(),
) -> None:
    """Add the command `import` of a stage that reads files of others."""
    stage = registry.SOURCES[kind]
    assert stage.list_sources is not None

    def run(session: Session) -> None:
        options = session.options
        path = Path(options["path"])
        params = params_from(stage.params, options)
        stage.check(params)
        found = more.find(path) if more.find and options["format"] == _AUTO else options["format"]
        origin = {"kind": kind, "format": found, "path": str(path.resolve())}
        origin.update(more.origin(options))
        sources = stage.list_sources(origin)  # type: ignore[misc]
        categories = tuple(more.category(word) for word in options["category"])
        selection = Selection(categories, limit=options["limit"])
        ids = select(sources, selection)

        def wanted(narrow: Narrow) -> dict[str, Work]:
            chosen = with_digests(stage, {i: sources[i] for i in narrow(ids)})
            return wanted_from_sources(stage, params, 0, chosen)

        suffix = stage.variant(params).removeprefix("imported")
        name = safe_name(options["name"] or _source_name(path), "source name") + suffix
        if options["format"] == _AUTO:
            read_as = ", ".join(filter(None, (f"read as {found}", more.told(sources))))
            session.out.note(f"{read_as}; --format and its options say otherwise")
        run_stage(session, stage, params, name, wanted, Request(selection, origin))

    formats = (_AUTO, *formats) if more.find else formats
    layout = "Layout of the data set" + ("; auto: told by its files." if more.find else ".")
    options = [
        argument("path", Path, "What to import: a folder or a file."),
        param("format", Literal[formats], formats[0], layout),
        param("name", str, "", "Name of the source in the workspace. Default: the folder's."),
        param("limit", int, 0, "Only the first so many of each category and split.", min=0),
        *more.parameters,
        *params_options(stage.params),
    ]
    options = [*options, CATEGORY, *engine_options()]
    add_command(app, "import", options, run, help=help, example=example)


def _source_name(path: Path) -> str:
    """What a data set is called: its folder, the folder of its table, or its file."""
    path = path.resolve()
    name = path.stem
    if path.is_dir():
        name = path.name
    elif path.suffix.lower() == ".csv":
        name = path.parent.name
    return re.sub(r"[^A-Za-z0-9._-]", "-", name)  # as in PASCAL3D+


def engine_options() -> list[inspect.Parameter]:
    """Options of everything that runs items: where, how many, within which limits."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return [
        param("jobs", int, cores or 1, "Worker processes; 0 works in this one, unguarded.", min=0),
        param("item_seconds", float, 300.0, "Time limit of one item.", min=0.01),
        param("item_memory_gib", float, 4.0, "Memory limit of one worker.", min=0.1),
        param("ray", str, "", "Work on a Ray cluster: its HOST:PORT, `auto`, or `local`."),
        param("seed", int, 0, "Seed of everything random.", min=0),
        param("slice", str, "", "Do part i of n: `i/n`, `auto/n` or `auto` in an array job."),
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
    wanted: Callable[[Narrow], Mapping[str, Work]],
    request: Request,
) -> None:
    """Plan and run a stage, show what came of it; exit code 1 if any wanted item failed.

    `wanted` gives the work on the ids that its argument leaves of all.
    """
    options = session.options
    artefact = session.workspace.artefact(stage.name, variant)
    part = slice_of(options["slice"])
    planner = Planner(stage, params, options["seed"], artefact)
    work = wanted(lambda ids: planner.narrow(ids, part))
    plan = planner.plan(work, options["retry_failed"])
    if options["dry_run"]:
        _show_plan(session, plan)
        return
    limits = Limits(
        options["jobs"], options["item_seconds"], options["item_memory_gib"], options["ray"]
    )
    if limits.ray:
        require_ray(limits.ray)  # before anything is written
    with session.out.progress(artefact.name) as tracker:

        def show(progress: Progress) -> None:
            note = f"failed={progress.failed}" if progress.failed else ""
            tracker(progress.done, progress.total, note)

        outcome = execute(plan, stage, params, limits, show, request)
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

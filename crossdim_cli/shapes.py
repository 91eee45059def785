"""shapes generate | import | list."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import typer

from crossdim_cli.command import (
    CATEGORY,
    Session,
    add_command,
    new_app,
    param,
    params_from,
    params_options,
)
from crossdim_cli.output import table
from crossdim_cli.stage import ImportOptions, Narrow, add_import, engine_options, run_stage
from stages import registry
from stages.engine.plan import Request, Selection
from stages.engine.sources import select, wanted_from_sources
from stages.engine.work import Work
from stages.errors import InputError
from stages.geometry.frames import AXES
from stages.shapes import importing
from stages.store.workspace import Artefact, select_categories

_NOTES_SINCE = 2  # version of the stages that bring shapes in


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    shapes = new_app("Bring shapes into the workspace, and list them.")
    app.add_typer(shapes, name="shapes")
    _register_generate(shapes)
    add_import(
        shapes,
        "import",
        tuple(importing.FORMATS),
        help="Parse meshes once, into the canonical frame, with materials and textures.",
        example="crossdim shapes import ShapeNetCore.v1 --format shapenet --category chair",
        more=_import_options(),
    )
    add_command(
        shapes,
        "list",
        [CATEGORY, param("notes", bool, False, "Show what was noted.", flags=("--notes",))],
        _list_shapes,
        help="List the shapes of the workspace: source, split, family, failed or cached.",
        example="crossdim shapes list --category chair",
    )


def _import_options() -> ImportOptions:
    from stages.shapes.importing.layout import axes_told, find_layout
    from stages.shapes.importing.shapenet import category_names

    axis: Any = Literal[AXES] | None
    names = ("up", "front", "split_file", "split_seed")

    def origin(options: Mapping[str, Any]) -> dict[str, Any]:
        given = {name: options[name] for name in names if options[name] is not None}
        if "split_file" in given:
            given["split_file"] = str(given["split_file"].resolve())
        return given

    return ImportOptions(
        (
            param("up", axis, None, "Up axis of the files. Default: the layout's."),
            param("front", axis, None, "Axis that the fronts face. Default: the layout's."),
            param(
                "split_file",
                Path | None,
                None,
                "A paper's split: a CSV, or a folder of lists of ids. Others are left out.",
            ),
            param("split_seed", int | None, None, "Deal out splits by family.", min=0),
        ),
        origin,
        lambda word: category_names().get(word, word),
        find_layout,
        axes_told,
    )


def _register_generate(app: typer.Typer) -> None:
    from stages.shapes.generate import MOST, list_sources

    stage = registry.SOURCES["generate"]

    def run(session: Session) -> None:
        options = session.options
        origin = {"kind": "generate"}
        selection = Selection(tuple(options["category"]), limit=options["count"])
        ids = select(list_sources(origin), selection)
        params = params_from(stage.params, options)

        def wanted(narrow: Narrow) -> dict[str, Work]:
            chosen: dict[str, dict[str, Any]] = {item: {} for item in narrow(ids)}
            return wanted_from_sources(stage, params, options["seed"], chosen)

        variant = stage.variant(params) + (f"-seed{options['seed']}" if options["seed"] else "")
        run_stage(session, stage, params, variant, wanted, Request(selection, origin))

    count = param("count", int, 40, "Shapes of each category.", min=1, max=MOST)
    add_command(
        app,
        "generate",
        [count, *params_options(stage.params), CATEGORY, *engine_options()],
        run,
        help="Make parametric CAD shapes with materials and named keypoints.",
        example="crossdim shapes generate --category chair --count 100",
    )


def _list_shapes(session: Session) -> None:
    entries = {
        item: (artefact, entry)
        for artefact in session.workspace.artefacts("shapes")
        for item, entry in artefact.index.entries.items()
    }
    if not entries:
        raise InputError(
            f"no shapes in {session.workspace.root}",
            "run: crossdim shapes generate   (or: crossdim shapes import PATH)",
        )
    columns = ["shape", "source", "split", "family", "state"]
    columns += ["notes"] if session.options["notes"] else []
    rows = []
    for item in select_categories(entries, tuple(session.options["category"])):
        artefact, entry = entries[item]
        state = f"failed: {entry.reason}" if entry.reason else "cached"
        labels = (entry.labels.get("split", ""), entry.labels.get("family", ""))
        row = [item, artefact.variant, *labels, state]
        if session.options["notes"]:
            row.append("" if entry.reason else _notes(artefact, item))
        rows.append(row)
    data = [dict(zip(columns, row)) for row in rows]
    session.out.result({"shapes": data}, table(columns, rows))


def _notes(artefact: Artefact, item: str) -> str:
    """What was noted of a shape; nothing where it was made before there were notes."""
    shard = artefact.index.shards[artefact.index.entries[item].shard]
    if shard.stage_version < _NOTES_SINCE:
        return ""
    notes = artefact.read(item, ("notes",))["notes"]
    return "; ".join(note.decode() for note in notes)

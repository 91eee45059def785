"""shapes generate | import | list."""

from __future__ import annotations

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
from crossdim_cli.stage import add_import, engine_options, run_stage
from stages import registry
from stages.engine.sources import wanted_from_sources
from stages.errors import InputError
from stages.shapes import importing
from stages.store.workspace import select_categories


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
        example="crossdim shapes import DIR --format manifest",
    )
    add_command(
        shapes,
        "list",
        [CATEGORY],
        _list_shapes,
        help="List the shapes of the workspace: category, split, faces failed or cached.",
        example="crossdim shapes list --category chair",
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
        [count, *params_options(stage.params), CATEGORY, *engine_options()],
        run,
        help="Make parametric CAD shapes with materials and named keypoints.",
        example="crossdim shapes generate --category chair --count 100",
    )


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

"""viewpoints import | fit | list."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import typer

from crossdim_cli.command import CATEGORY, Session, add_command, new_app, param
from crossdim_cli.output import table
from crossdim_cli.stage import add_import
from stages.errors import UsageError
from stages.store.commit import commit_bytes, make_folder
from stages.viewpoints.annotations import FLAGS
from stages.viewpoints.bandwidth import RULES
from stages.viewpoints.layouts import FORMATS

_COLUMNS = (
    *("set", "category", "n", "azimuth", "elevation", "in-plane", "distance"),
    *("bandwidths", "rule", "outliers", "from"),
)


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    viewpoints = new_app("Where real pictures are taken from: import, fit and list viewpoints.")
    app.add_typer(viewpoints, name="viewpoints")
    add_import(
        viewpoints,
        "viewpoints",
        tuple(FORMATS),
        help="Read the viewpoint annotations of a data set of real pictures.",
        example="crossdim viewpoints import PASCAL3D+_release1.1 --format pascal3d",
    )
    add_command(
        viewpoints,
        "fit",
        _fit_options(),
        _fit,
        help="Fit a density (KDE) to annotated viewpoints, a table for each category.",
        example="crossdim viewpoints fit --category car --from cars.csv --name cars",
    )
    add_command(
        viewpoints,
        "list",
        [CATEGORY],
        _list,
        help="List the fitted sets: those of the workspace, and those that come with crossdim.",
        example="crossdim viewpoints list --category car",
    )


def _fit_options() -> list[Any]:
    rules: Any = Literal[RULES]
    wide = "Bandwidth in {}, instead of the rule's."
    return [
        param("annotations", list[str], [], "Imported annotations; may be repeated. Default: all."),
        param("tables", list[Path], [], "CSV file, instead of imported ones.", flags=("--from",)),
        CATEGORY,
        param("split", list[str], [], "Only this split of them; may be repeated. Default: all."),
        param("skip", list[str], [], f"Leave out objects marked {', '.join(FLAGS)}."),
        param("rule", rules, RULES[0], "How bandwidths are chosen."),
        *(
            param(f"{axis}_deg", float | None, None, wide.format(axis), min=0, max=180)
            for axis in ("azimuth", "elevation", "inplane")
        ),
        param("outliers", float, 0.0, "Share of viewpoints unlike these.", min=0, max=1),
        param("name", str, "fitted", "Name of the set in the workspace."),
    ]


def _fit(session: Session) -> None:
    from stages.viewpoints import sources
    from stages.viewpoints.fitted import path_in, set_of, to_bytes
    from stages.viewpoints.fitting import Fit, fit_tables

    options = session.options
    if options["tables"] and options["annotations"]:
        raise UsageError("--from and --annotations exclude each other", "import the CSV file, too")
    path = path_in(session.workspace, options["name"])
    make_folder(path.parent)
    if options["tables"]:
        found = sources.from_tables(options["tables"])
    else:
        found = sources.from_artefacts(session.workspace, options["annotations"])
    unknown = set(options["skip"]) - set(FLAGS)
    if unknown:
        raise UsageError(f"--skip {unknown.pop()} is unknown", f"use one of {', '.join(FLAGS)}")
    skipped = sum(FLAGS[flag] for flag in set(options["skip"]))
    chosen = sources.viewpoints(found, options["category"], options["split"], skipped)
    axes = (options[f"{axis}_deg"] for axis in ("azimuth", "elevation", "inplane"))
    tables = fit_tables(chosen, Fit(options["rule"], options["outliers"], *axes))
    made = set_of(options["name"], tables, [source.described() for source in found])
    commit_bytes(path, to_bytes(made))
    rows = _rows(options["name"], tables, "workspace")
    data = {"path": str(path), "sources": made["sources"], "viewpoints": rows}
    session.out.result(data, f"{table(_COLUMNS, [_line(row) for row in rows])}\n{path}")


def _list(session: Session) -> None:
    from stages.viewpoints.categories import canonical
    from stages.viewpoints.fitted import is_own, load, names_of

    wanted = {canonical(category) for category in session.options["category"]}
    rows: list[dict[str, Any]] = []
    for name in names_of(session.workspace):
        tables = load(name, session.workspace)["categories"]
        place = "workspace" if is_own(name, session.workspace) else "crossdim"
        rows += _rows(name, {k: v for k, v in tables.items() if not wanted or k in wanted}, place)
    if not rows:
        raise UsageError(f"no viewpoints of {', '.join(sorted(wanted))}", "leave out --category")
    text = table(_COLUMNS, [_line(row) for row in rows])
    session.out.result({"viewpoints": rows}, text)


def _rows(name: str, tables: Mapping[str, Any], place: str) -> list[dict[str, Any]]:
    """What is to be said of each category of a set."""
    from stages.viewpoints.fitted import summary

    head = {"set": name, "from": place}
    return [{**head, "category": k, **summary(one)} for k, one in sorted(tables.items())]


def _line(row: Mapping[str, Any]) -> tuple[Any, ...]:
    medians = [row["median"][axis] for axis in ("azimuth_deg", "elevation_deg", "inplane_deg")]
    widths = " ".join(f"{width:.1f}" for width in row["bandwidth_deg"])
    last = (row["median"]["distance"], widths, row["rule"], row["outliers"], row["from"])
    return (row["set"], row["category"], row["n"], *medians, *last)

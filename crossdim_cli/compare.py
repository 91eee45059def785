"""compare: every trained system on the same test views, in common currencies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from crossdim_cli.command import Session, add_command, param
from crossdim_cli.evaluate import DEVICES
from crossdim_cli.output import table
from stages.errors import UsageError


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    add_command(
        app,
        "compare",
        [
            param("category", str, "airplane", "Whose test shapes."),
            param("views", str | None, None, "Set of views. Default: `compare`, or the only one."),
            param("run", list[str], [], "SYSTEM/RUN, repeatable. Default: the newest of each."),
            param(
                "shipped",
                bool,
                False,
                "Of systems without a run take the weights that come with crossdim.",
                flags=("--shipped",),
            ),
            *DEVICES,
            param("csv", Path | None, None, "Write the table as CSV, too."),
            param(
                "output", Path | None, None, "Draw the answers: a PNG.", flags=("--output", "-o")
            ),
            param("shapes", int, 6, "How many test shapes are drawn.", min=1, max=50),
        ],
        _compare,
        help="Compare all trained systems, and trivial answers, on the same test views.",
        example="crossdim compare --category airplane --csv compare.csv -o compare.png",
    )


def _compare(session: Session) -> None:
    from stages.evaluate.compared_field import choose_field
    from stages.evaluate.compared_protocol import compare
    from stages.evaluate.contenders import choose_contenders
    from stages.evaluate.tables import to_csv
    from stages.store.commit import commit_bytes
    from stages.train.device import choose_device

    options, workspace = session.options, session.workspace
    if options["output"] and options["output"].suffix.lower() != ".png":
        raise UsageError(f"cannot draw {options['output'].name}", "use a name in .png")
    category = options["category"]
    device = str(choose_device(options["device"], options["gpu"]))
    contenders, missing = choose_contenders(workspace, category, options["run"], options["shipped"])
    on = choose_field(workspace, category, options["views"], contenders)
    with session.out.progress("compare") as tracker:
        found = compare(
            workspace,
            on,
            contenders,
            missing,
            device,
            lambda label, p: tracker(p.done, p.total, label),
        )
    if options["csv"]:
        commit_bytes(options["csv"], to_csv([found.table]).encode())
    if options["output"]:
        from stages.export.comparison import comparison_sheet

        commit_bytes(options["output"], comparison_sheet(workspace, found, options["shapes"]))
    session.out.result(found.summary(), _text(found))


def _text(found: Any) -> str:
    """The table in its parts, then what is missing and why."""
    from stages.evaluate.compared_table import parts, unsaid

    summary, rows = found.summary(), found.table.rows
    counts = ", ".join(f"{count} {split}" for split, count in summary["shapes"].items())
    on = f"{summary['views']} and {summary['voxels']}"
    lines = [f"{summary['category']} on {on}: {counts} shapes"]
    if found.field.excluded:
        lines.append(f"{len(found.field.excluded)} test shapes were learned from, and left out:")
        lines += [f"  {item}: {who}" for item, who in found.field.excluded.items()]
    for part in parts(rows):
        columns = (part.title, *(column.name for column in part.columns))
        lines += ["", table(columns, [(label, *values) for label, values in part.rows])]
    why = [line for label, reasons in found.reasons.items() for line in unsaid(label, reasons)]
    lines += ["", *why] if why else []
    lines += [f"not trained: {system}; run: {command}" for system, command in found.missing.items()]
    return "\n".join(lines)

"""backgrounds import."""

from __future__ import annotations

import typer

from crossdim_cli.command import new_app
from crossdim_cli.stage import add_import


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    backgrounds = new_app("Bring pictures into the workspace, to render shapes in front of.")
    app.add_typer(backgrounds, name="backgrounds")
    add_import(
        backgrounds,
        "backgrounds",
        ("folder",),
        help="Cut every picture of a folder to a square.",
        example="crossdim backgrounds import DIR --name sun",
    )

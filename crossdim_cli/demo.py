"""demo: the whole pipeline on generated shapes, each step shown as the command that does it."""

from __future__ import annotations

import sys

import typer

from crossdim_cli.command import Session, add_command, param

SHAPES = 48  # of each of two categories
CATEGORIES = ("chair", "airplane")


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    options = [
        param("steps", int, 0, "Training steps; 0 for those of the preset.", min=0),
        param("count", int, SHAPES, "Shapes of each category.", min=8),
    ]
    add_command(
        app,
        "demo",
        options,
        _demo,
        help="Generate, voxelize, render, train, evaluate, export: minutes on a laptop's CPU.",
        example="crossdim demo --workspace crossdim-demo",
    )


def _demo(session: Session) -> None:
    """Run every step in this process; an error in one ends the demo with its exit code."""
    from crossdim_cli.main import run

    root = session.workspace.root
    pictures, mesh, page = root / "pictures.png", root / "prediction.obj", root / "report.html"
    train = ["train", "pose-aware", "--preset", "tiny", "--name", "demo", "--threads", "1"]
    if session.options["steps"]:
        train += ["--steps", str(session.options["steps"])]
    chosen = [word for category in CATEGORIES for word in ("--category", category)]
    steps = [
        ["shapes", "generate", "--count", str(session.options["count"]), *chosen],
        ["voxelize", "--res", "32", "--retry-failed"],
        ["render", "--size", "64", "--retry-failed"],
        train,
        ["eval", "reconstruction", "--run", "demo"],
        ["export", "mesh", str(mesh), "--run", "demo"],
        ["plot", "reconstruction", "--run", "demo", "--output", str(pictures)],
        ["report", "--output", str(page)],
        ["status"],
    ]
    for step in steps:
        sys.stdout.write(f"\n$ crossdim {' '.join(step)}\n")
        sys.stdout.flush()
        code = run([*step, "--workspace", str(root), *(["--quiet"] if session.out.quiet else [])])
        if code:
            raise typer.Exit(code)
    text = f"\npictures: {pictures}\nmesh:     {mesh}\nreport:   {page}"
    found = {"pictures": str(pictures), "mesh": str(mesh), "report": str(page)}
    session.out.result(found, text)

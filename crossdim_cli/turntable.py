"""export turntable: a shape, a prediction or a mesh file that turns."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import typer

from crossdim_cli.command import Session, add_command, argument, param
from crossdim_cli.predict import mesh_options

Choose = Callable[[Session], tuple[str, Any]]


def register_turntable(
    exports: typer.Typer, choice: Sequence[inspect.Parameter], choose: Choose
) -> None:
    """Add `export turntable`; `choice` are the options that `choose` takes a mesh by."""
    what = Literal["shape", "prediction", "truth"]
    options = {one.name: one for one in choice}
    options["what"] = param("what", what, "shape", "What to turn.")
    add_command(
        exports,
        "turntable",
        [
            argument("path", Path, "File to write: .gif, .webp, or .mp4 where ffmpeg is."),
            param("frames", int, 36, "Pictures of a full turn.", min=2, max=720),
            param("elevation_deg", float, 25.0, "How far above.", min=-90.0, max=90.0),
            param("size", int, 256, "Pixels a side.", min=16, max=2048),
            param("seconds", float, 3.0, "How long a full turn takes.", min=0.1, max=600.0),
            param("grey", int, 255, "Level of the background.", min=0, max=255),
            *mesh_options("instead of one of the workspace")[:3],
            *options.values(),
        ],
        functools.partial(_turntable, choose=choose),
        help="A shape, a prediction or a mesh file on a turntable: GIF, WebP, MP4.",
        example="crossdim export turntable chair.webp --shape chair/generated-0003",
    )


def _turntable(session: Session, choose: Choose) -> None:
    from stages.export.meshes import read_mesh
    from stages.export.turntable import Turn, check, turntable, turntable_bytes
    from stages.store.commit import commit_bytes

    options = session.options
    path = options["path"]
    turn = Turn(*(options[name] for name in ("frames", "elevation_deg", "size", "seconds", "grey")))
    check(path, turn)
    if options["mesh"]:
        item = options["mesh"].name
        mesh = read_mesh(options["mesh"], options["up"], options["front"])
    else:
        item, mesh = choose(session)
    commit_bytes(path, turntable_bytes(turntable(mesh, turn), path.suffix, turn.seconds))
    data = {"path": str(path), "shape": item, "frames": turn.frames, "size": turn.size}
    session.out.result(data, f"{path}: {item}, {turn.frames} frames of {turn.size} pixels")

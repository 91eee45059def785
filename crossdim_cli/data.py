"""The stages that make something of every shape: voxelize, render, ..."""

from __future__ import annotations

import typer

from crossdim_cli.stage import add_derived
from stages.registry import DERIVED


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    for stage, help in (
        ("voxels", "Turn shapes into occupancy grids."),
        ("views", "Render shapes: RGB, mask, depth and camera per view."),
        ("depths", "Orthographic depth maps at fixed and at random views."),
        ("spheres", "Sphere maps: ray lengths in all directions from the centre."),
        ("landmarks", "Where named keypoints are in the views, and which are hidden."),
    ):
        command = DERIVED[stage].command.removeprefix("crossdim ")
        add_derived(app, command, DERIVED[stage], help)

"""export: shapes, predictions and networks as files for other programs."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any, Literal

import typer

from crossdim_cli.clouds import Systems, cloud_grid, cloud_options, register_points
from crossdim_cli.codes import register_codes
from crossdim_cli.command import Session, add_command, argument, new_app, param
from crossdim_cli.evaluate import ONE_CATEGORY, RUN, SYSTEM
from crossdim_cli.skeleton_pictures import register_skeleton
from crossdim_cli.turntable import register_turntable
from crossdim_cli.weights import register_packing
from stages.errors import CrossdimError, ItemError

What = Literal["prediction", "truth", "shape"]


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    exports = new_app("Write shapes and predictions for other programs.")
    app.add_typer(exports, name="export")
    mesh_help = "Write a mesh: .obj, .ply, .glb or .stl; voxels become one by marching cubes."
    voxel_help = "Write voxels: .binvox, or .npz with voxels, origin and extent."
    for name, help, example in (
        ("mesh", mesh_help, "crossdim export mesh chair.obj --shape chair/generated-0003"),
        ("voxels", voxel_help, "crossdim export voxels chair.binvox --what truth --shape chair/a"),
    ):
        options = [argument("path", Path, "File to write."), *_choice(name)]
        run = _mesh if name == "mesh" else _voxels
        add_command(exports, name, options, run, help=help, example=example)
    register_turntable(exports, _choice("mesh"), _chosen_mesh)
    register_points(exports)
    register_packing(exports)
    register_codes(exports)
    register_skeleton(exports)


def _choice(name: str) -> list[inspect.Parameter]:
    kinds: Any = What if name == "mesh" else Literal["prediction", "truth"]
    return [
        param("system", Systems, SYSTEM, "Whose prediction; clouds become surfaces and voxels."),
        param("what", kinds, "prediction", "What to write."),
        param("shape", str | None, None, "Id of the shape. Default: the first test shape."),
        param("view", int, 0, "Number of the view that was looked at.", min=0),
        param("voxels", str | None, None, "Variant of the voxels, for --what truth."),
        *cloud_options(name),
        RUN,
        ONE_CATEGORY,
    ]


def _mesh(session: Session) -> None:
    from stages.export.files import check_suffix, mesh_bytes
    from stages.store.commit import commit_bytes

    path = session.options["path"]
    check_suffix(path, "mesh")
    item, mesh = _chosen_mesh(session)
    commit_bytes(path, mesh_bytes(mesh, path.suffix))
    text = f"{path}: {item}, {len(mesh.vertices)} vertices, {len(mesh.faces)} faces"
    data = {
        "path": str(path),
        "shape": item,
        "vertices": len(mesh.vertices),
        "faces": len(mesh.faces),
    }
    session.out.result(data, text)


def _chosen_mesh(session: Session) -> tuple[str, Any]:
    """Id and mesh of a cached shape, or of the surface of what was told of one."""
    from stages.export.choose import cached_mesh
    from stages.geometry.voxels import to_mesh

    if session.options["what"] == "shape":
        return cached_mesh(session.workspace, session.options["shape"])
    item, grid = _grid(session)
    try:
        return item, to_mesh(grid.values, grid.origin, grid.extent, grid.threshold)
    except ItemError as error:
        raise CrossdimError(f"{item} has {error}", "choose another --view or run") from None


def _voxels(session: Session) -> None:
    from stages.export.files import check_suffix, voxel_bytes
    from stages.store.commit import commit_bytes

    path = session.options["path"]
    check_suffix(path, "voxels")
    item, grid = _grid(session)
    commit_bytes(path, voxel_bytes(grid, path.suffix))
    filled = int((grid.values >= grid.threshold).sum())
    text = f"{path}: {item}, {len(grid.values)}^3, {filled} filled"
    session.out.result(
        {"path": str(path), "shape": item, "res": len(grid.values), "filled": filled}, text
    )


def _grid(session: Session) -> Any:
    from stages.export.choose import predicted_grid, true_grid
    from stages.train.run import find_run

    options = session.options
    if options["system"] != SYSTEM:
        return cloud_grid(session)
    if options["what"] == "truth":
        return true_grid(session.workspace, options["shape"], options["voxels"])
    run = find_run(session.workspace.root, SYSTEM, options["run"], options["category"])
    return predicted_grid(session.workspace, run, options["shape"], options["view"])

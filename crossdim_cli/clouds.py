"""What export and plot do with point clouds."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any, Literal

import typer

from crossdim_cli.command import Session, add_command, argument, param
from crossdim_cli.evaluate import DEVICES, ONE_CATEGORY, RUN, run_of

CLOUDS = "structure-generator"
Systems = Literal["pose-aware", "structure-generator"]


def register_points(exports: typer.Typer) -> None:
    """Add `export points`."""
    options = [
        argument("path", Path, "File to write."),
        param(
            "what",
            Literal["prediction", "truth", "surface"],
            "prediction",
            "What a run told; the fused true depth maps; points uniform over the mesh.",
        ),
        param("shape", str | None, None, "Id of the shape. Default: the first test shape."),
        param("view", int, 0, "Number of the view that was looked at.", min=0),
        param("depths", str | None, None, "Variant of the depths, for --what truth."),
        param("count", int, 10_000, "Points on the mesh, for --what surface.", min=1, max=10**7),
        param("seed", int, 0, "Seed of those points.", min=0),
        RUN,
        ONE_CATEGORY,
    ]
    add_command(
        exports,
        "points",
        options,
        _points,
        help="Write a point cloud: .ply, .npz, .pcd or .xyz.",
        example="crossdim export points chair.ply --category chair --view 3",
    )


def register_cloud_plots(plots: typer.Typer, output: Any) -> None:
    """Add `plot depths` and `plot interpolation`."""
    add_command(
        plots,
        "depths",
        [
            *(RUN, ONE_CATEGORY),
            param("shapes", int, 6, "How many test shapes.", min=1, max=50),
            param("sides", int, 3, "From how many novel sides.", min=1, max=20),
            output,
        ],
        _plot_depths,
        help="Depth from novel sides: true, and as clouds that were told of pictures show it.",
        example="crossdim plot depths --category chair --sides 4 -o depths.png",
    )
    shapes = "Id of a test shape, two for a row or three; may be repeated. Default: some."
    add_command(
        plots,
        "interpolation",
        [
            *(RUN, ONE_CATEGORY),
            param("shape", list[str], [], shapes),
            param("rows", int, 4, "How many rows, without --shape.", min=1, max=50),
            param("steps", int, 5, "Clouds in a row, those of the ends included.", min=2, max=20),
            param("views", str | None, None, "Set of views. Default: that trained on."),
            param("view", int, 0, "Number of the view that is looked at.", min=0),
            param(
                "arithmetic",
                bool,
                False,
                "Rows of three shapes, and what the code A - B + C tells.",
                flags=("--arithmetic",),
            ),
            *DEVICES,
            output,
        ],
        _plot_interpolation,
        help="Clouds told of codes between those of two pictures, beside the true ones.",
        example="crossdim plot interpolation --category chair --steps 7 -o between.png",
    )


def _plot_depths(session: Session) -> None:
    from stages.export.novel_depths import novel_depth_sheet
    from stages.store.commit import commit_bytes

    options, run = session.options, run_of(session, CLOUDS)
    data = novel_depth_sheet(session.workspace, run, options["shapes"], options["sides"])
    path = options["output"] or Path(f"{run.name}-depths.png")
    commit_bytes(path, data)
    session.out.result({"path": str(path)}, str(path))


def _plot_interpolation(session: Session) -> None:
    from stages.export.interpolation import (
        arithmetic_sheet,
        choose_shapes,
        codes_of,
        interpolation_sheet,
    )
    from stages.store.commit import commit_bytes
    from stages.train.device import choose_device

    options, workspace = session.options, session.workspace
    run = run_of(session, CLOUDS)
    device = str(choose_device(options["device"], options["gpu"]))
    codes = codes_of(workspace, run, options["views"], options["view"], device)
    size = 3 if options["arithmetic"] else 2
    chosen = choose_shapes(workspace, codes, options["shape"], options["rows"], size)
    if options["arithmetic"]:
        data = arithmetic_sheet(codes, chosen)
    else:
        data = interpolation_sheet(codes, chosen, options["steps"])
    path = options["output"] or Path(f"{run.name}-interpolation.png")
    commit_bytes(path, data)
    session.out.result({"path": str(path), "rows": chosen}, str(path))


def cloud_options(name: str) -> list[inspect.Parameter]:
    """The options of `export mesh` and `export voxels` that are about clouds."""
    res = 96 if name == "mesh" else 32
    options = [param("res", int, res, "Cells along a side, for clouds.", min=8, max=512)]
    if name == "mesh":
        text = "Distance of the surface from the points of a cloud, world units."
        options.append(param("radius", float, 0.02, text, min=1e-4, max=0.5))
    return [param("depths", str | None, None, "Variant of the depths, for true clouds."), *options]


def _points(session: Session) -> None:
    from stages.errors import CrossdimError
    from stages.export.files import check_suffix
    from stages.export.points import point_bytes
    from stages.store.commit import commit_bytes

    path = session.options["path"]
    check_suffix(path, "points")
    item, points = _cloud(session)
    if not len(points):
        raise CrossdimError(f"the cloud of {item} is empty", "choose another --view or run")
    commit_bytes(path, point_bytes(points, path.suffix))
    data = {"path": str(path), "shape": item, "points": len(points)}
    session.out.result(data, f"{path}: {item}, {len(points)} points")


def cloud_grid(session: Session) -> Any:
    """Id and grid of a cloud: its cells for voxels, the field around it for a mesh."""
    from stages.export.points import occupied, thickened

    options = session.options
    item, points = _cloud(session)
    if "radius" in options:
        return item, thickened(points, options["res"], options["radius"])
    return item, occupied(points, options["res"])


def _cloud(session: Session) -> Any:
    from stages.export.points import fused_cloud, predicted_cloud, surface_cloud

    options, workspace = session.options, session.workspace
    if options["what"] == "surface":
        return surface_cloud(workspace, options["shape"], options["count"], options["seed"])
    if options["what"] == "truth":
        return fused_cloud(workspace, options["shape"], options["depths"])
    return predicted_cloud(workspace, run_of(session, CLOUDS), options["shape"], options["view"])


def plot_pointcloud(session: Session) -> None:
    """`plot pointcloud`."""
    from stages.export.clouds import pointcloud_sheet
    from stages.store.commit import commit_bytes

    run = run_of(session, CLOUDS)
    path = session.options["output"] or Path(f"{run.name}-pointcloud.png")
    commit_bytes(path, pointcloud_sheet(session.workspace, run, session.options["shapes"]))
    session.out.result({"path": str(path)}, str(path))

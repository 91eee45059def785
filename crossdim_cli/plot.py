"""plot: pictures, and curves of results."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import typer

from crossdim_cli import result_curves
from crossdim_cli.clouds import plot_pointcloud, register_cloud_plots
from crossdim_cli.codes import register_tsne
from crossdim_cli.command import Session, add_command, new_app, param
from crossdim_cli.evaluate import DEVICES, ONE_CATEGORY, RUN, SYSTEM, Posed, run_of
from crossdim_cli.skeleton_pictures import register_skeleton_plots
from crossdim_cli.train import SYSTEMS
from stages.errors import UsageError


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    plots = new_app("Draw pictures.")
    app.add_typer(plots, name="plot")
    output = param("output", Path | None, None, "PNG file.", flags=("--output", "-o"))
    moving = param("output", Path | None, None, "PNG, or GIF to move.", flags=("--output", "-o"))
    shapes = param("shapes", int, 6, "How many test shapes.", min=1, max=50)
    add_command(
        plots,
        "reconstruction",
        [RUN, ONE_CATEGORY, shapes, output],
        _plot_reconstruction,
        help="Input, true and predicted mask, true and predicted shape of test views.",
        example="crossdim plot reconstruction --shapes 8 -o pictures.png",
    )
    add_command(
        plots,
        "synthesis",
        [
            RUN,
            ONE_CATEGORY,
            param("views", str | None, None, "Set of views. Default: the first that will do."),
            param("shapes", int, 3, "How many test shapes.", min=1, max=50),
            param("turns", int, 3, "How many other views of each.", min=1, max=20),
            *DEVICES,
            moving,
        ],
        _plot_synthesis,
        help="Input, channels of its embedding, the same turned, novel views and true ones.",
        example="crossdim plot synthesis --category car -o synthesis.png",
    )
    add_command(
        plots,
        "pointcloud",
        [RUN, ONE_CATEGORY, shapes, output],
        plot_pointcloud,
        help="Input, true and told cloud of test pictures from three sides.",
        example="crossdim plot pointcloud --category chair -o clouds.png",
    )
    views = param("views", str | None, None, "Set of views. Default: the first that will do.")
    add_command(
        plots,
        "embedding",
        [RUN, ONE_CATEGORY, views, shapes, *DEVICES, output],
        _plot_embedding,
        help="Channels of two views' embeddings, turned into each other, beside the mesh's.",
        example="crossdim plot embedding --category car -o embedding.png",
    )
    add_command(
        plots,
        "alignment",
        [
            param("system", Posed, "equivariant", "Whose run."),
            RUN,
            ONE_CATEGORY,
            views,
            param("to", Literal["view", "mesh"], "view", "What a picture is aligned with."),
            param("photos", str | None, None, "Photos instead of views, with --to mesh."),
            param("pairs", Literal["category", "instance"], "category", "Of two shapes, or one."),
            shapes,
            moving,
        ],
        _plot_alignment,
        help="Pairs of views (or a view and a mesh), the second drawn in the first one's pose.",
        example="crossdim plot alignment --category car -o alignment.png",
    )
    add_command(
        plots,
        "curves",
        [
            param("system", Literal[tuple(SYSTEMS)], SYSTEM, "Whose runs."),
            param("run", list[str], [], "Names of runs. Default: the newest that fits."),
            ONE_CATEGORY,
            param("metric", str, "loss", "What is compared, of several runs."),
            output,
        ],
        _plot_curves,
        help="Learning curves: all of a run, or one metric of several runs side by side.",
        example="crossdim plot curves --system deep-encoding --run 1-1 --run 2-2 -o curves.png",
    )
    add_command(
        plots,
        "viewpoints",
        [
            param("category", str, "car", "Category of the set."),
            param("distribution", str, "pascal3d", "Fitted set: crossdim viewpoints list."),
            param("seed", int, 0, "Seed of the samples.", min=0),
            output,
        ],
        _plot_viewpoints,
        help="Annotated and sampled viewpoints on a sphere, and their azimuths.",
        example="crossdim plot viewpoints --category car -o viewpoints.png",
    )
    register_tsne(plots)
    register_skeleton_plots(plots, output)
    result_curves.register(plots, output)
    register_cloud_plots(plots, output)


def _plot_reconstruction(session: Session) -> None:
    from stages.export.pictures import reconstruction_sheet
    from stages.store.commit import commit_bytes
    from stages.train.run import find_run

    options = session.options
    run = find_run(session.workspace.root, SYSTEM, options["run"], options["category"])
    path = options["output"] or Path(f"{run.name}-reconstruction.png")
    commit_bytes(path, reconstruction_sheet(session.workspace, run, options["shapes"]))
    session.out.result({"path": str(path)}, str(path))


def _picture(path: Path) -> Path:
    """The path, of a kind of picture that can be drawn still and moving."""
    if path.suffix.lower() not in (".png", ".gif"):
        raise UsageError(f"cannot draw {path.suffix or path.name}", "use .png, or .gif to move")
    return path


def _plot_synthesis(session: Session) -> None:
    from stages.evaluate.views_protocol import choose_plain
    from stages.export.animation import synthesis_gif
    from stages.export.synthesis import synthesis_sheet
    from stages.store.commit import commit_bytes
    from stages.train.device import choose_device
    from stages.train.run import find_run

    options = session.options
    root, named = session.workspace.root, options["views"]
    run = find_run(root, "view-synthesis", options["run"], options["category"])
    views = choose_plain(session.workspace, [named] if named else [], run)[0]
    device = str(choose_device(options["device"], options["gpu"]))
    path = _picture(options["output"] or Path(f"{run.name}-synthesis.png"))
    shapes = options["shapes"]
    if path.suffix.lower() == ".gif":
        data = synthesis_gif(session.workspace, run, views, shapes, device)
    else:
        data = synthesis_sheet(run, views, shapes, options["turns"], device)
    commit_bytes(path, data)
    session.out.result({"path": str(path)}, str(path))


def _plot_embedding(session: Session) -> None:
    from stages.evaluate.posed import choose_views
    from stages.export.embedding import embedding_sheet
    from stages.store.commit import commit_bytes
    from stages.train.device import choose_device

    options = session.options
    run = run_of(session, "equivariant")
    named = [options["views"]] if options["views"] else []
    views = choose_views(session.workspace, named, run)[0]
    device = str(choose_device(options["device"], options["gpu"]))
    path = options["output"] or Path(f"{run.name}-embedding.png")
    commit_bytes(path, embedding_sheet(session.workspace, run, views, options["shapes"], device))
    session.out.result({"path": str(path)}, str(path))


def _plot_alignment(session: Session) -> None:
    from stages.export.animation import alignment_gif
    from stages.export.embedding import alignment_sheet, choose_results
    from stages.export.mesh_alignment import mesh_alignment_sheet
    from stages.store.commit import commit_bytes

    options = session.options
    run = run_of(session, options["system"])
    path = _picture(options["output"] or Path(f"{run.name}-alignment.png"))
    moves = path.suffix.lower() == ".gif"
    draw = alignment_gif if moves else alignment_sheet
    if options["to"] == "mesh":
        if moves or options["system"] == "keypointnet":
            what = "pictures that move" if moves else "keypoints, which need no mesh"
            raise UsageError(f"--to mesh is not for {what}", "use .png, or --to view")
        of: Any = "keypoints" if options["photos"] else "views"
        name = options["photos"] or options["views"]
        results = choose_results(session.workspace, run, name, "align", of)
        draw = mesh_alignment_sheet
    else:
        if options["photos"]:
            raise UsageError("--photos are of no second view", "add --to mesh")
        results = choose_results(session.workspace, run, options["views"])
    commit_bytes(path, draw(session.workspace, results, options["pairs"], options["shapes"]))
    session.out.result({"path": str(path)}, str(path))


def _plot_curves(session: Session) -> None:
    from stages.export.curves import compared_png, curves_png
    from stages.store.commit import commit_bytes
    from stages.train.run import find_run

    options = session.options
    runs = [
        find_run(session.workspace.root, options["system"], name, options["category"])
        for name in options["run"] or [None]
    ]
    path = options["output"] or Path(f"{'-'.join(run.name for run in runs)}-curves.png")
    one = len(runs) == 1
    commit_bytes(path, curves_png(runs[0]) if one else compared_png(runs, options["metric"]))
    session.out.result({"path": str(path)}, str(path))


def _plot_viewpoints(session: Session) -> None:
    from stages.export.viewpoints import viewpoints_png
    from stages.store.commit import commit_bytes
    from stages.viewpoints import table

    options = session.options
    category, name = options["category"], options["distribution"]
    fitted = table(name, category, session.workspace)
    path = options["output"] or Path(f"{name}-{category}-viewpoints.png")
    commit_bytes(path, viewpoints_png(fitted, f"{category}, {name}", options["seed"]))
    session.out.result({"path": str(path)}, str(path))

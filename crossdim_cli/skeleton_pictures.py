"""export skeleton; plot skeletons, keypoints, noise, graph, neighbours: of the 3D interpreter."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import typer

from crossdim_cli.command import Session, add_command, argument, param
from crossdim_cli.evaluate import DEVICES, ONE_CATEGORY, RUN
from crossdim_cli.skeleton_evals import CROSS, run_of_steps
from stages.errors import CrossdimError, UsageError

_CHOSEN = (
    RUN,
    ONE_CATEGORY,
    param("images", list[Path], [], "Pictures in files; may be repeated."),
    param("landmarks", str | None, None, "Landmarks whose views to show."),
    CROSS,
    *DEVICES,
)


def register_skeleton(exports: typer.Typer) -> None:
    """Add the command of this module to the group export."""
    add_command(
        exports,
        "skeleton",
        [argument("path", Path, "File to write."), *_CHOSEN],
        _skeleton,
        help="Write the skeleton of one picture: .json, .obj (lines), .glb (balls and sticks).",
        example="crossdim export skeleton chair.glb --category chair --images photo.jpg",
    )


def register_skeleton_plots(plots: typer.Typer, output: Any) -> None:
    """Add the commands of this module to the group plot."""
    count = param("count", int, 6, "How many views.", min=1, max=100)
    add_command(
        plots,
        "skeletons",
        [*_CHOSEN, count, output],
        _plot_skeletons,
        help="Pictures, their keypoints, their skeletons before and after step joint.",
        example="crossdim plot skeletons --category chair --landmarks cads -o skeletons.png",
    )
    add_command(
        plots,
        "keypoints",
        [*_CHOSEN, count, output],
        _plot_keypoints,
        help="Figure 5 of the 3D-INN paper: heatmaps before and after the refinement.",
        example="crossdim plot keypoints --run chair-small-keypoints --count 4 -o keypoints.png",
    )
    add_command(
        plots,
        "noise",
        [RUN, ONE_CATEGORY, output],
        _plot_noise,
        help="Figure 6 of the 3D-INN paper: recall at levels of noise, beside optimisation.",
        example="crossdim plot noise --category chair -o noise.png",
    )
    add_command(
        plots,
        "graph",
        [
            RUN,
            ONE_CATEGORY,
            param("count", int, 300, "Pictures at most.", min=4, max=5000),
            param("seed", int, 0, "Seed of the layout.", min=0),
            output,
        ],
        _plot_graph,
        help="Object graph: pictures laid out by t-SNE of the viewpoints told of them.",
        example="crossdim plot graph --category chair -o graph.png",
    )
    add_command(
        plots,
        "neighbours",
        [RUN, ONE_CATEGORY, param("count", int, 8, "Pictures a query.", min=1, max=50), output],
        _plot_neighbours,
        help="Retrieval: pictures most alike in structure, and in viewpoint.",
        example="crossdim plot neighbours --category chair -o neighbours.png",
    )


def _joint(session: Session, steps: tuple[str, ...] = ("joint",)) -> Any:
    return run_of_steps(session, steps, session.options["run"])


class _Shown(NamedTuple):
    """What a run says of the pictures that are asked for."""

    shown: list[Any]  # of stages.export.skeletons.Shown
    template: Any
    run: Any
    pictures: Any  # where they are from, None for files


def _shown(session: Session, count: int, steps: tuple[str, ...] = ("joint",)) -> _Shown:
    from stages.evaluate.landmarked import choose_pictures
    from stages.export.skeletons import read_images, read_views, show
    from stages.systems.interpreter.model import template_of
    from stages.train.run import load_model

    options = session.options
    run = _joint(session, steps)
    named = [options["landmarks"]] if options["landmarks"] else []
    pictures = None
    if options["images"]:
        images = read_images(options["images"])
    else:
        cross = options["cross_category"]
        pictures = choose_pictures(session.workspace, named, [], run, cross)[0]
        images = read_views(session.workspace, run, pictures, count)
    if not images:
        raise CrossdimError("no pictures to show", "name some with --images or --landmarks")
    shown = show(run, images, _device(session))
    return _Shown(shown, template_of(load_model(run).params), run, pictures)


def _device(session: Session) -> str:
    from stages.train.device import choose_device

    return str(choose_device(session.options["device"], session.options["gpu"]))


def _skeleton(session: Session) -> None:
    from stages.export.skeletons import SUFFIXES, skeleton_bytes
    from stages.store.commit import commit_bytes

    path = session.options["path"]
    if path.suffix.lower() not in SUFFIXES:
        raise UsageError(
            f"cannot write a skeleton as {path.suffix or path.name!r}",
            f"use one of {', '.join(SUFFIXES)}",
        )
    shown, template, _, _ = _shown(session, 1)
    commit_bytes(path, skeleton_bytes(shown[0].told, template, path.suffix))
    session.out.result({"path": str(path), "picture": shown[0].name}, f"{path}: {shown[0].name}")


def _plot_skeletons(session: Session) -> None:
    from stages.export.skeletons import overlay_sheet

    shown, template, _, _ = _shown(session, session.options["count"])
    _write(session, "skeletons", overlay_sheet(shown, template))


def _plot_keypoints(session: Session) -> None:
    from stages.export.keypoint_maps import keypoint_sheet, true_keypoints

    count = session.options["count"]
    shown, template, run, pictures = _shown(session, count, ("joint", "keypoints"))
    device = _device(session)
    truth = [true_keypoints(run, pictures, s.name, device) if pictures else None for s in shown]
    _write(session, "keypoints", keypoint_sheet(list(zip(shown, truth)), template.keypoints))


def _plot_noise(session: Session) -> None:
    from stages.export.skeleton_plots import noise_png, results_of

    results = results_of(session.workspace, _joint(session, ("interpret",)), "skeleton-noise")
    _write(session, "noise", noise_png(results))


def _plot_graph(session: Session) -> None:
    from stages.export.skeleton_plots import graph_png

    results, views = _measured(session)
    options = session.options
    _write(session, "graph", graph_png(results, views, options["count"], options["seed"]))


def _plot_neighbours(session: Session) -> None:
    from stages.export.skeleton_plots import neighbours_sheet

    results, views = _measured(session)
    _write(session, "neighbours", neighbours_sheet(results, views, 4, session.options["count"]))


def _measured(session: Session) -> tuple[Any, Any]:
    """The results of eval skeleton, and the views that they are of."""
    from stages.evaluate.landmarked import choose_pictures
    from stages.export.skeleton_plots import results_of
    from stages.store.shard import params_of

    run = _joint(session)
    results = results_of(session.workspace, run, "skeleton")
    key = results.index.key
    inputs = params_of(key)["inputs"] if key else [""]
    name = inputs[0].partition(" ")[0].partition("/")[2]
    return results, choose_pictures(session.workspace, [name], [], run)[0].views


def _write(session: Session, what: str, data: bytes) -> None:
    from stages.store.commit import commit_bytes

    path = session.options["output"] or Path(f"{what}.png")
    commit_bytes(path, data)
    session.out.result({"path": str(path)}, str(path))

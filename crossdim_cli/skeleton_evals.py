"""eval keypoints and eval skeleton: what the 3D interpreter network says of pictures."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import typer

from crossdim_cli.command import Session, add_command, param
from crossdim_cli.evaluate import DEVICES, ONE_CATEGORY, RUN, each_set, measured_text

CROSS = param(
    "cross_category",
    bool,
    False,
    "Pictures of other categories than the run's (figure 9).",
    flags=("--cross-category",),
)


def register(group: typer.Typer, dry: Any) -> None:
    """Add the commands of this module to those of `eval`."""
    landmarks = param(
        "landmarks",
        list[str],
        [],
        "These landmarks with their views; may be repeated. Default: the run's own.",
    )
    photos = param("photos", list[str], [], "Annotated photos; instead of landmarks, or besides.")
    add_command(
        group,
        "keypoints",
        [RUN, ONE_CATEGORY, landmarks, photos, CROSS, *DEVICES, dry],
        _keypoints,
        help="2D keypoints of the 3D interpreter network: PCK, PCP, average error.",
        example="crossdim eval keypoints --category chair",
    )
    boxes = param(
        "detections",
        Path | None,
        None,
        "CSV of a detector's boxes (id,view,x0,y0,x1,y1,score): AVP of what is in them.",
    )
    skeletons = param("skeletons", str | None, None, "Synthetic skeletons (a run of interpret).")
    add_command(
        group,
        "skeleton",
        [RUN, ONE_CATEGORY, landmarks, boxes, CROSS, skeletons, *DEVICES, dry],
        _skeleton,
        help="3D skeletons and viewpoints: recall, AVP; of step interpret at levels of noise.",
        example="crossdim eval skeleton --category chair",
    )


def _keypoints(session: Session) -> None:
    from stages.evaluate.keypoints_protocol import evaluate_keypoints
    from stages.evaluate.landmarked import choose_pictures

    options = session.options
    run = run_of_steps(session, ("joint", "keypoints"), options["run"])
    sets = choose_pictures(
        session.workspace,
        options["landmarks"],
        options["photos"],
        run,
        options["cross_category"],
    )
    each_set(session, run, sets, evaluate_keypoints, _chosen_text)


def _skeleton(session: Session) -> None:
    from stages.evaluate.detections_protocol import evaluate_detections
    from stages.evaluate.landmarked import choose_pictures
    from stages.evaluate.skeleton_protocol import (
        choose_skeletons,
        evaluate_noise,
        evaluate_skeleton,
    )

    options = session.options
    run = run_of_steps(session, ("joint", "interpret"), options["run"])
    if run.record()["params"]["step"] == "interpret":
        sets: list[Any] = [choose_skeletons(session.workspace, run, options["skeletons"])]
        each_set(session, run, sets, evaluate_noise, _chosen_text)
        return
    cross = options["cross_category"]
    sets = choose_pictures(session.workspace, options["landmarks"], [], run, cross)
    if options["detections"]:
        of = partial(evaluate_detections, options["detections"])
        each_set(session, run, sets, of, _chosen_text)
        return
    each_set(session, run, sets, evaluate_skeleton, _chosen_text)


def run_of_steps(session: Session, steps: tuple[str, ...], named: str | None = None) -> Any:
    """The run of this name, or the newest one of the first of these steps that there is."""
    from stages.errors import InputError
    from stages.train.run import find_run

    options, root = session.options, session.workspace.root
    for step in steps:
        try:
            only = {"step": step}
            return find_run(root, "interpreter", named, options["category"], only)
        except InputError:
            if step == steps[-1] or named:
                raise
    raise AssertionError(steps)


def _chosen_text(report: Any) -> str:
    """The tables, and what was chosen where the paper leaves it open."""
    chosen = ", ".join(f"{name} {value}" for name, value in report.summary["chosen"].items())
    return f"{measured_text(report)}\n\nchosen: {chosen}"

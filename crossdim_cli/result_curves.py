"""plot pck, plot recall: results of the 3D interpreter over a threshold."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import typer

from crossdim_cli.command import Session, add_command, param
from crossdim_cli.evaluate import ONE_CATEGORY
from crossdim_cli.skeleton_evals import CROSS, run_of_steps
from stages.errors import UsageError


def register(plots: typer.Typer, output: Any) -> None:
    """Add the commands of this module to the group plot."""
    runs = param("run", list[str], [], "Names of runs. Default: the newest that fits.")
    landmarks = param("landmarks", str | None, None, "Measured landmarks. Default: the run's own.")
    photos = param("photos", str | None, None, "Measured photos, instead of landmarks.")
    of: Any = Literal["labelled", "visible"]
    torso = param("torso", bool, False, "In lengths of the torso (FLIC).", flags=("--torso",))
    add_command(
        plots,
        "pck",
        [
            *(runs, ONE_CATEGORY, landmarks, photos, CROSS),
            param("keypoints", of, "labelled", "All in the picture, or those that are not hidden."),
            torso,
            *_zoom(0.1, 0.2),
            output,
        ],
        _plot_pck,
        help="Figure 4 of the 3D-INN paper: PCK over the distance, of one run or several.",
        example="crossdim plot pck --run chair-small-keypoints --run chair-small-joint -o pck.png",
    )
    add_command(
        plots,
        "recall",
        [runs, ONE_CATEGORY, landmarks, CROSS, *_zoom(0.05, 0.15), output],
        _plot_recall,
        help="Figure 7 of the 3D-INN paper: recall over RMSE and azimuth, beside optimisation.",
        example="crossdim plot recall --category chair -o recall.png",
    )


def _zoom(low: float, high: float) -> list[Any]:
    return [
        param("zoom_from", float, low, "Where the part begins that is drawn larger.", min=0),
        param("zoom_to", float, high, "Where it ends.", min=0),
    ]


def _measured(session: Session, protocol: Any, steps: tuple[str, ...], check: Any) -> list[Any]:
    """The results of the named runs, or of the newest one of the first of these steps."""
    from stages.export.measured import measured

    options = session.options
    names = {"landmarks": options["landmarks"], "keypoints": options.get("photos")}
    on = [f"{stage}/{name}" for stage, name in names.items() if name]
    if len(on) > 1:
        raise UsageError("both --landmarks and --photos are named", "name one of them")
    found = []
    for name in dict.fromkeys(options["run"]) or [None]:
        run = run_of_steps(session, steps, name)
        check(run)
        cross = options["cross_category"]
        found.append(measured(session.workspace, run, protocol, on[0] if on else None, cross))
    return found


def _plot_pck(session: Session) -> None:
    from stages.evaluate.keypoints import STAGE
    from stages.evaluate.landmarked import require_pictures
    from stages.export.recall_curves import Zoom, pck_png

    options = session.options
    found = _measured(session, STAGE, ("joint", "keypoints"), require_pictures)
    zoom = Zoom(options["zoom_from"], options["zoom_to"])
    which, torso = options["keypoints"], options["torso"]
    _write(session, "pck", pck_png(session.workspace, found, which, torso, zoom))


def _plot_recall(session: Session) -> None:
    from stages.evaluate.skeleton import STAGE
    from stages.evaluate.skeleton_protocol import require_skeletons
    from stages.export.recall_curves import Zoom, recall_png

    options = session.options
    found = _measured(session, STAGE, ("joint",), require_skeletons)
    zoom = Zoom(options["zoom_from"], options["zoom_to"])
    _write(session, "recall", recall_png(found, zoom))


def _write(session: Session, what: str, data: bytes) -> None:
    from stages.store.commit import commit_bytes

    path = session.options["output"] or Path(f"{what}.png")
    commit_bytes(path, data)
    session.out.result({"path": str(path)}, str(path))

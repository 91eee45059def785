"""train: one command a system; the loop, the checkpoints and the log are the library's."""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any, Literal

import typer

from crossdim_cli.command import (
    CATEGORY,
    Session,
    add_command,
    new_app,
    param,
    params_from,
    params_options,
)
from crossdim_cli.evaluate import DEVICES
from crossdim_cli.output import Tracker
from stages.systems import (
    deep_encoding,
    equivariant,
    interpreter,
    keypointnet,
    pose_aware,
    pose_regression,
    spherical_cnn,
    structure_generator,
    view_synthesis,
)

_ALL = (
    pose_aware,
    deep_encoding,
    spherical_cnn,
    equivariant,
    view_synthesis,
    pose_regression,
    keypointnet,
    structure_generator,
    interpreter,
)
SYSTEMS = {system.NAME: system for system in _ALL}


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    group = new_app("Train a system on the shapes of the workspace.")
    app.add_typer(group, name="train")
    for name, system in SYSTEMS.items():
        _register(group, name, system)


def _register(group: typer.Typer, name: str, system: Any) -> None:
    presets = tuple(system.PRESETS)
    stages = [
        param(stage, str | None, None, f"Variant of the {stage}, if several fit.")
        for stage in system.REQUIRES
    ]
    options = [
        param("preset", Literal[presets], presets[0], "Named size of the system."),
        CATEGORY,
        param("name", str, "", "Name of the run. Default: the categories and the preset."),
        *stages,
        *params_options(system.Params, optional=True),
        param("seed", int, 0, "Seed of everything random.", min=0),
        param("minutes", float | None, None, "Stop after so long, ready to be continued."),
        param("patience", int, 0, "Stop after so many validations without improvement.", min=0),
        param("fresh", bool, False, "Start over instead of continuing.", flags=("--fresh",)),
        param("resume", Literal["last", "best"], "last", "Checkpoint to continue from."),
        param("tensorboard", bool, False, "Log for TensorBoard, too.", flags=("--tensorboard",)),
        param("workers", int, 0, "Processes that prepare batches.", min=0),
        param("threads", int, 0, "CPU threads, 0 for one a core; last digits change.", min=0),
        *DEVICES,
        param("dry_run", bool, False, "Say what would be done.", flags=("--dry-run", "-n")),
    ]
    add_command(
        group,
        name,
        options,
        lambda session: _train(session, system),
        help=(system.__doc__ or "").strip().splitlines()[0],
        example=f"crossdim train {name} --preset small --category airplane",
    )


def _train(session: Session, system: Any) -> None:
    from stages.train.inputs import choose_inputs

    options = session.options
    preset = getattr(system, "preset", lambda name, options: system.PRESETS[name])
    params = params_from(system.Params, options, preset(options["preset"], options))
    if hasattr(system, "complete"):
        params = system.complete(params, session.workspace, options["category"])
    requires = system.requires(params) if hasattr(system, "requires") else system.REQUIRES
    variants = {stage: options[stage] for stage in requires}
    selection = choose_inputs(session.workspace, requires, options["category"], variants)
    suffix = system.suffix(params) if hasattr(system, "suffix") else ""
    name = options["name"] or _default_name(selection.categories, options) + suffix
    if hasattr(system, "bind"):
        system, params = system.bind(params, selection, _finder(session))
    if options["dry_run"]:
        shapes = _counts(selection)
        text = f"run {name}: would train {params.steps} steps on {shapes} shapes"
        session.out.result({"run": name, "steps": params.steps, "shapes": shapes}, text)
        return
    _run(session, system, params, selection, name)


def _finder(session: Session) -> Callable[..., Any]:
    """What a system asks for other runs."""
    from stages.train.run import find_run, load_model

    def find(system: str, run: str, params: Mapping[str, Any] | None = None) -> Any:
        return load_model(find_run(session.workspace.root, system, run or None, params=params))

    return find


def _counts(selection: Any) -> str:
    """`64 train, 11 val, 18 test`."""
    return ", ".join(f"{len(ids)} {split}" for split, ids in selection.ids.items())


def _default_name(there: tuple[str, ...], options: Any) -> str:
    which = "-".join(there) if options["category"] else "all"
    return f"{which}-{options['preset']}"


def _run(session: Session, system: Any, params: Any, selection: Any, name: str) -> None:
    from stages.store.commit import check_folder
    from stages.train.context import TrainOptions
    from stages.train.inputs import Loader
    from stages.train.loop import train
    from stages.train.run import About, create_run

    options, root = session.options, session.workspace.root
    about = About(options["preset"], selection, tuple(sys.argv[1:]))
    run = create_run(root, system.NAME, name, about)
    check_folder(run.folder)  # before the data is read
    if options["threads"]:
        import torch

        torch.set_num_threads(options["threads"])
    known = {f.name for f in dataclasses.fields(TrainOptions)} - {"steps", "precision"}
    train_options = TrainOptions(**{k: v for k, v in options.items() if k in known})
    arrays = system.arrays(params) if hasattr(system, "arrays") else system.ARRAYS
    load = Loader(root, selection.variants, arrays)
    data = Splits(
        system.dataset(load, selection.ids["train"], params),
        system.dataset(load, selection.ids["val"], params),
    )
    with session.out.progress(f"train {name}") as tracker:
        result = train(system, params, data, run, train_options, lambda p: _show(tracker, p))
    if os.environ.get("RANK", "0") != "0":  # of several processes one speaks
        return
    best = "none"
    if result.best_metric is not None:
        best = f"{system.SELECT[0]} {result.best_metric:.4f}"
    session.out.note(f"{result.seconds:.0f} s on {_counts(selection)} shapes; {run.folder}")
    session.out.result(
        {
            "run": name,
            "path": str(run.folder),
            "steps": result.steps,
            "best": result.best_metric,
            "metric": system.SELECT[0],
            "stopped": result.stopped_reason,
        },
        f"runs/{system.NAME}/{name}: {result.steps} steps, best validation {best}, "
        f"stopped by {result.stopped_reason}",
    )


@dataclasses.dataclass(frozen=True)
class Splits:
    """The data of a run, as the loop wants them."""

    train: Any
    val: Any


def _show(tracker: Tracker, progress: Any) -> None:
    note = " ".join(f"{k}={v:.3f}" for k, v in list(progress.losses.items())[:3])
    if progress.best is not None:
        note += f" best {progress.metric}={progress.best:.3f}"
    if progress.validated:
        note += f" validating {progress.validated[0]}/{progress.validated[1]}"
    tracker(progress.step, progress.steps, note)

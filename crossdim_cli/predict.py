"""predict: from pictures to 3D, with a run or with weights that come with crossdim."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import typer

from crossdim_cli.command import Session, add_command, argument, param
from crossdim_cli.evaluate import DEVICES
from crossdim_cli.output import printable, table
from stages.errors import InputError, ItemError, UsageError

# As `stages.predict.networks.SYSTEMS`, which would import much for --help.
Telling = Literal[
    "pose-aware",
    "structure-generator",
    "deep-encoding",
    "interpreter",
    "pose-regression",
    "equivariant",
    "view-synthesis",
]
_AXES = ("+x", "-x", "+y", "-y", "+z", "-z")
_AT_ONCE = 16  # pictures that are read before they are answered to
_SHOWN_FAILURES = 20


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    add_command(
        app,
        "predict",
        [
            argument("system", Telling, "Which system is to answer."),
            argument("image", list[Path], "Pictures, or folders of pictures."),
            param("run", str | None, None, "Name of the run. Default: weights of crossdim's own."),
            param("weights", Path | None, None, "Packed weights in a file: NAME.safetensors."),
            param("category", str | None, None, "Category that the network must know."),
            param("out", Path | None, None, "Folder for the files. Default: beside each picture."),
            param(
                "crop",
                Literal["auto", "mask", "none"],
                "auto",
                "The object if there is a mask of it, else all; the object or nothing; all of it.",
            ),
            param("box", str, "", "LEFT,UPPER,RIGHT,LOWER around the object, in pixels."),
            *mesh_options("for a pose against a mesh (equivariant)"),
            param("codes", Path | None, None, "Codes to search (deep-encoding): .npz or .h5."),
            param("force", bool, False, "Overwrite files of others, too.", flags=("--force",)),
            *DEVICES,
        ],
        _predict,
        help="Say what pictures show in 3D: files, a picture and a JSON beside each of them.",
        example="crossdim predict pose-aware plane.png --category airplane --out told",
    )


def mesh_options(purpose: str) -> list[Any]:
    """--mesh with its axes, and --shape."""
    return [
        param("mesh", Path | None, None, f"Mesh in a file, {purpose}."),
        param("up", Literal[_AXES], "+z", "Axis of that file that points up."),
        param("front", Literal[_AXES], "-y", "Axis of that file that the front faces."),
        param("shape", str | None, None, f"Id of a shape of the workspace, {purpose}."),
    ]


def _predict(session: Session) -> None:
    from stages.predict.images import pictures_in
    from stages.predict.writing import stems, without_ours

    options = session.options
    box = _box(options["box"])
    network, beside = _network(session), _beside(session)
    pictures = without_ours(pictures_in(options["image"]))
    if not pictures:
        named = ", ".join(str(path) for path in options["image"])
        raise InputError(f"no pictures in {named}", "name PNG, JPEG or WebP pictures")
    places = stems(pictures, network.system, options["out"])
    done: list[Any] = []
    failed: dict[str, str] = {}
    with session.out.progress(f"predict {network.system}") as tracker:
        for picture, seen in _looked_at(pictures, network, options["crop"], box):
            try:
                done.append(_told(picture, seen, network, beside, places[picture], options))
            except ItemError as error:
                failed[str(picture)] = str(error)
            note = f"failed={len(failed)}" if failed else ""
            tracker(len(done) + len(failed), len(pictures), note)
    _show(session, network, done, failed)


def _looked_at(
    pictures: Sequence[Path], network: Any, crop: Any, box: Any
) -> Iterator[tuple[Path, Any]]:
    """Every picture with what is seen of it, some read at a time."""
    from stages.predict.images import look_at

    for start in range(0, len(pictures), _AT_ONCE):
        some = pictures[start : start + _AT_ONCE]
        yield from zip(some, look_at(some, network.camera, crop, box))


def _told(picture: Path, seen: Any, network: Any, beside: Any, stem: Path, options: Any) -> Any:
    """The files of one picture; ItemError when it could not be read, or files are in the way."""
    from stages.predict.answering import tell
    from stages.predict.writing import write
    from stages.store.guarded import Refused

    if isinstance(seen, Refused):
        raise ItemError(seen.reason)
    told = tell(network, seen, beside)
    return write(stem, picture, seen, told, network, options["force"])


def _show(session: Session, network: Any, done: Sequence[Any], failed: dict[str, str]) -> None:
    out = session.out
    for path, reason in list(failed.items())[:_SHOWN_FAILURES]:
        out.warn(f"{path}: {reason}")
    if len(failed) > _SHOWN_FAILURES:
        out.warn(f"and {len(failed) - _SHOWN_FAILURES} more")
    rows = [_row(one) for one in done]
    text = table(("picture", "pose (azimuth, elevation, in-plane)", "confidence", "files"), rows)
    head = f"{network.origin}: {len(done)} pictures told, {len(failed)} failed"
    data = {
        "network": network.origin,
        "predictions": [{**one.facts, "paths": [str(path) for path in one.files]} for one in done],
        "failed": failed,
    }
    out.result(data, f"{text}\n{head}" if rows else head)
    if failed:
        raise typer.Exit(1)


def _row(one: Any) -> tuple[str, str, str, str]:
    facts = one.facts
    pose = facts["pose"]
    names = ("azimuth_deg", "elevation_deg", "inplane_deg")
    angles = ", ".join(f"{round(pose[name])}" for name in names) if pose else "-"
    confidence = ", ".join(f"{k} {v:.2f}" for k, v in facts["confidence"].items()) or "-"
    return facts["picture"], angles, confidence, str(one.files[0].with_suffix(".*"))


def _network(session: Session) -> Any:
    """The run that is named, or the shipped weights of the system."""
    import dataclasses

    from stages.predict import networks
    from stages.train.device import choose_device
    from stages.train.run import find_run
    from stages.weights.cards import find_card, read_card

    options = session.options
    device = str(choose_device(options["device"], options["gpu"]))
    system = options["system"]
    if options["run"] and options["weights"]:
        raise UsageError("--run and --weights are two networks", "give one of them")
    if options["weights"]:
        card = read_card(options["weights"].with_suffix(".json"))
        if card.system != system:
            raise UsageError(f"{card.path} is of {card.system}, not {system}", "name its system")
        network = networks.of_card(card, device)
    elif options["run"]:
        run = find_run(session.workspace.root, system, options["run"], options["category"])
        network = networks.of_run(session.workspace, run, device)
    else:
        network = networks.of_card(find_card(system, options["category"]), device)
    if options["codes"]:
        if system != "deep-encoding":
            raise UsageError(f"{system} has no codes to search", "leave --codes out")
        width = network.trained.params.code
        network = dataclasses.replace(network, gallery=networks.index_of(options["codes"], width))
    return network


def _beside(session: Session) -> Any:
    """The mesh that is named, and the shapes of the workspace that a code may find."""
    from stages.predict.prediction import Beside

    options = session.options
    if options["system"] == "deep-encoding":
        return Beside(meshes=_Cached(session.workspace))
    if not (options["mesh"] or options["shape"]):
        return Beside()
    name, mesh = chosen_mesh(session)
    return Beside(mesh, name)


def chosen_mesh(session: Session) -> tuple[str, Any]:
    """Name and mesh, in the canonical frame, of --mesh or of --shape."""
    from stages.export.choose import cached_mesh
    from stages.export.meshes import read_mesh

    options = session.options
    if options["mesh"] and options["shape"]:
        raise UsageError("--mesh and --shape are two meshes", "give one of them")
    if options["mesh"]:
        return options["mesh"].name, read_mesh(options["mesh"], options["up"], options["front"])
    return cached_mesh(session.workspace, options["shape"])


class _Cached(dict[str, Any]):
    """Meshes of the workspace by id, read when they are asked for."""

    def __init__(self, workspace: Any) -> None:
        self._owners = {i: a for a in workspace.artefacts("shapes") for i in a.index.items()}

    def get(self, item: str, default: Any = None) -> Any:
        """The mesh of a shape, None if it is not there."""
        from stages.geometry.mesh import Mesh

        owner = self._owners.get(item)
        return default if owner is None else Mesh.from_arrays(owner.read(item))


def _box(text: str) -> tuple[float, ...] | None:
    """Four edges, None for no text; UsageError for anything else."""
    if not text:
        return None
    try:
        edges = tuple(float(word) for word in text.split(","))
    except ValueError:
        edges = ()
    if len(edges) != 4 or not (edges[0] < edges[2] and edges[1] < edges[3]):
        raise UsageError(
            f"--box {printable(text)} is no box", "give LEFT,UPPER,RIGHT,LOWER in pixels"
        )
    return edges

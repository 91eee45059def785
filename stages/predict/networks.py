"""The network that answers: a run of the workspace, or weights that come with the package."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stages.errors import ItemError, UsageError
from stages.store.guarded import Limits, Refused, call_each
from stages.store.workspace import Workspace
from stages.train.run import Run, Trained, load_model
from stages.weights import cards
from stages.weights.cards import Camera, Card
from stages.weights.framing import camera_of

HALF = 0.5
_CODES = Limits(jobs=1, seconds=60.0, memory_gib=1.0)  # what reading a file of codes may take
SYSTEMS = (
    "pose-aware",
    "structure-generator",
    "deep-encoding",
    "interpreter",
    "pose-regression",
    "equivariant",
    "view-synthesis",
)


@dataclass(frozen=True)
class Network:
    """A trained network, and what it takes to show it pictures."""

    trained: Trained
    camera: Camera
    categories: tuple[str, ...]
    origin: str  # "runs/SYSTEM/NAME" or "weights NAME"
    device: str = "cpu"
    threshold: float = HALF  # from which a voxel counts as filled
    threshold_from: str = "not chosen on validation shapes"
    gallery: tuple[tuple[str, ...], Any] | None = None  # ids and codes (S, C) of training shapes
    about: Mapping[str, Any] = field(default_factory=dict)

    @property
    def system(self) -> str:
        return str(self.trained.system.NAME)


def of_card(card: Card, device: str = "cpu") -> Network:
    """The network of packed weights."""
    import torch

    return Network(
        trained=cards.load(card, torch.device(device)),
        camera=Camera(**card.facts["camera"]),
        categories=card.categories,
        origin=f"weights {card.name}",
        device=device,
        threshold=float(card.facts.get("threshold", HALF)),
        threshold_from="chosen on validation shapes" if "threshold" in card.facts else "not chosen",
        gallery=cards.gallery(card) if card.system == "deep-encoding" else None,
        about={"licence": card.facts["licence"], "weights": card.facts["sha256"]},
    )


def of_run(workspace: Workspace, run: Run, device: str = "cpu") -> Network:
    """The best network of a run, with the threshold of its evaluation where it has one.

    Raises UsageError for a run that does not go from a picture to an answer.
    """
    import torch

    trained = load_model(run, device=torch.device(device))
    if run.system == "interpreter" and trained.params.step != "joint":
        raise UsageError(
            f"run {run.name} is of step {trained.params.step}: it tells no skeleton of a picture",
            "name a run of step joint with --run",
        )
    threshold, source = HALF, "not chosen on validation shapes"
    if run.system == "pose-aware":
        threshold, source = _threshold(workspace, run)
    return Network(
        trained=trained,
        camera=camera_of(workspace, run, trained.params),
        categories=tuple(run.record()["data"]["categories"]),
        origin=f"runs/{run.system}/{run.name}",
        device=device,
        threshold=threshold,
        threshold_from=source,
        gallery=_gallery(workspace, run, trained) if run.system == "deep-encoding" else None,
        about={"weights": trained.sha256},
    )


def _threshold(workspace: Workspace, run: Run) -> tuple[float, str]:
    from stages.weights.packing import measured

    for summary in measured(workspace, run):
        if "threshold" in summary:
            return float(summary["threshold"]), "chosen on validation shapes"
    hint = f"run: crossdim eval reconstruction --run {run.name}, which chooses one"
    return HALF, f"not chosen on validation shapes; {hint}"


def _gallery(
    workspace: Workspace, run: Run, trained: Trained
) -> tuple[tuple[str, ...], Any] | None:
    """Codes of the training shapes, where their voxels are still there."""
    import numpy as np

    from stages.evaluate.retrieval import voxel_code

    data = run.record()["data"]
    voxels = workspace.artefact("voxels", data["variants"]["voxels"])
    ids = tuple(item for item in data["ids"]["train"] if item in voxels.index.items())
    if not ids:
        return None
    device = str(next(trained.model.parameters()).device)
    codes = [voxel_code(trained, voxels.read(i, ("voxels",))["voxels"], device) for i in ids]
    return ids, np.stack(codes)


def index_of(path: Path, width: int) -> tuple[tuple[str, ...], Any]:
    """Ids (S,) and voxel codes (S, `width`) of a file of `crossdim export codes` (.npz or .h5).

    Raises UsageError for other files, and for codes of another length.
    """
    hint = "make one: crossdim export codes codes.npz --split train"
    found = call_each(_read_codes, [path], _CODES)[0]
    if isinstance(found, Refused):
        raise UsageError(f"{path} holds no codes: {found.reason}", hint)
    ids, codes = found
    if codes.shape[1] != width or len(ids) != len(codes) or not ids:
        raise UsageError(f"{path} holds no codes of length {width}", hint)
    return ids, codes


def _read_codes(path: Path) -> tuple[tuple[str, ...], Any]:
    """Ids and codes of a file, which may be of others: an archive may unpack to any size."""
    import numpy as np

    try:
        if path.suffix.lower() == ".npz":
            with np.load(path, allow_pickle=False) as archive:
                ids, codes = archive["shapes"], archive["voxel_code"]
        else:
            import h5py

            with h5py.File(path, "r", locking=False) as file:
                ids, codes = (_array(file, name) for name in ("shapes", "voxel_code"))
        if ids.dtype.kind != "S" or codes.dtype.kind != "f" or codes.ndim != 2:
            raise ItemError("its arrays are none of codes")
        return tuple(bytes(one).decode() for one in ids), np.asarray(codes, np.float32)
    except (OSError, KeyError, ValueError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise ItemError((str(error).splitlines() or ["it is damaged"])[0][:200]) from error


def _array(file: Any, name: str) -> Any:
    """A dataset of an HDF5 file, read; ItemError for what would be read from another file."""
    import h5py

    if not isinstance(file.get(name, getlink=True), h5py.HardLink):
        raise ItemError(f"{name} is a link")
    if not isinstance(file[name], h5py.Dataset) or file[name].is_virtual or file[name].external:
        raise ItemError(f"{name} is in another file, or no array")
    return file[name][()]

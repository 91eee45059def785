"""The codes of shapes and of their pictures as files for other programs.

Letters: S shapes, N pictures, C length of a code.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stages.engine.status import require_fresh
from stages.errors import InputError, UsageError
from stages.evaluate.answers import network, pictures, say
from stages.evaluate.retrieval import voxel_code
from stages.store.cells import text_cell
from stages.store.workspace import Artefact, Workspace
from stages.train.run import Run

SUFFIXES = (".h5", ".npz", ".csv")
SPLITS = ("train", "val", "test", "all")


@dataclass(frozen=True)
class Codes:
    """Codes with what they are of."""

    shapes: tuple[str, ...]  # (S,) ids
    voxel: np.ndarray  # (S, C) float32
    image: np.ndarray  # (N, C) float32
    image_shape: np.ndarray  # (N,) int32, places in `shapes`
    image_view: np.ndarray  # (N,) int32


def check_suffix(path: Path) -> None:
    """UsageError unless codes can be written under such a name."""
    if path.suffix.lower() not in SUFFIXES:
        raise UsageError(
            f"cannot write codes as {path.suffix or path.name!r}",
            f"use one of {', '.join(SUFFIXES)}",
        )


def codes_of(workspace: Workspace, run: Run, split: str, device: str) -> Codes:
    """The codes, by a run's best network, of the voxels and views that it was made with.

    Raises InputError when the split is empty, or its artefacts have changed.
    """
    data = run.record()["data"]
    splits = SPLITS[:-1] if split == "all" else (split,)
    ids = sorted(i for one in splits for i in data["ids"][one])
    if not ids:
        raise InputError(f"run {run.name} has no {split} shapes", "choose another --split")
    views, voxels = (workspace.artefact(s, data["variants"][s]) for s in ("views", "voxels"))
    for artefact in (views, voxels):
        require_fresh(workspace, artefact, ids)
    trained = network(str(run.folder), run.best()["sha256"], device)
    voxel = [voxel_code(trained, voxels.read(i, ("voxels",))["voxels"], device) for i in ids]
    image = [say(trained, pictures(rgb), device).numpy() for rgb in _rgb(views, ids)]
    counts = [len(one) for one in image]
    return Codes(
        tuple(ids),
        np.stack(voxel),
        np.concatenate(image),
        np.arange(len(ids), dtype=np.int32).repeat(counts),
        np.concatenate([np.arange(count, dtype=np.int32) for count in counts]),
    )


def _rgb(views: Artefact, ids: Sequence[str]) -> Iterator[np.ndarray]:
    return (views.read(item, ("rgb",))["rgb"] for item in ids)


def codes_bytes(codes: Codes, run: Run, suffix: str) -> bytes:
    """HDF5, NPZ, or CSV with a row a code: kind, shape, view (empty for voxels), c0, c1, ...

    HDF5 and NPZ hold the arrays of `Codes`; HDF5 says which weights gave them, too.
    """
    if suffix.lower() == ".csv":
        return _csv(codes)
    names = np.array([item.encode() for item in codes.shapes])
    arrays = {
        "shapes": names,
        "voxel_code": codes.voxel,
        "image_code": codes.image,
        "image_shape": codes.image_shape,
        "image_view": codes.image_view,
    }
    buffer = io.BytesIO()
    if suffix.lower() == ".npz":
        np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
        return buffer.getvalue()
    import h5py

    # built in memory: HDF5 does not survive a full disk
    with h5py.File(buffer, "w", libver=("earliest", "v110")) as file:
        file.attrs["format"] = "crossdim-codes"
        file.attrs["format_version"] = 1
        file.attrs["run"] = f"{run.system}/{run.name}"
        file.attrs["weights"] = run.best()["sha256"]
        for name, array in arrays.items():
            file.create_dataset(name, data=array, track_times=False)
        for name, axis in (("voxel_code", "shape"), ("image_code", "picture")):
            file[name].attrs["axes"] = f"{axis}, component"
    return buffer.getvalue()


def _csv(codes: Codes) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("kind", "shape", "view", *(f"c{n}" for n in range(codes.voxel.shape[1]))))
    for shape, code in zip(codes.shapes, codes.voxel):
        writer.writerow(("voxels", text_cell(shape), "", *code.tolist()))
    for number, view, code in zip(codes.image_shape, codes.image_view, codes.image):
        writer.writerow(("image", text_cell(codes.shapes[number]), int(view), *code.tolist()))
    return text.getvalue().encode()

"""Checkpoints: weights, optimiser state, and a pointer that makes them valid.

`checkpoints/` holds `weights-<step>-<digest>.safetensors`, `optimizer-<step>-<digest>.pt` and the
pointers `last.json` and `best.json`, which name two such files with their sha256. Files are
written first, each under a name that no other content has; a pointer is replaced after them, in
one step; what no pointer names is deleted last. So a kill at any moment leaves the old or the new
checkpoint. Neither file format notices a flipped bit: the sha256 are checked on every load, and
each pointer carries one of itself.

Nothing in a checkpoint can run code: the optimiser state is a dictionary of tensors and numbers,
read with `weights_only=True` and refused otherwise.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
import zipfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from stages.errors import CrossdimError, InputError
from stages.store.commit import commit_bytes, make_folder, sweep
from stages.store.texts import TextError, read_json, read_whole
from stages.train.records import is_whole_pointer, pointer_digest
from stages.train.run import OWN_FILE, versions

FORMAT = "crossdim-checkpoint"
FORMAT_VERSION = 1
# Of weights, or of the state of an optimiser: once as bytes, once as tensors they fill the memory.
MOST_BYTES = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
POINTERS = ("last", "best")
_PLAIN = ("system", "params", "seed", "inputs", "step", "state", "metrics")
OptimizerState = dict[int, dict[str, Any]]  # parameter number -> name -> tensor or number


@dataclass(frozen=True)
class Checkpoint:
    """All that a run needs to go on from a step."""

    system: str
    params: Mapping[str, Any]
    seed: int
    inputs: str  # fingerprint of the data
    step: int
    state: Mapping[str, Any]  # of the loop
    weights: Mapping[str, Tensor]  # on the CPU
    optimizer: OptimizerState = field(default_factory=dict)
    metrics: Mapping[str, float | None] = field(default_factory=dict)  # of a validation at `step`
    origin: str = ""  # where it was read, for messages


def snapshot_weights(model: nn.Module) -> dict[str, Tensor]:
    """A copy of the state of the model on the CPU, contiguous; CrossdimError if not finite."""
    weights = {}
    for name, value in model.state_dict().items():
        weights[name] = value.detach().cpu().clone(memory_format=torch.contiguous_format)
        if not bool(torch.isfinite(weights[name]).all()):
            raise CrossdimError(
                f"the weights {name} are no longer finite; this state is not saved",
                "lower the learning rate; the checkpoint before it is kept",
            )
    return weights


def snapshot_optimizer(optimizer: torch.optim.Optimizer) -> OptimizerState:
    """A copy of the state of the optimiser on the CPU; its settings come from the parameters."""
    return {
        number: {k: v.detach().cpu().clone() if isinstance(v, Tensor) else v for k, v in of.items()}
        for number, of in optimizer.state_dict()["state"].items()
    }


def save(folder: Path, checkpoint: Checkpoint, pointers: Sequence[str]) -> None:
    """Write the checkpoint, then make the pointers ("last", "best") name it.

    Raises CrossdimError if the disk refuses, or if what is read back is not what was written; the
    pointers then stay as they were, or those already replaced name the new checkpoint.
    """
    make_folder(folder)
    files = {
        "weights": _write_file(
            folder, f"weights-{checkpoint.step:08d}", ".safetensors", _weights_bytes(checkpoint)
        ),
        "optimizer": _write_file(
            folder, f"optimizer-{checkpoint.step:08d}", ".pt", _optimizer_bytes(checkpoint)
        ),
    }
    body = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "system": checkpoint.system,
        "params": dict(checkpoint.params),
        "seed": checkpoint.seed,
        "inputs": checkpoint.inputs,
        "step": checkpoint.step,
        "metrics": {k: _finite(v) for k, v in checkpoint.metrics.items()},
        "state": dict(checkpoint.state),
        "versions": versions(),
        "files": files,
    }
    body["sha256"] = pointer_digest(body)
    for pointer in pointers:
        commit_bytes(folder / f"{pointer}.json", (json.dumps(body, indent=1) + "\n").encode())
    _delete_unused(folder)


def load(folder: Path, which: str, system: str, *, with_optimizer: bool = True) -> Checkpoint:
    """The checkpoint that a pointer names, verified; InputError, naming the file, if it is not
    there, damaged, or of another system.
    """
    for attempt in range(3):
        pointer = _read_pointer(folder, which)
        if pointer["system"] != system:
            raise InputError(
                f"this is a checkpoint of {pointer['system']}, not {system}: {folder / which}.json",
                f"give a run of {system}, or run: crossdim train {system}",
            )
        try:
            weights = _parse_weights(*_read_file(folder, which, "weights", pointer))
            optimizer: OptimizerState = {}
            if with_optimizer:
                optimizer = _parse_optimizer(*_read_file(folder, which, "optimizer", pointer))
            break
        except InputError:  # a training that still runs may have replaced it between the reads
            if attempt == 2 or _read_pointer(folder, which) == pointer:
                raise
    plain = {name: pointer[name] for name in _PLAIN}
    origin = f"{folder / which}.json"
    return Checkpoint(**plain, weights=weights, optimizer=optimizer, origin=origin)


def restore_model(model: nn.Module, checkpoint: Checkpoint) -> None:
    """Give the model the weights; InputError if one is missing, foreign, misshaped or NaN."""
    wanted, there = model.state_dict(), checkpoint.weights
    faults = [f"{name} is missing" for name in wanted if name not in there]
    faults += [f"{name} does not belong to it" for name in there if name not in wanted]
    for name in wanted.keys() & there.keys():
        if there[name].shape != wanted[name].shape or there[name].dtype != wanted[name].dtype:
            faults.append(f"{name} is {_kind(there[name])}, not {_kind(wanted[name])}")
        elif not bool(torch.isfinite(there[name]).all()):
            faults.append(f"{name} is not finite")
    if faults:
        first = min(faults) + (f" (and {len(faults) - 1} more)" if len(faults) > 1 else "")
        raise InputError(
            f"the weights of {checkpoint.origin} do not fit {checkpoint.system}: {first}",
            "they are of another version of the system; train again with --fresh",
        )
    model.load_state_dict(dict(there))


def restore_optimizer(optimizer: torch.optim.Optimizer, checkpoint: Checkpoint) -> None:
    """Give the optimiser its state, and nothing of its settings; InputError if it does not fit."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    for number, of in checkpoint.optimizer.items():
        fits = 0 <= number < len(parameters) and all(
            not isinstance(v, Tensor) or v.numel() == 1 or v.shape == parameters[number].shape
            for v in of.values()
        )
        if not fits:
            raise InputError(
                f"the optimiser state of {checkpoint.origin} does not fit {checkpoint.system}",
                "it is of another version of the system; train again with --fresh",
            )
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": checkpoint.optimizer, "param_groups": groups})


def _weights_bytes(checkpoint: Checkpoint) -> bytes:
    return safetensors.torch.save(dict(checkpoint.weights))


def _optimizer_bytes(checkpoint: Checkpoint) -> bytes:
    stream = io.BytesIO()
    torch.save(checkpoint.optimizer, stream)
    return stream.getvalue()


def _write_file(folder: Path, stem: str, suffix: str, data: bytes) -> dict[str, Any]:
    digest = _sha256(data)
    path = folder / f"{stem}-{digest[:12]}{suffix}"
    commit_bytes(path, data)
    with suppress(OSError):
        if _sha256(path.read_bytes()) == digest:
            return {"file": path.name, "sha256": digest, "bytes": len(data)}
    raise CrossdimError(
        f"{path} does not hold what was just written to it",
        "check the disk; the checkpoint before it is kept",
    )


def _delete_unused(folder: Path) -> None:
    """Delete the files that no pointer names; all stay if a pointer cannot be read."""
    used = set()
    for which in POINTERS:
        if (folder / f"{which}.json").exists():
            try:
                used |= {f["file"] for f in _read_pointer(folder, which)["files"].values()}
            except InputError:
                return
    for path in folder.iterdir():
        if OWN_FILE.fullmatch(path.name) and path.name not in used:
            with suppress(OSError):  # what cannot be deleted now is in nobody's way
                path.unlink()
    sweep(folder)


def _read_pointer(folder: Path, which: str) -> dict[str, Any]:
    path = folder / f"{which}.json"
    try:
        pointer = read_json(path)
    except FileNotFoundError as error:
        raise InputError(
            f"there is no {which} checkpoint in {folder}", "train longer: run the training again"
        ) from error
    except TextError as error:
        raise _damaged(path, f"it {error}", which) from error
    except OSError as error:
        raise _damaged(path, error.strerror or str(error), which) from error
    if not isinstance(pointer, dict) or pointer.get("format") != FORMAT:
        raise _damaged(path, "it is not a checkpoint", which)
    if pointer.get("format_version") != FORMAT_VERSION:
        raise InputError(f"{path} is of another program version", "train again with --fresh")
    try:
        intact = pointer.get("sha256") == pointer_digest(pointer)
    except ValueError:  # NaN, which we never write
        intact = False
    if not intact or not is_whole_pointer(pointer):
        raise _damaged(path, "its content does not match its sha256", which)
    return pointer


def _read_file(
    folder: Path, which: str, kind: str, pointer: Mapping[str, Any]
) -> tuple[Path, bytes]:
    """A file that a pointer names, and its bytes as they were hashed."""
    name, digest = str(pointer["files"][kind]["file"]), pointer["files"][kind]["sha256"]
    path = folder / name
    if not OWN_FILE.fullmatch(name):  # so it stays in the folder
        raise _damaged(folder / f"{which}.json", f"it names {name!r} as its {kind}", which)
    try:
        data = read_whole(path, MOST_BYTES)
    except TextError as error:
        raise _damaged(path, f"it {error}", which) from error
    except OSError as error:
        raise _damaged(path, error.strerror or str(error), which) from error
    if _sha256(data) != digest:
        raise _damaged(path, "its content does not match its sha256", which)
    return path, data


def _parse_weights(path: Path, data: bytes) -> dict[str, Tensor]:
    try:
        return safetensors.torch.load(data)
    except (safetensors.SafetensorError, ValueError, KeyError) as error:
        raise _foreign(path, "safetensors") from error


def _parse_optimizer(path: Path, data: bytes) -> OptimizerState:
    """The state in a .pt file that holds nothing but tensors, numbers and dictionaries."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            # torch stores, never compresses: so what is unpacked is no larger than the file
            stored = all(e.compress_type == zipfile.ZIP_STORED for e in archive.infolist())
        state = torch.load(io.BytesIO(data), "cpu", weights_only=True) if stored else None
    except Exception as error:  # whatever its reader trips over, it is not one of ours
        raise _foreign(path, "a plain optimiser state") from error
    if not isinstance(state, dict) or not all(map(_plain, state.items())):
        raise _foreign(path, "a plain optimiser state")
    return state


def _plain(entry: tuple[Any, Any]) -> bool:
    number, of = entry
    if not isinstance(number, int) or not isinstance(of, dict):
        return False
    return all(isinstance(k, str) and isinstance(v, Tensor | int | float) for k, v in of.items())


def _foreign(path: Path, what: str) -> InputError:
    return InputError(
        f"{path} is refused: it is not {what}",
        "it was not written by crossdim; train again with --fresh",
    )


def _damaged(path: Path, why: str, which: str) -> InputError:
    other = "best" if which == "last" else "last"
    return InputError(
        f"{path} is damaged: {why}",
        f"train again: --resume {other} goes on from the {other} checkpoint, --fresh starts over",
    )


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _kind(tensor: Tensor) -> str:
    return f"{tuple(tensor.shape)} {str(tensor.dtype).removeprefix('torch.')}"

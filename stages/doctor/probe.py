"""What is tried in a process of its own, which may hang, crash or be killed: `python -m` this.

One line of JSON each, so that what came before a crash is known: {"name": ..., "found": ...} or
{"name": ..., "error": ...}; {"name": ..., "begun": true} before whatever may not return.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any

# Distributions whose module has another name.
_MODULES = {"pillow": "PIL", "pytorch-metric-learning": "pytorch_metric_learning"}
_MODULES |= {"scikit-image": "skimage", "scikit-learn": "sklearn"}


def _say(name: str, **what: Any) -> None:
    sys.stdout.write(json.dumps({"name": name, **what}) + "\n")
    sys.stdout.flush()


def module_of(distribution: str) -> str:
    """The module that a distribution of ours is imported as."""
    return _MODULES.get(distribution.lower(), distribution.lower().replace("-", "_"))


def _try(name: str, function: Any, *arguments: Any) -> None:
    _say(name, begun=True)
    try:
        _say(name, found=function(*arguments))
    except BaseException as error:
        _say(name, error=f"{type(error).__name__}: {error}"[:300])


def _import(name: str) -> str:
    importlib.import_module(module_of(name))
    return "imported"


def _cuda() -> list[str]:
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    return [torch.cuda.get_device_name(n) for n in range(count)]


def _mps() -> bool:
    import torch

    return bool(torch.backends.mps.is_available())


def _hdf5(folder: str) -> dict[str, Any]:
    """Write a file as a stage does, read it back, and lock it."""
    import io

    import h5py
    import numpy as np

    from stages.store.commit import commit_bytes
    from stages.store.untrusted import open_readonly

    buffer = io.BytesIO()
    values = np.arange(1000, dtype=np.float32)
    with h5py.File(buffer, "w", libver=("v110", "v110")) as file:
        file.create_dataset("values", data=values, chunks=True, fletcher32=True)
    path = Path(folder) / f"doctor-{id(buffer):x}.h5"
    commit_bytes(path, buffer.getvalue())
    try:
        with open_readonly(path, "the trial file") as file:
            same = bool((file["values"][:] == values).all())
        return {"hdf5": h5py.version.hdf5_version, "same": same, "locks": _locks(path)}
    finally:
        path.unlink(missing_ok=True)


def _locks(path: Path) -> bool:
    import filelock

    lock = filelock.FileLock(path.with_suffix(".lock"))
    try:
        with lock.acquire(timeout=5):
            return True
    except (OSError, NotImplementedError, filelock.Timeout):
        return False
    finally:
        path.with_suffix(".lock").unlink(missing_ok=True)


def main(what: str, arguments: list[str]) -> None:
    """Try one group of things, and say what came of each."""
    if what == "imports":
        for name in arguments:
            _try(name, _import, name)
        _try("cuda", _cuda)
        _try("mps", _mps)
    elif what == "files":
        _try("hdf5", _hdf5, arguments[0])


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])

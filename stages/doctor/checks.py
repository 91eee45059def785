"""Every check of the doctor, in the order of a reader: what it found, and what would mend it."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from stages.doctor import versions

State = Literal["ok", "note", "bad"]
_SECONDS = 120.0  # for a group of trials; a slow disk may take that long to import torch
_LEAST_FREE = 1 << 30  # bytes: below that a pipeline of a few shapes fills the disk
_LEAST_MEMORY = 2 << 30
_SHARED = ("nfs", "nfs4", "cifs", "smb3", "lustre", "gpfs", "beegfs", "ceph", "9p", "fuse.sshfs")
_INSTALL = "run: pip install --upgrade crossdim"


@dataclass(frozen=True)
class Check:
    """One thing that was looked at. `bad` is what the base cannot do without."""

    group: str
    name: str
    state: State
    found: str
    mend: str = ""


def checks(workspace: Path, seconds: float = _SECONDS) -> Iterator[Check]:
    """All checks, one by one; none raises, none takes much longer than `seconds`."""
    parts: Sequence[Callable[[], Iterator[Check]]] = (
        _python,
        lambda: _packages(seconds),
        _graphics,
        lambda: _files(workspace, seconds),
        _machine,
        _extras,
        _programs,
    )
    for part in parts:
        try:
            yield from part()
        except Exception as error:  # the doctor has to live on, whatever is broken
            yield Check("doctor", "a check", "note", f"{type(error).__name__}: {error}"[:300])


def _python() -> Iterator[Check]:
    met = versions.python_is_met()
    least = versions.python_least()
    mend = "" if met else f"install Python {least} or newer"
    yield Check(
        "versions", "python", "ok" if met else "bad", f"{platform.python_version()} (>= {least})",
        mend,
    )  # fmt: skip
    here = versions.installed("crossdim")
    yield Check(
        "versions", "crossdim", "ok" if here else "bad", here or "not installed",
        "" if here else "run: pip install -e .   (in the checkout)",
    )  # fmt: skip


def _packages(seconds: float) -> Iterator[Check]:
    """Every package of the base: there, new enough, and importable; then what torch computes on."""
    base = [need for need in versions.needs() if not need.extra]
    tried = attempt("imports", [need.name for need in base if need.found], seconds)
    for need in base:
        asked = f" (>= {need.least})" if need.least else ""
        if not need.found:
            state, found = "bad", f"not installed{asked}"
        elif not need.is_met:
            state, found = "bad", f"{need.found}, too old{asked}"
        elif "found" not in tried.get(need.name, {}):
            reason = tried.get(need.name, {}).get("error", "was not tried: one before it failed")
            state, found = "bad", f"{need.found} cannot be imported: {reason}"
        else:
            state, found = "ok", f"{need.found}{asked}"
        wanted = f"{need.name}>={need.least}" if need.least else need.name
        mend = "" if state == "ok" else f"run: pip install --upgrade '{wanted}'"
        yield Check("versions", need.name, "ok" if state == "ok" else "bad", found, mend)
    yield from _devices(tried)


def _devices(tried: dict[str, dict[str, Any]]) -> Iterator[Check]:
    yield Check("devices", "cpu", "ok", platform.processor() or platform.machine())
    for name in ("cuda", "mps"):
        result = tried.get(name, {})
        there = result.get("found")
        text = ", ".join(there) if isinstance(there, list) and there else "none"
        text = "yes" if there is True else result.get("error", text if result else "not tried")
        yield Check("devices", name, "ok" if there else "note", text)


def _graphics() -> Iterator[Check]:
    from stages.render.backend import gl_device, is_software

    device = gl_device()  # asks in a process of its own
    text = f"{device}; in software, so the project's rasteriser draws" if device else ""
    text = device if device and not is_software(device) else text
    yield Check(
        "devices", "OpenGL (EGL)", "ok" if device else "note",
        text or "none: the project's rasteriser draws",
        "" if device else "not needed; Debian: apt-get install libegl1 libgl1-mesa-dri",
    )  # fmt: skip


def _files(workspace: Path, seconds: float) -> Iterator[Check]:
    """Whether a file of the cache can be written in the workspace, read back, and locked."""
    folder = workspace.absolute()
    while not folder.is_dir() and folder != folder.parent:
        folder = folder.parent
    yield Check(
        "files", "workspace", "ok",
        f"{workspace}" if folder == workspace.absolute() else f"{workspace}, not there yet",
    )  # fmt: skip
    result = attempt("files", [str(folder)], seconds).get("hdf5", {})
    found = result.get("found", {})
    if found.get("same"):
        yield Check("files", "HDF5", "ok", f"{found['hdf5']}: written and read back")
    else:
        reason = result.get("error", "what was read is not what was written")
        yield Check(
            "files", "HDF5", "bad", reason, "use a --workspace on a disk that can be written"
        )
    kind = file_system(folder)
    shared = "shared, " if kind in _SHARED else ""
    locks = "locks work" if found.get("locks") else "no locks: let one process at a time work there"
    yield Check(
        "files", "file system", "ok" if found.get("locks") else "note",
        f"{shared}{kind or 'unknown'}; {locks}",
    )  # fmt: skip
    usage = shutil.disk_usage(folder)
    yield Check(
        "files", "disk", "ok" if usage.free >= _LEAST_FREE else "note",
        f"{usage.free / 1e9:.1f} of {usage.total / 1e9:.1f} GB free",
        "" if usage.free >= _LEAST_FREE else "make room, or use another --workspace",
    )  # fmt: skip


def file_system(folder: Path) -> str:
    """The type of the file system that a folder lies on, "" where that cannot be told."""
    try:
        lines = Path("/proc/self/mountinfo").read_text("utf-8", "replace").splitlines()
    except OSError:
        return ""
    best, kind = -1, ""
    for line in lines:
        before, _, after = line.partition(" - ")
        fields = before.split(" ")
        if len(fields) < 5 or not after:
            continue
        mount = fields[4].encode().decode("unicode_escape")
        inside = folder == Path(mount) or Path(mount) in folder.parents
        if inside and len(mount) >= best:
            best, kind = len(mount), after.split(" ")[0]
    return kind


def _machine() -> Iterator[Check]:
    import psutil

    memory = psutil.virtual_memory()
    yield Check(
        "machine", "memory", "ok" if memory.available >= _LEAST_MEMORY else "note",
        f"{memory.available / 1e9:.1f} of {memory.total / 1e9:.1f} GB free",
    )  # fmt: skip
    mine = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    limit = os.environ.get("OMP_NUM_THREADS", "")
    text = f"{mine} of {os.cpu_count()} processors" + (
        f", OMP_NUM_THREADS={limit}" if limit else ""
    )
    yield Check("machine", "threads", "ok", text)
    yield Check("machine", "system", "ok", platform.platform())


def _extras() -> Iterator[Check]:
    """Each extra: complete, or the line that installs it."""
    extras: dict[str, list[versions.Need]] = {}
    for need in versions.needs():
        if need.extra:
            extras.setdefault(need.extra, []).append(need)
    for extra, wanted in sorted(extras.items()):
        lacking = [need.name for need in wanted if not need.is_met]
        there = ", ".join(f"{need.name} {need.found}" for need in wanted if need.is_met)
        text = there if not lacking else f"lacks {', '.join(lacking)}"
        mend = f"run: pip install 'crossdim[{extra}]'" if lacking else ""
        yield Check("extras", extra, "note" if lacking else "ok", text, mend)


def _programs() -> Iterator[Check]:
    for name, use in (("ffmpeg", "pictures that move as MP4"), ("chromium", "tests of pages")):
        path = shutil.which(name)
        text = path or f"not on the PATH; only for {use}"
        yield Check("programs", name, "ok" if path else "note", text)


def attempt(what: str, arguments: Sequence[str], seconds: float) -> dict[str, dict[str, Any]]:
    """What `stages.doctor.probe` said of each thing that it tried, whatever became of it.

    A thing that was begun and came to no end has an `error`; later ones are not there.
    """
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    command = [sys.executable, "-m", "stages.doctor.probe", what, *arguments]
    ended = f"took longer than {seconds:g} s"
    try:
        done = subprocess.run(command, env=environment, capture_output=True, timeout=seconds)
        output = done.stdout
        ended = f"its process ended with exit code {done.returncode}"
    except subprocess.TimeoutExpired as error:
        output = error.stdout or b""
    except OSError as error:
        return {"": {"error": str(error)}}
    found: dict[str, dict[str, Any]] = {}
    for line in output.decode("utf-8", "replace").splitlines():
        try:
            said = json.loads(line)
            found[said.pop("name")] = said
        except (ValueError, KeyError, TypeError, AttributeError):
            continue  # a library that prints
    return {n: {"error": ended} if "begun" in one else one for n, one in found.items()}

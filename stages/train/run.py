"""Runs: `WORKSPACE/runs/<system>/<name>/{run.json,metrics.csv,checkpoints/}`.

run.json says what was trained on what, so that evaluation and export need no more than the run.
This module imports torch only inside `load_model`: `crossdim status` reads runs through it.
"""

from __future__ import annotations

import difflib
import functools
import importlib
import importlib.metadata
import json
import platform
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import filelock

from stages.errors import InputError, UsageError
from stages.stage import params_from_json, params_json
from stages.store.commit import commit_bytes, explained, make_folder
from stages.store.fingerprint import safe_name
from stages.store.texts import TextError, read_json
from stages.train.records import is_whole_record, record_digest

if TYPE_CHECKING:
    import torch
    from torch import nn

FORMAT = "crossdim-run"
FORMAT_VERSION = 2  # 1 had no sha256
# What may differ when a run is continued: how long, and how often it looks.
MAY_CHANGE = ("steps", "validate_every")
# The files of a checkpoint; a pointer that names any other is none of ours.
OWN_FILE = re.compile(r"(weights-\d+-[0-9a-f]{12}\.safetensors|optimizer-\d+-[0-9a-f]{12}\.pt)")
Status = Literal["running", "finished", "stopped"]


@dataclass(frozen=True)
class Selection:
    """The data of a run: which items of which artefacts, and what they were."""

    categories: tuple[str, ...] = ()
    variants: Mapping[str, str] = field(default_factory=dict)  # stage -> variant
    ids: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # split -> ids
    fingerprint: str = ""  # of the inputs' fingerprints


@dataclass(frozen=True)
class About:
    """What the caller of the training knows and the loop does not."""

    preset: str = ""
    selection: Selection = field(default_factory=Selection)
    argv: tuple[str, ...] = ()


@dataclass(frozen=True)
class Run:
    """One training: its folder, and for a run about to be trained, what it is about."""

    folder: Path
    about: About | None = None

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def system(self) -> str:
        return self.folder.parent.name

    @property
    def checkpoints(self) -> Path:
        return self.folder / "checkpoints"

    @property
    def metrics(self) -> Path:
        return self.folder / "metrics.csv"

    def exists(self) -> bool:
        """Whether training it has begun."""
        return (self.folder / "run.json").is_file()

    def record(self) -> dict[str, Any]:
        """run.json; InputError if it is missing or damaged."""
        path = self.folder / "run.json"
        try:
            record = read_json(path)
        except FileNotFoundError as error:
            raise InputError(
                f"no run {self.name} of {self.system}", f"run: crossdim train {self.system}"
            ) from error
        except (OSError, TextError) as error:
            why = error.strerror if isinstance(error, OSError) else f"it {error}"
            raise InputError(f"{path} is damaged: {why}", "train it again with --fresh") from error
        if not isinstance(record, dict) or record.get("format") != FORMAT:
            raise InputError(f"{path} is not the record of a run", "train it again with --fresh")
        if record.get("format_version") not in (1, FORMAT_VERSION):
            raise InputError(f"{path} is of another program", "train it again with --fresh")
        signed = record.get("format_version") == FORMAT_VERSION
        if signed and record.get("sha256") != record_digest(record):
            raise InputError(
                f"{path} is damaged: its content does not match its sha256",
                "train it again with --fresh",
            )
        if record.get("system") != self.system:
            raise InputError(f"{path} is of another program", "train it again with --fresh")
        if not is_whole_record(record):
            raise InputError(f"{path} is damaged", "train it again with --fresh")
        return record

    def best(self) -> dict[str, Any]:
        """`sha256` of the weights and `step` of the best checkpoint; InputError without one."""
        try:
            pointer = read_json(self.checkpoints / "best.json")
            return {"sha256": pointer["files"]["weights"]["sha256"], "step": pointer["step"]}
        except FileNotFoundError:
            raise InputError(
                f"run {self.name} has no best checkpoint yet", f"run: crossdim train {self.system}"
            ) from None
        except (OSError, TextError, KeyError, TypeError) as error:
            raise InputError(
                f"the best checkpoint of {self.name} is damaged", "train again"
            ) from error

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Hold the run for this process; UsageError if another one is training it."""
        make_folder(self.folder)
        lock = filelock.FileLock(self.folder / ".lock")  # the kernel drops it when we are killed
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout as error:
            raise UsageError(
                f"run {self.name} of {self.system} is being trained by another process",
                "wait for it, or give this one another --name",
            ) from error
        except OSError as error:  # a link in its place, among others
            raise explained(error, self.folder / ".lock") from error
        try:
            yield
        finally:
            lock.release()

    def check(self, params: Any, seed: int, fresh: bool) -> None:
        """Raise UsageError naming the first field in which this run was begun otherwise.

        With `fresh`, delete what was begun instead.
        """
        if fresh:
            self._clear()
        elif self.exists():
            self._compare(self.record(), self._description(params, seed), type(params))

    def begin(self, params: Any, seed: int) -> None:
        """Write run.json for a training that starts or continues."""
        description = self._description(params, seed)
        if self.exists():
            description["created"] = self.record()["created"]
        self._write(description | {"status": "running"})

    def mark(self, status: Status, **facts: Any) -> None:
        """Record how it stands: the status, and facts such as step, reason and best metric."""
        self._write(self.record() | {"status": status} | facts)

    def _write(self, record: Mapping[str, Any]) -> None:
        record = dict(record) | {"format_version": FORMAT_VERSION, "updated": _now()}
        text = json.dumps(record | {"sha256": record_digest(record)}, indent=1) + "\n"
        commit_bytes(self.folder / "run.json", text.encode())

    def _description(self, params: Any, seed: int) -> dict[str, Any]:
        about = self.about
        if about is None:  # a run that was found, to be carried on as it was
            old = self.record()
            known = {key: old[key] for key in ("preset", "data", "argv")}
        else:
            data = asdict(about.selection)
            known = {"preset": about.preset, "data": data, "argv": list(about.argv)}
        return {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "system": self.system,
            "name": self.name,
            "params": params_json(params),
            "seed": seed,
            **json.loads(json.dumps(known)),  # tuples to lists, as they come back
            "versions": versions(),
            "created": _now(),
        }

    def _compare(self, old: Mapping[str, Any], new: Mapping[str, Any], kind: type) -> None:
        # a field that the old program did not have counts as its default
        before = params_json(params_from_json(kind, old["params"])) | {"seed": old["seed"]}
        after = dict(new["params"]) | {"seed": new["seed"]}
        for name, value in after.items():
            if before[name] != value and name not in MAY_CHANGE:
                self._refuse(f"with {name} {before[name]}, not {value}")
        for name, value in new["data"].items():
            if old["data"].get(name) != value:
                what = {"fingerprint": "inputs", "ids": "shapes"}.get(name, name)
                self._refuse(f"on other {what}")

    def _refuse(self, how: str) -> None:
        raise UsageError(
            f"run {self.name} of {self.system} was begun {how}",
            "use --fresh to start it over, or another --name",
        )

    def _clear(self) -> None:
        for pointer in ("last.json", "best.json"):  # first: without them, no checkpoint is there
            (self.checkpoints / pointer).unlink(missing_ok=True)
        for folder in (self.checkpoints, self.folder / "tensorboard"):
            if folder.is_dir():
                shutil.rmtree(folder)
        self.metrics.unlink(missing_ok=True)
        (self.folder / "run.json").unlink(missing_ok=True)


def create_run(workspace: Path, system: str, name: str, about: About) -> Run:
    """The run of that name, new or to be continued; UsageError if the name is not possible.

    Nothing is written before `train` begins it.
    """
    return Run(workspace / "runs" / system / safe_name(name, "run name"), about)


def list_runs(workspace: Path, system: str | None = None) -> list[Run]:
    """The runs that were begun, of one system or of all, by system and name."""
    files = sorted((workspace / "runs").glob(f"{system or '*'}/*/run.json"))
    return [Run(path.parent) for path in files]


def find_run(
    workspace: Path,
    system: str,
    name: str | None = None,
    category: str | None = None,
    params: Mapping[str, Any] | None = None,
) -> Run:
    """The run of that name, or the newest finished one of the category with these `params`.

    Raises InputError with the name that was probably meant, or the command that trains one.
    """
    params = params or {}
    runs = list_runs(workspace, system)
    if name is not None:
        by_name = {run.name: run for run in runs}
        if name in by_name:
            return by_name[name]
        hint = _meant(name, list(by_name)) or f"run: crossdim train {system} --name {name}"
        raise InputError(f"no run {name} of {system}", hint)
    records = [(run, run.record()) for run in runs]
    fits = [
        (record["updated"], run)
        for run, record in records
        if record["status"] == "finished"
        and (category is None or category in record["data"]["categories"])
        and all(record["params"].get(key) == value for key, value in params.items())
    ]
    if fits:
        return max(fits, key=lambda pair: pair[0])[1]
    of = "".join(f" with {key} {value}" for key, value in params.items())
    of += f" for {category}" if category else ""
    option = "".join(f" --{key} {value}" for key, value in params.items())
    option += f" --category {category}" if category else ""
    trained = sorted({c for _, r in records for c in r["data"]["categories"]})
    hint = f"run: crossdim train {system}{option}"
    if category and category not in trained:
        hint = _meant(category, trained) or hint
    raise InputError(f"no finished run of {system}{of}", hint)


def _meant(word: str, known: list[str]) -> str:
    close = difflib.get_close_matches(word, known, 1)
    return f"did you mean {close[0]}?" if close else ""


@dataclass(frozen=True)
class Trained:
    """A model ready for use, and what it came from."""

    model: nn.Module  # in eval mode
    system: Any  # the system's module
    params: Any
    step: int
    metrics: Mapping[str, float | None]  # of the validation, NaN as None
    run: str = ""
    sha256: str = ""  # of the best weights
    learned_from: tuple[str, ...] = ()  # ids of the shapes that it was trained and chosen on


def load_model(
    run: Run, which: str = "best", system: Any = None, device: torch.device | None = None
) -> Trained:
    """The model of a checkpoint ("best" or "last"), on the CPU unless a device is given.

    `system` is found by the run's name for it unless given. Raises InputError for a run without
    such a checkpoint, and for one that is damaged or of another system.
    """
    from stages.train import checkpoint
    from stages.train.building import build_model

    record = run.record()
    system = system or load_system(record["system"])
    saved = checkpoint.load(run.checkpoints, which, system.NAME, with_optimizer=False)
    params, model = build_model(system, saved.params, saved.weights, saved.origin)
    checkpoint.restore_model(model, saved)
    sha256 = run.best()["sha256"] if which == "best" else ""
    model = model.to(device).eval()
    ids = record["data"]["ids"]
    seen = tuple(i for split, members in ids.items() if split != "test" for i in members)
    return Trained(model, system, params, saved.step, saved.metrics, run.name, sha256, seen)


def load_system(name: str) -> Any:
    """The module `stages.systems.<name>`, "-" in the name for "_"; InputError if there is none."""
    module = f"stages.systems.{name.replace('-', '_')}"
    try:
        if not re.fullmatch(r"[a-z0-9-]+", name):
            raise ModuleNotFoundError(name=module)
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
        raise InputError(f"no system is called {name!r}", "run: crossdim train --help") from error


@functools.cache
def versions() -> dict[str, str]:
    """The versions that a result may depend on."""
    packages = {name: importlib.metadata.version(name) for name in ("crossdim", "torch", "numpy")}
    return packages | {"python": platform.python_version()}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")

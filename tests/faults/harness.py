"""Fails or kills the N-th step of a stage's commits, for every N, and looks at what is left.

For each fault and each N a forked child runs the fake stage for real, several shards and the
manifest, and meets the fault at its N-th file operation. Then only the state before or the state
after may be seen, for every file, and the same run once more must end at the bytes of an
undisturbed one. N goes up until the child completes without meeting the fault.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias
from unittest import mock

from stages.engine import plan as planning
from stages.engine import pools, runner, work
from stages.engine.work import Job, Work
from stages.errors import CrossdimError
from stages.store import commit, index
from stages.store.index import load_index, verify
from stages.store.manifest import MANIFEST
from stages.store.reader import ShardContent, read_content
from tests.engine import fake
from tests.faults.faulty_os import ALWAYS, DEADLY, MODES, TEAR, FaultyOs

Commit: TypeAlias = Callable[[Path, bytes], None]

_DONE, _REFUSED, _NOT_DURABLE, _UNEXPECTED = 0, 1, 98, 99


@dataclass(frozen=True)
class Scenario:
    """A run of the fake stage upon what an earlier run left: ids with the tags of their inputs."""

    name: str
    before: dict[str, str]
    after: dict[str, str]

    @property
    def wanted(self) -> dict[str, str]:
        """All ids that are wanted in the end."""
        return {**self.before, **self.after}


SCENARIOS = (
    Scenario("fresh", {}, {"toy/a": "", "toy/refuse-b": "", "toy/c": "", "toy/refuse-d": ""}),
    Scenario(
        "update",
        {"toy/a": "old", "toy/refuse-b": "old"},
        {"toy/a": "new", "toy/c": "old", "toy/refuse-d": "old"},
    ),
)


@dataclass
class Report:
    """What a sweep found; every list must stay empty."""

    points: int = 0
    fired: int = 0
    damaged: list[str] = field(default_factory=list)  # neither the state before nor after
    failed_resumes: list[str] = field(default_factory=list)  # reruns that did not end equal
    misbehaved: list[str] = field(default_factory=list)  # no error, or not a two-line one
    modes: dict[str, int] = field(default_factory=dict)  # how often each fault was met


def run_scenario(root: Path, tags: dict[str, str]) -> None:
    """The fake stage over these ids, two items a shard, in this process."""
    wanted = {item: fake.wanted([item], tag=tag)[item] for item, tag in tags.items()}
    with mock.patch.object(planning, "_SHARD_ITEMS", 2):
        fake.run_wanted(root, wanted)


def snapshot(folder: Path) -> dict[str, bytes]:
    """Every visible file of an artefact; of the manifest, what does not differ between runs."""
    files = {}
    for path in sorted(folder.glob("*")):
        if not path.name.startswith("."):
            data = path.read_bytes()
            files[path.name] = lasting(data) if path.name == MANIFEST else data
    return files


def lasting(manifest: bytes) -> bytes:
    """A manifest without its times, hence without its digest."""
    data = json.loads(manifest)
    return json.dumps({k: v for k, v in data.items() if k not in ("extra", "digest")}).encode()


class Sweep:
    """All faults at all steps of one scenario."""

    def __init__(self, scenario: Scenario, scratch: Path, commit_bytes: Commit) -> None:
        self._scenario, self._scratch, self._commit = scenario, scratch, commit_bytes
        start, undisturbed = scratch / "start", scratch / "undisturbed"
        start.mkdir()
        run_scenario(start, scenario.before)
        shutil.copytree(start, undisturbed)
        run_scenario(undisturbed, scenario.wanted)
        self._start = start
        self._before = snapshot(_folder(start))
        self._after = snapshot(_folder(undisturbed))
        self._entries = (
            load_index(_folder(start)).entries,
            load_index(_folder(undisturbed)).entries,
        )

    def run(self, mode: str, report: Report) -> None:
        """Sweep over N until the run completes without meeting the fault."""
        root = self._scratch / "now"
        for at in range(1, 10_000):
            if mode == TEAR and self._steps[at - 1 : at] not in (["write"], []):
                continue
            shutil.copytree(self._start, root)
            where = f"{self._scenario.name}: {mode} at step {at}"
            status = self._forked(root, FaultyOs(mode, at))
            completed = status in (_DONE, _NOT_DURABLE)
            report.points += 1
            report.fired += not completed
            report.modes[mode] = report.modes.get(mode, 0) + (not completed)
            self._check_end(mode, status, where, report)
            self._check_state(root, mode, where, report)
            self._check_resume(root, where, report)
            shutil.rmtree(root)
            if completed and at > len(self._steps):
                return
        raise AssertionError(f"{self._scenario.name}: {mode} never completed")

    @functools.cached_property
    def _steps(self) -> list[str]:
        """The steps of the undisturbed run."""
        root = self._scratch / "counting"
        shutil.copytree(self._start, root)
        counting = FaultyOs()
        with injected(counting, self._commit):
            run_scenario(root, self._scenario.wanted)
        return counting.trace

    def _forked(self, root: Path, faulty: FaultyOs) -> int:
        """How the child ended: an exit code, or minus a signal."""
        child = os.fork()
        if child == 0:
            code = _UNEXPECTED
            try:
                with injected(faulty, self._commit):
                    code = self._outcome(root, faulty)
            finally:
                os._exit(code)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    def _outcome(self, root: Path, faulty: FaultyOs) -> int:
        try:
            run_scenario(root, self._scenario.wanted)
        except CrossdimError as error:
            return _REFUSED if str(root) in str(error) and error.hint else _UNEXPECTED
        return _DONE if faulty.is_durable else _NOT_DURABLE

    def _check_end(self, mode: str, status: int, where: str, report: Report) -> None:
        wanted = -signal.SIGKILL if mode in DEADLY else _REFUSED
        if status not in (_DONE, wanted):
            report.misbehaved.append(f"{where}: ended with {status}")

    def _check_state(self, root: Path, mode: str, where: str, report: Report) -> None:
        folder = _folder(root)
        try:
            problems = verify(folder)
            seen = snapshot(folder)
            entries = load_index(folder).entries
        except (CrossdimError, ValueError) as error:
            report.damaged.append(f"{where}: {error}")
            return
        for name, data in seen.items():
            legal = (self._before.get(name), self._after.get(name))
            # after an error the run ends in order, with a manifest of the shards that it made
            if data not in legal and (name != MANIFEST or mode in DEADLY):
                problems[name] = "neither the file before nor the file after"
        for name in self._before:
            if name not in seen:
                problems[name] = "was there and is gone"
        for item, entry in entries.items():
            if entry not in (self._entries[0].get(item), self._entries[1].get(item)):
                problems[item] = "neither the item before nor the item after"
        if mode != ALWAYS and mode not in DEADLY and list(folder.glob(f"{commit.TEMPORARY}*")):
            problems["."] = "a temporary file was left behind"
        report.damaged += [f"{where}: {name}: {what}" for name, what in problems.items()]

    def _check_resume(self, root: Path, where: str, report: Report) -> None:
        try:
            run_scenario(root, self._scenario.wanted)
            problems, seen = verify(_folder(root)), snapshot(_folder(root))
        except Exception as error:  # whatever it is, it is counted, with its place
            report.failed_resumes.append(f"{where}: {type(error).__name__}: {error}")
            return
        if problems or seen != self._after:
            report.failed_resumes.append(f"{where}: {problems or 'other bytes'}")


def _folder(root: Path) -> Path:
    return root / "fake" / "default"


@contextlib.contextmanager
def injected(faulty: FaultyOs, commit_bytes: Commit) -> Iterator[None]:
    """The fault in place, and `commit_bytes` wherever a run commits."""
    with (
        mock.patch.object(commit, "os", faulty),
        mock.patch.object(runner, "commit_bytes", commit_bytes),
        mock.patch.object(index, "commit_bytes", commit_bytes),
    ):
        yield


@contextlib.contextmanager
def memoised() -> Iterator[None]:
    """Encoding items and listing intact shards is not what is swept, and most of the time."""
    encoded: dict[str, bytes] = {}
    listed: dict[str, ShardContent] = {}

    def perform(job: Job, one: Work) -> bytes:
        if one.id not in encoded:
            encoded[one.id] = work.perform(job, one)
        return encoded[one.id]

    def content(path: Path) -> ShardContent:
        if path.name not in listed:  # its bytes were compared with its name before
            listed[path.name] = read_content(path)
        return listed[path.name]

    with (
        mock.patch.object(pools, "perform", perform),
        mock.patch.object(index, "read_content", content),
    ):
        yield


def sweep(
    modes: tuple[str, ...] = MODES,
    scenarios: tuple[Scenario, ...] = SCENARIOS,
    commit_bytes: Commit = commit.commit_bytes,
) -> Report:
    """All faults at all steps; in memory if there is some, for it is their order that counts."""
    report = Report()
    memory = Path("/dev/shm")
    for scenario in scenarios:
        with (
            tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as scratch,
            memoised(),
        ):
            one = Sweep(scenario, Path(scratch), commit_bytes)
            for mode in modes:
                one.run(mode, report)
    return report

"""R10. Commands at once, and slices in any order, end at the bytes of one command alone."""

from __future__ import annotations

import itertools
import subprocess
from pathlib import Path

import pytest

from stages.engine.pools import Limits
from stages.engine.runner import execute
from stages.store.index import verify
from tests.engine import fake
from tests.faults.command import REPOSITORY, command_line, environment, ids_of
from tests.faults.harness import snapshot

ITEMS = 40
IDS = [name.replace("slow-", "") for name in ids_of(ITEMS)]


def _start(root: Path, part: str = "", **variables: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command_line(root, ITEMS, jobs=0, part=part),
        cwd=REPOSITORY,
        env=environment(**variables),
        stderr=subprocess.PIPE,
        text=True,
    )


def _end_in_order(processes: list[subprocess.Popen[str]]) -> None:
    for process in processes:
        errors = process.communicate(timeout=60)[1]
        assert (process.returncode, errors) == (0, "")


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of one command alone."""
    root = tmp_path_factory.mktemp("alone")
    fake.run(root, ids_of(ITEMS))
    return snapshot(fake.artefact_of(root).folder)


@pytest.mark.parametrize("locking", ["TRUE", "FALSE"])
def test_four_identical_commands_at_once(
    tmp_path: Path, alone: dict[str, bytes], locking: str
) -> None:
    commands = [_start(tmp_path, HDF5_USE_FILE_LOCKING=locking) for _ in range(4)]
    _end_in_order(commands)
    folder = fake.artefact_of(tmp_path).folder
    assert snapshot(folder) == alone
    assert verify(folder) == {}
    assert {p.name for p in folder.iterdir()} == {*alone, ".manifest.lock"}


def test_slices_at_once(tmp_path: Path, alone: dict[str, bytes]) -> None:
    _end_in_order([_start(tmp_path, f"{number}/3") for number in range(3)])
    assert snapshot(fake.artefact_of(tmp_path).folder) == alone


def test_slices_in_any_order(tmp_path: Path) -> None:
    def run_slice(root: Path, number: int, count: int) -> None:
        plan = fake.plan_of(root, IDS, part=(number, count))
        execute(plan, fake.STAGE, fake.Params(), Limits(jobs=0))

    run_slice(tmp_path / "whole", 0, 1)
    whole = snapshot(fake.artefact_of(tmp_path / "whole").folder)
    for order in itertools.permutations(range(3)):
        root = tmp_path / "".join(map(str, order))
        for number in order:
            run_slice(root, number, 3)
        assert snapshot(fake.artefact_of(root).folder) == whole


def test_four_commands_at_once_mend_a_damaged_artefact(
    tmp_path: Path, alone: dict[str, bytes]
) -> None:
    folder = fake.artefact_of(tmp_path).folder
    folder.mkdir(parents=True)
    for name, data in alone.items():
        if name.startswith("shard-"):
            (folder / name).write_bytes(data[: len(data) // 2])
    _end_in_order([_start(tmp_path) for _ in range(4)])
    assert snapshot(folder) == alone
    assert verify(folder) == {}

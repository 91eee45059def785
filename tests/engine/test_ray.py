"""Items on a Ray cluster: the bytes, and the failures, of a run without one.

R14, the loss of a node, takes minutes: `pytest tests/engine/test_ray.py -k lost`.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from stages.engine.pools import Limits
from stages.engine.ray_cluster import require_ray
from stages.engine.runner import execute
from stages.errors import EnvironmentLacks, UsageError
from stages.store.index import verify
from stages.store.reader import read_content
from tests.engine import attaching, fake
from tests.engine.ray_driver import BAD, GIB, GOOD, MANY, POISONED, SECONDS
from tests.engine.test_attach import make_palette
from tests.faults.command import REPOSITORY, command_line, environment
from tests.faults.harness import snapshot
from tests.faults.processes import outliving

pytest.importorskip("ray", reason="the extra `cluster` is not installed")

REASONS = {
    "toy/crash": "its process was killed by SIGSEGV",
    "toy/hang": "took longer than 4 s",
    "toy/eat": "needs more than 1 GiB of memory",
    "toy/refuse": "refused on purpose",
    "toy/bug": "KeyError: 'a bug in the stage'",
    "toy/exit": "its process ended with exit code 3",
}


def drive(kind: str, root: Path) -> dict[str, Any]:
    """What `tests.engine.ray_driver` tells."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "tests.engine.ray_driver", kind, str(root)],
        cwd=REPOSITORY,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def folder(root: Path) -> Path:
    return fake.artefact_of(root).folder


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an input of the attaching stage in it."""
    root = tmp_path_factory.mktemp("ray")
    fake.run(root / "attaching", GOOD)
    make_palette(root / "attaching", "first")
    return root


@pytest.fixture(scope="module")
def told(root: Path) -> dict[str, Any]:
    """What came of the runs on a Ray cluster of this machine."""
    return drive("local", root)


def test_bad_items_cost_themselves_and_the_bytes_are_the_same(
    told: dict[str, Any], root: Path
) -> None:
    assert told["failures"] == REASONS
    assert told["done"] == len(GOOD)
    outcome = fake.run(root / "pool", GOOD + BAD, jobs=2, seconds=SECONDS, memory_gib=GIB)
    assert outcome.failures == REASONS
    assert snapshot(folder(root / "poisoned")) == snapshot(folder(root / "pool"))


def test_an_item_that_kills_its_worker_is_charged_after_some_tries(
    told: dict[str, Any], root: Path
) -> None:
    assert told["murder"] == {"toy/murder": "its worker was lost 4 times (WorkerCrashedError)"}
    assert told["survivors"] == len(GOOD)
    assert sorted(fake.artefact_of(root / "murder").index.items()) == GOOD


def test_attachments_and_relative_paths_arrive(told: dict[str, Any], root: Path) -> None:
    assert told["attached"] == len(GOOD)
    there = snapshot(attaching.artefact_of(root / "attaching").folder)
    for path in attaching.artefact_of(root / "attaching").folder.iterdir():
        path.unlink()
    plan = attaching.plan_of(root / "attaching")
    execute(plan, attaching.STAGE, attaching.Params(), Limits(jobs=0))
    assert snapshot(attaching.artefact_of(root / "attaching").folder) == there


def test_an_input_that_is_nowhere_is_the_error(told: dict[str, Any]) -> None:
    assert told["lost"] == ["InputError", "shard /nowhere/shard.h5 is missing"]


def test_nobody_else_can_reach_it_and_nothing_stays(told: dict[str, Any]) -> None:
    assert told["listening"]
    assert {ip.removeprefix("::ffff:") for ip in told["listening"]} == {"127.0.0.1"}
    assert [name for name in told["changed"] if "TOKEN" in name or "AUTH" in name] == []


def test_ctrl_c_ends_in_order_and_leaves_no_process(tmp_path: Path) -> None:
    process = subprocess.Popen(
        command_line(tmp_path, 400, 2, "local"),
        cwd=REPOSITORY,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    while not list(folder(tmp_path).glob("shard-*")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all of them
    pressed = time.monotonic()
    assert process.wait(timeout=30) == 130
    assert time.monotonic() - pressed < 5
    assert outliving(process.pid, 2.0) == []
    assert process.stderr is not None
    process.stderr.close()
    assert verify(folder(tmp_path)) == {}
    assert fake.artefact_of(tmp_path).index.saved
    assert 0 < len(fake.artefact_of(tmp_path).index.items()) < 400


@pytest.mark.parametrize(
    ("address", "error"),
    [
        ("127.0.0.1:9", EnvironmentLacks),  # the port of `discard`: nobody listens
        ("nobody.invalid:6379", EnvironmentLacks),
        ("localhost", UsageError),
        ("localhost:many", UsageError),
        ("ray://localhost:10001", UsageError),
    ],
)
def test_addresses_where_there_is_no_cluster(address: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        require_ray(address)


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(EnvironmentLacks, match="not installed") as caught:
        require_ray("local")
    assert "crossdim[cluster]" in caught.value.hint


@pytest.mark.slow
def test_nodes_and_workers_may_be_lost(tmp_path: Path) -> None:
    told = drive("cluster", tmp_path)
    assert told["disturbed"] == ["worker", "node"]
    assert told["failures"] == {item: REASONS[item] for item in POISONED}
    assert told["done"] == len(MANY)
    artefact = fake.artefact_of(tmp_path / "disturbed")
    assert sorted(artefact.index.items()) == sorted(MANY)
    assert verify(artefact.folder) == {}
    # nothing twice: neither in two shards, nor made and then replaced
    contents = [read_content(path) for path in sorted(artefact.folder.glob("shard-*.h5"))]
    times = Counter(i for c in contents for i in (*c.ids, *(f.id for f in c.failures)))
    assert set(times.values()) == {1}
    assert {c.key.generation for c in contents} == {0}
    alone = tmp_path / "alone"
    fake.run(alone, MANY + POISONED, jobs=2, seconds=SECONDS, memory_gib=GIB)
    assert snapshot(artefact.folder) == snapshot(folder(alone))

    assert told["second"] == len(GOOD)
    code, message = told["refused"]["wrong"]
    assert code == 4
    assert message.startswith(f"cannot use the Ray cluster {told['address']}")
    code, message = told["refused"]["none"]
    assert code == 4
    assert message.startswith("no token for the Ray cluster")


@pytest.mark.slow
def test_a_killed_command_leaves_nobody_at_work(tmp_path: Path) -> None:
    process = subprocess.Popen(
        command_line(tmp_path, 400, 2, "local"),
        cwd=REPOSITORY,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    while not list(folder(tmp_path).glob("shard-*")):
        assert process.poll() is None
        time.sleep(0.02)
    process.kill()
    process.wait(timeout=10)
    left = [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in outliving(process.pid, 5.0)]
    # all that works on items; two agents of Ray look for their parent for a minute
    agents = {b"ray::DashboardAgent", b"ray::RuntimeEnvAgent"}
    assert {name.rstrip(b"\0 ") for name in left} <= agents
    assert outliving(process.pid, 150.0) == []
    assert verify(folder(tmp_path)) == {}

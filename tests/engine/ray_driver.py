"""`python -m tests.engine.ray_driver local|cluster ROOT`: runs on Ray, told as JSON on stdout.

In an interpreter of its own: Ray leaves threads behind, with which other tests must not fork.
"""

from __future__ import annotations

import dataclasses
import json
import os
import secrets
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from stages.engine.plan import make_plan
from stages.engine.pools import Limits
from stages.engine.ray_cluster import _cluster
from stages.engine.runner import Progress, execute
from stages.errors import CrossdimError
from stages.store.workspace import Workspace
from tests.engine import attaching, fake

GOOD = [f"toy/{number:02d}" for number in range(40)]
BAD = ["toy/crash", "toy/hang", "toy/eat", "toy/refuse", "toy/bug", "toy/exit"]
MANY = [f"toy/slow-{number:03d}" for number in range(396)]
POISONED = ["toy/crash", "toy/hang", "toy/eat", "toy/exit"]
SECONDS, GIB = 4.0, 1.0


def limits(**more: Any) -> Limits:
    """The limits of all runs here."""
    return Limits(jobs=2, seconds=SECONDS, memory_gib=GIB, **more)


def listening() -> list[str]:
    """Addresses at which this process and those below it listen."""
    mine = psutil.Process()
    found = {
        connection.laddr.ip
        for process in (mine, *mine.children(recursive=True))
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }
    return sorted(found)


def local(root: Path) -> dict[str, Any]:
    """Bad items among good ones; one that kills its Ray worker; attachments; another address."""
    told: dict[str, Any] = {}
    before = dict(os.environ)
    with _cluster(limits(ray="local")):
        told["listening"] = listening()
        outcome = fake.run(
            root / "poisoned", GOOD + BAD, jobs=2, seconds=SECONDS, memory_gib=GIB, ray="local"
        )
        told["failures"], told["done"] = outcome.failures, outcome.done
        outcome = fake.run(root / "murder", [*GOOD, "toy/murder"], jobs=2, ray="local")
        told["murder"], told["survivors"] = outcome.failures, outcome.done
        os.chdir(root)  # workers run elsewhere: relative paths must reach them
        plan = attaching.plan_of(Path("attaching"))
        told["attached"] = execute(
            plan, attaching.STAGE, attaching.Params(), limits(ray="local")
        ).done
        told["lost"] = _lost_input(root)
    told["changed"] = sorted(k for k in os.environ if os.environ[k] != before.get(k))
    return told


def _lost_input(root: Path) -> list[str]:
    """What is said when an input is nowhere: that, and not that a node does not see it."""
    wanted = attaching.wanted_of(root / "attaching")
    work = dataclasses.replace(wanted[GOOD[0]], inputs={"fake": ("/nowhere/shard.h5", 0)})
    artefact = Workspace(root / "lost").artefact("attaching", "default")
    plan = make_plan(attaching.STAGE, attaching.Params(), 0, artefact, {work.id: work})
    try:
        execute(plan, attaching.STAGE, attaching.Params(), limits(ray="local"))
    except CrossdimError as error:
        return [type(error).__name__, str(error)]
    return []


class Disturbance:
    """A Ray worker is killed, later a whole node is lost, while a run goes on."""

    def __init__(self, lose_node: Callable[[], None]) -> None:
        self._lose_node = lose_node
        self.done: list[str] = []

    def __call__(self, progress: Progress) -> None:
        if progress.done >= 60 and not self.done:
            victims = [p for p in psutil.process_iter(["cmdline"]) if self._is_worker(p)]
            assert victims
            victims[0].kill()
            self.done.append("worker")
        if progress.done >= 150 and len(self.done) == 1:
            self._lose_node()
            self.done.append("node")

    @staticmethod
    def _is_worker(process: psutil.Process) -> bool:
        return "ray::_supervise" in " ".join(process.info["cmdline"] or [])


def cluster(root: Path) -> dict[str, Any]:
    """Several nodes with a token; 4 poisoned items among 400; a worker and a node are lost."""
    os.environ["RAY_AUTH_MODE"] = "token"
    os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
    from ray.cluster_utils import Cluster

    quick = {"health_check_period_ms": 1000, "health_check_failure_threshold": 3}
    nodes = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 1, "include_dashboard": False, "_system_config": quick},
    )
    lost = nodes.add_node(num_cpus=1)
    nodes.add_node(num_cpus=1)
    try:
        disturb = Disturbance(lambda: nodes.remove_node(lost, allow_graceful=False))
        plan = fake.plan_of(root / "disturbed", MANY + POISONED)
        outcome = execute(plan, fake.STAGE, fake.Params(), limits(ray=nodes.address), disturb)
        told = {
            "failures": outcome.failures,
            "done": outcome.done,
            "disturbed": disturb.done,
            "address": nodes.address,
        }
        again = fake.run(root / "second", GOOD, jobs=2, ray=nodes.address)
        told["second"] = again.done
        told["refused"] = _without_token(nodes.address, root / "refused")
    finally:
        nodes.shutdown()
    return told


def _without_token(address: str, place: Path) -> dict[str, list[Any]]:
    """What a command says that has a wrong token, or none."""
    answers = {}
    for name, more in (
        ("wrong", {"RAY_AUTH_TOKEN": secrets.token_hex(32)}),
        ("none", {"HOME": "/nowhere", "RAY_AUTH_MODE": "", "RAY_AUTH_TOKEN": ""}),
    ):
        environment = {k: v for k, v in {**os.environ, **more}.items() if v}
        done = subprocess.run(
            [sys.executable, "-m", "tests.faults.command", str(place), "4", "1", address],
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
        )
        answers[name] = [done.returncode, done.stderr.splitlines()[-2]]  # Ray warns before them
    return answers


if __name__ == "__main__":
    kind, place = sys.argv[1:]
    result = {"local": local, "cluster": cluster}[kind](Path(place))
    print(json.dumps(result))

"""A stage for tests: cheap, seeded, and able to misbehave on demand."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from stages.engine.plan import Plan, Planner, make_plan
from stages.engine.pools import Limits
from stages.engine.runner import Outcome, execute
from stages.engine.work import Work
from stages.errors import ItemError
from stages.stage import Arrays, ArraySpec, Item, Stage, params_json
from stages.store.fingerprint import item_fingerprint
from stages.store.workspace import Artefact, Workspace


@dataclass(frozen=True)
class Params:
    scale: int = 1


SPEC = {
    "grid": ArraySpec("bool", ("x", "y", "z"), packed=True),
    "points": ArraySpec("float32", ("point", "xyz"), ragged=True),
    "split": ArraySpec("S16", label=True),
}


REFUSED = "refuse"


def crash(*arguments: Any) -> None:
    """End this process as a bug in a C library would."""
    os.kill(os.getpid(), signal.SIGSEGV)


def process(item: Item, params: Params, rng: np.random.Generator) -> Arrays:
    """Random arrays of the item's seed; ids that contain a verb do what it says instead."""
    if REFUSED in item.id:
        raise ItemError("refused on purpose")
    if "bug" in item.id:
        raise KeyError("a bug in the stage")
    if "crash" in item.id:
        crash()
    if "exit" in item.id:
        os._exit(3)
    if "murder" in item.id:  # of whoever supervises it
        os.kill(os.getppid(), signal.SIGKILL)
    if "slow" in item.id:
        time.sleep(0.02)
    if "hang" in item.id:
        time.sleep(600)
    if "eat" in item.id:
        return {"grid": np.ones((20_000, 1000, 1000), bool)}
    return {
        "grid": rng.random((8, 8, 8)) < 0.5,
        "points": (params.scale * rng.random((int(rng.integers(0, 9)), 3))).astype(np.float32),
        "split": np.array(b"train"),
    }


STAGE = Stage("fake", 1, Params, SPEC, process, command="crossdim fake")


def wanted(
    ids: list[str], params: Params = Params(), seed: int = 0, tag: str = ""
) -> dict[str, Work]:
    """Work for these ids; `tag` stands for the content of their inputs."""
    values = params_json(params)
    return {
        i: Work(i, item_fingerprint(STAGE.name, STAGE.version, values, seed, {"tag": tag}))
        for i in ids
    }


def artefact_of(root: Path) -> Artefact:
    """The one artefact of the fake stage."""
    return Workspace(root).artefact("fake", "default")


def plan_of(
    root: Path,
    ids: list[str],
    tag: str = "",
    retry_failed: bool = False,
    part: tuple[int, int] | None = None,
) -> Plan:
    """The plan of the fake stage over these ids, or over one part of them."""
    planner = Planner(STAGE, Params(), 0, artefact_of(root))
    return planner.plan(wanted(planner.narrow(ids, part), tag=tag), retry_failed)


def run(
    root: Path, ids: list[str], tag: str = "", retry_failed: bool = False, **limits: Any
) -> Outcome:
    """Plan and execute, in this process unless `jobs` is given."""
    plan = plan_of(root, ids, tag, retry_failed)
    return execute(plan, STAGE, Params(), Limits(**{"jobs": 0, **limits}))


def run_wanted(root: Path, work: dict[str, Work]) -> Outcome:
    """Plan and execute just this work, in this process."""
    plan = make_plan(STAGE, Params(), 0, artefact_of(root), work)
    return execute(plan, STAGE, Params(), Limits(jobs=0))

"""Cached results of several runs, put side by side: those of the same pictures of a category."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from stages.errors import InputError
from stages.evaluate.health import difference
from stages.stage import Stage
from stages.store.shard import params_of
from stages.store.workspace import Artefact, Workspace, category_of
from stages.train.run import Run

_OPTIONS = {"landmarks": "--landmarks", "keypoints": "--photos"}


class Measured(NamedTuple):
    """A run, what a protocol keeps of it, and on what: `landmarks/NAME` or `keypoints/NAME`."""

    run: Run
    results: Artefact
    on: str


class Group(NamedTuple):
    """What was measured on the same pictures, all of one category."""

    on: str
    category: str
    measured: tuple[Measured, ...]
    ids: tuple[str, ...]  # of which every run has results


def measured(
    workspace: Workspace, run: Run, protocol: Stage, on: str | None = None, others: bool = False
) -> Measured:
    """The results of a run on these pictures, without any on those that it was trained on.

    `others`: of categories that the run does not know. Raises InputError with the command that
    makes them when there are none, or the run, the pictures or the protocol are no longer what
    they were.
    """
    own = run.record()["data"]["variants"]
    wanted = [on] if on else [f"{stage}/{own[stage]}" for stage in _OPTIONS if stage in own]
    for artefact in workspace.artefacts(protocol.name):
        key = artefact.index.key
        params = params_of(key) if key else {}
        name, _, rest = next(iter(params.get("inputs", ())), "").partition(" ")
        mine = params.get("run") == f"{run.system}-{run.name}"
        if mine and name in wanted and rest.endswith(" others") == others:
            old = key is not None and key.stage_version != protocol.version
            why = difference(workspace, artefact, run)
            if why := why or ("an earlier version measured them" if old else ""):
                raise InputError(
                    f"{artefact.name} is stale: {why}", _command(protocol, run, name, others)
                )
            return Measured(run, artefact, name)
    name = wanted[0] if wanted else ""
    raise InputError(
        f"run {run.name} was not measured{f' on {name}' if name else ''} yet",
        _command(protocol, run, name, others),
    )


def _command(protocol: Stage, run: Run, on: str, others: bool) -> str:
    stage, _, variant = on.partition("/")
    chosen = f" {_OPTIONS[stage]} {variant}" if stage in _OPTIONS else ""
    crossed = " --cross-category" if others else ""
    return f"run: {protocol.command} --run {run.name}{chosen}{crossed}"


def grouped(found: Sequence[Measured]) -> list[Group]:
    """A group for each set of pictures and each category, of the items that its runs share.

    Raises InputError where runs of a group share none: their curves would be of other pictures.
    """
    there: dict[tuple[str, str], list[tuple[Measured, set[str]]]] = {}
    for one in found:
        items = one.results.index.items()
        for category in sorted({category_of(item) for item in items}):
            ids = {item for item in items if category_of(item) == category}
            there.setdefault((one.on, category), []).append((one, ids))
    groups = []
    for (on, category), members in there.items():
        shared = set.intersection(*(ids for _, ids in members))
        if not shared:
            names = ", ".join(one.run.name for one, _ in members)
            raise InputError(f"{names} share no {category} of {on}", "draw them one by one")
        groups.append(Group(on, category, tuple(one for one, _ in members), tuple(sorted(shared))))
    return groups

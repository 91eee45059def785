"""How fresh every artefact of a workspace is, and why. Reads manifests and file digests only."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from stages.engine.plan import (
    Plan,
    Selection,
    State,
    compare,
    make_plan,
    wanted_again,
    wanted_from_inputs,
)
from stages.engine.sources import select_again, wanted_from_sources, with_digests
from stages.engine.work import Work
from stages.errors import CrossdimError, InputError
from stages.registry import DERIVED, SOURCES
from stages.stage import Stage, differing, params_from_json
from stages.store.manifest import Index
from stages.store.shard import params_of
from stages.store.workspace import Artefact, Workspace, category_of


@dataclass(frozen=True)
class ArtefactStatus:
    """The state of one artefact; `note` says what could not be checked."""

    name: str
    items: int
    state: State
    damaged: dict[str, str] = field(default_factory=dict)
    note: str = ""

    @property
    def is_fresh(self) -> bool:
        """Whether everything that can be there is there, whole and up to date."""
        return not (self.state.stale or self.state.missing or self.damaged or self.note)


def workspace_status(workspace: Workspace) -> list[ArtefactStatus]:
    """The state of every artefact of the data stages, inputs before what is made of them."""
    names = dict.fromkeys([*(stage.name for stage in SOURCES.values()), *DERIVED])
    return [artefact_status(workspace, a) for name in names for a in workspace.artefacts(name)]


def artefact_status(workspace: Workspace, artefact: Artefact) -> ArtefactStatus:
    """The state of one artefact, whole or not."""
    index = artefact.index
    note = ""
    try:
        wanted, stage = _wanted(workspace, artefact)
        state = compare(index, wanted, stage.version)
    except CrossdimError as error:
        note = str(error)
        failed = {i: e.reason for i, e in index.failures().items()}
        state = State(fresh=tuple(index.items()), failed=failed)
    return ArtefactStatus(artefact.name, len(index.items()), state, dict(index.damaged), note)


def _wanted(workspace: Workspace, artefact: Artefact) -> tuple[dict[str, Work], Stage]:
    """What the artefact is to hold: what all its runs asked for, of the inputs as they are now."""
    index = artefact.index
    if index.key is None:
        raise CrossdimError("no shard of it can be read")
    if artefact.stage in DERIVED:
        stage = DERIVED[artefact.stage]
        params = params_from_json(stage.params, params_of(index.key))
        if asked := _asked(index):
            return wanted_again(stage, params, index.key.seed, workspace, asked), stage
        # its manifest was lost: categories of which nothing is there were never asked for
        wanted = wanted_from_inputs(stage, params, index.key.seed, workspace, Selection())
        there = {category_of(item) for item in index.entries}
        return {i: w for i, w in wanted.items() if category_of(i) in there}, stage
    origin = index.extra.get("source", {})
    if origin.get("kind") not in SOURCES:
        raise CrossdimError("where its files came from is not known any more")
    stage = SOURCES[origin["kind"]]
    params = params_from_json(stage.params, params_of(index.key))
    return wanted_from_sources(stage, params, index.key.seed, _sources(stage, origin, index)), stage


def _asked(index: Index) -> list[Selection]:
    return [Selection.from_json(value) for value in index.extra.get("asked", [])]


def _sources(stage: Stage, origin: dict[str, Any], index: Index) -> dict[str, dict[str, Any]]:
    """What the artefact's origin offers now, of the items that were asked for."""
    if stage.list_sources is None:
        return {item: {} for item in index.entries}
    sources = stage.list_sources(origin)
    asked = _asked(index)
    ids = select_again(sources, asked) if asked else [i for i in index.entries if i in sources]
    return with_digests(stage, {i: sources[i] for i in ids})


def plan_again(workspace: Workspace, artefact: Artefact) -> Plan:
    """What is still to do so that the artefact holds all that its runs asked for.

    One that is not there yet, of a stage that works on the items of others, wants all of them.
    Raises InputError when it cannot be said, such as for an import that never ran.
    """
    index = artefact.index
    if index.key is None:
        return _first_plan(workspace, artefact)
    wanted, stage = _wanted(workspace, artefact)
    params = params_from_json(stage.params, params_of(index.key))
    return make_plan(stage, params, index.key.seed, artefact, wanted)


def _first_plan(workspace: Workspace, artefact: Artefact) -> Plan:
    if artefact.stage not in DERIVED:
        raise InputError(
            f"no artefact {artefact.name}", "run every part of it once, or see: crossdim status"
        )
    # which items there are, hence which buckets, depends neither on parameters nor attachments
    stage = dataclasses.replace(DERIVED[artefact.stage], attach=None)
    params = stage.params()
    wanted = wanted_from_inputs(stage, params, 0, workspace, Selection())
    return make_plan(stage, params, 0, artefact, wanted)


def slices_of(plan: Plan, count: int) -> list[int]:
    """The numbers 0 .. count-1 of the parts (see `Planner`) that have work left."""
    return sorted({task.bucket % count for task in plan.tasks})


def require_fresh(workspace: Workspace, artefact: Artefact, ids: list[str]) -> None:
    """InputError when any of these items of `artefact` is stale or damaged."""
    status = artefact_status(workspace, artefact)
    if status.damaged:
        name, reason = next(iter(sorted(status.damaged.items())))
        raise InputError(f"{artefact.folder / name}: {reason}", f"make {artefact.name} again")
    stale = sorted(set(status.state.stale) & set(ids))
    if stale:
        why = status.state.stale[stale[0]]
        raise InputError(
            f"{artefact.name} is stale for {len(stale)} shapes ({stale[0]}: {why})",
            f"run: {command_of(artefact)}",
        )


def command_of(artefact: Artefact) -> str:
    """The command line that makes an artefact, without the parameters at their defaults."""
    if artefact.stage not in DERIVED:
        return next(s.command for s in SOURCES.values() if s.name == artefact.stage)
    stage = DERIVED[artefact.stage]
    key = artefact.index.key
    params = params_from_json(stage.params, params_of(key)) if key else stage.params()
    flags = [f"--{k.replace('_', '-')} {v}" for k, v in differing(params).items()]
    if artefact.variant != stage.variant(params):
        flags.append(f"--name {artefact.variant}")
    return " ".join([stage.command, *flags])

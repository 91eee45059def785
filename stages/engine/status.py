"""How fresh every artefact of a workspace is, and why. Reads manifests and file digests only."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from stages.engine.plan import Selection, State, compare, wanted_from_inputs
from stages.engine.sources import wanted_from_sources, with_digests
from stages.engine.work import Work
from stages.errors import CrossdimError, InputError
from stages.registry import DERIVED, SOURCES
from stages.stage import Stage, differing, params_from_json
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
    return [_status(workspace, a) for name in names for a in workspace.artefacts(name)]


def _status(workspace: Workspace, artefact: Artefact) -> ArtefactStatus:
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
    index = artefact.index
    if index.key is None:
        raise CrossdimError("no shard of it can be read")
    there = {category_of(item) for item in index.entries}
    if artefact.stage in DERIVED:
        stage = DERIVED[artefact.stage]
        params = params_from_json(stage.params, params_of(index.key))
        wanted = wanted_from_inputs(stage, params, index.key.seed, workspace, Selection())
        # categories that were never asked for are not missing
        return {i: w for i, w in wanted.items() if category_of(i) in there}, stage
    origin = index.extra.get("source", {})
    if origin.get("kind") not in SOURCES:
        raise CrossdimError("where its files came from is not known any more")
    stage = SOURCES[origin["kind"]]
    params = params_from_json(stage.params, params_of(index.key))
    sources = _sources(stage, origin, list(index.entries))
    return wanted_from_sources(stage, params, index.key.seed, sources), stage


def _sources(stage: Stage, origin: dict[str, Any], there: list[str]) -> dict[str, dict[str, Any]]:
    """What the artefact's origin offers now, of the items that were asked for."""
    if stage.list_sources is None:
        return {item: {} for item in there}
    sources = stage.list_sources(origin)
    return with_digests(stage, {i: sources[i] for i in there if i in sources})


def require_fresh(workspace: Workspace, artefact: Artefact, ids: list[str]) -> None:
    """InputError when any of these items of `artefact` is stale or damaged."""
    status = _status(workspace, artefact)
    if status.damaged:
        name, reason = next(iter(sorted(status.damaged.items())))
        raise InputError(f"{artefact.folder / name}: {reason}", f"make {artefact.name} again")
    stale = sorted(set(status.state.stale) & set(ids))
    if stale:
        why = status.state.stale[stale[0]]
        raise InputError(
            f"{artefact.name} is stale for {len(stale)} shapes ({stale[0]}: {why})",
            f"run: {_command(artefact)}",
        )


def _command(artefact: Artefact) -> str:
    """The command line that makes an artefact, without the parameters at their defaults."""
    stage = DERIVED[artefact.stage]
    key = artefact.index.key
    params = params_from_json(stage.params, params_of(key)) if key else stage.params()
    flags = [f"--{k.replace('_', '-')} {v}" for k, v in differing(params).items()]
    if artefact.variant != stage.variant(params):
        flags.append(f"--name {artefact.variant}")
    return " ".join([stage.command, *flags])

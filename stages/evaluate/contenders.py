"""Who takes part in a comparison: runs, packed weights, and trivial answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stages.errors import InputError, UsageError
from stages.store.workspace import Workspace
from stages.train.run import Run, find_run
from stages.weights.cards import Card, find_card
from stages.weights.lineage import learned_from

SYSTEMS = (
    *("pose-aware", "structure-generator", "deep-encoding", "interpreter"),
    *("pose-regression", "equivariant", "view-synthesis"),
)
MEAN, ORACLE, CONSTANT = "mean shape", "nearest training shape (oracle)", "constant pose"
LIMIT = "true voxels (limit)"  # what all voxels of that size can reach by distances
BASELINES = (MEAN, ORACLE, LIMIT, CONSTANT)
# What a system has no answer for, and why.
NO_SHAPE = {
    "interpreter": "a skeleton fills no voxels and has no surface",
    "pose-regression": "it tells a pose alone",
    "equivariant": "it tells an embedding alone",
    "view-synthesis": "it draws pictures: crossdim eval views",
}
NO_POSE = {
    "structure-generator": "its cloud is in the canonical frame: it tells no camera",
    "deep-encoding": "codes tell no pose",
    "view-synthesis": "it draws pictures: crossdim eval views",
}
NO_ABSOLUTE = {"equivariant": "an embedding has a pose against a mesh alone: crossdim eval align"}
_ONLY = {"equivariant": {"layer": "pose"}, "interpreter": {"step": "joint"}}


@dataclass(frozen=True)
class Contender:
    """Who takes part: a run, packed weights, or a trivial answer."""

    label: str  # as the table has it
    system: str  # "" for trivial answers
    who: str  # as `compared.Asked.who`
    name: str  # of its results
    weights: str
    data: str  # fingerprint of what a run was trained on
    record: Mapping[str, Any] | None = None  # of a run
    learned_from: frozenset[str] = frozenset()


def choose_contenders(
    workspace: Workspace, category: str, named: Sequence[str], shipped: bool
) -> tuple[list[Contender], dict[str, str]]:
    """Who takes part, and of each system that does not the command that trains it.

    Of every system the run that `named` has (`SYSTEM/RUN`), or the newest finished one of the
    category; with `shipped`, weights that come with the package where there is none.
    """
    wanted = dict(_named(one) for one in named)
    found, missing = [], {}
    for system in SYSTEMS:
        only = _ONLY.get(system)
        try:
            run = find_run(workspace.root, system, wanted.get(system), category, only)
            found.append(_of_run(run, category))
        except InputError:
            if system in wanted:
                raise
            card = _card(system, category) if shipped else None
            if card is None:
                missing[system] = f"crossdim train {system} --category {category}"
            else:
                found.append(_of_card(card))
    return found, missing


def _named(text: str) -> tuple[str, str]:
    system, _, run = text.partition("/")
    if system not in SYSTEMS or not run:
        raise UsageError(f"{text!r} is no run", f"give SYSTEM/RUN, one of {', '.join(SYSTEMS)}")
    return system, run


def _card(system: str, category: str) -> Card | None:
    try:
        return find_card(system, category)
    except InputError:
        return None


def _of_run(run: Run, category: str) -> Contender:
    record = run.record()
    if category not in record["data"]["categories"]:
        known = ", ".join(record["data"]["categories"])
        raise InputError(f"run {run.name} of {run.system} knows {known}", "name another run")
    return Contender(
        label=f"{run.system} ({run.name})",
        system=run.system,
        who=str(run.folder),
        name=f"{run.system}-{run.name}",
        weights=run.best()["sha256"],
        data=record["data"]["fingerprint"],
        record=record,
        learned_from=frozenset(learned_from(run)),
    )


def _of_card(card: Card) -> Contender:
    return Contender(
        label=f"{card.system} (shipped weights)",
        system=card.system,
        who=str(card.path),
        name=f"weights-{card.name}",
        weights=str(card.facts["sha256"]),
        data="",
        learned_from=frozenset(card.learned_from),
    )


def trivial() -> list[Contender]:
    """The answers that look at no picture."""
    names = {name: name.partition(" (")[0].replace(" ", "-") for name in BASELINES}
    return [
        Contender(name, "", name, f"baselines-{short}", "", "") for name, short in names.items()
    ]


def reasons(one: Contender) -> dict[str, str]:
    """Why there is no number, by currency."""
    if not one.system:
        return {}
    found = {}
    for currency, why in (("shape", NO_SHAPE), ("pose", NO_POSE), ("absolute pose", NO_ABSOLUTE)):
        if one.system in why:
            found[currency] = why[one.system]
    return found

"""What a stage still has to do: which items are fresh, stale, missing or failed, and why."""

from __future__ import annotations

import contextlib
import dataclasses
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from stages.engine.work import Work
from stages.errors import InputError, UsageError
from stages.registry import DERIVED, SOURCES
from stages.stage import Attachment, Stage, params_json
from stages.store.fingerprint import bucket_count, bucket_of, item_fingerprint
from stages.store.manifest import Index
from stages.store.shard import ShardKey, make_key, params_of
from stages.store.workspace import Artefact, Workspace, category_of, select_categories

_SHARD_ITEMS = 64

# Every item of an input stage: id -> (fingerprint, (shard, row)).
_Offer: TypeAlias = dict[str, tuple[str, tuple[str, int]]]


@dataclass(frozen=True)
class Selection:
    """Which items of the inputs to take."""

    categories: tuple[str, ...] = ()
    variants: Mapping[str, str] = field(default_factory=dict)  # input stage -> only this variant
    limit: int = 0  # the first so many of each category, 0 for all

    def choose(
        self, ids: Iterable[str], group: Callable[[str], Hashable] = category_of
    ) -> list[str]:
        """Those of the ids that are asked for, sorted; the limit holds for each group.

        Raises UsageError for a category that no id has.
        """
        seen: Counter[Hashable] = Counter()
        kept = []
        for item in select_categories(ids, self.categories):
            seen[group(item)] += 1
            if not self.limit or seen[group(item)] <= self.limit:
                kept.append(item)
        return kept

    def to_json(self) -> list[dict[str, Any]]:
        """Plain values, one selection a category: each can lose its meaning on its own."""
        rest = {"variants": dict(self.variants), "limit": self.limit}
        return [{"category": c, **rest} for c in self.categories or ("",)]

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Selection:
        """One of those that `to_json` gives."""
        category = value["category"]
        return cls((category,) if category else (), value["variants"], value["limit"])


@dataclass(frozen=True)
class Request:
    """What a run was asked for; the manifest keeps it, so that `status` can ask again."""

    selection: Selection | None = None
    origin: Mapping[str, Any] | None = None  # of stages that bring items in, see `Stage`


@dataclass(frozen=True)
class ShardTask:
    """One shard to make: the items of one bucket that are not there yet."""

    bucket: int
    work: tuple[Work, ...]


@dataclass(frozen=True)
class State:
    """What the cache holds of the wanted items; values are the reasons."""

    fresh: tuple[str, ...] = ()
    failed: Mapping[str, str] = field(default_factory=dict)
    stale: Mapping[str, str] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()  # there, but no longer among the inputs


@dataclass(frozen=True)
class Plan:
    """Everything a run needs to know before it starts."""

    artefact: Artefact
    key: ShardKey
    state: State
    tasks: tuple[ShardTask, ...]

    @property
    def todo(self) -> int:
        """How many items there are to process."""
        return sum(len(task.work) for task in self.tasks)


def wanted_from_inputs(
    stage: Stage,
    params: Any,
    seed: int,
    workspace: Workspace,
    selection: Selection,
    narrow: Callable[[list[str]], list[str]] = lambda ids: ids,
) -> dict[str, Work]:
    """The items that the input artefacts offer, with the fingerprints expected of them.

    `narrow` picks those to look at from all that are selected, see `Planner`.
    Raises InputError when an input stage has made nothing yet, or two of its variants hold the
    same id; UsageError for an unknown category.
    """
    offers = _offers(stage, workspace, selection.variants)
    ids = narrow(selection.choose(_common(offers)))
    return _work(stage, params, seed, workspace, offers, ids)


def wanted_again(
    stage: Stage, params: Any, seed: int, workspace: Workspace, asked: Iterable[Selection]
) -> dict[str, Work]:
    """What all these selections want of the inputs as they are now; unknown categories: nothing."""
    by_variants: dict[tuple[tuple[str, str], ...], list[Selection]] = {}
    for selection in asked:
        by_variants.setdefault(tuple(sorted(selection.variants.items())), []).append(selection)
    work: dict[str, Work] = {}
    for variants, selections in by_variants.items():
        offers = _offers(stage, workspace, dict(variants))
        ids = chosen_again(_common(offers), selections)
        work.update(_work(stage, params, seed, workspace, offers, ids))
    return work


def chosen_again(
    ids: Iterable[str],
    asked: Iterable[Selection],
    group: Callable[[str], Hashable] = category_of,
) -> list[str]:
    """Those of the ids that any of the selections asks for, sorted."""
    ids = sorted(ids)
    chosen: set[str] = set()
    for selection in asked:
        with contextlib.suppress(UsageError):  # that category is gone
            chosen.update(selection.choose(ids, group))
    return sorted(chosen)


def _offers(stage: Stage, workspace: Workspace, variants: Mapping[str, str]) -> dict[str, _Offer]:
    return {name: _offer(name, workspace, variants.get(name)) for name in stage.inputs}


def _common(offers: Mapping[str, _Offer]) -> set[str]:
    return set.intersection(*(set(offer) for offer in offers.values()))


def _work(
    stage: Stage,
    params: Any,
    seed: int,
    workspace: Workspace,
    offers: Mapping[str, _Offer],
    ids: list[str],
) -> dict[str, Work]:
    values = params_json(params)
    attached = stage.attach(params, seed, workspace, ids) if stage.attach else {}
    work = {}
    for item in ids:
        more = attached.get(item, Attachment())
        prints = {name: offer[item][0] for name, offer in offers.items()}
        work[item] = Work(
            item,
            item_fingerprint(stage.name, stage.version, values, seed, {**prints, **more.prints}),
            inputs={name: offer[item][1] for name, offer in offers.items()},
            source=more.values,
            attached=more.rows,
        )
    return work


def _offer(stage: str, workspace: Workspace, variant: str | None) -> _Offer:
    artefacts = workspace.artefacts(stage)
    if variant is not None:
        artefacts = [a for a in artefacts if a.variant == variant]
    if not artefacts:
        what = f"{stage}/{variant}" if variant else stage
        maker = "crossdim shapes generate   (or: crossdim shapes import PATH)"
        if stage != "shapes":
            maker = next(
                s.command for s in (*DERIVED.values(), *SOURCES.values()) if s.name == stage
            )
        raise InputError(f"no {what} in {workspace.root}", f"run: {maker}")
    offer: _Offer = {}
    owner: dict[str, str] = {}
    for artefact in artefacts:
        for item, entry in artefact.index.items().items():
            if item in offer:
                raise InputError(
                    f"{item} is both in {owner[item]} and in {artefact.name}",
                    f"choose one with --source {artefact.variant}",
                )
            owner[item] = artefact.name
            offer[item] = (entry.fingerprint, (str(artefact.folder / entry.shard), entry.row))
    return offer


def compare(index: Index, wanted: Mapping[str, Work], version: int) -> State:
    """What an artefact holds of the wanted items."""
    fresh, missing = [], []
    failed: dict[str, str] = {}
    stale: dict[str, str] = {}
    for item, work in wanted.items():
        entry = index.entries.get(item)
        if entry is None:
            missing.append(item)
        elif entry.fingerprint != work.fingerprint:
            made = index.shards[entry.shard].stage_version
            changed = f"stage version {made} -> {version}" if made != version else "input changed"
            stale[item] = changed
        elif entry.reason:
            failed[item] = entry.reason
        else:
            fresh.append(item)
    extra = tuple(sorted(set(index.entries) - set(wanted)))
    return State(tuple(fresh), failed, stale, tuple(missing), extra)


def _of_others(artefact: Artefact, there: ShardKey, wanted: ShardKey) -> InputError:
    """What to say of an artefact of this name that holds something else."""
    old, new = params_of(there), params_of(wanted)
    common = {name for name in old if name in new}
    if there.seed == wanted.seed and all(old[name] == new[name] for name in common):
        unknown = ", ".join(sorted({*old, *new} - common))
        return InputError(
            f"{artefact.name} was made by another version of crossdim, which differs in {unknown}",
            f"remove {artefact.folder}: it has to be made anew",
        )
    return InputError(
        f"{artefact.name} was made with other parameters: {there.params}",
        "give this one another name, or remove that folder",
    )


class Planner:
    """Plans a run on an artefact, or on one of several parts of it: whole buckets of its items.

    `narrow` is told all ids that are wanted, and gives back those of the part: for these alone
    files have to be read and fingerprints made. `plan` then takes their work. Parts of one set of
    ids never overlap, whatever each of them finds in the cache.
    """

    def __init__(self, stage: Stage, params: Any, seed: int, artefact: Artefact) -> None:
        self._stage, self._artefact = stage, artefact
        self._key = make_key(stage.name, stage.version, params_json(params), seed, 0)
        there = artefact.index.key
        if there and (there.params, there.seed) != (self._key.params, self._key.seed):
            raise _of_others(artefact, there, self._key)

    def narrow(self, ids: Sequence[str], part: tuple[int, int] | None = None) -> list[str]:
        """Those of the ids that belong to part `i, n`, 0 <= i < n; all of them for None."""
        there = self._artefact.index.key
        buckets = there.buckets if there else 0
        if len(ids) > buckets * _SHARD_ITEMS:  # new, or it has outgrown them
            buckets = bucket_count(len(ids))
        self._key = dataclasses.replace(self._key, buckets=buckets)
        if part is None:
            return list(ids)
        return [item for item in ids if bucket_of(item, buckets) % part[1] == part[0]]

    def plan(self, wanted: Mapping[str, Work], retry_failed: bool = False) -> Plan:
        """What is to be done so that the artefact holds these items, fresh."""
        state = compare(self._artefact.index, wanted, self._stage.version)
        todo = [*state.missing, *state.stale, *(state.failed if retry_failed else ())]
        by_bucket: dict[int, list[Work]] = {}
        for item in sorted(todo):
            by_bucket.setdefault(bucket_of(item, self._key.buckets), []).append(wanted[item])
        tasks = tuple(
            ShardTask(bucket, tuple(work[start : start + _SHARD_ITEMS]))
            for bucket, work in sorted(by_bucket.items())
            for start in range(0, len(work), _SHARD_ITEMS)
        )
        return Plan(self._artefact, self._key, state, tasks)


def make_plan(
    stage: Stage,
    params: Any,
    seed: int,
    artefact: Artefact,
    wanted: Mapping[str, Work],
    retry_failed: bool = False,
) -> Plan:
    """What is to be done so that `artefact` holds every wanted item, fresh."""
    planner = Planner(stage, params, seed, artefact)
    planner.narrow(list(wanted))
    return planner.plan(wanted, retry_failed)

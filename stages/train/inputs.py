"""What a run learns from: which variants of which stages, which shapes, and which split.

The answer is a `Selection` that run.json keeps, so that evaluation uses the same shapes, views and
split without being told again.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from stages.engine.status import command_of, require_fresh
from stages.errors import InputError, UsageError
from stages.registry import DERIVED, SOURCES
from stages.shapes.splits import assign
from stages.stage import Arrays, Stage
from stages.store.fingerprint import canonical_json, digest
from stages.store.shard import params_of
from stages.store.workspace import Artefact, Workspace, category_of, select_categories
from stages.train.run import Selection

Requires = Mapping[str, Mapping[str, Any]]  # stage -> parameters that it must have


def choose_variant(
    workspace: Workspace, stage: str, needed: Mapping[str, Any], variant: str | None = None
) -> Artefact:
    """The artefact of a stage with the needed parameters; the named one if a name is given.

    Raises InputError with the command that makes it, UsageError when there are several.
    """
    found = workspace.artefacts(stage)
    if variant is not None:
        found = [a for a in found if a.variant == variant]
    fits = [a for a in found if _fits(a, needed)]
    if not fits:
        told = _to_say(stage, needed)
        what = f"no {stage} at {' '.join(f'{k} {v}' for k, v in told.items())}"
        what = what if told else f"no {stage}"
        what += f" called {variant}" if variant else ""
        flags = " ".join(f"--{k.replace('_', '-')} {v}" for k, v in told.items())
        raise InputError(f"{what} in {workspace.root}", f"run: {_stage(stage).command} {flags}")
    if len(fits) > 1:
        names = ", ".join(a.variant for a in fits)
        raise UsageError(f"several {stage} fit: {names}", f"choose one with --{stage} NAME")
    return fits[0]


def _to_say(stage: str, needed: Mapping[str, Any]) -> dict[str, Any]:
    """The first of the needed parameters, and those that are not the stage's defaults anyway."""
    usual = _stage(stage).params()
    first = next(iter(needed), "")
    return {k: v for k, v in needed.items() if k == first or getattr(usual, k) != v}


def _stage(name: str) -> Stage:
    """The stage that fills the folder of that name."""
    return next(s for s in (*DERIVED.values(), *SOURCES.values()) if s.name == name)


def _fits(artefact: Artefact, needed: Mapping[str, Any]) -> bool:
    key = artefact.index.key
    if key is None:
        return False
    params = params_of(key)
    return all(params.get(name) == value for name, value in needed.items())


def choose_inputs(
    workspace: Workspace,
    requires: Requires,
    categories: Sequence[str] = (),
    variants: Mapping[str, str | None] | None = None,
) -> Selection:
    """The shapes that every required stage has made, split by family into train, val and test.

    What a stage has tried and failed at is left out, and so are categories of which a stage has
    nothing. Raises InputError when a stage is missing or stale, lacks some shapes of a category, or
    when a category has nothing to train on; UsageError for an unknown category.
    """
    variants = variants or {}
    chosen = {
        stage: choose_variant(workspace, stage, needed, variants.get(stage))
        for stage, needed in requires.items()
    }
    common = set.intersection(*(set(a.index.items()) for a in chosen.values()))
    ids = select_categories(common, tuple(categories))
    shapes = {i: e for a in workspace.artefacts("shapes") for i, e in a.index.items().items()}
    _refuse_gaps(chosen.values(), {category_of(i) for i in ids}, set(shapes))
    for artefact in chosen.values():
        require_fresh(workspace, artefact, ids)
    # what is no shape, such as a photo, says itself which split it is in
    known = {i: e for a in chosen.values() for i, e in a.index.items().items()}
    known |= shapes
    split = assign({i: known[i].labels for i in ids})
    by_split = {s: tuple(i for i in ids if split[i] == s) for s in ("train", "val", "test")}
    for name in ("train", "val"):
        if not by_split[name]:
            raise InputError(
                f"no shapes to {'train on' if name == 'train' else 'validate on'} among {len(ids)}",
                "add shapes of more families: crossdim shapes import PATH",
            )
    prints = {s: [a.index.entries[i].fingerprint for i in ids] for s, a in chosen.items()}
    return Selection(
        categories=tuple(sorted({category_of(i) for i in ids})),
        variants={s: a.variant for s, a in chosen.items()},
        ids=by_split,
        fingerprint=digest(canonical_json([prints, by_split]).encode()),
    )


def _refuse_gaps(chosen: Collection[Artefact], categories: set[str], shapes: set[str]) -> None:
    """InputError when an artefact was never asked for shapes of these categories that others have.

    `shapes` are those that are still in the workspace.
    """
    known = {i for artefact in chosen for i in artefact.index.items()} & shapes
    wanted = {i for i in known if category_of(i) in categories}
    for artefact in chosen:
        if lacking := sorted(wanted - set(artefact.index.entries)):
            raise InputError(
                f"{artefact.name} lacks {len(lacking)} of {len(wanted)} shapes, {lacking[0]} first",
                f"run: {command_of(artefact)}",
            )


class Loader:
    """Arrays of a shape from the artefacts of a selection; opens files on first use.

    `names` says where each comes from: a stage, or `stage/array` where it has another name there.
    """

    def __init__(self, root: Path, variants: Mapping[str, str], names: Mapping[str, str]) -> None:
        workspace = Workspace(root)
        self._artefacts = {s: workspace.artefact(s, v) for s, v in variants.items()}
        places = {name: (*place.split("/"), name)[:2] for name, place in names.items()}
        self._names = {
            stage: {name: array for name, (s, array) in places.items() if s == stage}
            for stage in variants
        }

    def __call__(self, shape_id: str) -> Arrays:
        """The named arrays of one shape."""
        arrays: Arrays = {}
        for stage, artefact in self._artefacts.items():
            wanted = self._names[stage]
            found = artefact.read(shape_id, tuple(wanted.values()))
            arrays.update({name: found[array] for name, array in wanted.items()})
        return arrays

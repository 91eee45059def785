"""The shapes and views that systems are compared on. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from stages.engine.status import require_fresh
from stages.errors import CrossdimError, InputError, UsageError
from stages.evaluate.contenders import Contender
from stages.shapes.splits import SPLITS, assign
from stages.store.fingerprint import canonical_json, digest
from stages.store.workspace import Artefact, Workspace, category_of, select_categories
from stages.train.inputs import choose_variant

RES = 32  # of the voxels that shapes are compared by
USUAL = "compare"  # name of the views that are taken if there are several
_MAKE = "run: crossdim render --size 128 --viewpoints uniform --views 8 --name compare"


@dataclass(frozen=True)
class Field:
    """The shapes and views that all are compared on."""

    views: Artefact
    voxels: Artefact
    shapes: tuple[tuple[str, str], ...]  # id, folder
    category: str
    split: Mapping[str, tuple[str, ...]]
    excluded: Mapping[str, str] = field(default_factory=dict)  # id -> who has learned from it


@dataclass(frozen=True)
class KnownField:
    """A field as results keep it: two are equal where numbers may stand in one table."""

    category: str
    views: str  # name of the variant
    voxels: str
    split: tuple[tuple[str, tuple[str, ...]], ...]  # train, val, test: ids
    excluded: tuple[tuple[str, str], ...]
    print: str  # of all that the numbers are measured on

    @classmethod
    def of(cls, on: Field) -> KnownField:
        """What is to be kept of a field."""
        split, out = tuple(on.split.items()), tuple(sorted(on.excluded.items()))
        found = _print(on.views, on.voxels, on.split)
        return cls(on.category, on.views.variant, on.voxels.variant, split, out, found)

    @classmethod
    def from_json(cls, value: Any) -> KnownField:
        """From what `to_json` gave; ValueError for anything else."""
        try:
            split = tuple((name, tuple(value["split"][name])) for name in SPLITS)
            out = tuple(sorted(value["excluded"].items()))
            found = cls(
                value["category"], value["views"], value["voxels"], split, out, value["print"]
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError("it does not say what it was measured on") from error
        ids = [item for _, members in split for item in members]
        texts = (found.category, found.views, found.voxels, found.print)
        if not all(isinstance(text, str) for text in (*texts, *ids, *dict(out).values())):
            raise ValueError("what it says that it was measured on is no text")
        return found

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "category": self.category,
            "views": self.views,
            "voxels": self.voxels,
            "split": {name: list(ids) for name, ids in self.split},
            "excluded": dict(self.excluded),
            "print": self.print,
        }

    def ids(self, split: str) -> tuple[str, ...]:
        """The shapes of a split."""
        return dict(self.split)[split]


def choose_field(
    workspace: Workspace, category: str, views: str | None, contenders: Sequence[Contender]
) -> Field:
    """The test shapes of a category that nobody has learned from, with views and voxels.

    Raises InputError when there are none, UsageError when several sets of views show them.
    """
    voxels = choose_variant(workspace, "voxels", {"res": RES})
    owners = _owners(workspace)
    if not owners:
        raise InputError(f"no shapes in {workspace.root}", "run: crossdim shapes import DIR")
    chosen = select_categories(owners, (category,))
    picture = _views(workspace, views, chosen)
    ids = _dealt(owners, chosen, picture, voxels)
    for artefact in (voxels, picture):
        require_fresh(workspace, artefact, [i for split in ids.values() for i in split])
    excluded = {
        item: one.label for one in contenders for item in ids["test"] if item in one.learned_from
    }
    ids["test"] = tuple(i for i in ids["test"] if i not in excluded)
    if not ids["test"] or not ids["train"]:
        what = "train" if not ids["train"] else "test"
        why = f"; {len(excluded)} were learned from" if excluded else ""
        raise InputError(
            f"no {what} shapes of {category} in {picture.name} and {voxels.name}{why}",
            "add shapes of more families: crossdim shapes import PATH",
        )
    shapes = tuple((i, str(owners[i].folder)) for i in (*ids["train"], *ids["test"]))
    return Field(picture, voxels, shapes, category, ids, excluded)


def changed(workspace: Workspace, known: KnownField) -> str:
    """Why a comparison would be made on other shapes, views or voxels now, "" if it would not."""
    try:
        views = workspace.artefact("views", known.views)
        voxels = workspace.artefact("voxels", known.voxels)
        members = {item for _, ids in known.split for item in ids}
        for artefact in (views, voxels):
            gone = sorted(members - artefact.index.entries.keys())
            if gone:
                return f"{artefact.name} has no {gone[0]} any more"
        if _print(views, voxels, dict(known.split)) != known.print:
            return f"{views.name} or {voxels.name} has changed"
        owners = _owners(workspace)
        chosen = [item for item in owners if category_of(item) == known.category]
        now = _dealt(owners, chosen, views, voxels)
    except CrossdimError as error:
        return str(error)
    out = dict(known.excluded)
    now["test"] = tuple(item for item in now["test"] if item not in out)
    if any(set(now[name]) != set(ids) for name, ids in known.split):
        return f"there are other shapes of {known.category} now, or they are split otherwise"
    return ""


def _owners(workspace: Workspace) -> dict[str, Artefact]:
    """Which artefact of shapes has a shape."""
    return {i: a for a in workspace.artefacts("shapes") for i in a.index.items()}


def _dealt(
    owners: Mapping[str, Artefact], chosen: Sequence[str], views: Artefact, voxels: Artefact
) -> dict[str, tuple[str, ...]]:
    """Those of the chosen shapes that have views and voxels, sorted, by split."""
    seen, solid = views.index.items(), voxels.index.items()
    there = [i for i in sorted(chosen) if i in solid and i in seen]
    split = assign({i: owners[i].index.entries[i].labels for i in there})
    return {s: tuple(i for i in there if split[i] == s) for s in SPLITS}


def _print(views: Artefact, voxels: Artefact, split: Mapping[str, Sequence[str]]) -> str:
    """A fingerprint of the shapes of every split, their meshes, views and voxels."""
    members = [i for ids in split.values() for i in ids]
    parts = [[a.index.entries[i].fingerprint for i in members] for a in (views, voxels)]
    return digest(canonical_json([list(map(list, split.items())), parts]).encode())


def _views(workspace: Workspace, name: str | None, wanted: Sequence[str]) -> Artefact:
    there = {a.variant: a for a in workspace.artefacts("views")}
    if name is not None:
        if name not in there:
            raise InputError(f"no views/{name} in {workspace.root}", _MAKE)
        return there[name]
    fits = [a for a in there.values() if any(item in a.index.items() for item in wanted)]
    if not fits:
        raise InputError(f"no views of these shapes in {workspace.root}", _MAKE)
    usual = [a for a in fits if a.variant == USUAL]
    if len(fits) > 1 and not usual:
        names = ", ".join(a.variant for a in fits)
        raise UsageError(f"several views show them: {names}", "choose one with --views NAME")
    return (usual or fits)[0]

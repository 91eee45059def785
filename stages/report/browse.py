"""What `crossdim view` shows: the items of one artefact, or what a run told of its test shapes."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from stages.errors import CrossdimError, InputError
from stages.report.answers import named, results_of_run
from stages.report.page import Page, render
from stages.report.report import spread
from stages.report.shown import Shown, show
from stages.store.workspace import Artefact, Workspace
from stages.train.run import list_runs


@dataclass(frozen=True)
class Browsing:
    """An artefact whose items can be looked at."""

    workspace: Workspace
    artefact: Artefact

    @property
    def items(self) -> list[str]:
        """The ids of all of them, sorted."""
        return sorted(self.artefact.index.items())

    def show(self, item: str, view: int = 0) -> Shown:
        """One of them, from one of its views; an error of reading it becomes its note."""
        try:
            return show(self.workspace, self.artefact, item, view)
        except (CrossdimError, KeyError, IndexError, ValueError, TypeError) as error:
            return Shown(item, f"cannot be shown: {error}")


def browse(workspace: Workspace, target: str) -> Browsing:
    """What `target` names: STAGE/VARIANT, a stage with one variant, or a run, SYSTEM/NAME or NAME.

    A run stands for its results, those with the most to see first. Raises InputError for anything
    else, with what was probably meant, or the command that makes results.
    """
    artefact = named(workspace, target)
    variants = [] if artefact else _variants(workspace, target.strip("/"))
    if len(variants) == 1:
        artefact = variants[0]
    if artefact is not None:
        return Browsing(workspace, artefact)
    runs = [r for r in list_runs(workspace.root) if target in _names_of(r.system, r.name)]
    if runs:
        results = results_of_run(workspace, runs[0])
        if not results:
            raise InputError(f"run {target} has no results yet", "run: crossdim eval --help")
        return Browsing(workspace, results[0])
    if len(variants) > 1:
        names = ", ".join(variant.name for variant in variants)
        raise InputError(f"{target} is there several times", f"name one: {names}")
    known = targets(workspace)
    close = difflib.get_close_matches(target, [*known, *(k.rpartition("/")[2] for k in known)], 1)
    hint = f"did you mean {close[0]}?" if close else "see: crossdim status"
    raise InputError(f"no artefact and no run {target} in {workspace.root}", hint)


def _variants(workspace: Workspace, stage: str) -> list[Artefact]:
    """What there is of a stage; nothing for what can be no stage."""
    if stage not in {name.rpartition("/")[0] for name in targets(workspace)}:
        return []
    return [one for one in workspace.artefacts(stage) if one.index.items()]


def _names_of(system: str, name: str) -> tuple[str, str, str]:
    return name, f"{system}/{name}", f"runs/{system}/{name}"


def targets(workspace: Workspace) -> list[str]:
    """Everything that can be looked at: artefacts, then runs."""
    found = []
    for folder in sorted(p for p in workspace.root.glob("*") if p.is_dir()):
        stages = [folder.name]
        if folder.name == "results":
            stages = [f"results/{p.name}" for p in sorted(folder.iterdir()) if p.is_dir()]
        found += [a.name for stage in stages for a in workspace.artefacts(stage)]
    return [*found, *(f"{run.system}/{run.name}" for run in list_runs(workspace.root))]


def static_page(browsing: Browsing, item: str | None, count: int) -> bytes:
    """One HTML file of an item, or of `count` items spread over the categories."""
    ids = browsing.items
    if item is not None and item not in ids:
        close = difflib.get_close_matches(item, ids, 1)
        hint = (
            f"did you mean {close[0]}?" if close else f"see: crossdim view {browsing.artefact.name}"
        )
        raise InputError(f"{browsing.artefact.name} has no {item}", hint)
    chosen = [item] if item is not None else spread(browsing.artefact, count)
    found = [browsing.show(one, number) for number, one in enumerate(chosen)]
    return render(
        "view.html",
        Page(),
        title=browsing.artefact.name,
        shown=[one for one in found if one.pictures or one.solids],
        unseen=[(one.title, one.note) for one in found if not (one.pictures or one.solids)],
        total=len(ids),
        pictured=any(one.pictures or len(one.solids) > 1 for one in found),
        note="",
    )

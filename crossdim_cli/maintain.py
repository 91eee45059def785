"""merge, clean: one file of an artefact; removal of what is of no use."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from crossdim_cli.command import CATEGORY, Session, add_command, argument, param
from crossdim_cli.output import size, table
from crossdim_cli.status import named_artefact
from stages.errors import CrossdimError, InputError, UsageError
from stages.store.workspace import Artefact, Workspace


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    output = param("output", Path, ..., "The file to write.", flags=("--output", "-o"))
    add_command(
        app,
        "merge",
        [argument("artefact", str, "STAGE/VARIANT."), output, CATEGORY],
        _merge,
        help="Write an artefact into one HDF5 file, by copying compressed chunks.",
        example="crossdim merge voxels/res32 -o voxels.h5",
    )
    add_command(
        app,
        "clean",
        [
            argument("artefact", str, "Only this artefact, STAGE/VARIANT.", default=""),
            param("stale", bool, False, "Items whose input changed, too.", flags=("--stale",)),
            param("extra", bool, False, "Items no longer in the input, too.", flags=("--extra",)),
            param("yes", bool, False, "Needed to remove items.", flags=("--yes", "-y")),
            param("dry_run", bool, False, "Say what would go.", flags=("--dry-run", "-n")),
        ],
        _clean,
        help="Remove what is of no use: leftovers of killed runs, damaged and superseded shards.",
        example="crossdim clean --dry-run",
    )


def _merge(session: Session) -> None:
    from stages.store.merge import merge

    options = session.options
    artefact, path = named_artefact(session.workspace, options["artefact"]), options["output"]
    if path.resolve().is_relative_to(artefact.folder.resolve()):
        raise UsageError(f"{path} lies in the artefact itself", "choose another place")
    with session.out.progress(f"merge {artefact.name}") as tracker:
        merged = merge(artefact, path, tuple(options["category"]), tracker)
    text = f"{path}: {merged.items} items, {merged.failures} failed, {size(merged.bytes)}"
    session.out.result(
        {
            "artefact": artefact.name,
            "path": str(path),
            "items": merged.items,
            "failures": merged.failures,
            "bytes": merged.bytes,
        },
        text,
    )


def _clean(session: Session) -> None:
    from stages.engine.cleaning import Rubbish, find_rubbish, remove

    options = session.options
    stale, extra = options["stale"], options["extra"]
    found: list[Rubbish] = []
    for artefact in _artefacts(session.workspace, options["artefact"]):
        try:
            found.append(find_rubbish(session.workspace, artefact, stale, extra))
        except CrossdimError as error:
            if options["artefact"]:
                raise
            session.out.warn(f"left alone: {artefact.name}: {error}")
    items = sum(len(rubbish.items) for rubbish in found)
    if items and not (options["yes"] or options["dry_run"]):
        raise UsageError(
            f"{items} items would go, and would have to be made again",
            "--yes removes them, --dry-run names them",
        )
    if not options["dry_run"]:
        for rubbish in found:
            remove(rubbish)
    _show(session, found)


def _artefacts(workspace: Workspace, name: str) -> list[Artefact]:
    """The artefact that is named, or those of all data stages; runs and results only by name."""
    if name:
        artefact = named_artefact(workspace, name)
        if not artefact.folder.is_dir():
            raise InputError(f"no artefact {name}", "see: crossdim status")
        return [artefact]
    from stages.registry import DERIVED, SOURCES

    stages = dict.fromkeys([*(stage.name for stage in SOURCES.values()), *DERIVED])
    folders = [p for s in stages for p in sorted((workspace.root / s).glob("*")) if p.is_dir()]
    return [workspace.artefact(folder.parent.name, folder.name) for folder in folders]


def _show(session: Session, found: list[Any]) -> None:
    rows = []
    for rubbish in found:
        name = rubbish.artefact.name
        for what in ("temporaries", "damaged", "superseded"):
            sizes = getattr(rubbish, what)
            if sizes:
                rows.append((name, what, len(sizes), size(sum(sizes.values()))))
        if rubbish.items:
            rows.append((name, "items", len(rubbish.items), size(rubbish.item_bytes)))
    total = sum(rubbish.bytes for rubbish in found)
    verb = "would free" if session.options["dry_run"] else "freed"
    text = f"{verb} {size(total)}"
    if rows:
        text = table(("artefact", "what", "count", "size"), rows) + "\n" + text
    data = {
        rubbish.artefact.name: {
            "temporaries": {path.name: n for path, n in rubbish.temporaries.items()},
            "damaged": dict(rubbish.damaged),
            "superseded": dict(rubbish.superseded),
            "items": dict(rubbish.items),
            "bytes": rubbish.bytes,
        }
        for rubbish in found
        if rubbish.bytes
    }
    done = not session.options["dry_run"]
    session.out.result({"removed": done, "bytes": total, "artefacts": data}, text)

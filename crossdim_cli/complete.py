"""What a shell offers after TAB: names that are in the workspace of the command line.

Everything here is quick and quiet: it reads names of folders and manifests, imports neither torch
nor trimesh, and offers nothing where something is wrong.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import typer

# What a shell takes for one plain word. Other names can be typed, with quotes.
_WORD = re.compile(r"[A-Za-z0-9._/+-]+")
_MOST = 200
Offer = Callable[[typer.Context, str], list[str]]


def _workspace(context: typer.Context) -> Path:
    given = context.params.get("workspace")
    return Path(given or os.environ.get("CROSSDIM_WORKSPACE") or "crossdim-data")


def _quiet(find: Callable[[Path, typer.Context], Iterable[str]]) -> Offer:
    """The names that `find` gives and that begin as what is typed; none when it fails."""

    def offer(ctx: typer.Context, incomplete: str) -> list[str]:
        try:
            names = sorted(set(find(_workspace(ctx), ctx)))
        except Exception:  # a shell that waits for TAB is no place for errors
            return []
        fits = (n for n in names if n.startswith(incomplete) and _WORD.fullmatch(n))
        return [name for _, name in zip(range(_MOST), fits)]

    return offer


def _folders(path: Path) -> list[str]:
    return [p.name for p in path.iterdir() if p.is_dir()] if path.is_dir() else []


def _variants(stage: str) -> Callable[[Path, typer.Context], list[str]]:
    return lambda root, context: _folders(root / stage)


def _artefacts(root: Path, context: typer.Context) -> Iterable[str]:
    for stage in _folders(root):
        inner = [f"results/{p}" for p in _folders(root / stage)] if stage == "results" else [stage]
        if stage not in ("runs", "templates"):
            yield from (f"{name}/{variant}" for name in inner for variant in _folders(root / name))


def _runs(root: Path, context: typer.Context) -> Iterable[str]:
    """Names of runs: of the system that is chosen, else of all."""
    chosen = context.params.get("system")
    systems = [chosen] if chosen in _folders(root / "runs") else _folders(root / "runs")
    for system in systems:
        yield from _folders(root / "runs" / str(system))


def _targets(root: Path, context: typer.Context) -> Iterable[str]:
    yield from _artefacts(root, context)
    for system in _folders(root / "runs"):
        yield from (f"{system}/{name}" for name in _folders(root / "runs" / system))


def _items(root: Path, context: typer.Context) -> Iterable[str]:
    from stages.store.workspace import Workspace

    for artefact in Workspace(root).artefacts("shapes"):
        yield from artefact.index.entries


def _categories(root: Path, context: typer.Context) -> Iterable[str]:
    found = {item.partition("/")[0] for item in _items(root, context)}
    return found or ("airplane", "bed", "car", "chair", "sofa", "table")  # that can be generated


# By the parameter's name, which is the same for the same thing everywhere.
OFFERS: Mapping[str, Offer] = {
    "category": _quiet(_categories),
    "run": _quiet(_runs),
    "shape": _quiet(_items),
    "item": _quiet(_items),
    "artefact": _quiet(_artefacts),
    "missing": _quiet(_artefacts),
    "target": _quiet(_targets),
    "source": _quiet(_variants("shapes")),
    **{stage: _quiet(_variants(stage)) for stage in ("views", "voxels", "spheres", "depths")},
    **{stage: _quiet(_variants(stage)) for stage in ("landmarks", "skeletons")},
    "photos": _quiet(_variants("keypoints")),
}

"""Where annotated viewpoints come from: imported annotations of the workspace, or CSV files."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from stages.errors import InputError, ItemError, UsageError
from stages.stage import Arrays
from stages.store.fingerprint import canonical_json, digest, file_digest
from stages.store.workspace import Artefact, Workspace
from stages.viewpoints.annotations import by_category, to_arrays
from stages.viewpoints.categories import canonical
from stages.viewpoints.readers import read_table


@dataclass(frozen=True)
class Source:
    """Annotations, with the name and digest that a fitted set keeps of them."""

    name: str
    digest: str
    items: tuple[Arrays, ...]  # as `stages.viewpoints.annotations.SPEC`

    def described(self) -> dict[str, Any]:
        """Name, digest and number of annotated objects, as plain values."""
        rows = sum(len(one["flags"]) for one in self.items)
        return {"name": self.name, "digest": self.digest, "objects": rows}


def from_tables(paths: Sequence[Path]) -> list[Source]:
    """CSV files. Raises InputError for one that is not there or no such table."""
    sources = []
    for path in paths:
        try:
            arrays = to_arrays(read_table(path))
            sources.append(Source(path.name, file_digest(path), (arrays,)))
        except (ItemError, OSError) as error:
            reason = error if isinstance(error, ItemError) else error.strerror
            raise InputError(
                f"{path}: {reason}", "see docs/viewpoints.md for its columns"
            ) from None
    return sources


def from_artefacts(workspace: Workspace, names: Sequence[str] = ()) -> list[Source]:
    """Imported annotations: those of these names, or all. InputError if there are none."""
    there = {artefact.variant: artefact for artefact in workspace.artefacts("annotations")}
    hint = "run: crossdim viewpoints import PATH   (or give a table: --from FILE.csv)"
    for name in names:
        if name not in there:
            known = f"there are: {', '.join(there)}" if there else hint
            raise InputError(f"no annotations {name} in {workspace.root}", known)
    if not there:
        raise InputError(f"no annotations in {workspace.root}", hint)
    return [_imported(artefact) for name, artefact in there.items() if not names or name in names]


def _imported(artefact: Artefact) -> Source:
    entries = sorted(artefact.index.items().items())
    held = digest(canonical_json([[item, entry.fingerprint] for item, entry in entries]).encode())
    return Source(artefact.name, held, tuple(artefact.read(item) for item, _ in entries))


def viewpoints(
    sources: Sequence[Source],
    categories: Sequence[str] = (),
    splits: Sequence[str] = (),
    skipped: int = 0,
) -> dict[str, np.ndarray]:
    """(n, 4) viewpoints of each category, all or those named, under this project's names.

    Raises UsageError for a category or a split that no annotation has.
    """
    items = [one for source in sources for one in source.items]
    found = by_category(items, splits, skipped)
    if not found:
        there = sorted({s.decode() for one in items for s in np.unique(one["split"])} - {""})
        hint = f"splits: {', '.join(there) or 'none'}" if splits else "check the annotations"
        raise UsageError("no viewpoints are left to fit", hint)
    for category in categories:
        if canonical(category) not in found:
            close = difflib.get_close_matches(category, found, 1)
            hint = f"did you mean {close[0]}?" if close else f"there are: {', '.join(found)}"
            raise UsageError(f"no category {category!r} in the annotations", hint)
    wanted = {canonical(category) for category in categories}
    return {name: rows for name, rows in found.items() if not wanted or name in wanted}

"""What views need beyond the shape: fitted viewpoints, and pictures to stand behind it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stages.errors import InputError
from stages.render.params import Params, view_count
from stages.stage import Attachment, Row
from stages.store.fingerprint import canonical_json, digest, item_rng
from stages.store.shard import params_of
from stages.store.workspace import Artefact, Workspace, category_of

PICTURES = "backgrounds"  # the stage that they are of, and their name among what is attached
MISSING = "missing"  # in place of a table: why there is none
# Views beyond these take other parts of the same pictures.
MOST_PICTURES = 32
_MOST_BYTES = 256 << 20


def attach(
    params: Params, seed: int, workspace: Workspace, ids: list[str]
) -> dict[str, Attachment]:
    """The table of each shape's category (kde), and pictures drawn for each (images).

    A category without a table gets the reason as `MISSING`. Raises InputError when there is no such
    distribution, when it has none of the categories, and when there are no such pictures.
    """
    values, prints = _tables(params, workspace, ids)
    rows: dict[str, tuple[Row, ...]] = {}
    if params.background == "images":
        rows, more = _pictures(params, seed, workspace, ids)
        for item in ids:
            prints[item] = {**prints.get(item, {}), PICTURES: more[item]}
    return {
        item: Attachment(
            values.get(item, {}), {PICTURES: rows[item]} if item in rows else {}, prints[item]
        )
        for item in ids
        if item in prints
    }


def _tables(
    params: Params, workspace: Workspace, ids: list[str]
) -> tuple[dict[str, Mapping[str, Any]], dict[str, dict[str, str]]]:
    """Of each item the table of its category, or why there is none, and a digest of it."""
    if params.viewpoints != "kde":
        return {}, {}
    from stages.viewpoints import table
    from stages.viewpoints.fitted import load

    load(params.distribution, workspace)  # that it is there
    tables: dict[str, Mapping[str, Any]] = {}
    absent: list[InputError] = []
    for category in sorted({category_of(item) for item in ids}):
        try:
            tables[category] = table(params.distribution, category, workspace)
        except InputError as error:
            absent.append(error)
            tables[category] = {MISSING: str(error)}
    if absent and len(absent) == len(tables):
        raise absent[0]
    prints = {c: {"viewpoints": digest(canonical_json(t).encode())} for c, t in tables.items()}
    categories = {item: category_of(item) for item in ids}
    return (
        {item: tables[category] for item, category in categories.items()},
        {item: prints[category] for item, category in categories.items()},
    )


def _pictures(
    params: Params, seed: int, workspace: Workspace, ids: list[str]
) -> tuple[dict[str, tuple[Row, ...]], dict[str, str]]:
    """Of each item the rows of the pictures behind it, and a digest over them."""
    artefact = workspace.artefact(PICTURES, params.images)
    names = sorted(artefact.index.items())
    if not names:
        there = ", ".join(a.variant for a in workspace.artefacts(PICTURES))
        raise InputError(
            f"no pictures {artefact.name} in {workspace.root}",
            f"run: crossdim backgrounds import DIR --name {params.images}"
            + (f"   (there are: {there})" if there else ""),
        )
    entries = [artefact.entry(name) for name in names]
    count = min(view_count(params), MOST_PICTURES, _affordable(artefact), len(names))
    rows, prints = {}, {}
    for item in ids:
        rng = item_rng(seed, f"{item} {PICTURES}")
        chosen = [int(n) for n in rng.choice(len(names), count, replace=False)]
        rows[item] = tuple(
            (str(artefact.folder / entries[n].shard), entries[n].row, names[n]) for n in chosen
        )
        prints[item] = digest(canonical_json([entries[n].fingerprint for n in chosen]).encode())
    return rows, prints


def _affordable(artefact: Artefact) -> int:
    """How many of its pictures a worker may hold."""
    key = artefact.index.key
    assert key is not None  # it has items
    return max(1, _MOST_BYTES // (3 * params_of(key)["size"] ** 2))

"""backgrounds import; keypoints import | list."""

from __future__ import annotations

from collections import Counter
from typing import Any

import typer

from crossdim_cli.command import CATEGORY, Session, add_command, new_app
from crossdim_cli.output import table
from crossdim_cli.stage import add_import
from stages.errors import InputError
from stages.photos.layouts import FORMATS
from stages.store.workspace import Artefact, category_of, select_categories


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    backgrounds = new_app("Bring pictures into the workspace, to render shapes in front of.")
    app.add_typer(backgrounds, name="backgrounds")
    add_import(
        backgrounds,
        "backgrounds",
        ("folder",),
        help="Cut every picture of a folder to a square.",
        example="crossdim backgrounds import DIR --name sun",
    )
    keypoints = new_app("Bring photos with annotated keypoints into the workspace.")
    app.add_typer(keypoints, name="keypoints")
    add_import(
        keypoints,
        "keypoints",
        tuple(FORMATS),
        help="Read annotated photos of a data set in its published layout.",
        example="crossdim keypoints import keypoint-5 --format keypoint5",
    )
    add_command(
        keypoints,
        "list",
        [CATEGORY],
        _list,
        help="List categories of annotated photos: how many of each split, and their keypoints.",
        example="crossdim keypoints list --category chair",
    )


def _list(session: Session) -> None:
    artefacts = session.workspace.artefacts("keypoints")
    if not artefacts:
        raise InputError(
            f"no keypoints in {session.workspace.root}", "run: crossdim keypoints import PATH"
        )
    known = [item for artefact in artefacts for item in artefact.index.entries]
    wanted = set(select_categories(known, tuple(session.options["category"])))
    data = [row for artefact in artefacts for row in _categories(artefact, wanted)]
    columns = ("source", "category", "photos", "train", "val", "test", "failed", "keypoints")
    shown = [{**row, "keypoints": " ".join(row["keypoints"])} for row in data]
    rows = [[row[column] for column in columns] for row in shown]
    session.out.result({"keypoints": data}, table(columns, rows))


def _categories(artefact: Artefact, wanted: set[str]) -> list[dict[str, Any]]:
    """One row a category; photos of no split are in the column photos alone."""
    entries = {i: e for i, e in artefact.index.entries.items() if i in wanted}
    rows = []
    for category in sorted({category_of(item) for item in entries}):
        ours = {i: e for i, e in entries.items() if category_of(i) == category}
        good = sorted(item for item, entry in ours.items() if not entry.reason)
        splits = Counter(ours[item].labels.get("split", "") for item in good)
        names: list[str] = []
        if good:
            names = [
                n.decode() for n in artefact.read(good[0], ("keypoint_names",))["keypoint_names"]
            ]
        rows.append(
            {
                "source": artefact.variant,
                "category": category,
                "photos": len(good),
                **{split: splits[split] for split in ("train", "val", "test")},
                "failed": len(ours) - len(good),
                "keypoints": names,
            }
        )
    return rows

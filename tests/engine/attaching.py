"""A stage for tests that needs more than its own input row: a value, and rows of two others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stages.engine.plan import Plan, Selection, make_plan, wanted_from_inputs
from stages.engine.work import Work
from stages.stage import Arrays, ArraySpec, Attachment, Item, Row, Stage
from stages.store.workspace import Artefact, Workspace

PALETTE = ("toy/colour-a", "toy/colour-b")


@dataclass(frozen=True)
class Params:
    gain: int = 1


SPEC = {
    "sum": ArraySpec("int64", ("term",)),
    "note": ArraySpec("S32", label=True),
}


def process(item: Item, params: Params, rng: np.random.Generator) -> Arrays:
    """How much of the own grid, and of each attached one, is filled; and the value."""
    grids = [item.inputs["fake"]["grid"], *(a["grid"] for a in item.attached["palette"])]
    return {
        "sum": params.gain * np.array([grid.sum() for grid in grids]),
        "note": np.array(str(item.source["note"]).encode()),
    }


def attach(
    params: Params, seed: int, workspace: Workspace, ids: list[str]
) -> Mapping[str, Attachment]:
    """The rows of the palette, and its size, for every item."""
    palette = workspace.artefact("palette", "default")
    entries = [palette.entry(colour) for colour in PALETTE]
    rows: tuple[Row, ...] = tuple(
        (str(palette.folder / entry.shard), entry.row, colour)
        for colour, entry in zip(PALETTE, entries)
    )
    print_ = " ".join(entry.fingerprint for entry in entries)
    return {
        item: Attachment({"note": f"{item}+{len(rows)}"}, {"palette": rows}, {"palette": print_})
        for item in ids
    }


STAGE = Stage(
    "attaching",
    1,
    Params,
    SPEC,
    process,
    inputs=("fake",),
    command="crossdim attaching",
    attach=attach,
)


def artefact_of(root: Path) -> Artefact:
    """The one artefact of this stage."""
    return Workspace(root).artefact("attaching", "default")


def wanted_of(root: Path) -> dict[str, Work]:
    """Work for every item of the fake stage."""
    return wanted_from_inputs(STAGE, Params(), 0, Workspace(root), Selection())


def plan_of(root: Path) -> Plan:
    """What is to be done for every item of the fake stage."""
    return make_plan(STAGE, Params(), 0, artefact_of(root), wanted_of(root))

"""Runs the protocol of relative pose on one set of pictures."""

from __future__ import annotations

from typing import Any

from stages.evaluate.angles import angle_tables
from stages.evaluate.answers import METHODS
from stages.evaluate.measure import Measurement, Report, Show, about, evaluate
from stages.evaluate.posed import (
    by_kind,
    choose_items,
    choose_views,
    kind_of,
    name_of,
    posed_params,
)
from stages.evaluate.relpose import STAGE
from stages.evaluate.tables import Table, to_json
from stages.store.workspace import Artefact, Workspace
from stages.train.run import Run

__all__ = ["choose_views", "evaluate_relpose"]

TITLES = {"instance": "IB: other views of the same shape", "category": "CB: other shapes"}


def evaluate_relpose(
    workspace: Workspace,
    run: Run,
    pictures: Artefact,
    device: str,
    dry_run: bool,
    show: Show,
    turns: int = 0,
) -> Report:
    """Table 2 of the equivariant paper, of a run on one set of views or photos.

    `turns`: of each picture, whose embeddings are averaged.

    Raises InputError when the run has no best checkpoint, or there is nothing to measure it on.
    """
    ids, left_out = choose_items(workspace, run, pictures)
    params = posed_params(run, [pictures], turns)
    common = {"run": str(run.folder), "pictures": str(pictures.folder), "device": device}
    kinds = by_kind(ids)
    sources = {item: {**common, "ids": kinds[kind_of(item)]} for item in ids}

    def tell(results: Artefact) -> tuple[tuple[Table, ...], dict[str, Any]]:
        tables = angle_tables(results, ids, METHODS[run.system], TITLES)
        summary = about(run, params, ids)
        return tables, {**summary, "left_out": left_out, "tables": to_json(tables)}

    what = Measurement(STAGE, params, sources, name_of(pictures, turns))
    return evaluate(workspace, what, dry_run, show, tell)

"""Runs the protocol of aligning pictures with meshes on one set of pictures."""

from __future__ import annotations

from typing import Any, NamedTuple

from stages.engine.status import require_fresh
from stages.errors import InputError
from stages.evaluate.align import STAGE
from stages.evaluate.angles import angle_tables
from stages.evaluate.answers import METHODS
from stages.evaluate.measure import Measurement, Report, Show, about, evaluate, usable
from stages.evaluate.posed import by_kind, choose_items, kind_of, name_of, posed_params
from stages.evaluate.tables import Table, to_json
from stages.store.workspace import Artefact, Workspace
from stages.systems.spherical_cnn.params import MAPS
from stages.train.inputs import choose_variant
from stages.train.run import Run

# The maps that meshes are embedded from: as those that the frozen network was trained on.
CANONICAL = {**MAPS, "poses": "canonical"}
TITLES = {
    "instance": "IB: view to the mesh of its shape",
    "category": "CB: view to meshes of other shapes",
}
REGRESSED = {"instance": "view to the canonical frame"}


class Against(NamedTuple):
    """Pictures, and the sphere maps of the meshes that they are aligned with, if any are needed."""

    pictures: Artefact
    spheres: Artefact | None

    @property
    def variant(self) -> str:
        """The name of the pictures."""
        return self.pictures.variant


def choose_spheres(workspace: Workspace, name: str | None, run: Run) -> Artefact | None:
    """The maps of the canonical meshes, of that name or the only ones; None where poses are
    regressed. Raises InputError when there are none, UsageError when there are several."""
    if run.system == "pose-regression":
        return None
    return choose_variant(workspace, "spheres", CANONICAL, name)


def evaluate_align(
    workspace: Workspace,
    run: Run,
    against: Against,
    device: str,
    dry_run: bool,
    show: Show,
    turns: int = 0,
) -> Report:
    """Table 4 of the equivariant paper, of a run on one set of views or photos.

    `turns`: of each picture, whose embeddings are averaged.

    Raises InputError when the run has no best checkpoint, or there is nothing to measure it on.
    """
    pictures, spheres = against
    ids, left_out = choose_items(workspace, run, pictures)
    meshes = by_kind(_meshes(workspace, run, spheres)) if spheres else {}
    params = posed_params(run, [a for a in against if a is not None], turns)
    common = {
        "run": str(run.folder),
        "pictures": str(pictures.folder),
        "spheres": str(spheres.folder) if spheres else "",
        "device": device,
    }
    sources = {item: {**common, "ids": meshes.get(kind_of(item), [])} for item in ids}
    titles = TITLES if spheres else REGRESSED

    def tell(results: Artefact) -> tuple[tuple[Table, ...], dict[str, Any]]:
        tables = angle_tables(results, ids, METHODS[run.system], titles)
        summary = about(run, params, ids)
        return tables, {**summary, "left_out": left_out, "tables": to_json(tables)}

    what = Measurement(STAGE, params, sources, name_of(pictures, turns))
    return evaluate(workspace, what, dry_run, show, tell)


def _meshes(workspace: Workspace, run: Run, spheres: Artefact) -> list[str]:
    """The run's test shapes that have maps; InputError when none has, or they are stale."""
    ids = usable(run.record(), spheres)
    if not ids:
        raise InputError(
            f"{spheres.name} holds none of the test shapes of {run.name}", "run: crossdim raycast"
        )
    require_fresh(workspace, spheres, ids)
    return ids

"""Picking what to export: a cached shape, true voxels, or a prediction of an evaluated run."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from stages.errors import InputError, UsageError
from stages.evaluate.protocol import results_of
from stages.geometry.mesh import Mesh
from stages.store.shard import params_of
from stages.store.workspace import Artefact, Workspace
from stages.train.run import Run


@dataclass(frozen=True)
class Grid:
    """Occupancy on a grid: voxel i is centred at (i + 0.5) / res * extent + origin."""

    values: np.ndarray  # (res, res, res) float32, 0..1, [x, y, z]
    origin: np.ndarray  # (3,) world units
    extent: float  # side of the grid in world units
    threshold: float  # from which a voxel counts as filled


def choose_item(there: Iterable[str], wanted: str | None, what: str) -> str:
    """The wanted id if it is there, the first one if none is named; UsageError otherwise."""
    ids = sorted(there)
    if wanted is None and ids:
        return ids[0]
    if wanted in ids:
        return str(wanted)
    close = difflib.get_close_matches(wanted or "", ids, 1)
    hint = f"did you mean {close[0]}?" if close else "run: crossdim shapes list"
    raise UsageError(f"no {wanted or 'shape'} among {what}", hint)


def cached_mesh(workspace: Workspace, wanted: str | None) -> tuple[str, Mesh]:
    """Id and mesh of a cached shape, in the canonical frame."""
    owners = {i: a for a in workspace.artefacts("shapes") for i in a.index.items()}
    if not owners:
        raise InputError(f"no shapes in {workspace.root}", "run: crossdim shapes generate")
    item = choose_item(owners, wanted, "the cached shapes")
    return item, Mesh.from_arrays(owners[item].read(item))


def true_grid(
    workspace: Workspace, wanted: str | None, variant: str | None = None
) -> tuple[str, Grid]:
    """Id and voxels of a shape, from the named variant or the only one there is."""
    artefacts = [a for a in workspace.artefacts("voxels") if variant in (None, a.variant)]
    if not artefacts:
        raise InputError(f"no voxels in {workspace.root}", "run: crossdim voxelize")
    if len(artefacts) > 1:
        names = ", ".join(a.variant for a in artefacts)
        raise UsageError(f"several voxels are there: {names}", "choose one with --voxels NAME")
    item = choose_item(artefacts[0].index.items(), wanted, artefacts[0].name)
    arrays = artefacts[0].read(item)
    grid = Grid(
        arrays["voxels"].astype(np.float32),
        arrays["origin"].astype(np.float64),
        float(arrays["extent"].reshape(-1)[0]),
        0.5,
    )
    return item, grid


def evaluated(workspace: Workspace, run: Run) -> Artefact:
    """The results of a run; InputError with the command that makes them."""
    results = results_of(workspace, run)
    if not results.index.items():
        raise InputError(
            f"run {run.name} has no results yet",
            f"run: crossdim eval reconstruction --run {run.name}",
        )
    return results


def predicted_grid(
    workspace: Workspace, run: Run, wanted: str | None, view: int
) -> tuple[str, Grid]:
    """Id and voxels that a run told from one view of a test shape, with the run's threshold."""
    results = evaluated(workspace, run)
    item = choose_item(results.index.items(), wanted, f"the test shapes of run {run.name}")
    voxels = results.read(item, ("voxels",))["voxels"]  # (V, 32, 32, 32) uint8
    if view >= len(voxels):
        raise UsageError(f"{item} has {len(voxels)} views", f"use --view 0 to {len(voxels) - 1}")
    values = voxels[view].astype(np.float32) / 255
    return item, Grid(values, np.full(3, -0.5), 1.0, threshold_of(results))


def threshold_of(results: Artefact) -> float:
    """The occupancy threshold that results were made with."""
    key = results.index.key
    return float(params_of(key)["threshold"]) if key else 0.5

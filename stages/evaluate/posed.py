"""Pictures whose pose is known, to measure a run on: views of its test shapes, or photos of others.

Photos are `crossdim keypoints import` with the object cut out, 128 pixels a side: one photo is one
item with one view, its rotation that of the annotated viewpoint, and no mesh of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from stages.engine.status import require_fresh
from stages.errors import InputError, UsageError
from stages.evaluate.answers import network, pictures, say
from stages.evaluate.measure import RunParams, run_params, usable
from stages.geometry.cameras import extrinsics
from stages.store.shard import params_of
from stages.store.workspace import Artefact, Workspace, artefact_at, category_of
from stages.train.run import Run
from stages.viewpoints.categories import canonical

SIZE = 128  # pixels a side of what the networks look at
PHOTOS = "keypoints"  # the stage of photos
_RENDER = "run: crossdim render --preset equivariant-3dof-test"
_IMPORT = (
    "run: crossdim keypoints import DIR --format pascal3d --region object --width 128 --height 128"
)
_SIZED = {"size": SIZE}
_CUT_OUT = {"region": "object", "fit": "letterbox", "width": SIZE, "height": SIZE}


@dataclass(frozen=True)
class PosedParams(RunParams):
    """What poses depend on."""

    turns: int = 0  # of each picture, whose embeddings are averaged; 0: the picture as it is


def posed_params(run: Run, inputs: Sequence[Artefact], turns: int) -> PosedParams:
    """As `run_params`. Raises UsageError for turns of a system that embeds no pictures."""
    if turns and run.system != "equivariant":
        raise UsageError(
            f"{run.system} has no embeddings to average over turns",
            "leave --turns out, or choose --system equivariant",
        )
    return PosedParams(**vars(run_params(run, inputs)), turns=turns)


def choose_views(workspace: Workspace, names: Sequence[str], run: Run) -> list[Artefact]:
    """The sets of views of these names; without any, all of 128 pixels but the run's own.

    Raises InputError when there is none, or a named one is of another size.
    """
    if names:
        return [_named(workspace, "views", name, _SIZED, _RENDER) for name in names]
    own = run.record()["data"]["variants"].get("views")
    there = [a for a in workspace.artefacts("views") if a.variant != own]
    fits = [artefact for artefact in there if not _unlike(artefact, _SIZED)]
    if not fits:
        raise InputError(f"no views of {SIZE} pixels to measure on but those trained on", _RENDER)
    return fits


def choose_photos(workspace: Workspace, names: Sequence[str]) -> list[Artefact]:
    """The annotated photos of these names; InputError unless their objects are cut out."""
    return [_named(workspace, PHOTOS, name, _CUT_OUT, _IMPORT) for name in names]


def _named(
    workspace: Workspace, stage: str, name: str, needed: Mapping[str, Any], hint: str
) -> Artefact:
    artefact = next((a for a in workspace.artefacts(stage) if a.variant == name), None)
    if artefact is None:
        raise InputError(f"no {stage}/{name} in {workspace.root}", hint)
    if bad := _unlike(artefact, needed):
        raise InputError(f"{artefact.name} is not of {bad} {needed[bad]}", hint)
    return artefact


def _unlike(artefact: Artefact, needed: Mapping[str, Any]) -> str:
    """The first parameter that is not as needed, "" when all are."""
    params = params_of(artefact.index.key) if artefact.index.key else {}
    return next((name for name, value in needed.items() if params.get(name) != value), "")


class Chosen(NamedTuple):
    """The items that are measured, and how many of the run's have no pose, or no pictures."""

    ids: list[str]
    left_out: int


def choose_items(workspace: Workspace, run: Run, artefact: Artefact) -> Chosen:
    """The items of an artefact that the run is measured on.

    Of views those of its test shapes; of photos all of its categories whose rotation is known.
    Raises InputError when there are none, or views are stale.
    """
    record = run.record()
    ids = usable(record, artefact)
    if artefact.stage == PHOTOS:
        known = [item for item in ids if _is_posed(artefact, item)]
        if not known:
            raise InputError(
                f"{artefact.name} has no photo with a full viewpoint of "
                f"{', '.join(record['data']['categories'])}",
                "give photos of what the run was trained on",
            )
        return Chosen(known, len(ids) - len(known))
    test = record["data"]["ids"]["test"]
    if not test:
        raise InputError(f"run {run.name} has no test shapes", "add shapes, then train again")
    if not ids:
        raise InputError(
            f"{artefact.name} shows none of the {len(test)} test shapes of {run.name}", _RENDER
        )
    require_fresh(workspace, artefact, ids)
    return Chosen(ids, len(test) - len(ids))


def _is_posed(artefact: Artefact, item: str) -> bool:
    """Whether azimuth, elevation and in-plane angle are known."""
    return bool(np.isfinite(artefact.read(item, ("viewpoint",))["viewpoint"][:3]).all())


def kind_of(item: str) -> str:
    """The category of an item, by the name that stands for all its names."""
    return canonical(category_of(item))


def by_kind(ids: Sequence[str]) -> dict[str, list[str]]:
    """The ids of each kind, in their order."""
    kinds: dict[str, list[str]] = {}
    for item in ids:
        kinds.setdefault(kind_of(item), []).append(item)
    return kinds


class Answers(NamedTuple):
    """What a run says of the views of one item, and the truth."""

    rotation: np.ndarray  # (V, 3, 3) float64, canonical to camera
    said: Any  # (V, ...) tensor


@lru_cache(maxsize=4)
def answers(
    run: str, folder: str, device: str, params: PosedParams, ids: tuple[str, ...]
) -> dict[str, Answers]:
    """What a run says of the pictures of these items in an artefact's folder, once a process."""
    artefact = artefact_at(folder)
    trained = network(run, params.weights, device)
    found = {}
    for item in ids:
        rgb, rotation = read_posed(artefact, item)
        found[item] = Answers(rotation, say(trained, pictures(rgb), device, params.turns))
    artefact.close()
    return found


def read_posed(artefact: Artefact, item: str) -> tuple[np.ndarray, np.ndarray]:
    """Pictures (V, S, S, 3) uint8 and rotations (V, 3, 3) float64, canonical to camera."""
    if artefact.stage == PHOTOS:
        arrays = artefact.read(item, ("rgb", "viewpoint"))
        return arrays["rgb"][None], extrinsics(arrays["viewpoint"][None])[:, :, :3]
    arrays = artefact.read(item, ("rgb", "extrinsics"))
    return arrays["rgb"], arrays["extrinsics"][:, :, :3].astype(np.float64)


def name_of(artefact: Artefact, turns: int = 0) -> str:
    """What results on it are called after: views their name, photos `photos-NAME`; and turns."""
    name = f"photos-{artefact.variant}" if artefact.stage == PHOTOS else artefact.variant
    return f"{name}-turns{turns}" if turns else name

"""Pictures to meshes (equivariant paper, section C.1, table 4): the pose of a shape in a picture.

The embedding of a view against those of meshes in the canonical frame; what brings them together is
the camera's rotation. One item is one test shape, each of its views paired with its own mesh
(instance based, IB) and with those of three other test shapes of its category (category based, CB).
Or one item is one photo, which has no mesh of its own. A regressed pose needs no mesh: there, the
pair is the view and the canonical frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from stages.evaluate.angles import ROTATION, Pair, arrays_of, some_of, spec_of
from stages.evaluate.answers import METHODS, aligned, embed_shapes, network
from stages.evaluate.posed import PosedParams, answers
from stages.stage import Arrays, Item, Stage
from stages.store.workspace import artefact_at

NAME = "align"
VERSION = 1
SPEC = {"rotation": ROTATION, **spec_of("instance"), **spec_of("category")}


def process(item: Item, params: PosedParams, rng: np.random.Generator) -> Arrays:
    """Every pair of one shape; what the run makes of all meshes is computed once a process.

    `item.source`: folder of the `run`, of the `pictures`, and of the `spheres` ("" for systems that
    need none), `device`, and the `ids` of the meshes of its category.
    """
    source = item.source
    run, device, ids = source["run"], source["device"], tuple(source["ids"])
    mine = answers(run, source["pictures"], device, params, (item.id,))[item.id]
    meshes = embedded(run, source["spheres"], device, params, ids) if source["spheres"] else None
    pairs = _pairs(item.id, len(mine.rotation), meshes, rng)
    methods = METHODS[network(run, params.weights, device).system.NAME]
    arrays = {"rotation": mine.rotation.astype(np.float32)}
    for base, chosen in pairs.items():
        views = [pair.view for pair in chosen]
        told = np.zeros((0, len(methods), 3, 3))
        if chosen:
            told = _absolute(mine.said[views], chosen, meshes)
        arrays.update(arrays_of(base, chosen, mine.rotation[views].reshape(-1, 3, 3), told))
    return arrays


STAGE = Stage(
    f"results/{NAME}",
    VERSION,
    PosedParams,
    SPEC,
    process,
    inputs=("views", "spheres"),
    command=f"crossdim eval {NAME}",
)


def _pairs(
    item: str, views: int, meshes: dict[str, Any] | None, rng: np.random.Generator
) -> dict[str, list[Pair]]:
    """What each view is compared with, by base."""
    everywhere = range(views)
    if meshes is None:
        return {"instance": [Pair(view, item) for view in everywhere], "category": []}
    others = sorted(set(meshes) - {item})
    return {
        "instance": [Pair(view, item) for view in everywhere if item in meshes],
        "category": [Pair(view, name) for view in everywhere for name in some_of(others, rng)],
    }


def _absolute(said: Any, pairs: Sequence[Pair], meshes: dict[str, Any] | None) -> np.ndarray:
    """(N, M, 3, 3) rotations from the canonical frame to the cameras that see `said` (N, ...)."""
    import torch

    if meshes is None:
        return said[:, None].numpy()
    return aligned(said, torch.stack([meshes[pair.shape] for pair in pairs]))


@lru_cache(maxsize=4)
def embedded(
    run: str, folder: str, device: str, params: PosedParams, ids: tuple[str, ...]
) -> dict[str, Any]:
    """Embeddings (C, t, t) of canonical meshes by id, by the network that pictures follow."""
    if not ids:
        return {}
    artefact = artefact_at(folder)
    trained = network(run, params.weights, device)
    maps = np.concatenate([artefact.read(item, ("map",))["map"] for item in ids])  # (S, 1, n, n)
    artefact.close()
    return dict(zip(ids, embed_shapes(trained, maps, device)))

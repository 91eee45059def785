"""Shapes found by pictures, pictures by shapes, and pictures by pictures, in the space of codes.

One item is one test shape with all its views. The gallery is that of all test shapes: their voxels,
or their pictures. Beside the codes of the run stands an answer without a network, through the
nearest training shape: a picture is taken for the nearest training picture and finds the shapes
whose voxels are most like those of that picture's shape; voxels are taken for the nearest training
voxels and find the pictures most like those of that shape; pictures find the nearest pixels.

Letters: S test shapes, V views of each, N = S V pictures, T training shapes, M methods, C length of
a code.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from stages.evaluate.answers import network, pictures, say
from stages.evaluate.measure import RunParams
from stages.evaluate.search import Ranked, nearest, ranked, squared_distances
from stages.stage import Arrays, ArraySpec, Item, Stage
from stages.store.workspace import Artefact, artefact_at

NAME = "retrieval"
VERSION = 1
METHODS = ("codes", "nearest neighbour")
SPEC = {
    "voxel_code": ArraySpec("float32", ("component",)),
    "image_code": ArraySpec("float32", ("view", "component")),
    # ranks of the first right answer from 1, 0 where there is none; methods as in METHODS
    "image_to_shape_rank": ArraySpec("int32", ("view", "method")),
    "image_to_shape_told": ArraySpec("S200", ("view", "method")),  # the first shape
    "shape_to_image_rank": ArraySpec("int32", ("method",)),
    "shape_to_image_ap": ArraySpec("float32", ("method",), "average precision"),
    "image_to_image_rank": ArraySpec("int32", ("view", "method")),
    "image_to_image_ap": ArraySpec("float32", ("view", "method"), "average precision"),
}
_SMALL = 32  # pixels and voxels a side at which the nearest neighbours are sought
_MOST = 20_000  # training pictures that are searched, the first views of every shape


@dataclass(frozen=True)
class Asked:
    """What is searched for what: shapes, and the folders of their artefacts."""

    run: str
    views: str
    voxels: str
    device: str
    test: tuple[str, ...]
    train: tuple[str, ...]
    training_views: str


def process(item: Item, params: RunParams, rng: np.random.Generator) -> Arrays:
    """The arrays of SPEC of one test shape; all are found in one go, once a process.

    `item.source`: the fields of `Asked`.
    """
    lists = {name: tuple(item.source[name]) for name in ("test", "train")}
    asked = Asked(**{**item.source, **lists})
    return _everything(asked, params.weights)[item.id]


STAGE = Stage(
    f"results/{NAME}",
    VERSION,
    RunParams,
    SPEC,
    process,
    inputs=("views", "voxels"),
    command=f"crossdim eval {NAME}",
)


@lru_cache(maxsize=1)
def _everything(asked: Asked, weights: str) -> dict[str, Arrays]:
    """The arrays of SPEC by id."""
    trained = network(asked.run, weights, asked.device)
    voxel, image = _codes(trained, asked)
    views = len(image) // len(voxel)  # V
    shape = np.arange(len(voxel)).repeat(views)  # (N,) which shape a picture shows
    told = (_by_codes(voxel, image), _by_neighbours(asked))
    to_shape, to_image, alike = ([one[n] for one in told] for n in range(3))
    own = shape[:, None] == np.arange(len(voxel))  # (N, S)
    names = np.array([item.encode() for item in asked.test], "S200")
    arrays: dict[str, np.ndarray] = {
        "voxel_code": voxel,
        "image_code": image.reshape(len(voxel), views, -1),
        "image_to_shape_told": _stack([names[d.argmin(1)] for d in to_shape], views),
    }
    found = [ranked(distances, own) for distances in to_shape]
    arrays["image_to_shape_rank"] = _stack([one.rank for one in found], views)
    found = [ranked(distances, own.T) for distances in to_image]
    arrays["shape_to_image_rank"] = _stack([one.rank for one in found])
    arrays["shape_to_image_ap"] = _stack([one.average_precision for one in found])
    found = [_others(distances, shape) for distances in alike]
    arrays["image_to_image_rank"] = _stack([one.rank for one in found], views)
    arrays["image_to_image_ap"] = _stack([one.average_precision for one in found], views)
    return {
        item: {name: array[n] for name, array in arrays.items()}
        for n, item in enumerate(asked.test)
    }


def _stack(by_method: Sequence[np.ndarray], views: int = 0) -> np.ndarray:
    """(S, M), or (S, V, M) of what there is for every picture (N,)."""
    stacked = np.stack(by_method, -1)
    return stacked.reshape(-1, views, len(by_method)) if views else stacked


def _others(distances: np.ndarray, shape: np.ndarray) -> Ranked:
    """Other pictures (N, N) of the same shape (N,): a picture does not find itself."""
    if len(shape) == len(set(shape.tolist())):  # one view each: there is nothing to find
        return Ranked(np.zeros(len(shape), np.int32), np.zeros(len(shape), np.float32))
    distances = distances.copy()
    np.fill_diagonal(distances, np.inf)
    same = shape[:, None] == shape
    np.fill_diagonal(same, False)
    return ranked(distances, same)


def _codes(trained: Any, asked: Asked) -> tuple[np.ndarray, np.ndarray]:
    """(S, C) float32 of the voxels and (N, C) of the pictures."""
    views, voxels = artefact_at(asked.views), artefact_at(asked.voxels)
    of_voxels, of_images = [], []
    for item in asked.test:
        solid = voxels.read(item, ("voxels",))["voxels"]
        rgb = views.read(item, ("rgb",))["rgb"]
        of_voxels.append(voxel_code(trained, solid, asked.device))
        of_images.append(say(trained, pictures(rgb), asked.device).numpy())
    views.close()
    voxels.close()
    return np.stack(of_voxels), np.concatenate(of_images)


def voxel_code(trained: Any, voxels: np.ndarray, device: str) -> np.ndarray:
    """(C,) float32 code of voxels (R, R, R) bool."""
    import torch

    with torch.no_grad():
        code = trained.model.encode_voxels(torch.from_numpy(voxels)[None].to(device))
    return code[0].float().cpu().numpy()


Distances = tuple[np.ndarray, np.ndarray, np.ndarray]  # (N, S), (S, N) and (N, N)


def _by_codes(voxel: np.ndarray, image: np.ndarray) -> Distances:
    """Squared distances of codes; in float64, where the product loses nothing that counts."""
    voxel, image = voxel.astype(np.float64), image.astype(np.float64)
    across = squared_distances(image, voxel)
    return across, across.T, squared_distances(image, image)


def _by_neighbours(asked: Asked) -> Distances:
    """Squared distances by pixels and voxels, through the nearest training shape."""
    views, voxels = artefact_at(asked.views), artefact_at(asked.voxels)
    seen = np.concatenate([small_pictures(rgb) for rgb in _each(views, asked.test, "rgb")])
    solid = np.stack([small_voxels(one) for one in _each(voxels, asked.test, "voxels")])
    known = np.stack([small_voxels(one) for one in _each(voxels, asked.train, "voxels")])
    learnt = artefact_at(asked.training_views)
    most = max(1, _MOST // len(asked.train))
    shown = [small_pictures(rgb[:most]) for rgb in _each(learnt, asked.train, "rgb")]
    for artefact in (views, voxels, learnt):
        artefact.close()
    owner = np.arange(len(shown)).repeat([len(one) for one in shown])
    taken_for = owner[nearest(seen, np.concatenate(shown))[:, 0]]  # (N,) training shapes
    alike = squared_distances(known, solid)  # (T, S)
    to_image = np.stack(
        [squared_distances(shown[one], seen).min(0) for one in nearest(solid, known)[:, 0]]
    )
    return alike[taken_for], to_image, squared_distances(seen, seen)


def _each(artefact: Artefact, ids: Sequence[str], name: str) -> Iterator[np.ndarray]:
    return (artefact.read(item, (name,))[name] for item in ids)


def small_pictures(rgb: np.ndarray) -> np.ndarray:
    """(V, 3 * 32 * 32) float32 of pictures (V, P, P, 3): means over cells, 0 to 1."""
    import torch.nn.functional as F

    size = min(_SMALL, rgb.shape[1])
    return F.adaptive_avg_pool2d(pictures(rgb), size).flatten(1).numpy()


def small_voxels(voxels: np.ndarray) -> np.ndarray:
    """(32^3,) float32 of voxels (R, R, R) bool: occupied shares of cells."""
    import torch
    import torch.nn.functional as F

    size = min(_SMALL, len(voxels))
    return F.adaptive_avg_pool3d(torch.from_numpy(voxels)[None].float(), size).flatten().numpy()

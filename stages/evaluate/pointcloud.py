"""Point clouds told of pictures, beside the shapes: distances, F-scores, and trivial answers.

One item is one test shape with all its pictures. Every number is kept for each of them, and every
cloud, so that tables and files are made without the network. Letters: V pictures.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from stages.evaluate.answers import network, pictures
from stages.evaluate.cloud_baselines import CloudBaselines, make_cloud_baselines, true_cloud
from stages.evaluate.clouds import NUMBERS, Truth
from stages.evaluate.measure import RunParams
from stages.geometry.mesh import Mesh
from stages.stage import Arrays, ArraySpec, Item, Stage
from stages.store.workspace import Workspace, category_of, read_item
from stages.train.run import Run

if TYPE_CHECKING:
    import torch

    from stages.train.run import Trained

NAME = "pointcloud"
VERSION = 1
_BATCH = 32
ANSWERS = (
    "predicted",
    "mean cloud",
    "training shape of the nearest picture",
    "nearest training shape (oracle)",
    "true depth maps (limit)",
)
SPEC = {
    "points": ArraySpec(
        "float32", ("point", "xyz"), "view after view", "canonical", shape=(None, 3), ragged=True
    ),
    "count": ArraySpec("int32", ("view",), "points of each view"),
    # answers as in ANSWERS, numbers as in NUMBERS; NaN for distances of an empty cloud
    "number": ArraySpec("float32", ("view", "answer", "number"), "distances x 100", unknown=True),
    "nearest_training_shape": ArraySpec("S200"),
}


def process(item: Item, params: RunParams, rng: np.random.Generator) -> Arrays:
    """Every number of one shape; the network and the baselines are read once a process.

    `item.source`: folders of the `run`, the `pictures`, the `depths` and the `shapes`, `device`.
    """
    source = item.source
    trained = network(source["run"], params.weights, source["device"])
    baselines = _baselines(source["run"], category_of(item.id))
    rgb = read_item(source["pictures"], item.id, ("rgb",))["rgb"]
    truth = Truth.of(Mesh.from_arrays(read_item(source["shapes"], item.id)), rng)
    told = predicted_clouds(trained, rgb, source["device"])
    limit = true_cloud(read_item(source["depths"], item.id, ("depth", "extrinsics")))
    nearest = baselines.nearest(truth.spread)
    numbers = np.empty((len(rgb), len(ANSWERS), len(NUMBERS)), np.float32)
    numbers[:, 0] = [truth.compare(cloud, rng) for cloud in told]
    numbers[:, 1] = truth.compare(baselines.mean, rng)
    found = baselines.pictured(rgb)
    known = {i: truth.compare(baselines.clouds[i], rng) for i in sorted({*found, nearest})}
    numbers[:, 2] = [known[shape] for shape in found]
    numbers[:, 3] = known[nearest]
    numbers[:, 4] = truth.compare(limit, rng)
    return {
        "points": np.concatenate(told),
        "count": np.array([len(cloud) for cloud in told], np.int32),
        "number": numbers,
        "nearest_training_shape": np.array(nearest.encode(), "S200"),
    }


STAGE = Stage(
    f"results/{NAME}",
    VERSION,
    RunParams,
    SPEC,
    process,
    command=f"crossdim eval {NAME}",
)


def predicted_clouds(trained: Trained, rgb: np.ndarray, device: str) -> list[np.ndarray]:
    """(N, 3) float32 world points for each of (V, 64, 64, 3) uint8 pictures; N may be 0."""
    clouds = []
    for part in pictures(rgb).split(_BATCH):
        clouds += split(trained.system.predict(trained.model, part.to(device), trained.params))
    return clouds


def split(told: Mapping[str, torch.Tensor]) -> list[np.ndarray]:
    """(N, 3) float32 world points of each of the clouds that `predict` tells."""
    points, visible = told["points"].mT.cpu(), (told["logit"] > 0).cpu()
    return [one[seen].numpy() for one, seen in zip(points, visible)]


@lru_cache(maxsize=8)
def _baselines(folder: str, category: str) -> CloudBaselines:
    """What is known of a category from what a run was trained on."""
    run = Run(Path(folder))
    data = run.record()["data"]
    workspace = Workspace(run.folder.parents[2])
    depths, views = (workspace.artefact(s, data["variants"][s]) for s in ("depths", "views"))
    return make_cloud_baselines(depths, views, category, data["ids"]["train"], data["ids"]["val"])

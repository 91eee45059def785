"""Shapes told apart by a spherical CNN from their ray lengths (equivariant paper, appendix A.1).

One item is one test shape with all its poses: canonical ones say how well the network classifies,
random ones how little that depends on the pose.
"""

from __future__ import annotations

import numpy as np

from stages.evaluate.answers import network, say
from stages.evaluate.measure import RunParams
from stages.stage import Arrays, ArraySpec, Item, Stage
from stages.store.workspace import category_of, read_item

NAME = "classification"
VERSION = 1
SPEC = {
    # classes as in the parameters of the run
    "probability": ArraySpec("float32", ("pose", "class")),
    "told": ArraySpec("int16", ("pose",)),
    "truth": ArraySpec("int16"),
}


def process(item: Item, params: RunParams, rng: np.random.Generator) -> Arrays:
    """What the network says of every pose of a shape.

    `item.source`: folder of the `run` and of the `spheres`, and `device`.
    """
    import torch

    from stages.systems.spherical_cnn.data import SCALE

    source = item.source
    trained = network(source["run"], params.weights, source["device"])
    maps = read_item(source["spheres"], item.id, ("map",))["map"]  # (P, 1, n, n)
    probability = say(trained, torch.from_numpy(maps) * SCALE, source["device"]).numpy()
    return {
        "probability": probability,
        "told": probability.argmax(1).astype(np.int16),
        "truth": np.int16(trained.params.classes.index(category_of(item.id))),
    }


STAGE = Stage(
    f"results/{NAME}",
    VERSION,
    RunParams,
    SPEC,
    process,
    inputs=("spheres",),
    command=f"crossdim eval {NAME}",
)

"""Relative pose of two views (equivariant paper, section 4.2, table 2): of one shape and of two.

One item is one test shape, each of its views once the first of three pairs with other views of the
same shape (instance based, IB) and of three with views of other test shapes of its category
(category based, CB), fewer where there are no more. Two shapes are compared as if they were one,
which is why CB needs aligned shapes. Or one item is one photo, which has pairs with others only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from stages.evaluate.angles import PAIRS, ROTATION, Pair, arrays_of, some_of, spec_of
from stages.evaluate.answers import METHODS, network, relative
from stages.evaluate.posed import Answers, PosedParams, answers
from stages.stage import Arrays, Item, Stage

NAME = "relpose"
VERSION = 2
SPEC = {"rotation": ROTATION, **spec_of("instance"), **spec_of("category")}


def process(item: Item, params: PosedParams, rng: np.random.Generator) -> Arrays:
    """Every pair of one shape; what the run says of all views is computed once a process.

    `item.source`: folder of the `run`, of the `pictures`, `device`, and the `ids` of its category.
    """
    source = item.source
    everyone = (source["run"], source["pictures"], source["device"], params, tuple(source["ids"]))
    there = answers(*everyone)
    views = len(there[item.id].rotation)
    others = {name: len(one.rotation) for name, one in there.items() if name != item.id}
    pairs = {"instance": within(item.id, views, rng), "category": across(views, others, rng)}
    arrays = {"rotation": there[item.id].rotation.astype(np.float32)}
    for base, chosen in pairs.items():
        truth, told = _measured(source, params, there[item.id], there, chosen)
        arrays.update(arrays_of(base, chosen, truth, told))
    return arrays


STAGE = Stage(
    f"results/{NAME}",
    VERSION,
    PosedParams,
    SPEC,
    process,
    inputs=("views",),
    command=f"crossdim eval {NAME}",
)


def within(item: str, views: int, rng: np.random.Generator) -> list[Pair]:
    """Pairs of each of an item's views with PAIRS of its other views, or all of them."""
    pairs = []
    for view in range(views):
        others = rng.permutation([other for other in range(views) if other != view])[:PAIRS]
        pairs += [Pair(view, item, int(other)) for other in others]
    return pairs


def across(views: int, others: Mapping[str, int], rng: np.random.Generator) -> list[Pair]:
    """Pairs of each view with a view of PAIRS other shapes, or of all; others: id -> its views."""
    names = sorted(others)
    return [
        Pair(view, name, int(rng.integers(others[name])))
        for view in range(views)
        for name in some_of(names, rng)
    ]


def _measured(
    source: Mapping[str, str],
    params: PosedParams,
    mine: Answers,
    there: Mapping[str, Answers],
    pairs: Sequence[Pair],
) -> tuple[np.ndarray, np.ndarray]:
    """(N, 3, 3) truth and (N, M, 3, 3) what was told of the pairs."""
    import torch

    trained = network(source["run"], params.weights, source["device"])
    if not pairs:
        return np.zeros((0, 3, 3)), np.zeros((0, len(METHODS[trained.system.NAME]), 3, 3))
    first = mine.rotation[[pair.view for pair in pairs]]
    second = np.stack([there[pair.shape].rotation[pair.other] for pair in pairs])
    said = torch.stack([there[pair.shape].said[pair.other] for pair in pairs])
    told = relative(trained, mine.said[[pair.view for pair in pairs]], said)
    return first @ second.transpose(0, 2, 1), told

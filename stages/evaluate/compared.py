"""What any system says of the views of a shape, in two currencies: shape and pose.

One item is one test shape with all its views, one result one system, run or trivial answer. A
system that says nothing in a currency has empty arrays there. Letters: V views, N pairs, C length
of a code.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from stages.evaluate import answers
from stages.evaluate.angles import ROTATION, Pair, arrays_of, spec_of
from stages.evaluate.clouds import NUMBERS, Truth
from stages.evaluate.compared_field import RES
from stages.evaluate.measure import RunParams
from stages.evaluate.metrics import iou
from stages.evaluate.relpose import across, within
from stages.evaluate.said import Asked, Said, everyone, opened, true_mesh, true_rotations
from stages.geometry.rotations import geodesic
from stages.stage import Arrays, ArraySpec, Item, Stage
from stages.store.fingerprint import item_rng

NAME = "compare"
VERSION = 1
_CHAMFER, _SCORE = NUMBERS.index("Chamfer"), NUMBERS.index("F-score at 1 %")


@dataclass(frozen=True)
class CompareParams(RunParams):
    """What the numbers depend on."""

    threshold: float = 0.5  # at which predicted occupancy counts as solid
    training: str = ""  # fingerprint of the shapes that trivial answers and codes come from


def _views(units: str = "") -> ArraySpec:
    return ArraySpec("float32", ("view",), units, ragged=True, unknown=True)


SPEC = {
    "rotation": ROTATION,
    # empty where a system tells no shape, or no pose
    "voxels": ArraySpec(
        "uint8",
        ("view", "x", "y", "z"),
        "0 or 1",
        "canonical",
        shape=(None, *(RES,) * 3),
        ragged=True,
    ),
    "voxel_iou": _views(),
    "chamfer": _views("diagonals x 100"),  # NaN where a shape is empty
    "f_score": _views(),
    "retrieved": ArraySpec("S200", ("view",), ragged=True),
    "told_rotation": ArraySpec(
        "float32",
        ("view", "row", "column"),
        "",
        "canonical to camera (OpenCV)",
        shape=(None, 3, 3),
        ragged=True,
    ),
    "error_deg": _views("deg"),
    **spec_of("instance"),
    **spec_of("category"),
}


def process(item: Item, params: CompareParams, rng: np.random.Generator) -> Arrays:
    """The arrays of SPEC of one test shape. `item.source`: the fields of `Asked`."""
    asked = Asked.of(item.source)
    said = everyone(asked, params.threshold)
    mine = said[item.id]
    truth = true_rotations(asked, item.id)
    arrays: dict[str, Any] = {"rotation": truth.astype(np.float32)}
    arrays |= _shape_numbers(asked, item.id, mine, len(truth))
    arrays |= _pose_numbers(mine, truth)
    # the pairs of `crossdim eval relpose`, drawn by the same generator
    others = {name: len(true_rotations(asked, name)) for name in asked.test}
    del others[item.id]
    drawn = item_rng(0, item.id)
    pairs = {"instance": within(item.id, len(truth), drawn)}
    pairs["category"] = across(len(truth), others, drawn)
    for base, chosen in pairs.items():
        arrays |= _pair_numbers(asked, base, chosen, said, truth, mine)
    return arrays


STAGE = Stage(
    f"results/{NAME}",
    VERSION,
    CompareParams,
    SPEC,
    process,
    inputs=("views", "voxels", "shapes"),
    command="crossdim compare",
)


def _shape_numbers(asked: Asked, item: str, said: Said, views: int) -> Arrays:
    nothing = np.zeros(0, np.float32)
    if said.voxels is None:
        empty = np.zeros((0, RES, RES, RES), np.uint8)
        return {
            "voxels": empty,
            **dict.fromkeys(("voxel_iou", "chamfer", "f_score"), nothing),
            "retrieved": np.zeros(0, "S200"),
        }
    true = asked.read(asked.voxels, item, ("voxels",))["voxels"]
    # as `crossdim eval pointcloud` draws it
    truth = Truth.of(true_mesh(asked, item), item_rng(0, item))
    clouds = said.clouds or []
    known: dict[int, np.ndarray] = {}  # views may share one answer
    numbers = []
    for cloud in clouds:
        if id(cloud) not in known:
            known[id(cloud)] = truth.compare(cloud, item_rng(0, item))
        numbers.append(known[id(cloud)])
    found = np.stack(numbers)
    return {
        "voxels": said.voxels.astype(np.uint8),
        "voxel_iou": iou(said.voxels, np.broadcast_to(true, said.voxels.shape)),
        "chamfer": found[:, _CHAMFER],
        "f_score": found[:, _SCORE],
        "retrieved": np.array([name.encode() for name in said.retrieved], "S200"),
    }


def _pose_numbers(said: Said, truth: np.ndarray) -> Arrays:
    if said.rotation is None:
        return {
            "told_rotation": np.zeros((0, 3, 3), np.float32),
            "error_deg": np.zeros(0, np.float32),
        }
    return {
        "told_rotation": said.rotation.astype(np.float32),
        "error_deg": np.degrees(geodesic(said.rotation, truth)).astype(np.float32),
    }


def _pair_numbers(
    asked: Asked,
    base: str,
    pairs: Sequence[Pair],
    said: Mapping[str, Said],
    truth: np.ndarray,
    mine: Any,
) -> Arrays:
    """The arrays of `angles.arrays_of`, of the best method of the system; empty without poses."""
    import torch

    if not pairs or (mine.rotation is None and mine.plain is None):
        return arrays_of(base, [], np.zeros((0, 3, 3)), np.zeros((0, 1, 3, 3)))
    other = np.stack([true_rotations(asked, p.shape)[p.other] for p in pairs])
    views = [pair.view for pair in pairs]
    true = truth[views] @ other.transpose(0, 2, 1)
    if mine.plain is not None:
        trained = opened(asked.who, asked.weights, asked.device)
        plain = torch.stack([said[pair.shape].plain[pair.other] for pair in pairs])
        told = answers.relative(trained, mine.plain[views], plain)[:, :1]
    else:
        rotations: Any = {pair.shape: said[pair.shape].rotation for pair in pairs}
        second = np.stack([rotations[pair.shape][pair.other] for pair in pairs])
        told = (mine.rotation[views] @ second.transpose(0, 2, 1))[:, None]
    return arrays_of(base, pairs, true, told)

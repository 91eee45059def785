"""Relative pose of two views (equivariant paper, section 4.2, table 2): of one shape and of two.

One item is one test shape, each of its views once the first of three pairs with other views of the
same shape (instance based, IB) and of three with views of other test shapes of its category
(category based, CB). The rotation sought takes the second view's camera frame to the first's,
R1 R2^T: of two shapes, as if they were one, which is why CB needs aligned shapes.

Letters: V views, P = 3 pairs of a view, M methods.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from stages.engine.work import Work
from stages.errors import ItemError
from stages.geometry.rotations import geodesic
from stages.stage import Arrays, ArraySpec, Item, Stage, params_json
from stages.store.fingerprint import digest, item_fingerprint
from stages.store.workspace import Artefact, category_of
from stages.train.run import Run, load_model

NAME = "relpose"
VERSION = 1
PAIRS = 3
# What a system's answer is turned into a rotation by, best first.
METHODS = {
    "equivariant": ("refined", "64^3 grid"),
    "pose-regression": ("regressed",),
    "keypointnet": ("keypoints",),
}
_BATCH = 64


@dataclass(frozen=True)
class Params:
    """What the numbers depend on besides the views."""

    run: str = ""  # system-name
    weights: str = ""  # sha256 of the checkpoint
    data: str = ""  # fingerprint of the run's shapes and split
    views: str = ""  # which views are measured
    shapes: str = ""  # digest of the test shapes, which the partners are drawn from


def _pairs(dtype: str, *axes: str, units: str = "") -> ArraySpec:
    return ArraySpec(dtype, ("view", "pair", *axes), units=units)


SPEC = {
    "rotation": ArraySpec("float32", ("view", "row", "column"), frame="camera (OpenCV)"),
    "instance_view": _pairs("int16"),
    "instance_told": _pairs("float32", "row", "column"),  # by the first method
    "instance_error_deg": _pairs("float32", "method", units="deg"),
    "instance_chance_deg": _pairs("float32", units="deg"),
    "category_shape": _pairs("S200"),
    "category_view": _pairs("int16"),
    "category_told": _pairs("float32", "row", "column"),
    "category_error_deg": _pairs("float32", "method", units="deg"),
    "category_chance_deg": _pairs("float32", units="deg"),
}


def process(item: Item, params: Params, rng: np.random.Generator) -> Arrays:
    """Every number of one shape; the answers for all views are computed once a process."""
    source = item.source
    others = _answers(source["run"], source["views"], source["device"], tuple(source["ids"]))
    mine = others[item.id]
    views = len(mine.rotation)
    if views <= PAIRS:
        raise ItemError(f"{views} views are too few for {PAIRS} pairs each")
    names = sorted(other for other in others if other != item.id)
    if not names:
        raise ItemError("no other test shape of its category to compare with")
    partner = np.stack([_others(view, views, rng) for view in range(views)])  # (V, P)
    shape = rng.integers(len(names), size=(views, PAIRS))
    there = np.array([len(others[name].rotation) for name in names])
    view = rng.integers(there[shape])  # (V, P)
    same = [[(mine, int(v)) for v in row] for row in partner]
    else_ = [[(others[names[s]], int(v)) for s, v in zip(*rows)] for rows in zip(shape, view)]
    return {
        "rotation": mine.rotation,
        "instance_view": partner.astype(np.int16),
        **_measured("instance", mine, same, rng),
        "category_shape": np.array([[names[s].encode() for s in row] for row in shape], "S200"),
        "category_view": view.astype(np.int16),
        **_measured("category", mine, else_, rng),
    }


STAGE = Stage(
    f"results/{NAME}",
    VERSION,
    Params,
    SPEC,
    process,
    inputs=("views",),
    command=f"crossdim eval {NAME}",
)


@dataclass(frozen=True)
class Answers:
    """What a system said of the views of one shape, and the truth."""

    rotation: np.ndarray  # (V, 3, 3) float32, object to camera
    said: Any  # (V, ...) tensor
    compare: Any  # (first, second) answers (N, ...) -> (N, M, 3, 3)


def _others(view: int, views: int, rng: np.random.Generator) -> np.ndarray:
    """PAIRS views that are not `view`."""
    drawn = rng.choice(views - 1, PAIRS, replace=False)
    return drawn + (drawn >= view)


def _measured(
    name: str, mine: Answers, partners: list[list[tuple[Answers, int]]], rng: np.random.Generator
) -> Arrays:
    """Errors of every method, and of a relative pose that belongs to two other views."""
    import torch

    views, flat = len(partners), [one for row in partners for one in row]
    second = np.stack([answers.rotation[view] for answers, view in flat])  # (V P, 3, 3)
    first = np.repeat(mine.rotation, PAIRS, 0)
    truth = first @ second.transpose(0, 2, 1)
    said = torch.stack([answers.said[view] for answers, view in flat])
    told = mine.compare(mine.said.repeat_interleave(PAIRS, 0), said)  # (V P, M, 3, 3)
    error = np.degrees(geodesic(told.astype(np.float64), truth[:, None].astype(np.float64)))
    guess = truth[rng.permutation(len(truth))]
    chance = np.degrees(geodesic(guess.astype(np.float64), truth.astype(np.float64)))
    return {
        f"{name}_told": told[:, 0].reshape(views, PAIRS, 3, 3).astype(np.float32),
        f"{name}_error_deg": error.reshape(views, PAIRS, -1).astype(np.float32),
        f"{name}_chance_deg": chance.reshape(views, PAIRS).astype(np.float32),
    }


@lru_cache(maxsize=4)
def _answers(folder: str, views: str, device: str, ids: tuple[str, ...]) -> dict[str, Answers]:
    """The answers of a run for all views of these shapes, in one artefact of views."""
    import torch

    path = Path(views)
    artefact = Artefact(path, path.parent.name, path.name)
    trained = load_model(Run(Path(folder)), "best", device=torch.device(device))
    ask, compare = _system(trained)
    answers = {}
    for item in ids:
        arrays = artefact.read(item, ("rgb", "extrinsics"))
        images = torch.from_numpy(arrays["rgb"]).permute(0, 3, 1, 2).float() / 255
        parts = [ask(part.to(device)).float().cpu() for part in images.split(_BATCH)]
        rotation = arrays["extrinsics"][:, :, :3]
        answers[item] = Answers(rotation, torch.cat(parts), compare)
    artefact.close()
    return answers


def _system(trained: Any) -> tuple[Any, Any]:
    """How a system is asked about pictures, and how two answers are compared."""
    name = trained.system.NAME

    def ask(images: Any) -> Any:
        key = {"equivariant": "embedding", "pose-regression": "rotation"}.get(name, "keypoints")
        return trained.system.predict(trained.model, images, trained.params)[key]

    if name == "equivariant":
        return ask, _aligned
    if name == "pose-regression":
        return ask, lambda first, second: (first @ second.mT)[:, None].numpy()
    relative = trained.system.relative_rotation
    return ask, lambda first, second: relative(first, second)[:, None].numpy()


def _aligned(first: Any, second: Any) -> np.ndarray:
    """(N, 2, 3, 3) rotations between embeddings (N, C, t, t): refined, and the paper's grid."""
    import torch

    from stages.sphere.alignment import align
    from stages.sphere.transform import sht
    from stages.sphere.upsampled import align_upsampled
    from stages.systems.spherical_cnn.model import GRID

    refined = align(sht(first, GRID), sht(second, GRID)).rotation
    return torch.stack([refined, align_upsampled(first, second).rotation], 1).numpy()


def wanted(
    run: Run, params: Params, views: Artefact, ids: list[str], device: str
) -> dict[str, Work]:
    """The work of measuring a run on these shapes, by id."""
    values = params_json(params)
    work = {}
    for item in ids:
        entry = views.entry(item)
        same = [other for other in ids if category_of(other) == category_of(item)]
        source: Mapping[str, Any] = {
            "run": str(run.folder),
            "views": str(views.folder),
            "device": device,
            "ids": same,
        }
        prints = {"views": entry.fingerprint}
        print_ = item_fingerprint(STAGE.name, VERSION, values, 0, prints)
        work[item] = Work(item, print_, source=source)
    return work


def shapes_digest(views: Artefact, ids: list[str]) -> str:
    """Of the test shapes and what their views are."""
    lines = [f"{item} {views.entry(item).fingerprint}" for item in ids]
    return digest("\n".join(lines).encode())

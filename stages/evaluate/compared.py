"""What any system says of the views of a shape, in two currencies: shape and pose.

One item is one test shape with all its views, one result one system, run or trivial answer. A
system that says nothing in a currency has empty arrays there. Letters: V views, N pairs, C length
of a code.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from stages.errors import CrossdimError, ItemError
from stages.evaluate import answers
from stages.evaluate.angles import ROTATION, Pair, arrays_of, spec_of
from stages.evaluate.baselines import Baselines, camera, make_baselines
from stages.evaluate.clouds import NUMBERS, SPREAD, Truth
from stages.evaluate.measure import RunParams
from stages.evaluate.metrics import iou
from stages.evaluate.pointcloud import predicted_clouds
from stages.evaluate.relpose import across, within
from stages.evaluate.retrieval import voxel_code
from stages.evaluate.search import squared_distances
from stages.geometry.mesh import Mesh
from stages.geometry.points import filled_cells, sample_surface
from stages.geometry.rotations import geodesic
from stages.geometry.voxels import to_mesh
from stages.stage import Arrays, ArraySpec, Item, Stage
from stages.store.fingerprint import item_rng
from stages.store.workspace import Artefact
from stages.systems.pictures import reduced
from stages.train.run import Trained

NAME = "compare"
VERSION = 1
RES = 32
MEAN, ORACLE, CONSTANT = "mean shape", "nearest training shape (oracle)", "constant pose"
BASELINES = (MEAN, ORACLE, CONSTANT)
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
    "voxels": ArraySpec("uint8", ("view", "x", "y", "z"), "0 or 1", "canonical", ragged=True),
    "voxel_iou": _views(),
    "chamfer": _views("diagonals x 100"),  # NaN where a shape is empty
    "f_score": _views(),
    "retrieved": ArraySpec("S200", ("view",), ragged=True),
    "told_rotation": ArraySpec(
        "float32", ("view", "row", "column"), "", "canonical to camera (OpenCV)", ragged=True
    ),
    "error_deg": _views("deg"),
    **spec_of("instance"),
    **spec_of("category"),
}


@dataclass(frozen=True)
class Asked:
    """Who is asked about what: plain values, an item's source."""

    who: str  # folder of a run, card of packed weights, or a name of BASELINES
    weights: str
    device: str
    views: str  # folders of artefacts
    voxels: str
    shapes: tuple[tuple[str, str], ...]  # id, folder
    test: tuple[str, ...]
    train: tuple[str, ...]
    val: tuple[str, ...]
    category: str
    prints: tuple[str, ...]  # of all that is read: another content is another question

    @classmethod
    def of(cls, source: Mapping[str, Any]) -> Asked:
        """From the values that a source holds."""
        lists = {name: tuple(source[name]) for name in ("test", "train", "val", "prints")}
        shapes = tuple((item, folder) for item, folder in source["shapes"])
        return cls(**{**source, **lists, "shapes": shapes})

    def read(self, folder: str, item: str, names: tuple[str, ...] = ()) -> Arrays:
        """Arrays of an item of the artefact in a folder, all of them without names."""
        return _artefact(folder, self.prints).read(item, names)


class Said(NamedTuple):
    """What was said of the V views of a shape."""

    voxels: np.ndarray | None = None  # (V, 32, 32, 32) bool
    clouds: list[np.ndarray] | None = None  # V of (N, 3)
    retrieved: tuple[str, ...] = ()
    rotation: np.ndarray | None = None  # (V, 3, 3) canonical to camera
    plain: Any = None  # (V, ...) tensor, of systems that `answers.relative` knows


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
    truth = Truth.of(_mesh(asked, item), item_rng(0, item))
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


@lru_cache(maxsize=2)
def everyone(asked: Asked, threshold: float) -> dict[str, Said]:
    """What is said of the views of every test shape, computed once a process."""
    if asked.who in BASELINES:
        return {item: _trivial(asked, item) for item in asked.test}
    trained = opened(asked.who, asked.weights, asked.device)
    tell = TELL[trained.system.NAME]
    return {
        item: tell(trained, asked.read(asked.views, item, ("rgb",))["rgb"], asked, threshold)
        for item in asked.test
    }


@lru_cache(maxsize=1)
def opened(who: str, weights: str, device: str) -> Trained:
    """The network of a run's folder, or of the card of packed weights, read once a process."""
    if not who.endswith(".json"):
        return answers.network(who, weights, device)
    import torch

    from stages.weights.cards import load, read_card

    trained = load(read_card(Path(who)), torch.device(device))
    if trained.sha256 != weights:
        raise CrossdimError(f"{who} has changed meanwhile", "run it again")
    return trained


def fitted(rgb: np.ndarray, size: int) -> np.ndarray:
    """(V, size, size, 3) uint8 of square pictures (V, S, S, 3): as they are where they fit.

    Else area averages where `size` divides S, and filtered to scale where it does not.
    """
    if rgb.shape[1] == size:
        return rgb
    if rgb.shape[1] % size == 0:
        return reduced(rgb, size)
    import torch.nn.functional as F

    images = answers.pictures(rgb)
    scaled = F.interpolate(images, (size, size), mode="bilinear", antialias=True)
    return (scaled * 255).round().clamp(0, 255).byte().permute(0, 2, 3, 1).numpy()


def _size(trained: Trained) -> int:
    from stages.weights.framing import picture_size

    return picture_size(trained.system.NAME, trained.params)


def _voxels(trained: Trained, rgb: np.ndarray, asked: Asked, threshold: float) -> Said:
    """Of pose-aware: voxels, points on their surface, and the camera."""
    from stages.evaluate.reconstruction import predicted

    told = predicted(trained, fitted(rgb, _size(trained)), asked.device)
    clouds = [surface_points(one, threshold) for one in told["voxels"]]
    return Said(told["voxels"] >= threshold, clouds, rotation=camera(told["viewpoint"]))


def surface_points(probability: np.ndarray, threshold: float) -> np.ndarray:
    """(SPREAD, 3) points uniform on the surface of voxels over the unit cube; (0, 3) of none."""
    try:
        mesh = to_mesh(probability.astype(np.float32), np.full(3, -0.5), 1.0, threshold)
    except ItemError:
        return np.zeros((0, 3))
    return sample_surface(mesh, SPREAD, np.random.default_rng(0))


def _clouds(trained: Trained, rgb: np.ndarray, asked: Asked, threshold: float) -> Said:
    """Of the structure generator: clouds, and the cells that they fill."""
    clouds = predicted_clouds(trained, fitted(rgb, _size(trained)), asked.device)
    return Said(np.stack([filled_cells(cloud, RES) for cloud in clouds]), clouds)


def _retrieved(trained: Trained, rgb: np.ndarray, asked: Asked, threshold: float) -> Said:
    """Of deep encoding: the training shape whose code is nearest to that of the picture."""
    images = answers.pictures(fitted(rgb, _size(trained)))
    code = answers.say(trained, images, asked.device).numpy().astype(np.float64)
    known = _gallery(asked.who, asked)
    names = [asked.train[n] for n in squared_distances(code, known).argmin(1)]
    cloud = {name: _known_cloud(asked, name) for name in sorted(set(names))}
    solid = [asked.read(asked.voxels, name, ("voxels",))["voxels"] for name in names]
    return Said(np.stack(solid), [cloud[name] for name in names], tuple(names))


@lru_cache(maxsize=1)
def _gallery(who: str, asked: Asked) -> np.ndarray:
    """(T, C) float64 codes of the voxels of the training shapes."""
    trained = opened(who, asked.weights, asked.device)
    solid = (asked.read(asked.voxels, item, ("voxels",))["voxels"] for item in asked.train)
    return np.stack([voxel_code(trained, one, asked.device) for one in solid]).astype(np.float64)


def _known_cloud(asked: Asked, item: str) -> np.ndarray:
    """(SPREAD, 3) points uniform on the mesh of a training shape."""
    return sample_surface(_mesh(asked, item), SPREAD, item_rng(0, item))


def _regressed(trained: Trained, rgb: np.ndarray, asked: Asked, threshold: float) -> Said:
    told = answers.say(trained, answers.pictures(fitted(rgb, _size(trained))), asked.device)
    return Said(rotation=told.double().numpy(), plain=told)


def _embedded(trained: Trained, rgb: np.ndarray, asked: Asked, threshold: float) -> Said:
    images = answers.pictures(fitted(rgb, _size(trained)))
    return Said(plain=answers.say(trained, images, asked.device))


def _skeletons(trained: Trained, rgb: np.ndarray, asked: Asked, threshold: float) -> Said:
    """Of the interpreter: the camera; its skeleton is no shape in either currency."""
    from stages.evaluate.landmarked import say
    from stages.skeletons.template import TO_CANONICAL
    from stages.systems.interpreter.data import framed

    told = say(trained, framed(rgb, trained.params.height)[0], asked.device)
    return Said(rotation=told["rotation"].astype(np.float64) @ TO_CANONICAL.T)


TELL = {
    "pose-aware": _voxels,
    "structure-generator": _clouds,
    "deep-encoding": _retrieved,
    "pose-regression": _regressed,
    "equivariant": _embedded,
    "interpreter": _skeletons,
}


def _trivial(asked: Asked, item: str) -> Said:
    """An answer that looks at no picture; the oracle's looks at the true voxels."""
    known = _baselines(asked)
    views = len(true_rotations(asked, item))
    if asked.who == CONSTANT:
        return Said(rotation=np.repeat(camera(known.viewpoint[None]), views, 0))
    if asked.who == ORACLE:
        name = known.nearest(asked.read(asked.voxels, item, ("voxels",))["voxels"])[1]
        solid = asked.read(asked.voxels, name, ("voxels",))["voxels"]
        cloud, retrieved = _known_cloud(asked, name), (name,) * views
    else:
        solid = known.mean_shape >= known.mean_threshold
        cloud, retrieved = surface_points(known.mean_shape, known.mean_threshold), ()
    return Said(np.repeat(solid[None], views, 0), [cloud] * views, retrieved)


@lru_cache(maxsize=1)
def _baselines(asked: Asked) -> Baselines:
    voxels, views = (_artefact(folder, asked.prints) for folder in (asked.voxels, asked.views))
    return make_baselines(voxels, views, asked.category, asked.train, asked.val)


@lru_cache(maxsize=1024)
def true_rotations(asked: Asked, item: str) -> np.ndarray:
    """(V, 3, 3) float64 rotations of the cameras of a shape's views."""
    found = asked.read(asked.views, item, ("extrinsics",))["extrinsics"]
    return found[:, :, :3].astype(np.float64)


def _mesh(asked: Asked, item: str) -> Mesh:
    return Mesh.from_arrays(asked.read(dict(asked.shapes)[item], item))


@lru_cache(maxsize=8)
def _artefact(folder: str, prints: tuple[str, ...]) -> Artefact:
    path = Path(folder)
    return Artefact(path, path.parent.name, path.name)

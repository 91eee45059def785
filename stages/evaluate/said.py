"""What systems, and trivial answers, say of the views of test shapes.

Letters: V views, N points, T training shapes, C length of a code.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from stages.errors import CrossdimError, ItemError
from stages.evaluate import answers
from stages.evaluate.baselines import Baselines, camera, make_baselines
from stages.evaluate.clouds import SPREAD
from stages.evaluate.compared_field import RES
from stages.evaluate.contenders import BASELINES, CONSTANT, LIMIT, ORACLE
from stages.evaluate.pointcloud import predicted_clouds
from stages.evaluate.retrieval import voxel_code
from stages.evaluate.search import squared_distances
from stages.geometry.mesh import Mesh
from stages.geometry.points import filled_cells, sample_surface
from stages.geometry.voxels import to_mesh
from stages.stage import Arrays
from stages.store.fingerprint import item_rng
from stages.store.workspace import Artefact, artefact_at
from stages.train.run import Trained


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
        from stages.systems.pictures import reduced

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
    return sample_surface(true_mesh(asked, item), SPREAD, item_rng(0, item))


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
    if asked.who == LIMIT:
        solid = asked.read(asked.voxels, item, ("voxels",))["voxels"]
        return Said(np.repeat(solid[None], views, 0), [surface_points(solid, 0.5)] * views)
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


def true_mesh(asked: Asked, item: str) -> Mesh:
    return Mesh.from_arrays(asked.read(dict(asked.shapes)[item], item))


@lru_cache(maxsize=8)
def _artefact(folder: str, prints: tuple[str, ...]) -> Artefact:
    return artefact_at(folder)

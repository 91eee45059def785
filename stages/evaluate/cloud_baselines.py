"""Clouds that need no network, from the depth maps of the training shapes of a category.

Letters: T training shapes, V fixed views, S pixels, P pictures that are asked about.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from stages.evaluate.clouds import chamfer
from stages.evaluate.training_views import shrunk
from stages.geometry.points import fuse
from stages.store.workspace import Artefact, category_of

SHARES = np.arange(1, 20) / 20  # of training shapes that must fill a pixel of the mean cloud
_SOME = 2000  # points of each cloud when shapes are compared


@dataclass(frozen=True)
class CloudBaselines:
    """What is known of one category from its training and validation shapes."""

    clouds: Mapping[str, np.ndarray]  # (N, 3) of each training shape, fused from its true maps
    mean: np.ndarray  # (N, 3)
    pictures: np.ndarray  # (T views, pixels) small pictures of the training shapes
    shown: tuple[str, ...]  # the training shape of each

    def nearest(self, truth: np.ndarray) -> str:
        """The training shape whose cloud is nearest to true points (N, 3): an oracle, it sees them.

        By Chamfer distance of some points of both.
        """
        target = _some(truth)
        return min(self.clouds, key=lambda item: (chamfer(_some(self.clouds[item]), target), item))

    def pictured(self, rgb: np.ndarray) -> list[str]:
        """(P,) training shapes whose picture is least different from (P, S, S, 3): no oracle."""
        asked = shrunk(rgb)
        squares = (self.pictures**2).sum(1) - 2 * asked @ self.pictures.T  # but for |asked|^2
        return [self.shown[number] for number in squares.argmin(1)]


def make_cloud_baselines(
    depths: Artefact, views: Artefact, category: str, train: Sequence[str], val: Sequence[str]
) -> CloudBaselines:
    """The baselines of a category; other categories in `train` and `val` are left out."""
    train = [i for i in train if category_of(i) == category]
    val = [i for i in val if category_of(i) == category] or train
    maps = {i: depths.read(i, ("depth", "extrinsics")) for i in {*train, *val}}
    clouds = {i: true_cloud(arrays) for i, arrays in maps.items()}
    small = {i: shrunk(views.read(i, ("rgb",))["rgb"]) for i in train}
    means = mean_clouds(np.stack([maps[i]["depth"] for i in train]), maps[train[0]]["extrinsics"])
    scores = [np.mean([chamfer(_some(mean), _some(clouds[i])) for i in val]) for mean in means]
    return CloudBaselines(
        clouds={i: clouds[i] for i in train},
        mean=means[int(np.argmin(scores))],
        pictures=np.concatenate(list(small.values())),
        shown=tuple(i for i, pictures in small.items() for _ in pictures),
    )


def true_cloud(arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    """(N, 3) float32 cloud of the true fixed maps of a shape: the most that maps can say of it."""
    depth = arrays["depth"]
    return fuse(depth, depth > 0, arrays["extrinsics"])


def mean_clouds(depth: np.ndarray, extrinsics: np.ndarray) -> list[np.ndarray]:
    """For each of SHARES the cloud of the mean maps of (T, V, S, S) depths, 0 = nothing.

    A pixel that at least that share of the shapes fills has the mean of their depths.
    """
    filled = depth > 0
    share = filled.mean(0)  # (V, S, S)
    mean = (depth.sum(0) / np.maximum(filled.sum(0), 1)).astype(np.float32)
    return [fuse(mean, (share >= least) & (share > 0), extrinsics) for least in SHARES]


def _some(points: np.ndarray) -> np.ndarray:
    """At most _SOME points, evenly spread over their order."""
    if len(points) <= _SOME:
        return points
    return points[np.linspace(0, len(points) - 1, _SOME).astype(int)]

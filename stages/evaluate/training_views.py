"""The pictures of a category that a run was trained on, as answers that need no network.

Letters: N training pictures, V pictures asked about, S pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from stages.errors import InputError
from stages.evaluate.metrics import iou_at_thresholds
from stages.evaluate.summary import best_threshold
from stages.geometry.rotations import geodesic
from stages.store.shard import params_of
from stages.store.workspace import Artefact, category_of

_MOST = 20_000  # pictures that are searched, the first views of every shape
_SMALL = 32  # pixels a side at which pictures are compared


@dataclass(frozen=True)
class TrainingViews:
    """Pictures of the training shapes of one category, small ones for the search."""

    views: Artefact
    names: tuple[tuple[str, int], ...]  # (N,) shape and view
    small: np.ndarray  # (N, _SMALL * _SMALL * 3) float32, 0 to 1
    rotation: np.ndarray  # (N, 3, 3) float32, canonical to camera
    mean: np.ndarray  # (S, S, 3) uint8
    grey: int  # level of the background
    mean_threshold: float  # the one at which the mean fits the validation masks best

    @classmethod
    def of(
        cls, views: Artefact, category: str, train: Sequence[str], val: Sequence[str]
    ) -> TrainingViews:
        """Those of a category in `views`; other categories in `train` and `val` are left out.

        Raises InputError where the background is not one grey.
        """
        grey = grey_of(views)
        train = [i for i in train if category_of(i) == category]
        val = [i for i in val if category_of(i) == category] or train
        most = max(1, _MOST // len(train))
        names, small, rotation, sums = [], [], [], []
        for item in train:
            arrays = views.read(item, ("rgb", "extrinsics"))
            rgb = arrays["rgb"][:most]
            names += [(item, view) for view in range(len(rgb))]
            small.append(shrunk(rgb))
            rotation.append(arrays["extrinsics"][:most, :, :3])
            sums.append(rgb.sum(0, dtype=np.float64))
        mean = np.round(sum(sums) / len(names)).astype(np.uint8)
        masks = np.concatenate([views.read(i, ("mask",))["mask"][:most] >= 128 for i in val])
        told = np.broadcast_to(contrast(mean[None], grey), masks.shape)
        threshold = best_threshold(iou_at_thresholds(told, masks))
        return cls(
            views,
            tuple(names),
            np.concatenate(small),
            np.concatenate(rotation),
            mean,
            grey,
            threshold,
        )

    def nearest(self, rgb: np.ndarray) -> np.ndarray:
        """(V,) numbers of the training pictures least different from (V, S, S, 3)."""
        asked = shrunk(rgb)
        # |a - b|^2 without |a|^2, which is the same for all b
        return ((self.small**2).sum(1) - 2 * asked @ self.small.T).argmin(1)

    def turned(self, number: np.ndarray, turn: np.ndarray) -> np.ndarray:
        """(V,) numbers of pictures of the same training shapes after (V, 3, 3) turns.

        Of picture `number` (V,), seen by a camera R, the one whose camera is nearest to turn R.
        """
        shapes = np.array([item for item, _ in self.names])
        found = []
        for one, by in zip(number, turn):
            same = np.flatnonzero(shapes == shapes[one])
            angle = geodesic(by @ self.rotation[one], self.rotation[same])
            found.append(same[angle.argmin()])
        return np.array(found)

    def read(self, number: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(V, S, S, 3) uint8 colours and (V, S, S) bool silhouettes of (V,) numbers."""
        chosen = [self.names[one] for one in number]
        shapes = {item: self.views.read(item, ("rgb", "mask")) for item, _ in chosen}
        rgb = np.stack([shapes[item]["rgb"][view] for item, view in chosen])
        mask = np.stack([shapes[item]["mask"][view] for item, view in chosen])
        return rgb, mask >= 128


def shrunk(rgb: np.ndarray) -> np.ndarray:
    """(V, _SMALL * _SMALL * 3) float32 means over squares of pictures (V, S, S, 3), 0 to 1."""
    count, size = rgb.shape[:2]
    side = size // _SMALL
    blocks = rgb.reshape(count, _SMALL, side, _SMALL, side, 3)
    return (blocks.mean((2, 4), dtype=np.float32) / 255).reshape(count, -1)


def contrast(rgb: np.ndarray, grey: int) -> np.ndarray:
    """(V, S, S) float32, 0 to 1: the largest difference of a colour to the background."""
    difference = np.abs(rgb.astype(np.int16) - grey).max(-1)
    return difference.astype(np.float32) / np.float32(255)


def grey_of(views: Artefact) -> int:
    """The level of the background; InputError where it is not the same grey everywhere."""
    key = views.index.key
    params = params_of(key) if key else {}
    if params.get("background") != "grey":
        raise InputError(
            f"{views.name} has no plain background to tell shapes from",
            "run: crossdim render --preset equivariant-3dof-test",
        )
    return int(params["grey"])

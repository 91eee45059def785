"""Batches of pairs of views of one shape.

Letters: B pairs, V views of a shape, s pixels a side, reduced. Of 2B views the first ones of all
pairs come first.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from stages.errors import InputError
from stages.geometry.rotations import about_z
from stages.systems.keypointnet.params import ARRAYS, REQUIRES, Params
from stages.systems.pictures import Kept, reduced, rolled_pictures, tint

SIZE = REQUIRES["views"]["size"]
Batch = dict[str, Any]


class Pairs:
    """All views of some shapes as samples, each with another view of its shape.

    View v of shape s is number s * V + v. Its partner is drawn when training, else it is the next.
    """

    def __init__(
        self,
        load: Callable[[str], Mapping[str, np.ndarray]],
        ids: Sequence[str],
        params: Params,
        most: int = 0,
    ) -> None:
        self.ids, self.params, self.most = list(ids), params, most
        self._load, self._shapes = load, Kept(self._read, params.cache_mb)
        self._views: int | None = None

    @property
    def views(self) -> int:
        """V, the number of views of every shape: all, or the first `most`."""
        if self._views is None:
            self._views = len(self._shapes.get(self.ids[0])["scale"]) if self.ids else 0
        return self._views

    def __len__(self) -> int:
        return len(self.ids) * self.views

    def batch(self, indices: Sequence[int], generator: torch.Generator | None) -> Batch:
        """image (2B, 3, s, s) float32, 0 to 1; mask (2B, 1, s, s) float32, 0 to 1; rotation
        (2B, 3, 3), translation (2B, 3) and scale (2B, 3) of `geometry.Cameras`; the ids.
        """
        count = len(indices)
        steps = torch.ones(count, dtype=torch.int64)
        if generator is not None:
            steps = torch.randint(1, self.views, (count,), generator=generator)
        first = [(self.ids[i // self.views], i % self.views) for i in indices]
        second = [(item, (v + n) % self.views) for (item, v), n in zip(first, steps.tolist())]
        rows = [(self._shapes.get(item), view) for item, view in first + second]
        picture, pose, scale = (
            torch.from_numpy(np.stack([arrays[name][view] for arrays, view in rows]))
            for name in ("picture", "extrinsics", "scale")
        )
        batch: Batch = {
            "picture": picture.permute(0, 3, 1, 2).float() / 255,  # (2B, 4, s, s)
            "rotation": pose[:, :, :3].float(),
            "translation": pose[:, :, 3].float(),
            "scale": scale.float(),
        }
        if generator is not None:
            batch = augment(batch, self.params, generator)
        image, mask = batch.pop("picture").split([3, 1], 1)
        if generator is not None and self.params.jitter > 0:
            image = tint(image, self.params.jitter, generator)
        names = [f"{item} views {v} and {w}" for (item, v), (_, w) in zip(first, second)]
        return {"image": image, "mask": mask, **batch, "id": names}

    def _read(self, item: str) -> dict[str, np.ndarray]:
        loaded = self._load(item)
        views, size = len(loaded["rgb"]), loaded["rgb"].shape[1:]
        if size != (SIZE, SIZE, 3) or views < 2:
            raise InputError(
                f"{item} has {views} pictures of {size}, not two or more of {(SIZE, SIZE, 3)}",
                f"run: crossdim render --size {SIZE} --views 100",
            )
        some = {name: np.asarray(loaded[name][: self.most or views]) for name in ARRAYS}
        both = np.concatenate([some.pop("rgb"), some.pop("mask")[..., None]], -1)
        return {"picture": reduced(both, self.params.pixels), **some}  # image and mask


def augment(batch: Batch, params: Params, generator: torch.Generator) -> Batch:
    """Rolled and mirrored pictures, as `params` says, with their cameras: both views of a pair are
    mirrored or none is, for they show one shape.
    """
    picture, rotation = batch["picture"], batch["rotation"]
    if params.roll:
        angle = torch.rand(len(picture), generator=generator) * (2 * math.pi)
        picture, rotation = rolled_pictures(picture, angle), about_z(angle) @ rotation
    if params.flip:  # the picture of the shape mirrored in x, by the camera mirrored in x
        chosen = (torch.rand(len(picture) // 2, generator=generator) < 0.5).repeat(2)
        mirror = torch.diag(torch.tensor([-1.0, 1.0, 1.0]))
        picture = torch.where(chosen[:, None, None, None], picture.flip(3), picture)
        rotation = torch.where(chosen[:, None, None], mirror @ rotation @ mirror, rotation)
    return {**batch, "picture": picture, "rotation": rotation}

"""Batches of pictures with the rotations that they show.

A rotation takes the object's frame to the camera's, that of `cameras.extrinsics`. Letters: B batch,
V views of a shape, S pixels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from stages.errors import InputError
from stages.geometry.rotations import about_z
from stages.systems.pictures import Kept, jitter_framing, reduced, rolled_pictures, tint
from stages.systems.pose_regression.params import REQUIRES, Params

SIZE = REQUIRES["views"]["size"]
Batch = dict[str, Any]
_MIRROR = torch.diag(torch.tensor([-1.0, 1.0, 1.0]))


class Views:
    """All views of some shapes as samples: view v of shape s is number s * V + v."""

    def __init__(
        self, load: Callable[[str], Mapping[str, np.ndarray]], ids: Sequence[str], params: Params
    ) -> None:
        self.ids, self.params, self._load = list(ids), params, load
        self._shapes = Kept(self._read, params.cache_mb)
        self._views: int | None = None

    @property
    def views(self) -> int:
        """V, the number of views of every shape."""
        if self._views is None:
            self._views = len(self._shapes.get(self.ids[0])["rgb"]) if self.ids else 0
        return self._views

    def __len__(self) -> int:
        return len(self.ids) * self.views

    def batch(self, indices: Sequence[int], generator: torch.Generator | None) -> Batch:
        """image (B, 3, S, S) float32, 0 to 1; rotation (B, 3, 3) float32; the ids."""
        chosen = [(self.ids[i // self.views], i % self.views) for i in indices]
        rows = [(self._shapes.get(item), view) for item, view in chosen]
        rgb = torch.from_numpy(np.stack([arrays["rgb"][view] for arrays, view in rows]))
        turn = np.stack([arrays["extrinsics"][view, :, :3] for arrays, view in rows])
        batch: Batch = {
            "image": rgb.permute(0, 3, 1, 2).float() / 255,
            "rotation": torch.from_numpy(turn).float(),
        }
        if generator is not None:
            batch = augment(batch, self.params, generator)
        return {**batch, "id": [f"{item} view {view}" for item, view in chosen]}

    def _read(self, item: str) -> dict[str, np.ndarray]:
        arrays = {name: np.asarray(array) for name, array in self._load(item).items()}
        if arrays["rgb"].shape[1:] != (SIZE, SIZE, 3):
            raise InputError(
                f"{item} has pictures of {arrays['rgb'].shape[1:]}, not {(SIZE, SIZE, 3)}",
                f"run: crossdim render --size {SIZE}",
            )
        return {**arrays, "rgb": reduced(arrays["rgb"], self.params.pixels)}


def augment(batch: Batch, params: Params, generator: torch.Generator) -> Batch:
    """Rolled, mirrored, framed anew and tinted pictures, as `params` says, with their rotations."""
    count = len(batch["image"])
    image, rotation = batch["image"], batch["rotation"]
    if params.roll:
        angle = torch.rand(count, generator=generator) * (2 * math.pi)
        image, rotation = rolled_pictures(image, angle), about_z(angle) @ rotation
    if params.flip:  # the picture of the shape mirrored in x, by the camera mirrored in x
        chosen = torch.rand(count, generator=generator) < 0.5
        image = torch.where(chosen[:, None, None, None], image.flip(3), image)
        rotation = torch.where(chosen[:, None, None], _MIRROR @ rotation @ _MIRROR, rotation)
    if params.jitter_shift > 0 or params.jitter_scale > 0:
        image = jitter_framing(image, params.jitter_shift, params.jitter_scale, generator)
    if params.jitter > 0:
        image = tint(image, params.jitter, generator)
    return {"image": image, "rotation": rotation}

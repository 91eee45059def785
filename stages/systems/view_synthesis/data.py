"""Batches of embeddings with the pictures that they are to become.

Both are in the frame of the picture's camera. Letters: B batch, V views of a shape, S pixels, C
channels, t rows of an embedding, n rows of a ray-length map.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from stages.systems.equivariant.data import check, mirrored, rolled_maps
from stages.systems.pictures import Kept, rolled_pictures
from stages.systems.spherical_cnn.data import SCALE
from stages.systems.view_synthesis.params import Params

Batch = dict[str, Any]
# Pictures (P, 3, S, S) or maps (P, 1, n, n), each 0 to 1, to embeddings (P, C, t, t).
Embed = Callable[[torch.Tensor], torch.Tensor]
_PART = 32


class Views:
    """All views of some shapes as samples: view v of shape s is number s * V + v.

    `embed` is given the pictures of a shape, or with `params.source` "target" its maps, when the
    shape is first read: they are the same in every epoch.
    """

    def __init__(
        self,
        load: Callable[[str], Mapping[str, np.ndarray]],
        ids: Sequence[str],
        params: Params,
        embed: Embed,
        most: int = 0,
    ) -> None:
        self.ids, self.params, self.embed, self.most = list(ids), params, embed, most
        self._load, self._shapes = load, Kept(self._read, params.cache_mb)
        self._views: int | None = None

    @property
    def views(self) -> int:
        """V, the number of views of every shape: all, or the first `most`."""
        if self._views is None:
            self._views = len(self.shape(self.ids[0])["rgb"]) if self.ids else 0
        return self._views

    def __len__(self) -> int:
        return len(self.ids) * self.views

    def shape(self, item: str) -> Mapping[str, Any]:
        """rgb (V, 3, S, S) uint8 and map (V, C, t, t) float32 of one shape."""
        return self._shapes.get(item)

    def batch(self, indices: Sequence[int], generator: torch.Generator | None) -> Batch:
        """map (B, C, t, t) float32; image (B, 3, S, S) float32, 0 to 1; the ids."""
        chosen = [(self.ids[i // self.views], i % self.views) for i in indices]
        batch = {
            "map": torch.stack([self.shape(item)["map"][view] for item, view in chosen]),
            "image": torch.stack([self.shape(item)["rgb"][view] for item, view in chosen]) / 255,
        }
        if generator is not None:
            batch = augment(batch, self.params, generator)
        return {**batch, "id": [f"{item} view {view}" for item, view in chosen]}

    def _read(self, item: str) -> dict[str, Any]:
        arrays = self._load(item)
        check(item, arrays)
        count = self.most or len(arrays["rgb"])
        rgb = torch.from_numpy(np.asarray(arrays["rgb"][:count])).permute(0, 3, 1, 2)
        if self.params.source == "predicted":
            parts = [self.embed(part / 255) for part in rgb.split(_PART)]
        else:
            maps = torch.from_numpy(np.asarray(arrays["map"][:count])) * SCALE
            parts = [self.embed(part) for part in maps.split(_PART)]
        return {"rgb": rgb.contiguous(), "map": torch.cat(parts)}


def augment(batch: Batch, params: Params, generator: torch.Generator) -> Batch:
    """Rolled and mirrored pictures, as `params` says, with their embeddings."""
    image, maps = batch["image"], batch["map"]
    if params.roll:
        angle = torch.rand(len(image), generator=generator) * (2 * math.pi)
        image, maps = rolled_pictures(image, angle), rolled_maps(maps, angle)
    if params.flip:
        chosen = torch.rand(len(image), generator=generator) < 0.5
        both = mirrored({"image": image, "target": maps}, chosen)
        image, maps = both["image"], both["target"]
    return {"map": maps, "image": image}

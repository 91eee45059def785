"""Triplets: the voxels of an object, a picture of it, and one of another object.

One sample is one shape, so an epoch shows every shape once (section 4.1: 6,000 models in batches of
24 make an epoch of 250 steps). Letters: B batch, K pictures a shape, V views of a shape, R voxels
and S pixels a side.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from stages.errors import InputError
from stages.systems.deep_encoding.params import Params
from stages.systems.pictures import Kept, tint

Arrays = Mapping[str, np.ndarray]
Batch = dict[str, Any]
NOT_PLAIN = -1


class Triplets:
    """Shapes as samples, their voxels with pictures of themselves and of others.

    With a generator views and other shapes are drawn, one picture of each; without one they are the
    first `params.validation_views` views, and of a shape that is as many places further on.
    """

    def __init__(self, load: Callable[[str], Arrays], ids: Sequence[str], params: Params) -> None:
        self.ids, self.params, self._load = list(ids), params, load
        self._shapes = Kept(self._read, params.cache_mb)
        if len(self.ids) == 1:
            raise InputError(
                f"{self.ids[0]} is alone: there is no other object to tell it from",
                "add shapes, or categories",
            )

    def __len__(self) -> int:
        return len(self.ids)

    def shape(self, item: str) -> Arrays:
        """voxels (R, R, R) bool and rgb (V, S, S, 3) uint8 of one shape.

        To be recoloured, also mask (V, S, S) uint8 and behind (V, 3) int16, as of `backgrounds`.
        """
        return self._shapes.get(item)

    def batch(self, indices: Sequence[int], generator: torch.Generator | None) -> Batch:
        """Voxels, positive and negative pictures.

        voxels (B, R, R, R) bool; positive and negative (B * K, 3, S, S) uint8, or float32 from 0 to
        1 if they are tinted, the K of a shape one after the other; object (B,) and other (B * K,)
        int64, what they show; and the ids.
        """
        views = len(self.shape(self.ids[0])["rgb"])
        own, other, seen, unseen = self._choose(indices, views, generator)
        return {
            "voxels": torch.from_numpy(np.stack([self._of(i)["voxels"] for i in indices])),
            "positive": self._pictures(own, seen, generator),
            "negative": self._pictures(other, unseen, generator),
            "object": torch.tensor(list(indices)),
            "other": torch.tensor(other),
            "id": [self.ids[i] for i in indices],
        }

    def _choose(
        self, indices: Sequence[int], views: int, generator: torch.Generator | None
    ) -> tuple[list[int], list[int], list[int], list[int]]:
        """Shapes of the positives and of the negatives, and which view of each: (B * K,)."""
        count = 1 if generator else min(self.params.validation_views, views)
        own = [i for i in indices for _ in range(count)]
        if generator is None:
            seen = [*range(count)] * len(indices)
            # from 1 to len - 1 places further on: never the shape itself
            step = [1 + k % (len(self.ids) - 1) for k in seen]
            return own, [(i + s) % len(self.ids) for i, s in zip(own, step)], seen, seen

        def draw(below: int) -> list[int]:
            return torch.randint(below, (len(own),), generator=generator).tolist()

        other = [(i + 1 + s) % len(self.ids) for i, s in zip(own, draw(len(self.ids) - 1))]
        return own, other, draw(views), draw(views)

    def _pictures(
        self, shapes: Sequence[int], views: Sequence[int], generator: torch.Generator | None
    ) -> torch.Tensor:
        """(N, 3, S, S) uint8, laid out channels last as they are stored; float32 if tinted."""
        chosen = [(self._of(i), view) for i, view in zip(shapes, views)]
        rgb = np.stack([arrays["rgb"][view] for arrays, view in chosen])
        if generator is not None and self.params.recolour:
            mask = np.stack([arrays["mask"][view] for arrays, view in chosen])
            behind = np.stack([arrays["behind"][view] for arrays, view in chosen])
            colours = torch.randint(256, (len(rgb), 3), generator=generator).numpy()
            rgb = recoloured(rgb, mask, behind, colours)
        pictures = torch.from_numpy(rgb).permute(0, 3, 1, 2)
        if generator is not None and self.params.jitter > 0:
            return tint(pictures.float() / 255, self.params.jitter, generator)
        return pictures

    def _of(self, index: int) -> Arrays:
        return self._shapes.get(self.ids[index])

    def _read(self, item: str) -> dict[str, np.ndarray]:
        arrays = {name: np.asarray(array) for name, array in self._load(item).items()}
        check(item, arrays, self.params)
        if not self.params.recolour:
            return {name: arrays[name] for name in ("voxels", "rgb")}
        return {**arrays, "behind": backgrounds(arrays["rgb"], arrays["mask"])}


def check(item: str, arrays: Arrays, params: Params) -> None:
    """InputError unless voxels and pictures are of the sizes that the network is for."""
    res, size = params.voxel_res, params.image_size
    if arrays["voxels"].shape != (res, res, res):
        raise InputError(
            f"voxels of {item} have shape {arrays['voxels'].shape}, not {(res, res, res)}",
            f"run: crossdim voxelize --res {res}",
        )
    if arrays["rgb"].shape[1:] != (size, size, 3) or not len(arrays["rgb"]):
        raise InputError(
            f"pictures of {item} have shape {arrays['rgb'].shape}, not (views, {size}, {size}, 3)",
            f"run: crossdim render --preset deep-encoding --size {size}",
        )


def backgrounds(rgb: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """(V, 3) int16 colours behind pictures (V, S, S, 3); NOT_PLAIN where there is not just one.

    mask (V, S, S) is the covered share of each pixel, 0 to 255.
    """
    found = np.full((len(rgb), 3), NOT_PLAIN, np.int16)
    for colour, picture, share in zip(found, rgb, mask):
        free = picture[share == 0]  # (F, 3)
        if len(free) and (free == free[0]).all():
            colour[:] = free[0]
    return found


def recoloured(
    rgb: np.ndarray, mask: np.ndarray, behind: np.ndarray, colours: np.ndarray
) -> np.ndarray:
    """Pictures (N, S, S, 3) before `colours` (N, 3), 0 to 255, instead of those `behind` (N, 3).

    mask (N, S, S) is the covered share of each pixel, 0 to 255. A picture without a plain
    background stays as it is.
    """
    result = rgb.copy()
    for picture, share, old, new in zip(result, mask, behind.astype(np.int32), colours):
        if old[0] == NOT_PLAIN:
            continue
        picture[share == 0] = new
        edge = (share > 0) & (share < 255)
        moved = (new - old) * (255 - share[edge, None].astype(np.float32)) / 255
        picture[edge] = np.clip(np.rint(picture[edge] + moved), 0, 255)
    return result

"""Batches of pictures with the depth maps that they are to become.

Letters: B batch, V fixed views, K novel views of a sample, S pixels of a map.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from stages.errors import InputError, UsageError
from stages.geometry import cameras, orthographic
from stages.systems.pictures import Kept, tint
from stages.systems.structure_generator.params import IMAGE, Params

Batch = dict[str, Any]
Arrays = Mapping[str, np.ndarray]


class Pictures:
    """All pictures of some shapes as samples: picture n of shape s is number s * P + n.

    `load(id)` gives rgb, depth and extrinsics, for the stage "joint" novel_depth and
    novel_extrinsics, too.
    """

    def __init__(
        self, load: Callable[[str], Arrays], ids: Sequence[str], params: Params, most: int = 0
    ) -> None:
        self.ids, self.params, self.most = list(ids), params, most
        self._load, self._shapes = load, Kept(self._read, params.cache_mb)
        self._pictures: int | None = None
        self._mirrored = mirrored_views(params.fixed_views) if params.flip else None

    @property
    def pictures(self) -> int:
        """P, the number of pictures of every shape: all, or the first `most`."""
        if self._pictures is None:
            self._pictures = len(self.shape(self.ids[0])["rgb"]) if self.ids else 0
        return self._pictures

    def __len__(self) -> int:
        return len(self.ids) * self.pictures

    def shape(self, item: str) -> Arrays:
        """The arrays of one shape; InputError if they are not those of the parameters."""
        return self._shapes.get(item)

    def batch(self, indices: Sequence[int], generator: torch.Generator | None) -> Batch:
        """image (B, 3, 64, 64), 0 to 1; depth (B, V, S S), 0 = nothing; the ids.

        With a generator and for the stage "joint" also novel_depth (B, K, S S) and
        novel_extrinsics (B, K, 3, 4), of K of the novel views of each shape. Depth maps are flat:
        the loop would turn pictures of float32 into channels-last ones.
        """
        chosen = [(self.ids[i // self.pictures], i % self.pictures) for i in indices]
        shapes = [self.shape(item) for item, _ in chosen]
        rgb = np.stack([shape["rgb"][number] for shape, (_, number) in zip(shapes, chosen)])
        batch: Batch = {
            "image": torch.from_numpy(rgb).permute(0, 3, 1, 2).float() / 255,
            "depth": _flat([shape["depth"] for shape in shapes]),
        }
        if generator is not None:
            if self.params.stage == "joint":
                batch |= self._novel(shapes, generator)
            batch = self._augmented(batch, generator)
        return {**batch, "id": [f"{item} view {number}" for item, number in chosen]}

    def _novel(self, shapes: Sequence[Arrays], generator: torch.Generator) -> Batch:
        depth, extrinsics = [], []
        for shape in shapes:
            count = len(shape["novel_depth"])
            drawn = torch.randperm(count, generator=generator)[: self.params.novel].numpy()
            depth.append(shape["novel_depth"][drawn])
            extrinsics.append(shape["novel_extrinsics"][drawn])
        return {
            "novel_depth": _flat(depth),
            "novel_extrinsics": torch.from_numpy(np.stack(extrinsics)),
        }

    def _augmented(self, batch: Batch, generator: torch.Generator) -> Batch:
        if self._mirrored is not None:
            chosen = torch.rand(len(batch["image"]), generator=generator) < 0.5
            batch = mirror(batch, chosen, self._mirrored)
        if self.params.jitter > 0:
            batch["image"] = tint(batch["image"], self.params.jitter, generator)
        return batch

    def _read(self, item: str) -> Arrays:
        arrays = dict(self._load(item))
        check(item, arrays, self.params)
        if self.most:
            arrays["rgb"] = arrays["rgb"][: self.most]
        return arrays


def _flat(maps: Sequence[np.ndarray]) -> torch.Tensor:
    return torch.from_numpy(np.stack(maps)).flatten(2)


def check(item: str, arrays: Arrays, params: Params) -> None:
    """InputError unless pictures and depth maps are those that `params` are for."""
    size, views = params.size, params.fixed_views
    hint = f"run: crossdim depths --size {size} --views {views}; crossdim render --size {IMAGE}"
    for name, expected in {"rgb": (IMAGE, IMAGE, 3), "depth": (size, size)}.items():
        found = arrays[name].shape
        if found[1:] != expected or (name == "depth" and found[0] != views):
            wanted = (views if name == "depth" else "any", *expected)
            raise InputError(f"{name} of {item} is {found}, not {wanted}", hint)
    if not np.allclose(arrays["extrinsics"], fixed_extrinsics(views), atol=1e-5):
        raise InputError(f"the depth maps of {item} are not of the {views} fixed views", hint)
    if params.stage == "joint" and len(arrays["novel_depth"]) < params.novel:
        raise InputError(
            f"{item} has {len(arrays['novel_depth'])} novel views, a sample takes {params.novel}",
            f"run: crossdim depths --novel 100 --size {size} --views {views}",
        )


def fixed_extrinsics(views: int) -> np.ndarray:
    """(V, 3, 4) float32 cameras of the fixed views."""
    return cameras.extrinsics(orthographic.fixed_viewpoints(views)).astype(np.float32)


def mirrored_views(views: int) -> torch.Tensor:
    """(V,) numbers of the fixed views that see a shape mirrored in x as each of them sees it.

    Raises UsageError where the mirrored views are others.
    """
    forward = fixed_extrinsics(views)[:, 2, :3]
    apart = np.abs(forward[:, None] * [-1, 1, 1] - forward).max(-1)  # (V, V)
    if apart.min(1).max() > 1e-5:
        raise UsageError(f"the {views} fixed views are not their own mirror image", "use --no-flip")
    return torch.from_numpy(apart.argmin(1))


def mirror(batch: Batch, chosen: torch.Tensor, views: torch.Tensor) -> Batch:
    """The batch with the `chosen` (B,) samples of shapes mirrored in x; `views` as above.

    Each picture and map is mirrored left to right, and belongs to the mirrored camera.
    """
    pick = chosen[:, None, None]
    size = round(batch["depth"].shape[-1] ** 0.5)

    def flipped(maps: torch.Tensor) -> torch.Tensor:
        return maps.unflatten(2, (size, size)).flip(3).flatten(2)

    image, depth = batch["image"], batch["depth"]
    changed = {
        "image": torch.where(pick[..., None], image.flip(3), image),
        "depth": torch.where(pick, flipped(depth[:, views]), depth),
    }
    if "novel_depth" in batch:
        novel, cameras_ = batch["novel_depth"], batch["novel_extrinsics"]
        sign = torch.tensor([-1.0, 1, 1])
        # x of the world and x of the camera change their signs
        turned = cameras_ * sign[:, None] * torch.cat([sign, torch.ones(1)])
        changed["novel_depth"] = torch.where(pick, flipped(novel), novel)
        changed["novel_extrinsics"] = torch.where(pick[..., None], turned, cameras_)
    return {**batch, **changed}

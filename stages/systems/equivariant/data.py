"""Batches of pictures with the maps that they are to be embedded as.

Everything is in the camera's frame (x right, y down, z forward): a map is that of the shape as the
camera sees it turned, its pole is the optical axis. Letters: B batch, V views of a shape, S pixels,
C channels, n rows of a map.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from stages.errors import InputError
from stages.systems.equivariant.params import REQUIRES, Params
from stages.systems.pictures import Kept, reduced, rolled_pictures, tint
from stages.systems.spherical_cnn.data import SCALE

SIZE = REQUIRES["views"]["size"]
RES = REQUIRES["spheres"]["res"]
Batch = dict[str, Any]
# (P, 1, n, n) ray lengths, 0 to 1, to (P, C, t, t) maps of the frozen network.
Teacher = Callable[[torch.Tensor], torch.Tensor]


class Views:
    """All views of some shapes as samples: view v of shape s is number s * V + v.

    The maps of a shape go through the teacher when it is first read: they are the same in every
    epoch. Augmentation turns the finished maps, which is as exact (see `rolled`).
    """

    def __init__(
        self,
        load: Callable[[str], Mapping[str, np.ndarray]],
        ids: Sequence[str],
        params: Params,
        teacher: Teacher,
        most: int = 0,
    ) -> None:
        self.ids, self.params, self.teacher, self.most = list(ids), params, teacher, most
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
        """rgb (V, S, S, 3) uint8 and target (V, C, t, t) float32 of one shape."""
        return self._shapes.get(item)

    def batch(self, indices: Sequence[int], generator: torch.Generator | None) -> Batch:
        """image (B, 3, S, S) float32, 0 to 1; target (B, C, t, t) float32; the ids."""
        chosen = [(self.ids[i // self.views], i % self.views) for i in indices]
        rgb = np.stack([self.shape(item)["rgb"][view] for item, view in chosen])
        batch = {
            "image": torch.from_numpy(rgb).permute(0, 3, 1, 2).float() / 255,
            "target": torch.stack([self.shape(item)["target"][view] for item, view in chosen]),
        }
        if generator is not None:
            batch = augment(batch, self.params, generator)
        return {**batch, "id": [f"{item} view {view}" for item, view in chosen]}

    def _read(self, item: str) -> dict[str, Any]:
        arrays = self._load(item)
        check(item, arrays)
        count = self.most or len(arrays["rgb"])
        maps = torch.from_numpy(np.asarray(arrays["map"][:count])) * SCALE
        with torch.no_grad():
            target = torch.cat([self.teacher(part).float() for part in maps.split(32)])
        rgb = reduced(np.asarray(arrays["rgb"][:count]), self.params.pixels)
        return {"rgb": rgb, "target": target}


def check(item: str, arrays: Mapping[str, np.ndarray]) -> None:
    """InputError unless there is a map for each picture, of what that picture shows."""
    views, rgb, maps = len(arrays["rgb"]), arrays["rgb"].shape[1:], arrays["map"].shape
    if rgb != (SIZE, SIZE, 3) or maps != (views, 1, RES, RES):
        raise InputError(
            f"{item} has pictures of {rgb} and maps of {maps}, not one map of {RES} rows a picture",
            "run: crossdim raycast --poses views   on the views that are trained on",
        )
    turned = np.allclose(arrays["rotation"], arrays["extrinsics"][:, :, :3], atol=1e-5)
    if not turned or not np.allclose(arrays["map_scale"], arrays["scale"], atol=1e-5):
        raise InputError(
            f"the maps of {item} are not those of its views",
            "choose the maps of these views: --spheres NAME",
        )


def augment(batch: Batch, params: Params, generator: torch.Generator) -> Batch:
    """Rolled, mirrored and tinted pictures, as `params` says, with their maps."""
    count = len(batch["image"])
    if params.roll:
        angle = torch.rand(count, generator=generator) * (2 * math.pi)
        batch = {
            "image": rolled_pictures(batch["image"], angle),
            "target": rolled_maps(batch["target"], angle),
        }
    if params.flip:
        chosen = torch.rand(count, generator=generator) < 0.5
        batch = mirrored(batch, chosen)
    if params.jitter > 0:
        batch = {**batch, "image": tint(batch["image"], params.jitter, generator)}
    return batch


def rolled_maps(maps: torch.Tensor, angle: torch.Tensor) -> torch.Tensor:
    """(B, C, n, n) maps turned by `angle` (B,) about their pole: f(phi - angle).

    A phase for each order; exact for what is band-limited, which the output of a zonal convolution
    on this grid is.
    """
    waves = torch.fft.rfft(maps)  # (B, C, n, n/2 + 1)
    order = torch.arange(waves.shape[-1], device=maps.device)
    phase = torch.exp(-1j * order * angle[:, None])  # (B, n/2 + 1)
    return torch.fft.irfft(waves * phase[:, None, None], n=maps.shape[-1])


def mirrored(batch: Batch, chosen: torch.Tensor) -> Batch:
    """The batch with the `chosen` (B,) pictures mirrored left to right, with their maps."""
    pick = chosen[:, None, None, None]
    return {
        "image": torch.where(pick, batch["image"].flip(3), batch["image"]),
        "target": torch.where(pick, mirrored_maps(batch["target"]), batch["target"]),
    }


def mirrored_maps(maps: torch.Tensor) -> torch.Tensor:
    """Maps (B, C, n, n) of the shapes mirrored in x, left and right in the camera's frame.

    The map of a mirrored shape is the mirrored map, longitude phi at pi - phi: ray lengths are, and
    zonal filters look the same from both sides.
    """
    n = maps.shape[-1]
    return maps[..., (n // 2 - torch.arange(n, device=maps.device)) % n]

"""Batches of views with the voxels of their shapes, from uint8 arrays kept in memory.

Letters: B batch, V views of a shape, H W pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from stages.errors import InputError
from stages.systems.pictures import Kept, jitter_framing, tint
from stages.systems.pose_aware.model import IMAGE, MASK, VOXELS
from stages.systems.pose_aware.params import Params

Arrays = Mapping[str, np.ndarray]
Batch = dict[str, Any]
_DEFAULT = Params()
SHAPES = {
    "voxels": (VOXELS, VOXELS, VOXELS),  # bool, [x, y, z]
    "rgb": (-1, IMAGE, IMAGE, 3),  # uint8
    "mask": (-1, IMAGE, IMAGE),  # uint8, coverage 0 to 255
    "viewpoint": (-1, 4),  # azimuth_deg, elevation_deg, inplane_deg, distance
}


def area_matrix(source: int, target: int) -> np.ndarray:
    """(target, source) float32: row i averages the source cells that target cell i covers."""
    edges = np.arange(target + 1) * (source / target)
    cells = np.arange(source)
    low = np.maximum(edges[:-1, None], cells)
    high = np.minimum(edges[1:, None], cells + 1)
    return (np.clip(high - low, 0, None) * (target / source)).astype(np.float32)


def average_masks(coverage: torch.Tensor, size: int = MASK) -> torch.Tensor:
    """(..., size, size) area averages of (..., H, H) coverages; thin parts keep their area."""
    if coverage.shape[-1] == size:
        return coverage
    matrix = torch.from_numpy(area_matrix(coverage.shape[-1], size)).to(coverage)
    return matrix @ coverage @ matrix.T


class ShapeViews:
    """All views of some shapes as samples: view v of shape s is number s * V + v.

    `load(id)` gives the arrays of `SHAPES`; it is called when a shape is first needed, and again
    only after `params.cache_mb` of others have been.
    """

    def __init__(
        self, load: Callable[[str], Arrays], ids: Sequence[str], params: Params = _DEFAULT
    ) -> None:
        self.ids, self.params = list(ids), params
        self._load, self._shapes = load, Kept(self._read, params.cache_mb)
        self._views: int | None = None

    @property
    def views(self) -> int:
        """V, the number of views of every shape."""
        if self._views is None:
            self._views = len(self.shape(self.ids[0])["viewpoint"]) if self.ids else 0
        return self._views

    def __len__(self) -> int:
        return len(self.ids) * self.views

    def batch(self, indices: Sequence[int], generator: torch.Generator | None) -> Batch:
        """The samples of these numbers and their ids; augmented from `generator` if given."""
        shapes = [self.ids[i // self.views] for i in indices]
        numbers = [i % self.views for i in indices]
        batch: Batch = self.sample_batch(shapes, numbers)
        if generator is not None:
            batch = augment(batch, self.params, generator)
        return {**batch, "id": [f"{i} view {v}" for i, v in zip(shapes, numbers)]}

    def sample_batch(self, ids: Sequence[str], view_indices: Sequence[int]) -> Batch:
        """The named views, one of each shape, as they are.

        image (B, 3, 64, 64) float32 0 to 1; mask (B, 48, 48) float32 coverage; voxels
        (B, 32, 32, 32) float32 [x, y, z]; viewpoint (B, 4) float32.
        """
        rows = [(self.shape(i), v) for i, v in zip(ids, view_indices, strict=True)]

        def stack(name: str) -> torch.Tensor:
            return torch.from_numpy(np.stack([arrays[name][v] for arrays, v in rows]))

        return {
            "image": stack("rgb").permute(0, 3, 1, 2).float() / 255,
            "mask": average_masks(stack("mask").float() / 255),
            "voxels": torch.from_numpy(np.stack([a["voxels"] for a, _ in rows])).float(),
            "viewpoint": stack("viewpoint").float(),
        }

    def shape(self, shape_id: str) -> Arrays:
        """The arrays of one shape; InputError if they are not of the sizes in `SHAPES`."""
        return self._shapes.get(shape_id)

    def _read(self, shape_id: str) -> dict[str, np.ndarray]:
        loaded = self._load(shape_id)
        arrays = {name: np.asarray(loaded[name]) for name in SHAPES}
        _check(shape_id, arrays, self._views)
        return arrays


def _check(shape_id: str, arrays: Arrays, views: int | None) -> None:
    for name, expected in SHAPES.items():
        found = arrays[name].shape
        wanted = tuple(e if e >= 0 else (views or len(arrays["viewpoint"])) for e in expected)
        if found != wanted:
            raise InputError(
                f"{name} of {shape_id} have shape {found}, not {wanted}",
                f"run: crossdim voxelize --res {VOXELS}; crossdim render --size {IMAGE}",
            )


def augment(batch: Batch, params: Params, generator: torch.Generator) -> Batch:
    """Mirrored, framed anew and tinted views, as `params` says.

    Only the picture is framed anew: mask, voxels and camera stay those of the view, so that the
    network learns to tell the object as the camera sees it, wherever the picture shows it.
    """
    count = len(batch["image"])
    if params.flip:
        batch = mirror(batch, torch.rand(count, generator=generator) < 0.5)
    if params.jitter_shift > 0 or params.jitter_scale > 0:
        amounts = params.jitter_shift, params.jitter_scale
        batch = {**batch, "image": jitter_framing(batch["image"], *amounts, generator)}
    if params.jitter > 0:
        batch = {**batch, "image": tint(batch["image"], params.jitter, generator)}
    return batch


def mirror(batch: Batch, chosen: torch.Tensor) -> Batch:
    """The batch with the `chosen` (B,) views mirrored left to right, in 2D and in 3D.

    The mirrored picture shows the shape mirrored in x from the azimuth of opposite sign.
    """

    def swap(name: str, axis: int) -> torch.Tensor:
        array = batch[name]
        pick = chosen.reshape(-1, *[1] * (array.ndim - 1))
        return torch.where(pick, array.flip(axis), array)

    sign = torch.where(chosen[:, None], torch.tensor([-1.0, 1, -1, 1]), torch.ones(4))
    return {
        **batch,
        "image": swap("image", 3),
        "mask": swap("mask", 2),
        "voxels": swap("voxels", 1),
        "viewpoint": batch["viewpoint"] * sign,
    }

"""Batches of views with the voxels of their shapes, from uint8 arrays kept in memory.

Letters: B batch, V views of a shape, H W pixels.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import torch

from stages.errors import InputError
from stages.systems.pose_aware.model import IMAGE, MASK, VOXELS
from stages.systems.pose_aware.params import Params

Arrays = Mapping[str, np.ndarray]
Batch = dict[str, torch.Tensor]
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
    """(B, size, size) area averages of (B, H, W) coverages; thin parts keep their area."""
    matrix = torch.from_numpy(area_matrix(coverage.shape[-1], size))
    return matrix @ coverage @ matrix.T


class ShapeViews:
    """The views of some shapes. `load(id)` gives the arrays of `SHAPES`; it is called when a shape is
    first needed, and again only after `cache_mb` of other shapes have been."""

    def __init__(
        self, load: Callable[[str], Arrays], ids: Sequence[str], cache_mb: int = 2048
    ) -> None:
        if not ids:
            raise InputError("no shapes to learn from", "run: crossdim shapes list")
        self.ids = list(ids)
        self._load, self._room = load, cache_mb * 2**20
        self._kept: OrderedDict[str, dict[str, np.ndarray]] = OrderedDict()
        self._bytes = 0

    def shape(self, shape_id: str) -> dict[str, np.ndarray]:
        """The arrays of one shape; InputError if they are not of the sizes in `SHAPES`."""
        if shape_id in self._kept:
            self._kept.move_to_end(shape_id)
            return self._kept[shape_id]
        loaded = self._load(shape_id)
        arrays = {name: np.asarray(loaded[name]) for name in SHAPES}
        for name, expected in SHAPES.items():
            found = arrays[name].shape
            if len(found) != len(expected) or any(
                e not in (-1, f) for e, f in zip(expected, found)
            ):
                raise InputError(
                    f"{name} of {shape_id} have shape {found}, not {expected}",
                    f"run: crossdim voxelize --res {VOXELS}; crossdim render --size {IMAGE}",
                )
        self._kept[shape_id] = arrays
        self._bytes += sum(a.nbytes for a in arrays.values())
        while self._bytes > self._room and len(self._kept) > 1:
            _, oldest = self._kept.popitem(last=False)
            self._bytes -= sum(a.nbytes for a in oldest.values())
        return arrays

    def views(self, shape_id: str) -> int:
        """The number of views of a shape."""
        return len(self.shape(shape_id)["viewpoint"])

    def sample_batch(self, ids: Sequence[str], view_indices: Sequence[int]) -> Batch:
        """The named views, one of each shape.

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

    def draw(self, params: Params, generator: torch.Generator) -> Batch:
        """`params.batch` augmented views at random; no shape twice before each was there once."""
        rounds = -(-params.batch // len(self.ids))
        order = [torch.randperm(len(self.ids), generator=generator) for _ in range(rounds)]
        ids = [self.ids[i] for i in torch.cat(order)[: params.batch].tolist()]
        at = torch.rand(len(ids), generator=generator).tolist()
        views = [int(fraction * self.views(i)) for i, fraction in zip(ids, at)]
        return augment(self.sample_batch(ids, views), params, generator)

    def batches(self, size: int, views: int | None = None) -> Iterator[Batch]:
        """Every view of every shape, or `views` of each spread evenly, in order, not augmented."""
        pairs = []
        for shape_id in self.ids:
            count = self.views(shape_id)
            used = count if views is None else min(views, count)
            pairs += [(shape_id, i * count // used) for i in range(used)]
        for start in range(0, len(pairs), size):
            ids, indices = zip(*pairs[start : start + size])
            yield self.sample_batch(ids, indices)


def augment(batch: Batch, params: Params, generator: torch.Generator) -> Batch:
    """Mirrored and tinted views, as `params.flip` and `params.jitter` say."""
    count = len(batch["image"])
    if params.flip:
        batch = mirror(batch, torch.rand(count, generator=generator) < 0.5)
    if params.jitter > 0:
        batch = {**batch, "image": _tint(batch["image"], params.jitter, generator)}
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
        "image": swap("image", 3),
        "mask": swap("mask", 2),
        "voxels": swap("voxels", 1),
        "viewpoint": batch["viewpoint"] * sign,
    }


def _tint(images: torch.Tensor, strength: float, generator: torch.Generator) -> torch.Tensor:
    """Images with their colours permuted, scaled and shifted, each image by its own amounts."""
    count = len(images)

    def spread(*shape: int) -> torch.Tensor:  # 1 +- strength
        return 1 + strength * (2 * torch.rand(shape, generator=generator) - 1)

    order = torch.rand(count, 3, generator=generator).argsort(1)
    images = images.gather(1, order[:, :, None, None].expand_as(images))
    mean = images.mean((1, 2, 3), keepdim=True)
    contrast, brightness = spread(count, 1, 1, 1), spread(count, 3, 1, 1)
    return (((images - mean) * contrast + mean) * brightness).clamp(0, 1)

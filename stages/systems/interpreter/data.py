"""Pictures with the keypoints of a template: rendered views with their landmarks, or photos.

Letters: B batch, V views of a shape, S pixels a side of a picture, h x w pixels of what the network
looks at, N keypoints of the template, L named points of the source.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from stages.errors import InputError
from stages.skeletons.naming import columns, convention_of_photos, mirror, wrong_sides
from stages.skeletons.projection import HEIGHT, WIDTH, in_frame
from stages.skeletons.template import Template
from stages.systems.interpreter.model import template_of
from stages.systems.interpreter.params import Params
from stages.systems.pictures import Kept, tint

Batch = dict[str, Any]
_SAME = 1e-5


class Pictures:
    """All pictures of some items as samples: view v of item s is number s * V + v."""

    def __init__(
        self,
        load: Callable[[str], Mapping[str, np.ndarray]],
        ids: Sequence[str],
        params: Params,
        most: int = 0,
    ) -> None:
        self.ids, self.params, self.most = list(ids), params, most
        self.template = template_of(params)
        self._load, self._items = load, Kept(self._read, params.cache_mb)
        self._views: int | None = None

    @property
    def views(self) -> int:
        """V, the number of pictures of every item: all, or the first `most`."""
        if self._views is None:
            self._views = len(self.item(self.ids[0])["image"]) if self.ids else 0
        return self._views

    def __len__(self) -> int:
        return len(self.ids) * self.views

    def item(self, item: str) -> Mapping[str, Any]:
        """What `prepared` gives of one item."""
        return self._items.get(item)

    def batch(self, indices: Sequence[int], generator: torch.Generator | None) -> Batch:
        """image (B, 3, h, w) float32, 0 to 1; keypoints (B, N, 2) pixels of 240 x 320; present
        (B, N) whether in the picture, known (B, N); of rendered views turned (B, N, 3); the ids.
        """
        chosen = [(self.ids[i // self.views], i % self.views) for i in indices]
        rows = [(self.item(item), view) for item, view in chosen]
        names = [name for name in rows[0][0] if name != "image"]
        batch: Batch = {name: torch.stack([a[name][view] for a, view in rows]) for name in names}
        images = torch.stack([arrays["image"][view] for arrays, view in rows])
        batch["image"] = images.float() / 255
        if generator is not None:
            batch = augmented(batch, self.template, self.params, generator)
        batch["present"] = in_frame(batch["keypoints"]) & batch["known"]
        return {**batch, "id": [f"{item} view {view}" for item, view in chosen]}

    def _read(self, item: str) -> dict[str, torch.Tensor]:
        arrays = self._load(item)
        if arrays["rgb"].ndim == 3:  # a photo: one picture, its keypoints told if annotated
            names = ("rgb", "keypoints", "visible")
            arrays = {**arrays, **{name: arrays[name][None] for name in names}}
        else:
            _check(item, arrays)
        found = prepared(item, arrays, self.template, self.params)
        count = self.most or len(found["image"])
        return {name: values[:count] for name, values in found.items()}


def prepared(
    item: str,
    arrays: Mapping[str, np.ndarray],
    template: Template,
    params: Params,
    other: bool = False,
) -> dict[str, torch.Tensor]:
    """The pictures of an item as the network sees them, and the keypoints of the template.

    Of an item of an `other` category those that have the same names, if any.

    image (V, 3, h, w) uint8; keypoints (V, N, 2) pixels of 240 x 320, 0 where not known; known
    (V, N): there is such a point, and it is annotated or, of rendered views, may be hidden; of
    rendered views turned (V, N, 3): 3D keypoints in the camera's axes, from the shape's centre.
    """
    names = [bytes(name).decode() for name in arrays["keypoint_names"]]
    convention = convention_told(arrays, template)
    column = columns(item, template, convention, names, other)  # (N,) -1 where there is none
    if "shape_points" in arrays and (
        wrong := wrong_sides(template, arrays["shape_points"], column)
    ):
        raise InputError(
            f"{item}: {wrong[0]} is on the other side than in template {template.name}",
            f"its names are not those of {convention}: crossdim landmarks --convention",
        )
    image, affine = framed(arrays["rgb"], params.height)
    pixels = np.where(np.isfinite(arrays["keypoints"]), arrays["keypoints"], 0)
    pixels = pixels[:, column] * affine[0] + affine[1]  # (V, N, 2)
    known = np.broadcast_to(column >= 0, pixels.shape[:2])
    if "points" not in arrays or not params.hidden:
        known = known & (arrays["visible"][:, column] > 0)
    found = {
        "image": image,
        "keypoints": torch.from_numpy(np.where(known[..., None], pixels, 0).astype(np.float32)),
        "known": torch.from_numpy(known.copy()),
    }
    if "points" in arrays:
        turned = arrays["points"][:, column] - arrays["extrinsics"][:, None, :, 3]
        found["turned"] = torch.from_numpy(turned.astype(np.float32))
    return found


def convention_told(arrays: Mapping[str, np.ndarray], template: Template) -> str:
    """Whose names the keypoints of an item have."""
    if "convention" not in arrays:  # a photo
        return convention_of_photos(template)
    return np.bytes_(arrays["convention"]).rstrip(b"\0").decode()


def framed(rgb: np.ndarray, height: int) -> tuple[torch.Tensor, np.ndarray]:
    """Pictures (V, a, b, 3) uint8 within h x w, w = 3/4 h, centred, aspect kept, edges continued.

    Also (2, 2): factors and shifts of x and y that take their pixels to those of 240 x 320.
    """
    width = height * 3 // 4
    rows, cols = rgb.shape[1:3]
    scale = min(width / cols, height / rows)
    size = (max(1, round(scale * rows)), max(1, round(scale * cols)))
    images = torch.from_numpy(np.ascontiguousarray(rgb)).permute(0, 3, 1, 2).float()
    if size != (rows, cols):
        images = F.interpolate(images, size, mode="bilinear", antialias=True, align_corners=False)
    spare = (height - size[0], width - size[1])
    upper, left = spare[0] // 2, spare[1] // 2
    padding = (left, spare[1] - left, upper, spare[0] - upper)
    images = F.pad(images, padding, mode="replicate")
    unit = HEIGHT / height  # of 240 x 320 in a pixel
    factors = np.array([size[1] / cols, size[0] / rows]) * unit
    shifts = np.array([left, upper]) * unit
    return images.round().clamp(0, 255).to(torch.uint8), np.stack([factors, shifts])


def _check(item: str, arrays: Mapping[str, np.ndarray]) -> None:
    """InputError unless the landmarks are those of the views."""
    views, marks = arrays["extrinsics"], arrays["landmark_extrinsics"]
    if views.shape != marks.shape or not np.allclose(views, marks, atol=_SAME):
        raise InputError(
            f"the landmarks of {item} are not those of its views",
            "choose the landmarks of these views: --landmarks NAME",
        )


def augmented(
    batch: Batch, template: Template, params: Params, generator: torch.Generator
) -> Batch:
    """Moved, zoomed, mirrored and tinted pictures, as `params` says, with their keypoints."""
    count = len(batch["image"])

    def spread(*shape: int) -> torch.Tensor:  # -1 to 1
        return 2 * torch.rand(shape, generator=generator) - 1

    zoom = torch.exp(math.log(params.zoom) * spread(count))
    shift = params.shift * WIDTH * spread(count, 2)
    partner = mirror(template.bases[0]) if params.flip else None
    chosen = torch.zeros(count, dtype=torch.bool)
    if partner is not None:
        chosen = torch.rand(count, generator=generator) < 0.5
        batch = _mirrored(batch, chosen, torch.tensor(partner))
    image, keypoints = batch["image"], batch["keypoints"]
    if params.zoom > 1 or params.shift > 0:
        image, keypoints = _moved(image, keypoints, zoom, shift)
    if params.jitter > 0:
        image = tint(image, params.jitter, generator)
    return {**batch, "image": image, "keypoints": keypoints}


def _mirrored(batch: Batch, chosen: torch.Tensor, partner: torch.Tensor) -> Batch:
    """The batch with the `chosen` (B,) pictures mirrored, each keypoint that of its partner."""
    pick = chosen[:, None, None]
    image = torch.where(pick[..., None], batch["image"].flip(3), batch["image"])
    points = batch["keypoints"]
    other = points[:, partner] * torch.tensor([-1.0, 1.0]) + torch.tensor([float(WIDTH), 0.0])
    found = {
        **batch,
        "image": image,
        "keypoints": torch.where(pick, other, points),
        "known": torch.where(chosen[:, None], batch["known"][:, partner], batch["known"]),
    }
    if "turned" in batch:
        other = batch["turned"][:, partner] * torch.tensor([-1.0, 1.0, 1.0])
        found["turned"] = torch.where(pick, other, batch["turned"])
    return found


def _moved(
    image: torch.Tensor, keypoints: torch.Tensor, zoom: torch.Tensor, shift: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Pictures enlarged about their middle by `zoom` (B,), then moved by `shift` (B, 2) pixels."""
    middle = torch.tensor([WIDTH / 2, HEIGHT / 2])
    moved = (keypoints - middle) * zoom[:, None, None] + middle + shift[:, None]
    theta = torch.zeros(len(zoom), 2, 3)  # from output to input, both -1 to 1
    theta[:, 0, 0] = theta[:, 1, 1] = 1 / zoom
    theta[:, :, 2] = -shift / middle / zoom[:, None]
    grid = F.affine_grid(theta, list(image.shape), align_corners=False)
    return F.grid_sample(image, grid, padding_mode="border", align_corners=False), moved

"""The pseudo-renderer of the structure generator (Lin, Kong and Lucey 2018): maps, cloud, maps.

`fuse3d` turns predicted pixels and depths of fixed views into one cloud; `render2d` draws that
cloud as orthographic depth maps at novel views, without a surface. Both hold no parameters and pass
gradients on. The camera is that of `stages.geometry.orthographic`.

A novel picture of W pixels a side is drawn on a canvas U times as fine. Every visible point, one
whose logit is above 0, adds

    1 / (z + OFFSET),   its logit,   1

to the cell that it falls into; each of these *sums* is then max-pooled by itself to W pixels, so
that the nearest of the points in different cells of a pixel wins, and

    depth = 1 / (pooled + EPSILON) - OFFSET

is that point's wherever the pooled count, the collision, is 1. Where it is more, two points fell
into one cell and the sum is no depth: those pixels are for the losses to leave out. The mask is the
pooled logit where there is a visible point; else the sum of the logits of the invisible points,
over U^2, where that is below 0; else EMPTY_LOGIT.

The published code takes pixel centres to be whole numbers and rounds: its pixel j shows u from
j - 0.1 to j + 0.9. Here pixel j shows j to j + 1, its centre in the middle of the middle cell.

Letters: B batch, V fixed views, K novel views, S = W pixels a side, N points, M the most visible
points of a sample, U upsampling, P pixels of a picture with a border of one, where what lies
outside goes.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

OFFSET = 10.0  # keeps inverse depths positive, and depths apart by about as much everywhere
EPSILON = 1e-8
EMPTY_LOGIT = -1.0
FAR = 1e4  # outside of every picture, world units


class Rendered(NamedTuple):
    """Pictures (B, K, W, W) of a cloud; depth 0 where there is no visible point."""

    depth: Tensor  # world units; means something where `collision` is 1
    logit: Tensor  # of the mask
    collision: Tensor  # the most visible points in a cell of the pixel, as floats; no gradient


def fuse3d(maps: Tensor, extrinsics: Tensor) -> Tensor:
    """(B, 3, V S S) world coordinates, planes of x, y, z, of pixels and depths of V views.

    maps: (B, V, 3, S, S), u and v in pixels and depth of each point; extrinsics: (V, 3, 4). Points
    go view by view and row by row, as the logits (B, V, S, S) do when they are flattened.
    """
    batch, views, _, size, _ = maps.shape
    rotation, shift = extrinsics[..., :3], extrinsics[..., 3:]  # (V, 3, 3), (V, 3, 1)
    # x_world = R^T (x_cam - t), x_cam = (u / W - 1/2, v / W - 1/2, depth)
    scale = maps.new_tensor([1 / size, 1 / size, 1.0])
    half = maps.new_tensor([[0.5], [0.5], [0.0]])
    back = rotation.mT * scale  # (V, 3, 3)
    offset = -rotation.mT @ (half + shift)  # (V, 3, 1)
    world = back @ maps.flatten(3) + offset  # (B, V, 3, S S)
    return world.transpose(1, 2).reshape(batch, 3, views * size * size)


def render2d(
    points: Tensor, logit: Tensor, extrinsics: Tensor, size: int, upsampling: int = 5
) -> Rendered:
    """Pictures of `size` pixels a side of a cloud, seen by K cameras of its own for each sample.

    points: (B, 3, N) world; logit: (B, N); extrinsics: (B, K, 3, 4). Gradients reach the points
    through their depth alone, since which cell one falls into has none, and every logit.
    """
    visible = logit > 0  # (B, N)
    with torch.no_grad():
        # Rounding takes no NaN, and no infinity; the depths keep them, for the loss to show.
        places = torch.nan_to_num(points).clamp_(-FAR, FAR)
        pixel = _cells(places, extrinsics, size, 1)  # (B, K, N)
        chosen, there = _first(visible)  # (B, M) each
        expanded = chosen[:, None].expand(-1, 3, -1)
        cell = _cells(places.gather(2, expanded), extrinsics, size, upsampling)
        cell = torch.where(there[:, None], cell, 0)  # (B, K, M); 0 is in the border
    near = points.gather(2, expanded)  # (B, 3, M)
    depth = torch.baddbmm(extrinsics[:, :, 2, 3:], extrinsics[:, :, 2, :3], near)  # (B, K, M)
    pooled: Any = _Pool.apply(1 / (depth + OFFSET), logit.gather(1, chosen), cell, size, upsampling)
    inverse, seen, collision = (_inside(one, size) for one in pooled)
    hidden = torch.where(visible, 0, logit)[:, None].expand_as(pixel)
    sums = points.new_zeros(*pixel.shape[:2], (size + 2) ** 2).scatter_add(2, pixel, hidden)
    mean = _inside(sums, size) / upsampling**2
    empty = collision == 0
    unseen = torch.where(mean < 0, mean, EMPTY_LOGIT)
    return Rendered(
        torch.where(empty, 0, 1 / (inverse + EPSILON) - OFFSET),
        torch.where(empty, unseen, seen),
        collision,
    )


def _cells(points: Tensor, extrinsics: Tensor, size: int, upsampling: int) -> Tensor:
    """(B, K, N) int64: number of the cell of each of (B, 3, N) points in each of K pictures.

    Cell (r, c) of pixel p, both counted row by row, is (r U + c) P + p: that way all first cells of
    the pixels lie together, then all second ones, and pooling is fast.
    """
    batch, views = extrinsics.shape[:2]
    side = size + 2  # with the border
    planes = extrinsics[:, :, :2].transpose(1, 2)  # (B, 2, K, 4): of u, then of v
    turn = planes[..., :3] * (size * upsampling)
    shift = (planes[..., 3:] + 0.5) * (size * upsampling) + upsampling
    # In cells from the corner of the border; whole numbers in floats are exact below 2^24.
    fine = torch.baddbmm(shift.flatten(1, 2), turn.flatten(1, 2), points)  # (B, 2 K, N)
    fine = fine.floor_().clamp_(0, side * upsampling - 1).view(batch, 2, views, -1)
    if upsampling == 1:
        return fine[:, 0].add(fine[:, 1], alpha=side).long()
    coarse = torch.floor(fine / upsampling)
    fine -= upsampling * coarse  # the cell within its pixel
    inside = fine[:, 0].add_(fine[:, 1], alpha=upsampling)
    return inside.mul_(side * side).add_(coarse[:, 0]).add_(coarse[:, 1], alpha=side).long()


def _first(visible: Tensor) -> tuple[Tensor, Tensor]:
    """(B, M) int64 numbers of the visible of (B, N) points, and which of them are not padding."""
    count = visible.sum(1)
    most = max(1, int(count.max()))
    place = visible.cumsum(1).sub_(1)
    place = torch.where(visible, place, most)  # the invisible all go to a place that is cut off
    order = torch.arange(visible.shape[1], device=visible.device).expand_as(place)
    chosen = place.new_zeros(len(visible), most + 1).scatter_(1, place, order)[:, :most]
    return chosen, torch.arange(most, device=visible.device) < count[:, None]


def _inside(picture: Tensor, size: int) -> Tensor:
    """(B, K, W, W) of (B, K, P): without the border."""
    return picture.unflatten(2, (size + 2, size + 2))[:, :, 1:-1, 1:-1]


class _Pool(torch.autograd.Function):
    """Sums over the points in a cell, then the largest over the cells of a pixel.

    Of (B, K, M) inverse depths, (B, M) logits, and 1 for each point: three times (B, K, P). By hand
    since the gradient of a pixel belongs to the points of one cell of it, which they can look up;
    automatic differentiation would fill canvases of U^2 times as many numbers to say so.
    """

    @staticmethod
    def forward(
        ctx: Any, inverse: Tensor, logit: Tensor, cell: Tensor, size: int, upsampling: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        batch, views, _ = cell.shape
        pixels = (size + 2) ** 2
        canvas = inverse.new_zeros(batch, views, upsampling**2 * pixels)
        layers = canvas.view(batch, views, upsampling**2, pixels)
        canvas.scatter_add_(2, cell, torch.ones_like(inverse[:1, :1, :1]).expand_as(cell))
        count = layers.amax(2)
        depth, nearest = canvas.zero_().scatter_add_(2, cell, inverse).view_as(layers).max(2)
        canvas.zero_().scatter_add_(2, cell, logit[:, None].expand_as(cell))
        mask, strongest = layers.max(2)
        ctx.save_for_backward(cell, nearest, strongest)
        ctx.mark_non_differentiable(count)
        return depth, mask, count

    @staticmethod
    def backward(  # type: ignore[override]
        ctx: Any, of_depth: Tensor, of_mask: Tensor, _: Tensor
    ) -> tuple[Tensor, Tensor, None, None, None]:
        cell, nearest, strongest = ctx.saved_tensors
        pixel = cell % of_depth.shape[2]
        inside = cell // of_depth.shape[2]
        to_inverse = of_depth.gather(2, pixel) * (nearest.gather(2, pixel) == inside)
        to_logit = of_mask.gather(2, pixel) * (strongest.gather(2, pixel) == inside)
        return to_inverse, to_logit.sum(1), None, None, None

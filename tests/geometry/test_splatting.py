"""The pseudo-renderer against a naive loop, cases by hand, differences and the rasteriser."""

from __future__ import annotations

import math
from collections import Counter, defaultdict

import numpy as np
import pytest
import torch

from stages.depths.zbuffer import depth_maps
from stages.geometry import cameras, orthographic
from stages.geometry.splatting import EMPTY_LOGIT, OFFSET, fuse3d, render2d
from tests.depths.shapes import distances, ell

FIXED = torch.from_numpy(cameras.extrinsics(orthographic.fixed_viewpoints(8)))
FRONT = torch.from_numpy(cameras.extrinsics(np.array([[0.0, 0, 0, 1]])))[None]  # (1, 1, 3, 4)


def novel(batch: int, views: int, seed: int = 0) -> torch.Tensor:
    """(B, K, 3, 4) cameras, every rotation as likely."""
    viewpoints = orthographic.random_viewpoints(batch * views, np.random.default_rng(seed))
    return torch.from_numpy(cameras.extrinsics(viewpoints)).reshape(batch, views, 3, 4)


def true_maps(mesh, extrinsics: torch.Tensor, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """(1, V, 3, S, S) maps and (1, V, S, S) logits, 1 or -1, of a mesh."""
    z = torch.from_numpy(depth_maps(mesh, extrinsics.numpy(), size)).double()
    centres = torch.arange(size) + 0.5
    maps = torch.stack([centres.expand_as(z), centres[:, None].expand_as(z), z], 1)
    return maps[None], torch.where(z > 0, 1.0, -1.0).double()[None]


def cloud_of(mesh, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """(1, 3, N) points and (1, N) logits of a mesh, from the 8 fixed views."""
    maps, logit = true_maps(mesh, FIXED, size)
    return fuse3d(maps, FIXED), logit.flatten(1)


# --- fusing


def test_fused_true_depths_lie_on_the_mesh() -> None:
    """Stored in single precision: 6e-8 of depths near 1, and three sums of as much."""
    mesh = ell()
    points, logit = cloud_of(mesh, 48)
    cloud = points[0, :, logit[0] > 0].T.numpy()
    assert len(cloud) > 3000
    some = cloud[:: len(cloud) // 300]
    assert distances(some, mesh, 0.01).max() < 3e-7


def test_fused_maps_are_unprojected_pixels() -> None:
    """Beside `orthographic.unproject`, where pixels have left their places, and views differ."""
    generator = torch.Generator().manual_seed(0)
    maps = torch.rand(2, 8, 3, 6, 6, generator=generator, dtype=torch.float64) * 6
    expected = orthographic.unproject(maps[:, :, 0], maps[:, :, 1], maps[:, :, 2], FIXED)
    points = fuse3d(maps, FIXED)  # (B, 3, V S S)
    np.testing.assert_allclose(points.mT, expected.reshape(2, -1, 3), atol=1e-14)


# --- drawing, by a loop


def naive(points, logit, camera, size: int, up: int):
    """Depth, logit and collision (W, W) of one cloud (N, 3) and camera, point by point."""
    sums, logits, count = defaultdict(float), defaultdict(float), Counter()
    hidden = defaultdict(float)
    for point, value in zip(points, logit):
        u, v, z = camera[:, :3] @ point + camera[:, 3]
        column, row = math.floor((u + 0.5) * size * up), math.floor((v + 0.5) * size * up)
        if not (0 <= column < size * up and 0 <= row < size * up):
            continue
        if value > 0:
            sums[row, column] += 1 / (z + OFFSET)
            logits[row, column] += value
            count[row, column] += 1
        else:
            hidden[row // up, column // up] += value / up**2
    depth, mask, most = (np.zeros((size, size)) for _ in range(3))
    for i in range(size):
        for j in range(size):
            cells = [(i * up + a, j * up + b) for a in range(up) for b in range(up)]
            most[i, j] = max(count[c] for c in cells)
            mean = hidden[i, j]
            if most[i, j]:
                depth[i, j] = 1 / (max(sums[c] for c in cells) + 1e-8) - OFFSET
                mask[i, j] = max(logits[c] for c in cells)
            else:
                mask[i, j] = mean if mean < 0 else EMPTY_LOGIT
    return depth, mask, most


@pytest.mark.parametrize("up", [1, 3, 5])
@pytest.mark.parametrize("size", [5, 8])
def test_drawing_is_the_loop_over_points(size: int, up: int) -> None:
    """Some outside of the picture, most cells with several points or none."""
    generator = torch.Generator().manual_seed(up)
    points = torch.randn(2, 3, 150, generator=generator, dtype=torch.float64) * 0.3
    logit = torch.randn(2, 150, generator=generator, dtype=torch.float64) * 2
    extrinsics = novel(2, 3, seed=size)
    drawn = render2d(points, logit, extrinsics, size, up)
    for sample in range(2):
        for view in range(3):
            camera = extrinsics[sample, view].numpy()
            expected = naive(points[sample].T.numpy(), logit[sample].numpy(), camera, size, up)
            found = [one[sample, view].numpy() for one in drawn]
            # 1 / (1 / (z + 10)) - 10 loses three digits of sixteen
            np.testing.assert_allclose(found[0], expected[0], atol=1e-12)
            np.testing.assert_allclose(found[1], expected[1], atol=1e-13)
            np.testing.assert_array_equal(found[2], expected[2])
    assert (drawn.collision > 1).any()
    assert (drawn.collision == 0).any()


def test_single_precision_draws_the_same() -> None:
    points, logit = cloud_of(ell(), 32)
    extrinsics = novel(1, 4)
    exact = render2d(points, logit, extrinsics, 32)
    drawn = render2d(points.float(), logit.float(), extrinsics.float(), 32)
    same = drawn.collision == exact.collision  # but for points on the border of two cells
    assert same.float().mean() > 0.995
    apart = (drawn.depth - exact.depth).abs()[same & (exact.collision == 1)]
    # 1e-9 in an inverse depth of 0.09 is 1e-7 in the depth; cells may change hands, too
    assert apart.quantile(0.99) < 5e-6


# --- drawing, by hand


def drawn_from_the_front(points, logit, size: int = 2, up: int = 5):
    """The front camera shows x to the right, -z downwards; its depth is 1 + y."""
    cloud = torch.tensor(points, dtype=torch.float64).T[None]
    told = torch.tensor(logit, dtype=torch.float64)[None]
    return [one[0, 0] for one in render2d(cloud, told, FRONT, size, up)]


def test_points_in_one_cell_collide_and_their_sum_is_no_depth() -> None:
    # Upper left pixel: two points in one cell. Upper right: two in cells of their own.
    points = [[-0.25, 0.1, 0.25], [-0.25, 0.3, 0.25], [0.15, 0.2, 0.25], [0.35, -0.2, 0.25]]
    depth, mask, collision = drawn_from_the_front(points, [1.0, 2.0, 3.0, 4.0])
    assert collision.tolist() == [[2, 1], [0, 0]]
    assert depth[0, 0].item() == pytest.approx(1 / (1 / 11.1 + 1 / 11.3) - 10, abs=1e-5)
    assert depth[0, 1].item() == pytest.approx(0.8, abs=1e-5)  # the nearer one
    assert mask.tolist() == [[3.0, 4.0], [-1.0, -1.0]]
    assert depth[1].tolist() == [0, 0]


def test_the_mask_knows_invisible_points_where_nothing_is_seen() -> None:
    points = [[-0.25, 0, 0.25], [-0.2, 0, 0.2], [0.25, 0, 0.25], [0.25, 0.1, 0.25]]
    _, mask, collision = drawn_from_the_front(points, [-2.0, -3.0, -7.0, 0.5])
    assert collision.tolist() == [[0, 1], [0, 0]]
    assert mask.tolist() == [[-5 / 25, 0.5], [EMPTY_LOGIT, EMPTY_LOGIT]]


def test_a_pixel_shows_what_lies_within_it_and_nothing_else() -> None:
    """The lower corner belongs to it, the upper one to the next; no half pixel to the side."""
    inside = 0.5 - 1e-9
    for u, v, pixel in [
        (0.0, 0.0, (0, 0)),
        (inside, inside, (0, 0)),
        (0.5, inside, (0, 1)),
        (inside, 0.5, (1, 0)),
        (1 - 1e-9, 1 - 1e-9, (1, 1)),
    ]:
        _, _, collision = drawn_from_the_front([[u - 0.5, 0.0, 0.5 - v]], [1.0])
        assert collision[pixel] == 1
        assert collision.sum() == 1
    for u, v in [(-1e-9, 0.2), (1.0, 0.2), (0.2, -1e-9), (0.2, 1.0), (9.0, -9.0)]:
        _, _, collision = drawn_from_the_front([[u - 0.5, 0.0, 0.5 - v]], [1.0])
        assert collision.sum() == 0


def test_a_cloud_without_visible_points_is_drawn_as_nothing() -> None:
    points = torch.zeros(1, 3, 4, dtype=torch.float64, requires_grad=True)
    logit = torch.full((1, 4), -4.0, dtype=torch.float64, requires_grad=True)
    drawn = render2d(points, logit, FRONT, 3)
    assert drawn.collision.sum() == drawn.depth.abs().sum() == 0
    assert drawn.logit[0, 0].tolist() == [[-1, -1, -1], [-1, -16 / 25, -1], [-1, -1, -1]]
    (drawn.depth.sum() + drawn.logit.sum()).backward()
    assert points.grad.abs().sum() == 0
    assert logit.grad.tolist() == [[1 / 25] * 4]


def test_what_is_not_finite_reaches_the_depth() -> None:
    """And no index: a loss that is not finite is what the training stops on."""
    points = torch.zeros(1, 3, 2, dtype=torch.float64)
    points[0, 1, 0] = math.nan
    drawn = render2d(points, torch.ones(1, 2, dtype=torch.float64), FRONT, 3)
    assert drawn.depth.isnan().any()
    for far in (1e30, math.inf, -math.inf):
        points[0, :, 0] = far
        drawn = render2d(points.float(), torch.ones(1, 2), novel(1, 3).float(), 3)
        assert (drawn.collision[0].sum((1, 2)) == 1).all()  # the other point


# --- gradients


def test_gradients_are_those_of_differences() -> None:
    """In directions that keep points in their cells: along the axis of one camera."""
    generator = torch.Generator().manual_seed(3)
    points = torch.rand(2, 3, 40, generator=generator, dtype=torch.float64) * 0.8 - 0.4
    logit = torch.randn(2, 40, generator=generator, dtype=torch.float64) * 3
    logit = torch.where(logit.abs() < 0.1, 0.5, logit)  # none near to 0, where it would vanish
    extrinsics = novel(2, 1, seed=4)
    axis = extrinsics[:, 0, 2, :3, None]  # (B, 3, 1)
    weights = [torch.randn(2, 1, 6, 6, generator=generator).double() for _ in range(2)]

    def drawn(shift: torch.Tensor, logit: torch.Tensor) -> torch.Tensor:
        result = render2d(points + axis * shift[:, None], logit, extrinsics, 6, 3)
        alone = result.collision == 1
        return (weights[0] * result.depth * alone).sum() + (weights[1] * result.logit).sum()

    shift = torch.zeros(2, 40, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(drawn, (shift, logit.requires_grad_()), atol=1e-6)


def test_gradients_pass_through_both_to_the_maps() -> None:
    """Of each depth of the maps: it moves its point along its own camera's axis."""
    maps, logit = true_maps(ell(), FIXED, 24)
    maps.requires_grad_()
    points = fuse3d(maps, FIXED)
    extrinsics = novel(1, 2, seed=5)
    drawn = render2d(points, logit.flatten(1), extrinsics, 24)
    alone = drawn.collision == 1
    (drawn.depth * alone).sum().backward()
    grad = maps.grad[0]  # (V, 3, S, S)
    assert (grad[:, 2] != 0).sum() > 30
    # A pixel of camera k that shows a point of view v adds forward_k in the axes of v, and u and v
    # are in pixels.
    axes = torch.einsum("vij,kj->vki", FIXED[:, :, :3], extrinsics[0, :, 2, :3])  # (V, K, 3)
    axes = axes / torch.tensor([24.0, 24.0, 1.0])
    for known, found in zip(axes, grad.flatten(2).mT):
        found = found[found.abs().sum(1) > 0]  # (points, 3)
        possible = torch.cat([known, known.sum(0, keepdim=True)])  # seen by one camera, or by both
        apart = (found[:, None] - possible).abs().amax(2).amin(1)
        assert apart.max() < 1e-6  # EPSILON beside an inverse depth of 0.09


# --- novel views


def test_a_fused_cloud_looks_like_the_shape_from_elsewhere() -> None:
    """Depths are those of the rasteriser where one point fell, and the shape is nearly covered.

    Eight maps see most of the L from less than 55 degrees, so points lie less than two pixels apart
    along it; a pixel shows the nearest within it, which is up to half a pixel, times the slope,
    before its centre. Some eight points fall into the 25 cells of a pixel, near ones and far ones:
    few pixels are without a collision.
    """
    mesh, size = ell(), 64
    points, logit = cloud_of(mesh, size)
    extrinsics = novel(1, 6, seed=1)
    drawn = render2d(points, logit, extrinsics, size)
    truth = torch.from_numpy(depth_maps(mesh, extrinsics[0].numpy(), size))
    there, seen = truth > 0, drawn.collision[0] > 0
    assert (seen & there).sum() > 0.97 * there.sum()
    border = (there.float() - torch.nn.functional.avg_pool2d(there.float(), 3, 1, 1)) != 0
    assert not (seen & ~there & ~border).any()  # nothing beside the shape but on its edge
    alone = (drawn.collision[0] == 1) & there
    assert alone.sum() > 0.2 * there.sum()
    error = (drawn.depth[0] - truth)[alone]
    assert error.median().abs() < 0.5 / size
    assert (error.abs() < 2 / size).float().mean() > 0.9


def test_the_half_pixel_and_the_axes_matter() -> None:
    """With the public port's swapped axes, or its whole-numbered centres, the same cloud is off."""
    mesh, size = ell(), 64
    maps, logit = true_maps(mesh, FIXED, size)
    chosen = logit[0].flatten() > 0

    def off(changed: torch.Tensor) -> float:
        cloud = fuse3d(changed, FIXED)[0, :, chosen].T.numpy()
        return float(distances(cloud[::40], mesh, 2.0).mean())

    shifted = maps - torch.tensor([0.5, 0.5, 0.0])[:, None, None]
    swapped = maps[:, :, [1, 0, 2]]
    right = off(maps)
    assert right < 3e-7
    assert off(shifted) > 0.1 / size
    assert off(swapped) > 0.05

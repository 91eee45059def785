"""Fusing and pseudo-rendering, forward and backward, beside the public port's way of doing it.

    python -m benchmarks.pointcloud > benchmarks/pointcloud.csv

Batch 4, 8 fixed views of 128 pixels, 5 novel ones, 5 cells along a pixel, one thread; CPU time,
median and least of the rounds, methods taking turns. `port` is written here after the algorithm of
the public PyTorch port: homogeneous matrices, 640 x 640 canvases of every channel, points that fall
into a cell overwrite each other; `port, sums` adds them up as the original does, on the same
canvases. The clouds: a sphere that fills half of each map, a chair from the generator, and noise,
half of all points visible.
"""

from __future__ import annotations

import csv
import statistics
import sys
import time
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from stages.depths.zbuffer import depth_maps
from stages.geometry import cameras, orthographic
from stages.geometry.mesh import Mesh
from stages.geometry.splatting import fuse3d, render2d
from stages.shapes.generate import STAGE as GENERATE
from stages.stage import Item

BATCH, FIXED, NOVEL, SIZE, UP = 4, 8, 5, 128, 5
ROUNDS = 9
CAMERAS = torch.from_numpy(cameras.extrinsics(orthographic.fixed_viewpoints(FIXED))).float()


def port_lens(side: int) -> Tensor:
    """(4, 4): pixels of a picture of so many, and depths, of the camera's coordinates."""
    lens = torch.eye(4)
    lens[0, 0] = lens[1, 1] = side
    lens[:2, 3] = side / 2
    return lens


def port_fuse(maps: Tensor) -> Tensor:
    """(B, 4, N) homogeneous world points, a view after the other."""
    back = torch.linalg.inv(port_lens(SIZE))
    points = []
    for view in range(FIXED):
        camera = torch.eye(4)
        camera[:3] = CAMERAS[view]
        flat = maps[:, view].flatten(2)  # (B, 3, S S)
        homogeneous = torch.cat([flat, torch.ones_like(flat[:, :1])], 1)
        points.append(torch.linalg.inv(camera) @ back @ homogeneous)
    return torch.cat(points, 2)


def port_render(
    points: Tensor, logit: Tensor, extrinsics: Tensor, accumulate: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Depth, mask logit and collision (B, K, S, S)."""
    batch, views = extrinsics.shape[:2]
    side = SIZE * UP
    full = torch.eye(4).repeat(batch, views, 1, 1)
    full[:, :, :3] = extrinsics
    seen = port_lens(side) @ full @ points[:, None]  # (B, K, 4, N)
    column, row = seen[:, :, 0].floor().long(), seen[:, :, 1].floor().long()
    inside = (column >= 0) & (column < side) & (row >= 0) & (row < side)
    told = logit[:, None].expand(-1, views, -1)
    sample = torch.arange(batch)[:, None, None].expand_as(column)
    view = torch.arange(views)[None, :, None].expand_as(column)
    inverse = 1 / (seen[:, :, 2] + 10)
    canvases = []
    for where, values in (
        (inside & (told > 0), (inverse, told, torch.ones_like(told))),
        (inside & (told <= 0), (told,)),
    ):
        index = sample[where], view[where], row[where], column[where]
        for value in values:
            canvas = torch.zeros(batch, views, side, side)
            canvases.append(canvas.index_put(index, value[where], accumulate=accumulate))
    pooled = [F.max_pool2d(canvas, UP) for canvas in canvases[:3]]
    hidden = F.avg_pool2d(canvases[3], UP)
    mask = torch.where(pooled[1] > 0, pooled[1], torch.where(hidden < 0, hidden, -1.0))
    return 1 / (pooled[0] + 1e-8) - 10, mask, pooled[2]


def port(maps: Tensor, logit: Tensor, extrinsics: Tensor, accumulate: bool = False) -> Tensor:
    """The losses of the second part of the training."""
    return _losses(*port_render(port_fuse(maps), logit.flatten(1), extrinsics, accumulate))


def ours(maps: Tensor, logit: Tensor, extrinsics: Tensor) -> Tensor:
    """The same by `stages.geometry.splatting`."""
    points = fuse3d(maps, CAMERAS)
    return _losses(*render2d(points, logit.flatten(1), extrinsics, SIZE, UP))


def _losses(depth: Tensor, mask: Tensor, collision: Tensor) -> Tensor:
    alone = collision == 1
    apart = torch.where(alone, (depth - 1).abs(), 0).sum()
    return apart + F.binary_cross_entropy_with_logits(mask, torch.zeros_like(mask), reduction="sum")


METHODS: dict[str, Callable[..., Tensor]] = {
    "ours": ours,
    "port": port,
    "port, sums": lambda *args: port(*args, accumulate=True),
}


def clouds() -> dict[str, tuple[Tensor, Tensor]]:
    """Maps (B, V, 3, S, S) and logits (B, V, S, S) by name."""
    generator = torch.Generator().manual_seed(0)
    steps = (torch.arange(SIZE) + 0.5) / SIZE - 0.5
    square = 0.4**2 - steps**2 - steps[:, None] ** 2
    sphere = torch.where(square > 0, 1 - square.clamp(min=0).sqrt(), 0).expand(FIXED, -1, -1)
    made = GENERATE.process(
        Item("chair/generated-0000", {}, {"category": "chair"}),
        GENERATE.params(),
        np.random.default_rng(0),
    )
    chair = torch.from_numpy(depth_maps(Mesh.from_arrays(made), CAMERAS.numpy(), SIZE))
    noise = torch.rand(FIXED, SIZE, SIZE, generator=generator) + 0.5
    found = {}
    for name, depth in (("sphere", sphere), ("chair", chair), ("noise", noise)):
        centres = torch.arange(SIZE) + 0.5
        maps = torch.stack([centres.expand_as(depth), centres[:, None].expand_as(depth), depth], 1)
        shape = (BATCH, *maps.shape)
        maps = maps + 0.01 * torch.randn(shape, generator=generator)
        logit = torch.where(depth > 0, 3.0, -3.0).expand(BATCH, -1, -1, -1)
        if name == "noise":
            logit = torch.randn(logit.shape, generator=generator)
        found[name] = (maps, logit + 0.1 * torch.randn(logit.shape, generator=generator))
    return found


def step(method: Callable[..., Tensor], maps: Tensor, logit: Tensor, extrinsics: Tensor) -> float:
    """CPU seconds of one forward and backward pass."""
    maps, logit = maps.detach().requires_grad_(), logit.detach().requires_grad_()
    start = time.process_time()
    method(maps, logit, extrinsics).backward()
    return time.process_time() - start


def main() -> None:
    torch.set_num_threads(1)
    viewpoints = orthographic.random_viewpoints(BATCH * NOVEL, np.random.default_rng(0))
    extrinsics = torch.from_numpy(cameras.extrinsics(viewpoints)).float()
    extrinsics = extrinsics.view(BATCH, NOVEL, 3, 4)
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(("cloud", "visible", "method", "cpu_s_median", "cpu_s_least", "ratio_to_port"))
    for cloud, (maps, logit) in clouds().items():
        times: dict[str, list[float]] = {name: [] for name in METHODS}
        for _ in range(ROUNDS + 1):  # the first one warms up
            for name, method in METHODS.items():
                times[name].append(step(method, maps, logit, extrinsics))
        medians = {name: statistics.median(taken[1:]) for name, taken in times.items()}
        for name, taken in times.items():
            numbers = (medians[name], min(taken[1:]), medians[name] / medians["port"])
            visible = f"{(logit > 0).float().mean():.3f}"
            writer.writerow((cloud, visible, name, *(f"{number:.3f}" for number in numbers)))


if __name__ == "__main__":
    main()

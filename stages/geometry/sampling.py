"""Differentiable trilinear sampling of voxel grids, along rays and on turned grids.

Grids are `[x, y, z]`; the centre of voxel i is at `(i + 0.5) / res * EXTENT + ORIGIN`, that is, the
grid covers the cube [-0.5, 0.5]^3 of the world, in which a centred unit-diagonal shape stays under
any rotation (it lies in the ball of diameter 1). This is `align_corners=False`; the sampler
of Tulsiani et al. (2018) stretches their grids by 32/31 instead. Outside the grid there is nothing:
values fade to zero over half a voxel.

Letters: B batch, K rotations of one grid, H W picture, N samples on a ray, P points, R rays.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from stages.geometry import cameras

ORIGIN = -0.5
EXTENT = 1.0
# A full voxel lets this share of a ray through, so that the logarithm stays finite.
LEAK = 1e-6


@dataclass(frozen=True)
class Rays:
    """The rays of a pinhole camera: one through the centre of each pixel of a square picture.

    Sample i of N lies at depth near + (far - near) i / N, 1 <= i <= N: the printed d_i = i / N
    stretched over the depths that an object at `distance` can take.
    """

    size: int = 48  # pixels
    samples: int = 64  # N
    focal: float = cameras.FOCAL  # image widths
    distance: float = cameras.DISTANCE  # world units, as near and far
    near: float = cameras.DISTANCE - 1
    far: float = cameras.DISTANCE + 1

    def directions(self, like: torch.Tensor) -> torch.Tensor:
        """(H*W, 3) ray directions ((u - u0)/f, (v - v0)/f, 1) in the camera frame, row by row."""
        centre = torch.arange(self.size, dtype=like.dtype, device=like.device) + 0.5
        slope = (centre / self.size - 0.5) / self.focal
        v, u = torch.meshgrid(slope, slope, indexing="ij")
        return torch.stack([u, v, torch.ones_like(u)], -1).reshape(-1, 3)

    def depths(self, like: torch.Tensor) -> torch.Tensor:
        """(N,) depths of the samples."""
        count = torch.arange(1, self.samples + 1, dtype=like.dtype, device=like.device)
        return self.near + (self.far - self.near) * count / self.samples


def trilinear(grid: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
    """(B, P) values of grids (B, X, Y, Z) at world points (B, P, 3); zero outside."""
    # grid_sample wants coordinates in -1..1 with the fastest array axis first: z, y, x.
    place = ((points - ORIGIN) * (2 / EXTENT) - 1).flip(-1)[:, None, None]  # (B, 1, 1, P, 3)
    return F.grid_sample(grid[:, None], place, align_corners=False)[:, 0, 0, 0]


def ray_occupancy(grid: torch.Tensor, rotation: torch.Tensor, rays: Rays) -> torch.Tensor:
    """(B, H, W, N) occupancy of grids (B, X, Y, Z) along rays: equation 1 of the pose-aware paper.

    `rotation` (B, 3, 3) is world-to-camera, so that a point of camera coordinates l is the world
    point R^T (l - t), t = (0, 0, distance); the paper's R is the inverse.
    """
    along = rays.directions(grid)[:, None] * rays.depths(grid)[:, None]  # (H*W, N, 3)
    centred = along - along.new_tensor([0, 0, rays.distance])
    points = centred.reshape(1, -1, 3) @ rotation  # rows: (R^T p)^T = p^T R
    values = trilinear(grid, points)
    return values.reshape(len(grid), rays.size, rays.size, rays.samples)


def penetration(grid: torch.Tensor, rotation: torch.Tensor, rays: Rays) -> torch.Tensor:
    """(B, K, H, W) share of each ray that passes grids (B, X, Y, Z) under K poses (B, K, 3, 3).

    Equation 3 with its index corrected: prod_j (1 - y_j) over all samples of `ray_occupancy`.
    Only the samples inside the box around the occupied voxels are visited, for airplanes a tenth of
    all; the others are exactly zero. A grid that requires a gradient counts as occupied throughout.
    """
    batch, poses = rotation.shape[:2]
    directions = (rays.directions(grid) @ rotation).flatten(0, 2)  # (R, 3), R = B*K*H*W
    origins = (-rays.distance * rotation[:, :, 2]).flatten(0, 1)  # (B*K, 3): R^T (-t)
    per_pose = rays.size**2
    with torch.no_grad():
        occupied = torch.ones_like(grid) if grid.requires_grad else grid
        box = _support(occupied).repeat_interleave(poses * per_pose, 0)  # (R, 2, 3)
        eye = origins.repeat_interleave(per_pose, 0)
        ray, sample = _samples_within(box, eye, directions, rays)
    depth = rays.depths(grid)[sample]
    points = directions[ray] * depth[:, None] + origins[ray // per_pose]  # (P, 3)
    values = _sample_stacked(grid, points, ray // (per_pose * poses))
    passed = torch.log1p(values * (LEAK - 1))
    total = passed.new_zeros(len(directions)).index_add(0, ray, passed)
    return total.exp().reshape(batch, poses, rays.size, rays.size)


def rotate_voxels(grid: torch.Tensor, rotation: torch.Tensor, size: int = 48) -> torch.Tensor:
    """(B, size, size, size) pose-aware voxels of grids (B, X, Y, Z): equation 7.

    The axes of the result are those of the camera (x right, y down, z forward), centred on the
    object, over the same cube [-0.5, 0.5]^3; `rotation` (B, 3, 3) is world-to-camera.
    """
    centre = (torch.arange(size, dtype=grid.dtype, device=grid.device) + 0.5) / size
    axis = centre * EXTENT + ORIGIN
    points = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(1, -1, 3)
    return trilinear(grid, points @ rotation).reshape(-1, size, size, size)


def _support(grid: torch.Tensor) -> torch.Tensor:
    """(B, 2, 3) world boxes outside which the trilinear interpolant of each grid is zero."""
    edges = []
    for axis in (1, 2, 3):
        others = [a for a in (1, 2, 3) if a != axis]
        used = (grid != 0).any(others[1]).any(others[0])  # (B, size)
        size = used.shape[1]
        index = torch.arange(size, device=grid.device).expand_as(used)
        low = torch.where(used, index, size).amin(1) - 0.5  # one voxel before the first centre
        high = torch.where(used, index, -1).amax(1) + 1.5
        edges.append(torch.stack([low, high], 1) * (EXTENT / size) + ORIGIN)
    return torch.stack(edges, -1).to(grid.dtype)


def _samples_within(
    box: torch.Tensor, eye: torch.Tensor, directions: torch.Tensor, rays: Rays
) -> tuple[torch.Tensor, torch.Tensor]:
    """Ray (P,) and sample (P,) numbers of the samples inside boxes (R, 2, 3), ray by ray."""
    safe = torch.where(directions.abs() < 1e-12, 1e-12, directions)
    ends = (box - eye[:, None]) / safe[:, None]  # (R, 2, 3) depths where the slabs are crossed
    enter, leave = ends.amin(1).amax(1), ends.amax(1).amin(1)
    step = (rays.far - rays.near) / rays.samples
    # Rounding may drop or add a sample at the very border of the box, where the value is zero.
    first = ((enter - rays.near) / step - 1).ceil().clamp(0, rays.samples).long()
    last = ((leave - rays.near) / step).floor().clamp(0, rays.samples).long()
    count = torch.where(enter < leave, last - first, 0).clamp(min=0)
    ray = torch.repeat_interleave(count)
    start = count.cumsum(0) - count
    sample = torch.arange(len(ray), device=ray.device) - (start - first)[ray]
    return ray, sample


def _sample_stacked(grid: torch.Tensor, points: torch.Tensor, owner: torch.Tensor) -> torch.Tensor:
    """(P,) values of grid number `owner` (P,) at points (P, 3), as one call on stacked grids."""
    size = grid.shape[1]
    stack = F.pad(grid, (0, 0, 0, 0, 0, 1)).flatten(0, 1)  # an empty layer keeps them apart
    x = (points[:, 0] - ORIGIN) / EXTENT * size  # in voxels, edges whole
    x = x.clamp(-0.5, size + 0.5) + owner * (size + 1)  # further out, another grid would be met
    place = torch.cat(
        [
            ((points[:, 1:] - ORIGIN) * (2 / EXTENT) - 1).flip(-1),
            (x * (2 / len(stack)) - 1)[:, None],
        ],
        1,
    )
    return F.grid_sample(stack[None, None], place[None, None, None], align_corners=False).flatten()

"""The rotation that brings two functions on the sphere together, found between grid points.

The highest, well separated points of the correlation's grid are starts for Newton's method on
SO(3). It works in the chart omega -> exp([omega]) R around the current R, smooth everywhere (Euler
angles are not, at beta = 0 and pi), with exact first and second derivatives:

    d_j corr = <f, L_j h>,  d_j d_k corr = <f, (L_j L_k + L_k L_j) / 2 h>,  h = Lambda_R g,

L the generators of `stages.sphere.rotation`. They are antisymmetric, so L f and L L f are computed
once and every step is one rotation of g and one product.

Letters: b batch, S starts, C channels, L degrees.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from stages.geometry.rotations import about_z, exponential
from stages.sphere import checks
from stages.sphere.correlation import (
    check_pair,
    correlate,
    grid_rotations,
    inner,
    rotation_at,
    without_mean,
)
from stages.sphere.rotation import generators, rotate_coefficients
from stages.sphere.tables import table

BANDWIDTH = 32  # a grid of 64^3, as in the paper
STARTS = 4
PART = 16  # pairs at a time: a volume of bandwidth 32 is a megabyte
STEPS = 30  # five are usual
LONGEST = 0.2  # radians, of one step


@dataclass(frozen=True)
class Alignment:
    """What `align` found for each pair."""

    rotation: torch.Tensor  # (..., 3, 3) R with f(x) = g(R^-1 x) as nearly as can be
    score: torch.Tensor  # (...) correlation coefficient of f and Lambda_R g, at most 1


@torch.no_grad()
def align(
    f: torch.Tensor, g: torch.Tensor, bandwidth: int = BANDWIDTH, starts: int = STARTS
) -> Alignment:
    """The rotation between coefficients f and g (..., C, L, L), of the same leading axes.

    The grid is (2 bandwidth)^3 points; from its `starts` best ones, Newton's method goes uphill,
    and the best end is the answer. 0 starts: the best grid point itself. Degree 0 plays no part.
    A pair without any other degree has no best rotation: its score is 0.
    Raises InputError for tensors that are no such coefficients or contain NaN.
    """
    check_pair(f, g)
    for values in (f, g):
        checks.finite(torch.view_as_real(values.resolve_conj()), "the coefficients")
    f, g = torch.broadcast_tensors(without_mean(f), without_mean(g))
    lead = f.shape[:-3]
    f, g = (c.reshape(-1, *c.shape[-3:]) for c in (f, g))  # (b, C, L, L)
    found = [_align(*part, bandwidth, starts) for part in zip(f.split(PART), g.split(PART))]
    rotation, value = (torch.cat(parts) for parts in zip(*found))
    length = torch.sqrt(inner(f, f).sum(-1) * inner(g, g).sum(-1))
    score = value / length.clamp_min(torch.finfo(length.dtype).tiny)
    return Alignment(rotation.view(*lead, 3, 3), score.view(lead))


def unshift(rotation: torch.Tensor, longitude: float) -> torch.Tensor:
    """(..., 3, 3) R between functions, of what was found between maps whose first sample is not at
    longitude 0, but at `longitude` radians: such maps are turned by -longitude about z.

    2 x 2 pooling from N x N to n x n samples (`area_pool` with centred=False) leaves the first at
    (2 pi / n) (1/2 - n/(2N)), 8.4 degrees from 64 to 16.
    """
    shift = rotation.new_tensor(longitude)
    return about_z(shift) @ rotation @ about_z(-shift)


def _align(
    f: torch.Tensor, g: torch.Tensor, bandwidth: int, starts: int
) -> tuple[torch.Tensor, torch.Tensor]:
    volume = correlate(f, g, bandwidth).flatten(-3)
    if starts == 0:
        value, index = volume.max(-1)
        return rotation_at(index, bandwidth, volume.dtype), value
    rotations, values = refine(f, g, separate_peaks(volume, bandwidth, starts))
    best, index = values.max(-1)
    return rotations[torch.arange(len(f), device=f.device), index], best


def separate_peaks(volume: torch.Tensor, bandwidth: int, count: int) -> torch.Tensor:
    """(b, count, 3, 3) rotations of the highest points of (b, N^3) volumes, one cell apart.

    Two of them differ by at least the grid's coarsest step twice, 4 pi / N: not by the
    Euler angles, many of which mean the same rotation.
    """
    every = _flat_rotations(bandwidth, like=volume)  # (9, N^3)
    nearer = 1 + 2 * np.cos(2 * np.pi / bandwidth)  # trace of the rotation between them
    found = []
    for _ in range(count):
        rotation = rotation_at(volume.max(-1).indices, bandwidth, volume.dtype)
        found.append(rotation)
        volume = volume.masked_fill(rotation.flatten(-2) @ every > nearer, -torch.inf)
    return torch.stack(found, 1)


def refine(
    f: torch.Tensor, g: torch.Tensor, rotations: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Local maxima (b, S, 3, 3) of the correlation of (b, C, L, L) uphill from starts, and values.

    Newton's method with a trust radius: a step that does not climb is taken back and shortened.
    """
    jet = _jet(f)  # (b, 10, C L L 2)

    def look(rotations: torch.Tensor) -> torch.Tensor:  # value, slope and curvature (b, S, 10)
        turned = rotate_coefficients(g[:, None], rotations[:, :, None])
        return torch.view_as_real(turned.contiguous()).flatten(2) @ jet.mT

    noise = 64 * torch.finfo(jet.dtype).eps
    here = look(rotations)
    radius = torch.full_like(here[..., 0], LONGEST / 2)
    for _ in range(STEPS):
        omega = _newton_step(here, radius)
        tried = exponential(omega) @ rotations
        there = look(tried)
        climbs = there[..., 0] >= here[..., 0] - noise * here[..., 0].abs()
        rotations = torch.where(climbs[..., None, None], tried, rotations)
        here = torch.where(climbs[..., None], there, here)
        radius = torch.where(climbs, 2 * radius, radius / 4).clamp_max(LONGEST)
        # Newton's error is squared by each step: below this it is at the last digit.
        if bool((torch.linalg.norm(omega, dim=-1) < noise**0.5).all()):
            break
    return rotations, here[..., 0]


def _jet(f: torch.Tensor) -> torch.Tensor:
    """(b, 10, C L L 2) f, -L_j f and (L_j L_k + L_k L_j)/2 f, as weights for `inner` products."""
    first = generators(f)  # (3, b, C, L, L)
    second = torch.stack([generators(part) for part in first])  # [j, k] is L_k L_j f
    pairs = [(second[j, k] + second[k, j]) / 2 for j in range(3) for k in range(j, 3)]
    jet = torch.view_as_real(torch.stack([f, *-first, *pairs], 1).contiguous())
    folds = torch.full_like(jet[0, 0, 0, 0, :, 0], 2)
    folds[0] = 1
    return (jet * folds[:, None]).flatten(2)


def _newton_step(look: torch.Tensor, radius: torch.Tensor) -> torch.Tensor:
    """(..., 3) step uphill from slope and curvature (..., 10), at most `radius` (...) long."""
    curvature = look[..., [4, 5, 6, 5, 7, 8, 6, 8, 9]].unflatten(-1, (3, 3))
    bends, axes = torch.linalg.eigh(curvature)
    # Where the function curves up, or not at all, Newton would go downhill, or far away.
    bends = bends.abs().clamp_min(1e-3 * bends.abs().amax(-1, keepdim=True)).clamp_min(1e-30)
    step = (axes @ ((axes.mT @ look[..., 1:4, None]) / bends[..., None]))[..., 0]
    length = torch.linalg.norm(step, dim=-1).clamp_min(1e-30)
    return step * (radius / length).clamp_max(1)[..., None]


@table
def _flat_rotations(bandwidth: int) -> np.ndarray:
    """(9, N^3) elements of the rotations of the grid."""
    return np.ascontiguousarray(grid_rotations(bandwidth).reshape(-1, 9).T)

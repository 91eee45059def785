"""Skeletons from 2D keypoints by optimisation: the convex relaxation (Zhou et al. 2015).

Under weak perspective W = R_2 sum_k c_k B_k + T, with R_2 the first two rows of a rotation. Put M_k
for c_k R_2, whose spectral norm is |c_k|:

    min  1/2 |(W - sum_k M_k B_k - T) D^1/2|^2 + weight sum_k |M_k|_2

is convex, and solved by ADMM; rank one and a rotation are then imposed. Everything is done for a
batch at once. Letters: S skeletons, N keypoints, K bases. W and B are centred and scaled before
`weight` means anything: keypoints have a mean distance of 1 from their mean.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

WEIGHT = 1.0
_MOST = 1000  # iterations
_TOLERANCE = 1e-3  # of primal and dual residual, relative
_UNBALANCED = 10.0  # residuals so far apart change the penalty by 2
_LITTLE = 1e-9
_LEAST_SIZE = 1e-3  # of keypoints of which none is seen
_MOST_PENALTY = 1e9


class Weak(NamedTuple):
    """Skeletons under weak perspective."""

    alpha: np.ndarray  # (S, K), in pixels: the scale is in it
    rotation: np.ndarray  # (S, 3, 3)
    translation: np.ndarray  # (S, 2) pixels


def relax(
    keypoints: np.ndarray, seen: np.ndarray, bases: np.ndarray, weight: float = WEIGHT
) -> Weak:
    """The skeletons of keypoints (S, N, 2), pixels, weighted by `seen` (S, N), 0 to 1.

    bases: (K, N, 3). With `weight` 0 and exact keypoints of a single base the answer is exact.
    """
    points, middle, size = _normalised(keypoints, seen)
    unit = _mean_distance(bases[:1], np.ones((1, bases.shape[1])))[0]
    shapes, shape_middle = _centred_bases(bases / unit, seen)  # (S, K, N, 3), (S, K, 3)
    blocks = _admm(points, shapes, seen, weight)  # (S, K, 2, 3)
    alpha, rows = _synchronised(blocks)
    alpha = alpha * size[:, None] / unit
    rotation = np.concatenate([rows, np.cross(rows[:, 0], rows[:, 1])[:, None]], 1)
    # W's mean is that of the projected shape: T is what is left of it
    shift = np.einsum("sij,sk,skj->si", rows, alpha, shape_middle * unit)
    return Weak(alpha, rotation, middle - shift)


def spectral_prox(blocks: np.ndarray, limit: np.ndarray) -> np.ndarray:
    """(..., 2, 3) minimisers of 1/2 |X - blocks|^2 + limit |X|_2, `limit` (...).

    Singular values are what is left of them after the projection onto the l1 ball of that radius:
    the greater one is brought down, and from where they meet both are.
    """
    gram = blocks @ np.swapaxes(blocks, -1, -2)  # (..., 2, 2) symmetric
    half = (gram[..., 0, 0] + gram[..., 1, 1]) / 2
    apart = (gram[..., 0, 0] - gram[..., 1, 1]) / 2
    radius = np.hypot(apart, gram[..., 0, 1])
    first = np.sqrt(np.maximum(half + radius, 0))
    second = np.sqrt(np.maximum(half - radius, 0))
    both = (first + second - limit) / 2
    meets = first - second <= limit
    new_first = np.where(meets, np.maximum(both, 0), first - limit)
    new_second = np.where(meets, np.maximum(both, 0), second)
    # f(M M^T) M with f through the two eigenvalues: (p + q (gram - half)) M
    keep_first = new_first / np.maximum(first, _LITTLE)
    keep_second = np.where(second > _LITTLE, new_second / np.maximum(second, _LITTLE), 0)
    mean, slope = (keep_first + keep_second) / 2, (keep_first - keep_second) / 2
    slope = np.where(radius > _LITTLE, slope / np.maximum(radius, _LITTLE), 0)
    centred = gram - half[..., None, None] * np.eye(2)
    return (mean[..., None, None] * np.eye(2) + slope[..., None, None] * centred) @ blocks


def _admm(points: np.ndarray, shapes: np.ndarray, seen: np.ndarray, weight: float) -> np.ndarray:
    """(S, K, 2, 3) blocks M_k of centred points (S, N, 2) and bases (S, K, N, 3)."""
    count, bases = shapes.shape[:2]
    flat = shapes.transpose(0, 1, 3, 2).reshape(count, 3 * bases, -1)  # (S, 3K, N)
    weighted = flat * seen[:, None]
    # (B D B^T + mu)^-1 for any mu: by its eigenvectors
    values, vectors = np.linalg.eigh(weighted @ flat.transpose(0, 2, 1))
    target = points.transpose(0, 2, 1) @ weighted.transpose(0, 2, 1)  # (S, 2, 3K)
    mu = 1 / np.maximum(np.abs(points).mean((1, 2)), _LEAST_SIZE)
    blocks = np.zeros((count, 2, 3 * bases))
    dual = np.zeros_like(blocks)
    for _ in range(_MOST):
        before = blocks
        right = (target + mu[:, None, None] * blocks + dual) @ vectors
        inner = right / (np.maximum(values, 0) + mu[:, None])[:, None] @ vectors.transpose(0, 2, 1)
        shifted = _split(inner - dual / mu[:, None, None], bases)
        blocks = _joined(spectral_prox(shifted, (weight / mu)[:, None]))
        dual = dual + mu[:, None, None] * (blocks - inner)
        primal = np.linalg.norm(blocks - inner, axis=(1, 2))
        step = mu * np.linalg.norm(blocks - before, axis=(1, 2))
        size = np.maximum(np.linalg.norm(inner, axis=(1, 2)), _LITTLE)
        change = np.maximum(np.linalg.norm(dual, axis=(1, 2)), _LITTLE)
        if (primal < _TOLERANCE * size).all() and (step < _TOLERANCE * change).all():
            break
        mu = np.where(primal > _UNBALANCED * step, 2 * mu, mu)
        mu = np.where(step > _UNBALANCED * primal, mu / 2, mu)
        mu = np.clip(mu, 1 / _MOST_PENALTY, _MOST_PENALTY)
    return _split(blocks, bases)


def _split(flat: np.ndarray, bases: int) -> np.ndarray:
    """(S, 2, 3K) as (S, K, 2, 3)."""
    return flat.reshape(len(flat), 2, bases, 3).transpose(0, 2, 1, 3)


def _joined(blocks: np.ndarray) -> np.ndarray:
    """(S, K, 2, 3) as (S, 2, 3K)."""
    return blocks.transpose(0, 2, 1, 3).reshape(len(blocks), 2, -1)


def _synchronised(blocks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weights (S, K) and orthonormal rows (S, 2, 3) of the rank one nearest to M_k = c_k R_2.

    The sign is that which gives the mean shape a positive weight.
    """
    count, bases = blocks.shape[:2]
    left, size, right = np.linalg.svd(blocks.reshape(count, bases, 6), full_matrices=False)
    alpha, rows = left[:, :, 0] * size[:, :1], right[:, 0].reshape(count, 2, 3)
    sign = np.where(alpha[:, :1] < 0, -1.0, 1.0)
    alpha, rows = alpha * sign, rows * sign[..., None]
    u, stretch, v = np.linalg.svd(rows, full_matrices=False)
    return alpha * stretch.mean(1, keepdims=True), u @ v


def _normalised(
    keypoints: np.ndarray, seen: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Centred and scaled (S, N, 2), their means (S, 2) and sizes (S,) before, of those seen."""
    total = np.maximum(seen.sum(1), _LITTLE)
    middle = (keypoints * seen[..., None]).sum(1) / total[:, None]
    size = _mean_distance(keypoints, seen)
    return (keypoints - middle[:, None]) / size[:, None, None], middle, size


def _mean_distance(points: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """(S,) mean distance of points (S, N, D) from their mean, weighted; 1 where there is none."""
    total = np.maximum(seen.sum(1), _LITTLE)
    middle = (points * seen[..., None]).sum(1) / total[:, None]
    away = np.linalg.norm(points - middle[:, None], axis=-1)
    size = (away * seen).sum(1) / total
    return np.where(size > _LITTLE, size, 1.0)


def _centred_bases(bases: np.ndarray, seen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(S, K, N, 3) bases less their means over what is seen, and these means (S, K, 3)."""
    total = np.maximum(seen.sum(1), _LITTLE)
    middle = np.einsum("sn,knj->skj", seen, bases) / total[:, None, None]
    return bases[None] - middle[:, :, None], middle

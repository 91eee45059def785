"""Skeletons from 2D keypoints by optimisation, as 3D-INN's baseline does it (section 4.2).

Three stages: the convex relaxation under weak perspective (`relaxation`), then weights and rotation
in turn, then a refinement of all parameters under perspective. The last one minimises

    sum_n seen_n |X_n - W_n|^2 + ridge sum_k ((alpha_k - alpha_1 middle_k) / (alpha_1 width_k))^2

with X of equation 1 and the ranges of the template, alpha_1 in the ridge at its mean, by
Levenberg-Marquardt rather than plain gradient descent, which ends in the same minimum. Weak
perspective cannot tell a shape from the one that is mirrored in depth, and of few keypoints the
relaxation is not tight: the last two stages start from mirrored and from turned skeletons as well,
and the least of that sum is the answer, the ridge then counting in full, for with negative weights
a chair turned by half projects as exactly. That is more than the paper's baseline does, which has
one start. 1 / f stays within the ranges of the template.
Letters: S skeletons, N keypoints, K bases, P = K + 6 parameters.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from stages.geometry.rotations import about_y, exponential
from stages.skeletons.projection import HEIGHT, LEAST_DIVISOR, WIDTH, combine, project
from stages.skeletons.relaxation import WEIGHT, Weak, relax
from stages.skeletons.template import Ranges, Template

RIDGE = 1.0  # square pixels
_TURNS = 10  # of the alternation
_STEPS = 60  # of the refinement
_FLIP = np.diag([1.0, 1.0, -1.0])  # depth mirrored
# Left and right, or front and back of the object exchanged besides.
_MIRRORS = (np.diag([-1.0, 1.0, 1.0]), np.diag([1.0, 1.0, -1.0]))
_QUARTERS = (90, 180, 270)  # degrees about the upright axis
_CENTRE = np.array([WIDTH / 2, HEIGHT / 2])
_LEAST_RIDGE = 1e-6  # so that what nothing is known of has a solution
_FREE = 0.03  # share of the ridge's root that alpha_1 has


class Solution(NamedTuple):
    """S skeletons found from their keypoints."""

    alpha: np.ndarray  # (S, K)
    rotation: np.ndarray  # (S, 3, 3)
    translation: np.ndarray  # (S, 2) pixels
    inverse_focal: np.ndarray  # (S,)
    points: np.ndarray  # (S, N, 3) skeleton frame
    keypoints: np.ndarray  # (S, N, 2) pixels, projected
    error: np.ndarray  # (S,) root mean squared distance from what was given, pixels


def solve(
    keypoints: np.ndarray,
    seen: np.ndarray,
    template: Template,
    ranges: Ranges,
    ridge: float = RIDGE,
    weight: float = WEIGHT,
) -> Solution:
    """The skeletons of keypoints (S, N, 2), pixels of 240 x 320, weighted by `seen` (S, N)."""
    keypoints, seen = np.asarray(keypoints, np.float64), np.asarray(seen, np.float64)
    keypoints = np.where(seen[..., None] > 0, keypoints, 0)
    problem = _Problem(keypoints, seen, template.bases, _prior(ranges), ridge, ranges.focal)
    first = relax(keypoints - _CENTRE, seen, template.bases, weight)
    turned = [_FLIP @ first.rotation @ mirror for mirror in _MIRRORS]
    turned += [first.rotation @ about_y(np.radians(angle)) for angle in _QUARTERS]
    starts = [first, *(first._replace(rotation=one) for one in turned)]
    found = [refine(problem, alternate(problem, start)) for start in starts]
    full = problem._replace(ridge=max(ridge, RIDGE))
    costs = [_cost(full, (s.alpha, s.rotation, s.translation, s.inverse_focal)) for s in found]
    best, row = np.argmin(costs, 0), np.arange(len(keypoints))  # (S,)
    return Solution(*(np.stack(arrays)[best, row] for arrays in zip(*found)))


class _Problem(NamedTuple):
    """What is given."""

    keypoints: np.ndarray  # (S, N, 2) pixels
    seen: np.ndarray  # (S, N)
    bases: np.ndarray  # (K, N, 3)
    prior: np.ndarray  # (K, K): the ridge is alpha^T prior alpha
    ridge: float
    focal: tuple[float, float]


def _prior(ranges: Ranges) -> np.ndarray:
    """(K, K) the sum of the squares of what weights are off the middle of their ranges.

    In half widths. Next to nothing for alpha_1, which is free.
    """
    low, high = np.array(ranges.alpha).reshape(-1, 2).T
    width = np.maximum((high - low) / 2, 1e-3) * np.mean(ranges.scale)
    rows = np.eye(len(low) + 1)
    rows[1:, 0] = -(low + high) / 2
    rows /= np.array([np.mean(ranges.scale) / _FREE, *width])[:, None]
    return rows.T @ rows


def alternate(problem: _Problem, start: Weak) -> Weak:
    """Weights by ridge regression and rotation by Gauss-Newton steps in turn, weak perspective."""
    rotation, alpha, translation = start.rotation, start.alpha, start.translation
    target = problem.keypoints - _CENTRE
    for _ in range(_TURNS):
        alpha, translation = _regressed(problem, rotation, target)
        turned = combine(alpha, problem.bases) @ rotation.transpose(0, 2, 1)  # (S, N, 3)
        x, y, z = np.moveaxis(turned, -1, 0)
        zero = np.zeros_like(x)
        # of exp(w) X: w x X, first two rows
        slope = np.stack(
            [np.stack([zero, z, -y], -1), np.stack([-z, zero, x], -1)], -2
        )  # (S, N, 2, 3)
        rest = target - turned[..., :2] - translation[:, None]
        step = _least_squares(slope, rest, problem.seen)
        rotation = exponential(step) @ rotation
    alpha, translation = _regressed(problem, rotation, target)
    return Weak(alpha, rotation, translation)


def _regressed(
    problem: _Problem, rotation: np.ndarray, target: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """alpha (S, K) and translation (S, 2) of rotations (S, 3, 3): linear least squares."""
    rows = np.einsum("sij,knj->snik", rotation[:, :2], problem.bases)  # (S, N, 2, K)
    shift = np.broadcast_to(np.eye(2), (*rows.shape[:2], 2, 2))
    matrix = np.concatenate([rows, shift], -1)  # (S, N, 2, K + 2)
    bases = len(problem.bases)
    ridge = _LEAST_RIDGE * np.eye(bases + 2)
    ridge[:bases, :bases] += problem.ridge * problem.prior
    found = _least_squares(matrix, target, problem.seen, ridge)
    return found[:, :bases], found[:, bases:]


def _least_squares(
    matrix: np.ndarray, target: np.ndarray, seen: np.ndarray, ridge: np.ndarray | None = None
) -> np.ndarray:
    """(S, P) x that minimise sum_n seen_n |A_n x - b_n|^2 + x^T ridge x; A (S, N, 2, P)."""
    weighted = matrix * seen[..., None, None]
    square = np.einsum("snip,sniq->spq", weighted, matrix)
    right = np.einsum("snip,sni->sp", weighted, target)
    square = square + (_LEAST_RIDGE * np.eye(square.shape[-1]) if ridge is None else ridge)
    return np.linalg.solve(square, right[..., None])[..., 0]


def refine(problem: _Problem, start: Weak) -> Solution:
    """All parameters under perspective, by Levenberg-Marquardt; P = alpha, turn, shift, 1 / f."""
    low, high = 1 / problem.focal[1], 1 / problem.focal[0]
    inverse = np.full(len(start.alpha), (low + high) / 2)
    state = (start.alpha, start.rotation, start.translation, inverse)
    damping = np.full(len(inverse), 1e-2)
    cost = _cost(problem, state)
    for _ in range(_STEPS):
        square, right = _normal_equations(problem, state)
        diagonal = np.einsum("spp->sp", square)
        grown = damping[:, None] * diagonal + _LEAST_RIDGE * damping[:, None]
        damped = square + grown[..., None] * np.eye(square.shape[-1])
        step = np.linalg.solve(damped, right[..., None])[..., 0]
        moved = _moved(state, step, low, high)
        new = _cost(problem, moved)
        better = new < cost
        state = tuple(  # type: ignore[assignment]
            np.where(better.reshape(-1, *[1] * (a.ndim - 1)), a, b) for a, b in zip(moved, state)
        )
        gain = cost - np.where(better, new, cost)
        cost = np.where(better, new, cost)
        damping = np.clip(np.where(better, damping / 3, damping * 4), 1e-9, 1e9)
        if (gain <= 1e-10 * cost).all() and (damping > 1e6).all():
            break
    alpha, rotation, translation, inverse = state
    points = combine(alpha, problem.bases)
    pixels = project(points @ rotation.transpose(0, 2, 1), translation, inverse)
    square_error = (((pixels - problem.keypoints) ** 2).sum(-1) * problem.seen).sum(1)
    error = np.sqrt(square_error / np.maximum(problem.seen.sum(1), 1e-9))
    return Solution(alpha, rotation, translation, inverse, points, pixels, error)


_State = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def _moved(state: _State, step: np.ndarray, low: float, high: float) -> _State:
    alpha, rotation, translation, inverse = state
    bases = alpha.shape[1]
    turn, shift = step[:, bases : bases + 3], step[:, bases + 3 : bases + 5]
    # in units of its range, so that one damping fits all
    focal = np.clip(inverse + (high - low) * step[:, -1], low, high)
    return alpha + step[:, :bases], exponential(turn) @ rotation, translation + shift, focal


def _cost(problem: _Problem, state: _State) -> np.ndarray:
    """(S,) what is minimised."""
    alpha, rotation, translation, inverse = state
    turned = combine(alpha, problem.bases) @ rotation.transpose(0, 2, 1)
    pixels = project(turned, translation, inverse)
    away = (((pixels - problem.keypoints) ** 2).sum(-1) * problem.seen).sum(1)
    return away + problem.ridge * np.einsum("sk,kl,sl->s", alpha, problem.prior, alpha)


def _normal_equations(problem: _Problem, state: _State) -> tuple[np.ndarray, np.ndarray]:
    """(S, P, P) and (S, P) of a Gauss-Newton step."""
    alpha, rotation, translation, inverse = state
    bases = len(alpha[0])
    turned = combine(alpha, problem.bases) @ rotation.transpose(0, 2, 1)  # (S, N, 3)
    x, y, z = np.moveaxis(turned, -1, 0)
    zero = np.zeros_like(x)
    by_alpha = np.einsum("sij,knj->snik", rotation, problem.bases)  # (S, N, 3, K)
    by_turn = np.stack(
        [np.stack(row, -1) for row in ([zero, z, -y], [-z, zero, x], [y, -x, zero])], -2
    )
    by_shift = np.broadcast_to(np.eye(3)[:, :2], (*x.shape, 3, 2))
    slope = np.concatenate([by_alpha, by_turn, by_shift], -1)  # (S, N, 3, K + 5)
    divisor = 1 + z * inverse[:, None]
    near = divisor < LEAST_DIVISOR
    divisor = np.where(near, LEAST_DIVISOR, divisor)[..., None]
    flat = (turned[..., :2] + translation[:, None]) / divisor  # pixels from the centre
    depth = np.where(near, 0, 1)[..., None]  # no slope where the divisor is held
    by_divisor = flat / divisor * depth  # (S, N, 2)
    jacobian = slope[..., :2, :] / divisor[..., None] - by_divisor[..., None] * (
        slope[..., 2:, :] * inverse[:, None, None, None]
    )
    span = 1 / problem.focal[0] - 1 / problem.focal[1]
    by_focal = -by_divisor * z[..., None] * span
    jacobian = np.concatenate([jacobian, by_focal[..., None]], -1)  # (S, N, 2, P)
    rest = problem.keypoints - _CENTRE - flat
    weighted = jacobian * problem.seen[..., None, None]
    square = np.einsum("snip,sniq->spq", weighted, jacobian)
    right = np.einsum("snip,sni->sp", weighted, rest)
    ridge = np.zeros(square.shape[1:])
    ridge[:bases, :bases] = problem.ridge * problem.prior
    right[:, :bases] -= alpha @ ridge[:bases, :bases]
    return square + ridge, right

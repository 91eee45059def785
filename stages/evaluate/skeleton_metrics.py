"""Numbers that compare keypoints, skeletons and viewpoints with the truth (3D-INN, section 4).

Letters: S samples, N keypoints, T thresholds.
"""

from __future__ import annotations

import numpy as np

# What the paper leaves open: over which thresholds recall is averaged.
RMSE_THRESHOLDS = np.linspace(0, 0.3, 61)  # diagonals
AZIMUTH_THRESHOLDS = np.linspace(0, 90, 91)  # degrees
AE_BOUND = 5.0  # units of sigma
PCP_BOUND = 1.5
PCK_THRESHOLDS = (0.05, 0.1, 0.2)
AVP_VIEWS = (4, 8, 16, 24)
_LEAST_SIGMA = 1e-6


def recall(errors: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """(T,) shares of errors (S,) that are not above each threshold; NaN is above all."""
    with np.errstate(invalid="ignore"):
        return (errors[:, None] <= thresholds).mean(0)


def average_recall(errors: np.ndarray, thresholds: np.ndarray) -> float:
    """The mean of `recall` over the thresholds."""
    return float(recall(errors, thresholds).mean())


def pck(distance: np.ndarray, length: np.ndarray, threshold: float) -> float:
    """Share of keypoints (S, N), NaN where not labelled, within `threshold` lengths (S,)."""
    return float(pck_curve(distance, length, np.array([threshold]))[0])


def pck_curve(distance: np.ndarray, length: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """(T,) `pck` at each threshold."""
    relative = distance / length[:, None]
    return recall(relative[np.isfinite(distance)], thresholds)


def torso_pck(distance: np.ndarray, torso: np.ndarray, threshold: float) -> float:
    """`pck` in lengths of the torso (S,), of those samples of which it is known (FLIC)."""
    known = torso_known(distance, torso)
    return pck(distance[known], torso[known], threshold) if known.any() else np.nan


def torso_known(distance: np.ndarray, torso: np.ndarray) -> np.ndarray:
    """(S,) of which samples there are distances (S, N), and the length of the torso (S,)."""
    return np.isfinite(torso) & np.isfinite(distance).any(1)


def pcp(distance: np.ndarray, sigma: np.ndarray) -> float:
    """Share of labelled keypoints (S, N) within 1.5 deviations of the annotators (S, N).

    Distances of 0 count where the annotators agree to the pixel; keypoints of unknown sigma do not
    count at all.
    """
    known = np.isfinite(distance) & np.isfinite(sigma)
    return float((distance[known] <= PCP_BOUND * sigma[known]).mean()) if known.any() else np.nan


def average_error(distance: np.ndarray, sigma: np.ndarray) -> float:
    """Mean of distances (S, N) in deviations of the annotators, each at most 5 (AE)."""
    known = np.isfinite(distance) & np.isfinite(sigma)
    relative = distance[known] / np.maximum(sigma[known], _LEAST_SIGMA)
    return float(np.minimum(relative, AE_BOUND).mean()) if known.any() else np.nan


def shape_rmse(told: np.ndarray, truth: np.ndarray, known: np.ndarray) -> np.ndarray:
    """(S,) RMSE of keypoints (S, N, 3) over those `known` (S, N); NaN where fewer than three are.

    Both are centred at the mean of these keypoints and scaled by the diagonal of their box, as
    `stages.systems.interpreter.structures` has it; they are not turned.
    """
    told, truth, weight = _normalised(told, known), _normalised(truth, known), known[..., None]
    square = (((told - truth) ** 2) * weight).sum((1, 2)) / np.maximum(known.sum(1), 1)
    return np.where(known.sum(1) >= 3, np.sqrt(square), np.nan)


def aligned_rmse(told: np.ndarray, truth: np.ndarray, known: np.ndarray) -> np.ndarray:
    """(S,) as `shape_rmse`, after the rotation and the scale that bring `told` nearest to `truth`.

    Procrustes without reflections.
    """
    told, truth, weight = _normalised(told, known), _normalised(truth, known), known[..., None]
    cross = np.einsum("sni,snj->sij", truth * weight, told)
    u, stretch, v = np.linalg.svd(cross)
    sign = np.ones((len(cross), 3))
    sign[:, 2] = np.sign(np.linalg.det(u @ v))
    turn = (u * sign[:, None]) @ v
    size = (stretch * sign).sum(1) / np.maximum((told**2 * weight).sum((1, 2)), _LEAST_SIGMA)
    moved = size[:, None, None] * told @ turn.transpose(0, 2, 1)
    square = (((moved - truth) ** 2) * weight).sum((1, 2)) / np.maximum(known.sum(1), 1)
    return np.where(known.sum(1) >= 3, np.sqrt(square), np.nan)


def _normalised(points: np.ndarray, known: np.ndarray) -> np.ndarray:
    weight = known[..., None]
    mean = (points * weight).sum(1) / np.maximum(known.sum(1), 1)[:, None]
    centred = np.where(weight, points - mean[:, None], 0)
    low = np.where(weight, centred, np.inf).min(1)
    high = np.where(weight, centred, -np.inf).max(1)
    diagonal = np.linalg.norm(np.where(np.isfinite(high - low), high - low, 1), axis=-1)
    return centred / np.maximum(diagonal, _LEAST_SIGMA)[:, None, None]


def view_bin(azimuth: np.ndarray, views: int) -> np.ndarray:
    """The bin 0 .. views - 1 of azimuths in degrees; bin 0 is centred at 0 (PASCAL3D+)."""
    width = 360 / views
    return np.floor(np.mod(np.asarray(azimuth) + width / 2, 360) / width).astype(int) % views


def average_viewpoint_precision(
    score: np.ndarray, matched: np.ndarray, right_view: np.ndarray, positives: int
) -> float:
    """AVP of detections (S,): their scores, whether each is of an object of its own (box overlap
    at least 1/2, not matched before), whether its view is right, too; `positives` is how many
    objects there are.

    The area under precision of views against recall of boxes, precision made monotone (PASCAL3D+).
    """
    if not positives or not len(score):
        return 0.0
    order = np.argsort(-np.asarray(score), kind="stable")
    boxes = np.cumsum(np.asarray(matched)[order])
    views = np.cumsum((np.asarray(matched) & np.asarray(right_view))[order])
    accuracy = views / np.arange(1, len(order) + 1)
    points = np.concatenate([[0], boxes / positives, [1]])
    envelope = np.concatenate([[0], accuracy, [0]])
    envelope = np.maximum.accumulate(envelope[::-1])[::-1]
    steps = np.flatnonzero(np.diff(points))
    return float((np.diff(points)[steps] * envelope[steps + 1]).sum())


def match_boxes(
    picture: np.ndarray,
    score: np.ndarray,
    boxes: np.ndarray,
    object_picture: np.ndarray,
    objects: np.ndarray,
) -> np.ndarray:
    """(S,) the object that each detection is of, -1 for none: the one of its picture that it
    overlaps most, by 1/2 at least, and that no detection of a higher score has taken.

    picture (S,), boxes (S, 4): left, upper, right, lower; object_picture (G,), objects (G, 4).
    """
    found = np.full(len(score), -1)
    taken: set[int] = set()
    for row in np.argsort(-np.asarray(score), kind="stable"):
        there = np.flatnonzero(object_picture == picture[row])
        if not len(there):
            continue
        overlap = box_iou(boxes[row], objects[there])
        best = int(there[overlap.argmax()])
        if overlap.max() >= 0.5 and best not in taken:
            taken.add(best)
            found[row] = best
    return found


def box_iou(box: np.ndarray, others: np.ndarray) -> np.ndarray:
    """(G,) intersection over union of a box (4,) with others (G, 4)."""
    low, high = np.maximum(box[:2], others[:, :2]), np.minimum(box[2:], others[:, 2:])
    both = np.prod(np.maximum(high - low, 0), axis=1)
    area = np.prod(np.maximum(box[2:] - box[:2], 0))
    either = area + np.prod(np.maximum(others[:, 2:] - others[:, :2], 0), axis=1) - both
    return both / np.maximum(either, _LEAST_SIGMA)

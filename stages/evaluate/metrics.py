"""Numbers that compare a prediction with the truth.

Letters: V views, T thresholds, N cells.
"""

from __future__ import annotations

import numpy as np

# Candidates for the occupancy threshold that is chosen on validation shapes (MVC's 0.01:0.01:0.99).
THRESHOLDS = np.arange(1, 100, dtype=np.int64) / 100


def iou(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(V,) float32 intersection over union of boolean arrays (V, ...); 1 where both are empty.

    One of them may be (1, ...), compared with every view of the other.
    """
    first = first.reshape(len(first), -1)
    second = second.reshape(len(second), -1)
    both = (first & second).sum(1)
    either = (first | second).sum(1)
    return np.where(either > 0, both / np.maximum(either, 1), 1.0).astype(np.float32)


def iou_at_thresholds(probability: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """(V, 99) float32 IoU of `probability >= t` with boolean `truth`, both (V, ...).

    For every t of THRESHOLDS. One histogram a view instead of 99 comparisons: cells are counted by
    the number of thresholds that they reach.
    """
    count = len(THRESHOLDS)
    result = np.empty((len(truth), count), np.float32)
    for view, (told, true) in enumerate(zip(probability, truth)):
        # a cell of value p reaches the thresholds t_1 .. t_k with k = #{t <= p}
        reached = np.searchsorted(THRESHOLDS, told.reshape(-1).astype(np.float64), side="right")
        inside = np.bincount(reached[true.reshape(-1)], minlength=count + 1)
        outside = np.bincount(reached[~true.reshape(-1)], minlength=count + 1)
        both = inside[::-1].cumsum()[::-1][1:]  # cells of the truth that reach t_k
        more = outside[::-1].cumsum()[::-1][1:]
        either = int(true.sum()) + more
        result[view] = np.where(either > 0, both / np.maximum(either, 1), 1.0)
    return result


def azimuth_error_deg(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Difference of two azimuths in degrees, 0 to 180."""
    return np.abs((np.asarray(first, np.float64) - second + 180) % 360 - 180)


def is_flip(first_deg: np.ndarray, second_deg: np.ndarray, tolerance_deg: float = 30) -> np.ndarray:
    """Whether two azimuths are half a turn apart, within the tolerance."""
    return azimuth_error_deg(first_deg, second_deg) > 180 - tolerance_deg

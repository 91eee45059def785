"""Metrics against naive loops and closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from stages.evaluate.metrics import (
    THRESHOLDS,
    azimuth_error_deg,
    iou,
    iou_at_thresholds,
    is_flip,
)


def naive_iou(first: np.ndarray, second: np.ndarray) -> float:
    both = either = 0
    for a, b in zip(first.reshape(-1), second.reshape(-1)):
        both += bool(a and b)
        either += bool(a or b)
    return both / either if either else 1.0


def test_iou_is_that_of_a_loop() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.random((2, 5, 4, 4, 4)) < 0.3
    first[3] = second[3] = False  # two empty ones agree
    first[4] = False
    expected = [naive_iou(a, b) for a, b in zip(first, second)]
    # float32 keeps a ratio of two small counts to 6e-8
    np.testing.assert_allclose(iou(first, second), expected, atol=1e-7)
    np.testing.assert_allclose(
        iou(first[:1], second), [naive_iou(first[0], b) for b in second], atol=1e-7
    )


def test_histograms_count_as_comparisons_do() -> None:
    rng = np.random.default_rng(1)
    truth = rng.random((3, 6, 6, 6)) < 0.2
    told = rng.random((3, 6, 6, 6)).astype(np.float32)
    told[0, 0] = np.float32(0.25)  # exactly at a threshold: it counts as reached
    told[1] = 0
    truth[2] = False
    table = iou_at_thresholds(told, truth)
    assert table.shape == (3, 99)
    for view in range(3):
        for column in (0, 24, 25, 49, 98):
            reached = told[view].astype(np.float64) >= THRESHOLDS[column]
            assert table[view, column] == pytest.approx(naive_iou(reached, truth[view]), abs=1e-7)


def test_azimuths_wrap() -> None:
    np.testing.assert_allclose(
        azimuth_error_deg(np.array([350.0, 10, 0, 90]), np.array([10.0, 350, 180, 100])),
        [20, 20, 180, 10],
    )
    assert list(is_flip(np.array([0.0, 0, 0]), np.array([180.0, 155, 149]))) == [True, True, False]

"""Recall, PCK, PCP, AE, RMSE and AVP: against naive loops, closed forms and scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from sklearn.metrics import average_precision_score

from stages.evaluate.skeleton_metrics import (
    aligned_rmse,
    average_error,
    average_recall,
    average_viewpoint_precision,
    box_iou,
    match_boxes,
    pck,
    pcp,
    recall,
    shape_rmse,
    view_bin,
)
from stages.systems.interpreter.structures import rmse

rng = np.random.default_rng(0)


def test_recall():
    errors = np.array([0.1, 0.2, np.nan, 0.4])
    assert recall(errors, np.array([0.05, 0.1, 0.3, 1])).tolist() == [0, 0.25, 0.5, 0.75]
    assert average_recall(np.array([0.5]), np.array([0, 0.5, 1])) == pytest.approx(2 / 3)


def test_keypoint_numbers():
    distance = np.array([[1.0, 4.0, np.nan], [10.0, 0.0, 2.0]])
    sigma = np.array([[1.0, 2.0, 1.0], [1.0, 0.0, np.nan]])
    assert pck(distance, np.array([20.0, 40.0]), 0.1) == pytest.approx(3 / 5)  # 1, 0, 2
    assert pcp(distance, sigma) == pytest.approx(2 / 4)  # 1 and 0
    assert average_error(distance, sigma) == pytest.approx((1 + 2 + 5 + 0) / 4)
    assert np.isnan(pcp(distance, np.full((2, 3), np.nan)))


def test_rmse_against_a_loop():
    told, truth = rng.normal(size=(2, 4, 6, 3))
    known = rng.random((4, 6)) < 0.8
    for k in range(4):
        one, other = (a[k][known[k]] for a in (told, truth))
        shapes = []
        for points in (one, other):
            centred = points - points.mean(0)
            shapes.append(centred / np.linalg.norm(np.ptp(points, axis=0)))
        expected = np.sqrt(((shapes[0] - shapes[1]) ** 2).sum(1).mean())
        assert shape_rmse(told, truth, known)[k] == pytest.approx(expected)
    everything = np.ones((4, 6), bool)
    np.testing.assert_allclose(shape_rmse(told, truth, everything), rmse(told, truth))
    assert np.isnan(shape_rmse(told, truth, np.zeros((4, 6), bool))).all()


def test_alignment_takes_away_a_similarity_but_no_mirror():
    truth = rng.normal(size=(5, 7, 3))
    turn = Rotation.random(5, random_state=1).as_matrix()
    told = 3.7 * truth @ turn.transpose(0, 2, 1) + 5
    known = np.ones((5, 7), bool)
    np.testing.assert_allclose(aligned_rmse(told, truth, known), 0, atol=1e-9)
    assert shape_rmse(told, truth, known).min() > 0.1
    assert aligned_rmse(told * [-1, 1, 1], truth, known).min() > 0.05


def test_bins_are_centred():
    assert view_bin(np.array([-44, 44, 46, 134, 136, 225, 226, 314, 316]), 4).tolist() == [
        *(0, 0, 1, 1, 2, 3, 3, 3, 0)
    ]  # edges at 45 + 90 k; 225 is the lower edge of the last
    assert set(view_bin(np.arange(360), 24)) == set(range(24))


def test_avp_with_right_views_is_average_precision():
    """Of one detection an object, all found: recall is 1 at the end. scikit-learn's sum has no
    envelope, so it is compared on scores that rank all true ones first."""
    score = np.linspace(1, 0, 10)
    matched = np.arange(10) < 6
    told = average_viewpoint_precision(score, matched, matched, 6)
    assert told == pytest.approx(average_precision_score(matched, score)) == 1


def test_avp_against_a_naive_envelope():
    score, matched = rng.permutation(40) / 40, rng.random(40) < 0.7
    right, positives = rng.random(40) < 0.6, 35
    order = np.argsort(-score)
    points = []
    for n in range(1, 41):
        first = order[:n]
        accuracy = (matched & right)[first].mean()
        points.append((matched[first].sum() / positives, accuracy))
    expected, before = 0.0, 0.0
    for k, (found, _) in enumerate(points):
        expected += (found - before) * max(accuracy for _, accuracy in points[k:])
        before = found
    told = average_viewpoint_precision(score, matched, right, positives)
    assert told == pytest.approx(expected)
    assert average_viewpoint_precision(np.zeros(0), np.zeros(0, bool), np.zeros(0, bool), 3) == 0


def test_boxes():
    assert box_iou(np.array([0, 0, 2, 2.0]), np.array([[1, 0, 3, 2.0], [5, 5, 6, 6]])).tolist() == [
        pytest.approx(1 / 3),
        0,
    ]
    objects = np.array([[0, 0, 10, 10], [20, 0, 30, 10.0]])
    boxes = np.array([[0, 0, 10, 9], [0, 0, 10, 10], [0, 0, 10, 10], [21, 0, 30, 10.0]])
    found = match_boxes(
        np.array([0, 0, 1, 0]), np.array([0.9, 0.8, 0.7, 0.1]), boxes, np.zeros(2), objects
    )
    assert found.tolist() == [0, -1, -1, 1]  # taken already; in a picture without objects

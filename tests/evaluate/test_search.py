"""Exact search and ranks: against scikit-learn, loops, and random orders."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from sklearn.metrics import average_precision_score
from sklearn.neighbors import NearestNeighbors

from stages.evaluate import search
from stages.evaluate.search import Chance, nearest, ranked, squared_distances


def codes(count: int, seed: int = 0, length: int = 16) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, length)).astype(np.float32)


def test_distances_against_scipy() -> None:
    first, second = codes(30), codes(40, 1)
    expected = cdist(first, second, "sqeuclidean")
    np.testing.assert_allclose(squared_distances(first, second), expected, rtol=1e-5)
    doubles = squared_distances(first.astype(float), second.astype(float))
    np.testing.assert_allclose(doubles, expected, rtol=1e-12)
    assert (squared_distances(first, first) >= 0).all()  # the product rounds below it


@pytest.mark.parametrize("block", [2**27, 4 * 500 * 7])  # all queries at once, seven at a time
def test_the_nearest_against_scikit_learn(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "_BLOCK_BYTES", block)
    queries, gallery = codes(40), codes(500, 1)
    truth = NearestNeighbors(algorithm="brute").fit(gallery).kneighbors(queries, 10, False)
    np.testing.assert_array_equal(nearest(queries, gallery, 10), truth)
    np.testing.assert_array_equal(nearest(queries, gallery)[:, 0], truth[:, 0])
    assert nearest(queries, gallery[:3], 10).shape == (40, 3)
    assert nearest(queries[:0], gallery, 2).shape == (0, 2)


def test_ranks_and_precision_against_loops_and_scikit_learn() -> None:
    rng = np.random.default_rng(2)
    distances = rng.random((50, 30))
    relevant = rng.random((50, 30)) < 0.15
    relevant[:, 4] = True
    found = ranked(distances, relevant)
    for row, right, rank, precision in zip(
        distances, relevant, found.rank, found.average_precision
    ):
        assert rank == 1 + (row < row[right].min()).sum()
        assert precision == pytest.approx(average_precision_score(right, -row), rel=1e-6)
    single = ranked(distances[:30], np.eye(30, dtype=bool))
    assert single.rank.tolist() == [
        1 + (row < row[n]).sum() for n, row in enumerate(distances[:30])
    ]


def test_equal_codes_gain_nothing() -> None:
    relevant = np.zeros((3, 10), bool)
    relevant[:, [2, 5]] = True
    found = ranked(np.ones((3, 10)), relevant)
    assert found.rank.tolist() == [9] * 3
    np.testing.assert_allclose(found.average_precision, (1 / 9 + 2 / 10) / 2)
    away = np.ones((1, 10))
    away[0, 7] = np.inf  # the query itself
    assert ranked(away, relevant[:1]).rank.tolist() == [8]


@pytest.mark.parametrize(("candidates", "relevant"), [(44, 1), (60, 5), (25, 24), (7, 7)])
def test_chance_is_what_random_orders_give(candidates: int, relevant: int) -> None:
    chance, rng = Chance(candidates, relevant), np.random.default_rng(3)
    right = np.zeros((4000, candidates), bool)
    right[:, :relevant] = True
    found = ranked(rng.random((4000, candidates)), right)
    for count in (1, 5, 10):
        # 4000 coins: a standard deviation of 0.008 at most
        told = chance.recall(min(count, candidates))
        assert told == pytest.approx((found.rank <= count).mean(), abs=0.032)
    spread = found.average_precision.std() / np.sqrt(4000)
    mean = found.average_precision.mean()
    assert chance.average_precision == pytest.approx(mean, abs=4 * spread + 1e-9)
    assert abs(chance.median_rank - np.median(found.rank)) <= 1
    if relevant == 1:
        harmonic = (1 / np.arange(1, candidates + 1)).mean()
        assert chance.average_precision == pytest.approx(harmonic)
        assert chance.median_rank == (candidates + 1) // 2
    assert chance.recall(candidates) == 1

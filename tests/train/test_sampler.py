"""The stream of samples, against its definition written out in full."""

from __future__ import annotations

import pytest

from stages.train.sampler import Sampler, permutation


@pytest.mark.parametrize(
    ("length", "batch", "world"), [(30, 8, 1), (7, 3, 2), (5, 16, 1), (1, 2, 3)]
)
def test_every_epoch_visits_every_sample_once(length: int, batch: int, world: int) -> None:
    sampler = Sampler(length, seed=4)
    steps = -(-6 * length // (batch * world))  # six epochs and a bit
    stream = [
        index
        for step in range(steps)
        for rank in range(world)
        for index in sampler.indices(step, rank, world, batch)
    ]
    assert len(stream) == steps * world * batch
    epochs = [stream[i * length : (i + 1) * length] for i in range(6)]
    assert all(sorted(epoch) == list(range(length)) for epoch in epochs)
    if length >= 7:
        assert len({tuple(epoch) for epoch in epochs}) == 6  # 7! orders: no two alike


def test_ranks_share_what_one_process_would_see() -> None:
    sampler = Sampler(100, seed=0)
    for step in range(20):
        halves = [sampler.indices(step, rank, 2, 8) for rank in (0, 1)]
        assert halves[0] + halves[1] == sampler.indices(step, 0, 1, 16)


def test_the_seed_alone_decides() -> None:
    first = Sampler(50, 1).indices(3, 0, 1, 10)
    permutation.cache_clear()
    assert Sampler(50, 1).indices(3, 0, 1, 10) == first
    assert Sampler(50, 2).indices(3, 0, 1, 10) != first
    # written down, so that a new version of NumPy cannot change runs in silence
    assert permutation(8, 0, 0).tolist() == [4, 2, 0, 3, 7, 1, 6, 5]


def test_orders_are_uniform() -> None:
    """Each of 4 samples comes first in a quarter of 4,000 epochs."""
    first = [int(permutation.__wrapped__(4, 9, epoch)[0]) for epoch in range(4000)]
    # binomial: standard deviation sqrt(4000 * 3 / 16) = 27; five of them
    assert all(abs(first.count(i) - 1000) < 137 for i in range(4))

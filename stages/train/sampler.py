"""Which samples a step learns from: a function of (seed, step, rank), with no state to save."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from stages.train.context import seed_of


@dataclass(frozen=True)
class Sampler:
    """An endless stream of epochs, each its own permutation of 0 .. length-1, dealt out in batches.

    Batches run across the end of an epoch, so that every epoch visits every sample exactly once
    whatever the batch. Step s takes the next `world * batch` places of the stream, rank after
    rank: two processes with batch 8 see what one sees with batch 16.
    """

    length: int
    seed: int

    def indices(self, step: int, rank: int, world: int, batch: int) -> list[int]:
        """The `batch` samples of this step on this process, in the order of the stream."""
        first = (step * world + rank) * batch
        samples: list[int] = []
        for epoch in range(first // self.length, (first + batch - 1) // self.length + 1):
            start = epoch * self.length
            low, high = max(first - start, 0), min(first + batch - start, self.length)
            samples += permutation(self.length, self.seed, epoch)[low:high].tolist()
        return samples


@lru_cache(maxsize=4)
def permutation(length: int, seed: int, epoch: int) -> np.ndarray:
    """(length,) int64: the order of one epoch.

    By sorting raw PCG64 output: NumPy promises that stream for all versions, that of its
    `permutation` it does not.
    """
    keys = np.random.PCG64(seed_of(seed, "epoch", epoch)).random_raw(length)
    return np.argsort(keys, kind="stable")

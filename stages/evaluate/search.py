"""Exact search among codes, and how good an order is.

Distances come from one matrix product, |q|^2 - 2 q g + |g|^2: exact search in a million codes takes
milliseconds a query (benchmarks/search.py), so there is no index. Letters: Q queries, N codes of
the gallery, C length of a code.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_BLOCK_BYTES = 2**27  # of distances at a time


def squared_distances(queries: np.ndarray, gallery: np.ndarray) -> np.ndarray:
    """(Q, N) squared Euclidean distances of (Q, C) and (N, C), in their precision, 0 or more."""
    product = queries @ gallery.T
    product *= -2
    product += (queries**2).sum(1)[:, None]
    product += (gallery**2).sum(1)
    return np.maximum(product, 0, out=product)


def nearest(queries: np.ndarray, gallery: np.ndarray, count: int = 1) -> np.ndarray:
    """(Q, count) places in the gallery (N, C) of the codes nearest to queries (Q, C), in order.

    All of them if there are fewer. Memory stays bounded: queries are taken in blocks.
    """
    count = min(count, len(gallery))
    block = max(1, _BLOCK_BYTES // (len(gallery) * gallery.itemsize))
    norms = np.einsum("nc,nc->n", gallery, gallery)
    found = [np.empty((0, count), np.int64)]
    for start in range(0, len(queries), block):
        # without |q|^2, which is the same for all of a row
        away = (-2 * queries[start : start + block]) @ gallery.T
        away += norms
        some = np.argpartition(away, count - 1, axis=1)[:, :count]
        order = np.take_along_axis(away, some, 1).argsort(1, kind="stable")
        found.append(np.take_along_axis(some, order, 1))
    return np.concatenate(found)


@dataclass(frozen=True)
class Ranked:
    """Where the right answers stand in the order of each query."""

    rank: np.ndarray  # (Q,) int32 of the first one, from 1
    average_precision: np.ndarray  # (Q,) float32


def ranked(distances: np.ndarray, relevant: np.ndarray) -> Ranked:
    """The places of `relevant` (Q, N) candidates in the order of their distances (Q, N).

    Every query needs one. What is as near as a right answer stands before it, so codes that are all
    equal gain nothing. Candidates at infinity, such as the query itself, come last and are no
    answers.
    """
    order = np.lexsort((relevant, distances), axis=-1)
    right = np.take_along_axis(relevant, order, 1)  # (Q, N)
    place = np.arange(1, right.shape[1] + 1)
    precision = right.cumsum(1) / place
    return Ranked(
        (right.argmax(1) + 1).astype(np.int32),
        ((precision * right).sum(1) / right.sum(1)).astype(np.float32),
    )


@dataclass(frozen=True)
class Chance:
    """What a random order of `candidates` gives on average, `relevant` of them being right."""

    candidates: int
    relevant: int

    def recall(self, count: int) -> float:
        """That a right one is among the first `count`."""
        left = self.candidates - np.arange(count)
        missed = (left - self.relevant).clip(0) / left.clip(1)
        return float(1 - missed.prod())

    @property
    def median_rank(self) -> int:
        """Of the first right one: it is at this place or before in half of the orders or more."""
        return next(k for k in range(1, self.candidates + 1) if self.recall(k) > 0.5 - 1e-12)

    @property
    def average_precision(self) -> float:
        """The mean over orders of the mean precision at right ones.

        At place k stands a right one with probability R / N, and then (R - 1) / (N - 1) of the
        k - 1 before it are right, too: the mean over k of ((k - 1) (R - 1) / (N - 1) + 1) / k.
        """
        place = np.arange(1, self.candidates + 1)
        before = (place - 1) * (self.relevant - 1) / max(self.candidates - 1, 1)
        return float(((before + 1) / place).mean())

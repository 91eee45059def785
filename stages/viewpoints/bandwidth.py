"""Bandwidths of the viewpoint density, in degrees: how far one annotation speaks for others.

`cross-validation` maximises the likelihood of each annotation under the density of all others, in
azimuth, elevation and in-plane at once. Annotations come in whole degrees or are about as precise,
so the likelihood is that of the whole degree that an annotation lies in: a finite number, where the
density of equal annotations would grow without bound as the bandwidth shrinks. The others are mixed
with a uniform background of one per cent, so that a stray annotation does not set the bandwidth.

`silverman-linear` is the rule of Render-for-CNN: 1.06 s n^(-1/5) with the linear standard deviation
of each axis, which for azimuths around 0 is far too wide.
"""

from __future__ import annotations

import numpy as np

from stages.errors import UsageError

RULES = ("cross-validation", "fixed", "silverman-linear")
FIXED_DEG = (5.0, 2.0, 2.0)
_START_DEG = (3.0, 3.0, 2.0)
_LOW_DEG = 0.3  # what whole degrees blur, 1/sqrt(12)
_HIGH_DEG = (5.0, 90.0, 90.0)
_BACKGROUND = 0.01
_HELD_OUT = 600  # distinct annotations whose likelihood is taken; against all of the others


def silverman(values: np.ndarray) -> float:
    """1.06 s n^(-1/5) with the linear standard deviation s of (n,) values; 0 for fewer than 2."""
    if len(values) < 2:
        return 0.0
    return float(1.06 * values.std(ddof=1) * len(values) ** -0.2)


def robust_silverman(values: np.ndarray) -> float:
    """As `silverman`, but with the smaller of s and the interquartile range / 1.34."""
    if len(values) < 2:
        return 0.0
    low, high = np.percentile(values, (25, 75))
    spread = (high - low) / 1.34
    return silverman(values) * (min(1.0, spread / values.std(ddof=1)) if spread > 0 else 1.0)


def bandwidths(angles: np.ndarray, rule: str) -> tuple[float, float, float]:
    """Bandwidth of azimuth, elevation and in-plane for (n, 3) annotations in degrees.

    An axis on which all annotations agree gets 0. Raises UsageError for an unknown rule.
    """
    if rule not in RULES:
        raise UsageError(f"unknown rule {rule!r}", f"known: {', '.join(RULES)}")
    constant = np.ptp(angles, axis=0) == 0
    if rule == "silverman-linear":
        widths = [silverman(angles[:, axis]) for axis in range(3)]
    elif rule == "fixed" or len(angles) < 3 or constant.all():
        widths = list(FIXED_DEG)
    else:
        widths = list(cross_validated(angles, constant))
    azimuth, elevation, inplane = (0.0 if c else float(w) for c, w in zip(constant, widths))
    return azimuth, elevation, inplane


def cross_validated(angles: np.ndarray, constant: np.ndarray) -> np.ndarray:
    """(3,) bandwidths in degrees of (n, 3) annotations; those of `constant` axes mean nothing."""
    from scipy.optimize import minimize

    score = _Score(angles)
    free = np.flatnonzero(~constant)
    widths, highest = np.array(_START_DEG), np.array(_HIGH_DEG)[free]

    def loss(logarithms: np.ndarray) -> float:
        widths[free] = np.clip(np.exp(logarithms), _LOW_DEG, highest)
        return -score(widths)

    start = np.log(np.array(_START_DEG)[free])
    simplex = np.concatenate([start[None], start + 0.6 * np.eye(len(free))])
    options = {"xatol": 0.02, "fatol": 1e-5, "initial_simplex": simplex}
    found = minimize(loss, start, method="Nelder-Mead", options=options)
    widths[free] = np.clip(np.exp(found.x), _LOW_DEG, highest)
    return widths


class _Score:
    """The mean leave-one-out log-likelihood of annotations in whole degrees.

    Letters: H held-out rows, U distinct rows. A product of kernels at whole offsets is three
    look-ups, so one value costs H x U of them.
    """

    def __init__(self, angles: np.ndarray) -> None:
        whole = np.round(angles).astype(np.int64)
        whole[:, [0, 2]] %= 360
        _, first, counts = np.unique(whole, axis=0, return_index=True, return_counts=True)
        order = np.argsort(first)  # of appearance: turned annotations give the same value
        rows, counts = whole[first[order]], counts[order]
        held = np.unique(np.linspace(0, len(rows) - 1, min(_HELD_OUT, len(rows))).astype(int))
        self._held, self._counts = held, counts
        self._elevation = rows[:, 1]
        turned = (rows[held, None] - rows[None]).astype(np.int16)  # (H, U, 3)
        self._offsets = (turned[..., 0] % 360, np.abs(turned[..., 1]), turned[..., 2] % 360)

    def __call__(self, widths: np.ndarray) -> float:
        from scipy.special import ndtr

        azimuth, inplane = _masses(widths[0]), _masses(widths[2])
        steps = np.arange(181)
        elevation = ndtr((steps + 0.5) / widths[1]) - ndtr((steps - 0.5) / widths[1])
        top, bottom = (90.5 - self._elevation) / widths[1], (-90.5 - self._elevation) / widths[1]
        weights = self._counts / (ndtr(top) - ndtr(bottom))  # truncated at the poles
        product = azimuth.astype(np.float32)[self._offsets[0]]
        product *= elevation.astype(np.float32)[self._offsets[1]]
        product *= inplane.astype(np.float32)[self._offsets[2]]  # (H, U)
        itself = azimuth[0] * elevation[0] * inplane[0] * weights / self._counts
        others = np.maximum(product @ weights.astype(np.float32) - itself[self._held], 0)
        total, held = self._counts.sum(), self._counts[self._held]
        mixed = (1 - _BACKGROUND) * others / (total - 1) + _BACKGROUND / (360.0 * 181 * 360)
        return float(held @ np.log(mixed) / held.sum())


def _masses(width: float) -> np.ndarray:
    """(360,) mass of the wrapped normal in each whole degree 0 .. 359."""
    from scipy.special import ndtr

    steps = np.arange(360)[:, None] + 360 * np.arange(-2, 2)[None]
    return (ndtr((steps + 0.5) / width) - ndtr((steps - 0.5) / width)).sum(1)

"""The density of viewpoints: a mixture of one kernel for each annotated viewpoint.

The kernel is a product over azimuth, elevation, in-plane rotation and, where it is known, distance:

* azimuth and in-plane: a wrapped normal, so that 359 and 1 degrees are neighbours;
* elevation: a normal truncated to [-90, 90] and renormalised, so that no mass crosses a pole;
* distance: a normal of its logarithm, so that it stays positive.

`linear` kernels are those of Render-for-CNN (Su et al. 2015) instead: elevation and in-plane are
folded into [-90, 90) by mod 180, as its code does, and distance is a normal, here cut at 0.

Densities are per degree (and per unit of distance), not per solid angle. Letters: U distinct
viewpoints, N points, M samples.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from stages.errors import UsageError

PERIOD_DEG = 360.0
OUTLIER_STD_DEG = 20.0
_CHUNK = 1 << 22  # numbers in a table of points times components


@dataclass(frozen=True)
class Outliers:
    """Viewpoints unlike the annotated ones, so that what is learnt copes with them, too.

    Azimuth is uniform; elevation and in-plane are normal, (mean, standard deviation) in degrees,
    truncated to +-85 and +-45. Render-for-CNN takes a share of 0.2, the means over all classes
    and 20 degrees, but clips, which heaps up mass at the limits.
    """

    share: float = 0.0
    elevation_deg: tuple[float, float] = (0.0, OUTLIER_STD_DEG)
    inplane_deg: tuple[float, float] = (0.0, OUTLIER_STD_DEG)


_OUTLIER_LIMITS_DEG = (85.0, 45.0)


@dataclass(frozen=True)
class Density:
    """A mixture over viewpoints, see the text of this module."""

    points: np.ndarray  # (U, 4) float64: azimuth, elevation, in-plane in degrees; distance or NaN
    counts: np.ndarray  # (U,) how many annotations each stands for
    bandwidth_deg: tuple[float, float, float]  # 0: values are taken as they are
    bandwidth_distance: float = 0.0  # of the logarithm, or of the distance where `linear`
    linear: bool = False
    outliers: Outliers = field(default_factory=Outliers)

    def sample(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """(count, 4) float64 viewpoints drawn exactly from the mixture.

        Azimuth in [0, 360), elevation in [-90, 90], in-plane in [-180, 180), in degrees; distance
        in the units of the annotations, NaN from those that have none. For one state of `rng`, the
        samples of turned annotations are the turned samples.
        """
        cumulative = np.cumsum(self.counts)
        chosen = np.searchsorted(cumulative, rng.random(count) * cumulative[-1], side="right")
        mean = self.points[chosen]  # (M, 4)
        noise = rng.standard_normal((count, 2)) * np.array(self.bandwidth_deg)[[0, 2]]
        azimuth, inplane = mean[:, 0] + noise[:, 0], mean[:, 2] + noise[:, 1]
        ranks = rng.random((count, 2))
        if self.linear:
            elevation = mean[:, 1] + _normal(ranks[:, 0], 0, self.bandwidth_deg[1], np.inf)
            elevation, inplane = _folded(elevation), _folded(inplane)
        else:
            elevation = _normal(ranks[:, 0], mean[:, 1], self.bandwidth_deg[1], 90.0)
        odd = rng.random(count) < self.outliers.share
        other = rng.random((count, 3))
        limits = _OUTLIER_LIMITS_DEG
        azimuth = np.where(odd, other[:, 0] * PERIOD_DEG, azimuth)
        wide = _normal(other[:, 1], *self.outliers.elevation_deg, limits[0])
        elevation = np.where(odd, wide, elevation)
        wide = _normal(other[:, 2], *self.outliers.inplane_deg, limits[1])
        inplane = np.where(odd, wide, inplane)
        distance = self._distances(mean[:, 3], ranks[:, 1])
        return np.stack([wrap_azimuth(azimuth), elevation, wrap_signed(inplane), distance], -1)

    def _distances(self, mean: np.ndarray, ranks: np.ndarray) -> np.ndarray:
        if self.linear:
            return _normal(ranks, mean, self.bandwidth_distance, np.inf, low=0.0)
        return mean * np.exp(_normal(ranks, 0, self.bandwidth_distance, np.inf))

    def density(self, points: np.ndarray, axes: tuple[int, ...] = (0, 1, 2)) -> np.ndarray:
        """(N,) float64: the density at (N, len(axes)) points, marginal over the other axes.

        Axes: 0 azimuth, 1 elevation, 2 in-plane, 3 distance. It integrates to 1 over them; with
        axis 3 to the share of the annotations that have a distance, and outliers have none other
        than theirs. Raises UsageError for an axis whose bandwidth is 0.
        """
        points = np.asarray(points, np.float64)
        width = (*self.bandwidth_deg, self.bandwidth_distance)
        for axis in axes:
            if not width[axis] > 0:
                raise UsageError(f"axis {axis} has bandwidth 0, so no density", "leave it out")
        result = np.zeros(len(points))
        weights = self.counts / self.counts.sum()
        step = max(1, _CHUNK // max(1, len(self.points)))
        for start in range(0, len(points), step):
            part = points[start : start + step]
            core = np.ones((len(part), len(self.points)))  # (n, U)
            wide = np.ones_like(core) if 3 in axes else np.ones((len(part), 1))
            for column, axis in enumerate(axes):
                values = part[:, column, None]  # (n, 1)
                core *= self._kernel(axis, values)
                wide *= self._kernel(3, values) if axis == 3 else self._outlier(axis, values)
            known = weights if 3 in axes else np.ones(1)
            share = self.outliers.share
            result[start : start + step] = (1 - share) * core @ weights + share * wide @ known
        return result

    def _kernel(self, axis: int, values: np.ndarray) -> np.ndarray:
        """(n, U) density of each component along one axis at (n, 1) values."""
        mean = self.points[:, axis]  # (U,)
        if axis == 3:
            return self._distance_kernel(values, mean)
        width = self.bandwidth_deg[axis]
        if axis == 1 and not self.linear:
            return _truncated_density(values, mean, width, 90.0)
        if axis and self.linear:
            folded = wrapped_density(values - mean, width, 180.0)
            return np.where(np.abs(values) <= 90, folded, 0.0)
        return wrapped_density(values - mean, width, PERIOD_DEG)

    def _distance_kernel(self, values: np.ndarray, mean: np.ndarray) -> np.ndarray:
        from scipy.special import ndtr

        width = self.bandwidth_distance
        if self.linear:
            inside = _gauss((values - mean) / width) / width / ndtr(mean / width)
        else:
            inside = _gauss(np.log(values / mean) / width) / (width * values)
        return np.nan_to_num(np.where(values > 0, inside, 0.0), nan=0.0)

    def _outlier(self, axis: int, values: np.ndarray) -> np.ndarray:
        """(n, 1) density of the outliers along an angle."""
        if axis == 0:
            return np.full_like(values, 1 / PERIOD_DEG)
        mean, std = (self.outliers.elevation_deg, self.outliers.inplane_deg)[axis - 1]
        return _truncated_density(values, np.array(mean), std, _OUTLIER_LIMITS_DEG[axis - 1])


def wrap_azimuth(angle: np.ndarray) -> np.ndarray:
    """Degrees into [0, 360)."""
    wrapped = np.mod(angle, PERIOD_DEG)
    return np.where(wrapped >= PERIOD_DEG, 0.0, wrapped)  # mod(-1e-20, 360) is 360


def wrap_signed(angle: np.ndarray) -> np.ndarray:
    """Degrees into [-180, 180)."""
    return wrap_azimuth(np.asarray(angle) + 180.0) - 180.0


def _folded(angle: np.ndarray) -> np.ndarray:
    """Degrees into [-90, 90) by mod 180, as Render-for-CNN does with elevation and in-plane."""
    wrapped = np.mod(angle + 90.0, 180.0)
    return np.where(wrapped >= 180.0, 0.0, wrapped) - 90.0


def wrapped_density(offset: np.ndarray, width: float, period: float) -> np.ndarray:
    """The wrapped normal of standard deviation `width` at these offsets, in degrees.

    By the sum over images up to a width of a quarter period, beyond that by the Fourier series;
    what is left out is less than 1e-12 of the maximum.
    """
    offset = np.mod(offset + period / 2, period) - period / 2
    result = np.zeros(offset.shape)
    if width < period / 4:
        most = max(0, int(np.ceil((8 * width - period / 2) / period)))
        for turn in range(-most, most + 1):
            result += _gauss((offset + turn * period) / width)
        return result / width
    for order in range(1, 8):
        damping = np.exp(-0.5 * (2 * np.pi * order * width / period) ** 2)
        result += damping * np.cos(2 * np.pi * order * offset / period)
    return (1 + 2 * result) / period


def _gauss(x: np.ndarray) -> np.ndarray:
    return np.exp(-0.5 * x * x) / np.sqrt(2 * np.pi)


def _truncated_density(
    values: np.ndarray, mean: np.ndarray, width: float, limit: float
) -> np.ndarray:
    """The density of a normal truncated to [-limit, limit]."""
    from scipy.special import ndtr

    mass = ndtr((limit - mean) / width) - ndtr((-limit - mean) / width)
    inside = _gauss((values - mean) / width) / (width * mass)
    return np.where(np.abs(values) <= limit, inside, 0.0)


def _normal(
    rank: np.ndarray, mean: np.ndarray | float, width: float, high: float, low: float | None = None
) -> np.ndarray:
    """Quantiles of a normal truncated to [low, high], low = -high if not given."""
    from scipy.special import ndtr, ndtri

    if width == 0:
        return rank * 0 + mean
    low = -high if low is None else low
    bottom, top = ndtr((low - mean) / width), ndtr((high - mean) / width)
    tiny = np.finfo(np.float64).tiny
    between = np.clip(bottom + rank * (top - bottom), tiny, 1 - 1e-16)
    return np.clip(mean + width * ndtri(between), low, high)

"""The density against quadrature, naive sums, its own samples, and symmetries."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import integrate, stats

from stages.errors import UsageError
from stages.geometry import cameras
from stages.viewpoints.density import Density, Outliers, wrap_signed, wrapped_density

COUNT = 200_000


def mixture(**more: object) -> Density:
    """A few annotations at the awkward places: across 0, at a pole, upside down."""
    points = np.array(
        [[359, 2, -179, 3], [1, 88, 5, np.nan], [140, -90, 179, 8], [250, 30, 0, 20.0]]
    )
    settings = {"bandwidth_deg": (12.0, 9.0, 15.0), "bandwidth_distance": 0.2} | more
    return Density(points, np.array([3.0, 1.0, 2.0, 4.0]), **settings)  # type: ignore[arg-type]


def naive(density: Density, point: np.ndarray) -> float:
    """The density at one point, component by component, by scipy.stats."""
    total = 0.0
    az, el, inp = density.bandwidth_deg
    for mean, count in zip(density.points, density.counts):
        value = count / density.counts.sum()
        for axis, width in ((0, az), (2, inp)):
            turns = 360 * np.arange(-20, 21)
            value *= stats.norm.pdf(point[axis] + turns, mean[axis], width).sum()
        low, high = (-90 - mean[1]) / el, (90 - mean[1]) / el
        total += value * stats.truncnorm.pdf(point[1], low, high, mean[1], el)
    out = density.outliers
    wide = 1 / 360
    for value, (mean, std), limit in (
        (point[1], out.elevation_deg, 85.0),
        (point[2], out.inplane_deg, 45.0),
    ):
        low, high = (-limit - mean) / std, (limit - mean) / std
        wide *= stats.truncnorm.pdf(value, low, high, mean, std)
    return (1 - out.share) * total + out.share * wide


@pytest.mark.parametrize("share", [0.0, 0.3])
def test_density_equals_the_naive_sum(share: float) -> None:
    density = mixture(outliers=Outliers(share, (3.0, 20.0), (-1.0, 20.0)))
    points = np.random.default_rng(0).uniform((0, -90, -180), (360, 90, 180), (50, 3))
    expected = [naive(density, point) for point in points]
    np.testing.assert_allclose(density.density(points), expected, rtol=1e-9)


@pytest.mark.parametrize("linear", [False, True])
@pytest.mark.parametrize("widths", [(12.0, 9.0, 15.0), (120.0, 60.0, 95.0)])
def test_density_integrates_to_one(linear: bool, widths: tuple[float, float, float]) -> None:
    density = mixture(bandwidth_deg=widths, linear=linear, outliers=Outliers(0.2))
    # Gauss-Legendre in elevation (smooth inside of [-90, 90] but for the outliers' limit at 85),
    # and the rectangle rule on the circles, which is exact for smooth periodic functions
    edges = np.array([-90.0, -85, 0, 85, 90])
    nodes, weights = np.polynomial.legendre.leggauss(24)
    half, middle = np.diff(edges)[:, None] / 2, (edges[1:] + edges[:-1])[:, None] / 2
    elevation = (middle + half * nodes).ravel()
    weight = (half * weights).ravel()
    for axis in (0, 2):
        # an even number of steps between -45 and 45, the limits of the outliers' in-plane
        circle = np.arange(0, 360, 0.5) + 0.25 - (180 if axis == 2 else 0)
        grid = np.stack(np.meshgrid(circle, elevation, indexing="ij"), -1).reshape(-1, 2)
        values = density.density(grid, axes=(axis, 1)).reshape(len(circle), len(elevation))
        total = 0.5 * (values @ weight).sum()
        assert abs(total - 1) < 1e-6  # rectangle rule at the outliers' cut in in-plane: 1e-7


def test_three_axes_are_the_joint_of_the_marginals() -> None:
    density = mixture()
    point = np.array([[20.0, 10.0, -30.0]])
    circle = np.arange(-180, 180, 1.0)
    along = np.column_stack([np.tile(point[0, :2], (360, 1)), circle])
    marginal = density.density(point[:, :2], axes=(0, 1))
    np.testing.assert_allclose(density.density(along).sum(), marginal[0], rtol=1e-9)


@pytest.mark.parametrize("linear", [False, True])
def test_distances_integrate_to_the_share_that_have_one(linear: bool) -> None:
    density = mixture(linear=linear, bandwidth_distance=4.0 if linear else 0.2)
    total, _ = integrate.quad(
        lambda d: density.density(np.array([[d]]), axes=(3,))[0], 0, 80, limit=200
    )
    assert total == pytest.approx(0.9, abs=1e-6)  # 9 of 10 annotations
    drawn = density.sample(COUNT, np.random.default_rng(0))[:, 3]
    assert np.nanmin(drawn) > 0
    # binomial standard deviation 0.0007
    assert np.isnan(drawn).mean() == pytest.approx(0.1, abs=0.004)


@pytest.mark.parametrize("linear", [False, True])
def test_samples_follow_the_density(linear: bool) -> None:
    """Kolmogorov-Smirnov of each angle against the integrated marginal density."""
    density = mixture(linear=linear, outliers=Outliers(0.1))
    drawn = density.sample(COUNT, np.random.default_rng(1))
    for axis, (low, high) in enumerate(((0, 360), (-90, 90), (-180, 180))):
        grid = np.linspace(low, high, 3601)
        values = density.density(grid[:, None], axes=(axis,))
        cumulative = integrate.cumulative_trapezoid(values, grid, initial=0)
        ranks = np.searchsorted(np.sort(drawn[:, axis]), grid, side="right") / COUNT
        # 99.9 % of the statistic is 1.95 / sqrt(n) = 0.0044
        assert np.abs(ranks - cumulative).max() < 0.0044, axis


def test_elevation_never_leaves_its_range_and_is_no_heap_at_the_pole() -> None:
    drawn = mixture(bandwidth_deg=(5.0, 40.0, 5.0)).sample(COUNT, np.random.default_rng(0))
    assert np.abs(drawn[:, 1]).max() <= 90
    assert (np.abs(drawn[:, 1]) == 90).sum() <= 2  # truncated, not clipped
    assert drawn[:, 0].min() >= 0
    assert drawn[:, 0].max() < 360
    assert drawn[:, 2].min() >= -180
    assert drawn[:, 2].max() < 180


def test_one_degree_on_either_side_of_the_front_is_one_heap() -> None:
    density = Density(
        np.array([[359, 0, 0, np.nan], [1, 0, 0, np.nan]]), np.ones(2), (2.0, 1.0, 1.0)
    )
    azimuth = density.sample(10_000, np.random.default_rng(0))[:, 0]
    assert np.abs(wrap_signed(azimuth)).max() < 12  # 1 + 5.5 standard deviations
    front, back = density.density(np.array([[0.0], [180.0]]), axes=(0,))
    assert front > 0.17  # of the two normals, each 0.176 at 1 degree off
    assert back < 1e-12


def test_turned_annotations_give_turned_samples() -> None:
    density = mixture()
    points = density.points.copy()
    points[:, 0] = (points[:, 0] + 180) % 360
    turned = Density(points, density.counts, density.bandwidth_deg, density.bandwidth_distance)
    first = density.sample(5000, np.random.default_rng(7))
    second = turned.sample(5000, np.random.default_rng(7))
    np.testing.assert_allclose(wrap_signed(second[:, 0] - first[:, 0] - 180), 0, atol=1e-9)
    np.testing.assert_array_equal(first[:, 1:], second[:, 1:])


def test_the_seed_alone_decides() -> None:
    first, again, other = (mixture().sample(64, np.random.default_rng(s)) for s in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert (first[:, 0] != other[:, 0]).all()


def test_bandwidth_zero_keeps_the_annotations() -> None:
    density = mixture(bandwidth_deg=(0.0, 0.0, 0.0), bandwidth_distance=0.0)
    drawn = density.sample(500, np.random.default_rng(0))
    known = {tuple(row) for row in np.nan_to_num(density.points, nan=-1)}
    assert {tuple(row) for row in np.nan_to_num(drawn, nan=-1)} == known
    with pytest.raises(UsageError, match="bandwidth 0"):
        density.density(np.zeros((1, 3)))


@pytest.mark.parametrize("width", [0.5, 20.0, 89.9, 90.0, 140.0, 400.0])
def test_wrapped_normal_either_way_of_summing(width: float) -> None:
    offsets = np.linspace(-720, 720, 97)
    images = 360 * np.arange(-30, 31)
    expected = stats.norm.pdf(offsets[:, None] + images, 0, width).sum(1)
    np.testing.assert_allclose(
        wrapped_density(offsets, width, 360.0), expected, rtol=1e-10, atol=1e-14
    )


def test_linear_folds_elevation_and_inplane_as_render_for_cnn() -> None:
    """mod(x + 90, 180) - 90, so that an elevation of 91 degrees becomes -89."""
    points = np.array([[10.0, 89.0, 170.0, np.nan]])
    drawn = Density(points, np.ones(1), (0.0, 3.0, 0.0), linear=True).sample(
        COUNT, np.random.default_rng(0)
    )
    assert drawn[:, 2] == pytest.approx(-10)
    beyond = stats.norm.sf(90, 89, 3)
    assert (drawn[:, 1] < 0).mean() == pytest.approx(beyond, abs=0.005)  # 5 standard deviations


def test_outliers_are_uniform_in_azimuth_and_within_their_limits() -> None:
    density = Density(
        np.array([[0.0, 0, 0, 2.0]]), np.ones(1), (1.0, 1.0, 1.0), outliers=Outliers(1.0)
    )
    drawn = density.sample(COUNT, np.random.default_rng(0))
    assert stats.kstest(drawn[:, 0], "uniform", (0, 360)).pvalue > 1e-3
    assert np.abs(drawn[:, 1]).max() <= 85
    assert np.abs(drawn[:, 2]).max() <= 45
    # standard deviation of a normal of 20 truncated at 4.25 and 2.25 of them
    assert drawn[:, 1].std() == pytest.approx(stats.truncnorm.std(-4.25, 4.25, 0, 20), rel=0.01)
    assert drawn[:, 2].std() == pytest.approx(stats.truncnorm.std(-2.25, 2.25, 0, 20), rel=0.01)


def test_beyond_a_pole_is_the_same_camera_from_the_other_side() -> None:
    """What fitting does with elevations beyond 90 degrees keeps the camera as it is."""
    from stages.viewpoints.fitting import fit_tables

    for elevation, azimuth in itertools.product((95.0, -120.0), (20.0, 300.0)):
        view = np.array([[azimuth, elevation, 10.0, 2.0]])
        table = fit_tables({"it": view})["it"]
        angles = [table[f"{axis}_deg"][0] for axis in ("azimuth", "elevation", "inplane")]
        named = cameras.extrinsics(np.array([*angles, 2.0]))
        np.testing.assert_allclose(named, cameras.extrinsics(view[0]), atol=1e-12)
        assert abs(angles[1]) <= 90

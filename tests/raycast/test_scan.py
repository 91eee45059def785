"""Ray lengths: beside a naive loop, and on shapes whose formula is known."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from stages.geometry.rotations import about_y, about_z
from stages.raycast import cast
from stages.sphere.grids import GRIDS, colatitudes, directions
from tests.raycast.naive import box, box_map, ellipsoid, naive_map, rotation, soup

# Float32 of lengths up to 2; the scan itself works in float64.
ATOL = 3e-7


def lengths(
    triangles: np.ndarray, n: int, grid: str = "midpoint", matrix: np.ndarray | None = None
) -> np.ndarray:
    return cast(triangles, n, grid, matrix=matrix)[0]


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("n", [4, 6, 32])
@pytest.mark.parametrize("size", [0.02, 0.3, 3.0])
def test_soups_beside_the_naive_loop(n: int, grid: str, size: float) -> None:
    """Triangles over a pole, across longitude 0, around the origin, of every size."""
    for seed in range(3):
        triangles = soup(80, size, seed)
        expected = naive_map(triangles, n, grid)
        np.testing.assert_allclose(lengths(triangles, n, grid), expected, atol=ATOL)
        assert n < 32 or (expected > 0).sum() > 5


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize(
    "corners",
    [
        [(1, 0, 0.5), (-1, 0.9, 0.5), (-1, -0.9, 0.5)],  # holds the north pole
        [(1, 0, -0.5), (-1, 0.9, -0.5), (-1, -0.9, -0.5)],  # the south pole
        [(1, 0, 0.5), (-1, 0, 0.5), (0, 0.9, 0.5)],  # an edge through the pole
        [(0, 0, 0.5), (1, 0.2, 0.3), (0.2, 1, 0.4)],  # a corner at the pole
        [(0, 0, 0.5), (0, 0, 0.2), (1, 0.3, 0.1)],  # an edge along the axis
        [(0.5, 0.1, 0.2), (0.5, -0.1, 0.1), (0.6, -0.2, -0.3)],  # across longitude 0
        [(900, 1, -800), (-700, 800, 2), (-20, -900, 700)],  # huge, close to the origin
        [(1e-3, 1e-3, 1e-9), (900, -900, 1e-3), (-900, 901, 900)],  # a corner near the origin
    ],
)
def test_single_triangles_beside_the_naive_loop(corners: list, grid: str) -> None:
    triangle = np.array([corners], np.float64)
    rng = np.random.default_rng(1)
    for _ in range(4):  # a little off, so that no ray is on an edge
        moved = triangle + 1e-3 * rng.normal(size=triangle.shape)
        found = lengths(moved, 32, grid)
        np.testing.assert_allclose(found, naive_map(moved, 32, grid), rtol=2e-7, atol=ATOL)
    # As it is, rays on its edges are its own: all that it covers, none that it does not.
    middle = triangle.mean(1, keepdims=True)
    smaller, larger = (middle + (triangle - middle) * (1 + grow) for grow in (-1e-9, 1e-9))
    found = lengths(triangle, 32, grid)
    inner, outer = naive_map(smaller, 32, grid), naive_map(larger, 32, grid)
    assert not ((inner > 0) & (found == 0)).any()
    assert not ((found > 0) & (outer == 0)).any()
    hit = found > 0
    np.testing.assert_allclose(found[hit], outer[hit], rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("axes", [(0.4, 0.4, 0.4), (0.45, 0.2, 0.1)])
def test_ellipsoids(axes: tuple, grid: str) -> None:
    expected = 1 / np.sqrt(((directions(64, grid) / axes) ** 2).sum(-1))
    found = lengths(ellipsoid(axes), 64, grid)
    # Chords of 20480 faces are 2.7e-4 of the radius inside of a ball.
    np.testing.assert_allclose(found, expected, rtol=3e-4)
    assert (found <= expected + ATOL).all()


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("pieces", [1, 2, 5])
@pytest.mark.parametrize(
    ("low", "high"),
    [
        ((-0.3, -0.3, -0.3), (0.3, 0.3, 0.3)),  # edges and corners exactly on rays
        ((-0.45, -0.2, -0.1), (0.45, 0.2, 0.1)),
        ((-0.1, -0.4, -0.05), (0.3, 0.1, 0.35)),  # off centre
        ((0.1, -0.2, -0.3), (0.5, 0.2, 0.1)),  # the centre outside
        ((-0.3, 0.0, -0.2), (0.3, 0.4, 0.2)),  # the centre on a side
        ((0.0, 0.0, 0.0), (0.3, 0.3, 0.3)),  # the centre at a corner
    ],
)
def test_boxes(low: tuple, high: tuple, pieces: int, grid: str) -> None:
    """No ray slips through where sides, edges and corners lie exactly on rays."""
    for n in (8, 64):
        expected = box_map(low, high, directions(n, grid))
        np.testing.assert_allclose(lengths(box(low, high, pieces), n, grid), expected, atol=ATOL)


@pytest.mark.parametrize("grid", GRIDS)
def test_a_closed_box_at_any_rotation_has_no_gap(grid: str) -> None:
    low, high = (-0.4, -0.3, -0.1), (0.2, 0.3, 0.2)
    triangles, rays = box(low, high, 4), directions(32, grid)
    for seed in range(20):
        turn = rotation(seed)
        found = lengths(triangles, 32, grid, turn)
        np.testing.assert_allclose(found, box_map(low, high, rays @ turn), atol=ATOL)


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("n", [8, 30, 64])
def test_octahedra_have_corners_at_the_poles_and_on_rays(n: int, grid: str) -> None:
    x, y, z = np.eye(3) * [[0.5], [0.4], [0.3]]
    triangles = np.array([(i * x, j * y, k * z) for i in (1, -1) for j in (1, -1) for k in (1, -1)])
    rays = directions(n, grid)
    # Turned by sines and cosines, corners are only almost on the axis.
    for turn in (np.eye(3), about_y(np.pi / 2), about_y(np.pi), about_z(1.0) @ about_y(-np.pi / 2)):
        expected = 1 / (np.abs(rays @ turn) / [0.5, 0.4, 0.3]).sum(-1)
        np.testing.assert_allclose(lengths(triangles, n, grid, turn), expected, atol=ATOL)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("grid", GRIDS)
def test_rays_that_meet_corners_head_on(grid: str, dtype: type) -> None:
    """A rugged planet with a corner on every ray: the ray is as long as the corner is far."""
    n = 32
    radius = np.random.default_rng(0).uniform(0.3, 0.5, (n, n))
    rows = list(radius[..., None] * directions(n, grid))
    if grid == "driscoll-healy":
        radius[0] = 0.4
        rows = rows[1:]
    triangles = []
    for ring, height in ((rows[0], 0.4), (rows[-1], -0.4)):  # caps
        pole = np.broadcast_to([0, 0, height], ring.shape)
        triangles.append(np.stack([ring, np.roll(ring, -1, 0), pole], 1))
    for upper, lower in pairwise(rows):
        upper_right, lower_right = np.roll(upper, -1, 0), np.roll(lower, -1, 0)
        triangles.append(np.stack([upper, lower, lower_right], 1))
        triangles.append(np.stack([upper, lower_right, upper_right], 1))
    found = lengths(np.concatenate(triangles).astype(dtype), n, grid)
    # A float32 corner is 3e-8 off its ray, and the steepest faces rise by 20 to the radian.
    np.testing.assert_allclose(found, radius, atol=ATOL if dtype == np.float64 else 3e-6)


def test_the_outermost_of_shells_is_seen_and_the_inner_one_through_its_hole() -> None:
    inner, outer = box((-0.2,) * 3, (0.2,) * 3, 2), box((-0.5,) * 3, (0.5,) * 3)
    rays = directions(64)
    far, near = (box_map((-half,) * 3, (half,) * 3, rays) for half in (0.5, 0.2))
    for order in ((inner, outer), (outer, inner)):
        np.testing.assert_allclose(lengths(np.concatenate(order), 64), far, atol=ATOL)
    above = outer[outer[..., 2].min(1) == 0.5]
    assert len(above) == 2
    open_above = outer[outer[..., 2].min(1) < 0.5]
    through = far * rays[..., 2] > 0.5 - 1e-9
    assert 0.1 < through.mean() < 0.3
    expected = np.where(through, near, far)
    np.testing.assert_allclose(
        lengths(np.concatenate([inner, open_above]), 64), expected, atol=ATOL
    )
    # and nothing through the hole of one shell: not the far wall, either
    np.testing.assert_allclose(lengths(open_above, 64), np.where(through, 0, far), atol=ATOL)


@pytest.mark.parametrize("grid", GRIDS)
def test_sheets_seen_edge_on_are_not_hit(grid: str) -> None:
    """Sheets through the centre in every plane that holds rays, and tilted ones."""
    sheet = np.array([[(-0.4, -0.3, 0), (0.4, -0.3, 0), (0, 0.5, 0)]], np.float64)
    flat, upright, sideways = np.eye(3), np.eye(3)[[2, 0, 1]], np.eye(3)[[1, 2, 0]]
    for seed in range(6):
        about = about_z(seed + 0.5)  # planes that hold the axis, up to rounding
        for turn in (flat, upright, sideways, about @ upright, about @ sideways, rotation(seed)):
            assert not lengths(sheet, 32, grid, turn).any()


@pytest.mark.parametrize("grid", GRIDS)
def test_triangles_without_area_change_nothing(grid: str) -> None:
    cube = box((-0.3,) * 3, (0.3,) * 3, 2)
    rng = np.random.default_rng(0)
    a, b = cube[:, 0], cube[:, 1]
    points = np.stack([a, a, a], 1) * 1.5  # corners further out, on rays
    lines = np.stack([a, b, (a + b) / 2], 1) * 1.5
    doubles = np.stack([a, b, b], 1) * 1.5
    mixed = rng.permutation(np.concatenate([cube, points, lines, doubles]))
    plain, with_lines = lengths(cube, 32, grid), lengths(mixed, 32, grid)
    np.testing.assert_array_equal(plain, with_lines)


@pytest.mark.parametrize("n", [8, 64])
def test_all_rays_of_the_pole_are_one(n: int) -> None:
    """A triangle with a corner at the pole that only the first meridian meets."""
    fan = np.array([[(0, 0, 0.3), (0.2, -0.01, 0.3), (0.2, 0.01, 0.3)]])
    found = lengths(fan, n, "driscoll-healy")
    np.testing.assert_allclose(found[0], 0.3, atol=ATOL)
    assert not found[1:, 1:].any()


def test_the_map_is_not_mirrored() -> None:
    """A bump at one direction is at the sample whose angles are nearest to it."""
    n, phi, theta = 64, np.radians(75.0), np.radians(40.0)
    towards = np.array([np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)])
    bump = 0.5 * towards + 0.02 * np.array([[1, 0, 0], [-1, 1, 0], [-1, -1, 0.5]])
    found = lengths(bump[None], n)
    row, column = np.argwhere(found > 0).mean(0)
    assert row == pytest.approx(np.abs(colatitudes(n) - theta).argmin(), abs=1)
    assert column == pytest.approx(75 / 360 * n, abs=1)


def test_what_is_not_finite_in_the_end_does_no_harm() -> None:
    """Coordinates so large that products overflow: some answer, within the arrays."""
    triangles = np.array([[(1e300, 1, 2), (3, -1e300, 1), (1, 2, 1e308)]])
    with np.errstate(all="ignore"):
        assert lengths(triangles, 16).shape == (16, 16)

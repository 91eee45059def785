"""Convex hulls and smallest balls."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from scipy.optimize import linprog

from stages.geometry.mesh import Mesh
from stages.raycast import cast
from stages.raycast.body import hull_of, prepare, smallest_ball
from stages.sphere.grids import directions
from tests.raycast.naive import box, ellipsoid, rotation, soup


def hull_map(points: np.ndarray, n: int) -> np.ndarray:
    """(n, n) how far out each ray stays in the hull of the points, by linear programming.

    The largest t for which t * ray is a convex combination of the points.
    """
    rays = directions(n).reshape(-1, 3)
    lengths = []
    for ray in rays:
        equal = np.column_stack([np.vstack([points.T, np.ones(len(points))]), [*-ray, 0]])
        found = linprog([0] * len(points) + [-1], A_eq=equal, b_eq=[0, 0, 0, 1])
        lengths.append(found.x[-1] if found.success else 0)
    return np.array(lengths).reshape(n, n)


@pytest.mark.parametrize("offset", [0.0, 1.2])
def test_hulls_beside_linear_programming(offset: float) -> None:
    """With the centre in the hull, and outside of it."""
    shape = soup(12, 0.1, 4) * [1, 1, 0.5] + [0, 0, offset]
    expected = hull_map(shape.reshape(-1, 3), 8)
    assert offset == 0 or (expected == 0).any()
    np.testing.assert_allclose(cast(shape, 8, channels="length+hull")[1], expected, atol=1e-6)


def test_the_hull_of_a_convex_shape_is_the_shape() -> None:
    for shape in (box((-0.4, -0.3, -0.2), (0.4, 0.3, 0.2), 3), ellipsoid((0.4, 0.3, 0.2), 3)):
        length, sine, hull_length, hull_sine = cast(shape, 32, channels="all")
        np.testing.assert_allclose(hull_length, length, atol=3e-7)
        same = np.abs(hull_sine - sine) < 1e-5
        assert same.mean() > 0.9  # all but rays on edges, where it is that of either face


def test_the_hull_is_nowhere_nearer_than_the_shape() -> None:
    for seed in range(5):
        length, hull = cast(soup(100, 0.2, seed), 32, channels="length+hull")
        assert (hull >= length - 3e-7).all()


def test_vertices_that_no_face_uses_are_not_in_the_hull() -> None:
    cube = box((-0.2,) * 3, (0.2,) * 3)
    vertices = np.concatenate([cube.reshape(-1, 3), [[5, 5, 5]]])
    mesh = Mesh.plain(vertices, np.arange(36).reshape(12, 3))
    np.testing.assert_array_equal(*cast(mesh, 16, channels="length+hull"))


@pytest.mark.parametrize("turn", [np.eye(3), rotation(0)])
@pytest.mark.parametrize("thickness", [0.0, 1e-9])
def test_the_hull_of_a_flat_shape_is_the_polygon_around_it(
    turn: np.ndarray, thickness: float
) -> None:
    """An L in the plane z = 0.2: the hull fills its corner."""
    rng = np.random.default_rng(0)
    outline = np.array([(-0.3, -0.3), (0.3, -0.3), (0.3, 0), (0, 0), (0, 0.3), (-0.3, 0.3)])
    sheet = np.column_stack([outline, np.full(6, 0.2) + thickness * rng.normal(size=6)])
    faces = np.array([[0, 1, 2], [0, 2, 3], [0, 3, 4], [0, 4, 5]])
    hull = hull_of(sheet @ turn.T)
    area = (
        np.linalg.norm(
            np.cross(
                *(hull.vertices[hull.faces[:, i]] - hull.vertices[hull.faces[:, 0]] for i in (1, 2))
            ),
            axis=1,
        ).sum()
        / 2
    )
    assert area == pytest.approx(0.36 - 0.09 / 2, rel=1e-6)
    length, filled = cast((sheet @ turn.T)[faces], 64, channels="length+hull")
    seen = directions(64) @ turn  # in the frame of the sheet
    with np.errstate(divide="ignore", invalid="ignore"):
        at = 0.2 * seen[..., :2] / seen[..., 2:]
    inside = (np.abs(at).max(-1) < 0.3) & (at.sum(-1) < 0.3) & (seen[..., 2] > 0)
    expected = np.where(inside, 0.2 / seen[..., 2], 0)
    np.testing.assert_allclose(filled, expected, atol=1e-6)
    assert (filled > 0).sum() > (length > 0).sum() > 0


def test_points_on_a_line_have_no_hull() -> None:
    line = np.outer(np.linspace(-1, 1, 9), rotation(1)[0]) + 0.1
    assert len(hull_of(line).faces) == 0
    assert len(hull_of(np.ones((4, 3))).faces) == 0
    needle = prepare(line.reshape(3, 3, 3), hull=True)
    assert not cast(needle, 16, channels="all").any()


def test_smallest_balls_of_known_shapes() -> None:
    for points, centre, radius in (
        (np.array([[1.0, 2, 3]]), (1, 2, 3), 0),
        (np.array([[0.0, 0, 0], [2, 0, 0], [1, 0.5, 0]]), (1, 0, 0), 1),
        (np.array(list(np.ndindex(2, 2, 2)), np.float64), (0.5, 0.5, 0.5), np.sqrt(0.75)),
        (ellipsoid((0.5, 0.5, 0.5), 3).reshape(-1, 3) + 1, (1, 1, 1), 0.5),
        (np.ones((7, 3)), (1, 1, 1), 0),
    ):
        found, reach = smallest_ball(points)
        np.testing.assert_allclose(found, centre, atol=1e-9)
        assert reach == pytest.approx(radius, abs=1e-12)


def test_smallest_balls_beside_every_choice_of_four() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        points = rng.normal(size=(9, 3)) * rng.uniform(0.01, 1, 3)
        best = np.inf
        for count in (2, 3, 4):
            for chosen in combinations(points, count):
                sides = np.array(chosen[1:]) - chosen[0]
                # normal equations, where the code takes least squares
                weights = np.linalg.solve(2 * sides @ sides.T, (sides**2).sum(1))
                centre = chosen[0] + weights @ sides
                best = min(best, np.linalg.norm(points - centre, axis=1).max())
        centre, radius = smallest_ball(points)
        assert radius == pytest.approx(best, rel=1e-9)
        assert np.linalg.norm(points - centre, axis=1).max() == pytest.approx(radius)


def test_smallest_balls_of_many_points_cannot_shrink() -> None:
    """All points inside, and the centre in the hull of those on the surface: no way to go."""
    points = np.random.default_rng(1).normal(size=(20000, 3)) * [1, 0.4, 0.2]
    for sample in (points, points / np.linalg.norm(points, axis=1, keepdims=True)):
        centre, radius = smallest_ball(sample)
        distances = np.linalg.norm(sample - centre, axis=1)
        assert distances.max() == radius
        touching = sample[distances > radius * (1 - 1e-9)]
        equal = np.vstack([touching.T, np.ones(len(touching))])
        found = linprog(np.zeros(len(touching)), A_eq=equal, b_eq=[*centre, 1])
        assert found.success

"""Touched voxels against thirteen separating axes, spelled out."""

import numpy as np
import pytest

from tests.voxelize.naive import grid, touched

RES = 16


@pytest.mark.parametrize("size", [0.02, 0.3, 1.5, 6, 40])
def test_random_triangles(size):
    """Sizes in voxels, from specks to triangles larger than the grid; some lie outside."""
    rng = np.random.default_rng(int(size * 100))
    middles = rng.uniform(-3, RES + 3, (60, 1, 3))
    triangles = ((middles + rng.normal(0, size, (60, 3, 3))) / RES - 0.5).astype(np.float32)
    assert touched(triangles, RES).any()
    for part in np.split(triangles, 12):
        np.testing.assert_array_equal(grid(part, res=RES, fill="surface"), touched(part, RES))


@pytest.mark.parametrize("flat", [None, 0, 1, 2])
def test_corners_on_borders_and_centres_of_voxels(flat):
    """Touching counts: halves of voxels are exact numbers, so ties are ties in both."""
    rng = np.random.default_rng(4)
    corners = rng.integers(-2, 2 * RES + 3, (60, 3, 3)) / 2
    if flat is not None:
        corners[:, :, flat] = corners[:, :1, flat]
    triangles = (corners / RES - 0.5).astype(np.float32)
    for triangle in triangles:
        part = triangle[None]
        np.testing.assert_array_equal(grid(part, res=RES, fill="surface"), touched(part, RES))


def test_lines_and_points():
    """Faces without area touch what their line or point touches."""
    rng = np.random.default_rng(5)
    ends = rng.uniform(-0.5, 0.5, (20, 2, 3)).astype(np.float32)
    for a, b in ends:
        for triangle in ([a, b, b], [a, a, a]):
            part = np.array([triangle])
            np.testing.assert_array_equal(grid(part, res=RES, fill="surface"), touched(part, RES))


def test_dense_samples_of_a_triangle_are_all_covered():
    rng = np.random.default_rng(6)
    triangles = rng.uniform(-0.5, 0.5, (20, 3, 3)).astype(np.float32)
    weights = rng.dirichlet([1, 1, 1], 20000)
    voxels = grid(triangles, res=RES, fill="surface")
    places = np.einsum("nc,tcd->tnd", weights, triangles.astype(np.float64)).reshape(-1, 3)
    cells = np.floor((places + 0.5) * RES).astype(int)
    assert voxels[tuple(cells.T)].all()

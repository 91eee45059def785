"""Maps of rotated shapes, the other channels, and what the library refuses."""

from __future__ import annotations

import numpy as np
import pytest

from stages.errors import ItemError, UsageError
from stages.geometry.mesh import Mesh
from stages.geometry.rotations import about_z
from stages.raycast import CHANNELS, cast
from stages.raycast.body import prepare
from stages.sphere.grids import GRIDS, directions
from tests.raycast.naive import box, ellipsoid, farthest, rotation, soup

ATOL = 3e-7  # float32 of lengths up to 2


def open_box() -> np.ndarray:
    """Half of a box whose rims lie on rays of both grids."""
    sides = box((-0.3, -0.2, -0.1), (0.3, 0.2, 0.25), 2)
    return sides[sides[..., 1].max(1) <= 0]


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("shape", [soup(100, 0.2, 0), open_box()], ids=["soup", "open box"])
def test_turning_the_shape_about_z_turns_the_map(shape: np.ndarray, grid: str) -> None:
    n = 24
    plain = cast(shape, n, grid, "length+sine")
    for k in range(n):
        turned = cast(shape, n, grid, "length+sine", about_z(2 * np.pi * k / n))
        np.testing.assert_allclose(turned[0], np.roll(plain[0], k, -1), atol=ATOL)
        # At an edge either face's sine will do; a soup has no edges on rays.
        if len(shape) == 100:
            np.testing.assert_allclose(turned[1], np.roll(plain[1], k, -1), atol=1e-6)


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("shape", [soup(100, 0.2, 0), open_box()], ids=["soup", "open box"])
def test_mirror_images_and_quarter_turns(shape: np.ndarray, grid: str) -> None:
    """Every symmetry that takes the grid to itself: rows j, columns k of the map go with it."""
    n = 24
    plain, column = cast(shape, n, grid)[0], np.arange(n)
    cases = [
        (np.diag([1, -1, 1]), plain[:, -column]),
        (np.diag([-1, 1, 1]), plain[:, n // 2 - column]),
        (np.diag([-1, -1, 1]), plain[:, column - n // 2]),
        (np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1]]), plain[:, column - n // 4]),
    ]
    if grid == "midpoint":
        cases += [
            (np.diag([1, 1, -1]), plain[::-1]),
            (np.diag([1, -1, -1]), plain[::-1, -column]),  # half a turn about x
            (-np.eye(3), plain[::-1, column - n // 2]),
        ]
    for matrix, expected in cases:
        np.testing.assert_allclose(cast(shape, n, grid, matrix=matrix)[0], expected, atol=ATOL)


@pytest.mark.parametrize("grid", GRIDS)
def test_any_matrix_is_that_of_the_moved_shape(grid: str) -> None:
    """A rotation turns rays back into the shape's frame; a scaling moves corners."""
    n, shape = 16, soup(100, 0.2, 1)
    turn = rotation(3)
    # The value at direction d of the turned shape is that of the shape at R^T d.
    expected = farthest(shape, directions(n, grid) @ turn)
    np.testing.assert_allclose(cast(shape, n, grid, matrix=turn)[0], expected, atol=ATOL)
    general = turn @ np.diag([0.7, 1.2, 1.5])
    moved = cast(shape @ general.T, n, grid, "all")
    np.testing.assert_allclose(cast(shape, n, grid, "all", general), moved, atol=1e-6)


def test_meshes_triangles_and_bodies_are_the_same() -> None:
    shape = soup(50, 0.3, 2).astype(np.float32)
    corners, faces = np.unique(shape.reshape(-1, 3), axis=0, return_inverse=True)
    mesh = Mesh.plain(corners, faces.reshape(-1, 3))
    maps = [cast(one, 16, channels="all") for one in (shape, mesh, prepare(mesh, hull=True))]
    assert maps[0].shape == (4, 16, 16)
    assert maps[0].dtype == np.float32
    np.testing.assert_array_equal(maps[0], maps[1])
    np.testing.assert_array_equal(maps[0], maps[2])
    centred = prepare(mesh, centre=np.array([0.1, 0.2, -0.1]))
    moved = mesh.moved(np.eye(3), 1, np.array([-0.1, -0.2, 0.1]))
    np.testing.assert_allclose(cast(centred, 16), cast(moved, 16), atol=ATOL)


def test_channels_are_those_named_in_their_order() -> None:
    shape = soup(50, 0.3, 2)
    everything = cast(shape, 16, channels="all")
    order = ("length", "sine", "hull length", "hull sine")
    for channels, names in CHANNELS.items():
        expected = everything[[order.index(name) for name in names]]
        np.testing.assert_array_equal(cast(shape, 16, channels=channels), expected)


@pytest.mark.parametrize("grid", GRIDS)
def test_sines_of_a_box(grid: str) -> None:
    half = np.array([0.4, 0.3, 0.2])
    rays = directions(32, grid)
    reach = np.abs(rays) / half
    normal = reach.argmax(-1)
    expected = np.sqrt(1 - np.take_along_axis(rays, normal[..., None], -1)[..., 0] ** 2)
    sine = cast(box(tuple(-half), tuple(half), 3), 32, grid, "length+sine")[1]
    inside = np.diff(np.sort(reach, -1)[..., 1:], axis=-1)[..., 0] > 1e-9  # not on an edge
    np.testing.assert_allclose(sine[inside], expected[inside], atol=1e-6)
    assert inside.mean() > 0.9


def test_sines_of_an_ellipsoid() -> None:
    axes = np.array([0.45, 0.3, 0.2])
    rays = directions(32)
    normal = rays / axes**2
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
    expected = np.linalg.norm(np.cross(rays, normal), axis=-1)
    _, sine = cast(ellipsoid(tuple(axes), 5), 32, channels="length+sine")
    # Faces of 1.7 degrees on the ball, stretched 2.25 times: their normals are within 2 degrees.
    np.testing.assert_allclose(sine, expected, atol=0.035)
    assert np.abs(sine - expected).mean() < 0.01


def test_sines_are_0_to_1_whatever_the_faces() -> None:
    shape = np.concatenate([soup(200, 0.3, 5), soup(200, 3, 6)])
    length, sine = cast(shape, 32, channels="length+sine")
    assert sine.min() >= 0
    assert sine.max() <= 1
    assert not sine[length == 0].any()
    flipped = cast(shape[:, ::-1], 32, channels="length+sine")
    np.testing.assert_allclose(flipped, [length, sine], atol=1e-6)  # back faces count


def test_what_cannot_be_cast_is_refused() -> None:
    shape = soup(5, 0.3, 2)
    with pytest.raises(UsageError, match="channels 'depth'"):
        cast(shape, 16, channels="depth")
    with pytest.raises(UsageError, match="grid 'healpix'"):
        cast(shape, 16, "healpix")
    for res in (15, 2, 0):
        with pytest.raises(UsageError, match=f"{res} x {res}"):
            cast(shape, res)
    for matrix in (np.eye(4), np.full((3, 3), np.nan)):
        with pytest.raises(UsageError, match="3 x 3"):
            cast(shape, 16, matrix=matrix)
    with pytest.raises(UsageError, match="no hull"):
        cast(prepare(shape), 16, channels="all")
    for broken in (shape[:0], np.full((2, 3, 3), np.inf)):
        with pytest.raises(ItemError):
            cast(broken, 16)
    arrays = Mesh.plain(np.eye(3), np.array([[0, 1, 2]])).to_arrays()
    arrays["faces"] = np.array([[0, 1, 3]], np.int32)
    with pytest.raises(ItemError, match="not there"):
        cast(Mesh.from_arrays(arrays), 16)

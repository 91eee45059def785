"""Depth and coverage against closed forms and naive ray casting."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import trimesh
from scipy.spatial import Delaunay

from stages.depths.zbuffer import depth_maps
from stages.geometry import cameras
from stages.geometry.mesh import Mesh
from stages.geometry.orthographic import fixed_viewpoints, random_viewpoints
from tests.depths.shapes import L_BOXES, ell, slabs, soup
from tests.render.models import box, joined, load_open_model, open_model_rows

SIZE = 64
ANY = cameras.extrinsics(random_viewpoints(6, np.random.default_rng(0)))
FRONT = cameras.extrinsics(np.array([[0.0, 0, 0, 1]]))


def rays(matrix: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """(size * size, 3) points at depth 0 behind pixel centres, and the (3,) viewing direction."""
    steps = (np.arange(size) + 0.5) / size - 0.5
    y, x = np.meshgrid(steps, steps, indexing="ij")
    camera = np.stack([x, y, np.zeros_like(x)], -1).reshape(-1, 3)
    return (camera - matrix[:, 3]) @ matrix[:, :3], matrix[2, :3]


def cast(mesh: Mesh, starts: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """(n,) distances to the first hit from (n, 3) starts, 0 for none (Moller and Trumbore 1997)."""
    corners = mesh.triangles.astype(np.float64)
    one, two = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    across = np.cross(direction, two)
    det = (one * across).sum(-1)
    found = np.zeros(len(starts))
    for n, start in enumerate(starts):
        off = start - corners[:, 0]
        turned = np.cross(off, one)
        with np.errstate(divide="ignore", invalid="ignore"):
            u, v = (off * across).sum(-1) / det, turned @ direction / det
            t = (two * turned).sum(-1) / det
        found[n] = t[(u >= 0) & (v >= 0) & (u + v <= 1)].min(initial=np.inf)
    return np.where(np.isfinite(found), found, 0)


def check_against_rays(mesh: Mesh, matrices: np.ndarray, count: int = 250) -> None:
    pictures = depth_maps(mesh, matrices, SIZE)
    assert pictures.dtype == np.float32
    for matrix, picture in zip(matrices, pictures):
        wanted = np.random.default_rng(1).permutation(SIZE * SIZE)[:count]
        starts, direction = rays(matrix, SIZE)
        expected = cast(mesh, starts[wanted], direction)
        got = picture.reshape(-1)[wanted]
        assert np.array_equal(got > 0, expected > 0)
        assert count / 50 < (got > 0).sum() < count
        # Half a unit in the last place of single precision between 1 and 2.
        np.testing.assert_allclose(got, expected, atol=6.1e-8, rtol=0)


@pytest.mark.parametrize(("count", "side"), [(3000, 0.02), (300, 0.1), (20, 0.4)])
def test_soups_equal_ray_casting(count: int, side: float) -> None:
    check_against_rays(soup(count, side, count), ANY)


def test_a_real_mesh_equals_ray_casting(shared_data: Path) -> None:
    folder = shared_data / "openmodels"
    mesh = load_open_model(folder, open_model_rows(folder)["torcs-car1-stock2"])
    check_against_rays(mesh, ANY[:3])


def test_a_sphere_has_the_depth_of_its_formula() -> None:
    radius, size = 0.4, 128
    ball = trimesh.creation.icosphere(5, radius)
    pictures = depth_maps(Mesh.plain(ball.vertices, ball.faces), ANY, size)
    steps = (np.arange(size) + 0.5) / size - 0.5
    across = np.hypot(steps, steps[:, None])
    # The chords of 20,480 faces lie up to 1.1e-4 inside the sphere, 0.014 px at the silhouette.
    off_edge = np.abs(across - radius) * size > 0.05
    inner = across < 0.95 * radius  # where 1.1e-4 of radius is 3.5e-4 of depth
    expected = 1 - np.sqrt(radius**2 - across[inner] ** 2)
    for picture in pictures:
        assert np.array_equal((picture > 0)[off_edge], (across < radius)[off_edge])
        np.testing.assert_allclose(picture[inner], expected, atol=4e-4)


def test_boxes_equal_slabs_from_anywhere() -> None:
    matrices = np.concatenate([ANY, cameras.extrinsics(fixed_viewpoints(12))])
    for matrix, picture in zip(matrices, depth_maps(ell(), matrices, SIZE)):
        expected = slabs(L_BOXES, *rays(matrix, SIZE)).reshape(SIZE, SIZE)
        assert np.array_equal(picture > 0, np.isfinite(expected))
        # Corners are kept in single precision, 1.5e-8 off; no face is seen flatter than 5 to 1.
        seen = picture > 0
        np.testing.assert_allclose(picture[seen], expected[seen], atol=3e-7)


def test_the_front_of_an_ell_by_hand() -> None:
    """No mirror, swap, turn or half pixel: which pixels, and how deep."""
    picture = depth_maps(ell(), FRONT, 100)[0]
    expected = np.zeros((100, 100))
    expected[20:75, 20:36] = 0.9  # x -0.30 .. -0.14 and z 0.30 .. -0.25, the front at y = -0.10
    expected[57:75, 36:72] = 0.9  # x up to 0.22, z -0.07 .. -0.25
    np.testing.assert_allclose(picture, expected, atol=1e-7)
    # From the object's left (azimuth 90, camera at +x), its front is to the left.
    left = depth_maps(ell(), cameras.extrinsics(np.array([[90.0, 0, 0, 1]])), 100)[0]
    expected = np.zeros((100, 100))
    expected[20:57, 40:66] = 1.14  # y -0.10 .. 0.16; the upright's side at x = -0.14
    expected[57:75, 40:66] = 0.78  # the end of the foot at x = 0.22
    np.testing.assert_allclose(left, expected, atol=1e-7)


def tiling(corners: np.ndarray, seed: int) -> Mesh:
    """The Delaunay mesh of (n, 2) pixel places in the plane y = 0, half of its faces flipped."""
    rng = np.random.default_rng(seed)
    faces = Delaunay(corners).simplices
    flipped = rng.random(len(faces)) < 0.5
    faces[flipped] = faces[flipped][:, ::-1]
    place = corners / SIZE - 0.5
    return Mesh.plain(np.stack([place[:, 0], np.zeros(len(place)), -place[:, 1]], -1), faces)


@pytest.mark.parametrize("offset", [0.5, 0.0, None])
def test_no_centre_falls_between_faces_that_share_edges(offset: float | None) -> None:
    """Corners at pixel centres, at pixel corners and anywhere, with slivers."""
    rng = np.random.default_rng(2)
    frame = np.array([[3, 3], [3, 60], [60, 3], [60, 60]])
    if offset is None:
        inner = rng.uniform(3, 60, (3000, 2))
        inner[::3, 0] = 30.5 + rng.normal(0, 1e-9, 1000)  # all but on one line through centres
    else:
        inner = np.unique(rng.integers(4, 60, (300, 2)), axis=0) + offset
    mesh = tiling(np.concatenate([frame, inner]), 3)
    picture = depth_maps(mesh, FRONT, SIZE)[0]
    expected = np.zeros((SIZE, SIZE))
    expected[3:60, 3:60] = 1
    np.testing.assert_allclose(picture, expected, atol=1e-12)


def test_steps_through_centres_are_closed_and_sharp() -> None:
    """Boxes whose sides, seen edge-on, run through centres but for the rounding of cos 90."""
    axes = np.array([[a, 0, 0, 1] for a in (0, 90, 180, 270)] + [[0, e, 0, 1.0] for e in (90, -90)])
    # Whole steps of 1/64 and half a pixel: rows 13 to 50 and the like.
    steps = np.array([[[-20, -8, -18], [-9, 12, 19]], [[-9, -8, -18], [15, 12, -5]]])
    boxes = (steps + 0.5) / SIZE
    mesh = joined(*(box(low, high) for low, high in boxes))
    closed = boxes + np.array([[-1e-9], [1e-9]])  # rays along a side meet it
    for turn in (0.0, 1e-15, -1e-15, 3e-15):
        matrices = cameras.extrinsics(axes)
        matrices[:, :2, 3] += turn
        for matrix, picture in zip(matrices, depth_maps(mesh, matrices, SIZE)):
            expected = slabs(closed, *rays(matrix, SIZE)).reshape(SIZE, SIZE)
            assert np.array_equal(picture > 0, np.isfinite(expected))
            np.testing.assert_allclose(picture[picture > 0], expected[picture > 0], atol=1e-7)


def test_a_sheet_seen_edge_on_is_a_line_of_its_nearest_points() -> None:
    """The triangle at x = 1/128, from the front, is in the column of centres there."""
    x = 1 / 128
    corners = np.array([[x, -0.2, -0.3], [x, 0.3, 0.2], [x, 0.1, 0.25]])
    picture = depth_maps(Mesh.plain(corners, np.array([[0, 1, 2]])), FRONT, SIZE)[0]
    z = 0.5 - (np.arange(SIZE) + 0.5) / SIZE
    between = (z > -0.3) & (z < 0.25)
    expected = np.zeros((SIZE, SIZE))
    expected[between, 32] = 1 - 0.2 + 0.3 * (z[between] + 0.3) / 0.55  # from the first to the last
    np.testing.assert_allclose(picture, expected, atol=1e-7)


def test_no_centre_falls_between_faces_whose_seam_rounding_moves() -> None:
    """A seam of corners that lie in one column of centres but for the last bits of their u."""
    rng = np.random.default_rng(4)
    matrix = cameras.extrinsics(np.array([[45.0, 0, 0, 1]]))
    count = 200
    for _ in range(40):
        # Steps along the optical axis (1, -1) change u by rounding alone.
        along = np.round(rng.uniform(-0.2, 0.2, count) * 2**16) / 2**16
        height = np.sort(rng.uniform(-0.3, 0.3, count))
        seam = np.stack([along, -along, height], -1)
        ends = np.array([[-0.2, -0.2, 0], [0.2, 0.2, 0]])
        pairs = np.stack([np.arange(count - 1), np.arange(1, count)], -1)
        fans = [np.column_stack([pairs, np.full(count - 1, count + n)]) for n in (0, 1)]
        mesh = Mesh.plain(np.concatenate([seam, ends]), np.concatenate(fans))
        shifted = matrix.copy()
        shifted[0, 0, 3] = 0.5 / SIZE + rng.normal(0, 2e-17)
        picture = depth_maps(mesh, shifted, SIZE)[0]
        z = 0.5 - (np.arange(SIZE) + 0.5) / SIZE
        inside = (z > height[0]) & (z < height[-1])
        assert (picture[inside, 32] > 0).all()


def test_a_closed_surface_has_no_holes_at_any_turn() -> None:
    """Thousands of shared edges, some nearly edge-on: each row of the sphere is one run."""
    ball = trimesh.creation.icosphere(4, 0.45)
    pictures = depth_maps(Mesh.plain(ball.vertices, ball.faces), ANY, 256)
    changes = np.abs(np.diff((pictures > 0).astype(int), axis=2)).sum(2)
    assert set(np.unique(changes)) == {0, 2}


def test_order_winding_and_doubles_do_not_matter() -> None:
    mesh = soup(400, 0.1, 5)
    rng = np.random.default_rng(6)
    faces = mesh.faces[rng.permutation(len(mesh.faces))]
    faces[::2] = faces[::2, ::-1]
    other = Mesh.plain(mesh.vertices, np.concatenate([faces, mesh.faces[:50]]))
    first, second = depth_maps(mesh, ANY, SIZE), depth_maps(other, ANY, SIZE)
    # The sum that makes a depth runs in another order; coverage is the same.
    assert np.array_equal(first > 0, second > 0)
    np.testing.assert_allclose(first, second, atol=1.2e-7)


def test_faces_without_area_and_faces_seen_edge_on_are_nothing() -> None:
    points = np.array([[-0.3, -0.3, 0.1], [0.3, 0.3, 0.1], [-0.3, 0.4, 0.1], [0, 0, 0.1]])
    mesh = Mesh.plain(points, np.array([[0, 1, 2], [0, 3, 1], [0, 0, 1], [3, 3, 3]]))
    assert not depth_maps(mesh, FRONT, SIZE).any()
    above = cameras.extrinsics(np.array([[0.0, 90, 0, 1]]))
    only = depth_maps(Mesh.plain(points, mesh.faces[:1]), above, SIZE)
    assert only.any()
    np.testing.assert_array_equal(depth_maps(mesh, above, SIZE), only)


def test_what_leaves_the_picture_is_cut_off() -> None:
    wall = Mesh.plain(
        np.array([[-9, 0.2, -7], [8, 0.2, -6], [0.1, 0.2, 9.0]]), np.array([[0, 1, 2]])
    )
    np.testing.assert_allclose(depth_maps(wall, FRONT, SIZE), 1.2, atol=1e-7)
    beside = Mesh.plain(wall.vertices + np.array([30.0, 0, 0]), wall.faces)
    assert not depth_maps(beside, FRONT, SIZE).any()

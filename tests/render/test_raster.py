"""Coverage, depth and colour against closed forms, SciPy and naive ray casting."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import trimesh
from scipy.ndimage import map_coordinates
from scipy.spatial import Delaunay

from stages.geometry import cameras
from stages.geometry.mesh import Mesh
from stages.render import backend, raster
from stages.render.surface import NEAR, Shot, light, prepare
from tests.render.models import box, joined, load_open_model, open_model_rows, textured_quad
from tests.render.shots import EVEN, SIDE, rays, shoot

IDENTITY = np.eye(3, 4)  # the camera at the origin of the world, looking along +z
GRID = np.array([[64, 0, 32], [0, 64, 32], [0, 0, 1.0]])  # 64 px, exact in binary


def test_a_sphere_has_the_silhouette_depth_and_shade_of_its_formula(renderer: str) -> None:
    size, radius, distance = 128, 0.4, 2.0
    ball = trimesh.creation.icosphere(5, radius)
    rgb, depth = shoot(Mesh.plain(ball.vertices, ball.faces), size=size, lamp=SIDE, name=renderer)

    ray = rays(size)
    square = (ray**2).sum(-1)
    root = distance**2 - square * (distance**2 - radius**2)
    # The chords of 20,480 faces lie up to 6e-5 inside the sphere, 0.008 px at the silhouette: only
    # pixels nearer than 0.05 px to the circle may go either way.
    edge = cameras.FOCAL * size * radius / np.sqrt(distance**2 - radius**2)
    off_edge = np.abs(np.hypot(ray[..., 0], ray[..., 1]) * cameras.FOCAL * size - edge) > 0.05
    assert np.array_equal((depth > 0)[off_edge], (root > 0)[off_edge])

    inner = root > 0.02  # away from the rim, where 6e-5 of radius is a small change of depth
    expected = (distance - np.sqrt(root[inner])) / square[inner]
    assert depth[inner] == pytest.approx(expected, abs=3e-4)
    normal = (ray[inner] * expected[:, None] - [0, 0, distance]) / radius
    shade = 0.4 + np.maximum(0, normal @ SIDE.towards)
    # Interpolated normals of faces 0.014 wide are those of the sphere to 1e-3, colours to 1/255.
    assert rgb[inner][:, 0] == pytest.approx(255 * np.float32(0.7) * shade, abs=1.5)


def test_light_directions_are_right_of_and_above_the_camera() -> None:
    assert light(90, 0, 1, 0).towards == pytest.approx([1, 0, 0])
    assert light(0, 90, 1, 0).towards == pytest.approx([0, -1, 0])
    assert light(0, 0, 0.5, 0).towards == pytest.approx([0, 0, -0.5])


def test_faces_that_share_edges_cover_each_pixel_once() -> None:
    """Corners at pixel centres, edges through pixel centres, both windings."""
    rng = np.random.default_rng(0)
    lattice = rng.integers(4, 60, (60, 2))
    lattice = np.unique(np.concatenate([lattice, [[4, 4], [4, 59], [59, 4], [59, 59]]]), axis=0)
    points = np.column_stack([(lattice + 0.5 - 32) / 64, np.ones(len(lattice))])
    faces = Delaunay(lattice).simplices
    flipped = rng.random(len(faces)) < 0.5
    faces[flipped] = faces[flipped][:, ::-1]
    drawn = np.zeros((64, 64), int)
    for face in faces:
        scene = raster.Scene(prepare(Mesh.plain(points, face[None]), False, 64))
        drawn += scene.shoot(Shot(IDENTITY, GRID, 64, EVEN))[1] > 0
    assert (drawn[5:59, 5:59] == 1).all()
    assert drawn.max() == 1
    assert drawn[:4].sum() + drawn[60:].sum() + drawn[:, :4].sum() + drawn[:, 60:].sum() == 0


def test_triangles_that_reach_behind_the_camera_are_cut_at_the_near_plane(renderer: str) -> None:
    """A floor 0.02 below the camera, from 5 behind it to 10 in front."""
    corners = np.array([[-9, 0.02, -5], [9, 0.02, -5], [0.0, 0.02, 10]])
    floor = Mesh.plain(corners, np.array([[0, 1, 2]]))
    scene = backend.scene_class(renderer)(prepare(floor, False, 64))
    _, depth = scene.shoot(Shot(IDENTITY, GRID, 64, EVEN))
    v, u = (np.mgrid[:64, :64] + 0.5 - 32) / 64
    with np.errstate(divide="ignore"):
        z = np.where(v > 0, 0.02 / v, 0)
    expected = np.where((z > NEAR) & (np.abs(u * z) < 9 * (10 - z) / 15), z, 0)
    assert (expected > 0).any()
    assert ((z > 0) & (z < NEAR)).any()
    # 24-bit depth between 0.05 and 10 is good to 2e-5 of itself at z = 1.3, the farthest seen.
    assert depth == pytest.approx(expected, rel=1e-4)


def test_what_lies_behind_the_camera_is_not_drawn(renderer: str) -> None:
    behind = box((-1, -1, -3), (1, 1, -2))
    scene = backend.scene_class(renderer)(prepare(behind, False, 64))
    rgb, depth = scene.shoot(Shot(IDENTITY, GRID, 64, EVEN))
    assert not depth.any()
    assert not rgb.any()


def cast(mesh: Mesh, viewpoint: tuple[float, ...], ray: np.ndarray) -> np.ndarray:
    """(n,) depths of the first hits of (n, 3) rays, 0 for none (Moller and Trumbore 1997)."""
    matrix = cameras.extrinsics(np.array(viewpoint))
    corners = mesh.triangles.astype(np.float64) @ matrix[:, :3].T + matrix[:, 3]  # (F, 3, 3)
    origin, one, two = corners[:, 0], corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    depths = np.zeros(len(ray))
    for n, direction in enumerate(ray):
        across = np.cross(direction, two)
        det = (one * across).sum(-1)
        with np.errstate(divide="ignore", invalid="ignore"):
            u = (-origin * across).sum(-1) / det
            turned = np.cross(-origin, one)
            v = turned @ direction / det
            z = (two * turned).sum(-1) / det
        hit = (u >= 0) & (v >= 0) & (u + v <= 1) & (z > NEAR)
        depths[n] = z[hit].min(initial=np.inf)
    return np.where(np.isfinite(depths), depths, 0)


def check_against_rays(mesh: Mesh, viewpoint: tuple[float, ...]) -> None:
    size = 64
    _, depth = shoot(mesh, viewpoint, size)
    wanted = np.random.default_rng(1).permutation(size * size)[:600]
    expected = cast(mesh, viewpoint, rays(size).reshape(-1, 3)[wanted])
    got = depth.reshape(-1)[wanted]
    assert np.array_equal(got > 0, expected > 0)
    assert 30 < (got > 0).sum() < 570
    # Depths are stored as float32 (1.2e-7 at 2) and ties are kept within 1e-6 of 2.
    assert np.abs(got - expected).max() < 4e-6


def test_depth_equals_ray_casting_on_generated_meshes() -> None:
    ring = trimesh.creation.torus(0.3, 0.12, major_sections=40, minor_sections=20)
    plain = Mesh.plain(ring.vertices, ring.faces)
    check_against_rays(joined(plain, box((-0.1, -0.4, -0.3), (0.3, 0.1, 0.2))), (35, 25, 10, 2))


def test_depth_equals_ray_casting_on_a_real_mesh(shared_data: Path) -> None:
    folder = shared_data / "openmodels"
    mesh = load_open_model(folder, open_model_rows(folder)["torcs-car1-stock2"])
    check_against_rays(mesh, (215, 20, 0, 1.4))


@pytest.mark.parametrize("smooth", [True, False])
def test_flipped_faces_give_the_same_picture(renderer: str, smooth: bool) -> None:
    ball = trimesh.creation.icosphere(2, 0.4)
    mesh = Mesh.plain(ball.vertices, ball.faces)
    straight = shoot(mesh, (30, 20, 0, 2), lamp=SIDE, smooth=smooth, name=renderer)
    some = mesh.faces.copy()
    some[::3] = some[::3, ::-1]
    inside_out = Mesh.plain(mesh.vertices, mesh.faces[:, ::-1])
    for other in (inside_out, Mesh(**{**mesh.__dict__, "faces": some})):
        flipped = shoot(other, (30, 20, 0, 2), lamp=SIDE, smooth=smooth, name=renderer)
        assert np.array_equal(straight[1] > 0, flipped[1] > 0)
        assert np.allclose(straight[1], flipped[1], atol=1e-6)
        assert np.abs(straight[0].astype(int) - flipped[0]).max() <= 1  # a last bit


def test_of_faces_at_one_place_the_first_is_seen() -> None:
    """Coplanar faces cut along the other diagonal and flipped: no pattern made by rounding."""
    corners = np.array([[-0.4, 0, -0.4], [0.4, 0, -0.4], [0.4, 0, 0.4], [-0.4, 0, 0.4]])
    red = Mesh.plain(corners, np.array([[0, 1, 2], [0, 2, 3]]), (1, 0, 0, 1))
    blue = Mesh.plain(corners, np.array([[1, 0, 3], [1, 3, 2]]), (0, 0, 1, 1))
    for viewpoint in ((0, 0, 0, 2), (40, 30, 0, 2), (200, -15, 20, 2)):
        rgb, depth = shoot(joined(red, blue), viewpoint, 128)
        assert (rgb[depth > 0] == [255, 0, 0]).all()


def textured_plane_colours(image: np.ndarray, viewpoint, size: int, repeat: float) -> np.ndarray:
    """(size, size, 4) of `textured_quad` by ray-plane intersection and SciPy; NaN beside it."""
    matrix = cameras.extrinsics(np.array(viewpoint))
    eye, direction = -matrix[:, :3].T @ matrix[:, 3], rays(size) @ matrix[:, :3]
    point = eye - direction * (eye[1] / direction[..., 1:2])  # in the plane y = 0
    across, up = (point[..., 0] + 0.4) / 0.8, (point[..., 2] + 0.4) / 0.8
    height, width = image.shape[:2]
    rows, columns = (1 - up * repeat) * height - 0.5, across * repeat * width - 0.5
    channels = [
        map_coordinates(image[..., c].astype(float), [rows, columns], order=1, mode="grid-wrap")
        for c in range(4)
    ]
    inside = (np.minimum(across, up) >= 0) & (np.maximum(across, up) <= 1)
    return np.where(inside[..., None], np.stack(channels, -1), np.nan)


@pytest.mark.parametrize("viewpoint", [(0, 0, 0, 2), (55, 30, 10, 1.2)])
def test_textures_are_bilinear_repeated_and_perspective_correct(
    renderer: str, viewpoint: tuple[float, ...]
) -> None:
    image = np.random.default_rng(2).integers(0, 256, (5, 7, 4)).astype(np.uint8)
    image[..., 3] = 255
    quad = textured_quad(image, repeat=2.3)
    tint = np.array([[1, 0.5, 0.25, 1]], np.float32)
    rgb, depth = shoot(
        Mesh(**{**quad.__dict__, "material_rgba": tint}), viewpoint, 128, name=renderer
    )
    expected = textured_plane_colours(image, viewpoint, 128, 2.3)
    inside = np.isfinite(expected[..., 0])
    assert np.array_equal(depth > 0, inside)
    # Half a level of rounding; software GL rounds its weights to 1/256 of a step of up to 255.
    tolerance = 0.51 if renderer == "numba" else 3
    error = np.abs(rgb[inside] - expected[inside][:, :3] * tint[0, :3])
    assert error.max() <= tolerance


def test_transparent_texels_are_holes(renderer: str) -> None:
    image = np.full((8, 8, 4), 255, np.uint8)
    image[:, :4, 3] = 0  # the left half
    viewpoint = (20, 10, 0, 2)
    _, depth = shoot(textured_quad(image), viewpoint, 128, name=renderer)
    alpha = textured_plane_colours(image, viewpoint, 128, 1)[..., 3]  # NaN, beside it, is < 0.5
    clear = np.abs(alpha / 255 - 0.5) > 0.01
    assert np.array_equal((depth > 0)[clear], (alpha / 255 >= 0.5)[clear])
    rgb, _ = shoot(textured_quad(image), viewpoint, 128, name=renderer)
    assert (rgb[depth > 0] == 255).all()


def test_glass_is_drawn_and_what_cannot_be_seen_is_not(renderer: str) -> None:
    nothing, glass = (box((-0.2, -0.3, -0.2), (0.2, -0.2, 0.2), (1, 0, 0, a)) for a in (0.0, 0.2))
    wall = box((-0.3, 0, -0.3), (0.3, 0.1, 0.3), (0, 0, 1, 1))
    assert (shoot(joined(nothing, wall), name=renderer)[0][32, 32] == [0, 0, 255]).all()
    assert (shoot(joined(glass, wall), name=renderer)[0][32, 32] == [255, 0, 0]).all()


def test_flat_shading_takes_the_normals_of_faces(renderer: str) -> None:
    """A cube whose vertex normals are averaged at the corners, seen along its diagonal."""
    cube = trimesh.creation.box((0.4, 0.4, 0.4))
    mesh = Mesh.plain(cube.vertices, cube.faces, (1, 1, 1, 1))
    viewpoint = (45.0, 20.0, 0.0, 2.0)
    flat, _ = shoot(mesh, viewpoint, lamp=SIDE, smooth=False, name=renderer)
    rotation = cameras.extrinsics(np.array(viewpoint))[:, :3]
    facing = rotation @ np.array([[1.0, 0, 0], [0, -1, 0], [0, 0, 1]]).T  # the three seen sides
    shades = 255 * (0.4 + np.maximum(0, SIDE.towards @ facing))
    seen = np.unique(flat[flat[..., 0] > 0][:, 0])
    assert len(seen) == 3
    assert sorted(seen) == pytest.approx(sorted(shades), abs=0.51)
    smooth, _ = shoot(mesh, viewpoint, lamp=SIDE, smooth=True, name=renderer)
    assert len(np.unique(smooth[..., 0])) > 20


def test_colours_are_cut_at_white(renderer: str) -> None:
    wall = box((-0.3, 0, -0.3), (0.3, 0.1, 0.3), (0.5, 0.1, 1.0, 1))
    rgb, _ = shoot(wall, lamp=light(0, 0, 2, 0.5), smooth=False, name=renderer)
    assert rgb[32, 32] == pytest.approx([255, 0.1 * 2.5 * 255, 255], abs=0.51)

"""Nothing is mirrored, upside down or turned the wrong way."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh

from stages.geometry import cameras
from stages.geometry.mesh import Mesh
from tests.render.models import box, joined, textured_quad
from tests.render.shots import shoot

RED, GREEN, BLUE = (1.0, 0, 0, 1), (0, 1.0, 0, 1), (0, 0, 1.0, 1)


def centre(rgb: np.ndarray, channel: int) -> np.ndarray:
    """Mean (u, v) of the pixels in which one channel is full and the others are not."""
    rows, columns = np.nonzero((rgb[..., channel] == 255) & (rgb.sum(-1) == 255))
    assert len(rows)
    return np.array([columns.mean(), rows.mean()]) + 0.5


@pytest.fixture(scope="module")
def compass() -> Mesh:
    """Red at +x, blue at -x, green at +z; the front (-y) has nothing."""
    return joined(
        box((0.2, -0.05, -0.05), (0.3, 0.05, 0.05), RED),
        box((-0.3, -0.05, -0.05), (-0.2, 0.05, 0.05), BLUE),
        box((-0.05, -0.05, 0.2), (0.05, 0.05, 0.3), GREEN),
    )


def test_from_the_front_plus_x_is_on_the_right_and_plus_z_on_top(
    compass: Mesh, renderer: str
) -> None:
    rgb, _ = shoot(compass, name=renderer)
    assert centre(rgb, 0)[0] > 40 > 24 > centre(rgb, 2)[0]
    assert centre(rgb, 1)[1] < 24
    assert centre(rgb, 0)[1] == pytest.approx(32)


def test_azimuth_90_looks_at_the_plus_x_side(compass: Mesh, renderer: str) -> None:
    rgb, depth = shoot(compass, (90, 0, 0, 2), name=renderer)
    assert centre(rgb, 0) == pytest.approx([32, 32])  # red hides blue
    assert depth[32, 32] == pytest.approx(1.7, abs=1e-5)
    assert not (rgb[..., 2] == 255).any()


def test_azimuth_180_swaps_left_and_right(compass: Mesh, renderer: str) -> None:
    rgb, _ = shoot(compass, (180, 0, 0, 2), name=renderer)
    assert centre(rgb, 0)[0] < 24 < 40 < centre(rgb, 2)[0]


def test_elevation_90_looks_down_with_the_front_at_the_bottom(compass: Mesh, renderer: str) -> None:
    marked = joined(compass, box((-0.05, -0.45, -0.05), (0.05, -0.35, 0.05), (1.0, 1, 0, 1)))
    rgb, _ = shoot(marked, (0, 90, 0, 2), name=renderer)
    yellow = np.argwhere((rgb == [255, 255, 0]).all(-1))
    assert yellow[:, 0].min() > 48  # -y is nearest to the camera before it climbs: the lower edge
    assert centre(rgb, 0)[0] > 40
    assert centre(rgb, 1) == pytest.approx([32, 32])


def test_a_positive_inplane_angle_turns_the_picture_counter_clockwise(
    compass: Mesh, renderer: str
) -> None:
    rgb, _ = shoot(compass, (0, 0, 90, 2), name=renderer)
    assert centre(rgb, 0)[1] < 24  # right goes to the top
    assert centre(rgb, 1)[0] < 24  # top goes to the left


def test_points_come_out_where_the_camera_projects_them() -> None:
    rng = np.random.default_rng(3)
    size, radius = 256, 0.012
    ball = trimesh.creation.icosphere(3, radius)
    for _ in range(8):
        point = rng.uniform(-0.3, 0.3, 3)
        viewpoint = np.array([rng.uniform(0, 360), rng.uniform(-60, 80), rng.uniform(-90, 90), 2.0])
        _, depth = shoot(Mesh.plain(ball.vertices + point, ball.faces), viewpoint, size)
        rows, columns = np.nonzero(depth)
        u, v, z = cameras.project(point, cameras.extrinsics(viewpoint), cameras.intrinsics(size))
        # About 25 pixels: their mean is good to a few hundredths of a pixel; half a pixel off
        # (centres taken at whole numbers) would show.
        assert columns.mean() + 0.5 == pytest.approx(u, abs=0.2)
        assert rows.mean() + 0.5 == pytest.approx(v, abs=0.2)
        assert depth[depth > 0].min() == pytest.approx(z - radius, abs=1e-3)


def test_a_half_turn_about_z_of_a_symmetric_object_changes_nothing() -> None:
    quarter = joined(
        box((0.1, 0.05, -0.2), (0.4, 0.2, 0.1), RED), box((-0.1, 0.1, 0), (0, 0.3, 0.3), BLUE)
    )
    half_turn = quarter.moved(np.diag([-1.0, -1, 1]), 1, np.zeros(3))
    mesh = joined(quarter, half_turn)
    for azimuth in (0, 35, 90, 130):
        near, far = shoot(mesh, (azimuth, 20, 0, 2)), shoot(mesh, (azimuth + 180, 20, 0, 2))
        assert np.array_equal(near[0], far[0])
        assert np.allclose(near[1], far[1], atol=1e-6)


def test_textures_are_not_flipped(renderer: str) -> None:
    """A quad with uv (0, 0) at the lower left shows the image as it is stored."""
    image = np.zeros((4, 4, 4), np.uint8)
    image[..., 3] = 255
    image[:2, :2, 0] = 255  # top left red
    image[:2, 2:, 1] = 255  # top right green
    image[2:, :2, 2] = 255  # bottom left blue
    quad = textured_quad(image)
    rgb, _ = shoot(quad, name=renderer)
    rows, columns = np.nonzero(rgb.sum(-1))
    middle = np.array([rows.mean(), columns.mean()])
    u, v = centre(rgb, 0)
    assert u < middle[1]
    assert v < middle[0]
    u, v = centre(rgb, 1)
    assert u > middle[1]
    assert v < middle[0]
    u, v = centre(rgb, 2)
    assert u < middle[1]
    assert v > middle[0]

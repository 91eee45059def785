"""What is settled before a renderer draws."""

from __future__ import annotations

import numpy as np
import pytest

from stages.geometry.mesh import Mesh
from stages.render.surface import prepare
from tests.render.models import box, joined, textured_quad


def checkers(side: int) -> np.ndarray:
    """(side, side, 4) black and white texels in turn, opaque."""
    image = np.full((side, side, 4), 255, np.uint8)
    image[..., :3] = 255 * (np.indices((side, side)).sum(0) % 2)[..., None]
    return image


@pytest.mark.parametrize(
    ("pixels_per_unit", "side"),
    [(320, 256), (161, 256), (159, 128), (81, 128), (39, 32), (0.001, 1)],
)
def test_textures_shrink_until_a_pixel_steps_over_less_than_two_texels(
    pixels_per_unit: float, side: int
) -> None:
    """256 texels on 0.8 units are 320 a unit: at 160 pixels a unit a pixel steps over two."""
    surface = prepare(textured_quad(checkers(256)), True, pixels_per_unit)
    assert surface.layout.tolist() == [[0, side, side]]
    if side < 256:
        assert np.abs(surface.texels[:, :3].astype(int) - 128).max() <= 1  # black and white mixed
        assert (surface.texels[:, 3] == 255).all()


def test_repeats_and_size_count_for_the_shrinking() -> None:
    """Four repeats where there was one need two halvings more, half the size of the mesh one."""
    assert prepare(textured_quad(checkers(64), repeat=4), True, 310).layout[0, 1] == 64
    assert prepare(textured_quad(checkers(64), repeat=16), True, 310).layout[0, 1] == 16
    small = textured_quad(checkers(64), repeat=16).moved(np.eye(3), 0.5, np.zeros(3))
    assert prepare(small, True, 310).layout[0, 1] == 8


def test_faces_come_by_texture_and_keep_their_colour() -> None:
    quad = textured_quad(checkers(4))
    two = Mesh(
        **{
            **quad.__dict__,
            "face_material": np.array([1, 0], np.int32),
            "material_rgba": np.array([[1, 0, 0, 1], [0, 1, 0, 1]], np.float32),
            "material_texture": np.array([-1, 0], np.int32),
        }
    )
    surface = prepare(two, True, 1000)
    assert surface.texture.tolist() == [-1, 0]
    assert surface.faces.tolist() == [[0, 2, 3], [0, 1, 2]]
    assert surface.rgba[:, :2].tolist() == [[1, 0], [0, 1]]
    assert not surface.cutout.any()


def test_normals_are_on_the_side_of_the_winding_and_mended_where_they_are_not_numbers() -> None:
    cube = box((0, 0, 0), (1, 1, 1))
    normals = cube.normals.copy()
    normals[::2] *= -1
    normals[0], normals[3] = np.nan, 0
    surface = prepare(Mesh(**{**cube.__dict__, "normals": normals}), True, 1)
    expected = cube.normals.copy()
    corners = cube.triangles[[0, 1]]
    expected[[0, 3]] = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    assert np.allclose(surface.normals.reshape(-1, 3), expected, atol=1e-6)


def test_faces_of_transparent_materials_are_left_out() -> None:
    mesh = joined(box((0, 0, 0), (1, 1, 1), (1, 1, 1, 0.01)), box((2, 0, 0), (3, 1, 1)))
    assert len(prepare(mesh, True, 1).faces) == 12
    nothing = prepare(box((0, 0, 0), (1, 1, 1), (1, 1, 1, 0.0)), True, 1)
    assert nothing.faces.shape == (0, 3)
    assert nothing.normals.shape == (0, 3, 3)


def test_faces_whose_texture_may_leave_holes_are_marked() -> None:
    image = checkers(4)
    image[0, 0, 3] = 200
    quad = textured_quad(image)
    assert not prepare(quad, True, 1000).cutout.any()
    image[0, 0, 3] = 100  # 100 / 255 < 0.5
    assert prepare(textured_quad(image), True, 1000).cutout.all()
    half = Mesh(**{**quad.__dict__, "material_rgba": np.array([[1, 1, 1, 0.6]], np.float32)})
    assert prepare(half, True, 1000).rgba[:, 3].tolist() == [1.0, 1.0]

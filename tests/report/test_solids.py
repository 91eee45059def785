"""Solids: closed surfaces of known volume, places that survive the way into a page."""

from __future__ import annotations

import base64
import dataclasses

import numpy as np
import pytest

from stages.geometry.mesh import Mesh
from stages.report import solids
from stages.report.solids import Solid
from tests.report.made import cube


def volume(solid: Solid) -> float:
    """The divergence theorem: a sixth of the sum of the triple products of the faces."""
    corners = solid.vertices[solid.faces].astype(float)
    triple = np.cross(corners[:, 0], corners[:, 1]) * corners[:, 2]
    return float(triple.sum() / 6)


def unpacked(data: dict) -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # type: ignore[type-arg]
    """Vertices, faces and colours, read back by the words of `to_json`."""

    def array(name: str, kind: str) -> np.ndarray:
        return np.frombuffer(base64.b64decode(data[name]), kind).reshape(-1, 3)

    places = array("at", "<u2") * data["step"] + data["low"]
    return places, array("faces", "<u4" if data["wide"] else "<u2"), array("rgb", "u1")


def test_voxels_have_the_volume_of_their_cells_whatever_they_look_like() -> None:
    rng = np.random.default_rng(0)
    filled = rng.random((6, 6, 6)) < 0.4
    filled[0, 0, 0] = filled[5, 5, 5] = True  # at the border of the grid, too
    solid = solids.from_voxels("x", filled, np.array([-0.5, -0.4, -0.3]), 1.5)
    # outside faces out, none missing, none inside: else the sum is another one
    assert volume(solid) == pytest.approx(filled.sum() * (1.5 / 6) ** 3, rel=1e-9)
    inner = sum(
        int((filled & np.roll(np.pad(filled, 1), shift, axis)[1:-1, 1:-1, 1:-1]).sum())
        for axis in range(3)
        for shift in (-1, 1)
    )
    assert len(solid.faces) == 2 * (6 * filled.sum() - inner)
    cells = solid.vertices.min(0), solid.vertices.max(0)
    assert cells[0] == pytest.approx([-0.5, -0.4, -0.3])
    assert cells[1] == pytest.approx([1.0, 1.1, 1.2])


def test_sticks_are_closed_and_as_thick_as_asked() -> None:
    points = np.array([[0, 0, 0], [0.4, 0, 0], [0.4, 0.3, -0.2], [1, 1, 1]])
    solid = solids.from_sticks("x", points, [(0, 1), (1, 2), (2, 2)], thickness=0.01)
    lengths = 0.4 + np.hypot(0.3, 0.2)  # the edge from a point to itself is nothing
    assert volume(solid) == pytest.approx(lengths * 2 * 0.01**2, rel=1e-9)


def test_a_map_of_equal_lengths_is_a_ball() -> None:
    solid = solids.from_map("x", np.full((64, 64), 0.5))
    # without the caps above the first and below the last row, and with flat faces: a bit less
    assert 0.98 * 4 / 3 * np.pi * 0.125 < volume(solid) < 4 / 3 * np.pi * 0.125


def test_places_survive_the_way_into_a_page() -> None:
    rng = np.random.default_rng(1)
    vertices = rng.normal(size=(500, 3)) * [1, 0.1, 3]
    faces = rng.integers(0, 500, (900, 3))
    colours = rng.integers(0, 256, (900, 3), dtype=np.uint8)
    places, index, rgb = unpacked(solids.to_json(Solid("x", vertices, faces, colours)))
    # half a step of the longest side, and the six digits of `low`
    assert np.abs(places - vertices).max() <= np.ptp(vertices, 0).max() / 65535 / 2 + 1e-6
    assert (index == faces).all()
    assert (rgb == colours).all()
    wide = Solid("x", rng.random((70_000, 3)), np.array([[0, 65_536, 69_999]]), colours[:1])
    assert unpacked(solids.to_json(wide))[1].tolist() == [[0, 65_536, 69_999]]
    one = solids.to_json(Solid("x", np.zeros((1, 3)), faces[:0], colours[:1]))
    assert unpacked(one)[0].tolist() == [[0, 0, 0]]


def test_thinning_keeps_the_shape() -> None:
    n = 200
    row, column = np.meshgrid(np.arange(n), np.arange(n), indexing="ij")
    lengths = np.full((n, n), 0.5) + 0.02 * np.sin(column / 10) * np.sin(row / n * np.pi)
    ball = solids.from_map("x", lengths)
    small = solids.simplified(ball, faces=3_000)
    assert len(small.faces) <= 3_000 < len(ball.faces)
    assert volume(small) == pytest.approx(volume(ball), rel=0.05)  # cells of about 1/30
    assert np.ptp(small.vertices, 0) == pytest.approx(np.ptp(ball.vertices, 0), rel=0.05)
    cloud = solids.simplified(solids.from_points("x", ball.vertices), points=100)
    assert len(cloud.vertices) == 100
    few = solids.simplified(solids.from_mesh("x", cube()), faces=12)
    assert volume(few) == pytest.approx(0.125)


def test_faces_take_the_colours_of_their_texels() -> None:
    texture = np.zeros((2, 2, 4), np.uint8)
    texture[0, 1], texture[1, 0] = (200, 100, 0, 255), (0, 0, 255, 255)  # above right, below left
    flat = Mesh.plain(np.eye(3), np.array([[0, 1, 2]] * 2), (0.5, 1.0, 1.0, 1.0))
    uv = np.array([[0.9, 0.9]] * 3, np.float32)  # v points up
    mesh = dataclasses.replace(
        flat, textures=(texture,), uv=uv, material_texture=np.array([0], np.int32)
    )
    assert solids.from_mesh("x", mesh).colours.tolist() == [[100, 100, 0]] * 2
    moved = dataclasses.replace(mesh, uv=uv + np.float32([-2.6, 3.3]))  # repeats: 0.3, 0.2
    assert solids.from_mesh("x", moved).colours.tolist() == [[0, 0, 255]] * 2

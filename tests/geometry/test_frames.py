from __future__ import annotations

import itertools

import numpy as np
import pytest

from stages.errors import ItemError, UsageError
from stages.geometry.frames import AXES, canonical_rotation, canonicalise
from stages.geometry.mesh import Mesh

DIRECTION = {
    s + a: sign * np.eye(3)[n] for n, a in enumerate("xyz") for s, sign in zip("+-", (1, -1))
}
PAIRS = [(u, f) for u, f in itertools.product(AXES, AXES) if u[1] != f[1]]


@pytest.mark.parametrize(("up", "front"), PAIRS)
def test_rotation_of_every_pair_of_axes(up: str, front: str) -> None:
    rotation = canonical_rotation(up, front)
    assert np.array_equal(rotation @ DIRECTION[up], [0, 0, 1])
    assert np.array_equal(rotation @ DIRECTION[front], [0, -1, 0])
    assert np.array_equal(rotation @ rotation.T, np.eye(3))
    assert np.linalg.det(rotation) == pytest.approx(1)  # a rotation: left stays left


def test_left_of_the_object_is_plus_x() -> None:
    # glTF: y up, z front, and its x to the left of somebody who looks along z
    assert np.array_equal(canonical_rotation("+y", "+z") @ [1, 0, 0], [1, 0, 0])


@pytest.mark.parametrize(
    ("up", "front", "says"),
    [
        ("+y", "+y", "lie along one line"),
        ("+y", "-y", "lie along one line"),
        ("y", "+x", "up axis 'y' is unknown"),
        ("+z", "", "front axis '' is unknown"),
        ("+z", "+w", "front axis '+w' is unknown"),
        ("+Z", "+x", "up axis '+Z' is unknown"),
    ],
)
def test_axes_that_make_no_frame(up: str, front: str, says: str) -> None:
    with pytest.raises(UsageError, match=says.replace("+", r"\+")) as error:
        canonical_rotation(up, front)
    assert error.value.hint


def arrow() -> Mesh:
    """A pyramid that points along +x, its fin along +y; far from the origin, one vertex unused."""
    vertices = np.array([[4, 0, 0], [0, 0, -1], [0, 0, 1], [0, 3, 0], [99, 99, 99]], float) + 10
    faces = np.array([[0, 1, 2], [0, 2, 3], [0, 3, 1], [1, 3, 2]])
    return Mesh.plain(vertices, faces)


def test_canonical_mesh() -> None:
    mesh = canonicalise(arrow(), "+y", "+x")
    low, high = mesh.bounds()
    assert np.abs(low + high).max() < 1e-6  # float32
    assert np.linalg.norm(high - low) == pytest.approx(1, abs=1e-6)
    diagonal = np.sqrt(4**2 + 3**2 + 2**2)
    tip, fin = mesh.vertices[0], mesh.vertices[3]
    assert tip * diagonal == pytest.approx([0, -2, -1.5], abs=1e-5)  # the tip in front
    assert fin * diagonal == pytest.approx([0, 2, 1.5], abs=1e-5)  # the fin up
    again = canonicalise(mesh, "+z", "-y")
    assert again.vertices == pytest.approx(mesh.vertices, abs=1e-6)
    assert mesh.normals == pytest.approx(
        arrow().normals @ canonical_rotation("+y", "+x").T, abs=1e-6
    )


@pytest.mark.parametrize(
    ("vertices", "faces", "says"),
    [
        (np.zeros((3, 3)), [[0, 1, 2]], "no extent"),
        (np.eye(3), np.zeros((0, 3)), "no faces"),
    ],
)
def test_mesh_without_extent(vertices: np.ndarray, faces: list, says: str) -> None:
    with pytest.raises(ItemError, match=says):
        canonicalise(Mesh.plain(vertices, np.array(faces, int)), "+z", "-y")

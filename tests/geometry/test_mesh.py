from __future__ import annotations

import numpy as np
import pytest
import trimesh

from stages.geometry.mesh import Mesh, vertex_normals


def signed_volume(mesh: Mesh) -> float:
    a, b, c = np.moveaxis(mesh.triangles.astype(float), 1, 0)
    return float(np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6)


def ball() -> Mesh:
    sphere = trimesh.creation.icosphere(2)
    stretched = sphere.vertices * [1, 2, 3] + [0.5, 0, 0]
    return Mesh.plain(stretched, sphere.faces)


def decorated() -> Mesh:
    """Two materials, two textures of different sizes, keypoints."""
    rng = np.random.default_rng(0)
    plain = ball()
    sizes = ((3, 5), (8, 2))
    return Mesh(
        **{
            **plain.__dict__,
            "uv": rng.random((len(plain.vertices), 2), np.float32),
            "face_material": rng.integers(0, 2, len(plain.faces), np.int32),
            "material_rgba": rng.random((2, 4), np.float32),
            "material_texture": np.array([1, 0], np.int32),
            "textures": tuple(rng.integers(0, 256, (h, w, 4), np.uint8) for h, w in sizes),
            "keypoints": rng.random((2, 3), np.float32),
            "keypoint_names": ("nose", "left_wing_tip"),
        }
    )


REFLECTION = np.diag([1.0, -1.0, 1.0])
TURN = np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1.0]])


@pytest.mark.parametrize("matrix", [TURN, REFLECTION, REFLECTION @ TURN, -np.eye(3)])
def test_moving_keeps_the_outside_outside(matrix: np.ndarray) -> None:
    mesh, offset = decorated(), np.array([1.0, -2.0, 0.5])
    moved = mesh.moved(matrix, 0.5, offset)
    # float32 coordinates of about 3: volumes agree to six digits
    assert signed_volume(moved) == pytest.approx(signed_volume(mesh) / 8, rel=1e-5)
    assert moved.vertices == pytest.approx(0.5 * mesh.vertices @ matrix.T + offset, abs=1e-5)
    assert moved.keypoints == pytest.approx(0.5 * mesh.keypoints @ matrix.T + offset, abs=1e-5)
    # normals still point to the side from which faces run counter-clockwise
    a, b, c = np.moveaxis(moved.triangles.astype(float), 1, 0)
    out = np.cross(b - a, c - a)
    assert (np.einsum("ij,ikj->ik", out, moved.normals[moved.faces].astype(float)) > 0).all()
    assert np.array_equal(moved.uv, mesh.uv)


def test_arrays_round_trip() -> None:
    mesh = decorated()
    arrays = mesh.to_arrays()
    again = Mesh.from_arrays(arrays)
    for name, value in mesh.__dict__.items():
        if name == "textures":
            assert [t.shape for t in again.textures] == [t.shape for t in value]
            assert all(np.array_equal(a, b) for a, b in zip(again.textures, value))
        elif name == "keypoint_names":
            assert again.keypoint_names == value
        else:
            assert np.array_equal(getattr(again, name), value)
            assert getattr(again, name).dtype == value.dtype
    assert arrays["texture_shapes"].tolist() == [[3, 5, 4], [8, 2, 4]]
    assert len(arrays["texture_bytes"]) == (3 * 5 + 8 * 2) * 4


def test_arrays_round_trip_without_textures() -> None:
    mesh = ball()
    again = Mesh.from_arrays(mesh.to_arrays())
    assert again.textures == ()
    assert again.keypoint_names == ()
    assert again.keypoints.shape == (0, 3)
    assert np.array_equal(again.vertices, mesh.vertices)


def test_normals_agree_with_trimesh() -> None:
    mesh = ball()
    other = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
    # trimesh weighs faces by angle if told nothing: give it the area-weighted mean to form
    weights = other.face_normals * other.area_faces[:, None]
    expected = np.asarray(other.faces_sparse @ weights)
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    assert mesh.normals == pytest.approx(expected, abs=1e-5)  # float32
    # and both lie close to the analytic normals of the ellipsoid (a facet spans about 20 degrees)
    truth = (mesh.vertices - [0.5, 0, 0]) / np.array([1, 4, 9])
    truth /= np.linalg.norm(truth, axis=1, keepdims=True)
    assert (mesh.normals * truth).sum(1).min() > np.cos(np.radians(12))


def test_normals_run_across_seams() -> None:
    mesh = ball()
    split = Mesh.plain(
        mesh.vertices[mesh.faces.reshape(-1)], np.arange(mesh.faces.size).reshape(-1, 3)
    )
    assert split.normals == pytest.approx(mesh.normals[mesh.faces.reshape(-1)], abs=1e-6)


def test_normal_of_a_vertex_without_a_proper_face() -> None:
    vertices = np.array([[0, 0, 0], [1, 0, 0], [2, 0, 0], [5, 5, 5]], np.float32)
    assert vertex_normals(vertices, np.array([[0, 1, 2]])).tolist() == [[0, 0, 1]] * 4


def test_bounds_are_those_of_used_vertices() -> None:
    mesh = Mesh.plain(np.array([[0, 0, 0], [1, 0, 0], [0, 2, 0], [9, 9, 9]]), np.array([[0, 1, 2]]))
    assert mesh.bounds().tolist() == [[0, 0, 0], [1, 2, 0]]

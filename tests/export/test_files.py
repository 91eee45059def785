"""Files as other programs read them."""

from __future__ import annotations

import io

import numpy as np
import pytest
import trimesh

from stages.errors import UsageError
from stages.export.choose import Grid, choose_item
from stages.export.files import SUFFIXES, check_suffix, mesh_bytes, voxel_bytes
from stages.geometry.mesh import Mesh


@pytest.fixture
def box() -> Mesh:
    """A red box, 1 x 2 x 3 high, off centre."""
    made = trimesh.creation.box((1, 2, 3))
    made.apply_translation((0, 0, 1.5))
    return Mesh.plain(made.vertices, made.faces, (0.8, 0.1, 0.1, 1.0))


@pytest.mark.parametrize("suffix", SUFFIXES["mesh"])
def test_meshes_come_back(box: Mesh, suffix: str) -> None:
    data = mesh_bytes(box, suffix)
    loaded = trimesh.load_mesh(io.BytesIO(data), file_type=suffix[1:])
    assert loaded.volume == pytest.approx(6, rel=1e-5)
    low, high = loaded.bounds
    if suffix == ".glb":  # y up by the standard; our front, -y, becomes +z
        np.testing.assert_allclose([low, high], [[-0.5, 0, -1], [0.5, 3, 1]], atol=1e-6)
    else:
        np.testing.assert_allclose([low, high], [[-0.5, -1, 0], [0.5, 1, 3]], atol=1e-6)
    if suffix == ".ply":
        np.testing.assert_array_equal(
            np.unique(loaded.visual.face_colors, axis=0), [[204, 26, 26, 255]]
        )


def test_glb_keeps_what_faces_front(box: Mesh) -> None:
    # a mark on the front (-y) must be at +z, towards the viewer of a glTF
    vertices = np.float32([[0, -1, 0], [1, -1, 0], [0, -1, 1]])
    mark = Mesh.plain(vertices, np.int32([[0, 1, 2]]))
    loaded = trimesh.load_mesh(io.BytesIO(mesh_bytes(mark, ".glb")), file_type="glb")
    np.testing.assert_allclose(loaded.vertices[:, 2], 1)


def test_npz_says_where_the_voxels_are() -> None:
    values = np.zeros((4, 4, 4), np.float32)
    values[0, 1, 2] = 0.7
    data = voxel_bytes(Grid(values, np.full(3, -0.5), 1.0, 0.6), ".npz")
    with np.load(io.BytesIO(data), allow_pickle=False) as file:
        assert np.argwhere(file["voxels"]).tolist() == [[0, 1, 2]]
        assert file["probability"].max() == np.float32(0.7)
        assert (float(file["extent"]), file["origin"].tolist()) == (1.0, [-0.5] * 3)


def test_binvox_is_read_by_trimesh() -> None:
    values = np.random.default_rng(0).random((8, 8, 8)).astype(np.float32)
    data = voxel_bytes(Grid(values, np.full(3, -0.5), 1.0, 0.5), ".binvox")
    loaded = trimesh.load(io.BytesIO(data), file_type="binvox")
    np.testing.assert_array_equal(loaded.matrix, values >= 0.5)


def test_names() -> None:
    from pathlib import Path

    with pytest.raises(UsageError, match=r"cannot write mesh as '\.xyz'"):
        check_suffix(Path("a.xyz"), "mesh")
    assert choose_item(["b", "a"], None, "letters") == "a"
    with pytest.raises(UsageError) as error:
        choose_item(["chair/one"], "chair/ona", "letters")
    assert error.value.hint == "did you mean chair/one?"

"""Grids as points, surfaces and files: the conventions, and codecs of others."""

import importlib.util
import io

import numpy as np
import pytest

from stages.errors import ItemError
from stages.geometry import voxels
from stages.geometry.mesh import Mesh

ORIGIN, EXTENT = np.array([-1.0, 2.0, 0.5]), 3.0


def blobs(res: int, seed: int = 0) -> np.ndarray:
    """Long and short runs: a box, a plane and scattered single voxels."""
    rng = np.random.default_rng(seed)
    grid = rng.random((res, res, res)) < 0.01
    grid[res // 8 : res // 2, res // 4 : res // 3, :] = True
    grid[-2] = True
    return grid


def signed_volume(mesh: Mesh) -> float:
    """The signed volume inside the mesh: positive if its faces point out."""
    a, b, c = np.moveaxis(mesh.triangles.astype(np.float64), 1, 0)
    return float((a * np.cross(b, c)).sum() / 6)


def test_centres_follow_the_formula():
    points = voxels.centres(4, ORIGIN, EXTENT)
    assert points.shape == (4, 4, 4, 3)
    for i in np.ndindex(4, 4, 4):
        np.testing.assert_allclose(points[i], (np.array(i) + 0.5) / 4 * EXTENT + ORIGIN, atol=1e-15)


def test_mesh_lies_half_a_voxel_around_a_lone_voxel():
    grid = np.zeros((5, 5, 5), bool)
    grid[1, 2, 4] = True  # at the border: the surface must close outside of the grid
    mesh = voxels.to_mesh(grid, ORIGIN, EXTENT)
    centre = (np.array([1, 2, 4]) + 0.5) / 5 * EXTENT + ORIGIN
    np.testing.assert_allclose(mesh.bounds().mean(0), centre, atol=1e-6)
    np.testing.assert_allclose(np.ptp(mesh.bounds(), axis=0), EXTENT / 5, atol=1e-6)
    # an octahedron of diameter one voxel
    assert signed_volume(mesh) == pytest.approx((EXTENT / 5) ** 3 / 6, rel=1e-5)


def test_mesh_is_closed_and_faces_out():
    mesh = voxels.to_mesh(blobs(12), ORIGIN, EXTENT)
    edges = np.sort(mesh.faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
    assert (np.unique(edges, axis=0, return_counts=True)[1] % 2 == 0).all()
    directed = mesh.faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2)
    assert len(np.unique(directed, axis=0)) == len(directed)  # each direction once: consistent
    assert signed_volume(mesh) > 0


def test_mesh_of_a_distance_field_is_the_sphere():
    points = voxels.centres(24, ORIGIN, EXTENT)
    middle, radius = ORIGIN + EXTENT / 2, 0.8
    field = 1.5 - np.linalg.norm(points - middle, axis=-1)  # 1.5 - radius at the sphere
    mesh = voxels.to_mesh(np.maximum(field, 0), ORIGIN, [EXTENT], threshold=1.5 - radius)
    distance = np.linalg.norm(mesh.vertices - middle, axis=1)
    # linear interpolation of a distance over a voxel of h errs by at most h^2 / (8 r)
    assert np.abs(distance - radius).max() < (EXTENT / 24) ** 2 / (8 * radius) + 1e-6
    outward = (mesh.normals * (mesh.vertices - middle)).sum(1)
    assert (outward > 0).all()


@pytest.mark.parametrize("value", [0, 0.5, np.nan])
def test_no_surface_is_an_error(value):
    with pytest.raises(ItemError, match="no surface"):
        voxels.to_mesh(np.full((3, 3, 3), value), ORIGIN, EXTENT)


def test_binvox_by_hand():
    grid = np.zeros((2, 2, 2), bool)
    grid[0, 1, 0] = grid[1, 0, 1] = True
    data = voxels.encode_binvox(grid, ORIGIN, EXTENT)
    header, runs = data.split(b"data\n")
    assert header == b"#binvox 1\ndim 2 2 2\ntranslate -1 2 0.5\nscale 3\n"
    # y fastest, then z, then x: place x * 4 + z * 2 + y, so 1 and 6
    assert list(runs) == [0, 1, 1, 1, 0, 4, 1, 1, 0, 1]


@pytest.mark.parametrize(
    "grid",
    [
        *(np.full((d, d, d), filled) for d in (1, 7, 16) for filled in (False, True)),
        blobs(31),
        blobs(96),
    ],
    ids=lambda grid: f"{len(grid)}^3, {grid.sum()} filled",
)
def test_binvox_round_trip_and_formula(grid):
    data = voxels.encode_binvox(grid, ORIGIN, EXTENT)
    back, origin, extent = voxels.decode_binvox(data)
    assert back.dtype == bool
    np.testing.assert_array_equal(back, grid)
    np.testing.assert_array_equal(origin, ORIGIN)
    assert extent == EXTENT
    runs, expanded = data[data.index(b"data\n") + 5 :], []
    for value, count in zip(runs[::2], runs[1::2]):
        expanded += [value] * count
    d = len(grid)
    rng = np.random.default_rng(0)
    for x, y, z in rng.integers(0, d, (200, 3)):
        assert expanded[x * d * d + z * d + y] == grid[x, y, z]


def test_binvox_agrees_with_trimesh():
    from trimesh.exchange import binvox
    from trimesh.voxel import VoxelGrid

    grid = blobs(33)
    data = voxels.encode_binvox(grid, ORIGIN, EXTENT)
    np.testing.assert_array_equal(binvox.load_binvox(io.BytesIO(data)).matrix, grid)
    # what the file calls scale is theirs times 32: they stretch voxel centres over the whole grid
    place = np.diag([EXTENT / 32] * 3 + [1.0])
    place[:3, 3] = ORIGIN
    theirs = VoxelGrid(grid, transform=place)
    back, origin, extent = voxels.decode_binvox(binvox.export_binvox(theirs))
    np.testing.assert_array_equal(back, grid)
    np.testing.assert_allclose([*origin, extent], [*ORIGIN, EXTENT], rtol=1e-7)


@pytest.mark.skipif(not importlib.util.find_spec("binvox_rw"), reason="binvox_rw is not installed")
def test_binvox_agrees_with_binvox_rw():
    import binvox_rw

    grid = blobs(33)
    theirs = binvox_rw.read_as_3d_array(io.BytesIO(voxels.encode_binvox(grid, ORIGIN, EXTENT)))
    np.testing.assert_array_equal(theirs.data, grid)
    np.testing.assert_allclose([*theirs.translate, theirs.scale], [*ORIGIN, EXTENT])


def test_binvox_of_other_programs(shared_data):
    from trimesh.exchange import binvox

    files = sorted((shared_data / "binvox").glob("*.binvox"))
    assert files
    for path in files:
        data = path.read_bytes()
        grid, origin, extent = voxels.decode_binvox(data)
        np.testing.assert_array_equal(grid, binvox.load_binvox(io.BytesIO(data)).matrix)
        assert 0 < grid.mean() < 1
        again, *place = voxels.decode_binvox(voxels.encode_binvox(grid, origin, extent))
        np.testing.assert_array_equal(again, grid)
        np.testing.assert_array_equal(place[0], origin)
        assert place[1] == extent


HEADER = b"#binvox 1\ndim 2 2 2\ntranslate 0 0 0\nscale 1\ndata\n"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "no proper header"),
        (b"solid cube\nfacet normal 0 0 1\n", "no proper header"),
        (HEADER.replace(b"binvox 1", b"binvox 2") + b"\0\x08", "no proper header"),
        (HEADER.replace(b"dim 2 2 2\n", b"") + b"\0\x08", "no proper dim"),
        (HEADER.replace(b"scale 1\n", b"") + b"\0\x08", "no proper scale"),
        (HEADER.replace(b"scale 1", b"scale nan") + b"\0\x08", "no proper scale"),
        (HEADER.replace(b"scale 1", b"scale 0") + b"\0\x08", "not above 0"),
        (HEADER.replace(b"0 0 0", b"0 0") + b"\0\x08", "no proper translate"),
        (HEADER.replace(b"2 2 2", b"2 2 3") + b"\0\x0c", "no cube"),
        (HEADER.replace(b"2 2 2", b"-2 -2 -2") + b"\0\x08", "no cube"),
        (HEADER.replace(b"2 2 2", b"100000 100000 100000") + b"\0\x08", "8 voxels in a grid"),
        (HEADER + b"\0\x07", "7 voxels"),
        (HEADER + b"\0\x09", "9 voxels"),
        (HEADER + b"\0\x08\0", "no count"),
        (HEADER + b"\0\x04\x07\x04", "value 7"),
        (HEADER, "0 voxels"),
    ],
)
def test_malformed_binvox_is_refused(data, reason):
    with pytest.raises(ItemError, match=reason):
        voxels.decode_binvox(data)

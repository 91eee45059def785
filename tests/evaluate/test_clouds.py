"""Distances of clouds against brute force and closed forms; baselines by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from stages.evaluate.cloud_baselines import SHARES, CloudBaselines, mean_clouds
from stages.evaluate.clouds import DENSE, NUMBERS, Truth, chamfer, densified
from stages.geometry.mesh import Mesh
from stages.systems.structure_generator.data import fixed_extrinsics
from tests.depths.shapes import distances, ell

CHAMFER = NUMBERS.index("Chamfer")


@pytest.fixture(scope="module")
def truth() -> Truth:
    return Truth.of(ell(), np.random.default_rng(0))


def test_distances_are_brute_force(truth: Truth) -> None:
    rng = np.random.default_rng(1)
    cloud = rng.normal(scale=0.2, size=(300, 3)).astype(np.float32)
    found = dict(zip(NUMBERS, truth.compare(cloud, np.random.default_rng(2)).tolist()))
    to_cloud = cdist(truth.spread, cloud).min(1)
    to_truth = np.concatenate([cdist(part, truth.surface.data).min(1) for part in cloud[:, None]])
    assert found["pred -> GT"] == pytest.approx(100 * to_truth.mean(), rel=1e-5)
    assert found["GT -> pred"] == pytest.approx(100 * to_cloud.mean(), rel=1e-5)
    assert found["Chamfer"] == pytest.approx(50 * (to_truth.mean() + to_cloud.mean()), rel=1e-5)
    precision, recall = (to_truth <= 0.01).mean(), (to_cloud <= 0.01).mean()
    expected = 2 * precision * recall / (precision + recall)
    assert 0 < expected < 0.5
    assert found["F-score at 1 %"] == pytest.approx(expected, rel=1e-5)
    # 200 of the points each: their mean is off by the spread over the root of 200, at most thrice
    spread = 300 * to_truth.std() / 200**0.5
    assert found["pred -> GT, 200 points"] == pytest.approx(100 * to_truth.mean(), abs=spread)


def test_a_shifted_surface_is_as_far_as_it_is_shifted() -> None:
    """A square, moved along its normal: every point has its nearest at that distance or, between
    samples of the truth, a little more: at 100,000 points 0.002 sideways at 0.03 are 0.0001.
    """
    corners = np.array([[-0.3, -0.3, 0], [0.3, -0.3, 0], [0.3, 0.3, 0], [-0.3, 0.3, 0]])
    square = Mesh.plain(corners, np.array([[0, 1, 2], [0, 2, 3]]))
    truth = Truth.of(square, np.random.default_rng(0))
    steps = np.linspace(-0.3, 0.3, 200)
    grid = np.stack(np.meshgrid(steps, steps, indexing="ij"), -1).reshape(-1, 2)
    for height, score in ((0.009, 1.0), (0.03, 0.0)):
        cloud = np.column_stack([grid, np.full(len(grid), height)])
        found = truth.compare(cloud, np.random.default_rng(0))
        np.testing.assert_allclose(found[:5], 100 * height, atol=0.02)
        assert found[5] == score
    found = truth.compare(grid[:0] @ np.zeros((2, 3)), np.random.default_rng(0))
    assert np.isnan(found[:5]).all()
    assert found[5] == 0


def test_the_chamfer_distance_of_two_clouds() -> None:
    first, second = np.zeros((1, 3)), np.array([[0.1, 0, 0], [0, 0.3, 0]])
    assert chamfer(first, second) == pytest.approx(50 * (0.1 + 0.2))
    assert chamfer(second, first) == chamfer(first, second)
    assert chamfer(first, second[:0]) == np.inf


# --- the points of the published evaluation


def naive_midpoints(vertices: np.ndarray, faces: np.ndarray, count: int) -> np.ndarray:
    """The longest edge of all triangles, again and again, without an index."""
    points = [tuple(v) for v in vertices.tolist()]
    triangles = [list(f) for f in faces.tolist()]
    for _ in range(count):
        edges = {tuple(sorted((t[i], t[i - 1]))) for t in triangles for i in range(3)}

        def length(edge: tuple[int, int]) -> float:
            a, b = (np.array(points[i]) for i in edge)
            return float(((a - b) ** 2).sum())

        a, b = min(edges, key=lambda edge: (-length(edge), edge))
        points.append(tuple((np.array(points[a]) + np.array(points[b])) / 2))
        at = [t for t in triangles if a in t and b in t]
        triangles = [t for t in triangles if t not in at]
        for t in at:
            c = next(i for i in t if i not in (a, b))
            triangles += [[a, len(points) - 1, c], [len(points) - 1, b, c]]
    return np.array(points)


def test_midpoints_are_those_of_the_longest_edges() -> None:
    """Of a tetrahedron whose edges differ, its corners given once for each face."""
    corners = np.array([[0, 0, 0], [1.0, 0, 0], [0.2, 0.7, 0], [0.3, 0.25, 0.55]])
    faces = np.array([[0, 1, 2], [0, 1, 3], [1, 2, 3], [0, 2, 3]])
    apart = Mesh.plain(corners[faces].reshape(-1, 3), np.arange(12).reshape(-1, 3))
    found = densified(apart, 40)
    stored = apart.vertices.astype(np.float64)
    order = np.unique(stored, axis=0)
    renamed = np.array([int(np.flatnonzero((order == v).all(1))[0]) for v in stored])
    expected = naive_midpoints(order, renamed.reshape(-1, 3), 40)
    assert len(found) == 44
    np.testing.assert_allclose(np.unique(found, axis=0), np.unique(expected, axis=0), atol=1e-15)


def test_midpoints_lie_on_the_surface_and_cover_it(truth: Truth) -> None:
    points = np.asarray(truth.dense.data)
    assert len(points) == 14 + DENSE  # two boxes that share two corners
    assert distances(points[::500], ell(), 0.01).max() < 1e-7
    assert truth.dense.query(truth.spread)[0].max() < 0.02


def test_faces_without_an_area_split_nothing() -> None:
    corners = np.array([[0, 0, 0], [1.0, 0, 0], [0, 1.0, 0], [5, 5, 5]])
    mesh = Mesh.plain(corners, np.array([[0, 1, 2], [1, 1, 2], [3, 3, 3]]))
    points = densified(mesh, 9)
    assert len(points) == 12  # nor is the corner that no face has among them
    assert points.max() <= 1


# --- baselines


def test_mean_maps_are_means_where_enough_shapes_are() -> None:
    """Three shapes of one pixel or two: shares 1 and 1/3."""
    depth = np.zeros((3, 8, 4, 4), np.float32)
    depth[:, 0, 1, 2] = 0.7, 0.8, 0.9
    depth[2, 3, 0, 0] = 1.1
    clouds = mean_clouds(depth, fixed_extrinsics(8))
    count = [len(cloud) for cloud in clouds]
    assert count == [2 if share <= 1 / 3 else 1 for share in SHARES]
    camera = fixed_extrinsics(8)[0]
    u, v, z = camera[:, :3] @ clouds[-1][0] + camera[:, 3]
    assert [u, v, z] == pytest.approx([(2.5 / 4 - 0.5), (1.5 / 4 - 0.5), 0.8], abs=1e-6)


def test_training_shapes_are_found_by_their_points_and_by_their_pictures() -> None:
    rng = np.random.default_rng(0)
    clouds = {name: rng.normal(size=(3000, 3)) + place for place, name in enumerate("abc")}
    pictures = rng.random((6, 32 * 32 * 3)).astype(np.float32)
    known = CloudBaselines(clouds, clouds["a"], pictures, ("a", "a", "b", "b", "c", "c"))
    assert known.nearest(rng.normal(size=(500, 3)) + 1.1) == "b"
    rgb = (pictures[[4, 1]].reshape(2, 32, 1, 32, 1, 3) * 255).repeat(2, 2).repeat(2, 4)
    assert known.pictured(rgb.reshape(2, 64, 64, 3).astype(np.uint8)) == ["c", "a"]

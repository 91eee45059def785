"""The primitives against closed forms and trimesh, the crease rule against a naive walk."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh
from scipy.spatial.transform import Rotation

from stages.shapes.generate import primitives as make
from stages.shapes.generate.freedom import colour, draw, draw_value, one_of, real, rgb, shade, whole
from stages.shapes.generate.furniture import bend
from stages.shapes.generate.model import CREASE_DEG, Model, smooth_corners


def closed(solid: make.Solid) -> trimesh.Trimesh:
    """The solid as trimesh sees it, nothing merged; asserts that it is closed and faces outward."""
    result = trimesh.Trimesh(solid.vertices, solid.faces, process=False)
    assert result.is_watertight
    assert result.is_winding_consistent
    assert result.volume > 0
    assert len(solid.bands) == len(solid.faces)
    return result


def polygon_area(points: int) -> float:
    """Area of the regular polygon in the unit circle."""
    return 0.5 * points * np.sin(2 * np.pi / points)


def test_box_prism_and_bar():
    assert closed(make.box((-1, 2, 0), (1, 5, 4))).volume == pytest.approx(2 * 3 * 4)
    for axis, u, v, along in (("x", 1, 2, 0), ("y", 2, 0, 1), ("z", 0, 1, 2)):
        outline = np.array([[0, 0], [2, 0], [2, 1], [0, 1]])
        solid = make.prism(outline, 3, 7, axis)
        extent = np.ptp(solid.vertices, axis=0)
        assert (extent[u], extent[v], extent[along]) == (2, 1, 4)
        assert closed(solid).volume == pytest.approx(8)
    tapered = make.bar((0, 0, 0), (0, 0, 2), (0.4, 0.2), 0.5)  # a frustum: h/3 (A + a + sqrt(A a))
    big, small = 0.4 * 0.2, 0.2 * 0.1
    expected = 2 / 3 * (big + small + np.sqrt(big * small))
    assert closed(tapered).volume == pytest.approx(expected)


@pytest.mark.parametrize("axis", ["x", "y", "z"])
def test_lathe_cylinder_cone_and_sphere(axis):
    points = 32
    cylinder = make.lathe([(2, 0), (2, 3)], points, axis)
    assert closed(cylinder).volume == pytest.approx(4 * 3 * polygon_area(points))
    cone = make.lathe([(0, 0), (2, 3)], points, axis)
    assert closed(cone).volume == pytest.approx(4 * 3 / 3 * polygon_area(points))
    ball = make.ellipsoid((1, 2, 3), 64, axis)
    # An inscribed polyhedron of 64 x 32 pieces lacks about (2 pi / 64)^2 / 4 of the volume: 0.3 %.
    assert closed(ball).volume == pytest.approx(4 / 3 * np.pi * 6, rel=0.006)
    np.testing.assert_allclose(np.abs(ball.vertices).max(0), [1, 2, 3], rtol=2e-3)


def test_lathe_bands_follow_the_profile():
    profile = [(0, 0), (1, 0), (1, 1), (0, 1)]
    solid = make.lathe(profile, 16, "z", (0, 1, 2))
    normals = closed(solid).face_normals
    np.testing.assert_array_equal(solid.bands == 0, normals[:, 2] < -0.5)
    np.testing.assert_array_equal(solid.bands == 1, np.abs(normals[:, 2]) < 0.5)
    np.testing.assert_array_equal(solid.bands == 2, normals[:, 2] > 0.5)
    flat = make.lathe(profile[1:3], 16, "z", 5)
    assert set(flat.bands) == {5}
    closed(flat)


def test_tube_straight_and_bent():
    straight = make.tube([(0, 0, 0), (1, 2, 2)], 0.1, 24)
    assert closed(straight).volume == pytest.approx(3 * 0.01 * polygon_area(24))
    angle = np.linspace(0, np.pi, 65)
    ring = np.stack([np.cos(angle), np.sin(angle), 0 * angle], -1)
    bent = make.tube(ring, 0.1, 24)
    # Pappus: section times the path of its centre (65 points on an arc: 1e-4 short of pi).
    assert closed(bent).volume == pytest.approx(np.pi * 0.01 * polygon_area(24), rel=2e-3)
    distance = np.linalg.norm(bent.vertices - ring.repeat(24, axis=0), axis=1)
    np.testing.assert_allclose(distance, 0.1, rtol=1e-9)


def test_sweep_does_not_twist():
    height = np.linspace(0, 1, 40)
    helix = np.stack([np.cos(6 * height), np.sin(6 * height), 2 * height], -1)
    rings = make.sweep(helix, [[1, 1], [-1, 1], [-1, -1], [1, -1]], scale=0.05).vertices
    rings = rings[: 40 * 4].reshape(40, 4, 3)
    first = rings[:, 0] - rings[:, 1]
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    tangent = np.gradient(helix, axis=0)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    np.testing.assert_allclose(np.einsum("ij,ij->i", first, tangent), 0, atol=1e-9)
    step = np.degrees(np.arccos(np.clip(np.einsum("ij,ij->i", first[1:], first[:-1]), -1, 1)))
    bend_step = np.degrees(np.arccos(np.einsum("ij,ij->i", tangent[1:], tangent[:-1])))
    assert (step <= bend_step + 1e-6).all()  # parallel transport turns no more than the path does


@pytest.mark.parametrize("axis", ["x", "y", "z"])
def test_cushion_fills_its_box(axis):
    low, high = np.array([-1, 0, 2.0]), np.array([2, 2, 3.0])
    solid = make.cushion(low, high, 0.2, axis=axis)
    np.testing.assert_allclose(solid.vertices.min(0), low, atol=1e-12)
    np.testing.assert_allclose(solid.vertices.max(0), high, atol=1e-12)
    inner = np.prod(high - low - 0.4)
    assert inner < closed(solid).volume < np.prod(high - low)
    domed = make.cushion(low, high, 0.2, (0.1, 0.3), axis=axis)
    along = "xyz".index(axis)
    assert domed.vertices[:, along].min() == pytest.approx(low[along] - 0.1)
    assert domed.vertices[:, along].max() == pytest.approx(high[along] + 0.3)
    assert closed(domed).volume > closed(solid).volume
    closed(make.cushion(low, high, 0.2, (0.0, 0.3), axis=axis))


def test_shell_between_two_spheres():
    u, v = np.linspace(0.3, 1.2, 40)[:, None], np.linspace(0.2, 1.5, 40)[None, :]
    ray = np.stack(np.broadcast_arrays(np.sin(u) * np.cos(v), np.sin(u) * np.sin(v), np.cos(u)), -1)
    expected = (2**3 - 1.5**3) / 3 * (np.cos(0.3) - np.cos(1.2)) * 1.3  # solid angle in closed form
    assert closed(make.shell(2 * ray, 1.5 * ray)).volume == pytest.approx(expected, rel=2e-3)


@pytest.mark.parametrize("axis", ["x", "y", "z"])
def test_turned_and_mirrored(axis):
    solid = make.box((0, 0, 0), (1, 2, 3)).at(0.5, 0.2, -1)
    rotation = Rotation.from_rotvec(np.radians(33) * np.eye(3)["xyz".index(axis)])
    turned = solid.turned(axis, 33)
    np.testing.assert_allclose(turned.vertices, rotation.apply(solid.vertices), atol=1e-12)
    assert closed(solid.mirrored()).volume == pytest.approx(6)
    np.testing.assert_array_equal(solid.mirrored().vertices[:, 0], -solid.vertices[:, 0])


def test_repeated_and_joined_keep_every_body():
    solid = make.cushion((0, 0, 0), (1, 1, 1), 0.1)
    copies = make.repeated(solid, [(0, 0, 0), (3, 0, 0), (0, 3, 0)])
    assert closed(copies).volume == pytest.approx(3 * closed(solid).volume)
    both = make.joined([solid, make.box((5, 5, 5), (6, 6, 6))])
    assert closed(both).volume == pytest.approx(closed(solid).volume + 1)
    assert closed(both).body_count == 2


def test_bend_keeps_the_ends_and_stays_inside_the_corner():
    corners = np.array([(0, 0, 0), (1, 0, 0), (1, 1, 0.0)])
    path = bend(corners, 0.2, 8)
    np.testing.assert_array_equal(path[[0, -1]], corners[[0, -1]])
    assert np.linalg.norm(path - corners[1], axis=1).min() > 0.05
    assert (np.diff(path[:, 0]) >= -1e-12).all()
    assert (np.diff(path[:, 1]) >= -1e-12).all()


def naive_groups(vertices: np.ndarray, faces: np.ndarray) -> set[frozenset[int]]:
    """The smoothing groups by walking around every vertex, face by face."""
    cross = np.cross(
        vertices[faces[:, 1]] - vertices[faces[:, 0]], vertices[faces[:, 2]] - vertices[faces[:, 0]]
    )
    unit = cross / np.linalg.norm(cross, axis=1, keepdims=True)
    groups = set()
    for vertex in range(len(vertices)):
        around = [(f, k) for f in range(len(faces)) for k in range(3) if faces[f, k] == vertex]
        left = set(around)
        while left:
            group, todo = set(), [left.pop()]
            while todo:
                face, corner = todo.pop()
                group.add(3 * face + corner)
                for other in list(left):
                    shared = set(faces[face]) & set(faces[other[0]])
                    angle = np.degrees(np.arccos(np.clip(unit[face] @ unit[other[0]], -1, 1)))
                    if len(shared) == 2 and angle < CREASE_DEG:
                        left.discard(other)
                        todo.append(other)
            groups.add(frozenset(group))
    return groups


@pytest.mark.parametrize(
    "solid",
    [
        make.box((0, 0, 0), (1, 1, 1)),
        make.lathe([(0, 0), (1, 0), (1, 2), (0.3, 2.2), (0, 3)], 12, "y"),
        make.cushion((0, 0, 0), (2, 1, 0.5), 0.15, (0, 0.1)),
        make.tube([(0, 0, 0), (0, 1, 0), (1, 1.2, 0)], 0.1, 8),
    ],
    ids=["box", "lathe", "cushion", "tube"],
)
def test_crease_rule_is_the_naive_walk(solid):
    label, normals = smooth_corners(solid.vertices, solid.faces)
    found: dict[int, set[int]] = {}
    for corner, group in enumerate(label.tolist()):
        found.setdefault(group, set()).add(corner)
    assert {frozenset(g) for g in found.values()} == naive_groups(solid.vertices, solid.faces)
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-12)


def test_normals_of_a_box_and_of_a_cylinder():
    cube = make.box((0, 0, 0), (1, 1, 1))
    label, normals = smooth_corners(cube.vertices, cube.faces)
    assert len(normals) == 24  # three to a corner
    np.testing.assert_allclose(np.sort(np.abs(normals), axis=1), [[0, 0, 1]] * 24, atol=1e-12)
    wall = make.lathe([(1, 0), (1, 2)], 24)
    label, normals = smooth_corners(wall.vertices, wall.faces)
    corner = wall.vertices[wall.faces.reshape(-1)]
    mine = normals[label]
    side = np.abs(mine[:, 2]) < 0.5
    np.testing.assert_allclose(mine[side, :2], corner[side, :2], atol=1e-12)  # radial
    np.testing.assert_allclose(np.abs(mine[~side, 2]), 1, atol=1e-12)


def test_model_materials_and_mirrored_keypoints():
    model = Model({"red": (1, 0, 0), "blue": (0, 0, 1), "unused": (0, 1, 0)})
    model.add_pair(make.box((1, 0, 0), (2, 1, 1)), "blue")
    model.add(make.box((-0.5, 0, 0), (0.5, 1, 1)), "red")
    model.keypoint_pair("{}_side", (2, 0.5, 0.5))
    mesh = model.mesh()
    assert mesh.material_rgba.tolist() == [[0, 0, 1, 1], [1, 0, 0, 1]]
    assert np.bincount(mesh.face_material).tolist() == [24, 12]
    points = dict(zip(mesh.keypoint_names, mesh.keypoints))
    assert points["left_side"][0] == pytest.approx(2 / np.sqrt(18))  # own left is +x
    np.testing.assert_allclose(points["right_side"], points["left_side"] * [-1, 1, 1])
    with pytest.raises(KeyError):
        model.add(make.box((0, 0, 0), (1, 1, 1)), "green")


def test_draw_stays_in_the_domain_and_in_the_prior():
    import dataclasses

    @dataclasses.dataclass(frozen=True)
    class Thing:
        size: float = real(1.0, 2.0)
        count: int = whole(2, 4)
        kind: str = one_of("a", "b")
        paint: tuple[float, float, float] = colour("808080")

    rng = np.random.default_rng(0)
    things = [draw(Thing, rng) for _ in range(200)]
    assert all(1 <= t.size < 2 for t in things)
    assert {t.count for t in things} == {2, 3, 4}
    assert {t.kind for t in things} == {"a", "b"}
    paints = np.array([t.paint for t in things])
    assert np.abs(paints - 128 / 255).max() <= 0.035
    assert len(np.unique(paints, axis=0)) == 200
    narrow = [draw(Thing, rng, {"size": [5, 6], "kind": ["c"]}) for _ in range(20)]
    assert all(5 <= t.size < 6 and t.kind == "c" for t in narrow)
    with pytest.raises(KeyError, match="colour"):
        draw(Thing, rng, {"colour": ["ff0000"]})
    assert draw_value("choice", ["only"], rng) == "only"
    assert rgb("0080ff") == pytest.approx((0, 128 / 255, 1))
    assert shade((0.5, 0.5, 0.5), 0.5) == (0.25, 0.25, 0.25)
    assert shade((0.5, 0.5, 0.5), 2.0) == (1, 1, 1)

from __future__ import annotations

import numpy as np
import pytest
import trimesh

from stages.shapes.importing.normals import CREASE_DEG, complete_normals


def computed(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(F, 3, 3) corners' normals and positions where none are given."""
    vertices = np.asarray(vertices, float)
    rows, new, normals = complete_normals(vertices, np.asarray(faces), np.zeros((len(vertices), 3)))
    assert np.array_equal(vertices[rows][new], vertices[faces])
    assert np.linalg.norm(normals, axis=1) == pytest.approx(np.ones(len(normals)))
    return normals[new], vertices[faces]


def face_normals(corners: np.ndarray) -> np.ndarray:
    out = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    return out / np.linalg.norm(out, axis=1, keepdims=True)


def test_cylinder_is_smooth_around_and_sharp_at_its_rims() -> None:
    mesh = trimesh.creation.cylinder(1, 2, sections=36)  # neighbours bend by 10 degrees
    normals, corners = computed(mesh.vertices, mesh.faces)
    flat = face_normals(corners)
    cap = np.abs(flat[:, 2]) > 0.5
    assert normals[cap] == pytest.approx(np.repeat(flat[cap][:, None], 3, 1))
    radial = corners[~cap] * [1, 1, 0]
    radial /= np.linalg.norm(radial, axis=-1, keepdims=True)
    # area-weighted means of triangles that lie unevenly about the radius: within a third of a facet
    assert (normals[~cap] * radial).sum(-1).min() > np.cos(np.radians(4))


@pytest.mark.parametrize("bend", [CREASE_DEG - 1, CREASE_DEG + 1])
def test_crease_angle(bend: float) -> None:
    side = [np.cos(np.radians(bend)), 0, -np.sin(np.radians(bend))]
    vertices = np.array([[0, 0, 0], [0, 1, 0], [-1, 0, 0], side])
    normals, corners = computed(vertices, [[0, 1, 2], [1, 0, 3]])
    flat = face_normals(corners)
    if bend > CREASE_DEG:
        assert normals == pytest.approx(np.repeat(flat[:, None], 3, 1))
    else:
        mean = flat.sum(0) / np.linalg.norm(flat.sum(0))  # both areas are 1/2
        shared = np.array([[True, True, False]] * 2)
        assert normals[shared] == pytest.approx(np.tile(mean, (4, 1)))


def naive(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Corner by corner: walk over smooth edges from face to face around the corner's position."""
    corners = vertices[faces]
    area = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    unit = area / np.linalg.norm(area, axis=1, keepdims=True)
    limit = np.cos(np.radians(CREASE_DEG))
    sets = [{tuple(c) for c in face} for face in corners]
    result = np.empty_like(corners)
    for f, face in enumerate(corners):
        for k, point in enumerate(face):
            around = [g for g in range(len(faces)) if tuple(point) in sets[g]]
            reached, queue = {f}, [f]
            while queue:
                one = queue.pop()
                for two in around:
                    edge = len(sets[one] & sets[two]) == 2
                    if two not in reached and edge and unit[one] @ unit[two] > limit:
                        reached.add(two)
                        queue.append(two)
            total = area[sorted(reached)].sum(0)
            result[f, k] = total / np.linalg.norm(total)
    return result


def test_agrees_with_a_naive_walk_on_a_closed_surface_with_edges() -> None:
    ball = trimesh.creation.icosphere(1)
    rng = np.random.default_rng(0)
    vertices = ball.vertices * rng.uniform(0.7, 1.3, (len(ball.vertices), 1))  # bends of all sizes
    split = vertices[ball.faces].reshape(-1, 3)  # a soup: positions count, not indices
    faces = np.arange(len(split)).reshape(-1, 3)
    expected = naive(split, faces)
    assert computed(split, faces)[0] == pytest.approx(expected)
    assert computed(vertices, ball.faces)[0] == pytest.approx(expected)
    kinds = [
        len(np.unique(np.round(expected.reshape(-1, 3)[ball.faces.reshape(-1) == v], 6), axis=0))
        for v in range(len(vertices))
    ]
    assert min(kinds) == 1 < max(kinds)  # some places are all smooth, some have edges


def test_surfaces_modelled_twice_stay_smooth_on_both_sides() -> None:
    ball = trimesh.creation.icosphere(2)
    faces = np.concatenate([ball.faces, ball.faces[:, ::-1]])
    normals, corners = computed(ball.vertices, faces)
    outward = corners / np.linalg.norm(corners, axis=-1, keepdims=True)
    side = np.repeat([1, -1], len(ball.faces))[:, None]
    assert ((normals * outward).sum(-1) * side).min() > np.cos(np.radians(5))


def test_a_face_turned_inside_out_does_not_spoil_its_neighbours() -> None:
    grid = np.array([[x, y, 0] for y in range(4) for x in range(4)], float)
    faces = [[4 * y + x, 4 * y + x + 1, 4 * y + x + 5] for y in range(3) for x in range(3)]
    faces += [[a, c, c - 1] for a, _, c in faces]
    faces[4] = faces[4][::-1]
    normals, _ = computed(grid, faces)
    up = np.ones(len(faces))
    up[4] = -1
    assert normals[..., 2] == pytest.approx(np.repeat(up[:, None], 3, 1))

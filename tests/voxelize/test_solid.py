"""Solid voxels against formulas, naive rays, and what must not change them."""

import numpy as np
import pytest
import trimesh

from tests.voxelize.naive import as_mesh, box, canonical, centres, grid, iou, joined, run, solid

CREATION = trimesh.creation

CLOSED = {
    "icosphere": CREATION.icosphere(subdivisions=2),
    "box": CREATION.box((1, 0.7, 0.4)),
    "annulus": CREATION.annulus(0.3, 0.6, 0.5, sections=17),
    "capsule": CREATION.capsule(1, 0.3, count=(9, 11)),
    "torus": CREATION.torus(1, 0.35, major_sections=19, minor_sections=11),
}


@pytest.mark.parametrize("res", [32, 64])
@pytest.mark.parametrize("name", ["sphere", "box", "torus"])
def test_closed_shapes_against_the_formula(name, res):
    points = centres(res)
    if name == "sphere":
        mesh = CREATION.icosphere(subdivisions=5, radius=0.28)
        depth = 0.28 - np.linalg.norm(points, axis=-1)
    elif name == "box":
        mesh = CREATION.box((0.7, 0.51, 0.33))
        depth = (np.array([0.7, 0.51, 0.33]) / 2 - np.abs(points)).min(-1)
    else:
        mesh = CREATION.torus(0.3, 0.1, major_sections=256, minor_sections=128)
        ring = np.hypot(points[..., 0], points[..., 1]) - 0.3
        depth = 0.1 - np.hypot(ring, points[..., 2])
    voxels = grid(joined(mesh), res=res, fill="solid")
    # Facets lie at most r (1 - cos(pi / n)) inside of the true surface, here under 1e-4: no other
    # centre may differ. By the symmetry of the shapes a few dozen centres are that close at once.
    sure = np.abs(depth) > 1e-4
    np.testing.assert_array_equal(voxels[sure], depth[sure] > 0)
    assert iou(voxels, depth > 0) >= 0.99


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", CLOSED)
def test_closed_shapes_equal_naive_rays(name, seed):
    triangles = canonical(CLOSED[name], seed)
    same_as_naive(triangles, 20)
    if name in ("icosphere", "box", "capsule"):  # nothing hidden from outside to be filled
        assert run(as_mesh(triangles), res=20)["disagreement"] == 0


def same_as_naive(triangles: np.ndarray, res: int) -> None:
    arrays = run(as_mesh(triangles), res=res, fill="solid")
    voxels, disagreement = solid(triangles, res)
    np.testing.assert_array_equal(arrays["voxels"], voxels)
    assert arrays["disagreement"] == np.float32(disagreement)


@pytest.mark.parametrize("seed", range(4))
def test_open_and_tangled_shapes_equal_naive_rays(seed):
    rng = np.random.default_rng(seed)
    parts = [canonical(m, seed + i) for i, m in enumerate(CLOSED.values())]
    triangles = np.concatenate(parts) * np.float32(0.7)  # all through each other
    triangles = triangles[rng.random(len(triangles)) > 0.1]  # holes
    extra = triangles[rng.random(len(triangles)) < 0.05]  # faces twice
    loose = rng.uniform(-0.6, 0.6, (30, 3, 3)).astype(np.float32)  # some leave the grid
    triangles = np.concatenate([triangles, extra, loose])
    same_as_naive(triangles, 20)


@pytest.mark.parametrize("fill", ["solid", "surface", "both"])
@pytest.mark.parametrize("axis", range(3))
def test_turning_the_mesh_turns_the_grid(axis, fill):
    u, v = (i for i in range(3) if i != axis)
    turn = np.eye(3)
    turn[[u, v]] = [-turn[v], turn[u]]  # u' = -v, v' = u: a quarter turn from u to v
    rng = np.random.default_rng(axis)
    loose = rng.uniform(-0.5, 0.5, (20, 3, 3)).astype(np.float32)
    mesh = as_mesh(np.concatenate([canonical(CLOSED["annulus"], 5)[7:], loose]))
    before = run(mesh, res=24, fill=fill)["voxels"]
    after = run(mesh.moved(turn, 1, np.zeros(3)), res=24, fill=fill)["voxels"]
    assert 0 < before.sum() < before.size
    np.testing.assert_array_equal(after, np.rot90(before, axes=(u, v)))


def test_nothing_is_mirrored_or_swapped():
    """An L with a foot: long along x, shorter along y, a block on top, in voxels of 1/16."""

    def part(*spans):
        low, high = np.array(spans).T / 16 - 0.5
        return box(low + 0.01, high - 0.01)

    spans = [[(2, 12), (3, 5), (4, 6)], [(2, 4), (5, 9), (4, 6)], [(10, 12), (3, 5), (6, 13)]]
    truth = np.zeros((16, 16, 16), bool)
    for x, y, z in spans:
        truth[slice(*x), slice(*y), slice(*z)] = True
    triangles = joined(*(part(*s) for s in spans))
    for fill in ("solid", "surface", "both"):
        voxels = grid(triangles, res=16, fill=fill)
        expected = truth  # two voxels thick: the surface touches all of them
        np.testing.assert_array_equal(voxels, expected, err_msg=fill)


@pytest.mark.parametrize("subdivisions", range(3))
def test_faces_edges_and_corners_on_voxel_centres(subdivisions):
    """A box from centre to centre owns its lower side, not its upper: 3 of the 4 centres it spans.

    Halving it puts corners and edges onto the lines that are counted along.
    """
    mesh = box(np.full(3, 2.5) / 8 - 0.5, np.full(3, 5.5) / 8 - 0.5)
    for _ in range(subdivisions):
        mesh = mesh.subdivide()
    arrays = run(as_mesh(joined(mesh)), res=8, fill="solid")
    expected = np.zeros((8, 8, 8), bool)
    expected[2:5, 2:5, 2:5] = True
    np.testing.assert_array_equal(arrays["voxels"], expected)
    assert arrays["disagreement"] == 0


def test_corners_on_voxel_centres_leave_no_streaks():
    """Centres on the slanted faces of an octahedron may go either way, all others not."""
    reach = 4 / 16  # corners at the middles of voxels, edges through rows of centres
    corners = np.array([[1, 0, 0], [0, 1, 0], [-1, 0, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1]])
    faces = [[a, (a + 1) % 4, top][:: 1 if top == 4 else -1] for a in range(4) for top in (4, 5)]
    middle = np.full(3, 0.5 / 16)  # the centre of voxel 8
    triangles = (corners[np.array(faces)] * reach + middle).astype(np.float32)
    size = np.abs(centres(16) - middle).sum(-1)
    voxels = grid(triangles, res=16, fill="solid")
    assert voxels[size < reach - 1e-6].all()
    assert not voxels[size > reach + 1e-6].any()


def test_flips_order_and_degenerate_faces_change_nothing():
    rng = np.random.default_rng(0)
    triangles = np.concatenate([canonical(CLOSED["torus"], 3)[5:], canonical(CLOSED["box"], 4)])
    flipped = np.where(rng.random((len(triangles), 1, 1)) < 0.5, triangles, triangles[:, ::-1])
    points = triangles[rng.integers(0, len(triangles), 50), 0]
    needles = np.stack([points, np.roll(points, 1, 0), points], 1)  # a line there and back
    dots = np.repeat(points[:, None], 3, 1)
    more = np.concatenate([flipped, needles, dots])
    expected = grid(triangles, res=24, fill="solid")
    np.testing.assert_array_equal(
        grid(more[rng.permutation(len(more))], res=24, fill="solid"), expected
    )
    np.testing.assert_array_equal(grid(triangles, res=24, fill="solid"), expected)


def test_open_bottom_box_is_filled_by_the_vote():
    mesh = box((-0.3, -0.2, -0.25), (0.3, 0.2, 0.25))
    closed = grid(joined(mesh), res=32, fill="solid")
    opened = mesh.triangles[mesh.face_normals[:, 2] > -0.5].astype(np.float32)
    assert len(opened) == 10
    np.testing.assert_array_equal(grid(opened, res=32, fill="solid"), closed)
    assert run(as_mesh(opened), res=32)["disagreement"] == 1  # no column along z votes


def test_box_open_on_two_sides_is_filled_by_the_axis_that_is_left():
    mesh = box((-0.3, -0.2, -0.25), (0.3, 0.2, 0.25))
    missing = (mesh.face_normals[:, 2] < -0.5) | (mesh.face_normals[:, 0] > 0.5)
    voxels = grid(mesh.triangles[~missing].astype(np.float32), res=32, fill="solid")
    np.testing.assert_array_equal(voxels, grid(joined(mesh), res=32, fill="solid"))


def test_round_body_with_a_hole_below():
    """Like a scanned statue: no floor. What lies above the rim is filled, nothing leaks."""
    mesh = CREATION.icosphere(subdivisions=4, radius=0.4)
    opened = mesh.triangles[mesh.triangles_center[:, 2] > -0.3].astype(np.float32)
    points = centres(48)
    truth = (np.linalg.norm(points, axis=-1) < 0.4) & (points[..., 2] > -0.3)
    # the rim is as ragged as its triangles, 0.03 high: half of that of a height of 0.7
    assert iou(grid(opened, res=48, fill="solid"), truth) > 0.975


def test_scattered_holes_cast_no_streaks():
    """Two odd columns that cross outside of the shape would out-vote the third axis."""
    rng = np.random.default_rng(2)
    mesh = CREATION.icosphere(subdivisions=4, radius=0.4)
    triangles = mesh.triangles[rng.random(len(mesh.faces)) > 0.05].astype(np.float32)
    outside = np.linalg.norm(centres(48), axis=-1) > 0.4
    assert not (grid(triangles, res=48, fill="solid") & outside).any()


def test_two_sided_chair_is_not_empty():
    """Every face twice, once each way round: no parity sees it, carving does."""
    spans = [((-0.2, -0.2, -0.02), (0.2, 0.2, 0.05)), ((-0.2, 0.14, 0.06), (0.2, 0.2, 0.4))]
    for x in (-0.2, 0.13):
        spans += [((x, y, -0.4), (x + 0.07, y + 0.07, -0.03)) for y in (-0.2, 0.13)]
    once = joined(*(box(*s) for s in spans))
    points = centres(32)
    truth = np.zeros((32, 32, 32), bool)
    for low, high in spans:
        truth |= ((points > low) & (points < high)).all(-1)
    np.testing.assert_array_equal(grid(once, res=32, fill="solid"), truth)
    twice = np.concatenate([once, once[:, ::-1]])
    np.testing.assert_array_equal(grid(twice, res=32, fill="solid"), truth)


def test_overlapping_parts_and_inner_walls_are_solid():
    whole = box((-0.3, -0.2, -0.2), (0.3, 0.2, 0.2))
    cut = box((-0.1, -0.35, -0.1), (0.1, 0.35, 0.1))
    inner = box((-0.25, -0.15, -0.15), (-0.05, 0.15, 0.15))
    points = centres(32)
    truth = (np.abs(points) < (0.3, 0.2, 0.2)).all(-1) | (np.abs(points) < (0.1, 0.35, 0.1)).all(-1)
    np.testing.assert_array_equal(grid(joined(whole, cut, inner), res=32, fill="solid"), truth)


def test_thin_wings_are_kept_by_both():
    body = box((-0.05, -0.45, -0.05), (0.05, 0.45, 0.05))
    wing = box((-0.45, -0.1, -0.003), (0.45, 0.05, 0.003))  # a fifth of a voxel, between centres
    triangles = joined(body, wing)
    beside = np.abs(centres(32)[..., 0]) > 0.06
    assert not (grid(triangles, res=32, fill="solid") & beside).any()
    both = grid(triangles, res=32, fill="both")
    # 0.39 of 32 voxels each side and 0.15 of 32 deep, two layers: it lies between them
    assert (both & beside).sum() >= 2 * 12 * 4 * 2
    np.testing.assert_array_equal(
        both, grid(triangles, res=32, fill="solid") | grid(triangles, res=32, fill="surface")
    )


def test_words_of_64_voxels_are_joined_seamlessly():
    triangles = joined(CREATION.box((0.6, 0.52, 0.912)))
    for res in (1, 2, 63, 64, 65, 130):
        truth = (np.abs(centres(res)) < (0.3, 0.26, 0.456)).all(-1)
        np.testing.assert_array_equal(grid(triangles, res=res, fill="solid"), truth)


@pytest.mark.filterwarnings("ignore")  # of the loader, about materials
@pytest.mark.parametrize(
    "file", ["airplane/md80-md-80.glb", "car/torcs-155-dtm.off", "chair/scopia-chair4/model.obj"]
)
def test_real_models_equal_naive_rays(shared_data, file):
    """Turned at random: modelled on round numbers, their edges would meet the rays of the naive."""
    path = shared_data / "openmodels" / file
    triangles = canonical(trimesh.load_scene(path).to_mesh(), 1)
    same_as_naive(triangles, 24)

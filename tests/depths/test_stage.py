"""The stage: its arrays, what is fused from them, its seeds, what it refuses."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh

from stages.depths import SPEC, STAGE, Params, check, process, variant
from stages.engine.plan import Selection, make_plan, wanted_from_inputs
from stages.engine.pools import Limits
from stages.engine.runner import execute
from stages.engine.sources import wanted_from_sources
from stages.errors import ItemError, UsageError
from stages.geometry import cameras
from stages.geometry.mesh import Mesh
from stages.geometry.orthographic import fixed_viewpoints, intrinsics, project, random_viewpoints
from stages.geometry.points import fuse, nearest, sample_surface
from stages.shapes import generate
from stages.stage import Arrays, Item
from stages.store.shard import encode_item
from stages.store.workspace import Workspace
from tests.depths.shapes import L_BOXES, distances, ell
from tests.render.models import box, load_open_model, open_model_rows
from tests.shapes.generated import mesh as generated

SMALL = Params(novel=5, size=32)


def run(mesh: Mesh, params: Params = SMALL, seed: int = 0) -> Arrays:
    item = Item("test/shape", {"shapes": mesh.to_arrays()})
    return process(item, params, np.random.default_rng(seed))


def clouds(arrays: Arrays) -> tuple[np.ndarray, np.ndarray]:
    """The points of the fixed and of the novel views."""
    fixed, novel = (
        fuse(*(arrays[f"{kind}{name}"] for name in ("depth", "mask", "extrinsics")))
        for kind in ("", "novel_")
    )
    return fixed, novel


def test_arrays_are_those_of_the_spec() -> None:
    arrays = run(ell())
    assert encode_item(SPEC, arrays)  # refuses wrong names, types and numbers of axes
    assert {name: array.shape for name, array in arrays.items()} == {
        "depth": (8, 32, 32),
        "mask": (8, 32, 32),
        "viewpoint": (8, 4),
        "extrinsics": (8, 3, 4),
        "novel_depth": (5, 32, 32),
        "novel_mask": (5, 32, 32),
        "novel_viewpoint": (5, 4),
        "novel_extrinsics": (5, 3, 4),
        "intrinsics": (3, 3),
    }
    np.testing.assert_array_equal(arrays["viewpoint"], np.float32(fixed_viewpoints(8)))
    np.testing.assert_array_equal(arrays["intrinsics"], intrinsics(32))
    for kind in ("", "novel_"):
        depth, mask = arrays[f"{kind}depth"], arrays[f"{kind}mask"]
        assert np.array_equal(mask, depth > 0)
        assert 0 < mask.mean() < 1
        assert 0.5 < depth[mask].min() < depth[mask].max() < 1.5
        expected = cameras.extrinsics(arrays[f"{kind}viewpoint"])
        # Degrees up to 360 in single precision are 2.7e-7 off.
        np.testing.assert_allclose(arrays[f"{kind}extrinsics"], expected, atol=5e-7)


@pytest.mark.parametrize("views", [4, 6, 8, 12, 20])
def test_every_set_of_fixed_views(views: Any) -> None:
    arrays = run(ell(), Params(views=views, novel=0, size=16))
    assert arrays["mask"].shape == (views, 16, 16)
    assert arrays["novel_depth"].shape == (0, 16, 16)
    assert encode_item(SPEC, arrays)
    assert clouds(arrays)[1].shape == (0, 3)


def on_boxes(points: np.ndarray) -> np.ndarray:
    """(n,) bool, on the surface of the L by its coordinates."""
    low, high = np.array(L_BOXES, np.float64).transpose(1, 0, 2)[..., None, :]  # (2, 1, 3) each
    inside = ((points >= low - 1e-6) & (points <= high + 1e-6)).all(-1)  # (2, n)
    face = (np.minimum(np.abs(points - low), np.abs(points - high)) < 1e-6).any(-1)
    return (inside & face).any(0)


def test_the_cloud_of_an_ell_is_that_ell_and_no_other() -> None:
    """Swapped axes, mirrors and half a pixel would leave its surface."""
    arrays = run(ell(), Params(novel=10, size=64))
    for cloud in clouds(arrays):
        assert on_boxes(cloud).all()
        for wrong in (
            cloud[:, [1, 0, 2]],
            cloud[:, [2, 1, 0]],
            cloud * [-1, 1, 1],
            cloud + 1 / 128,
        ):
            assert on_boxes(wrong).mean() < 0.5
    # Its shape is centred nowhere: the extremes are those of the two boxes, to a pixel.
    fixed = clouds(arrays)[0]
    np.testing.assert_allclose(fixed.min(0), [-0.30, -0.10, -0.25], atol=0.02)
    np.testing.assert_allclose(fixed.max(0), [0.22, 0.16, 0.30], atol=0.02)


def check_on_surface(mesh: Mesh) -> None:
    arrays = run(mesh, Params(novel=6))
    for cloud in clouds(arrays):
        some = np.random.default_rng(0).permutation(len(cloud))[:400]
        # Depth, corners and matrices are in single precision: three times 6e-8 and what sums add.
        assert distances(cloud[some], mesh, 1e-3).max() < 4e-7


@pytest.mark.parametrize("category", ["airplane", "chair", "car"])
def test_fused_depths_lie_on_generated_shapes(category: str) -> None:
    check_on_surface(generated(category, 0))


@pytest.mark.parametrize("name", ["f16", "torcs-car5-trb1", "cc-0-bed1", "scopia-plastic-chair"])
def test_fused_depths_lie_on_real_shapes(name: str, shared_data: Path) -> None:
    folder = shared_data / "openmodels"
    check_on_surface(load_open_model(folder, open_model_rows(folder)[name]))


def test_the_cloud_covers_what_is_convex() -> None:
    """Every point of a box is seen, and a pixel of the cloud is near it."""
    mesh = box((-0.35, -0.2, -0.25), (0.35, 0.2, 0.25))
    fixed, _ = clouds(run(mesh, Params(novel=0)))
    points = sample_surface(mesh, 2000, np.random.default_rng(0))
    # A side is seen at 54.7 degrees: pixels are 1/128 apart one way, sqrt(3)/128 the other, and
    # a point is at most half a diagonal from one; at the rim the pixel may be beside the side.
    assert nearest(points, fixed).max() < 2 * 0.5 * np.hypot(1, 3**0.5) / 128
    assert np.median(nearest(points, fixed)) < 0.5 / 128


def test_novel_views_show_the_shape_where_the_camera_says() -> None:
    """Corners of the mesh projected by the stored matrices are the extremes of the masks."""
    mesh = ell()
    arrays = run(mesh, Params(novel=12, size=128))
    u, v, _ = project(mesh.vertices.astype(np.float64), arrays["novel_extrinsics"], 128)
    for n, mask in enumerate(arrays["novel_mask"]):
        rows, columns = np.nonzero(mask)
        seen = [columns.min(), columns.max() + 1, rows.min(), rows.max() + 1]
        # A corner sharper than a right angle may hide up to some pixels from their centres.
        np.testing.assert_allclose(seen, [u[n].min(), u[n].max(), v[n].min(), v[n].max()], atol=3)


def test_novel_views_are_the_only_randomness() -> None:
    first, again, other = (run(ell(), seed=seed) for seed in (3, 3, 4))
    for name in SPEC:
        assert first[name].tobytes() == again[name].tobytes()
        assert np.array_equal(first[name], other[name]) != name.startswith("novel_")
    more = run(ell(), replace(SMALL, novel=9), seed=3)
    assert np.array_equal(more["novel_depth"][:5], first["novel_depth"])
    expected = random_viewpoints(5, np.random.default_rng(3))
    np.testing.assert_array_equal(first["novel_viewpoint"], np.float32(expected))


def make(root: Path, stage: Any, params: Any, wanted: Any, jobs: int) -> list[bytes]:
    """Run a stage; the contents of its shards."""
    artefact = Workspace(root).artefact(stage.name, "variant")
    plan = make_plan(stage, params, 1, artefact, wanted)
    assert not execute(plan, stage, params, Limits(jobs=jobs)).failures
    return [path.read_bytes() for path in sorted(artefact.folder.glob("shard-*.h5"))]


def test_jobs_do_not_matter(tmp_path: Path) -> None:
    ids = {f"table/{n}": {} for n in range(4)}
    made = []
    for jobs in (0, 2):
        root = tmp_path / str(jobs)
        source = wanted_from_sources(generate.STAGE, generate.Params(), 1, ids)
        make(root, generate.STAGE, generate.Params(), source, 0)
        wanted = wanted_from_inputs(STAGE, SMALL, 1, Workspace(root), Selection())
        made.append(make(root, STAGE, SMALL, wanted, jobs))
    assert made[0] == made[1]
    artefact = Workspace(tmp_path / "2").artefact("depths", "variant")
    views = [artefact.read(item, ("novel_viewpoint",))["novel_viewpoint"] for item in ids]
    assert len({view.tobytes() for view in views}) == 4  # each shape has views of its own


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"faces": np.zeros((0, 3), np.int32)}, "no faces"),
        ({"faces": np.array([[0, 1, 99]], np.int32)}, "not there"),
        ({"faces": np.array([[0, 1, -1]], np.int32)}, "not there"),
        ({"vertices": np.full((72, 3), np.nan, np.float32)}, "not finite"),
        (
            {"faces": np.array([[0, 0, 1]], np.int32), "face_material": np.zeros(1, np.int32)},
            "no fixed view sees it",
        ),
    ],
)
def test_broken_meshes_fail_with_a_reason(change: Arrays, reason: str) -> None:
    arrays = {**ell().to_arrays(), **change}
    with pytest.raises(ItemError, match=reason):
        run(Mesh.from_arrays(arrays))


def test_shapes_that_leave_the_pictures_are_refused() -> None:
    cube = trimesh.creation.box((0.57, 0.57, 0.57))  # diagonal 0.987
    unit = Mesh.plain(cube.vertices, cube.faces)
    assert run(unit)["mask"].any()
    for scale, offset in ((1.02, [0, 0, 0]), (1, [0, 0.02, 0])):
        with pytest.raises(ItemError, match="leaves the pictures"):
            run(unit.moved(np.eye(3), scale, np.array(offset)))
    # A vertex that no face uses is no part of the shape.
    vertices = np.concatenate([unit.vertices, [[9, 9, 9]]])
    assert run(Mesh.plain(vertices, unit.faces))["mask"].any()


def test_too_many_pictures_are_said_before_any_work() -> None:
    check(Params())
    check(Params(size=1024, novel=248))
    with pytest.raises(UsageError, match="--novel 249 pictures of --size 1024") as caught:
        check(Params(size=1024, novel=249))
    assert caught.value.hint == "use --novel 248 or less"


def test_variants_are_named_after_views_and_resolution() -> None:
    names = {
        Params(): "cube8-novel100-128px",
        Params(novel=0): "cube8-128px",
        Params(views=4, novel=7, size=64): "tetrahedron4-novel7-64px",
        Params(views=6, novel=0): "octahedron6-128px",
        Params(views=12, novel=0): "icosahedron12-128px",
        Params(views=20, novel=0): "dodecahedron20-128px",
    }
    assert {params: variant(params) for params in names} == names
    assert STAGE.variant is variant


def test_the_stage_is_read_without_heavy_imports() -> None:
    code = (
        "import sys, stages.depths as d; d.check(d.Params());"
        "sys.exit(','.join({'numba', 'scipy', 'trimesh', 'torch'} & {*sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stderr.strip() == ""

"""The stage: its arrays, its grids, what it refuses."""

import os
import subprocess
import sys

import numpy as np
import pytest

import stages.voxelize as voxelize
from stages.errors import EnvironmentLacks, ItemError, UsageError
from stages.geometry.mesh import Mesh
from stages.store.shard import encode_item
from stages.voxelize import SPEC, STAGE, Params
from tests.voxelize.naive import as_mesh, box, joined, run

SLAB = joined(box((0.1, -0.3, 0.2), (0.7, -0.1, 0.3)))  # not centred: 0.6 x 0.2 x 0.1


def test_arrays_are_what_spec_says():
    arrays = run(as_mesh(SLAB), res=20)
    assert encode_item(SPEC, arrays)  # refuses wrong names, types and numbers of axes
    assert arrays["voxels"].shape == (20, 20, 20)
    np.testing.assert_array_equal(arrays["origin"], [-0.5, -0.5, -0.5])
    assert arrays["extent"] == 1
    assert arrays["disagreement"].shape == (1,)


def test_longest_side_fills_the_grid():
    arrays = run(as_mesh(SLAB), res=24, fill="solid", fit="longest-side")
    np.testing.assert_allclose(arrays["origin"], [0.1, -0.5, -0.05], atol=1e-7)
    np.testing.assert_allclose(arrays["extent"], 0.6, atol=1e-7)
    expected = np.zeros((24, 24, 24), bool)
    expected[:, 8:16, 10:14] = True  # 0.2 and 0.1 of 0.6 are 8 and 4 of 24 voxels, centred
    np.testing.assert_array_equal(arrays["voxels"], expected)


def test_the_same_item_gives_the_same_bytes():
    rng = np.random.default_rng(0)
    mesh = as_mesh(rng.uniform(-0.5, 0.5, (300, 3, 3)).astype(np.float32))
    first, second = (run(mesh, res=33) for _ in range(2))
    for name in SPEC:
        assert first[name].tobytes() == second[name].tobytes()


def test_shared_or_split_vertices_are_the_same():
    faces = as_mesh(SLAB)
    vertices, index = np.unique(faces.vertices, axis=0, return_inverse=True)
    shared = Mesh.plain(vertices, index.reshape(-1, 3))
    np.testing.assert_array_equal(run(faces)["voxels"], run(shared)["voxels"])


@pytest.mark.parametrize(
    ("vertices", "faces", "reason"),
    [
        (np.zeros((0, 3)), np.zeros((0, 3)), "no faces"),
        (np.eye(3), np.zeros((0, 3)), "no faces"),
        (np.full((3, 3), np.nan), [[0, 1, 2]], "not finite"),
        (np.diag([1, 1, np.inf]), [[0, 1, 2]], "not finite"),
        (np.eye(3), [[0, 1, 3]], "not there"),
        (np.eye(3), [[0, 1, -1]], "not there"),
        (np.ones((3, 3)), [[0, 1, 2]], "at one place"),
    ],
)
def test_broken_meshes_fail_with_a_reason(vertices, faces, reason):
    arrays = as_mesh(SLAB).to_arrays()
    arrays["vertices"] = np.asarray(vertices, np.float32)
    arrays["faces"] = np.asarray(faces, np.int32).reshape(-1, 3)
    for name, rows in (("normals", "vertices"), ("uv", "vertices"), ("face_material", "faces")):
        arrays[name] = arrays[name][: len(arrays[rows])]
    with pytest.raises(ItemError, match=reason):
        run(Mesh.from_arrays(arrays), fit="longest-side")


def test_variants_name_what_is_not_the_default():
    names = {
        Params(): "res32",
        Params(res=96, fill="surface"): "res96-surface",
        Params(fit="longest-side"): "res32-longest-side",
        Params(64, "solid", "longest-side"): "res64-solid-longest-side",
    }
    assert {p: STAGE.variant(p) for p in names} == names


def test_too_little_memory_is_said_before_any_work(monkeypatch):
    monkeypatch.setattr(voxelize, "free_memory", lambda: 13 * 2**30)
    STAGE.check(Params(res=1024))
    with pytest.raises(EnvironmentLacks) as caught:
        STAGE.check(Params(res=5000))
    assert str(caught.value) == "--res 5000 needs about 174.6 GiB a shape, 13.0 GiB are free"
    assert caught.value.hint == "use --res 2103 or less"
    STAGE.check(Params(res=2103))


def test_grids_that_cannot_be(monkeypatch):
    with pytest.raises(UsageError):
        STAGE.check(Params(res=0))
    monkeypatch.setattr(voxelize, "free_memory", lambda: 2**50)
    with pytest.raises(UsageError, match="more than one item"):
        STAGE.check(Params(res=5000))


def test_free_memory_is_that_of_this_machine():
    assert 2**26 < voxelize.free_memory() < 2**46


def test_estimate_of_memory_covers_the_peak():
    """Measured in a process of its own, past what its imports and the kernels take."""
    code = """if True:
    import re
    from pathlib import Path
    from tests.voxelize.naive import box, joined, grid
    def size(name):
        return int(re.search(name + r":\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
    shape = joined(box((-0.4, -0.4, -0.4), (0.4, 0.4, 0.4)))
    grid(shape, res=8)
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    before = size("VmRSS")
    grid(shape, res=400)
    print((size("VmHWM") - before) * 1024 / 400**3)
    """
    if not os.access("/proc/self/clear_refs", os.W_OK):
        pytest.skip("only Linux tells the peak of a stretch of work")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 1 < float(done.stdout) < voxelize.BYTES_PER_VOXEL


def test_the_stage_is_read_without_heavy_imports():
    code = "import sys, stages.voxelize; print({'numba', 'trimesh', 'torch'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"

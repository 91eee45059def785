"""`crossdim eval pointcloud`, and what is exported and drawn of its clouds, by the command line."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
from PIL import Image

from crossdim_cli.main import run as run_command
from stages.evaluate.clouds import NUMBERS, Truth
from stages.evaluate.health import results_status
from stages.evaluate.pointcloud import ANSWERS
from stages.export.interpolation import between, codes_of
from stages.geometry.mesh import Mesh
from stages.geometry.points import fuse
from stages.store.workspace import Workspace
from stages.train import checkpoint
from stages.train.run import find_run, load_model

Call = Callable[[str], tuple[int, str, str]]
SHORT = "--preset tiny --steps 4 --validate-every 2 --batch 4 --device cpu --threads 1"
CATEGORIES = "--category chair --category table"


pytestmark = pytest.mark.usefixtures("few_points")


@pytest.fixture(scope="module")
def workspace(few_points: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Chairs and tables with 32-pixel depth maps, a run of few steps and its results."""
    root = tmp_path_factory.mktemp("pointcloud") / "workspace"
    for line in [
        f"shapes generate --count 4 {CATEGORIES} --jobs 0",
        "depths --size 32 --novel 2 --jobs 0",
        "render --size 64 --viewpoints uniform --views 3 --supersample 1 --backend numba --jobs 0",
        f"train structure-generator {SHORT} --name told",
        "eval pointcloud --device cpu",
    ]:
        assert run_command([*line.split(), "--workspace", str(root), "--quiet"]) == 0
    return root


@pytest.fixture
def call(workspace: Path, capsys: pytest.CaptureFixture[str]) -> Call:
    def run(line: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = run_command([*line.split(), "--workspace", str(workspace), "--quiet"])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def results(root: Path):
    """Those of the run `told`."""
    there = Workspace(root).artefacts("results/pointcloud")
    return next(one for one in there if one.variant.startswith("structure-generator-told-"))


def test_numbers_are_those_of_the_clouds(workspace: Path) -> None:
    """Told again of the pictures, by hand; the limit is the cloud of the true maps."""
    cached = results(workspace)
    item = sorted(cached.index.items())[0]
    arrays = cached.read(item)
    trained = load_model(find_run(workspace, "structure-generator"))
    depths, views = (Workspace(workspace).artefacts(name)[0] for name in ("depths", "views"))
    images = torch.from_numpy(views.read(item, ("rgb",))["rgb"]).permute(0, 3, 1, 2) / 255
    told = trained.system.predict(trained.model, images, trained.params)
    clouds = np.split(arrays["points"], np.cumsum(arrays["count"])[:-1])
    assert len(clouds) == 3
    for view, cloud in enumerate(clouds):
        expected = told["points"][view][:, told["logit"][view] > 0].T
        np.testing.assert_allclose(cloud, expected, atol=1e-5)  # batches of another size
    maps = depths.read(item)
    truth = fuse(maps["depth"], maps["depth"] > 0, maps["extrinsics"])
    mesh = Mesh.from_arrays(Workspace(workspace).artefacts("shapes")[0].read(item))
    known = Truth.of(mesh, np.random.default_rng(5))
    number = arrays["number"]  # (view, answer, number)
    for answer, cloud in ((0, clouds[1]), (4, truth)):
        expected = known.compare(cloud, np.random.default_rng(6))
        # other samples of 10,000 and of 200 points, and of those on the surface
        np.testing.assert_allclose(number[1, answer, 2:5], expected[2:5], rtol=0.05)
        np.testing.assert_allclose(number[1, answer, :2], expected[:2], rtol=0.4)
    assert (number[:, 4, 2:5] < number[:, 0, 2:5]).all()
    assert (number[:, 3, NUMBERS.index("Chamfer")] <= number[:, 2, NUMBERS.index("Chamfer")]).all()
    nearest = arrays["nearest_training_shape"].item().decode()
    assert nearest in find_run(workspace, "structure-generator").record()["data"]["ids"]["train"]


def test_tables_are_means_and_results_are_fresh(workspace: Path, call: Call) -> None:
    code, out, err = call("eval pointcloud --device cpu --json")
    assert (code, err) == (0, "")
    summary = json.loads(out)["results"][0]
    assert (summary["run"], summary["system"]) == ("told", "structure-generator")
    assert summary["empty"] == 0
    cached, kept = results(workspace), {}
    for item in cached.index.items():
        kept.setdefault(item.split("/")[0], []).append(cached.read(item, ("number", "count")))
    for key, chosen in (("paper", NUMBERS[:2]), ("all", NUMBERS[2:])):
        table = summary["tables"][key]
        for place, answer in enumerate(ANSWERS):
            for name in chosen:
                row = table[f"{answer}: {name.removesuffix(', 200 points')}"]
                for category, arrays in kept.items():
                    number = [a["number"][:, place, NUMBERS.index(name)].mean() for a in arrays]
                    assert row[category] == pytest.approx(np.mean(number), rel=1e-5)
    code, out, _ = call("eval pointcloud --device cpu --dry-run --json")
    name = results(workspace).name
    assert json.loads(out)["todo"] == {name: 0}
    records = {record["name"]: record for record in results_status(Workspace(workspace))}
    assert records[name]["fresh"], records[name]["why"]
    assert (results(workspace).folder / "summary.csv").is_file()


def test_empty_clouds_are_counted_and_are_no_nan(workspace: Path, call: Call) -> None:
    """A run whose every mask is empty: shares of 1, no distances of its own, those of others."""
    line = f"train structure-generator {SHORT} --name empty --category table"
    assert call(line)[0] == 0
    run = find_run(workspace, "structure-generator", "empty")
    saved = checkpoint.load(run.checkpoints, "best", run.system)
    saved.weights["grid"][:, 3] = -1e6  # type: ignore[index]
    checkpoint.save(run.checkpoints, saved, ["best", "last"])
    code, out, err = call("eval pointcloud --run empty --device cpu --json")
    assert (code, err) == (0, "")
    summary = json.loads(out)["results"][0]
    assert summary["empty"] == summary["views"] > 0
    table = summary["tables"]["all"]
    assert table["empty clouds"] == {"table": 1.0}
    assert table["predicted: Chamfer"] == {}
    assert table["predicted: F-score at 1 %"] == {"table": 0.0}
    assert table["mean cloud: Chamfer"]["table"] > 0
    assert "NaN" not in out
    code, out, _ = call("eval pointcloud --run empty --device cpu")
    assert code == 0
    code, _, err = call("export points nothing.ply --run empty")
    assert code == 1
    assert "is empty" in err
    code, _, err = call("export mesh nothing.obj --system structure-generator --run empty")
    assert (code, "the cloud is empty" in err) == (1, True)


def test_bad_input_is_named(workspace: Path, call: Call, tmp_path: Path) -> None:
    for line, words in [
        ("eval pointcloud --views nowhere", "no views/nowhere"),
        ("eval pointcloud --run nobody", "no run nobody"),
        ("eval pointcloud --category sofa", "no finished run of structure-generator for sofa"),
        (f"export points {tmp_path}/a.obj", "cannot write points as '.obj'"),
        (f"export points {tmp_path}/a.ply --view 9 --run told", "has 3 views"),
        (f"export points {tmp_path}/a.ply --shape chair/none --run told", "no chair/none among"),
        (f"export points {tmp_path}/a.ply --what truth --depths other", "no depths"),
    ]:
        code, _, err = call(line)
        assert code in (2, 3), line
        assert words in err
        assert len(err.strip().splitlines()) == 2
    line = f"train structure-generator {SHORT} --name fresh"
    assert call(line)[0] == 0
    code, _, err = call(f"export points {tmp_path}/a.ply --run fresh")
    assert code == 3
    assert "run: crossdim eval pointcloud --run fresh" in err


# --- exports


def exported(call: Call, path: Path, options: str = "") -> bytes:
    code, out, err = call(f"export points {path} --run told --view 1 {options}")
    assert (code, err) == (0, "")
    assert out.startswith(f"{path}: ")
    return path.read_bytes()


def test_points_are_read_by_others(workspace: Path, call: Call, tmp_path: Path) -> None:
    cached = results(workspace)
    arrays = cached.read(sorted(cached.index.items())[0])
    cloud = np.split(arrays["points"], np.cumsum(arrays["count"])[:-1])[1]
    ply = trimesh.load(io.BytesIO(exported(call, tmp_path / "a.ply")), "ply")
    np.testing.assert_array_equal(np.asarray(ply.vertices, np.float32), cloud)
    npz = np.load(io.BytesIO(exported(call, tmp_path / "a.npz")))
    np.testing.assert_array_equal(npz["points"], cloud)
    xyz = np.loadtxt(io.BytesIO(exported(call, tmp_path / "a.XYZ")))
    np.testing.assert_allclose(xyz, cloud, rtol=1e-6)
    header, _, data = exported(call, tmp_path / "a.pcd").partition(b"DATA binary\n")
    fields = dict(line.split(" ", 1) for line in header.decode().splitlines()[1:])
    assert (fields["FIELDS"], fields["SIZE"], fields["TYPE"]) == ("x y z", "4 4 4", "F F F")
    assert int(fields["POINTS"]) == int(fields["WIDTH"]) * int(fields["HEIGHT"]) == len(cloud)
    np.testing.assert_array_equal(np.frombuffer(data, "<f4").reshape(-1, 3), cloud)


def test_true_points_lie_on_the_mesh(workspace: Path, call: Call, tmp_path: Path) -> None:
    item = sorted(results(workspace).index.items())[0]
    mesh = Mesh.from_arrays(Workspace(workspace).artefacts("shapes")[0].read(item))
    whole = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
    for what in ("truth", "surface --count 500"):
        data = exported(call, tmp_path / "a.npz", f"--what {what} --shape {item}")
        points = np.load(io.BytesIO(data))["points"]
        _, apart, _ = trimesh.proximity.closest_point_naive(whole, points[:: len(points) // 40])
        assert apart.max() < 1e-6
    assert len(points) == 500


def test_clouds_become_closed_meshes_and_voxels(
    workspace: Path, call: Call, tmp_path: Path
) -> None:
    """The surface is the radius off the points; voxels hold them all."""
    cached = results(workspace)
    item = sorted(cached.index.items())[0]
    chosen = f"--system structure-generator --what truth --shape {item}"
    path = tmp_path / "a.ply"
    code, _, err = call(f"export mesh {path} {chosen} --res 64 --radius 0.04")
    assert (code, err) == (0, "")
    made = trimesh.load(path, process=True)
    assert made.is_watertight
    depths = Workspace(workspace).artefacts("depths")[0].read(item)
    cloud = fuse(depths["depth"], depths["depth"] > 0, depths["extrinsics"])
    apart = np.linalg.norm(made.vertices[::40, None] - cloud, axis=2).min(1)
    # trilinear between cells of 0.018, where distances to points have edges
    assert np.abs(apart - 0.04).max() < 0.01
    path = tmp_path / "a.npz"
    code, _, err = call(f"export voxels {path} {chosen} --res 24")
    assert (code, err) == (0, "")
    voxels = np.load(path)["voxels"]
    assert voxels[tuple(np.floor((cloud + 0.5) * 24).astype(int).T)].all()
    assert voxels.sum() < 0.5 * voxels.size
    code, _, err = call(f"export mesh {tmp_path / 'b.ply'} {chosen} --res 16 --radius 0.01")
    assert code == 2
    assert "less than a cell" in err
    told = "--system structure-generator --run told --radius 0.1"
    code, _, err = call(f"export mesh {tmp_path / 'c.ply'} {told}")
    assert (code, err) == (0, "")


def test_the_sheet_shows_a_row_for_each_shape(call: Call, tmp_path: Path) -> None:
    path = tmp_path / "sheet.png"
    code, _, err = call(f"plot pointcloud --run told --shapes 2 -o {path}")
    assert (code, err) == (0, "")
    sheet = np.asarray(Image.open(path))
    assert sheet.shape == (22 + 2 * 166 + 6, 150 + 7 * 166 + 6, 3)
    blue = (sheet[..., 2].astype(int) - sheet[..., 0] > 30).sum()
    orange = (sheet[..., 0].astype(int) - sheet[..., 2] > 30).sum()
    assert min(blue, orange) > 2000


def test_novel_depths_are_drawn(call: Call, tmp_path: Path) -> None:
    path = tmp_path / "depths.png"
    plot = "plot depths --run told --shapes 2"
    code, _, err = call(f"{plot} --sides 2 -o {path}")
    assert (code, err) == (0, "")
    assert np.asarray(Image.open(path)).shape == (22 + 2 * 166 + 6, 150 + 5 * 166 + 6, 3)
    code, _, err = call(f"{plot} --sides 3 -o {tmp_path}/none.png")  # there are two
    assert (code, "run: crossdim depths --novel 3" in err) == (3, True), err
    assert len(err.strip().splitlines()) == 2


# --- between codes


def test_the_ends_are_what_is_told_of_the_pictures(workspace: Path) -> None:
    """At 0 and at 1, by hand and as it was measured; A - B + B is A."""
    run = find_run(workspace, "structure-generator", "told")
    codes = codes_of(Workspace(workspace), run, None, 1, "cpu")
    cached = results(workspace)
    items = sorted(cached.index.items())[:2]
    first, second = codes.of(items)
    told = codes.clouds(between(first, second, 5))
    trained = load_model(run)
    for item, cloud in ((items[0], told[0]), (items[1], told[4])):
        image = torch.from_numpy(codes.picture(item)).permute(2, 0, 1)[None] / 255
        said = trained.system.predict(trained.model, image, trained.params)
        expected = said["points"][0][:, said["logit"][0] > 0].T
        np.testing.assert_allclose(cloud, expected, atol=1e-5)  # batches of another size
        arrays = cached.read(item)
        measured = np.split(arrays["points"], np.cumsum(arrays["count"])[:-1])[1]
        np.testing.assert_allclose(cloud, measured, atol=1e-5)
    assert len(told[2]) != len(told[0]) or not np.allclose(told[2], told[0])
    again = codes.clouds((first - second + second)[None])[0]
    np.testing.assert_allclose(again, told[0], atol=1e-5)


def test_rows_of_codes_are_drawn(workspace: Path, call: Call, tmp_path: Path) -> None:
    a, b = sorted(results(workspace).index.items())[:2]
    path = tmp_path / "between.png"
    plot = "plot interpolation --run told --device cpu"
    code, out, err = call(f"{plot} --shape {a} --shape {b} --steps 3 -o {path} --json")
    assert (code, err) == (0, "")
    assert json.loads(out)["rows"] == [[a, b]]
    assert np.asarray(Image.open(path)).shape == (22 + 166 + 6, 150 + 7 * 166 + 6, 3)
    code, _, err = call(f"{plot} --arithmetic --shape {a} --shape {b} --shape {a} -o {path}")
    assert (code, err) == (0, "")
    for options, code, words in [
        (f"--shape {a}", 2, "1 shapes do not fill rows of 2"),
        (f"--shape {a} --shape chair/none", 2, "no chair/none among"),
        (f"--shape {a} --shape {b} --view 9", 2, "use --view 0 to 2"),
        ("--views nowhere", 3, "no views/nowhere"),
        ("", 3, "fewer than 2 test shapes of a category"),
    ]:
        got, _, err = call(f"{plot} {options} -o {tmp_path}/none.png")
        assert (got, words in err) == (code, True), (options, err)
        assert len(err.strip().splitlines()) == 2
    assert not (tmp_path / "none.png").exists()
    code, _, err = call("plot interpolation --run chair-tiny-joint")
    assert (code, "no run chair-tiny-joint of structure-generator" in err) == (3, True)

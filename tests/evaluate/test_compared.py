"""The comparison has the very numbers of the single protocols, and of nothing learned from."""

from __future__ import annotations

import dataclasses
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.spatial.transform import Rotation

from crossdim_cli.main import run as run_command
from stages.errors import InputError
from stages.evaluate import compared, relpose, said
from stages.evaluate.compared import CompareParams
from stages.evaluate.compared_field import choose_field
from stages.evaluate.contenders import choose_contenders
from stages.evaluate.health import results_status
from stages.evaluate.measure import input_print
from stages.evaluate.posed import PosedParams
from stages.evaluate.said import fitted, surface_points
from stages.geometry.voxels import centres
from stages.report.compared import gather, sections
from stages.report.facts import result_facts, run_facts
from stages.stage import Item
from stages.store.fingerprint import item_rng
from stages.store.workspace import Workspace
from tests.evaluate.conftest import Answering
from tests.evaluate.made import World, equivariant, trained

TITLES = {
    "": "shape",
    "absolute: ": "pose",
    "same shape: ": "relative pose, views of one shape",
    "two shapes: ": "relative pose, views of two shapes",
}
Call = Callable[[str], tuple[int, str, str]]
SHORT = "--preset tiny --steps 2 --validate-every 2 --device cpu --threads 1 --name told"


pytestmark = pytest.mark.usefixtures("few_points")


@pytest.fixture(scope="module")
def workspace(few_points: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fourteen chairs, runs of three systems of two steps each, and their own results."""
    root = tmp_path_factory.mktemp("compare") / "workspace"
    for line in [
        "shapes generate --count 14 --category chair --jobs 0",
        "voxelize --res 32 --jobs 0",
        "depths --size 32 --novel 2 --jobs 0",
        "render --size 64 --viewpoints uniform --views 3 --supersample 1 --backend numba --jobs 0",
        f"train pose-aware --batch 4 {SHORT}",
        f"train structure-generator --batch 4 {SHORT}",
        f"train deep-encoding --batch 2 {SHORT}",
        "eval reconstruction --device cpu",
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


def test_its_numbers_are_those_of_the_single_protocols(
    call: Call, workspace: Path, tmp_path: Path
) -> None:
    grid, sheet = tmp_path / "grid.png", tmp_path / "table.csv"
    line = f"compare --category chair --device cpu --json --csv {sheet} -o {grid} --shapes 2"
    code, out, err = call(line)
    assert (code, err) == (0, "")
    found = json.loads(out)
    table = found["table"]
    mine = table["pose-aware (told)"]
    summary = json.loads(next(workspace.glob("results/reconstruction/*/summary.json")).read_text())
    shape, pose = summary["tables"]["shape"], summary["tables"]["pose"]
    chosen = next(row for row in shape if "chosen on validation" in row)
    # float32 means of the same numbers, in another order of addition
    assert mine["voxel IoU"] == pytest.approx(shape[chosen]["chair"], rel=1e-6)
    assert mine["absolute: median"] == pytest.approx(
        pose["rotation error, median"]["chair"], rel=1e-5
    )
    assert mine["absolute: acc@30"] == pytest.approx(pose["accuracy at 30 degrees"]["chair"])
    for name in ("mean shape", "nearest training shape (oracle)"):
        assert table[name]["voxel IoU"] == pytest.approx(shape[name]["chair"], rel=1e-6)
    limit = table["true voxels (limit)"]
    assert limit["voxel IoU"] == 1
    # the surface of cells of 1/32 that hold all that they touch lies within a cell of the shape
    assert 0.2 < limit["Chamfer"] < 100 / 32
    told = table["structure-generator (told)"]
    summary = json.loads(next(workspace.glob("results/pointcloud/*/summary.json")).read_text())
    rows = summary["tables"]["all"]
    assert told["Chamfer"] == pytest.approx(rows["predicted: Chamfer"]["chair"], rel=1e-6)
    assert told["F-score"] == pytest.approx(rows["predicted: F-score at 1 %"]["chair"], rel=1e-6)
    assert "absolute: median" not in told
    assert "no camera" in found["reasons"]["structure-generator (told)"]["pose"]
    assert set(found["not_trained"]) == {
        *("interpreter", "pose-regression", "equivariant", "view-synthesis")
    }
    assert found["not_trained"]["equivariant"] == "crossdim train equivariant --category chair"
    assert f"compare,pose-aware (told),voxel IoU,{mine['voxel IoU']:.6g}" in sheet.read_text()
    with Image.open(io.BytesIO(grid.read_bytes())) as drawn:
        assert drawn.size[0] > drawn.size[1] > 300
    assert all(record["fresh"] for record in results_status(Workspace(workspace)))
    before = {p: p.stat().st_mtime_ns for p in workspace.glob("results/compare/*/shard-*")}
    assert call(line)[1] == out
    assert before == {p: p.stat().st_mtime_ns for p in workspace.glob("results/compare/*/shard-*")}


def test_the_report_has_the_same_numbers(call: Call, workspace: Path) -> None:
    """What the command says and what the page shows of it, cell by cell."""
    code, out, _ = call("compare --category chair --device cpu --json")
    assert code == 0
    known = json.loads(out)
    there = Workspace(workspace)
    found, left = gather(there, result_facts(there))
    (one,) = sections(there, found, run_facts(there), 0)
    assert left == []
    assert one["counts"].startswith(f"{known['shapes']['test']} test shapes")
    cells = 0
    for part in one["parts"]:
        kind = next(k for k, title in TITLES.items() if title == part["title"])
        for row in part["rows"]:
            for (column, _), (text, _) in zip(part["columns"], row["cells"]):
                value = known["table"][row["who"]][f"{kind}{column}"]
                shown = 0.0501 if column == "median" else 0.000501  # half of the last digit
                assert float(text) == pytest.approx(value, abs=shown)
                cells += 1
    assert cells == sum(len(values) for values in known["table"].values())
    reasons = [why for of in known["reasons"].values() for why in of.values()]
    assert [line.partition(": ")[2] for line in one["unsaid"]] == reasons
    trains = {system: command for system, _, command in one["absent"] if command}
    del known["not_trained"]["view-synthesis"]  # it has no number if it is trained, either
    assert trains == known["not_trained"]


def test_deep_encoding_answers_with_a_training_shape(call: Call, workspace: Path) -> None:
    code, out, _ = call("compare --category chair --device cpu --json")
    assert code == 0
    found = json.loads(out)
    there = Workspace(workspace)
    voxels = there.artefact("voxels", "res32")
    results = there.artefact(
        "results/compare", "deep-encoding-told-uniform3-64px-supersample1-numba-chair"
    )
    scores = []
    for item in found["test"]:
        arrays = results.read(item)
        truth = voxels.read(item, ("voxels",))["voxels"]
        for name, told in zip(arrays["retrieved"], arrays["voxels"]):
            known = voxels.read(bytes(name).decode(), ("voxels",))["voxels"]
            assert np.array_equal(told.astype(bool), known)
            scores.append((known & truth).sum() / (known | truth).sum())
    mean = found["table"]["deep-encoding (told)"]["voxel IoU"]
    assert mean == pytest.approx(np.mean(scores), rel=1e-6)


def test_text_and_errors(call: Call) -> None:
    code, out, _ = call("compare --category chair --device cpu")
    assert code == 0
    assert "not trained: interpreter; run: crossdim train interpreter --category chair" in out
    assert "no pose of deep-encoding (told): codes tell no pose" in out
    for line, code, message in [
        ("compare --category chair --run pose-aware/nobody", 3, "no run nobody"),
        ("compare --category chair --run nobody", 2, "'nobody' is no run"),
        ("compare --category chair --views none", 3, "no views/none"),
        ("compare --category lamp", 2, "no category 'lamp'"),
        ("compare --category chair -o grid.gif", 2, "cannot draw grid.gif"),
    ]:
        got, out, err = call(line)
        assert (got, out) == (code, ""), err
        assert message in err
        assert len(err.splitlines()) == 2


def test_what_was_learned_from_is_left_out(workspace: Path) -> None:
    there = Workspace(workspace)
    contenders, _ = choose_contenders(there, "chair", [], False)
    whole = choose_field(there, "chair", None, contenders)
    first = whole.split["test"][0]
    cheat = dataclasses.replace(contenders[0], learned_from=frozenset([first]), label="cheat")
    if len(whole.split["test"]) > 1:
        field = choose_field(there, "chair", None, [*contenders, cheat])
        assert field.excluded == {first: "cheat"}
        assert first not in field.split["test"]
    everything = dataclasses.replace(cheat, learned_from=frozenset(whole.split["test"]))
    with pytest.raises(InputError, match="were learned from"):
        choose_field(there, "chair", None, [everything])


@pytest.mark.parametrize("system", ["equivariant", "pose-regression"])
def test_relative_poses_are_those_of_relpose(
    world: World, answering: Answering, system: str
) -> None:
    """The same pairs, the same answers: not a number differs."""
    if system == "equivariant":
        answering(equivariant(world))
    else:
        turn = Rotation.random(random_state=0).as_matrix().astype("f4")

        def answer(images: Any) -> Any:
            return world.rotation_of(images) @ torch.from_numpy(turn)

        answering(trained("pose-regression", "rotation", answer))
    run = world.run(system)
    there = Workspace(world.root)
    views = there.artefact("views", "test")
    record, ids = run.record(), ["airplane/a", "airplane/b", "airplane/c"]
    prints = (input_print(record, views),)
    device = {"run": str(run.folder), "pictures": str(views.folder), "device": "cpu", "ids": ids}
    said.opened.cache_clear()
    source = {
        "who": str(run.folder),
        "weights": "1" * 64,
        "device": "cpu",
        "views": str(views.folder),
        "voxels": "",
        "shapes": [],
        "test": ids,
        "train": [],
        "val": [],
        "category": "airplane",
        "prints": [*prints, system, str(world.root)],
    }
    for item in ids:
        known = relpose.process(
            Item(item, {}, device),
            PosedParams("made", "1" * 64, "f", prints),
            item_rng(0, item),
        )
        found = compared.process(
            Item(item, {}, source),
            CompareParams("made", "1" * 64, "f", prints),
            item_rng(0, item),
        )
        for base in ("instance", "category"):
            assert np.array_equal(found[f"{base}_shape"], known[f"{base}_shape"])
            error = known[f"{base}_error_deg"][:, :1]
            assert np.array_equal(found[f"{base}_error_deg"], error)
        assert len(found["voxels"]) == len(found["chamfer"]) == 0
        assert len(found["error_deg"]) == (4 if system == "pose-regression" else 0)


def test_pictures_are_fitted_by_area(tmp_path: Path) -> None:
    rgb = np.random.default_rng(0).integers(0, 255, (2, 128, 128, 3), dtype=np.uint8)
    assert fitted(rgb, 128) is rgb
    half = rgb.reshape(2, 64, 2, 64, 2, 3).mean((2, 4))
    assert np.abs(fitted(rgb, 64) - half).max() <= 0.5
    plain = np.full((1, 128, 128, 3), 77, np.uint8)
    assert (fitted(plain, 108) == 77).all()
    assert fitted(rgb, 108).shape == (2, 108, 108, 3)


def test_points_of_voxels_lie_on_their_surface() -> None:
    where = centres(32, np.full(3, -0.5), 1.0)
    ball = (np.linalg.norm(where, axis=-1) < 0.3).astype(np.float32)
    points = surface_points(ball, 0.5)
    # a staircase of cells of 1/32, cut by marching cubes: within a cell
    assert np.abs(np.linalg.norm(points, axis=1) - 0.3).max() < 1 / 32
    # uniform: each octant of the ball has an eighth
    share = np.bincount((points > 0) @ [1, 2, 4], minlength=8) / len(points)
    assert np.abs(share - 1 / 8).max() < 0.02
    assert surface_points(np.zeros((32, 32, 32)), 0.5).shape == (0, 3)

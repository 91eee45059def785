"""Relative pose: systems that know the truth make no error, others the one that follows by hand."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from stages.errors import CrossdimError, InputError, UsageError
from stages.evaluate.angles import PAIRS
from stages.evaluate.health import results_status
from stages.evaluate.measure import Report
from stages.evaluate.posed import choose_photos, choose_views
from stages.evaluate.relpose import SPEC, across, within
from stages.evaluate.relpose_protocol import evaluate_relpose
from stages.shapes.spec import labels
from stages.store.summary import read_summary
from stages.store.workspace import Artefact, Workspace
from stages.train.run import Run
from tests.evaluate.conftest import Answering
from tests.evaluate.made import SIZE, World, equivariant, put, trained
from tests.systems.test_equivariant_data import letter

BASES = ("instance", "category")
# World to camera from the front: x stays to the right, -z becomes down, +y forward.
FRONT = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])


def measure(world: World, run: Run, name: str = "test", dry_run: bool = False) -> Report:
    workspace = Workspace(world.root)
    (views,) = choose_views(workspace, [name], run)
    return evaluate_relpose(workspace, run, views, "cpu", dry_run, lambda progress: None)


def every(results: Artefact, name: str) -> np.ndarray:
    return np.concatenate([results.read(item, (name,))[name] for item in results.index.items()])


def test_turned_embeddings_are_brought_together(world: World, answering: Answering) -> None:
    answering(equivariant(world))
    report = measure(world, world.run("equivariant"))
    for base in BASES:
        error = every(report.results, f"{base}_error_deg")
        assert len(error) == {"instance": 5 * 4 * 3, "category": 3 * 4 * 2 + 2 * 4 * 1}[base]
        # float32 correlation: rounding of 1e-7 over the curvature of a peak of 8 degrees
        assert error[:, 0].max() < 0.01
        # no point of the 64^3 grid is nearer than 3.76 degrees at worst; bicubic maps add some
        assert np.median(error[:, 1]) < 2.6
        assert error[:, 1].max() < 6
    table = report.summary["tables"]["instance"]
    assert table["refined: acc@15"] == {"airplane": 1.0, "chair": 1.0}
    assert table["chance: median error"]["chair"] > 45
    kept = read_summary(report.results.folder / "summary.json")
    assert set(kept.pop("titles")) == set(BASES)
    assert kept == report.summary


def test_what_is_told_is_the_rotation_between_the_cameras(
    world: World, answering: Answering
) -> None:
    answering(equivariant(world))
    results = measure(world, world.run("equivariant")).results
    numbers = {item: number for number, item in enumerate(world.ids)}
    for item in world.ids:
        arrays = results.read(item)
        for base in BASES:
            rows = zip(*(arrays[f"{base}_{what}"] for what in ("view", "shape", "other", "told")))
            for view, shape, other, told in rows:
                first = world.rotations[numbers[item], int(view)]
                second = world.rotations[numbers[shape.decode()], int(other)]
                # a direction as the second camera sees it, as the first one sees it
                np.testing.assert_allclose(told[0] @ second, first, atol=1e-3)


def test_regressed_poses(world: World, answering: Answering) -> None:
    answering(trained("pose-regression", "rotation", world.rotation_of))
    report = measure(world, world.run("pose-regression"))
    for base in BASES:
        assert every(report.results, f"{base}_error_deg").shape[1] == 1
        assert every(report.results, f"{base}_error_deg").max() < 1e-3  # float32 matrices


def test_averages_over_turns_are_results_of_their_own(world: World, answering: Answering) -> None:
    known, asked = equivariant(world), []

    def predict(model: object, images: torch.Tensor, params: object, turns: int = 0) -> dict:
        asked.append(turns)
        return plain(model, images, params)

    plain, known.system.predict = known.system.predict, predict
    answering(known)
    workspace, run = Workspace(world.root), world.run("equivariant")
    (views,) = choose_views(workspace, ["test"], run)
    names = []
    for turns in (0, 4):
        report = evaluate_relpose(workspace, run, views, "cpu", False, lambda p: None, turns)
        names.append(report.results.variant)
        assert set(asked) == {turns}
        asked.clear()
    assert names == ["equivariant-made-test", "equivariant-made-test-turns4"]
    assert {record["fresh"] for record in results_status(workspace)} == {True}
    other = world.run("pose-regression")
    with pytest.raises(UsageError, match="no embeddings to average"):
        evaluate_relpose(workspace, other, views, "cpu", False, lambda p: None, 4)


def test_a_constant_pose_errs_by_the_whole_relative_rotation(
    world: World, answering: Answering
) -> None:
    def answer(images: torch.Tensor) -> torch.Tensor:
        world.shown(images)
        return torch.from_numpy(Rotation.random(random_state=1).as_matrix()).expand(
            len(images), 3, 3
        )

    answering(trained("pose-regression", "rotation", answer))
    results = measure(world, world.run("pose-regression")).results
    for base in BASES:
        truth = every(results, f"{base}_truth").astype(np.float64)
        angle = np.degrees(Rotation.from_matrix(truth).magnitude())
        np.testing.assert_allclose(every(results, f"{base}_error_deg")[:, 0], angle, atol=1e-3)


def test_pairs_within_a_shape() -> None:
    rng = np.random.default_rng(0)
    pairs = within("a/b", 6, rng)
    assert len(pairs) == 6 * PAIRS
    assert len(set(pairs)) == len(pairs)  # none twice
    assert all(pair.view != pair.other and pair.shape == "a/b" for pair in pairs)
    drawn = [pair.other for _ in range(400) for pair in within("a/b", 6, rng)]
    counts = np.bincount(drawn, minlength=6)  # binomial, 7200 draws of one in six
    assert np.abs(counts - 1200).max() < 5 * math.sqrt(7200 * 5 / 36)
    assert within("a/b", 1, rng) == []
    assert sorted(pair.other for pair in within("a/b", 3, rng)) == [0, 0, 1, 1, 2, 2]


def test_pairs_across_shapes() -> None:
    rng = np.random.default_rng(0)
    others = {f"a/{number}": 5 for number in range(8)}
    pairs = across(4, others, rng)
    assert len(pairs) == 4 * PAIRS
    for view in range(4):  # three different shapes
        assert len({pair.shape for pair in pairs if pair.view == view}) == PAIRS
    drawn = [pair for _ in range(300) for pair in across(4, others, rng)]
    for counts, share in (
        (np.unique([p.shape for p in drawn], return_counts=True)[1], 8),
        (np.bincount([p.other for p in drawn]), 5),
    ):
        assert len(counts) == share
        spread = math.sqrt(len(drawn) * (1 - 1 / share) / share)
        assert np.abs(counts - len(drawn) / share).max() < 5 * spread
    assert across(4, {}, rng) == []
    assert len(across(4, {"a/0": 1}, rng)) == 4


def test_the_same_pairs_again(world: World, answering: Answering) -> None:
    answering(equivariant(world))
    first = measure(world, world.run("equivariant"))
    before = {item: first.results.read(item) for item in world.ids}
    for path in first.results.folder.iterdir():
        path.unlink()
    again = measure(world, world.run("equivariant")).results
    for item in world.ids:
        for name in SPEC:
            np.testing.assert_array_equal(before[item][name], again.read(item, (name,))[name])


def test_nothing_is_measured_twice(world: World, answering: Answering) -> None:
    answering(equivariant(world))
    run = world.run("equivariant")
    assert measure(world, run, dry_run=True).todo == 5
    assert world.asked == []
    summary = measure(world, run).summary
    asked = len(world.asked)
    assert measure(world, run, dry_run=True).todo == 0
    assert measure(world, run).summary == summary
    assert len(world.asked) == asked


def why(world: World) -> str:
    (record,) = results_status(Workspace(world.root))
    assert record["fresh"] == (not record["why"])
    return record["why"]


def test_other_weights_are_measured_anew(world: World, answering: Answering) -> None:
    answering(equivariant(world))
    measure(world, world.run("equivariant"))
    assert why(world) == ""
    run = world.run("equivariant", sha256="2" * 64)
    assert why(world) == "its run was trained on"
    assert measure(world, run, dry_run=True).todo == 5
    answering(
        trained("equivariant", "embedding", lambda x: torch.randn(len(x), 2, 16, 16), "2" * 64)
    )
    error = every(measure(world, run).results, "instance_error_deg")
    assert error[:, 0].max() > 30  # not the answers of before
    assert why(world) == ""


def test_other_views_are_measured_anew(world: World, answering: Answering) -> None:
    answering(equivariant(world))
    run = world.run("equivariant")
    before = every(measure(world, run).results, "instance_truth")
    world.see(seed=1, tag="again")
    assert why(world) == "views/test has changed"
    assert measure(world, run, dry_run=True).todo == 5
    report = measure(world, run)
    assert np.abs(every(report.results, "instance_truth") - before).max() > 0.5
    assert every(report.results, "instance_error_deg")[:, 0].max() < 0.01
    assert why(world) == ""


def test_a_run_that_changes_meanwhile(world: World, answering: Answering) -> None:
    answering(equivariant(world, sha256="3" * 64))
    with pytest.raises(CrossdimError, match="trained on meanwhile"):
        measure(world, world.run("equivariant"))


def test_a_single_shape_of_a_category_has_no_pairs_across(
    world: World, answering: Answering
) -> None:
    answering(equivariant(world))
    report = measure(world, world.run("equivariant", test=["airplane/a", "airplane/b", "chair/d"]))
    tables = report.summary["tables"]
    assert set(tables["instance"]["refined: acc@30"]) == {"airplane", "chair"}
    assert set(tables["category"]["refined: acc@30"]) == {"airplane"}


def test_a_single_view_of_each_shape_has_no_pairs_within(tmp_path: Path, answering) -> None:
    world = World(tmp_path, ["chair/a", "chair/b"], views=1)
    world.see()
    answering(equivariant(world))
    assert set(measure(world, world.run("equivariant")).summary["tables"]) == {"category"}
    with pytest.raises(InputError, match="no pairs in"):
        measure(world, world.run("equivariant", test=["chair/a"]))


def test_which_views_are_measured_on(world: World) -> None:
    workspace, run = Workspace(world.root), world.run("equivariant")
    world.see("views/own")
    world.see("views/small", size=64)
    world.see("views/other")
    assert [a.variant for a in choose_views(workspace, [], run)] == ["other", "test"]
    assert [a.variant for a in choose_views(workspace, ["own"], run)] == ["own"]
    with pytest.raises(InputError, match="views/small is not of size 128"):
        choose_views(workspace, ["small"], run)
    with pytest.raises(InputError, match="no views/tset"):
        choose_views(workspace, ["tset"], run)


def test_nothing_to_measure_on(tmp_path: Path) -> None:
    world = World(tmp_path, ["chair/a"])
    world.see("views/own")
    workspace, run = Workspace(world.root), world.run("equivariant")
    with pytest.raises(InputError, match="no views of 128 pixels") as caught:
        choose_views(workspace, [], run)
    assert caught.value.hint.startswith("run: crossdim render")
    with pytest.raises(InputError, match="has no test shapes"):
        measure(world, world.run("equivariant", test=[]), "own")
    with pytest.raises(InputError, match="none of the 1 test shapes"):
        measure(world, world.run("equivariant", test=["chair/gone"]), "own")


def test_stale_views_are_refused(world: World) -> None:
    # the views are not those that the stage makes of these shapes now
    mesh = {**letter().to_arrays(), **labels("test", "", "", "")}
    put(world.root, "shapes/made", dict.fromkeys(world.ids, mesh))
    with pytest.raises(InputError, match="views/test is stale for 5 shapes") as caught:
        measure(world, world.run("equivariant"))
    assert caught.value.hint.startswith("run: crossdim render --size 128")


def test_shapes_without_views_are_counted(world: World, answering: Answering) -> None:
    answering(equivariant(world))
    report = measure(world, world.run("equivariant", test=[*world.ids, "chair/gone"]))
    assert (report.summary["items"], report.summary["left_out"]) == (5, 1)


def photos(world: World, viewpoints: dict[str, list[float]], **params: object) -> None:
    """Photos of that name with annotated viewpoints; the pictures number them."""
    items = {}
    for number, (item, viewpoint) in enumerate(viewpoints.items()):
        rgb = np.zeros((SIZE, SIZE, 3), np.uint8)
        rgb[0, 0, 0], rgb[0, 1, 0] = number, 200
        azimuth, elevation, inplane = viewpoint[:3]
        # the object turns the other way, tips towards a raised camera, and rolls with the picture
        turn = Rotation.from_euler("z", -azimuth, degrees=True).as_matrix()
        tip_and_roll = Rotation.from_euler("xz", [elevation, -inplane], degrees=True).as_matrix()
        world.rotations[number, 200] = tip_and_roll @ FRONT @ turn
        items[item] = {"rgb": rgb, "viewpoint": np.array(viewpoint, np.float32)}
    put(world.root, "keypoints/real", items, **params)


NAN = float("nan")
ANNOTATED = {
    "aeroplane/1": [10.0, 20.0, 5.0, 4.0],
    "aeroplane/2": [200.0, -30.0, -40.0, NAN],
    "aeroplane/3": [100.0, 0.0, 0.0, 7.0],
    "aeroplane/4": [60.0, 10.0, NAN, NAN],  # coarse: in-plane angle unknown
    "bus/5": [60.0, 10.0, 0.0, 3.0],
}


def test_photos_are_paired_with_each_other(world: World, answering: Answering) -> None:
    photos(world, ANNOTATED)
    answering(equivariant(world))
    workspace, run = Workspace(world.root), world.run("equivariant")
    (real,) = choose_photos(workspace, ["real"])
    report = evaluate_relpose(workspace, run, real, "cpu", False, lambda progress: None)
    assert report.results.variant == "equivariant-made-photos-real"
    assert (report.summary["items"], report.summary["left_out"]) == (3, 1)
    assert set(report.summary["tables"]) == {"category"}
    assert set(report.summary["tables"]["category"]["refined: acc@15"]) == {"aeroplane"}
    assert "refined: median error, up to a half turn" in report.summary["tables"]["category"]
    assert len(every(report.results, "category_error_deg")) == 3 * 2
    assert every(report.results, "category_error_deg")[:, 0].max() < 0.01


def test_photos_have_to_be_cut_out(world: World) -> None:
    workspace = Workspace(world.root)
    photos(world, ANNOTATED, region="picture")
    with pytest.raises(InputError, match="keypoints/real is not of region object") as caught:
        choose_photos(workspace, ["real"])
    assert "--region object --width 128 --height 128" in caught.value.hint
    photos(world, {"bus/5": [60.0, 10.0, 0.0, 3.0]})
    (real,) = choose_photos(workspace, ["real"])
    run = world.run("equivariant")
    with pytest.raises(InputError, match="no photo with a full viewpoint of airplane, chair"):
        evaluate_relpose(workspace, run, real, "cpu", False, lambda progress: None)

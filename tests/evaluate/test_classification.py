"""Classification: shares and confusions of known answers, and which maps are asked about."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import confusion_matrix

from stages.errors import InputError
from stages.evaluate import health
from stages.evaluate.classification import STAGE
from stages.evaluate.classification_protocol import (
    choose_maps,
    confusion,
    evaluate_classification,
)
from stages.evaluate.health import results_status
from stages.evaluate.measure import Report
from stages.store.workspace import Workspace
from stages.train.run import Run
from tests.evaluate.conftest import Answering
from tests.evaluate.made import World, trained

CLASSES = ["car", "chair", "table"]
IDS = ["chair/a", "chair/b", "table/c", "car/d", "chair/e"]
TRUTH = [1, 1, 2, 0, 1]
TOLD = [1, 2, 2, 0, 0]  # by shape: two chairs are taken for something else


@pytest.fixture
def shapes(tmp_path: Path) -> World:
    made = World(tmp_path, IDS)
    made.cast()
    made.cast("spheres/spun", count=4, poses="random")
    return made


def system(world: World, told: list[int]) -> Any:
    """Tells shape n as class told[n]."""

    def answer(maps: torch.Tensor) -> torch.Tensor:
        world.asked.append(len(maps))
        shape = (maps[:, 0, 0, 0] * 256).round().int().tolist()
        return torch.nn.functional.one_hot(torch.tensor([told[n] for n in shape]), 3).float()

    made = trained("spherical-cnn", "probabilities", answer)
    made.params = SimpleNamespace(classes=tuple(CLASSES))
    return made


def run_of(world: World, **more: Any) -> Run:
    return world.run("spherical-cnn", classes=CLASSES, **more)


def measure(world: World, run: Run, name: str = "res64", dry_run: bool = False) -> Report:
    workspace = Workspace(world.root)
    (spheres,) = choose_maps(workspace, [name])
    return evaluate_classification(workspace, run, spheres, "cpu", dry_run, lambda progress: None)


def test_accuracy_beside_the_majority(shapes: World, answering: Answering) -> None:
    answering(system(shapes, TOLD))
    report = measure(shapes, run_of(shapes))
    rows = report.summary["tables"]["unrotated"]
    assert rows["accuracy"] == {"car": 1, "chair": pytest.approx(1 / 3), "table": 1, "all": 0.6}
    assert rows["always chair"] == {"car": 0, "chair": 1, "table": 0, "all": 0.6}
    assert report.summary["classes"] == CLASSES
    assert report.summary["confusion"] == [[1, 0, 0], [1, 1, 1], [0, 0, 1]]
    assert report.summary["confusion"] == confusion_matrix(TRUTH, TOLD).tolist()


def test_every_pose_counts(shapes: World, answering: Answering) -> None:
    answering(system(shapes, TOLD))
    report = measure(shapes, run_of(shapes), "spun")
    assert set(report.summary["tables"]) == {"rotated"}
    assert (report.summary["items"], report.summary["maps"]) == (5, 20)
    assert np.sum(report.summary["confusion"]) == 20
    arrays = report.results.read("chair/b")
    assert arrays["told"].tolist() == [2] * 4
    assert arrays["truth"] == 1
    np.testing.assert_allclose(arrays["probability"].sum(1), 1)


def test_confusion_against_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    truth, told = rng.integers(4, size=50), rng.integers(4, size=(50, 3))
    found = [{"truth": np.int16(t), "told": s.astype(np.int16)} for t, s in zip(truth, told)]
    expected = confusion_matrix(np.repeat(truth, 3), told.ravel())
    np.testing.assert_array_equal(confusion(found, 4), expected)


def test_only_test_shapes_are_asked_about(shapes: World, answering: Answering) -> None:
    answering(system(shapes, TOLD))
    report = measure(shapes, run_of(shapes, test=["chair/b", "table/c", "table/gone"]))
    assert set(report.results.index.items()) == {"chair/b", "table/c"}
    assert (report.summary["items"], report.summary["left_out"]) == (2, 1)
    rows = report.summary["tables"]["unrotated"]
    assert rows["accuracy"] == {"chair": 0, "table": 1, "all": 0.5}
    # the majority is that of the shapes that were trained on
    assert rows["always chair"]["all"] == 0.5


def test_nothing_is_measured_twice(shapes: World, answering: Answering) -> None:
    answering(system(shapes, TOLD))
    run = run_of(shapes)
    assert measure(shapes, run, dry_run=True).todo == 5
    measure(shapes, run)
    asked = len(shapes.asked)
    assert measure(shapes, run, dry_run=True).todo == 0
    measure(shapes, run)
    assert len(shapes.asked) == asked
    shapes.cast(tag="again")
    (record,) = results_status(Workspace(shapes.root))
    assert (record["fresh"], record["why"]) == (False, "spheres/res64 has changed")
    assert measure(shapes, run, dry_run=True).todo == 5


def test_results_of_another_version_of_the_protocol_are_stale(
    shapes: World, answering: Answering, monkeypatch: pytest.MonkeyPatch
) -> None:
    answering(system(shapes, TOLD))
    measure(shapes, run_of(shapes))
    (record,) = results_status(Workspace(shapes.root))
    assert record["fresh"]
    newer = dataclasses.replace(STAGE, version=STAGE.version + 1)
    monkeypatch.setattr(health, "find_stage", lambda name: newer)
    (record,) = results_status(Workspace(shapes.root))
    assert not record["fresh"]
    assert (
        record["why"] == f"measured by version {STAGE.version} of its protocol, now {newer.version}"
    )


def test_which_maps_are_chosen(shapes: World) -> None:
    workspace = Workspace(shapes.root)
    shapes.cast("spheres/fine", res=128)
    shapes.cast("spheres/seen", poses="views")
    assert [a.variant for a in choose_maps(workspace, [])] == ["res64", "spun"]
    assert [a.variant for a in choose_maps(workspace, ["spun"])] == ["spun"]
    for name in ("fine", "seen"):
        with pytest.raises(InputError, match=f"spheres/{name} are not lengths of 64 x 64"):
            choose_maps(workspace, [name])
    with pytest.raises(InputError, match="no spheres/spin"):
        choose_maps(workspace, ["spin"])


def test_nothing_to_measure_on(tmp_path: Path) -> None:
    world = World(tmp_path, ["chair/a", "table/b"])
    world.cast()
    with pytest.raises(InputError, match="no spheres at random poses") as caught:
        choose_maps(Workspace(world.root), [])
    assert caught.value.hint == "run: crossdim raycast --poses random"
    with pytest.raises(InputError, match="has no test shapes"):
        measure(world, run_of(world, test=[]))
    with pytest.raises(InputError, match="none of the 1 test shapes"):
        measure(world, run_of(world, test=["chair/gone"]))

"""Pictures to meshes: the rotation found is the camera's, of the own mesh and of another's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from stages.errors import InputError, UsageError
from stages.evaluate.align_protocol import Against, choose_spheres, evaluate_align
from stages.evaluate.health import results_status
from stages.evaluate.measure import Report
from stages.evaluate.posed import choose_photos, choose_views
from stages.store.workspace import Workspace
from stages.train.run import Run
from tests.evaluate.conftest import Answering
from tests.evaluate.made import World, equivariant, trained
from tests.evaluate.test_relpose import ANNOTATED, every, photos


def measure(world: World, run: Run, dry_run: bool = False) -> Report:
    workspace = Workspace(world.root)
    (views,) = choose_views(workspace, ["test"], run)
    against = Against(views, choose_spheres(workspace, None, run))
    return evaluate_align(workspace, run, against, "cpu", dry_run, lambda progress: None)


def test_views_are_aligned_with_meshes(world: World, answering: Answering) -> None:
    answering(equivariant(world))
    report = measure(world, world.run("equivariant"))
    own, others = (every(report.results, f"{base}_error_deg") for base in ("instance", "category"))
    assert own.shape == (5 * 4, 2)  # every view, with its own mesh
    assert others.shape == (3 * 4 * 2 + 2 * 4, 2)
    for error in (own, others):
        assert error[:, 0].max() < 0.01  # as in test_relpose
        assert np.median(error[:, 1]) < 3
    for number, item in enumerate(world.ids):
        arrays = report.results.read(item)
        assert set(arrays["instance_shape"].tolist()) == {item.encode()}
        assert item.encode() not in arrays["category_shape"]
        assert (arrays["category_other"] == -1).all()
        for view, told in zip(arrays["instance_view"], arrays["instance_told"]):
            np.testing.assert_allclose(told[0], world.rotations[number, int(view)], atol=1e-3)
    assert report.summary["inputs"] == ["views/test", "spheres/res64"]


def test_meshes_that_differ_are_off_by_how_they_differ(world: World, answering: Answering) -> None:
    """As if every mesh but the first two stood a quarter turn off: an answer of 90 degrees."""
    perfect = equivariant(world)
    quarter = torch.from_numpy(Rotation.from_euler("z", 90, degrees=True).as_matrix()).float()
    straight = perfect.model.embed_maps

    def embed(maps: torch.Tensor) -> torch.Tensor:
        # 16 columns: a quarter turn moves longitudes by four of them
        turned = straight(maps).roll(4, -1)
        keep = (maps[:, :1, :1, :1] * 256).round() < 2
        return torch.where(keep, straight(maps), turned)

    perfect.model.embed_maps = embed
    answering(perfect)
    results = measure(world, world.run("equivariant")).results
    numbers = {item.encode(): number for number, item in enumerate(world.ids)}
    for item in world.ids:
        arrays = results.read(item)
        for base in ("instance", "category"):
            for name, view, told, error in zip(
                *(arrays[f"{base}_{what}"] for what in ("shape", "view", "told", "error_deg"))
            ):
                off = numbers[name] >= 2
                assert error[0] == pytest.approx(90 if off else 0, abs=0.01)
                if off:  # picture = R field = R Q^-1 (Q field): the mesh's own turn comes first
                    truth = world.rotations[numbers[item.encode()], int(view)]
                    np.testing.assert_allclose(told[0], truth @ quarter.numpy().T, atol=1e-3)


def test_a_regressed_pose_needs_no_mesh(world: World, answering: Answering) -> None:
    answering(trained("pose-regression", "rotation", world.rotation_of))
    run = world.run("pose-regression")
    assert choose_spheres(Workspace(world.root), None, run) is None
    report = measure(world, run)
    assert set(report.summary["tables"]) == {"instance"}
    assert every(report.results, "instance_error_deg").max() < 1e-3


def test_photos_are_aligned_with_the_meshes_of_others(world: World, answering: Answering) -> None:
    photos(world, ANNOTATED)
    answering(equivariant(world))
    workspace, run = Workspace(world.root), world.run("equivariant")
    (real,) = choose_photos(workspace, ["real"])
    against = Against(real, choose_spheres(workspace, None, run))
    report = evaluate_align(workspace, run, against, "cpu", False, lambda progress: None)
    assert set(report.summary["tables"]) == {"category"}
    assert every(report.results, "category_error_deg")[:, 0].max() < 0.01
    # an aeroplane goes with the airplanes, all three of them
    shapes = every(report.results, "category_shape")
    assert set(shapes.tolist()) == {b"airplane/a", b"airplane/b", b"airplane/c"}
    assert len(shapes) == 3 * 3


def test_photos_without_meshes_of_their_kind(world: World, answering: Answering) -> None:
    photos(world, {**ANNOTATED, "chair/6": [0.0, 20.0, 0.0, 3.0]})
    answering(equivariant(world))
    workspace = Workspace(world.root)
    run = world.run("equivariant", test=["airplane/a", "airplane/b"])  # it knows chairs, too
    (real,) = choose_photos(workspace, ["real"])
    against = Against(real, choose_spheres(workspace, None, run))
    report = evaluate_align(workspace, run, against, "cpu", False, lambda progress: None)
    assert report.summary["items"] == 4
    assert set(report.summary["tables"]["category"]["refined: acc@15"]) == {"aeroplane"}


def test_other_meshes_are_measured_anew(world: World, answering: Answering) -> None:
    answering(equivariant(world))
    run = world.run("equivariant")
    assert measure(world, run, dry_run=True).todo == 5
    measure(world, run)
    asked = len(world.asked)
    assert measure(world, run, dry_run=True).todo == 0
    measure(world, run)
    assert len(world.asked) == asked
    world.cast(tag="again")
    (record,) = results_status(Workspace(world.root))
    assert record["why"] == "spheres/res64 has changed"
    assert measure(world, run, dry_run=True).todo == 5


def test_which_maps_of_the_meshes(world: World) -> None:
    workspace, run = Workspace(world.root), world.run("equivariant")
    world.cast("spheres/spun", count=2, poses="random")
    world.cast("spheres/dh", grid="driscoll-healy")
    found = choose_spheres(workspace, None, run)
    assert found is not None
    assert found.variant == "res64"
    world.cast("spheres/second")
    with pytest.raises(UsageError, match="several spheres fit: res64, second"):
        choose_spheres(workspace, None, run)
    with pytest.raises(InputError, match="called spun"):
        choose_spheres(workspace, "spun", run)


def test_no_maps_of_the_test_shapes(world: World) -> None:
    workspace = Workspace(world.root)
    run = world.run("equivariant")
    (views,) = choose_views(workspace, ["test"], run)
    World(world.root, ["chair/other"]).cast()
    against = Against(views, choose_spheres(workspace, None, run))
    with pytest.raises(InputError, match="holds none of the test shapes") as caught:
        evaluate_align(workspace, run, against, "cpu", False, lambda progress: None)
    assert caught.value.hint == "run: crossdim raycast"

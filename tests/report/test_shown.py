"""What is shown of real artefacts is what they hold: places, colours and numbers are compared."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from crossdim_cli.main import run
from stages.report.browse import browse, targets
from stages.report.shown import Shown, show
from stages.report.solids import Solid
from stages.sphere import grids
from stages.store.workspace import Workspace

PIPELINE = [
    "shapes generate --count 1 --category chair",
    "voxelize --res 16",
    "render --size 48 --viewpoints uniform --views 3 --supersample 1",
    "depths --size 48 --novel 0",
    "raycast --res 16",
    "landmarks",
    "skeletons sample --category chair --count 4 --val 0 --test 0",
]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    root = tmp_path_factory.mktemp("shown")
    for line in PIPELINE:
        assert run([*line.split(), "--jobs", "0", "-q", "--workspace", str(root)]) == 0
    return Workspace(root)


def first(workspace: Workspace, stage: str, view: int = 0) -> tuple[Shown, dict[str, np.ndarray]]:
    (artefact,) = workspace.artefacts(stage)
    item = sorted(artefact.index.items())[0]
    return show(workspace, artefact, item, view), artefact.read(item)


def solid(shown: Shown, label: str) -> Solid:
    (found,) = [one for one in shown.solids if one.label == label]
    return found


def test_shapes_and_voxels(workspace: Workspace) -> None:
    shown, arrays = first(workspace, "shapes")
    mesh = solid(shown, "the shape")
    assert (mesh.vertices[mesh.faces] == arrays["vertices"][arrays["faces"]]).all()
    rgba = arrays["material_rgba"][arrays["face_material"]]
    assert np.abs(mesh.colours - rgba[:, :3] * 255).max() <= 0.5001  # rounded
    assert f"{len(arrays['faces'])} faces" in shown.note
    shown, arrays = first(workspace, "voxels")
    filled = int(arrays["voxels"].sum())
    assert shown.note == f"16^3 cells, {filled} filled"
    places = solid(shown, "voxels").vertices
    inside = np.argwhere(arrays["voxels"])
    side = float(arrays["extent"].item()) / 16
    assert places.min(0) == pytest.approx(inside.min(0) * side + arrays["origin"], abs=1e-6)
    assert places.max(0) == pytest.approx((inside.max(0) + 1) * side + arrays["origin"], abs=1e-6)


def test_views_begin_with_the_one_that_is_asked_for(workspace: Workspace) -> None:
    for view in (0, 2):
        shown, arrays = first(workspace, "views", view)
        assert (shown.pictures[0].pixels == arrays["rgb"][view]).all()
        assert shown.views == len(shown.pictures) == 3
        assert f"azimuth {arrays['viewpoint'][view, 0]:.0f}°" in shown.note
    assert first(workspace, "views", 99)[0].note == first(workspace, "views", 2)[0].note


def test_clouds_and_maps_lie_on_the_shape(workspace: Workspace) -> None:
    mesh = solid(first(workspace, "shapes")[0], "the shape")
    low, high = mesh.vertices.min(0), mesh.vertices.max(0)
    cloud = solid(first(workspace, "depths")[0], "cloud of all depth maps")
    assert len(cloud.vertices) > 500
    assert (cloud.vertices > low - 0.03).all()  # a pixel is 1/48
    assert (cloud.vertices < high + 0.03).all()
    shown, arrays = first(workspace, "spheres")
    star = solid(shown, "the map as a surface")
    lengths = np.linalg.norm(star.vertices, axis=1).reshape(16, 16)
    assert lengths == pytest.approx(arrays["map"][0, 0], abs=1e-6)
    top = star.vertices.reshape(16, 16, 3)[0]  # the row around +z
    assert (top[arrays["map"][0, 0, 0] > 0, 2] > 0).all()
    assert np.allclose(star.vertices.reshape(16, 16, 3), lengths[..., None] * grids.directions(16))
    assert shown.pictures[0].pixels.shape == (16, 16, 3)


def test_landmarks_are_drawn_where_they_are(workspace: Workspace) -> None:
    shown, arrays = first(workspace, "landmarks", 1)
    plain, marked = (picture.pixels.astype(int) for picture in shown.pictures)
    changed = np.argwhere((plain != marked).any(-1))[:, ::-1] + 0.5
    points = arrays["keypoints"][1]
    inside = points[((points > 3) & (points < 45)).all(1)]
    for point in inside:  # each has left a mark
        assert np.linalg.norm(changed - point, axis=1).min() < 2.5
    for pixel in changed:  # and nothing else has
        assert np.linalg.norm(points - pixel, axis=1).min() < 4


def test_every_target_can_be_shown(workspace: Workspace) -> None:
    names = targets(workspace)
    assert len(names) == len(PIPELINE)
    for name in names:
        browsing = browse(workspace, name)
        shown = browsing.show(browsing.items[0])
        assert shown.pictures or shown.solids, name
    skeleton = first(workspace, "skeletons", 3)[0]
    assert skeleton.solids[0].label == "skeleton, as it is seen"
    assert np.ptp(skeleton.solids[0].vertices, axis=0).max() < 1.1


def test_what_cannot_be_read_is_a_note(workspace: Workspace, tmp_path: Path) -> None:
    browsing = browse(workspace, "views")
    assert browsing.show("chair/nobody").note.startswith("cannot be shown: ")

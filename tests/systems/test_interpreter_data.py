"""Pictures with keypoints: frames, mirrors, moves, landmarks and their visibility."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import torch

from stages.errors import InputError, ItemError, UsageError
from stages.geometry.cameras import extrinsics, intrinsics, project
from stages.landmarks import Params as Marks
from stages.landmarks import process, visible
from stages.render import Params as Views
from stages.render import process as render
from stages.shapes.generate import generate
from stages.skeletons.template import load
from stages.stage import Item
from stages.store.workspace import Workspace
from stages.systems import interpreter
from stages.systems.interpreter.data import Pictures, framed
from stages.systems.interpreter.params import PRESETS

VIEWS = Views(size=60, viewpoints="uniform", views=6, supersample=1, backend="numba")


@pytest.fixture(scope="module")
def chair():
    """A generated chair, its views, and the landmarks of them."""
    mesh = generate("chair", np.random.default_rng(2))
    shape = {**mesh.to_arrays(), "source": np.array(b"crossdim shapes generate")}
    views = render(Item("chair/a", {"shapes": shape}), VIEWS, np.random.default_rng(0))
    item = Item("chair/a", {"shapes": shape}, attached={"views": (views,)})
    marks = process(item, Marks(), np.random.default_rng(0))
    return shape, views, marks


@pytest.fixture
def params(tmp_path):
    plain = dataclasses.replace(PRESETS["tiny"], flip=False, shift=0.0, zoom=1.0, jitter=0.0)
    return interpreter.complete(plain, Workspace(tmp_path), ["chair"])


def loaded(chair):
    _, views, marks = chair
    return {**views, **marks, "landmark_extrinsics": marks["extrinsics"]}


def test_landmarks_are_projected_by_the_cameras(chair):
    shape, views, marks = chair
    for view in range(6):
        told = project(shape["keypoints"], views["extrinsics"][view], views["intrinsics"])
        np.testing.assert_allclose(marks["keypoints"][view], told[:, :2], atol=1e-3)  # float32
    assert marks["convention"].item() == b"generated"
    assert 0.4 < marks["visible"].mean() < 1


def test_visibility_behind_a_wall():
    """A wall at depth 2 over the left half of the picture."""
    wall = np.zeros((1, 20, 20), np.float32)
    wall[:, :, :10] = 2
    pixels = np.array([[[5.0, 5], [5, 5], [5, 5], [15, 5], [10.2, 5], [-1, 5], [5, 20.5]]])
    depth = np.array([[1.5, 2.02, 2.5, 2.5, 2.5, 1.0, 1.0]])
    told = visible(pixels, depth, wall, 0.03)
    # before, on, behind it; beside it; at its edge; outside of the picture twice
    assert told.tolist() == [[1, 1, 0, 1, 1, 0, 0]]


def test_shapes_without_usable_keypoints(chair):
    shape, views, _ = chair
    empty = {**shape, "keypoints": np.zeros((0, 3), np.float32)}
    spoilt = {**shape, "keypoints": np.full((1, 3), np.nan, np.float32)}
    for bad, said in ((empty, "no named keypoints"), (spoilt, "not finite")):
        item = Item("chair/a", {"shapes": bad}, attached={"views": (views,)})
        with pytest.raises(ItemError, match=said):
            process(item, Marks(), np.random.default_rng(0))
    with pytest.raises(ItemError, match="no pictures"):
        process(Item("chair/a", {"shapes": shape}), Marks(), np.random.default_rng(0))


def test_frames_keep_the_aspect():
    """A bright pixel is where its coordinates say, in square, wide and high pictures."""
    for rows, columns in ((60, 60), (40, 80), (90, 30)):
        picture = np.zeros((1, rows, columns, 3), np.uint8)
        picture[0, rows // 3, columns // 4] = 255
        image, affine = framed(picture, 320)
        assert image.shape == (1, 3, 320, 240)
        factors, shifts = affine
        assert factors[0] == pytest.approx(factors[1], rel=0.02)  # sides are whole pixels
        expected = np.array([columns // 4 + 0.5, rows // 3 + 0.5]) * factors + shifts
        weight = image[0, 0].double()
        at = [
            (weight.sum(0) * (torch.arange(240) + 0.5)).sum() / weight.sum(),
            (weight.sum(1) * (torch.arange(320) + 0.5)).sum() / weight.sum(),
        ]
        np.testing.assert_allclose(at, expected, atol=0.1)  # rounding to 8 bits


def test_batches_hold_the_projected_skeleton(chair, params, tmp_path):
    _, views, marks = chair
    split = Pictures(lambda item: loaded(chair), ["chair/a"], params)
    batch = split.batch(range(6), None)
    template = load("chair", Workspace(tmp_path))
    names = [bytes(name).decode() for name in marks["keypoint_names"]]
    for n, name in enumerate(template.keypoints):
        row = names.index(template.sources["generated"][name])
        expected = marks["keypoints"][:, row] * 4 + [0, 40]  # 60 pixels to 240, 40 above
        np.testing.assert_allclose(batch["keypoints"][:, n], expected, atol=1e-3)
    assert batch["known"].all()
    centre = extrinsics(views["viewpoint"])[:, None, :, 3]
    seen = batch["turned"].numpy() + centre
    lens = intrinsics(240)
    flat = seen @ lens.T
    again = flat[..., :2] / flat[..., 2:] + [0, 40]
    np.testing.assert_allclose(again, batch["keypoints"], atol=0.05)


def test_augmentation_moves_keypoints_with_the_picture(chair, params):
    """The picture of the keypoints' own heatmaps, put in place of the colours, says where they are.

    Left and right change places where it is mirrored.
    """
    augmented = dataclasses.replace(params, flip=True, shift=0.1, zoom=1.2)
    split = Pictures(lambda item: loaded(chair), ["chair/a"], augmented)
    item = dict(split.item("chair/a"))
    rows, columns = torch.meshgrid(torch.arange(80) + 0.5, torch.arange(60) + 0.5, indexing="ij")
    spot = item["keypoints"][:, 4] / 4  # seat_front_left
    away = (columns - spot[:, 0, None, None]) ** 2 + (rows - spot[:, 1, None, None]) ** 2
    item["image"] = (255 * torch.exp(-away / 18)).to(torch.uint8)[:, None].expand(-1, 3, -1, -1)
    split._items.get = lambda key: item  # type: ignore[method-assign]
    batch = split.batch(range(6), torch.Generator().manual_seed(3))
    weight = batch["image"][:, 0] ** 2
    total = weight.sum((1, 2))
    at = (
        torch.stack([(weight * columns).sum((1, 2)), (weight * rows).sum((1, 2))], 1)
        / total[:, None]
    )
    told = batch["keypoints"][:, 4:6] / 4  # it, or where mirrored seat_front_right
    apart = (told - at[:, None]).norm(dim=-1).amin(1)
    assert apart.max() < 0.5  # pixels of 60 x 80
    plain = split.batch(range(6), None)["keypoints"]
    assert not torch.allclose(batch["keypoints"], plain)


def test_wrong_names_are_refused(chair, params):
    wrong = {**loaded(chair), "convention": np.array(b"objectnet3d")}
    split = Pictures(lambda item: wrong, ["chair/a"], params)
    with pytest.raises(InputError, match="on the other side") as error:
        split.batch([0], None)
    assert "--convention" in error.value.hint
    other = {**loaded(chair), "landmark_extrinsics": chair[2]["extrinsics"] + 1}
    with pytest.raises(InputError, match="not those of its views"):
        Pictures(lambda item: other, ["chair/a"], params).batch([0], None)


def test_one_category_at_a_time(tmp_path):
    for categories in ([], ["chair", "bed"]):
        with pytest.raises(UsageError, match="one skeleton does not fit"):
            interpreter.complete(PRESETS["tiny"], Workspace(tmp_path), categories)
    made = interpreter.complete(PRESETS["tiny"], Workspace(tmp_path), ["aeroplane"])
    assert json.loads(made.template_json)["name"] == "airplane"
    with pytest.raises(UsageError, match="widths of convolutions"):
        dataclasses.replace(PRESETS["tiny"], height=320)

"""What each system's answer becomes: files that other programs read, poses, confidences."""

from __future__ import annotations

import dataclasses
import io
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import trimesh
from PIL import Image

from stages.export.pictures import picture
from stages.geometry import rotations
from stages.geometry.cameras import DISTANCE, extrinsics, viewpoints_of
from stages.geometry.mesh import Mesh
from stages.geometry.voxels import decode_binvox
from stages.predict.answering import TELL, tell
from stages.predict.images import Seen
from stages.predict.networks import SYSTEMS, Network
from stages.predict.prediction import Beside
from stages.predict.shapes import expected_iou
from stages.render import Params as RenderParams
from stages.render.views import render_views
from stages.stage import params_json
from stages.store.workspace import Workspace
from stages.systems import (
    deep_encoding,
    equivariant,
    interpreter,
    pose_aware,
    pose_regression,
    spherical_cnn,
    structure_generator,
    view_synthesis,
)
from stages.train.run import Trained
from stages.weights.cards import Camera
from stages.weights.framing import picture_size
from tests.evaluate import made


def network(system: Any, params: Any, **more: Any) -> Network:
    """An untrained network: whatever it says must come out as it says it."""
    torch.manual_seed(0)
    trained = Trained(system.build(params).eval(), system, params, 0, {})
    camera = Camera(picture_size(system.NAME, params), 255, 0.6)
    return Network(trained, camera, ("chair",), "made", **more)


def seen_by(net: Network, seed: int = 0) -> Seen:
    size = net.camera.size
    rgb = np.random.default_rng(seed).integers(0, 255, (size, size, 3), dtype=np.uint8)
    mask = np.zeros((size, size), np.uint8)
    mask[size // 4 : size // 2, size // 4 :] = 255
    return Seen(rgb, mask, (0.0, 0.0, float(size), float(size)), (size, size), "alpha", rgb)


def said(net: Network, seen: Seen) -> dict[str, np.ndarray]:
    images = torch.from_numpy(seen.rgb).permute(2, 0, 1)[None].float() / 255
    told = net.trained.system.predict(net.trained.model, images, net.trained.params)
    return {name: value[0].numpy() for name, value in told.items()}


def loaded(data: bytes, kind: str) -> Any:
    return trimesh.load(io.BytesIO(data), file_type=kind)


def test_every_system_that_looks_at_a_picture_is_there() -> None:
    assert set(TELL) == set(SYSTEMS)


def test_pose_aware() -> None:
    params = pose_aware.PRESETS["tiny"]
    net = network(pose_aware, params, threshold=0.5)
    seen = seen_by(net)
    told, answer = tell(net, seen, Beside()), said(net, seen)
    voxels, origin, extent = decode_binvox(told.files[".binvox"])
    assert np.array_equal(voxels, answer["voxels"] >= 0.5)
    assert (origin.tolist(), extent) == ([-0.5] * 3, 1.0)
    surface = loaded(told.files[".glb"], "glb").to_geometry()
    assert surface.is_watertight
    # glTF is y-up: z of the filled cells is y of the file, to within the half cell of the surface
    high = (np.argwhere(voxels).max(0) + 1) / 32 - 0.5
    assert surface.bounds[1][1] == pytest.approx(high[2], abs=1 / 32)
    assert told.pose is not None
    assert told.pose["azimuth_deg"] == pytest.approx(answer["viewpoint"][0], abs=1e-2)
    assert told.pose["elevation_deg"] == pytest.approx(answer["viewpoint"][1], abs=1e-2)
    camera = extrinsics(answer["viewpoint"])[:, :3]
    assert np.allclose(told.pose["rotation"], camera, atol=1e-5)
    near = 0.0
    for (azimuth, elevation), score in zip(answer["hypotheses"], answer["scores"]):
        other = extrinsics(np.array([azimuth, elevation, 0, DISTANCE]))[:, :3]
        angle = np.degrees(np.arccos(np.clip((np.trace(other @ camera.T) - 1) / 2, -1, 1)))
        near += score if angle <= 30 else 0
    assert told.confidence["pose"] == pytest.approx(near, abs=1e-5)
    coverage = np.kron(answer["mask"] >= 0.5, np.ones((4, 4))) > 0  # (192, 192): 64 in threes
    mask = np.kron(seen.mask, np.ones((3, 3))) > 0
    blocks = [m.reshape(48, 4, 48, 4).mean((1, 3)) >= 0.5 for m in (coverage, mask)]
    iou = (blocks[0] & blocks[1]).sum() / (blocks[0] | blocks[1]).sum()
    assert told.confidence["mask"] == pytest.approx(iou, abs=1e-6)


def test_expected_iou_is_what_happens_on_average() -> None:
    rng = np.random.default_rng(0)
    probability = rng.random((16, 16, 16)) ** 2
    solid = probability >= 0.4
    drawn = rng.random((400, *probability.shape)) < probability
    happened = [(d & solid).sum() / (d | solid).sum() for d in drawn]
    # 4096 cells: a draw is off by 0.01, the mean of 400 by less than 0.001
    assert expected_iou(probability, 0.4) == pytest.approx(np.mean(happened), abs=2e-3)
    assert expected_iou(np.zeros((4, 4, 4)), 0.5) == 0


def test_structure_generator() -> None:
    net = network(structure_generator, structure_generator.PRESETS["tiny"])
    seen = seen_by(net)
    told, answer = tell(net, seen, Beside()), said(net, seen)
    kept = answer["logit"] > 0
    points = np.asarray(loaded(told.files[".ply"], "ply").vertices)
    assert np.allclose(points, answer["points"].T[kept], atol=1e-6)
    assert told.facts["points"] == kept.sum()
    mean = (1 / (1 + np.exp(-answer["logit"][kept].astype(float)))).mean()
    assert told.confidence["shape"] == pytest.approx(mean, abs=1e-6)
    assert told.pose is None
    assert "no pose" in told.pose_missing
    net.trained.model.grid.data[:, 3] = -100  # type: ignore[union-attr,index]
    empty = tell(net, seen, Beside())
    assert (dict(empty.files), empty.facts["points"], empty.confidence["shape"]) == ({}, 0, 0)


def test_deep_encoding_names_the_nearest() -> None:
    params = deep_encoding.PRESETS["tiny"]
    net = network(deep_encoding, params)
    seen = seen_by(net)
    code = said(net, seen)["code"]
    alone = tell(net, seen, Beside())
    assert np.array_equal(np.load(io.BytesIO(alone.files[".npz"]))["code"], code)
    assert "--codes" in alone.facts["nearest_missing"]
    rng = np.random.default_rng(0)
    codes = code + rng.normal(size=(9, len(code))).astype(np.float32)
    ids = tuple(f"chair/{n}" for n in range(9))
    mesh = Mesh.plain(np.eye(3), np.array([[0, 1, 2]]))
    distance = np.linalg.norm(codes - code, axis=1)
    order = distance.argsort()
    net = dataclasses.replace(net, gallery=(ids, codes))
    told = tell(net, seen, Beside(meshes={ids[order[0]]: mesh}))
    assert [one["shape"] for one in told.facts["nearest"]] == [ids[n] for n in order[:5]]
    wanted = 1 - distance[order[0]] / distance[order[1]]
    assert told.confidence["nearest"] == pytest.approx(wanted, abs=1e-5)
    assert len(loaded(told.files[".glb"], "glb").to_geometry().faces) == 1


@pytest.fixture(scope="module")
def bench() -> Mesh:
    """An L of two boxes: its own mirror image in x, and like itself from no other side."""
    boxes = [
        trimesh.creation.box((0.5, 0.5, 0.1)),
        trimesh.creation.box((0.5, 0.1, 0.5)).apply_translation((0, 0.2, 0.2)),
    ]
    made_of: Any = trimesh.util.concatenate(boxes)
    return Mesh.plain(made_of.vertices - made_of.bounds.mean(0), made_of.faces)


def test_pose_regression_knows_how_turns_of_the_picture_turn_the_pose(bench: Mesh) -> None:
    """A system that finds the pose by comparing masks with renders agrees with itself."""
    params = RenderParams(size=128, supersample=1, backend="numba")
    truth = extrinsics(np.array([40.0, 20, 10, DISTANCE]))[:, :3]
    mirror = np.diag([-1.0, 1, 1])
    known = [rotations.about_z(np.array(np.pi / 2 * k)) @ truth for k in range(4)]
    known += [mirror @ one @ mirror for one in known]
    masks = render_views(bench, viewpoints_of(np.stack(known)), params)["mask"] > 127
    answers = torch.from_numpy(np.stack(known)).float()

    def predict(model: Any, images: torch.Tensor, params: Any) -> dict[str, torch.Tensor]:
        dark = (images.mean(1) < 0.5).numpy()
        away = (dark[:, None] != masks[None]).sum((2, 3))
        return {"rotation": answers[away.argmin(1)]}

    system = SimpleNamespace(NAME="pose-regression", predict=predict)
    trained = SimpleNamespace(system=system, model=None, params=None)
    net = Network(trained, Camera(128, 255, 0.6), ("chair",), "made")  # type: ignore[arg-type]
    rgb = np.repeat(np.where(masks[0], 0, 255).astype(np.uint8)[..., None], 3, 2)
    told = tell(net, Seen(rgb, None, (0, 0, 128, 128), (128, 128), "", rgb), Beside(bench, "L"))
    assert told.confidence["pose"] == 1.0
    assert told.facts["spread_deg"] < 0.1
    assert np.allclose(told.pose["rotation"], truth, atol=1e-5)  # type: ignore[index]
    drawn = next(tile.rgb for tile in told.tiles if tile.title == "mesh, as told")
    small = np.asarray(Image.fromarray(rgb[..., 0]).resize((160, 160))) < 128
    assert ((drawn.min(2) < 250) == small).mean() > 0.98  # but for the rim


def test_pose_regression_of_an_untrained_network_is_not_confident() -> None:
    net = network(pose_regression, pose_regression.PRESETS["tiny"])
    seen = seen_by(net)
    told = tell(net, seen, Beside())
    assert np.allclose(told.pose["rotation"], said(net, seen)["rotation"], atol=1e-5)  # type: ignore[index]
    assert 1 / 8 <= told.confidence["pose"] < 1  # the picture itself always agrees


def test_equivariant_against_a_mesh(tmp_path: Path, bench: Mesh) -> None:
    """A perfect embedding has its pose against the mesh, whatever that is in the picture."""
    world = made.World(tmp_path, ["chair/a"])
    world.see()
    net = Network(made.equivariant(world), Camera(128, 255, 0.6), ("chair",), "made")
    rgb = np.zeros((128, 128, 3), np.uint8)
    rgb[0, 1, 0] = 2  # the third view of the first shape
    seen = Seen(rgb, None, (0, 0, 128, 128), (128, 128), "", rgb)
    told = tell(net, seen, Beside(bench, "L"))
    assert told.pose is not None
    error = rotations.geodesic(np.array(told.pose["rotation"]), world.rotations[0, 2])
    assert np.degrees(error) < 0.5  # float32, and six digits
    assert told.confidence["pose"] == pytest.approx(1, abs=1e-3)
    assert 0 < told.confidence["margin"] < 1
    alone = tell(net, seen, Beside())
    assert alone.pose is None
    assert "--mesh" in alone.pose_missing


def test_view_synthesis_turns_about_the_vertical() -> None:
    target = dataclasses.replace(spherical_cnn.PRESETS["tiny"], classes=("chair", "table"))
    text = json.dumps(params_json(target))
    inner = dataclasses.replace(equivariant.PRESETS["tiny"], layer="views", target_params=text)
    params = dataclasses.replace(
        view_synthesis.PRESETS["tiny"], embedding_params=json.dumps(params_json(inner))
    )
    net = network(view_synthesis, params)
    seen = seen_by(net)
    told = tell(net, seen, Beside())
    drawn = np.asarray(Image.open(io.BytesIO(told.files[".views.png"])))
    images = torch.from_numpy(seen.rgb).permute(2, 0, 1)[None].float() / 255
    for number, angle in enumerate((0, 90, 180, 270)):
        c, s = np.cos(np.radians(angle)), np.sin(np.radians(angle))
        turn = torch.tensor([[[c, 0, s], [0, 1, 0], [-s, 0, c]]], dtype=torch.float32)
        wanted = view_synthesis.predict(net.trained.model, images, params, turn)["picture"][0]
        tile = drawn[:, 128 * number : 128 * (number + 1)].transpose(2, 0, 1)
        # batches of one and of four round differently
        assert np.abs(tile - 255 * wanted.numpy()).max() <= 1.01


def test_interpreter(tmp_path: Path) -> None:
    params = dataclasses.replace(interpreter.PRESETS["tiny"], step="joint")
    params = interpreter.complete(params, Workspace(tmp_path), ("chair",))
    net = network(interpreter, params)
    told = tell(net, seen_by(net), Beside())
    skeleton = json.loads(told.files[".skeleton.json"])
    names = skeleton["keypoint_names"]
    assert len(skeleton["points"]) == len(names) == len(skeleton["confidence"])
    assert told.pose is not None
    assert told.pose["azimuth_deg"] == pytest.approx(skeleton["azimuth_deg"], abs=1e-2)
    away = np.array(skeleton["keypoints_px_of_240x320"]) - skeleton["projected_px_of_240x320"]
    near = (np.hypot(*away.T) <= 32).mean()
    assert told.confidence["pose"] == pytest.approx(near)
    size = loaded(told.files[".glb"], "glb").to_geometry().bounds
    assert np.linalg.norm(size[1] - size[0]) == pytest.approx(1, abs=0.06)  # and the balls


def test_the_drawn_axes_are_those_of_the_frame() -> None:
    from stages.predict.poses import axes_mesh

    # from the front, a little from the left and above: red points at us, green right, blue up
    drawn = picture(axes_mesh(), np.array([10, 10, 0, DISTANCE], np.float32)).astype(int)
    green = (drawn[..., 1] - drawn[..., [0, 2]].max(2)) > 60
    blue = (drawn[..., 2] - drawn[..., :2].max(2)) > 60
    assert np.argwhere(green)[:, 1].mean() > 90
    assert np.argwhere(blue)[:, 0].mean() < 70

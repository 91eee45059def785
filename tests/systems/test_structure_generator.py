"""The structure generator: its network, data, losses, and both parts of its training."""

from __future__ import annotations

import dataclasses
import pickle
import shutil
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.signal import correlate2d
from torch import nn

from stages import depths, render
from stages.errors import InputError, UsageError
from stages.geometry import cameras, orthographic
from stages.geometry.mesh import Mesh
from stages.geometry.points import fuse
from stages.stage import Item
from stages.systems import structure_generator as system
from stages.systems.structure_generator.data import (
    Pictures,
    fixed_extrinsics,
    mirror,
    mirrored_views,
)
from stages.systems.structure_generator.model import StructureGenerator, _Half, first_grid
from stages.systems.structure_generator.objective import (
    fixed_losses,
    joint_losses,
    true_maps,
    validate,
)
from stages.train.run import find_run, load_model
from tests.depths.shapes import ell

PRESETS = system.PRESETS
SIZE = 32
PARAMS = dataclasses.replace(
    PRESETS["tiny"],
    encoder=(8, 16, 16, 16),
    encoder_full=(),
    latent=16,
    decoder_full=(256,),
    decoder=(16, 8, 8),
    batch=4,
    novel=2,
    flip=False,
    jitter=0.0,
    precision="fp32",
)
JOINT = dataclasses.replace(PARAMS, stage="joint")


def mirrored(mesh: Mesh) -> Mesh:
    """The mesh mirrored in x."""
    flipped = mesh.vertices * np.array([-1, 1, 1], np.float32)
    return Mesh.plain(flipped, mesh.faces[:, ::-1])


def maps_of(mesh: Mesh, novel: np.ndarray) -> dict[str, np.ndarray]:
    """Depth maps of a mesh at the fixed views and at novel cameras (K, 3, 4)."""
    from stages.depths.zbuffer import depth_maps

    fixed = fixed_extrinsics(8)
    return {
        "depth": depth_maps(mesh, fixed, SIZE),
        "extrinsics": fixed,
        "novel_depth": depth_maps(mesh, novel, SIZE),
        "novel_extrinsics": novel.astype(np.float32),
    }


@cache
def arrays(name: str) -> Mapping[str, np.ndarray]:
    """What the stages `depths` and `views` store of the L, upright or on its back."""
    mesh = ell()
    if name == "chair/back":
        mesh = Mesh.plain(mesh.vertices[:, [0, 2, 1]] * [1, 1, -1], mesh.faces)
    item = Item(name, {"shapes": mesh.to_arrays()})
    rng = np.random.default_rng(0)
    maps = depths.process(item, depths.Params(size=SIZE, novel=6), rng)
    options = render.Params(size=64, views=3, viewpoints="uniform", backend="numba", supersample=1)
    seen = render.process(item, options, rng)
    names = ("depth", "extrinsics", "novel_depth", "novel_extrinsics")
    return {"rgb": seen["rgb"], **{n: maps[n] for n in names}}


def pictures(params: system.Params = PARAMS, most: int = 0) -> Pictures:
    return Pictures(arrays, ["chair/ell", "chair/back"], params, most)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# --- the network


def test_the_published_sizes() -> None:
    """Weights of every layer but the biases that batch normalisation takes away again.

    The port of the original one has 23.69 million with those, and with scales and shifts.
    """
    model = system.build(PRESETS["paper"])
    encoder = 9 * (3 * 96 + 96 * 128 + 128 * 192 + 192 * 256)
    encoder += 4096 * 2048 + 2048 * 1024 + 1024 * 512 + 512
    decoder = 512 * 1024 + 1024 * 2048 + 2048 * 4096
    decoder += 9 * (256 * 192 + 192 * 128 + 128 * 96 + 96 * 64 + 64 * 48)
    last, grid = 48 * 32, 8 * 4 * 128 * 128
    sizes = [sum(p.numel() for p in part.parameters()) for part in (model.encoder, model.decoder)]
    assert sizes == [encoder, decoder]
    assert sum(p.numel() for p in model.parameters()) == encoder + decoder + last + grid
    assert abs(encoder + decoder + last - 23.69e6) < 0.04e6
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d)]
    assert all(not norm.affine and norm.momentum == 0.001 for norm in norms)
    assert len(norms) == 4 + 2 + 3 + 5


@pytest.mark.parametrize("network", ["original", "resnet"])
@pytest.mark.parametrize("size", [32, 128])
def test_every_size_and_network_gives_maps_of_every_view(network: str, size: int) -> None:
    torch.manual_seed(0)
    params = dataclasses.replace(
        PARAMS, network=network, size=size, decoder=(8,) * 5, fixed_views=6, precision="bf16"
    )
    model = system.build(params)
    with torch.autocast("cpu", torch.bfloat16):
        maps, logit = model(torch.rand(2, 3, 64, 64))
    assert (maps.shape, logit.shape) == ((2, 6, 3, size, size), (2, 6, size, size))
    assert maps.dtype == torch.float32  # pixels of 128 do not fit into bf16
    residual = 2 * 4 + 2 * (size.bit_length() - 3)  # in encoder and decoder
    plain = 4 + size.bit_length() - 3 + 1
    convolutions = sum(isinstance(m, nn.Conv2d) for m in model.modules())
    assert convolutions == plain + residual * (network == "resnet")


def test_convolutions_pad_below_and_to_the_right() -> None:
    torch.manual_seed(0)
    layer = _Half(1, 1)
    picture = torch.rand(1, 1, 8, 8)
    padded = np.pad(picture[0, 0].numpy(), ((0, 1), (0, 1)))
    expected = correlate2d(padded, layer.weight[0, 0].detach().numpy(), "valid")[::2, ::2]
    np.testing.assert_allclose(layer(picture)[0, 0].detach(), expected, atol=1e-6)
    assert layer(torch.rand(1, 1, 5, 5)).shape[-1] == 3


def test_maps_start_from_the_centres_of_their_pixels() -> None:
    """u counts columns, v rows; the bias is a weight, saved and trained."""
    torch.manual_seed(0)
    model = system.build(PARAMS)
    grid = model.state_dict()["grid"]
    assert grid.shape == (8, 4, SIZE, SIZE)
    assert model.grid.requires_grad
    assert grid[3, :, 5, 9].tolist() == [9.5, 5.5, 1.0, 0.0]
    with torch.no_grad():
        model.last.weight.zero_()
    maps, logit = model.eval()(torch.rand(2, 3, 64, 64))
    assert torch.equal(maps[1], first_grid(8, SIZE)[:, :3])
    assert not logit.any()
    camera = torch.from_numpy(fixed_extrinsics(8))
    points = system.predict(model, torch.rand(1, 3, 64, 64), PARAMS)["points"]
    u, v, depth = orthographic.project(points[0].T.reshape(8, -1, 3), camera, SIZE)
    np.testing.assert_allclose(u, first_grid(8, SIZE)[:, 0].flatten(1), atol=1e-4)
    np.testing.assert_allclose(v, first_grid(8, SIZE)[:, 1].flatten(1), atol=1e-4)
    np.testing.assert_allclose(depth, 1, atol=1e-6)


def test_the_first_weights_are_normal() -> None:
    torch.manual_seed(0)
    model = StructureGenerator(PRESETS["tiny"])
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear) and layer.weight.numel() > 2000:
            assert layer.weight.std().item() == pytest.approx(0.1, rel=0.05)


def test_impossible_sizes_are_refused() -> None:
    with pytest.raises(UsageError, match="too few for 128 pixels"):
        dataclasses.replace(PARAMS, size=128)
    with pytest.raises(UsageError, match="4 x 4 picture"):
        dataclasses.replace(PARAMS, decoder_full=(100,))
    with pytest.raises(UsageError, match="encoder has 0 numbers"):
        dataclasses.replace(PARAMS, encoder=())


# --- data


def test_samples_are_pictures_with_the_maps_of_their_shapes() -> None:
    split = pictures()
    assert len(split) == 6
    batch = split.batch([4, 0], None)
    assert batch["id"] == ["chair/back view 1", "chair/ell view 0"]
    picture = torch.from_numpy(arrays("chair/back")["rgb"][1]).permute(2, 0, 1) / 255
    torch.testing.assert_close(batch["image"][0], picture)
    np.testing.assert_array_equal(
        batch["depth"][0].numpy(), arrays("chair/back")["depth"].reshape(8, -1)
    )
    assert set(batch) == {"image", "depth", "id"}
    assert len(pictures(most=2)) == 4
    assert pickle.loads(pickle.dumps(split)).batch([5], None)["image"].shape == (1, 3, 64, 64)


def test_novel_views_are_drawn_with_their_cameras() -> None:
    batch = pictures(JOINT).batch([0, 1, 3], generator())
    assert batch["novel_depth"].shape == (3, 2, SIZE * SIZE)
    found = set()
    for n, name in enumerate(["chair/ell", "chair/ell", "chair/back"]):
        known = arrays(name)
        for depth, camera in zip(batch["novel_depth"][n], batch["novel_extrinsics"][n]):
            number = next(
                i
                for i, one in enumerate(known["novel_extrinsics"])
                if (one == camera.numpy()).all()
            )
            np.testing.assert_array_equal(depth, known["novel_depth"][number].ravel())
            found.add((n, number))
    assert len(found) == 6  # no view twice in a sample
    again = pictures(JOINT).batch([0, 1, 3], generator())
    assert torch.equal(again["novel_depth"], batch["novel_depth"])
    assert "novel_depth" not in pictures(JOINT).batch([0], None)  # validation


def test_mirrored_maps_are_those_of_the_mirrored_shape() -> None:
    """The L is not its own mirror image; nor are novel cameras."""
    novel = cameras.extrinsics(orthographic.random_viewpoints(3, np.random.default_rng(2)))
    flip = np.diag([-1.0, 1, 1])
    turned = np.concatenate([flip @ novel[:, :, :3] @ flip, novel[:, :, 3:]], 2)
    plain, truth = maps_of(ell(), novel), maps_of(mirrored(ell()), turned)

    def as_batch(one: Mapping[str, np.ndarray]) -> dict[str, torch.Tensor]:
        return {
            "image": torch.arange(2.0).expand(2, 3, 4, 2),
            "depth": torch.from_numpy(one["depth"]).flatten(1).repeat(2, 1, 1),
            "novel_depth": torch.from_numpy(one["novel_depth"]).flatten(1).repeat(2, 1, 1),
            "novel_extrinsics": torch.from_numpy(one["novel_extrinsics"]).repeat(2, 1, 1, 1),
        }

    changed = mirror(as_batch(plain), torch.tensor([True, False]), mirrored_views(8))
    expected = as_batch(truth)
    for name in ("depth", "novel_depth", "novel_extrinsics"):
        # a silhouette may gain or lose a pixel whose centre its edge hits
        same = (changed[name][0] - expected[name][0]).abs() < 1e-5
        assert same.float().mean() > 0.999
        assert torch.equal(changed[name][1], as_batch(plain)[name][1])
    assert (changed["depth"][0] - as_batch(plain)["depth"][0]).abs().max() > 0.1
    assert changed["image"][0, 0, 0].tolist() == [1, 0]
    assert changed["image"][1, 0, 0].tolist() == [0, 1]


@pytest.mark.parametrize("views", [6, 8, 12, 20])
def test_every_set_of_views_but_the_tetrahedron_mirrors_to_itself(views: int) -> None:
    found = mirrored_views(views)
    assert torch.equal(found[found], torch.arange(views))
    with pytest.raises(UsageError, match="mirror image"):
        mirrored_views(4)


def test_maps_of_other_sizes_and_views_are_refused() -> None:
    def split(params: system.Params, **changed: np.ndarray) -> Pictures:
        return Pictures(lambda item: {**arrays("chair/ell"), **changed}, ["a/1"], params)

    with pytest.raises(InputError, match=r"depth of a/1 is \(8, 32, 32\), not \(8, 64, 64\)"):
        split(dataclasses.replace(PARAMS, size=64, decoder=(8, 8, 8, 8))).batch([0], None)
    with pytest.raises(InputError, match="depth of a/1 is"):
        split(dataclasses.replace(PARAMS, fixed_views=6)).batch([0], None)
    with pytest.raises(InputError, match="rgb of a/1 is"):
        split(PARAMS, rgb=np.zeros((2, 32, 32, 3), np.uint8)).batch([0], None)
    other = np.roll(fixed_extrinsics(8), 1, 0)
    with pytest.raises(InputError, match="not of the 8 fixed views"):
        split(PARAMS, extrinsics=other).batch([0], None)
    with pytest.raises(InputError, match="has 6 novel views, a sample takes 7"):
        split(dataclasses.replace(JOINT, novel=7)).batch([0], None)


# --- losses


def random_told(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Maps (2, 8, 3, S, S) near the truth and logits (2, 8, S, S) for the two shapes."""
    depth = pictures().batch([0, 3], None)["depth"]
    maps = true_maps(depth, SIZE)
    maps = maps + 0.1 * torch.randn(maps.shape, generator=generator(seed))
    return maps, torch.randn(maps[:, :, 0].shape, generator=generator(seed + 1))


def bce(logit: np.ndarray, truth: np.ndarray) -> float:
    return float((np.log1p(np.exp(-np.abs(logit))) + np.maximum(logit, 0) - logit * truth).sum())


@pytest.mark.parametrize("where", ["predicted", "true"])
def test_fixed_losses_are_sums_over_pixels(where: str) -> None:
    """With loops over the pixels; the depth of the background is 1."""
    params = dataclasses.replace(PARAMS, depth_where=where, plane_weight=0.5, depth_weight=3.0)
    maps, logit = random_told()
    depth = pictures().batch([0, 3], None)["depth"]
    plane = across = 0.0
    for b in range(2):
        for v in range(8):
            for i in range(SIZE):
                for j in range(SIZE):
                    u, w, z = maps[b, v, :, i, j].tolist()
                    true = float(depth[b, v, i * SIZE + j])
                    plane += abs(u - j - 0.5) + abs(w - i - 0.5)
                    if logit[b, v, i, j] > 0 if where == "predicted" else true > 0:
                        across += abs(z - (true or 1.0))
    mask = bce(logit.flatten().numpy(), (depth > 0).flatten().numpy())
    found = fixed_losses(maps, logit, depth, params)
    expected = {"plane": plane / 2, "depth": across / 2, "mask": mask / 2}
    for name, value in expected.items():
        assert found[name].item() == pytest.approx(value, rel=1e-4)  # float32 sums of 16,000
    total = 0.5 * expected["plane"] + 3 * expected["depth"] + expected["mask"]
    assert found["loss"].item() == pytest.approx(total, rel=1e-4)


def test_the_truth_costs_nothing_and_its_cloud_little() -> None:
    """The truth has no error on the fixed maps; from elsewhere less than any other of these."""
    batch = pictures(JOINT).batch([0, 3], generator())
    depth = batch["depth"]
    maps = true_maps(depth, SIZE)
    logit = torch.where(depth > 0, 20.0, -20.0).unflatten(2, (SIZE, SIZE))
    found = fixed_losses(maps, logit, depth, dataclasses.replace(PARAMS, depth_where="true"))
    assert found["loss"].item() < 1e-3
    scores = validate(lambda images: (maps, logit), {**batch}, PARAMS)
    assert scores["distance"].max() < 5e-3  # cdist in single precision
    assert scores["mask_iou"].tolist() == [1, 1]
    # Unsure logits: sure ones cost most where a point peeps out beside the shape's centres.
    right, swapped, farther, hidden = (
        joint_losses(told, sign * logit / 10, batch, JOINT)
        for told, sign in (
            (maps, 1),
            (maps[:, :, [1, 0, 2]], 1),
            (maps + torch.tensor([0, 0, 0.05])[:, None, None], 1),
            (maps, -1),
        )
    )
    assert right["depth"] < 1  # of about 200 pixels: less than 0.005 each
    assert swapped["mask"] > 1.5 * right["mask"]
    assert farther["depth"] > 2 * right["depth"]
    assert hidden["mask"] > 2 * right["mask"]


def test_depth_counts_where_one_point_fell() -> None:
    """A cloud of one point, drawn by hand at the camera of the first fixed view."""
    grid = first_grid(8, SIZE)[None].clone()
    maps, logit = grid[:, :, :3], torch.full((1, 8, SIZE, SIZE), -9.0)
    logit[0, 0, 7, 11] = 9.0
    maps[0, 0, 2, 7, 11] = 0.8
    depth = torch.zeros(1, 1, SIZE * SIZE)
    depth[0, 0, 7 * SIZE + 11], depth[0, 0, 0] = 0.7, 0.9
    batch = {
        "novel_depth": depth,
        "novel_extrinsics": torch.from_numpy(fixed_extrinsics(8))[None, :1],
    }
    assert joint_losses(maps, logit, batch, JOINT)["depth"].item() == pytest.approx(0.1, abs=1e-4)
    depth[0, 0, 7 * SIZE + 11] = 0  # beside the shape, where the paper wants the distance 1
    paper = dataclasses.replace(JOINT, depth_where="predicted")
    assert joint_losses(maps, logit, batch, paper)["depth"].item() == pytest.approx(0.2, abs=1e-4)
    assert joint_losses(maps, logit, batch, JOINT)["depth"].item() == 0


def test_validation_is_brute_force_and_counts_empty_clouds() -> None:
    maps, logit = random_told(5)
    logit = logit - 2.5  # few points, so that all are compared
    batch = pictures().batch([0, 3], None)
    scores = validate(lambda images: (maps, logit), batch, PARAMS)
    fixed = fixed_extrinsics(8)
    for b, name in enumerate(["chair/ell", "chair/back"]):
        seen = (logit[b] > 0).numpy()
        u, v, z = maps[b].numpy().transpose(1, 0, 2, 3)
        told = orthographic.unproject(u, v, z, fixed)[seen]
        known = arrays(name)
        truth = fuse(known["depth"], known["depth"] > 0, known["extrinsics"])
        assert len(told) <= 1024
        some = truth[np.linspace(0, len(truth) - 1, 1024).astype(int)]
        apart = np.linalg.norm(told[:, None] - some, axis=2)
        expected = 50 * (apart.min(0).mean() + apart.min(1).mean())
        assert scores["distance"][b].item() == pytest.approx(expected, rel=1e-3)
        filled = known["depth"] > 0
        iou = (seen & filled).sum() / (seen | filled).sum()
        assert scores["mask_iou"][b].item() == pytest.approx(iou)
    assert scores["empty"].tolist() == [0, 0]
    none = validate(lambda images: (maps, torch.full_like(logit, -1)), batch, PARAMS)
    assert none["empty"].tolist() == [1, 1]
    away = np.linalg.norm(some, axis=1)  # of the second shape
    expected = 50 * (away.mean() + away.min())
    assert none["distance"][1].item() == pytest.approx(expected, rel=1e-3)


def test_both_parts_learn_two_shapes() -> None:
    """Every weight takes part; the second part lowers what the first leaves at novel views."""
    torch.manual_seed(0)
    params = dataclasses.replace(PARAMS, lr=1e-2, momentum=0.1, steps=80)
    model = system.build(params)

    def steps(params: system.Params, count: int) -> list[float]:
        data, optimizer = pictures(params), system.optimizer(model.train(), params)
        values = []
        for step in range(count):
            batch = data.batch([0, 1, 2, 3, 4, 5], generator(step))
            loss = system.losses(model, batch, params, SimpleNamespace(step=step))["loss"]
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            values.append(loss.item())
        return values

    values = steps(params, 80)
    assert np.mean(values[-5:]) < 0.35 * np.mean(values[:5])
    assert all(p.grad is not None for p in model.parameters())
    batch = pictures().batch(range(6), None)
    first = validate(model.eval(), batch, params)
    assert first["mask_iou"].mean() > 0.6
    params = dataclasses.replace(JOINT, lr=1e-3, novel=4)
    novel = pictures(params).batch(range(6), generator(99))
    before = joint_losses(*model(novel["image"]), novel, params)
    steps(params, 25)
    assert all(p.grad is not None for p in model.parameters())
    after = joint_losses(*model.eval()(novel["image"]), novel, params)
    # from 535 to 508, where a logit of -1 for nothing at all keeps it above 320; depth 5.7 to 4.3
    assert after["loss"] < 0.97 * before["loss"]
    assert after["depth"] < 0.9 * before["depth"]


# --- through the command line


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six generated chairs with 32-pixel depth maps and 64-pixel pictures."""
    from crossdim_cli.main import run

    root = tmp_path_factory.mktemp("clouds") / "workspace"
    for line in [
        "shapes generate --count 6 --category chair --category table --jobs 0",
        "depths --size 32 --novel 4 --jobs 0",
        "render --size 64 --viewpoints uniform --views 3 --supersample 1 --backend numba --jobs 0",
    ]:
        assert run([*line.split(), "--workspace", str(root), "--quiet"]) == 0
    return root


SHORT = "--preset tiny --validate-every 2 --batch 4 --device cpu --threads 1 --novel 2"


def test_the_second_part_goes_on_from_the_first(workspace: Path, crossdim, tmp_path: Path) -> None:
    root = shutil.copytree(workspace, tmp_path / "workspace")
    train = f"train structure-generator {SHORT}"
    code, _, err = crossdim(f"{train} --stage joint --category chair", root)
    assert code == 3
    assert "no finished run of stage fixed of chair to go on from" in err
    assert "run: crossdim train structure-generator --stage fixed --category chair" in err
    code, out, err = crossdim(f"{train} --steps 2 --category chair", root)
    assert (code, err) == (0, "")
    assert out.startswith("runs/structure-generator/chair-tiny: 2 steps")
    assert crossdim(f"{train} --steps 2 --category table", root)[0] == 0  # newer, of others
    code, out, err = crossdim(f"{train} --steps 4 --stage joint --category chair", root)
    assert (code, err) == (0, "")
    assert out.startswith("runs/structure-generator/chair-tiny-joint: 4 steps")
    joint = find_run(root, "structure-generator", category="chair")
    first = find_run(root, "structure-generator", "chair-tiny")
    params = joint.record()["params"]
    assert (joint.name, params["start"]) == ("chair-tiny-joint", "chair-tiny")
    assert params["start_weights"] == first.best()["sha256"]
    assert params["lr"] == system.preset("tiny", {"stage": "joint"}).lr
    trained = load_model(joint)
    told = trained.system.predict(trained.model, torch.rand(1, 3, 64, 64), trained.params)
    assert told["points"].shape == (1, 3, 8 * SIZE * SIZE)
    again = f"{train} --stage joint --category chair"
    code, _, err = crossdim(f"{again} --start chair-tiny-joint", root)
    assert code == 3
    assert "run chair-tiny-joint is of stage joint and of chair" in err
    code, _, err = crossdim(f"{again} --latent 64", root)
    assert code == 3
    assert "run chair-tiny has latent 128, not 64" in err


def test_a_stopped_second_part_continues_bit_equal(
    workspace: Path, crossdim, tmp_path: Path
) -> None:
    root = shutil.copytree(workspace, tmp_path / "workspace")
    train = f"train structure-generator {SHORT} --schedule constant --category chair"
    assert crossdim(f"{train} --steps 2", root)[0] == 0
    assert crossdim(f"{train} --stage joint --steps 4 --name whole", root)[0] == 0
    assert crossdim(f"{train} --stage joint --steps 2 --name parts", root)[0] == 0
    assert crossdim(f"{train} --stage joint --steps 4 --name parts", root)[0] == 0
    models = [
        load_model(find_run(root, "structure-generator", name), "last").model.state_dict()
        for name in ("whole", "parts")
    ]
    assert all(torch.equal(models[0][name], models[1][name]) for name in models[0])
    start = load_model(find_run(root, "structure-generator", "chair-tiny")).model.state_dict()
    moved = [(models[0][n] - start[n]).abs().max() for n in start if n.endswith("weight")]
    assert 0 < max(moved) < 0.01  # four steps of 1e-3 from there, not from new weights


def test_depths_of_another_kind_are_named(workspace: Path, crossdim) -> None:
    code, _, err = crossdim("train structure-generator --preset small", workspace)
    assert code == 3
    assert "no depths at size 64" in err
    assert "run: crossdim depths --size 64" in err
    train = f"train structure-generator {SHORT}"
    code, _, err = crossdim(f"{train} --fixed-views 6 --no-flip", workspace)
    assert code == 3
    assert "run: crossdim depths --size 32 --views 6" in err
    code, _, err = crossdim(f"{train} --stage joint -n", workspace)
    assert code == 3  # no run to go on from, said before anything is trained

"""The structure generator: its network and its data."""

from __future__ import annotations

import dataclasses
import pickle
from collections.abc import Mapping

import numpy as np
import pytest
import torch
from scipy.signal import correlate2d
from torch import nn

from stages.errors import InputError, UsageError
from stages.geometry import cameras, orthographic
from stages.geometry.mesh import Mesh
from stages.systems import structure_generator as system
from stages.systems.structure_generator.data import (
    Pictures,
    fixed_extrinsics,
    mirror,
    mirrored_views,
)
from stages.systems.structure_generator.model import StructureGenerator, _Half, first_grid
from tests.depths.shapes import ell
from tests.systems.mapped import JOINT, PARAMS, PRESETS, SIZE, arrays, generator, pictures


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

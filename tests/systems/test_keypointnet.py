"""KeypointNet: sizes of its networks, what they are told and say, and how they are trained."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from stages.errors import UsageError
from stages.geometry import cameras as viewing
from stages.systems import keypointnet
from stages.systems.keypointnet import objective
from stages.systems.keypointnet.geometry import Cameras
from stages.systems.keypointnet.model import KeypointNet, moments
from tests.systems.keypoints import PARAMS, TERMS, B, batch_of, random_cameras
from tests.systems.pictured import context

PRESETS = keypointnet.PRESETS


def test_parameter_counts() -> None:
    """12 dilated convolutions with batch norms, then a plain one, of 64 and of 32 filters."""
    with torch.device("meta"):
        model = keypointnet.build(PRESETS["paper"])
    dilated = [m for m in model.keypoints.modules() if isinstance(m, torch.nn.Conv2d)][:-1]
    assert [m.dilation[0] for m in dilated] == [1, 1, 2, 4, 8, 16, 1, 2, 4, 8, 16, 1]

    def count(inside: int, filters: int, outside: int) -> int:
        convolutions = 9 * (inside * filters + 11 * filters**2 + filters * outside)
        return convolutions + 12 * 2 * filters + outside

    parts = (model.orientation, model.keypoints)
    counts = [sum(p.numel() for p in part.parameters()) for part in parts]
    assert counts == [count(3, 32, 2), count(4, 64, 20)]
    assert sum(counts) == sum(p.numel() for p in model.parameters()) == 524_470


def test_paper_preset_has_the_published_settings() -> None:
    paper = PRESETS["paper"]
    assert (paper.pixels, paper.keypoints, paper.filters) == (128, 10, 64)
    assert (paper.batch, paper.steps, paper.lr, paper.clip) == (24, 300_000, 1e-3, 5.0)
    assert (paper.separation, paper.noise) == (0.05, 0.1)


def test_annealing_cannot_end_before_it_begins() -> None:
    with pytest.raises(UsageError, match="annealing"):
        dataclasses.replace(PRESETS["tiny"], anneal_from=0.6, anneal_to=0.5)


def test_moments_of_a_distribution_that_is_one_pixel_or_even() -> None:
    logits = torch.full((1, 2, 8, 8), -1e4)
    logits[0, 0, 1, 6] = 0  # row 1, column 6
    logits[0, 1] = 0
    mean, variance = moments(logits)
    torch.testing.assert_close(mean[0], torch.tensor([[0.625, -0.625], [0.0, 0.0]]))
    one_side = np.mean(((2 * np.arange(8) + 1) / 8 - 1) ** 2)
    torch.testing.assert_close(variance[0], torch.tensor([0, 2 * one_side]).float())


@pytest.fixture
def model() -> KeypointNet:
    """Untrained, but with batch norms that have seen pictures."""
    torch.manual_seed(0)
    model = keypointnet.build(PARAMS)
    norms = [m for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0
    with torch.no_grad():
        model(torch.rand(16, 3, 128, 128))
    return model


@torch.no_grad()
def test_what_it_is_told_of_left_and_right_matters(model: KeypointNet) -> None:
    """Told nothing it goes by what it finds, which the other answer would change."""
    images = torch.rand(4, 3, 128, 128, generator=torch.Generator().manual_seed(0))
    model.eval()
    alone = model(images)
    found = model.facing(alone.ends)
    torch.testing.assert_close(model(images, found).picture, alone.picture)
    torch.testing.assert_close(model(images, 0 * found).picture, alone.picture)
    other = model(images, -found)
    torch.testing.assert_close(other.ends, alone.ends)
    assert ((other.picture - alone.picture).abs().amax((1, 2)) > 1e-5).all()
    assert KeypointNet.facing(
        torch.tensor([[[0.3, 0], [-0.1, 0]], [[-0.2, 0], [0.4, 0]]])
    ).tolist() == [1, -1]


def test_the_front_of_a_mirrored_view_is_on_the_other_side() -> None:
    """Cameras at opposite azimuths: the pictures of a symmetric shape are mirror images, and which
    it is, is what keypoints are told.
    """
    azimuth = np.array([20.0, 100.0, 250.0])
    for sign, expected in ((1, [-1, -1, 1]), (-1, [1, 1, -1])):
        viewpoints = np.column_stack([sign * azimuth, [30, -10, 60], np.zeros(3), np.full(3, 2)])
        matrices = torch.from_numpy(viewing.extrinsics(viewpoints))
        cameras = Cameras(matrices[:, :, :3], matrices[:, :, 3], torch.ones(3, 3).double())
        assert KeypointNet.facing(objective.true_ends(cameras)).tolist() == expected


def test_every_weight_takes_part_and_nothing_else_is_random(model: KeypointNet) -> None:
    cameras = Cameras(*(part.float() for part in random_cameras(2 * B)))
    images = torch.rand(2 * B, 3, 128, 128, generator=torch.Generator().manual_seed(0))
    batch = {"image": images, **batch_of(cameras)}
    losses = keypointnet.losses(model, batch, PARAMS, context())
    losses["loss"].backward()
    missing = [n for n, p in model.named_parameters() if p.grad is None]
    assert not missing
    assert set(losses) == {"loss", *TERMS}
    torch.manual_seed(1)
    again = keypointnet.losses(model, batch, PARAMS, context())
    other = keypointnet.losses(model, batch, PARAMS, context(seed=1))
    assert again["loss"] == losses["loss"] != other["loss"]


def test_gradients_are_clipped_as_a_whole(model: KeypointNet) -> None:
    optimizer = keypointnet.optimizer(model, PARAMS)
    for parameter in model.parameters():
        parameter.grad = torch.full_like(parameter, 3.0)
    optimizer.step()
    norm = torch.stack([p.grad.norm() for p in model.parameters()]).norm()
    assert norm.item() == pytest.approx(PARAMS.clip, rel=1e-4)


def test_predictions_are_keypoints_about_the_centre(model: KeypointNet) -> None:
    images = torch.rand(3, 3, 128, 128, generator=torch.Generator().manual_seed(0))
    model.eval()
    told = keypointnet.predict(model, images, PARAMS)
    assert {n: tuple(v.shape) for n, v in told.items()} == {
        "keypoints": (3, 4, 3),
        "picture": (3, 4, 2),
    }
    # seen by the project's own camera they are where the picture has them
    front = viewing.extrinsics(np.array([0.0, 0.0, 0.0, 2.0]))
    world = told["keypoints"].double().numpy() @ front[:, :3]
    lens = viewing.intrinsics(1)
    for points, picture in zip(world, told["picture"]):
        np.testing.assert_allclose(viewing.project(points, front, lens)[:, :2], picture, atol=1e-5)
    found = keypointnet.relative_rotation(told["keypoints"], told["keypoints"])
    torch.testing.assert_close(found, torch.eye(3).expand(3, 3, 3), atol=1e-4, rtol=0)


@pytest.mark.parametrize("filters", [16, 32, 64])
def test_bfloat16_gradients_read_no_memory_that_was_not_written(filters: int) -> None:
    """With 24 filters they do, and are NaN wherever what lay there was."""
    torch.manual_seed(0)
    params = dataclasses.replace(PARAMS, filters=filters, pixels=32)
    model = keypointnet.build(params).to(memory_format=torch.channels_last)
    images = torch.rand(4, 3, 32, 32).contiguous(memory_format=torch.channels_last)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        seen = model(images)
    total = seen.picture.square().sum() + seen.depth.sum() + seen.ends.square().sum()
    # blocks of memory with NaN in them, handed back just before they are wanted
    sizes = (1000, 4096, 10_000, 50_000, 100_000, 400_000)
    blocks = [torch.full((size,), torch.nan) for size in sizes for _ in range(8)]
    del blocks
    total.backward()
    assert all(p.grad.isfinite().all() for p in model.parameters())

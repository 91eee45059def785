"""The anchor of the structure, the fine level, sizes of presets."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from stages.skeletons.template import names_of
from stages.store.workspace import Workspace
from stages.systems import interpreter
from stages.systems.interpreter.fine import SIGMA, UNIT, WINDOW, FineLevel, fine_loss, refined
from stages.systems.interpreter.heatmaps import draw
from stages.systems.interpreter.model import template_of
from stages.systems.interpreter.objective import anchor_loss
from stages.systems.interpreter.params import PRESETS
from stages.train.context import Context


def complete(tmp_path, name="chair", preset="tiny", **changes):
    params = dataclasses.replace(PRESETS[preset], **changes)
    return interpreter.complete(params, Workspace(tmp_path), [name])


def random_batch(params, count=4, seed=0):
    draws = torch.Generator().manual_seed(seed)
    keypoints = len(template_of(params).keypoints)
    places = torch.rand(count, keypoints, 2, generator=draws) * torch.tensor([200.0, 280]) + 20
    there = torch.ones(count, keypoints, dtype=torch.bool)
    image = torch.rand(count, 3, 80, 60, generator=draws)
    return {"image": image, "keypoints": places, "known": there, "present": there}


def test_compact_is_below_16_mb_at_half_precision(tmp_path):
    """Of every template, after step joint, buffers of the normalisation included."""
    for name in names_of(Workspace(tmp_path)):
        model = interpreter.build(complete(tmp_path, name, "compact", step="joint"))
        numbers = sum(value.numel() for value in model.state_dict().values())
        assert 2 * numbers < 16e6, name


def test_anchor_loss_is_of_proportions():
    draws = torch.Generator().manual_seed(0)
    points = torch.randn(3, 10, 3, generator=draws, dtype=torch.float64)
    assert anchor_loss(3 * points + 7, points) < 1e-20
    other = torch.randn(3, 10, 3, generator=draws, dtype=torch.float64)
    expected = []
    for a, b in zip(points.numpy(), other.numpy()):
        a, b = ((x - x.mean(0)) / np.linalg.norm(np.ptp(x, axis=0)) for x in (a, b))
        expected.append(np.mean(np.sum((a - b) ** 2, 1)) / 0.1**2)
    assert anchor_loss(points, other).item() == pytest.approx(np.mean(expected))


def test_anchor_holds_the_structure_of_the_interpreter_that_was_kept(tmp_path):
    """It is 0 at the start; with it five steps move the structure a small part as far."""
    moved = {}
    for weight in (0.0, 100.0):
        params = complete(
            tmp_path, step="joint", anchor_weight=weight, synthetic_weight=0.0, heatmap_weight=0.0
        )
        torch.manual_seed(0)
        model = interpreter.build(params)
        model.keep_interpreter()
        assert not [name for name in model.state_dict() if name.startswith("kept")]
        batch = random_batch(params)
        optimizer = torch.optim.Adam(model.interpreter.parameters(), lr=1e-3)
        start = model(batch["image"])
        before = model.projection(model.interpret_as_kept(start["heatmaps"])).points.detach()
        assert torch.equal(before, model.projection(start["vector"]).points)
        for step in range(5):
            context = Context(step, 5, torch.Generator().manual_seed(step))
            found = interpreter.losses(model, batch, params, context)
            if weight and not step:
                assert found["anchor"] == 0
            optimizer.zero_grad()
            found["loss"].backward()
            optimizer.step()
        after = model.projection(model(batch["image"])["vector"]).points
        moved[weight] = anchor_loss(after, before).item()
    assert moved[100.0] < 0.3 * moved[0.0]


def test_fine_level_learns_where_dots_are(tmp_path):
    """Each keypoint is a dot of its own colour: the network beats the place it starts from."""
    torch.manual_seed(0)
    draws = torch.Generator().manual_seed(1)
    count, colours = 8, torch.tensor([[1.0, 0, 0], [0, 1.0, 0]])
    truth = torch.rand(count, 2, 2, generator=draws) * 140 + 50
    dots = draw(truth * torch.tensor([8 * 30 / 240, 8 * 40 / 320]), torch.ones(count, 2), 1.0)
    big = torch.nn.functional.interpolate(dots, (80, 60), mode="bilinear")  # (B, 2, h, w)
    image = (big[:, :, None] * colours[:, :, None, None]).sum(1)
    level = FineLevel(2, 8, 0.1)
    optimizer = torch.optim.Adam(level.parameters(), lr=1e-2)
    there = torch.ones(count, 2, dtype=torch.bool)
    for _ in range(60):
        places = truth + 6 * torch.randn(truth.shape, generator=draws)
        loss = fine_loss(level(image, places), places, truth, there)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    places = truth + 6 * torch.randn(truth.shape, generator=draws)
    told = refined(level(image, places), places)
    before, after = ((x - truth).norm(dim=-1).mean() for x in (places, told))
    assert after < 0.4 * before


def test_fine_maps_are_read_where_they_were_drawn():
    """A perfect map gives the keypoint back, and no loss; a blank one the loss of 1."""
    truth = torch.tensor([[[100.0, 90.0], [30.0, 200.0]]])
    places = truth + torch.tensor([[[5.0, -7.0], [0.3, 9.0]]])
    index = torch.arange(WINDOW) - (WINDOW - 1) / 2
    maps = torch.zeros(1, 2, WINDOW, WINDOW)
    for n in range(2):
        x, y = ((truth - places)[0, n] / UNIT).tolist()
        away = (index[None, :] - x) ** 2 + (index[:, None] - y) ** 2
        maps[0, n] = torch.exp(-away / (2 * SIGMA**2))
    there = torch.ones(1, 2, dtype=torch.bool)
    assert fine_loss(maps, places, truth, there) < 1e-10
    # a Gaussian's square sums to pi sigma^2, but for what lies beyond the window
    assert fine_loss(0 * maps, places, truth, there).item() == pytest.approx(1, abs=0.02)
    assert fine_loss(0 * maps, places, truth, ~there) == 0
    # 0.3 of a cell: the window of 3 x 3 cuts a Gaussian that is not in its middle
    assert (refined(maps, places) - truth).abs().max() < 0.3 * UNIT

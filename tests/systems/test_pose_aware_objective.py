"""The losses against the printed equations, corrected, written out naively."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from stages.geometry import rotations
from stages.systems.pose_aware import objective
from stages.systems.pose_aware.model import Codes
from tests.systems import toy


def uniform(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def codes(azimuth: torch.Tensor, elevation: torch.Tensor, scores: torch.Tensor) -> Codes:
    nothing = torch.zeros(len(azimuth), 1)
    return Codes(nothing, nothing, nothing, azimuth, elevation, scores)


@pytest.fixture
def scene() -> tuple[torch.Tensor, torch.Tensor]:
    """True voxels (2, 32, 32, 32) and masks (2, 48, 48), as the data give them."""
    from stages.systems.pose_aware.data import ShapeViews

    batch = ShapeViews(toy.load, toy.IDS, toy.PARAMS).sample_batch(["toy/0", "toy/1"], [0, 1])
    return batch["voxels"], batch["mask"]


def test_a_ray_stops_somewhere_or_passes():
    stops, passes = objective.stopping_probabilities(uniform(5, 4, 64))
    np.testing.assert_allclose(stops.sum(-1) + passes, 1, atol=1e-12)


def test_stopping_probabilities_are_the_naive_products():
    occupancy = uniform(3, 9)
    stops, passes = objective.stopping_probabilities(occupancy)
    for ray in range(3):
        y = occupancy[ray].tolist()
        for i in range(9):
            assert stops[ray, i].item() == pytest.approx(y[i] * math.prod(1 - v for v in y[:i]))
        assert passes[ray].item() == pytest.approx(math.prod(1 - v for v in y))


def test_ray_consistency_is_equation_4_summed_term_by_term():
    occupancy, mask = uniform(2, 6, 6, 20), (uniform(2, 6, 6, seed=1) > 0.5).double()
    stops, passes = objective.stopping_probabilities(occupancy)
    total = torch.zeros(2, dtype=torch.float64)
    for v in range(6):
        for u in range(6):
            for i in range(20):
                total += (1 - mask[:, v, u]) * stops[:, v, u, i]
            total += mask[:, v, u] * passes[:, v, u]
    np.testing.assert_allclose(objective.ray_consistency(passes, mask), total / 36, atol=1e-13)


def test_iou_loss_of_equal_binary_arrays_is_nothing():
    mask = (uniform(4, 8, 8) > 0.5).double()
    assert (objective.iou_loss(mask, mask, axes=2) == 0).all()
    assert objective.iou_loss(torch.zeros(1, 8, 8), torch.zeros(1, 8, 8), axes=2) == 0
    # Disjoint: IoU 0, exp(1) - 1; as printed, a perfect match would cost exp(1 - 1/3) - 1 = 0.948.
    np.testing.assert_allclose(objective.iou_loss(mask, 1 - mask, axes=2), math.e - 1)


def test_iou_loss_is_that_of_sets():
    first, second = uniform(3, 5, 5, 5) > 0.4, uniform(3, 5, 5, 5, seed=1) > 0.6
    found = objective.iou_loss(first.double(), second.double(), axes=3)
    for a, b, loss in zip(first, second, found):
        a, b = ({tuple(place) for place in grid.nonzero().tolist()} for grid in (a, b))
        iou = len(a & b) / len(a | b)
        assert loss.item() == pytest.approx(math.exp(1 - iou) - 1)


def test_voxel_cross_entropy_is_equation_8():
    logits, truth = uniform(2, 3, 3, 3) * 8 - 4, (uniform(2, 3, 3, 3, seed=1) > 0.7).double()
    total = 0.0
    for value, t in zip(logits.flatten().tolist(), truth.flatten().tolist()):
        y = 1 / (1 + math.exp(-value))
        total += -3 * t * math.log(y) - (1 - t) * math.log(1 - y)
    found = objective.voxel_cross_entropy(logits, truth, 3.0)
    assert found.item() == pytest.approx(total / 54)
    saturated = torch.tensor([200.0, -200.0])
    assert torch.isfinite(objective.voxel_cross_entropy(saturated, 1 - saturated.sign(), 3.0))


def test_kl_divergence_is_that_of_torch_distributions():
    mean, log_variance = uniform(4, 6) * 2 - 1, uniform(4, 6, seed=1) * 3 - 2
    normal = torch.distributions.Normal
    exact = torch.distributions.kl_divergence(
        normal(mean, (log_variance / 2).exp()),
        normal(torch.zeros_like(mean), torch.ones_like(mean)),
    )
    found = objective.kl_divergence(mean, log_variance)
    assert found.item() == pytest.approx(exact.mean().item())


@pytest.mark.parametrize("hypotheses", [1, 4])
def test_pose_gradients_are_finite_differences(scene, hypotheses):
    """Equation 6 by azimuth and elevation, in float64, weights of the hypotheses held fixed."""
    voxels, mask = (t.double() for t in scene)
    params = dataclasses.replace(toy.PARAMS, pose_hypotheses=hypotheses)
    angles = (uniform(2, hypotheses, 2) * 2 - 0.7).requires_grad_()
    scores = torch.zeros(2, hypotheses, dtype=torch.float64)

    def each(angles: torch.Tensor) -> torch.Tensor:
        ray, projection = objective.self_consistency(
            codes(angles[..., 0], angles[..., 1], scores), voxels, mask, params
        )
        return (10 * ray + 0.25 * projection) / 2, projection

    told = codes(angles[..., 0], angles[..., 1], scores)
    loss = objective.pose_losses(told, voxels, mask, params)["consistency"]
    (gradient,) = torch.autograd.grad(loss, angles)
    with torch.no_grad():
        weight = (-each(angles)[1] / params.temperature).softmax(1)
        step = 1e-7
        for index in np.ndindex(2, hypotheses, 2):
            shift = torch.zeros_like(angles)
            shift[index] = step
            change = each(angles + shift)[0] - each(angles - shift)[0]
            slope = (weight * change).sum(1).mean() / (2 * step)
            # A sample that crosses a voxel border within the step has two slopes: O(step).
            assert gradient[index].item() == pytest.approx(slope.item(), rel=1e-4, abs=1e-6)


def test_true_pose_is_the_best_of_many(scene):
    """The teacher itself: over all azimuths, the loss is least at the true one."""
    voxels, mask = scene
    truth = torch.stack([torch.from_numpy(toy.load(f"toy/{i}")["viewpoint"][i]) for i in (0, 1)])
    azimuth = truth[:, :1].deg2rad() + torch.arange(24) * (2 * math.pi / 24)
    elevation = truth[:, 1:2].deg2rad().expand_as(azimuth)
    params = dataclasses.replace(toy.PARAMS, ray_pixels=48, depth_samples=64)
    for loss in objective.self_consistency(
        codes(azimuth, elevation, azimuth * 0), voxels, mask, params
    ):
        assert loss.argmin(1).tolist() == [0, 0]


def test_scores_learn_the_weights_of_the_hypotheses(scene):
    """The choice is the cross entropy to softmax(-L_proj / T), and reaches the scores alone."""
    voxels, mask = scene
    azimuth = (torch.arange(4) * math.pi / 2).expand(2, -1).clone().requires_grad_()
    elevation = torch.full((2, 4), 0.3)
    scores = torch.randn(2, 4, generator=torch.Generator().manual_seed(0)).requires_grad_()
    told = codes(azimuth, elevation, scores)
    choice = objective.pose_losses(told, voxels, mask, toy.PARAMS)["choice"]
    by_scores, by_azimuth = torch.autograd.grad(choice, (scores, azimuth), allow_unused=True)
    assert by_azimuth is None
    projection = objective.self_consistency(told, voxels, mask, toy.PARAMS)[1]
    weight = (-projection / toy.PARAMS.temperature).softmax(1)
    expected = (scores.softmax(1) - weight) / 2  # cross entropy: softmax - target, mean over 2
    np.testing.assert_allclose(by_scores, expected.detach(), atol=1e-6)


def test_opacity_thins_the_projection(scene):
    voxels, mask = scene
    pose = codes(torch.zeros(2, 1), torch.zeros(2, 1), torch.zeros(2, 1))
    rotation = rotations.camera(pose.azimuth, pose.elevation)
    assert rotation.shape == (2, 1, 3, 3)
    empty = torch.zeros_like(mask)  # against an empty mask, L_ray is the projected area
    areas = [
        objective.self_consistency(
            pose, voxels, empty, dataclasses.replace(toy.PARAMS, opacity=opacity)
        )[0].mean()
        for opacity in (0.0, 0.25, 0.5, 1.0)
    ]
    assert areas == sorted(areas)
    assert areas[0] == 0
    assert areas[1] < 0.95 * areas[3]

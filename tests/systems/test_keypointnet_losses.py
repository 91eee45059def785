"""KeypointNet: its losses against plain formulas, and what true keypoints cost."""

from __future__ import annotations

import dataclasses
import itertools
import math

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from stages.systems import keypointnet
from stages.systems.keypointnet import objective
from stages.systems.keypointnet.model import Seen
from tests.systems.keypoints import (
    PARAMS,
    TERMS,
    B,
    K,
    S,
    batch_of,
    keypoints,
    random_cameras,
    true_seen,
    wrong_seen,
)

PRESETS = keypointnet.PRESETS


def test_true_keypoints_cost_nothing() -> None:
    """Views of shapes stretched differently, too."""
    cameras = random_cameras(2 * B)
    parts = objective.terms(true_seen(cameras, keypoints()), batch_of(cameras), PARAMS)
    assert set(parts) == {
        name.removesuffix("_weight")
        for name in (f.name for f in dataclasses.fields(PARAMS))
        if name.endswith("_weight")
    }
    for name, part in parts.items():
        assert part.shape == (B,), name
        assert part.abs().max() < 1e-6, name  # radians: the root of rounding errors


def naive(seen: Seen, batch: dict[str, torch.Tensor]) -> dict[str, np.ndarray]:
    """Every loss of every pair, number by number."""
    out = {name: np.zeros(B) for name in TERMS}
    focal, middle = 3.75, (2 * np.arange(S) + 1) / S - 1
    rotation, translation, scale = (batch[n].numpy() for n in ("rotation", "translation", "scale"))
    picture, depth, ends = (np.asarray(part) for part in (seen.picture, seen.depth, seen.ends))
    for pair in range(B):
        both = (pair, pair + B)
        cams = []
        for view, other in (both, both[::-1]):
            points = np.array(
                [[x * z / focal, y * z / focal, z] for (x, y), z in zip(picture[view], depth[view])]
            )
            cams.append(points)
            for k, point in enumerate(points):
                world = np.linalg.inv(rotation[view]) @ (point - translation[view]) / scale[view]
                there = rotation[other] @ (scale[other] * world) + translation[other]
                shift = focal * there[:2] / there[2] - picture[other, k]
                out["consistency"][pair] += (shift @ shift) / K
            for a, b in itertools.permutations(points * 2.5, 2):
                gap = ((a - b) ** 2).sum()
                out["separation"][pair] += max(0, PARAMS.separation - gap) / K / 2
            for logits in seen.logits[view].numpy():
                share = np.exp(logits) / np.exp(logits).sum()
                on = share[S // 4 : 3 * S // 4, S // 4 : 3 * S // 4].sum()
                out["silhouette"][pair] -= np.log(on) / K
                mean = [(share * middle).sum(), (share * middle[:, None]).sum()]
                for row, column in itertools.product(range(S), repeat=2):
                    away = (middle[column] - mean[0]) ** 2 + (middle[row] - mean[1]) ** 2
                    out["variance"][pair] += share[row, column] * away / K
            for end, sign in zip(ends[view], (-1, 1)):  # the front is -y
                tip = rotation[view] @ (scale[view] * [0, sign / 2.5, 0]) + translation[view]
                out["orientation"][pair] += ((end - focal * tip[:2] / tip[2]) ** 2).sum() / 4
        world = (cams[1] - translation[both[1]]) @ rotation[both[1]] / scale[both[1]]
        second = (world * scale[both[0]]) @ rotation[both[1]].T
        first = cams[0] - cams[0].mean(0)
        found = Rotation.align_vectors(first, second - second.mean(0))[0].as_matrix()
        truth = rotation[both[0]] @ rotation[both[1]].T
        chordal = np.linalg.norm(found - truth)
        out["pose"][pair] = 2 * np.arcsin(chordal / math.sqrt(8))
    return out


def test_losses_are_their_formulas() -> None:
    cameras = random_cameras(2 * B, seed=7)
    seen, batch = wrong_seen(cameras), batch_of(cameras)
    parts = objective.terms(seen, batch, PARAMS)
    for name, expected in naive(seen, batch).items():
        assert expected.min() > 0
        np.testing.assert_allclose(parts[name], expected, rtol=1e-9, err_msg=name)
    weights = {"pose": 0.2, "variance": 0.5}  # of the published code; the others are 1
    total = sum(weights.get(name, 1.0) * part for name, part in parts.items())
    torch.testing.assert_close(objective.weighted(parts, PRESETS["paper"]), total)


def test_noise_moves_the_pose_alone() -> None:
    cameras = random_cameras(2 * B)
    seen, batch = true_seen(cameras, keypoints()), batch_of(cameras)
    noise = 0.05 * torch.randn(2 * B, K, 3, generator=torch.Generator().manual_seed(0)).double()
    plain, noisy = (objective.terms(seen, batch, PARAMS, n) for n in (None, noise))
    assert (noisy["pose"] > 0.01).all()
    for name in set(plain) - {"pose"}:
        torch.testing.assert_close(plain[name], noisy[name])


def test_keypoints_far_outside_and_empty_pictures_have_finite_gradients() -> None:
    """Logits so far apart that probabilities are 0 on the shape, masks that show nothing."""
    cameras = random_cameras(2 * B)
    logits = torch.zeros(2 * B, K, S, S, dtype=torch.float64)
    logits[:, :, 0, 0] = 5000.0
    logits.requires_grad_()
    mask = batch_of(cameras)["mask"]
    mask[0] = 0
    cost = objective.silhouette(logits, mask)
    # the first pair's first view shows nothing
    torch.testing.assert_close(cost, 5000.0 * torch.tensor([1.0, 2, 2]).double(), rtol=1e-2, atol=0)
    cost.sum().backward()
    assert logits.grad.isfinite().all()
    assert logits.grad[1, 0, 0, 0] > 0  # away from there


def test_orientations_are_told_less_and_less() -> None:
    paper = PRESETS["paper"]
    shares = {0: 1, 119_999: 1, 120_000: 1, 135_000: 0.5, 150_000: 0, 299_999: 0}  # appendix B.2
    assert {s: pytest.approx(objective.told_share(paper, s)) for s in shares} == shares
    never = dataclasses.replace(paper, anneal_from=0.0, anneal_to=0.0)
    assert objective.told_share(never, 0) == 0
    at_once = dataclasses.replace(paper, anneal_from=0.5, anneal_to=0.5)
    assert [objective.told_share(at_once, s) for s in (149_999, 150_000)] == [1, 0]

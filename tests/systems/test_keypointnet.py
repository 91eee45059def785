"""KeypointNet: Procrustes against SciPy, its losses against plain formulas, what true keypoints
cost, and what the networks look like.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from stages.errors import UsageError
from stages.geometry import cameras as viewing
from stages.geometry.rotations import geodesic
from stages.systems import keypointnet
from stages.systems.keypointnet import objective
from stages.systems.keypointnet.geometry import (
    UNIT,
    Cameras,
    backproject,
    project,
    same_proportions,
)
from stages.systems.keypointnet.model import KeypointNet, Seen, moments
from stages.systems.keypointnet.procrustes import nearest_rotation, relative_rotation

PRESETS = keypointnet.PRESETS
PARAMS = dataclasses.replace(PRESETS["tiny"], pixels=16, filters=8, keypoints=4, precision="fp32")
B, K, S = 3, 6, 16


def context(step: int = 0, seed: int = 0) -> SimpleNamespace:
    generator = torch.Generator().manual_seed(seed)
    return SimpleNamespace(step=step, steps=1, training=True, generator=generator)


def random_cameras(count: int, seed: int = 0, stretch: float = 1.25) -> Cameras:
    """Cameras from everywhere, at distances 1.8 to 2.5, each with its own stretch."""
    rng = np.random.default_rng(seed)
    viewpoints = np.column_stack([rng.uniform(-180, 180, (count, 3)), rng.uniform(1.8, 2.5, count)])
    matrices = viewing.extrinsics(viewpoints)
    scale = stretch ** rng.uniform(-1, 1, (count, 3))
    parts = matrices[:, :, :3], matrices[:, :, 3], scale
    return Cameras(*(torch.from_numpy(np.ascontiguousarray(part)) for part in parts))


def keypoints(count: int = K, seed: int = 1) -> torch.Tensor:
    """(K, 3) float64 on a sphere of radius 0.4, far from each other."""
    rng = np.random.default_rng(seed)
    while True:
        found = rng.normal(size=(count, 3))
        found *= 0.4 / np.linalg.norm(found, axis=1, keepdims=True)
        gaps = [np.linalg.norm(a - b) for a, b in itertools.combinations(found, 2)]
        if min(gaps) * UNIT > 0.5:
            return torch.from_numpy(found)


def true_seen(cameras: Cameras, points: torch.Tensor) -> Seen:
    """What networks without error see, each keypoint in the very middle of a pixel's mask."""
    inside = cameras.see(points)
    logits = torch.full((len(inside), len(points), S, S), -60.0, dtype=inside.dtype)
    logits[:, :, S // 2, S // 2] = 60.0
    return Seen(
        picture=project(inside),
        depth=inside[..., 2],
        variance=moments(logits)[1],
        logits=logits,
        ends=objective.true_ends(cameras),
    )


def batch_of(cameras: Cameras) -> dict[str, torch.Tensor]:
    mask = torch.zeros(len(cameras.rotation), 1, S, S)
    mask[:, :, S // 4 : 3 * S // 4, S // 4 : 3 * S // 4] = 1
    return {"mask": mask, **cameras._asdict()}


# --- Procrustes


@pytest.mark.parametrize("mirrored", [False, True])
def test_rotation_between_sets_is_scipys(mirrored: bool) -> None:
    """Of sets with much noise, and of mirrored ones, whose best orthogonal map is a reflection."""
    rng = np.random.default_rng(0)
    turns = Rotation.random(20, random_state=1).as_matrix()
    second = rng.normal(size=(20, 7, 3))
    first = second @ turns.transpose(0, 2, 1) + 0.3 * rng.normal(size=second.shape)
    if mirrored:
        first = first * [-1, 1, 1]
    ours = relative_rotation(
        torch.from_numpy(np.add(first, [1, 2, 3])), torch.from_numpy(second - [4, 0, 1])
    )
    for a, b, found in zip(first, second, ours.numpy()):
        expected, _ = Rotation.align_vectors(a - a.mean(0), b - b.mean(0))
        np.testing.assert_allclose(found, expected.as_matrix(), atol=1e-10)


def test_rotation_between_views_takes_the_second_camera_to_the_first() -> None:
    cameras = random_cameras(2 * B, stretch=1.0)
    one, two = cameras.halves()
    points = cameras.see(keypoints())
    found = relative_rotation(*points.chunk(2))
    torch.testing.assert_close(found, one.rotation @ two.rotation.mT, atol=1e-12, rtol=0)


@pytest.mark.parametrize("mirrored", [False, True])
def test_gradient_of_the_rotation_is_that_of_differences(mirrored: bool) -> None:
    matrices = torch.randn(5, 3, 3, generator=torch.Generator().manual_seed(3)).double()
    flip = torch.linalg.det(matrices) < 0 if not mirrored else torch.linalg.det(matrices) > 0
    matrices = torch.where(flip[:, None, None], -matrices, matrices).requires_grad_()
    weight = torch.randn(5, 3, 3, generator=torch.Generator().manual_seed(4)).double()
    # the damping of undetermined turns is 1e-6 of the gradient where they are determined
    assert torch.autograd.gradcheck(
        lambda m: (nearest_rotation(m) * weight).sum(), matrices, atol=1e-4, rtol=1e-4
    )


LINE = torch.linspace(-1, 1, K)[:, None] * torch.tensor([0.2, 0.1, -0.3])
DEGENERATE = {
    "line": LINE,
    "point": torch.zeros(K, 3),
    "plane": torch.randn(K, 3, generator=torch.Generator().manual_seed(0))
    * torch.tensor([1, 1, 0]),
    "mirrored": keypoints().float() * torch.tensor([-1.0, 1, 1]),
    "equal": keypoints().float(),
}


@pytest.mark.parametrize("kind", DEGENERATE)
def test_gradient_is_finite_for_any_sets(kind: str) -> None:
    """Also for those whose rotation is not determined, and for one without error."""
    first = DEGENERATE[kind].clone()[None].requires_grad_()
    second = keypoints().float()[None].requires_grad_()
    geodesic(relative_rotation(first, second), torch.eye(3)[None]).sum().backward()
    for points in (first, second):
        assert points.grad.isfinite().all()
        assert points.grad.abs().max() < 1e4
    both = DEGENERATE[kind].clone()[None].requires_grad_()
    geodesic(relative_rotation(both, both), torch.eye(3)[None]).sum().backward()
    assert both.grad.isfinite().all()


def test_rotation_of_keypoints_that_are_not_finite_is_nan() -> None:
    """So that training names the loss that is not finite; SVD would fail."""
    points = keypoints().repeat(2, 1, 1)
    broken = points.clone()
    broken[1, 0, 0] = torch.nan
    found = relative_rotation(broken, points)
    assert found[1].isnan().all()
    torch.testing.assert_close(found[0], torch.eye(3).double(), atol=1e-12, rtol=0)


# --- geometry


def test_points_are_where_the_cameras_of_the_project_see_them() -> None:
    viewpoint = np.array([30.0, 20.0, 10.0, 2.0])
    matrix, lens = viewing.extrinsics(viewpoint), viewing.intrinsics(128)
    points = keypoints()
    cameras = Cameras(
        torch.from_numpy(matrix[None, :, :3].copy()),
        torch.from_numpy(matrix[None, :, 3].copy()),
        torch.ones(1, 3, dtype=torch.float64),
    )
    inside = cameras.see(points)
    expected = viewing.project(points.numpy(), matrix, lens)
    np.testing.assert_allclose((project(inside)[0] + 1) * 64, expected[:, :2], atol=1e-10)
    np.testing.assert_allclose(inside[0, :, 2], expected[:, 2], atol=1e-12)
    back = backproject(project(inside), inside[..., 2])
    torch.testing.assert_close(back, inside, atol=1e-12, rtol=0)
    torch.testing.assert_close(cameras.locate(inside)[0], points, atol=1e-12, rtol=0)


def test_a_stretched_view_is_brought_to_other_proportions() -> None:
    cameras = random_cameras(2 * B)
    one, two = cameras.halves()
    points = keypoints()
    moved = same_proportions(two.see(points), two, one.scale)
    expected = (points * one.scale[:, None]) @ two.rotation.mT + two.translation[:, None]
    torch.testing.assert_close(moved, expected, atol=1e-12, rtol=0)


# --- losses


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


def wrong_seen(cameras: Cameras, seed: int = 5) -> Seen:
    draw = torch.Generator().manual_seed(seed)
    count = len(cameras.rotation)
    logits = torch.randn(count, K, S, S, generator=draw).double()
    picture, variance = moments(logits)
    noise = torch.rand(count, K, 2, generator=draw).double()
    return Seen(
        picture=picture + 0.3 * noise,
        depth=2 + 0.05 * torch.randn(count, K, generator=draw).double(),
        variance=variance,
        logits=logits,
        ends=torch.randn(count, 2, 2, generator=draw).double(),
    )


def naive(seen: Seen, batch: dict[str, torch.Tensor]) -> dict[str, np.ndarray]:
    """Every loss of every pair, number by number."""
    out = {name: np.zeros(B) for name in PARAMS_OF_TERMS}
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


PARAMS_OF_TERMS = ("pose", "consistency", "separation", "silhouette", "variance", "orientation")


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


# --- networks


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
    assert set(losses) == {"loss", *PARAMS_OF_TERMS}
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

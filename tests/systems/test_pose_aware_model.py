"""The network: sizes, axes, the pose head, and who receives whose gradient."""

import dataclasses
import math
from types import SimpleNamespace

import pytest
import torch

from stages.errors import UsageError
from stages.systems import pose_aware
from stages.systems.pose_aware import objective
from stages.systems.pose_aware.data import ShapeViews
from stages.systems.pose_aware.model import (
    Codes,
    PoseAware,
    VoxelDecoder,
    best_pose,
    scale_gradient,
)
from stages.systems.pose_aware.params import Params
from tests.systems import toy

PRESETS = pose_aware.PRESETS


def context(seed: int = 0) -> SimpleNamespace:
    return SimpleNamespace(
        step=0, steps=1, training=True, generator=torch.Generator().manual_seed(seed)
    )


@pytest.fixture
def model() -> PoseAware:
    torch.manual_seed(0)
    return pose_aware.build(toy.PARAMS)


@pytest.fixture
def batch() -> dict:
    return ShapeViews(toy.load, toy.IDS, toy.PARAMS).batch([0, 6, 12, 18], None)


@pytest.mark.parametrize(
    ("preset", "encoder", "voxels", "mask"),
    [
        ("tiny", 2_439_808, 963_840, 391_993),
        ("small", 4_770_888, 3_629_152, 957_297),
        ("cutout", 4_770_888, 3_629_152, 957_297),  # goes on from a run of small
        ("paper", 19_692_692, 22_436_064, 4_703_585),
    ],
)
def test_parameter_counts(preset, encoder, voxels, mask):
    with torch.device("meta"):
        model = PoseAware(PRESETS[preset])
    counts = [sum(p.numel() for p in part.parameters()) for part in model.children()]
    assert counts == [encoder, voxels, mask]


def test_paper_preset_has_the_published_sizes():
    paper = PRESETS["paper"]
    assert (paper.shape_code, paper.pose_code) == (512, 16)
    assert (paper.positive_weight, paper.ray_weight) == (3, 10)
    assert (paper.projection_weight, paper.kl_weight) == (0.25, 0.02)
    assert (paper.ray_pixels, paper.depth_samples, paper.lr) == (48, 64, 2e-4)
    assert (paper.pose_hypotheses, paper.opacity) == (1, 1)


@pytest.mark.parametrize("preset", ["tiny", "paper"])
def test_shapes_of_every_stage(preset):
    params = PRESETS[preset]
    sizes: dict[str, list] = {"features": [], "voxels": [], "mask": []}
    with torch.device("meta"):
        model = PoseAware(params)

        def record(name: str):
            return lambda module, inputs, output: sizes[name].append(tuple(output.shape[1:]))

        for layer in model.encoder.features:
            layer.register_forward_hook(record("features"))
        for layer in (*model.voxels.up, model.voxels.columns):
            layer.register_forward_hook(record("voxels"))
        for layer in model.mask.up:
            layer.register_forward_hook(record("mask"))
        codes, voxels, mask = model(torch.empty(2, 3, 64, 64), torch.empty(2, 512))
    widths = params.encoder_widths
    blocks = [(w, 32 >> i, 32 >> i) for i, w in enumerate(widths)]
    assert sizes["features"][:3] == [blocks[0]] * 3  # stem
    assert sizes["features"][3:] == [b for b in blocks for _ in range(params.encoder_blocks)]
    assert sizes["voxels"] == [
        *((w, 2 << i, 2 << i) for i, w in enumerate(params.voxel_widths[1:])),
        (32, 32, 32),
    ]
    assert sizes["mask"] == [(w, 6 << i, 6 << i) for i, w in enumerate(params.mask_widths[1:])]
    assert (codes.mean.shape, codes.log_variance.shape) == ((2, 512), (2, 512))
    assert codes.pose.shape == (2, 16)
    assert codes.azimuth.shape == codes.scores.shape == (2, params.pose_hypotheses)
    assert (voxels.shape, mask.shape) == ((2, 32, 32, 32), (2, 48, 48))


def test_columns_of_voxels_are_channels():
    """The last layer's output channel k is the layer z = k of the grid; rows are x, columns y."""
    decoder = VoxelDecoder(toy.PARAMS)
    decoder.columns = torch.nn.Identity()
    decoder.up = torch.nn.Identity()
    decoder.start = torch.nn.Identity()
    marked = torch.zeros(1, 32, 32, 32)
    marked[0, 5, 6, 7] = 1  # (channel, row, column)
    decoder.start.forward = lambda code: marked[:, :, 0, 0] * 0
    decoder.up.forward = lambda x: marked
    assert decoder(torch.zeros(1, 1)).nonzero().tolist() == [[0, 6, 7, 5]]


def test_one_hypothesis_reaches_every_azimuth_and_several_their_own_sector():
    def poses(count: int) -> tuple[torch.Tensor, torch.Tensor]:
        params = dataclasses.replace(toy.PARAMS, pose_hypotheses=count)
        head = PoseAware(params).encoder.pose
        code = 50 * torch.randn(2000, 16, generator=torch.Generator().manual_seed(0))
        azimuth, elevation, _ = head(code)
        low, high = math.radians(-20), math.radians(60)
        assert low <= elevation.min() < low + 0.01
        assert high - 0.01 < elevation.max() <= high + 1e-6
        return azimuth, elevation

    azimuth = poses(1)[0].remainder(2 * math.pi)
    assert torch.histc(azimuth, 12, 0, 2 * math.pi).min() > 20
    azimuth = poses(8)[0]
    offset = azimuth - torch.arange(8) * (math.pi / 4)
    assert offset.abs().max() <= math.pi / 4 + 1e-6  # one step: neighbours meet and overlap
    assert (offset.abs().amax(0) > 0.9 * math.pi / 4).all()


def test_best_pose_has_the_highest_score():
    codes = Codes(
        *[torch.zeros(2, 1)] * 3,
        azimuth=torch.tensor([[1.0, 2, 3], [4, 5, 6]]),
        elevation=torch.tensor([[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]]),
        scores=torch.tensor([[0.0, 9, 1], [3, 2, 1]]),
    )
    azimuth, elevation = best_pose(codes)
    assert azimuth.tolist() == [2, 4]
    assert elevation.tolist() == pytest.approx([0.2, 0.4])


def test_scale_gradient_keeps_values_and_scales_slopes():
    x = torch.tensor([1.5, -1e-3, 7e6], requires_grad=True)
    y = scale_gradient(x, 0.5)
    assert torch.equal(y, x)
    y.sum().backward()
    assert x.grad.tolist() == [0.5] * 3


def gradients(loss: torch.Tensor, part: torch.nn.Module) -> torch.Tensor:
    found = torch.autograd.grad(loss, list(part.parameters()), allow_unused=True, retain_graph=True)
    return torch.cat([torch.zeros(1) if g is None else g.flatten() for g in found])


@pytest.mark.parametrize("hypotheses", [1, 4])
def test_each_part_receives_its_own_loss(batch, hypotheses, monkeypatch):
    """Equations 12 to 14: gradients of the one sum, against those of each printed loss alone."""
    params = dataclasses.replace(toy.PARAMS, pose_hypotheses=hypotheses)
    torch.manual_seed(0)
    model = pose_aware.build(params)
    total = pose_aware.losses(model, batch, params, context())["loss"]
    routed = {name: gradients(total, part) for name, part in model.named_children()}

    monkeypatch.setattr("stages.systems.pose_aware.model.scale_gradient", lambda x, factor: x)
    noise = torch.randn(4, 512, generator=context().generator)
    codes, voxels, mask = model(batch["image"], noise)  # batch statistics: the same numbers again
    pose = objective.pose_losses(codes, batch["voxels"], batch["mask"], params)
    segment = torch.nn.functional.binary_cross_entropy(mask.sigmoid(), batch["mask"])
    shape = objective.voxel_cross_entropy(voxels, batch["voxels"], 3.0)
    shape = shape + objective.iou_loss(voxels.sigmoid(), batch["voxels"], axes=3).mean()
    kl = objective.kl_divergence(codes.mean, codes.log_variance)
    choice = pose["choice"] if hypotheses > 1 else 0.0
    printed = {
        "encoder": (segment + shape) / 2 + pose["consistency"] + 0.02 * kl + choice,  # 12
        "voxels": shape,  # 13
        "mask": segment,  # 14
    }
    for name, part in model.named_children():
        expected = gradients(printed[name], part)
        # float32 sums in another order: relative to the largest entry.
        torch.testing.assert_close(
            routed[name], expected, rtol=1e-3, atol=1e-5 * expected.abs().max().item()
        )
        assert expected.abs().max() > 0


def test_losses_never_read_the_true_pose(model, batch):
    without = {name: value for name, value in batch.items() if name not in ("viewpoint", "id")}
    loss = pose_aware.losses(model, without, toy.PARAMS, context())["loss"]
    assert torch.equal(loss, pose_aware.losses(model, batch, toy.PARAMS, context())["loss"])


def test_losses_follow_their_generator_alone(model, batch):
    def loss(seed: int) -> torch.Tensor:
        torch.manual_seed(seed + 100)
        return pose_aware.losses(model, batch, toy.PARAMS, context(seed))["loss"]

    assert torch.equal(loss(1), loss(1))
    assert not torch.equal(loss(1), loss(2))


def test_every_parameter_takes_part_in_the_loss(model, batch):
    pose_aware.losses(model, batch, toy.PARAMS, context())["loss"].backward()
    assert all(p.grad is not None for p in model.parameters())


@pytest.mark.parametrize(
    "change",
    [
        {"voxel_widths": (8, 8)},
        {"mask_widths": ()},
        {"encoder_widths": (8,) * 7},
        {"elevation_low_deg": 70.0},
    ],
)
def test_impossible_sizes_are_refused(change):
    with pytest.raises(UsageError):
        dataclasses.replace(Params(), **change)

"""The network of pose-aware reconstruction (Liao et al. 2018, section 2.1).

Letters: B batch, C channels, H W rows and columns, K pose hypotheses, S length of the shape code.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import nn

from stages.geometry import rotations
from stages.systems.pose_aware.params import Params

IMAGE = 64  # pixels of the input
VOXELS = 32  # cells of the output
MASK = 48  # pixels of the predicted mask


class Codes(NamedTuple):
    """What the encoder reads from an image."""

    mean: torch.Tensor  # (B, S) shape code z_s
    log_variance: torch.Tensor  # (B, S)
    pose: torch.Tensor  # (B, pose_code) z_p
    azimuth: torch.Tensor  # (B, K) radians, hypothesis by hypothesis
    elevation: torch.Tensor  # (B, K) radians
    scores: torch.Tensor  # (B, K) logits of the choice among the hypotheses


class Prediction(NamedTuple):
    """What the network says of an image; voxels and mask are logits."""

    codes: Codes
    voxels: torch.Tensor  # (B, 32, 32, 32) [x, y, z]
    mask: torch.Tensor  # (B, 48, 48)


def scale_gradient(x: torch.Tensor, factor: float) -> torch.Tensor:
    """`x` itself; its gradient is multiplied by `factor` on the way back."""
    return torch.lerp(x.detach(), x, factor) if factor != 1 else x


class Residual(nn.Module):
    """Two 3x3 convolutions around a shortcut (He et al. 2016); `stride` halves the picture."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.main = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (self.main(x) + self.shortcut(x)).relu()


class PoseHead(nn.Module):
    """One fully connected layer from the pose code to K viewpoints and their scores.

    One hypothesis is the direction of a plane vector, so that no angle is a border. Of several, the
    k-th azimuth stays within a step to either side of 2 pi k / K (Tulsiani et al. 2018).
    """

    def __init__(self, params: Params) -> None:
        super().__init__()
        self.count = params.pose_hypotheses
        self.low = math.radians(params.elevation_low_deg)
        self.high = math.radians(params.elevation_high_deg)
        self.layer = nn.Linear(params.pose_code, 4 * self.count)

    def forward(self, code: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        first, second, third, scores = self.layer(code).float().chunk(4, 1)  # each (B, K)
        elevation = self.low + (self.high - self.low) * third.sigmoid()
        if self.count == 1:
            return torch.atan2(second, first), elevation, scores
        step = 2 * math.pi / self.count
        centre = step * torch.arange(self.count, device=code.device)
        return centre + step * torch.tanh(first), elevation, scores


class Encoder(nn.Module):
    """(B, 3, 64, 64) images, 0 to 1, to `Codes`: a stem and residual stages, each halving."""

    def __init__(self, params: Params) -> None:
        super().__init__()
        widths = params.encoder_widths
        layers: list[nn.Module] = [
            nn.Conv2d(3, widths[0], 5, 2, 2, bias=False),
            nn.BatchNorm2d(widths[0]),
            nn.ReLU(),
        ]
        for stage, after in enumerate(widths):
            before = widths[max(stage - 1, 0)]
            layers.append(Residual(before, after, 2 if stage else 1))
            layers += [Residual(after, after) for _ in range(params.encoder_blocks - 1)]
        self.features = nn.Sequential(*layers)
        self.side = IMAGE >> len(widths)
        self.sizes = (params.shape_code, params.shape_code, params.pose_code)
        self.code = nn.Linear(widths[-1] * self.side**2, sum(self.sizes))
        self.pose = PoseHead(params)

    def forward(self, images: torch.Tensor) -> Codes:
        features = self.features(images * 2 - 1).flatten(1)
        mean, log_variance, pose = self.code(features).float().split(self.sizes, 1)
        return Codes(mean, log_variance, pose, *self.pose(pose))


class TubeUp(nn.Module):
    """Residual block that doubles the picture (Richter & Roth 2018), then one that keeps it."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.main = nn.Sequential(
            nn.BatchNorm2d(inputs),
            nn.ReLU(),
            nn.ConvTranspose2d(inputs, outputs, 4, 2, 1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, 1, 1),
        )
        self.shortcut = nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(inputs, outputs, 1))
        self.same = Residual(outputs, outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.same(self.main(x) + self.shortcut(x))


class VoxelDecoder(nn.Module):
    """(B, S) shape codes to (B, 32, 32, 32) logits [x, y, z].

    2D deconvolutions from one cell to 32 x 32, the voxels of a column (z) as channels: the voxel
    tubes of Richter & Roth (2018), reference 10 of the paper.
    """

    def __init__(self, params: Params) -> None:
        super().__init__()
        widths = params.voxel_widths
        self.start = nn.Linear(params.shape_code, widths[0])
        self.up = nn.Sequential(*[TubeUp(a, b) for a, b in pairwise(widths)])
        self.columns = nn.Conv2d(widths[-1], VOXELS, 3, 1, 1)

    def forward(self, code: torch.Tensor) -> torch.Tensor:
        x = self.start(code)[:, :, None, None]
        x = self.columns(self.up(x))  # (B, z, x, y)
        return x.float().permute(0, 2, 3, 1)


class MaskDecoder(nn.Module):
    """(B, S + pose_code) codes to (B, 48, 48) logits: the expanding half of a U-Net."""

    def __init__(self, params: Params) -> None:
        super().__init__()
        widths = params.mask_widths
        self.width, self.side = widths[0], MASK >> (len(widths) - 1)
        self.start = nn.Linear(params.shape_code + params.pose_code, widths[0] * self.side**2)
        self.up = nn.Sequential(*[self._double(a, b) for a, b in pairwise(widths)])
        self.pixel = nn.Conv2d(widths[-1], 1, 1)

    @staticmethod
    def _double(inputs: int, outputs: int) -> nn.Module:
        return nn.Sequential(
            nn.ConvTranspose2d(inputs, outputs, 2, 2, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
        )

    def forward(self, code: torch.Tensor) -> torch.Tensor:
        x = self.start(code).reshape(-1, self.width, self.side, self.side).relu()
        return self.pixel(self.up(x)).float()[:, 0]


class PoseAware(nn.Module):
    """Encoder, voxel decoder and mask decoder; `forward` routes gradients as equations 12 to 14."""

    def __init__(self, params: Params) -> None:
        super().__init__()
        self.encoder = Encoder(params)
        self.voxels = VoxelDecoder(params)
        self.mask = MaskDecoder(params)

    def forward(self, images: torch.Tensor, noise: torch.Tensor | None = None) -> Prediction:
        """The `Prediction` of (B, 3, 64, 64) images.

        `noise` (B, S), standard normal, draws the shape code from its distribution (training);
        without it the mean is used. Only the mean reaches the mask decoder (section 2.3).
        Equation 12 halves the losses of both decoders for the encoder, which 13 and 14 do not for
        the decoders: so gradients are halved where they leave the decoders.
        """
        codes = self.encoder(images)
        shape = codes.mean
        if noise is not None:
            shape = shape + noise * (0.5 * codes.log_variance).exp()
        both = torch.cat([codes.mean, codes.pose], 1)
        return Prediction(
            codes, self.voxels(scale_gradient(shape, 0.5)), self.mask(scale_gradient(both, 0.5))
        )


def best_pose(codes: Codes) -> tuple[torch.Tensor, torch.Tensor]:
    """Azimuth (B,) and elevation (B,), radians, of the hypothesis with the highest score."""
    choice = codes.scores.argmax(1, keepdim=True)  # (B, 1)
    return codes.azimuth.gather(1, choice)[:, 0], codes.elevation.gather(1, choice)[:, 0]


def camera(codes: Codes) -> torch.Tensor:
    """(B, 3, 3) world-to-camera rotations of the chosen poses."""
    return rotations.camera(*best_pose(codes))

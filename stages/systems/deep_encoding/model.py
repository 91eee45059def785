"""Two channels into one space: voxels and pictures to codes (figure 3 and table 1).

Layers have the table's names. Letters: B batch, R voxels a side, S pixels a side, C length of a
code.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import nn

from stages.systems.deep_encoding.params import Params, sides

_BIAS = 0.1  # of 3D-R2N2
_CONV = {2: nn.Conv2d, 3: nn.Conv3d}
_POOL = {2: nn.MaxPool2d, 3: nn.MaxPool3d}


class DeepEncoder(nn.Module):
    """Voxels (B, R, R, R), occupied or not, and pictures (N, 3, S, S), 0 to 1, to codes.

    Codes are not normalised, and there is no ReLU after the last layer (table 1).
    """

    def __init__(self, params: Params) -> None:
        super().__init__()
        self.voxel = channel(3, 2, params.voxel_res, params.voxel_pools, params)
        self.image = channel(2, 3, params.image_size, params.image_pools, params)
        # faster on CPUs, and on GPUs in half precision
        self.voxel.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
        self.image.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(
        self, voxels: torch.Tensor, images: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Codes (B, C) of the voxels and (N, C) of the pictures, float32."""
        return self.encode_voxels(voxels), self.encode_images(images)

    def encode_voxels(self, voxels: torch.Tensor) -> torch.Tensor:
        """(B, C) codes of voxels (B, R, R, R), bool or 0 and 1, [x, y, z]."""
        return self.voxel(two_channels(voxels)).float()

    def encode_images(self, images: torch.Tensor) -> torch.Tensor:
        """(N, C) codes of pictures (N, 3, S, S), 0 to 1."""
        return self.image(images).float()


def two_channels(voxels: torch.Tensor) -> torch.Tensor:
    """(B, 2, R, R, R) float32: 1 where a voxel is empty, 1 where it is occupied."""
    occupied = voxels.float()
    return torch.stack([1 - occupied, occupied], -1).movedim(-1, 1)  # channels last in memory


def channel(
    dims: int, inputs: int, side: int, pools: tuple[int, ...], params: Params
) -> nn.Sequential:
    """One channel of table 1: a pooling, m units of conv-relu-conv-relu-pool, n layers of fc.

    Convolutions are 3 cells wide, stride 1, and keep the side; poolings take the maximum, without
    overlap. Weights are those of the MSRA filler as in 3D-R2N2, biases 0.1.
    """
    layers: OrderedDict[str, nn.Module] = OrderedDict(pool0=_POOL[dims](pools[0]))
    wide, units = params.width, params.conv_units
    for unit in range(1, units + 1):
        for part in "ab":
            layers[f"conv{unit}{part}"] = _CONV[dims](inputs, wide, 3, padding=1)
            layers[f"rect{unit}{part}"] = nn.LeakyReLU(params.slope)
            inputs, wide = wide, 2 * wide
        layers[f"pool{unit}"] = _POOL[dims](pools[unit])
    layers[f"flat{units}"] = nn.Flatten()
    inputs *= sides("side", side, pools, units)[-1] ** dims
    for layer in range(units + 1, units + params.fc_layers):
        layers[f"fc{layer}"] = nn.Linear(inputs, params.hidden)
        layers[f"rect{layer}"] = nn.LeakyReLU(params.slope)
        inputs = params.hidden
    layers[f"fc{units + params.fc_layers}"] = nn.Linear(inputs, params.code)
    for module in layers.values():
        if hasattr(module, "weight"):
            # MSRA, N(0, sqrt(2 / n)), with n the mean of the numbers of inputs and of outputs
            nn.init.xavier_normal_(module.weight, gain=2**0.5)  # type: ignore[arg-type]
            nn.init.constant_(module.bias, _BIAS)  # type: ignore[arg-type]
    return nn.Sequential(layers)

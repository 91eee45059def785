"""The parameters of pose-aware reconstruction and their named sizes. Imports no torch."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

from stages.errors import UsageError
from stages.stage import option

NAME = "pose-aware"
SELECT = ("iou", "max")  # what validation keeps the best checkpoint by
REQUIRES: dict[str, dict[str, Any]] = {
    "voxels": {"res": 32},
    # the camera that equations 1 to 5 look through, and shapes as they are voxelized
    "views": {"size": 64, "focal": 1.875, "distance_min": 2.0, "distance_max": 2.0, "stretch": 1.0},
}
ARRAYS = {"voxels": "voxels", "rgb": "views", "mask": "views", "viewpoint": "views"}  # by stage


@dataclass(frozen=True)
class Params:
    """Pose-aware reconstruction (Liao et al. 2018); defaults are the paper's where it has any."""

    # The network
    shape_code: int = option(512, "length of the shape code", low=1)
    pose_code: int = option(16, "length of the pose code", low=1)
    encoder_widths: tuple[int, ...] = option(
        (64, 128, 256, 512), "channels of the residual stages at 1/2, 1/4, 1/8, 1/16 of the image"
    )
    encoder_blocks: int = option(2, "residual blocks a stage", low=1)
    voxel_widths: tuple[int, ...] = option(
        (512, 436, 360, 284, 208, 132), "channels of the voxel decoder at 1, 2, 4, ... 32 cells"
    )
    mask_widths: tuple[int, ...] = option(
        (512, 256, 128, 64, 32), "channels of the mask decoder at 3, 6, 12, 24, 48 pixels"
    )
    pose_hypotheses: int = option(
        1, "azimuth hypotheses; 1 is the paper's regressor", low=1, high=64
    )
    elevation_low_deg: float = option(-20.0, "lowest elevation that can be told", low=-90, high=90)
    elevation_high_deg: float = option(60.0, "highest elevation that can be told", low=-90, high=90)

    # The losses, equations 4 to 14
    positive_weight: float = option(3.0, "lambda_p of equation 8", low=0)
    ray_weight: float = option(10.0, "lambda_ray of equation 6", low=0)
    projection_weight: float = option(0.25, "lambda_proj of equation 6", low=0)
    kl_weight: float = option(0.02, "lambda_KL of equation 12", low=0)
    ray_pixels: int = option(48, "pixels a side of the masks that poses are held against", low=4)
    depth_samples: int = option(64, "samples on a ray, N of equation 1", low=2)
    opacity: float = option(
        1.0, "occupancy that a voxel counts for on a ray; less makes up for thickened voxels", low=0
    )
    temperature: float = option(
        0.05, "how much worse in L_proj a hypothesis may be and still learn", low=1e-6
    )
    choice_weight: float = option(1.0, "weight of the choice among hypotheses", low=0)

    # The training
    start: str = option("", "run whose weights are begun with; default: random weights")
    start_weights: str = ""  # sha256; filled in
    batch: int = option(32, "views a step", low=2)
    steps: int = option(100_000, "optimiser steps", low=1)
    lr: float = option(2e-4, "learning rate of Adam", low=0)
    schedule: Literal["constant", "cosine"] = option("constant", "learning rate over the steps")
    flip: bool = option(True, "mirror half of the views, with their voxels")
    jitter: float = option(0.2, "strength of the random brightness, contrast and tint", low=0)
    jitter_shift: float = option(
        0.0, "share of the side that pictures are moved by at most, for cut-outs", low=0, high=0.5
    )
    jitter_scale: float = option(
        0.0, "pictures are scaled by up to 1 + this, or down as much, for cut-outs", low=0, high=1
    )
    validate_every: int = option(1000, "steps between validations", low=1)
    precision: Literal["fp32", "bf16"] = option("fp32", "of the network; losses are fp32")
    channels_last: bool = option(True, "layout of the pictures in memory")
    cache_mb: int = option(2048, "memory for the views of the shapes seen last", low=1)

    def __post_init__(self) -> None:
        if len(self.voxel_widths) != 6:
            raise UsageError(
                f"voxel_widths has {len(self.voxel_widths)} numbers",
                "give 6: the channels at 1, 2, 4, 8, 16 and 32 cells",
            )
        if not 1 <= len(self.mask_widths) <= 5:
            raise UsageError(
                f"mask_widths has {len(self.mask_widths)} numbers",
                "give 1 to 5; each but the first doubles the picture, up to 48 pixels",
            )
        if not 1 <= len(self.encoder_widths) <= 6:
            raise UsageError(
                f"encoder_widths has {len(self.encoder_widths)} numbers",
                "give 1 to 6; each halves the picture of 64 pixels",
            )
        if not self.elevation_low_deg < self.elevation_high_deg:
            raise UsageError(
                f"no elevation lies between {self.elevation_low_deg:g} and "
                f"{self.elevation_high_deg:g} degrees",
                "give elevation_low_deg below elevation_high_deg",
            )


_PAPER = Params()
_SMALL = dataclasses.replace(
    _PAPER,
    encoder_widths=(24, 48, 96, 192),
    voxel_widths=(256, 192, 128, 96, 64, 48),
    mask_widths=(128, 96, 64, 32, 16),
    pose_hypotheses=8,
    ray_pixels=24,
    depth_samples=32,
    opacity=0.5,
    batch=16,
    steps=6_000,
    schedule="cosine",
    validate_every=250,
    precision="bf16",
)
_TINY = dataclasses.replace(
    _SMALL,
    encoder_widths=(16, 32, 64, 128),
    encoder_blocks=1,
    voxel_widths=(128, 96, 64, 48, 32, 32),
    mask_widths=(64, 48, 32, 16, 8),
    steps=700,
    lr=1e-3,
    validate_every=100,
)
# To go on from a run of `small`. Boxes of training airplanes differ as much in place and size.
_CUTOUT = dataclasses.replace(
    _SMALL, steps=2_500, lr=1e-4, jitter_shift=0.05, jitter_scale=0.35, validate_every=125
)
PRESETS: dict[str, Params] = {
    "tiny": _TINY,
    "small": _SMALL,
    "cutout": _CUTOUT,
    "paper": _PAPER,
}

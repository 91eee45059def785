"""The parameters of the 3D interpreter network and their named sizes. Imports no torch."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

from stages.errors import UsageError
from stages.stage import option

NAME = "interpreter"
SELECT = ("error", "min")  # of the step: see `inference.validate`
STEPS = ("keypoints", "interpret", "joint")
REQUIRES: dict[str, dict[str, Any]] = {
    "views": {},
    "landmarks": {},
    "keypoints": {},
    "skeletons": {},
}
# Cells of a heatmap: rows, columns.
MAP = (40, 30)


@dataclass(frozen=True)
class Params:
    """3D-INN (Wu et al. 2016), one of its three steps (section 3.3).

    Not published, and chosen here: widths of the convolutions, the width of the heatmaps' peaks,
    all losses and their weights, learning rates.
    """

    # What is to be learnt
    step: Literal["keypoints", "interpret", "joint"] = option(
        "keypoints", "pictures to heatmaps, heatmaps to 3D, or both through the projection"
    )
    template: str = option("", "template of the skeleton; default: the category")
    template_json: str = ""  # what it holds; filled in
    ranges: str = option("published", "ranges that parameters are scaled by: published, executable")
    data: Literal["views", "photos"] = option(
        "views", "pictures: rendered views with landmarks, or annotated photos"
    )
    keypoints_run: str = option("", "run of step keypoints to go on from (joint); default: newest")
    interpret_run: str = option("", "run of step interpret to go on from (joint); default: newest")
    keypoints_weights: str = ""  # sha256; filled in
    interpret_weights: str = ""  # sha256; filled in

    # The networks; those of step joint are as in its two runs
    height: Literal[80, 160, 320] = option(320, "rows of the pictures; columns are 3/4 of it")
    channels: tuple[int, ...] = (128, 128, 128, 512)  # of the 5x5 and the 9x9 convolutions
    head: tuple[int, ...] = (256, 256)  # of the 1x1 convolutions
    refinement: tuple[int, ...] = (8192, 4096, 8192)  # none: no refinement
    interpreter: tuple[int, ...] = (2048, 512, 128)
    fine: int = option(
        0, "width of a network that looks again around each keypoint; 0: none", low=0, high=1024
    )
    contrast: float = option(
        1.0, "least local deviation that is divided by; 1: never, as released", low=1e-3
    )

    # Heatmaps
    sigma: float = option(1.0, "deviation of a peak, in cells", low=0.1, high=10)
    noise: float = option(0.2, "most salt and pepper in training (interpret)", low=0, high=0.9)
    hidden: bool = option(True, "hidden keypoints are told, too, as in Keypoint-5")

    # The losses of step joint
    reprojection_weight: float = option(1.0, "weight of projected keypoints", low=0)
    heatmap_weight: float = option(0.0, "weight of step keypoints' loss", low=0)
    synthetic_weight: float = option(0.0, "weight of step interpret's loss on skeletons", low=0)
    anchor_weight: float = option(
        0.0, "weight of keeping the 3D structure that step interpret tells (joint)", low=0
    )

    # The training
    batch: int = option(32, "samples a step", low=2)
    steps: int = option(100_000, "optimiser steps", low=1)
    lr: float = option(1e-4, "learning rate of Adam, to 0 along half a cosine", low=0)
    flip: bool = option(True, "mirror half of the pictures")
    shift: float = option(0.1, "most that pictures are moved, in widths", low=0, high=0.5)
    zoom: float = option(1.2, "most that pictures are enlarged or reduced", low=1, high=3)
    jitter: float = option(0.2, "strength of the random brightness, contrast and tint", low=0)
    validation_views: int = option(8, "views of each shape that are validated on", low=1)
    validate_every: int = option(2000, "steps between validations", low=1)
    precision: Literal["fp32", "bf16"] = option("fp32", "of the networks; losses are fp32")
    channels_last: bool = option(True, "layout of the pictures in memory")
    cache_mb: int = option(4096, "memory for the views of the shapes seen last", low=1)

    def __post_init__(self) -> None:
        if len(self.channels) != self.pools + 1:
            raise UsageError(
                f"pictures of {self.height} rows need {self.pools + 1} widths of convolutions, "
                f"not {len(self.channels)}",
                "leave --height as the preset has it",
            )

    @property
    def pools(self) -> int:
        """How many times a scale is halved on its way to the heatmaps of 40 x 30."""
        return {80: 1, 160: 2, 320: 3}[self.height]

    @property
    def width(self) -> int:
        """Columns of the pictures."""
        return self.height * 3 // 4


def requires(params: Params) -> dict[str, dict[str, Any]]:
    """The artefacts that the step learns from."""
    if params.step == "interpret":
        return {"skeletons": {}}
    return {"keypoints": {}} if params.data == "photos" else {"views": {}, "landmarks": {}}


def suffix(params: Params) -> str:
    """What the name of a run ends with: each step is a run of its own."""
    return f"-{params.step}"


def arrays(params: Params) -> dict[str, str]:
    """Which artefact each array comes from."""
    if params.step == "interpret":
        names = ("alpha", "theta_deg", "translation", "focal", "points", "keypoints", "visible")
        return dict.fromkeys(names, "skeletons")
    if params.data == "photos":
        return dict.fromkeys(("rgb", "keypoints", "visible", "keypoint_names"), "keypoints")
    return {
        "rgb": "views",
        "extrinsics": "views",
        "keypoints": "landmarks",
        "visible": "landmarks",
        "keypoint_names": "landmarks",
        "points": "landmarks",
        "shape_points": "landmarks",
        "convention": "landmarks",
        "landmark_extrinsics": "landmarks/extrinsics",
    }


_PAPER = Params()
_SMALL = dataclasses.replace(
    _PAPER,
    height=80,
    channels=(16, 48),
    head=(48, 48),
    refinement=(512, 256, 512),
    interpreter=(1024, 512, 128),
    contrast=0.1,
    heatmap_weight=1.0,
    synthetic_weight=1.0,
    anchor_weight=1.0,
    batch=64,
    steps=6000,
    lr=1e-3,
    validate_every=500,
    precision="bf16",
)
# Below 16 MB at half precision after step joint, whichever template; `small` has 51 for chairs.
_COMPACT = dataclasses.replace(
    _SMALL, channels=(16, 32), refinement=(128, 160, 128), interpreter=(192, 256, 128)
)
_TINY = dataclasses.replace(
    _SMALL,
    channels=(8, 16),
    head=(16, 16),
    refinement=(64, 32, 64),
    interpreter=(128, 64, 32),
    batch=16,
    steps=300,
    validate_every=100,
)
PRESETS: dict[str, Params] = {
    "tiny": _TINY,
    "compact": _COMPACT,
    "small": _SMALL,
    "paper": _PAPER,
}

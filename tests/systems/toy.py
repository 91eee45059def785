"""Four small shapes whose views are projections of their own voxels: exact, and fast to make."""

import dataclasses
from functools import lru_cache

import numpy as np
import torch

from stages.geometry import cameras, rotations
from stages.geometry.sampling import Rays, penetration
from stages.systems.pose_aware.params import PRESETS

PARAMS = dataclasses.replace(
    PRESETS["tiny"],
    encoder_widths=(8, 16, 16, 32),
    voxel_widths=(32, 32, 24, 16, 16, 16),
    mask_widths=(32, 16, 8, 8, 8),
    pose_hypotheses=4,
    ray_pixels=16,
    depth_samples=24,
    opacity=1.0,
    batch=8,
    steps=90,
    flip=False,
    jitter=0.0,
    precision="fp32",
    schedule="constant",
)
VIEWS = 6
ABOVE = cameras.Ranges(elevation_deg=(0.0, 40.0))
IDS = ["toy/0", "toy/1", "toy/2", "toy/3"]


@lru_cache
def load(shape_id: str) -> dict[str, np.ndarray]:
    """The arrays of a shape: a block with a fin, of sizes that its number decides."""
    rng = np.random.default_rng(int(shape_id[-1]))
    voxels = np.zeros((32, 32, 32), bool)
    x, y, z = rng.integers(3, 8, 3)
    voxels[16 - x : 16 + x, 8 : 16 + y, 14 : 14 + z] = True
    voxels[14 : 14 + x, 18 : 18 + y, 14 : 20 + z] = True
    viewpoint = cameras.uniform(VIEWS, rng, ABOVE).astype(np.float32)
    angles = torch.from_numpy(viewpoint).deg2rad()
    rotation = rotations.camera(angles[:, 0], angles[:, 1])[None]
    passed = penetration(torch.from_numpy(voxels)[None].float(), rotation, Rays(size=64))
    mask = (255 * (1 - passed[0].numpy())).round().astype(np.uint8)
    colour = rng.uniform(0.2, 0.8, 3)
    rgb = 255 - mask[..., None] * (1 - colour)
    return {
        "voxels": voxels,
        "rgb": rgb.astype(np.uint8),
        "mask": mask,
        "viewpoint": viewpoint,
    }

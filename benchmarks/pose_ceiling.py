"""What the consistency loss can teach about poses at best: no network, every pose tried.

For views of test shapes the loss of 24 azimuths x 9 elevations is computed from the true voxels and
the true mask; the best pose is compared with the true one. A regressor that minimised the loss
perfectly would have these errors. Writes benchmarks/pose_ceiling.csv.

    python -m benchmarks.pose_ceiling WORKSPACE [--category airplane]
"""

from __future__ import annotations

import argparse
import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from stages.geometry import rotations
from stages.geometry.sampling import Rays, penetration
from stages.store.workspace import Artefact, Workspace, select_categories
from stages.systems.pose_aware.data import average_masks
from stages.systems.pose_aware.objective import iou_loss, ray_consistency
from stages.systems.pose_aware.params import REQUIRES
from stages.train.inputs import choose_variant

VIEWS = 6  # of each shape
OUTPUT = Path(__file__).with_suffix(".csv")


@dataclass(frozen=True)
class Setting:
    """One way to compute the loss; weights as lambda_ray and lambda_proj of equation 6."""

    pixels: int
    samples: int
    opacity: float
    ray_weight: float
    projection_weight: float


SETTINGS = (
    Setting(48, 64, 1.0, 10, 0.25),  # as printed
    Setting(48, 64, 0.25, 10, 0.25),
    Setting(48, 64, 1.0, 0, 1),
    Setting(48, 64, 0.25, 0, 1),
    Setting(24, 32, 0.5, 10, 0.25),
    Setting(24, 32, 0.5, 0, 1),  # what tiny and small weigh their hypotheses by
)


def all_poses() -> torch.Tensor:
    """(1, 216, 3, 3) cameras: azimuths every 15 degrees, elevations -20 to 60 every 10."""
    azimuth, elevation = torch.meshgrid(
        torch.arange(0, 360, 15.0), torch.arange(-20, 61, 10.0), indexing="ij"
    )
    return rotations.camera(azimuth.reshape(-1).deg2rad(), elevation.reshape(-1).deg2rad())[None]


def errors(setting: Setting, voxels: Artefact, views: Artefact, ids: list[str]) -> np.ndarray:
    """Geodesic errors in degrees of the poses that the loss likes best."""
    poses = all_poses()
    rays = Rays(size=setting.pixels, samples=setting.samples)
    rng = np.random.default_rng(0)
    found = []
    for item in ids:
        grid = torch.from_numpy(voxels.read(item, ("voxels",))["voxels"]).float()[None]
        passed = penetration(grid * setting.opacity, poses, rays)[0]  # (216, H, W)
        seen = views.read(item, ("mask", "viewpoint"))
        for view in rng.choice(len(seen["mask"]), VIEWS, replace=False):
            coverage = torch.from_numpy(seen["mask"][view][None]).float() / 255
            mask = average_masks(coverage, setting.pixels).expand_as(passed)
            loss = setting.ray_weight * ray_consistency(passed, mask)
            loss = loss + setting.projection_weight * iou_loss(1 - passed, mask, axes=2)
            angles = torch.from_numpy(seen["viewpoint"][view]).deg2rad()
            truth = rotations.camera(angles[0], angles[1])
            found.append(float(rotations.geodesic(poses[0, loss.argmin()], truth).rad2deg()))
    return np.array(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workspace", type=Path)
    parser.add_argument("--category", default="airplane")
    arguments = parser.parse_args()
    workspace = Workspace(arguments.workspace)
    voxels = choose_variant(workspace, "voxels", REQUIRES["voxels"])
    views = choose_variant(workspace, "views", REQUIRES["views"])
    entries = {i: e for a in workspace.artefacts("shapes") for i, e in a.index.items().items()}
    ids = [i for i in views.index.items() if entries[i].labels["split"] == "test"]
    ids = select_categories(ids, (arguments.category,))
    rows = []
    for setting in SETTINGS:
        found = errors(setting, voxels, views, ids)
        numbers = (np.median(found), found.mean(), (found < 30).mean(), (found > 150).mean())
        rows.append([*setting.__dict__.values(), *(f"{n:.3f}" for n in numbers)])
        print(*rows[-1], sep="  ")
    with OUTPUT.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*Setting.__dataclass_fields__, "median_deg", "mean_deg", "acc30", "flips"])
        writer.writerows(rows)


if __name__ == "__main__":
    main()

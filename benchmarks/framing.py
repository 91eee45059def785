"""What it costs that an object is cut out and centred, not seen where the training had it.

The shipped weights are shown the views of the test shapes whole, as they are rendered; cut out by
their mask as `crossdim predict` does it; and whole, but moved by pixels or scaled. Writes
benchmarks/framing.csv. A run of the workspace, and other shapes than those of the test, are for
choosing; nothing is written of them.

    python -m benchmarks.framing WORKSPACE [--category airplane] [--views compare]
    python -m benchmarks.framing WORKSPACE --split val --run pose-aware/airplane-cutout
"""

from __future__ import annotations

import argparse
import csv
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from stages.evaluate.baselines import camera
from stages.evaluate.said import fitted
from stages.geometry.rotations import geodesic
from stages.photos.placing import affine_to, resample
from stages.predict.images import Look, look
from stages.predict.networks import Network, of_card, of_run
from stages.shapes.splits import assign
from stages.store.workspace import Artefact, Workspace, select_categories
from stages.train.run import find_run
from stages.weights.cards import find_card

VIEWS = 4  # of each shape
SHIFTS = ((1, 0), (2, 0), (0, 1), (0, 2), (0, -1), (0, -2))  # right, down; 64ths of the picture
SCALES = (0.9, 1.1)
COVERED = 128  # of 255, from which a pixel counts as the object's
SHIPPED = ("pose-aware", "pose-regression")
OUTPUT = Path(__file__).with_suffix(".csv")


def framings(network: Network, rgb: np.ndarray, mask: np.ndarray, folder: Path) -> dict[str, Any]:
    """Pictures (S, S, 3) of one view (P, P, 3) with its mask (P, P), by how they are framed."""
    size, grey = network.camera.size, network.camera.background
    side = len(rgb)
    found = {"whole": fitted(rgb[None], size)[0]}
    share = mask[..., None] / 255
    plain = np.where(share > 0, (rgb - 255 * (1 - share)) / np.maximum(share, 1e-6), 255)
    rgba = np.dstack([plain.clip(0, 255).round().astype(np.uint8), mask])  # white taken off edges
    Image.fromarray(rgba).save(folder / "view.png")
    camera = network.camera
    for name, down in (("cut out", camera.down), ("cut out, the box in the middle", 0.0)):
        path = str(folder / "view.png")
        found[name] = look(Look(path, size, grey, camera.fill, down=down)).rgb

    def seen(middle: np.ndarray, half: float) -> np.ndarray:
        region = np.concatenate([middle - half, middle + half])
        affine = affine_to(region, size, size, stretch=False)
        return resample(Image.fromarray(rgb), affine, size, size, 255)

    centre = np.full(2, side / 2)
    rows, columns = np.nonzero(mask >= COVERED)
    low = np.array([columns.min(), rows.min()])
    high = np.array([columns.max(), rows.max()])
    middle = (low + high + 1) / 2 - np.array([0, side * camera.down])
    found["placed as cut out, its own size"] = seen(middle, side / 2)
    half = (high - low + 1).max() / camera.fill / 2
    found["as large as cut out, its own place"] = seen(centre, half)
    for shift in SHIFTS:
        name = f"moved by {shift[0]}, {shift[1]}"
        found[name] = seen(centre - np.array(shift) * side / 64, side / 2)
    for scale in SCALES:
        found[f"scaled by {scale:g}"] = seen(centre, side / 2 / scale)
    return found


def measured(
    network: Network, pictures: np.ndarray, rotation: np.ndarray, truth: np.ndarray
) -> Any:
    """(N, 2) IoU (0 of systems without voxels) and pose error in degrees of pictures (N, ...)."""
    trained = network.trained
    images = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255
    told = trained.system.predict(trained.model, images, trained.params)
    if "viewpoint" in told:
        cameras = camera(told["viewpoint"].numpy())
        solid = told["voxels"].numpy() >= network.threshold
        score = [(one & truth).sum() / (one | truth).sum() for one in solid]
    else:
        cameras, score = told["rotation"].double().numpy(), [np.nan] * len(images)
    error = np.degrees(geodesic(cameras, np.broadcast_to(rotation, cameras.shape)))
    return np.stack([score, error], 1)


def rows_of(
    workspace: Workspace, network: Network, views: Artefact, ids: Sequence[str]
) -> list[list[Any]]:
    """Rows of the CSV: a line a framing."""
    voxels = workspace.artefact("voxels", "res32")
    found: dict[str, list[Any]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for item in ids:
            arrays = views.read(item, ("rgb", "mask", "extrinsics"))
            truth = voxels.read(item, ("voxels",))["voxels"]
            for view in range(VIEWS):
                shown = (arrays[name][view] for name in ("rgb", "mask"))
                each = framings(network, *shown, Path(folder))
                rotation = arrays["extrinsics"][view, :, :3].astype(float)
                numbers = measured(network, np.stack(list(each.values())), rotation, truth)
                for name, pair in zip(each, numbers):
                    found.setdefault(name, []).append(pair)
    rows = []
    for name, pairs in found.items():
        score, error = np.array(pairs).T
        shares = f"{np.median(error):.1f}", f"{(error < 30).mean():.3f}"
        rows.append([network.system, name, len(pairs), f"{score.mean():.3f}", *shares])
        print(*rows[-1])
    return rows


def main() -> None:
    """Measure and write the CSV."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workspace", type=Path)
    parser.add_argument("--category", default="airplane")
    parser.add_argument("--views", default="compare")
    parser.add_argument("--split", default="test", choices=("test", "val"))
    parser.add_argument("--run", help="SYSTEM/RUN of the workspace instead of the shipped weights")
    options = parser.parse_args()
    workspace = Workspace(options.workspace)
    labels = {
        i: e.labels for a in workspace.artefacts("shapes") for i, e in a.index.items().items()
    }
    ids = select_categories(labels, (options.category,))
    split = assign({i: labels[i] for i in ids})
    chosen = [i for i in ids if split[i] == options.split]
    views = workspace.artefact("views", options.views)
    if options.run:
        networks = [of_run(workspace, find_run(workspace.root, *options.run.split("/")))]
    else:
        networks = [of_card(find_card(s, options.category)) for s in SHIPPED]
    lines = [line for network in networks for line in rows_of(workspace, network, views, chosen)]
    if options.run or options.split != "test":
        return
    with OUTPUT.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["system", "framing", "views", "voxel IoU", "median error deg", "acc@30"])
        writer.writerows(lines)


if __name__ == "__main__":
    main()

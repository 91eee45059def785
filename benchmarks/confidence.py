"""How calibrated the confidences of `crossdim predict` are: on test views, beside what happened.

The shipped weights (or a run, SYSTEM/RUN) are shown the views of the test shapes as they are
rendered, the mask given. Views are put into four groups of equal size by each confidence; of each
group the mean confidence and the mean outcome are written to benchmarks/confidence.csv, and the
rank correlation of the two. Systems that are not named keep their rows.

    python -m benchmarks.confidence WORKSPACE [--category airplane] [--views compare] [SYSTEM ...]
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from stages.evaluate.clouds import Truth
from stages.evaluate.said import fitted
from stages.export.choose import cached_mesh
from stages.geometry.mesh import Mesh
from stages.geometry.rotations import geodesic
from stages.geometry.voxels import decode_binvox
from stages.predict.answering import tell
from stages.predict.images import Seen
from stages.predict.networks import SYSTEMS, Network, of_card
from stages.predict.prediction import Beside, Prediction
from stages.shapes.splits import assign
from stages.store.fingerprint import item_rng
from stages.store.workspace import Artefact, Workspace, select_categories
from stages.weights.cards import find_card

VIEWS, GROUPS = 4, 4  # of each shape; of all views
OUTPUT = Path(__file__).with_suffix(".csv")
NEAR = 30.0


class Truths:
    """What is true of one view of a test shape."""

    def __init__(self, mesh: Mesh, voxels: np.ndarray, item: str) -> None:
        self.mesh, self.voxels, self._item = mesh, voxels, item
        self.rotation = np.eye(3)
        self._truth: Truth | None = None

    def iou(self, told: np.ndarray) -> float:
        return float((told & self.voxels).sum() / (told | self.voxels).sum())

    def f_score(self, cloud: np.ndarray) -> float:
        if self._truth is None:
            self._truth = Truth.of(self.mesh, item_rng(0, self._item))
        return float(self._truth.compare(cloud, item_rng(0, self._item))[-1])


def posed(told: Prediction, truth: Truths) -> float:
    """Whether the pose is right to 30 degrees."""
    pose: Any = told.pose
    error = np.degrees(geodesic(np.array(pose["rotation"]), truth.rotation))
    return float(error < NEAR)


def solid(told: Prediction, truth: Truths) -> float:
    """IoU of the voxels."""
    return truth.iou(decode_binvox(told.files[".binvox"])[0])


def cloud(told: Prediction, truth: Truths) -> float:
    """F-score at 1 % of the points."""
    if ".ply" not in told.files:
        return 0.0
    body = told.files[".ply"].partition(b"end_header\n")[2]
    return truth.f_score(np.frombuffer(body, "<f4").reshape(-1, 3))


OUTCOMES: dict[str, dict[str, tuple[str, Callable[[Prediction, Truths], float]]]] = {
    "pose-aware": {
        "pose": ("acc@30", posed),
        "shape": ("voxel IoU", solid),
        "mask": ("voxel IoU", solid),
    },
    "structure-generator": {"shape": ("F-score at 1 %", cloud)},
    "pose-regression": {"pose": ("acc@30", posed)},
    "equivariant": {
        "pose": ("acc@30, against its own mesh", posed),
        "margin": ("acc@30, against its own mesh", posed),
    },
    "interpreter": {"pose": ("acc@30", posed), "keypoints": ("acc@30", posed)},
}


def measured(workspace: Workspace, network: Network, views: Artefact, test: list[str]) -> list[Any]:
    """(confidences, outcomes by confidence) of every view."""
    voxels = workspace.artefact("voxels", "res32")
    rows = []
    for item in test:
        mesh = cached_mesh(workspace, item)[1]
        truth = Truths(mesh, voxels.read(item, ("voxels",))["voxels"], item)
        arrays = views.read(item, ("rgb", "mask", "extrinsics"))
        size = network.camera.size
        rgb = fitted(arrays["rgb"][:VIEWS], size)
        masks = fitted(np.repeat(arrays["mask"][:VIEWS, ..., None], 3, 3), size)[..., 0]
        for view in range(len(rgb)):
            truth.rotation = arrays["extrinsics"][view, :, :3].astype(float)
            box = (0.0, 0.0, float(size), float(size))
            seen = Seen(rgb[view], masks[view], box, (size, size), "alpha", rgb[view])
            told = tell(network, seen, Beside(mesh, "its own"))
            outcomes = OUTCOMES[network.system]
            happened = {name: of(told, truth) for name, (_, of) in outcomes.items()}
            rows.append((dict(told.confidence), happened))
    return rows


def groups(system: str, rows: list[Any]) -> list[list[Any]]:
    """Rows of the CSV: a line a group."""
    found = []
    for name, (what, _) in OUTCOMES[system].items():
        confidence = np.array([told[name] for told, _ in rows])
        outcome = np.array([happened[name] for _, happened in rows])
        rank = float(spearmanr(confidence, outcome).statistic)
        order = np.argsort(confidence, kind="stable")
        for number, part in enumerate(np.array_split(order, GROUPS)):
            means = [f"{confidence[part].mean():.4f}", f"{outcome[part].mean():.4f}"]
            found.append([system, name, what, number + 1, len(part), *means, f"{rank:.3f}"])
    return found


def main() -> None:
    """Measure and write the CSV."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workspace", type=Path)
    parser.add_argument("systems", nargs="*", default=list(OUTCOMES))
    parser.add_argument("--category", default="airplane")
    parser.add_argument("--views", default="compare")
    options = parser.parse_args()
    workspace = Workspace(options.workspace)
    owners = {i: a for a in workspace.artefacts("shapes") for i in a.index.items()}
    ids = select_categories(owners, (options.category,))
    split = assign({i: owners[i].index.items()[i].labels for i in ids})
    test = [item for item in ids if split[item] == "test"]
    views = workspace.artefact("views", options.views)
    kept: Mapping[str, list[list[Any]]] = _kept()
    rows = {**kept}
    for system in options.systems:
        network = of_card(find_card(system, options.category))
        rows[system] = groups(system, measured(workspace, network, views, test))
        print(*rows[system], sep="\n")
    head = ["system", "confidence", "outcome", "group", "views", "mean confidence"]
    with OUTPUT.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*head, "mean outcome", "rank correlation"])
        writer.writerows(row for system in SYSTEMS for row in rows.get(system, []))


def _kept() -> dict[str, list[list[Any]]]:
    found: dict[str, list[list[Any]]] = {}
    if OUTPUT.exists():
        with OUTPUT.open(newline="") as file:
            for row in list(csv.reader(file))[1:]:
                found.setdefault(row[0], []).append(row)
    return found


if __name__ == "__main__":
    main()

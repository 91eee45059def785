"""Tables 1 to 4 of the pose-aware paper: shape, pose, pose-aware shape and projection.

One item is one shape with all its views. Every number is kept per view, so that tables, pictures
and comparisons are redrawn without the network. Letters: V views, T = 99 thresholds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from stages.engine.work import Work
from stages.evaluate.baselines import Baselines, camera, make_baselines
from stages.evaluate.metrics import iou, iou_at_thresholds
from stages.geometry import rotations
from stages.stage import Arrays, ArraySpec, Item, Stage, params_json
from stages.store.fingerprint import item_fingerprint
from stages.store.workspace import Artefact, Workspace, category_of
from stages.train.run import Run, Trained

NAME = "reconstruction"
VERSION = 1
POSED = 48  # cells of the pose-aware volume, and pixels of the projections
_BATCH = 64


@dataclass(frozen=True)
class Params:
    """What the numbers depend on besides the shapes."""

    weights: str = ""  # sha256 of the checkpoint
    threshold: float = 0.5  # at which predicted occupancy counts as solid
    data: str = ""  # fingerprint of the run's shapes and split, which the baselines come from


def _views(units: str = "", *axes: str) -> ArraySpec:
    shape = (None, *map({"viewpoint": 4}.get, axes))
    return ArraySpec("float32", ("view", *axes), units=units, shape=shape)


SPEC = {
    "voxels": ArraySpec("uint8", ("view", "x", "y", "z"), "1/255 probability", "canonical"),
    "mask": ArraySpec("uint8", ("view", "row", "column"), "1/255 probability", "image"),
    "viewpoint": _views("azimuth, elevation, in-plane deg; distance", "viewpoint"),
    "true_viewpoint": _views("azimuth, elevation, in-plane deg; distance", "viewpoint"),
    "voxel_iou": _views("", "threshold"),  # Table 1, at every threshold
    "rotation_error_deg": _views("deg"),  # Table 2
    "mask_iou": _views(),  # Table 2
    "posed_iou": _views("", "pairing"),  # Table 3, pairings as in PAIRINGS
    "projection_iou": _views("", "pairing"),  # Table 4
    "baseline_voxel_iou": _views("", "baseline"),  # as in SHAPES
    "baseline_rotation_error_deg": _views("deg"),  # the constant viewpoint
    "baseline_posed_iou": _views("", "pairing"),  # as in BASELINE_PAIRINGS
    "baseline_projection_iou": _views("", "pairing"),
    "constant_viewpoint": ArraySpec("float32", ("viewpoint",), "deg, distance", shape=(4,)),
    "nearest_training_shape": ArraySpec("S200"),
}
PAIRINGS = (
    "pred shape & pred pose",
    "pred shape & GT pose",
    "GT shape & pred pose",
    "GT shape & GT pose",
)
SHAPES = ("mean shape", "nearest training shape (oracle)")
BASELINE_PAIRINGS = (
    "mean shape & constant pose",
    "mean shape & GT pose",
    "GT shape & constant pose",
)


def process(item: Item, params: Params, rng: np.random.Generator) -> Arrays:
    """Every number of one shape; the network is loaded once a process."""
    trained, baselines = _context(item.source["run"], item.source["device"], category_of(item.id))
    truth = item.inputs["voxels"]["voxels"]  # (32, 32, 32) bool
    views = item.inputs["views"]
    told = predicted(trained, views["rgb"], item.source["device"])
    solid = told["voxels"] >= params.threshold  # (V, 32, 32, 32)
    true_mask = _masks(views["mask"])
    cameras = camera(told["viewpoint"]), camera(views["viewpoint"])
    nearest, nearest_id = baselines.nearest(truth)
    mean = baselines.mean_shape >= baselines.mean_threshold
    constant = camera(baselines.viewpoint[None])  # one view stands for all
    many = len(true_mask)
    compare = _Comparison(truth, cameras[1], true_mask)
    posed, projected = compare([(solid, 0), (solid, 1), (truth, 0), (truth, 1)], cameras)
    base_posed, base_projected = compare([(mean, 0), (mean, 1), (truth, 0)], (constant, cameras[1]))
    mean_iou = iou(mean[None], truth[None])
    return {
        "voxels": _bytes(told["voxels"]),
        "mask": _bytes(told["mask"]),
        "viewpoint": told["viewpoint"],
        "true_viewpoint": views["viewpoint"],
        "voxel_iou": iou_at_thresholds(
            told["voxels"], np.broadcast_to(truth, told["voxels"].shape)
        ),
        "rotation_error_deg": _degrees_between(*cameras),
        "mask_iou": iou(told["mask"] >= 0.5, true_mask),
        "posed_iou": posed,
        "projection_iou": projected,
        "baseline_voxel_iou": np.tile(np.array([mean_iou[0], nearest], np.float32), (many, 1)),
        "baseline_rotation_error_deg": _degrees_between(constant, cameras[1]),
        "baseline_posed_iou": base_posed,
        "baseline_projection_iou": base_projected,
        "constant_viewpoint": baselines.viewpoint,
        "nearest_training_shape": np.array(nearest_id.encode(), "S200"),
    }


STAGE = Stage(
    f"results/{NAME}",
    VERSION,
    Params,
    SPEC,
    process,
    inputs=("voxels", "views"),
    command=f"crossdim eval {NAME}",
)


def predicted(trained: Trained, rgb: np.ndarray, device: str) -> Arrays:
    """What the network says of (V, H, W, 3) uint8 images, in float32 arrays."""
    import torch

    images = torch.from_numpy(rgb).permute(0, 3, 1, 2).float() / 255  # (V, 3, H, W)
    parts = [
        trained.system.predict(trained.model, part.to(device), trained.params)
        for part in images.split(_BATCH)
    ]
    names = ("voxels", "mask", "viewpoint")
    return {n: torch.cat([p[n] for p in parts]).float().cpu().numpy() for n in names}


class _Comparison:
    """Compares shapes under poses with the true shape under the true poses, view by view."""

    def __init__(self, truth: np.ndarray, true_camera: np.ndarray, true_mask: np.ndarray) -> None:
        self._volume = _volume(truth, true_camera)
        self._mask = true_mask

    def __call__(
        self, pairs: list[tuple[np.ndarray, int]], cameras: tuple[np.ndarray, np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray]:
        """(V, pairs) IoU in the camera's volume, and of the projections.

        A pair is a grid, or one a view, and which of `cameras` sees it; one camera may stand for
        all views.
        """
        posed, projected = [], []
        for grid, number in pairs:
            seen = cameras[number]
            posed.append(iou(_volume(grid, seen), self._volume))
            projected.append(iou(silhouettes(grid, seen), self._mask))
        return np.stack(posed, 1), np.stack(projected, 1)


def _volume(grid: np.ndarray, rotation: np.ndarray) -> np.ndarray:
    """(V, 48, 48, 48) bool: grids as equation 7 turns them into the camera's frame."""
    from stages.geometry.sampling import rotate_voxels

    return (rotate_voxels(*_tensors(grid, rotation), POSED) >= 0.5).numpy()


def silhouettes(grid: np.ndarray, rotation: np.ndarray) -> np.ndarray:
    """(V, 48, 48) bool: pixels whose ray is more likely to stop than to pass."""
    from stages.geometry.sampling import Rays, penetration

    grids, rotations_ = _tensors(grid, rotation)
    return (penetration(grids, rotations_[:, None], Rays(size=POSED))[:, 0] < 0.5).numpy()


def _tensors(grid: np.ndarray, rotation: np.ndarray) -> tuple[Any, Any]:
    """Grids (V, ...) and rotations (V, 3, 3) as float32 tensors; one grid serves all rotations."""
    import torch

    grid = np.broadcast_to(grid, (len(rotation), *grid.shape[-3:]))
    grids, rotations_ = (np.ascontiguousarray(a, np.float32) for a in (grid, rotation))
    return torch.from_numpy(grids), torch.from_numpy(rotations_)


def _masks(coverage: np.ndarray) -> np.ndarray:
    """(V, 48, 48) bool masks of (V, H, W) uint8 coverages: pixels that are half covered."""
    import torch

    from stages.systems.pose_aware.data import average_masks

    return (average_masks(torch.from_numpy(coverage).float() / 255, POSED) >= 0.5).numpy()


def _bytes(probability: np.ndarray) -> np.ndarray:
    return np.round(probability * 255).astype(np.uint8)


def _degrees_between(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return np.degrees(rotations.geodesic(first, second)).astype(np.float32)


@lru_cache(maxsize=8)
def _context(folder: str, device: str, category: str) -> tuple[Trained, Baselines]:
    """The network of a run, and the baselines of a category from the run's own split."""
    run = Run(Path(folder))
    data = run.record()["data"]
    workspace = Workspace(run.folder.parents[2])
    voxels, views = (workspace.artefact(s, data["variants"][s]) for s in ("voxels", "views"))
    ids = data["ids"]
    return _trained(folder, device), make_baselines(
        voxels, views, category, ids["train"], ids["val"]
    )


@lru_cache(maxsize=1)
def _trained(folder: str, device: str) -> Trained:
    import torch

    from stages.train.run import load_model

    return load_model(Run(Path(folder)), "best", device=torch.device(device))


def validation_iou(
    run: Run, artefacts: Mapping[str, Artefact], ids: list[str], device: str
) -> np.ndarray:
    """(V, 99) voxel IoU at every threshold over all views of these (validation) shapes."""
    trained = _trained(str(run.folder), device)
    scores = []
    for item in ids:
        truth = artefacts["voxels"].read(item, ("voxels",))["voxels"]
        told = predicted(trained, artefacts["views"].read(item, ("rgb",))["rgb"], device)["voxels"]
        scores.append(iou_at_thresholds(told, np.broadcast_to(truth, told.shape)))
    return np.concatenate(scores)


def wanted(
    run: Run, params: Params, artefacts: Mapping[str, Artefact], ids: list[str], device: str
) -> dict[str, Work]:
    """The work of evaluating a run on these shapes, by id."""
    values = params_json(params)
    work = {}
    for item in ids:
        entries = {stage: a.entry(item) for stage, a in artefacts.items()}
        prints = {stage: entry.fingerprint for stage, entry in entries.items()}
        inputs = {s: (str(artefacts[s].folder / e.shard), e.row) for s, e in entries.items()}
        source: dict[str, Any] = {"run": str(run.folder), "device": device}
        print_ = item_fingerprint(STAGE.name, VERSION, values, 0, prints)
        work[item] = Work(item, print_, inputs, source)
    return work

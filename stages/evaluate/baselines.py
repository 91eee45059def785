"""What a table must beat: answers that look at no image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from stages.evaluate.metrics import THRESHOLDS, iou_at_thresholds
from stages.geometry import rotations
from stages.store.workspace import Artefact, category_of


@dataclass(frozen=True)
class Baselines:
    """What is known of one category without looking: from its training and validation shapes."""

    mean_shape: np.ndarray  # (32, 32, 32) float32, share of the training shapes that fill a cell
    mean_threshold: float  # the one at which it fits the validation shapes best
    training: np.ndarray  # (S, cells) bool, the training shapes
    training_ids: tuple[str, ...]
    viewpoint: np.ndarray  # (4,) the constant viewpoint nearest to those of the training views

    def nearest(self, truth: np.ndarray) -> tuple[float, str]:
        """The IoU and id of the training shape most like `truth`: an oracle, it sees the answer."""
        flat = truth.reshape(1, -1)
        both = (self.training & flat).sum(1)
        either = (self.training | flat).sum(1)
        scores = both / np.maximum(either, 1)
        best = int(scores.argmax())
        return float(scores[best]), self.training_ids[best]


def make_baselines(
    voxels: Artefact, views: Artefact, category: str, train: Sequence[str], val: Sequence[str]
) -> Baselines:
    """The baselines of a category; other categories in `train` and `val` are left out."""
    train = [i for i in train if category_of(i) == category]
    val = [i for i in val if category_of(i) == category] or train
    training = np.stack([voxels.read(i, ("voxels",))["voxels"] for i in train])
    mean = training.mean(0, dtype=np.float32)
    validation = np.stack([voxels.read(i, ("voxels",))["voxels"] for i in val])
    scores = iou_at_thresholds(np.broadcast_to(mean, validation.shape), validation).mean(0)
    seen = np.concatenate([views.read(i, ("viewpoint",))["viewpoint"] for i in train])
    return Baselines(
        mean_shape=mean,
        mean_threshold=float(THRESHOLDS[int(scores.argmax())]),
        training=training.reshape(len(training), -1),
        training_ids=tuple(train),
        viewpoint=constant_viewpoint(seen),
    )


def constant_viewpoint(viewpoints: np.ndarray) -> np.ndarray:
    """(4,) float32: the viewpoint whose mean geodesic error over (V, 4) viewpoints is least.

    Searched among 72 azimuths and the quantiles of the elevations, in-plane rotation 0.
    """
    azimuth = np.arange(0, 360, 5.0)
    elevation = np.unique(np.quantile(viewpoints[:, 1], np.linspace(0, 1, 9)))
    grid = np.stack(np.meshgrid(azimuth, elevation, indexing="ij"), -1).reshape(-1, 2)
    some = viewpoints[:: max(1, len(viewpoints) // 500)].astype(np.float64)
    truth = camera(some)  # (S, 3, 3)
    guess = camera(np.column_stack([grid, np.zeros((len(grid), 2))]))  # (G, 3, 3)
    errors = rotations.geodesic(guess[:, None], truth[None]).mean(1)
    best = grid[int(errors.argmin())]
    return np.array([best[0], best[1], 0, np.median(viewpoints[:, 3])], np.float32)


def camera(viewpoints: np.ndarray) -> np.ndarray:
    """(V, 3, 3) float64 world-to-camera rotations of (V, 4) viewpoints in degrees."""
    angles = np.radians(np.asarray(viewpoints, np.float64)[:, :3])
    return rotations.camera(angles[:, 0], angles[:, 1], angles[:, 2])

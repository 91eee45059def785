"""How far a point cloud is from a shape, in the published way and in a sound one.

Distances are 100 times those in world units, where shapes have diagonal 1. Letters: N M points.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from stages.evaluate.midpoints import densified
from stages.geometry.mesh import Mesh
from stages.geometry.points import sample_surface

SCALE = 100.0
DRAWN = 200  # points that the published evaluation draws of a cloud
DENSE = 100_000  # midpoints that it adds to a mesh, and points on the surface here
SPREAD = 10_000  # points on the surface whose distance to a cloud is measured
CLOSE = 0.01  # of the F-score: 1 % of the diagonal
NUMBERS = (
    "pred -> GT, 200 points",
    "GT -> pred, 200 points",
    "pred -> GT",
    "GT -> pred",
    "Chamfer",
    "F-score at 1 %",
)


@dataclass(frozen=True)
class Truth:
    """A shape as points, to measure clouds against; trees hold what is searched."""

    dense: cKDTree  # vertices and midpoints, as published: small faces count more
    surface: cKDTree  # uniform over the area
    spread: np.ndarray  # (SPREAD, 3), uniform over the area

    @classmethod
    def of(cls, mesh: Mesh, rng: np.random.Generator) -> Truth:
        """Of a mesh; ItemError if it has no area."""
        points = sample_surface(mesh, DENSE + SPREAD, rng)
        return cls(cKDTree(densified(mesh, DENSE)), cKDTree(points[SPREAD:]), points[:SPREAD])

    def compare(self, cloud: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """(6,) float32 NUMBERS of a cloud (N, 3).

        The published distances are means over DRAWN random points of each side; the sound ones over
        all points of the cloud, to the DENSE points on the surface, and over the SPREAD points, to
        the cloud. Chamfer is the mean of those two, the F-score the harmonic mean of the shares
        that are within CLOSE. Distances of an empty cloud are NaN, its F-score is 0.
        """
        if not len(cloud):
            return np.array([np.nan] * 5 + [0], np.float32)
        tree = cKDTree(cloud)
        targets = np.asarray(self.dense.data)
        drawn = [one[rng.integers(len(one), size=DRAWN)] for one in (cloud, targets)]
        to_truth, to_cloud = self.surface.query(cloud)[0], tree.query(self.spread)[0]
        precision, recall = (to_truth <= CLOSE).mean(), (to_cloud <= CLOSE).mean()
        both = [to_truth.mean(), to_cloud.mean()]
        distances = [
            self.dense.query(drawn[0])[0].mean(),
            tree.query(drawn[1])[0].mean(),
            *both,
            sum(both) / 2,
        ]
        score = 2 * precision * recall / max(precision + recall, 1e-12)
        return np.array([*(SCALE * d for d in distances), score], np.float32)


def chamfer(first: np.ndarray, second: np.ndarray) -> float:
    """Mean of both mean distances to the nearest, times 100, of clouds (N, 3) and (M, 3).

    Infinite if one of them is empty.
    """
    if not len(first) or not len(second):
        return np.inf
    one, other = cKDTree(first), cKDTree(second)
    return SCALE * float(one.query(second)[0].mean() + other.query(first)[0].mean()) / 2

"""Batches of ray-length maps with the class of their shape.

Letters: B batch, P poses of a shape, n rows of a map.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from stages.errors import InputError
from stages.systems.pictures import Kept
from stages.systems.spherical_cnn.params import REQUIRES, Params

RES = REQUIRES["spheres"]["res"]
# Canonical shapes have a diagonal of 1, so no ray is longer than half of it.
SCALE = 2.0


class Maps:
    """All poses of some shapes as samples: pose p of shape s is number s * P + p."""

    def __init__(
        self, load: Callable[[str], Mapping[str, np.ndarray]], ids: Sequence[str], params: Params
    ) -> None:
        self.ids, self.params, self._load = list(ids), params, load
        self._shapes = Kept(self._read, params.cache_mb)
        self._poses: int | None = None

    @property
    def poses(self) -> int:
        """P, the number of poses of every shape."""
        if self._poses is None:
            self._poses = len(self._shapes.get(self.ids[0])["map"]) if self.ids else 0
        return self._poses

    def __len__(self) -> int:
        return len(self.ids) * self.poses

    def batch(self, indices: Sequence[int], generator: torch.Generator | None) -> dict[str, Any]:
        """map (B, 1, n, n) float32, 0 to 1; label (B,) int64; and the ids.

        With a generator each map is turned about its axis by a random number of columns, which is
        exactly the map of the turned shape.
        """
        chosen = [(self.ids[i // self.poses], i % self.poses) for i in indices]
        maps = [self._shapes.get(item)["map"][pose] for item, pose in chosen]
        if generator is not None:
            turns = torch.randint(RES, (len(maps),), generator=generator).tolist()
            maps = [np.roll(one, turn, -1) for one, turn in zip(maps, turns)]
        labels = [self._label(item) for item, _ in chosen]
        return {
            "map": torch.from_numpy(np.stack(maps)) * SCALE,
            "label": torch.tensor(labels),
            "id": [f"{item} pose {pose}" for item, pose in chosen],
        }

    def _label(self, item: str) -> int:
        category = item.split("/", 1)[0]
        try:
            return self.params.classes.index(category)
        except ValueError:
            raise InputError(
                f"{item}: this network tells {', '.join(self.params.classes)} apart",
                f"train one on {category}, too",
            ) from None

    def _read(self, item: str) -> dict[str, np.ndarray]:
        maps = np.asarray(self._load(item)["map"])
        if maps.ndim != 4 or maps.shape[1:] != (1, RES, RES):
            raise InputError(
                f"map of {item} has shape {maps.shape}, not (poses, 1, {RES}, {RES})",
                f"run: crossdim raycast --res {RES} --poses random",
            )
        return {"map": maps}

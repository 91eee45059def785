"""Batches of random skeletons: what the interpreter learns from, without pictures.

Letters: S skeletons, B batch, N keypoints, K bases.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from stages.errors import InputError
from stages.skeletons.template import Template

Batch = dict[str, Any]
_NAMES = ("alpha", "theta", "translation", "focal", "points", "keypoints", "visible")


class Drawn:
    """All skeletons of some blocks as samples, kept in memory: some 250 bytes each."""

    def __init__(
        self,
        load: Callable[[str], Mapping[str, np.ndarray]],
        ids: Sequence[str],
        template: Template,
    ) -> None:
        self.ids, self.template = list(ids), template
        self._load = load
        self._arrays: dict[str, torch.Tensor] | None = None

    @property
    def arrays(self) -> dict[str, torch.Tensor]:
        """alpha (S, K), theta (S, 3) radians, translation (S, 2), focal (S,), points (S, N, 3),
        keypoints (S, N, 2), visible (S, N): those of all blocks, in their order."""
        if self._arrays is None:
            blocks = [self._read(item) for item in self.ids]
            self._arrays = {
                name: torch.from_numpy(np.concatenate([block[name] for block in blocks]))
                for name in _NAMES
            }
        return self._arrays

    def __len__(self) -> int:
        return len(self.arrays["focal"]) if self.ids else 0

    def batch(self, indices: Sequence[int], generator: torch.Generator | None) -> Batch:
        """The arrays of these skeletons."""
        chosen = torch.as_tensor(indices)
        return {
            **{name: values[chosen] for name, values in self.arrays.items()},
            "id": [f"skeleton {i}" for i in indices],
        }

    def _read(self, item: str) -> dict[str, np.ndarray]:
        arrays = dict(self._load(item))
        bases, keypoints = arrays["alpha"].shape[1:], arrays["points"].shape[1:]
        template = self.template
        if bases != (template.basis_count,) or keypoints != (len(template.keypoints), 3):
            raise InputError(
                f"{item} has {bases[0]} bases and {keypoints[0]} keypoints, the template "
                f"{template.name} {template.basis_count} and {len(template.keypoints)}",
                f"run: crossdim skeletons --category {template.name}",
            )
        arrays["theta"] = np.radians(arrays.pop("theta_deg"))
        return arrays

"""The five published systems, each a package with the same face, which `stages.train` drives.

A system's package imports no torch and holds:

    NAME, SELECT            "pose-aware"; the validation number that keeps the best checkpoint, and
                            whether "max" or "min" of it is best
    REQUIRES                the artefacts it learns from: {"voxels": {"res": 32}, ...}
    Params, PRESETS         a frozen dataclass; {"tiny", "small", "paper"} of it
    build(params)           the untrained torch module
    dataset(load, ids, params)   a data set over `load(shape_id) -> arrays` with
                            `draw(params, generator)`, one training batch, and `batches(size, views)`,
                            an iterator over all views, or some of each shape, for validation
    optimizer(model, params)     its torch.optim.Optimizer
    losses(model, batch, params, context)   tensors by name: "loss" is to be backpropagated, the others
                            are for the log
    validate(model, batch, params)          (B,) numbers of each sample by name, to be averaged
    predict(model, images, params)          tensors by name, for images (B, 3, H, W), 0 to 1

A batch is a dict of tensors with the samples first. `Context` says where the training is; all
randomness of a step comes from its generator, so that a resumed training repeats it.
"""

from __future__ import annotations

import difflib
import importlib
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING

from stages.errors import UsageError

if TYPE_CHECKING:
    import torch

PACKAGES = {"pose-aware": "stages.systems.pose_aware"}


@dataclass(frozen=True)
class Context:
    """The step that `losses` is called for."""

    step: int
    steps: int  # of the whole training
    generator: torch.Generator  # on the CPU, seeded from (seed, step, rank)
    training: bool = True


def get(name: str) -> ModuleType:
    """The package of the system called `name`; UsageError with the nearest name if there is none."""
    if name not in PACKAGES:
        near = difflib.get_close_matches(name, PACKAGES, n=1) or sorted(PACKAGES)
        raise UsageError(f"no system is called {name}", f"did you mean: {', '.join(near)}")
    return importlib.import_module(PACKAGES[name])

"""What a run says of pictures and of shapes, and the rotations that follow from it.

Letters: V views, N pairs, M methods, C channels, t rows of an embedding.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from stages.errors import CrossdimError
from stages.train.run import Run, Trained, load_model

if TYPE_CHECKING:
    import torch

# How a rotation comes from what a system says, best first.
METHODS = {
    "equivariant": ("refined", "64^3 grid"),
    "pose-regression": ("regressed",),
    "keypointnet": ("keypoints",),
}
_SAYS = {
    "equivariant": "embedding",
    "pose-regression": "rotation",
    "keypointnet": "keypoints",
    "spherical-cnn": "probabilities",
    "deep-encoding": "code",
}
_BATCH = 64
_GRID_ROWS = 64  # of the maps that the paper's grid of 64^3 rotations comes from


@lru_cache(maxsize=1)
def network(folder: str, weights: str, device: str) -> Trained:
    """The best network of a run, read once a process.

    Raises CrossdimError when its weights are not those that the caller has planned with.
    """
    import torch

    trained = load_model(Run(Path(folder)), "best", device=torch.device(device))
    if trained.sha256 != weights:
        raise CrossdimError(f"run {trained.run} was trained on meanwhile", "run it again")
    return trained


def say(trained: Trained, inputs: torch.Tensor, device: str, turns: int = 0) -> torch.Tensor:
    """(V, ...) on the CPU: what the network says of pictures (V, 3, S, S), or of maps.

    `turns` averages the embeddings of so many turned pictures and their mirror images.
    """
    import torch

    name, more = _SAYS[trained.system.NAME], (turns,) if turns else ()
    parts = [
        trained.system.predict(trained.model, part.to(device), trained.params, *more)[name]
        for part in inputs.split(_BATCH)
    ]
    return torch.cat(parts).float().cpu()


def pictures(rgb: np.ndarray) -> torch.Tensor:
    """(V, 3, S, S), 0 to 1, of uint8 pictures (V, S, S, 3)."""
    import torch

    return torch.from_numpy(rgb).permute(0, 3, 1, 2).float() / 255


def embed_shapes(trained: Trained, maps: np.ndarray, device: str) -> torch.Tensor:
    """(V, C, t, t) embeddings, by the frozen network, of ray lengths (V, 1, n, n), world units."""
    import torch

    from stages.systems.spherical_cnn.data import SCALE

    model: Any = trained.model
    parts = (torch.from_numpy(maps) * SCALE).split(_BATCH)
    return torch.cat([model.embed_maps(part.to(device)).float().cpu() for part in parts])


def relative(trained: Trained, first: torch.Tensor, second: torch.Tensor) -> np.ndarray:
    """(N, M, 3, 3) rotations R1 R2^T of the second camera's frame to the first's."""
    name = trained.system.NAME
    if name == "equivariant":
        return aligned(first, second)
    if name == "pose-regression":
        return (first @ second.mT)[:, None].numpy()
    return trained.system.relative_rotation(first, second)[:, None].numpy()


def aligned(first: torch.Tensor, second: torch.Tensor) -> np.ndarray:
    """(N, 2, 3, 3) rotations R, first(x) = second(R^-1 x), of embeddings (N, C, t, t).

    By the refined peak of their correlation, and the paper's way: enlarged maps, the best of 64^3.
    """
    import torch

    from stages.sphere.alignment import align
    from stages.sphere.transform import sht
    from stages.sphere.upsampled import align_upsampled
    from stages.systems.spherical_cnn.model import GRID

    refined = align(sht(first, GRID), sht(second, GRID)).rotation
    grid = align_upsampled(first, second, max(1, _GRID_ROWS // first.shape[-1])).rotation
    return torch.stack([refined, grid], 1).numpy()

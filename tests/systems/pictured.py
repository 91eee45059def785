"""Small coloured shapes as the stage `views` draws them, for tests of systems that see pictures;
and what their losses are told of a step.
"""

from __future__ import annotations

from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from stages import render
from stages.geometry.mesh import Mesh
from stages.stage import Item
from tests.render.models import box, joined

MARKER = np.array([0.3, -0.15, 0.2])  # the middle of a red cube; all else is grey
_GREY = (0.5, 0.5, 0.5, 1.0)


def marked() -> Mesh:
    """A red cube at `MARKER`, a grey one at the other end of the shape."""
    half = 0.02
    return joined(
        box(tuple(MARKER - half), tuple(MARKER + half), (1.0, 0.0, 0.0, 1.0)),
        box(tuple(-MARKER - half), tuple(-MARKER + half), _GREY),
    )


def stool() -> Mesh:
    """Its own mirror image in x, with parts of different colours; the back is red."""
    return joined(
        box((-0.3, -0.3, -0.05), (0.3, 0.3, 0.05), (0.2, 0.3, 0.9, 1.0)),
        box((-0.3, 0.2, 0.05), (0.3, 0.3, 0.4), (0.9, 0.2, 0.2, 1.0)),
        box((-0.3, -0.3, -0.3), (-0.2, -0.2, -0.05), (0.2, 0.8, 0.2, 1.0)),
        box((0.2, -0.3, -0.3), (0.3, -0.2, -0.05), (0.2, 0.8, 0.2, 1.0)),
    )


def drawn(mesh: Mesh, **options: Any) -> dict[str, np.ndarray]:
    """The arrays of the stage `views`, 128 pixels, by the project's own rasteriser."""
    params = render.Params(**{"size": 128, "backend": "numba", "supersample": 1, **options})
    item = Item("chair/stool", {"shapes": mesh.to_arrays()})
    return render.process(item, params, np.random.default_rng(0))


@cache
def stool_views() -> dict[str, np.ndarray]:
    """24 upright views of the stool, from above, from the front and its sides."""
    return drawn(
        stool(),
        views=24,
        viewpoints="uniform",
        elevation_min_deg=10.0,
        azimuth_min_deg=-60.0,
        azimuth_max_deg=60.0,
        ambient=0.9,
        directional=0.0,
    )


def context(step: int = 0, seed: int = 0) -> SimpleNamespace:
    """What `losses` is told: the step, and a generator of its own."""
    generator = torch.Generator().manual_seed(seed)
    return SimpleNamespace(step=step, steps=1, training=True, generator=generator)

"""Two shapes with depth maps of 32 pixels and pictures, for tests of the structure generator."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import cache

import numpy as np
import torch

from stages import depths, render
from stages.geometry.mesh import Mesh
from stages.stage import Item
from stages.systems import structure_generator as system
from stages.systems.structure_generator.data import Pictures
from tests.depths.shapes import ell

PRESETS = system.PRESETS
SIZE = 32
PARAMS = dataclasses.replace(
    PRESETS["tiny"],
    encoder=(8, 16, 16, 16),
    encoder_full=(),
    latent=16,
    decoder_full=(256,),
    decoder=(16, 8, 8),
    batch=4,
    novel=2,
    flip=False,
    jitter=0.0,
    precision="fp32",
)
JOINT = dataclasses.replace(PARAMS, stage="joint")


@cache
def arrays(name: str) -> Mapping[str, np.ndarray]:
    """What the stages `depths` and `views` store of the L, upright or on its back."""
    mesh = ell()
    if name == "chair/back":
        mesh = Mesh.plain(mesh.vertices[:, [0, 2, 1]] * [1, 1, -1], mesh.faces)
    item = Item(name, {"shapes": mesh.to_arrays()})
    rng = np.random.default_rng(0)
    maps = depths.process(item, depths.Params(size=SIZE, novel=6), rng)
    options = render.Params(size=64, views=3, viewpoints="uniform", backend="numba", supersample=1)
    seen = render.process(item, options, rng)
    names = ("depth", "extrinsics", "novel_depth", "novel_extrinsics")
    return {"rgb": seen["rgb"], **{n: maps[n] for n in names}}


def pictures(params: system.Params = PARAMS, most: int = 0) -> Pictures:
    return Pictures(arrays, ["chair/ell", "chair/back"], params, most)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)

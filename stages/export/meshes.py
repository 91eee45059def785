"""A mesh file of others, in the canonical frame."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from stages.errors import InputError
from stages.geometry.mesh import Mesh
from stages.shapes import importing
from stages.stage import Item
from stages.store.guarded import Limits, Refused, call_each

_LIMITS = Limits(jobs=1, seconds=120.0, memory_gib=4.0)


def read_mesh(path: Path, up: str, front: str) -> Mesh:
    """The mesh of a file, z up, front towards -y, box centred, diagonal 1; parsed in a guarded
    process.

    `up` and `front` are axes of the file. Raises InputError when it cannot be read, UsageError for
    axes that cannot be.
    """
    from stages.geometry.frames import canonical_rotation

    canonical_rotation(up, front)
    source = {"root": str(path.parent), "path": path.name, "up": up, "front": front}
    source |= dict.fromkeys(("split", "family", "source", "licence"), "")
    found = call_each(_read, [source], _LIMITS)[0]
    if isinstance(found, Refused):
        raise InputError(f"{path}: {found.reason}", "give a mesh: .obj .off .ply .stl .glb .gltf")
    return Mesh.from_arrays(found)


def _read(source: dict[str, str]) -> Any:
    item = Item("mesh/one", {}, source)
    return importing.process(item, importing.Params(), np.random.default_rng(0))

"""What one picture gave: files, pictures for people, and facts for programs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from stages.geometry.cameras import viewpoints_of
from stages.geometry.mesh import Mesh


class Tile(NamedTuple):
    """A picture for people, with what it shows."""

    title: str
    rgb: np.ndarray  # (h, w, 3) uint8


@dataclass(frozen=True)
class Prediction:
    """What a network says of one picture."""

    files: Mapping[str, bytes] = field(default_factory=dict)  # by suffix: ".glb"
    tiles: tuple[Tile, ...] = ()
    pose: Mapping[str, Any] | None = None
    pose_missing: str = ""  # why there is none
    confidence: Mapping[str, float] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)  # what else the system says


@dataclass(frozen=True)
class Beside:
    """What a prediction may be held against, where it was given."""

    mesh: Mesh | None = None  # in the canonical frame
    mesh_name: str = ""
    meshes: Mapping[str, Mesh] = field(default_factory=dict)  # shapes of the workspace, by id


def pose_of(rotation: np.ndarray) -> dict[str, Any]:
    """A rotation (3, 3), canonical frame to camera, as angles and as it is."""
    azimuth, elevation, inplane, _ = viewpoints_of(rotation[None])[0]
    return {
        "azimuth_deg": round(float(azimuth), 3),
        "elevation_deg": round(float(elevation), 3),
        "inplane_deg": round(float(inplane), 3),
        "rotation": np.round(rotation.astype(np.float64), 6).tolist(),
        "frame": "x_camera = rotation x_canonical; canonical z up, front -y; camera x right, "
        "y down, z forward",
    }

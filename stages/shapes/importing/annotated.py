"""Meshes with named 3D keypoints (`annotated`): a folder of meshes and one table of keypoints.

    chair01.ply           category chair, id chair01: the name without the digits at its end
    keypoints3d.json      {"chair01": {"back_upper_left": [x, y, z], ...}, ...}

Keypoints are in the coordinates of the mesh file. Axes: z up, front -y, as the CAD models of
ObjectNet3D have them; `--up` and `--front` say otherwise. A mesh that the table does not name has
no keypoints.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stages.errors import InputError
from stages.shapes.importing.listing import (
    Listing,
    Sources,
    axes_of,
    data_folder,
    meshes,
    require,
)
from stages.store.texts import TextError, read_json

TABLE = "keypoints3d.json"
UP, FRONT = "+z", "-y"
_NAME_BYTES = 32  # of a keypoint


def list_annotated(origin: Mapping[str, Any]) -> Sources:
    """The sources by id, each with its `keypoints`, name -> x, y, z in the file's coordinates.

    Raises InputError for a folder without table or meshes, and for a table that is no such table,
    or holds what is no number, NaN included.
    """
    root = data_folder(origin)
    table = _table(root / TABLE)
    listing = Listing(root, axes_of(origin, UP, FRONT))
    for stem, mesh in meshes(root):
        category = stem.rstrip("0123456789-_") or stem
        listing.add(category, stem, mesh.name, keypoints=table.get(stem, {}))
    return require(listing, root, f"PATH/chair01.ply and PATH/{TABLE}")


def _table(path: Path) -> dict[str, dict[str, list[float]]]:
    try:
        found = read_json(path)
        return {str(model): _points(path, str(model), one) for model, one in found.items()}
    except FileNotFoundError:
        raise InputError(f"{path} is missing", "name the folder that holds it") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}", "check it") from None
    except TextError as error:
        raise InputError(f"{path} {error}", "mend it") from None
    except (ValueError, AttributeError) as error:
        raise InputError(f"{path} is no table of keypoints ({error})", "mend it") from None


def _points(path: Path, model: str, named: Mapping[str, Any]) -> dict[str, list[float]]:
    points = {}
    for name, point in named.items():
        good = isinstance(point, list) and len(point) == 3
        if not good or not all(isinstance(v, int | float) and math.isfinite(v) for v in point):
            raise InputError(
                f"{path.name}: {name} of {model} is {str(point)[:60]}, not three numbers",
                "mend it, or leave that keypoint out",
            )
        if not (name.isascii() and name.isprintable() and 0 < len(name) <= _NAME_BYTES):
            raise InputError(f"{path.name}: a keypoint of {model} is called {name[:60]!r}", "mend")
        points[name] = [float(v) for v in point]
    return points

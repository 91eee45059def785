"""The CAD models of PASCAL3D+ and of ObjectNet3D (`pascal3d`).

`CAD/<class>/01.off` in PASCAL3D+ 1.1, `CAD/off/<class>/01.off` in ObjectNet3D; the .mat files hold
the same meshes with their keypoints. Axes: z up, front -y, on which their azimuths rest. Ids are
`<class>/<number>`, with the classes' own names, such as aeroplane and diningtable.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from stages.shapes.importing.listing import (
    Listing,
    Sources,
    axes_of,
    data_folder,
    folders,
    meshes,
    require,
)

UP, FRONT = "+z", "-y"


def list_pascal3d(origin: Mapping[str, Any]) -> Sources:
    """The sources by id. `path` is the data set, its CAD folder, or a folder that holds either.

    Raises InputError as `Listing.add`, and when there are no models.
    """
    path = data_folder(origin)
    axes = axes_of(origin, UP, FRONT)
    listing = Listing(path, axes)
    for folder in _candidates(path):
        listing = Listing(folder, axes, "ObjectNet3D" if folder.name == "off" else "PASCAL3D+")
        for category in folders(folder):
            for stem, mesh in meshes(category.path):
                listing.add(category.name, stem, f"{category.name}/{mesh.name}")
        if listing.sources:
            break
    return require(listing, path, "PATH/CAD/class/01.off, or PATH/CAD/off/class/01.off")


def _candidates(path: Path) -> Iterator[Path]:
    """Where the folders of the classes may lie, the likeliest first."""
    for base in (path, *(Path(entry.path) for entry in folders(path))):
        for below in ("CAD/off", "CAD"):
            if (base / below).is_dir():
                yield base / below
    if (path / "off").is_dir():
        yield path / "off"
    yield path

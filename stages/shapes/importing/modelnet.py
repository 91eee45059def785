"""ModelNet10 and ModelNet40 (`modelnet`): `category/train|test/name.off`, with that split.

Axes: z up. Front: -y, as the models of ModelNet10 have it (checked on chair_0001: its seat reaches
to y = -0.32, its back rest stands at y = +0.3). ModelNet40 itself is not aligned: some of its
models are turned about z. In its aligned variants (Sedaghat et al., Orientation-boosted voxel nets,
BMVC 2017; modelnet40_auto_aligned and modelnet40_manually_aligned, in the same layout) all models
of a category face one way, which a render of a few shows; `--front` says which, where it is not -y.
"""

from __future__ import annotations

from collections.abc import Mapping
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
from stages.shapes.splits import SPLITS

UP, FRONT = "+z", "-y"


def list_modelnet(origin: Mapping[str, Any]) -> Sources:
    """The sources by id. `path` is the data set, or the folder of one category.

    Raises InputError as `Listing.add`, and when there are no models.
    """
    path = data_folder(origin)
    is_category = any((path / split).is_dir() for split in SPLITS)
    root = path.parent if is_category else path
    listing = Listing(root, axes_of(origin, UP, FRONT), "ModelNet")
    for name in [path.name] if is_category else [entry.name for entry in folders(path)]:
        _add_category(listing, root, name)
    return require(listing, path, "PATH/category/train/name.off, PATH/category/test/name.off")


def _add_category(listing: Listing, root: Path, category: str) -> None:
    for split in folders(root / category):
        if split.name in SPLITS:
            for stem, mesh in meshes(split.path):
                path = f"{category}/{split.name}/{mesh.name}"
                listing.add(category, stem, path, split=split.name)

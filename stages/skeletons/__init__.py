"""Random skeletons with their 2D keypoints (`crossdim skeletons sample`), without pictures.

What the 3D interpreter learns from (3D-INN, Wu et al. 2016, section 3.3). One item is a block of
skeletons of one template. Kept are parameters, 3D keypoints and where they are projected to;
heatmaps are made of those when they are needed (`stages.systems.interpreter.heatmaps`), for a
million of them would take 48 GB.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from stages.stage import Arrays, ArraySpec, Item, Stage, differing, option
from stages.store.fingerprint import safe_name
from stages.store.workspace import Workspace

VERSION = 1
BLOCK = 5000  # skeletons of an item, fewer in the last one
SPLITS = ("train", "val", "test")

_PIXELS = "pixels of a picture of 240 x 320"
_FRAME = "skeleton: y up, z to the front"


def _block(
    dtype: str, axes: dict[str, int | None], units: str, frame: str = "", compress: int = 0
) -> ArraySpec:
    """An array of the skeletons of a block, any number; `axes` of one, with their lengths.

    Random digits do not compress.
    """
    names, shape = ("skeleton", *axes), (None, *axes.values())
    return ArraySpec(dtype, names, units, frame, shape=shape, ragged=True, compress=compress)


SPEC = {
    "alpha": _block("float32", {"base": None}, "weights of the base shapes"),
    "theta_deg": _block("float32", {"axis": 3}, "degrees, R = Rx Ry Rz", _FRAME),
    "translation": _block("float32", {"axis": 2}, _PIXELS, "image"),
    "focal": _block("float32", {}, _PIXELS),
    "points": _block("float32", {"keypoint": None, "xyz": 3}, _PIXELS, _FRAME),
    "keypoints": _block("float32", {"keypoint": None, "uv": 2}, _PIXELS, "image"),
    "visible": _block("bool", {"keypoint": None}, "in the picture", compress=1),
    "rejected": ArraySpec("int32", (), "draws of impossible or invisible skeletons"),
    "split": ArraySpec("S16", label=True),
    "family": ArraySpec("S64", label=True),
}


@dataclass(frozen=True)
class Params:
    """How skeletons are drawn."""

    template: str = ""  # its name; filled in by the command
    ranges: str = option("published", "ranges of the template: published, executable")
    perturbation: float = option(
        0.01, "deviation of the noise on keypoints, in diagonals", low=0, high=1
    )
    uniform: Literal["focal", "inverse"] = option(
        "focal", "which is uniform, the focal length or its inverse"
    )
    least_visible: int = option(1, "keypoints in the picture at least", low=0)


def process(item: Item, params: Params, rng: np.random.Generator) -> Arrays:
    """The arrays of SPEC for one block; `item.source` is one of `list_sources`."""
    from stages.skeletons.sampling import sample
    from stages.skeletons.template import load

    source = item.source
    template = load(params.template, Workspace(Path(source["root"])))
    drawn = sample(
        template,
        template.range(params.ranges),
        source["count"],
        rng,
        params.perturbation,
        params.uniform,
        params.least_visible,
    )
    return {
        "alpha": drawn.alpha,
        "theta_deg": np.degrees(drawn.theta),
        "translation": drawn.translation,
        "focal": drawn.focal,
        "points": drawn.points,
        "keypoints": drawn.keypoints,
        "visible": drawn.visible,
        "rejected": np.int32(drawn.rejected),
        "split": np.array(source["split"].encode(), "S16"),
        "family": np.array(item.id.split("/", 1)[1].encode(), "S64"),
    }


def list_sources(origin: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The blocks by id, `category/split-000000`, of the counts of each split in `origin`.

    `root` of the origin is the workspace that the template is looked for in. Raises UsageError for
    what cannot be a category.
    """
    category = safe_name(str(origin["category"]), "category")
    blocks = {}
    for split in SPLITS:
        total = int(origin[split])
        for number in range(-(-total // BLOCK)):
            count = min(BLOCK, total - number * BLOCK)
            blocks[f"{category}/{split}-{number:06d}"] = {
                "root": origin["root"],
                "template": origin["template"],
                "count": count,
                "split": split,
            }
    return blocks


def digest_of(source: Mapping[str, Any]) -> str:
    """What a block depends on beside the parameters: how many skeletons it has, of what."""
    from stages.skeletons.template import load, print_of

    template = load(source["template"], Workspace(Path(source["root"])))
    return f"{source['count']} {print_of(template)}"


def variant(params: Params) -> str:
    """`chair`, `chair-rangesexecutable`: the template, then what is not the default."""
    told = {k: v for k, v in differing(params).items() if k != "template"}
    return "-".join([params.template, *(f"{name}{value}" for name, value in told.items())])


STAGE = Stage(
    name="skeletons",
    version=VERSION,
    params=Params,
    spec=SPEC,
    process=process,
    command="crossdim skeletons sample",
    list_sources=list_sources,
    digest=digest_of,
    variant=variant,
)

"""Options that belong together: the views that the papers learn from, and names of view sets.

What each preset shares with its source, and where it must differ, is in docs/render.md.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from stages.render.params import RANGES, Params, ranges_of
from stages.stage import differing
from stages.store.fingerprint import digest

_LONGEST = 100  # characters of a folder's name

# 3D-R2N2 (Choy et al. 2016), lib/blender_renderer.py, lib/config.py: 35 mm lens on a 32 mm sensor,
# distances 0.65 to 0.95 of 1.75, almost white backgrounds.
_R2N2 = Params(
    size=137,
    views=24,
    viewpoints="uniform",
    elevation_min_deg=25.0,
    elevation_max_deg=30.0,
    distance_min=0.65 * 1.75,
    distance_max=0.95 * 1.75,
    focal=35 / 32,
    background="solid",
    solid_min=225,
)
# PTN (Yan et al. 2016): azimuths of 15 degrees, elevation 30. What the pose-aware paper (section 3)
# and the structure generator take; with the camera of MVC, which the pose-aware paper gives.
_PTN = Params()
# MVC (Tulsiani et al. 2018), preprocess/synthetic/rendering.
_MVC = Params(views=10, viewpoints="uniform")
# The deep encoding paper, section 3.1; white light, camera and number of views are ours.
_DEEP_ENCODING = Params(size=486, viewpoints="kde", background="solid")
# The equivariant embeddings, sections 4.1 and A.2, table 2: the whole sphere, upright or turned,
# meshes scaled at random while it learns, four views of each as they are when it is tested.
_SO3 = Params(size=128, viewpoints="so3", stretch=1.25)
_SPHERE = replace(_SO3, viewpoints="sphere")

PRESETS: dict[str, Params] = {
    "ptn": _PTN,
    "mvc": _MVC,
    "r2n2": _R2N2,
    "deep-encoding": _DEEP_ENCODING,
    "equivariant-2dof": _SPHERE,
    "equivariant-3dof": _SO3,
    "equivariant-2dof-test": replace(_SPHERE, views=4, stretch=1.0),
    "equivariant-3dof-test": replace(_SO3, views=4, stretch=1.0),
    "pointcloud": _PTN,
}


def variant(params: Params) -> str:
    """The name of a view set: `r2n2`, or `uniform10-128px-elevation0to60-solid`.

    A preset as it is has its own name, the defaults are `grid24-64px`; else what differs from the
    defaults, in order.
    """
    for name, preset in PRESETS.items():
        if params == preset != Params():
            return name
    kind = (
        params.viewpoints if params.viewpoints == "grid24" else f"{params.viewpoints}{params.views}"
    )
    name = "-".join([kind, f"{params.size}px", *_ranges(params), *_rest(params)])
    return name if len(name) <= _LONGEST else f"{name[:60]}-{digest(name.encode())[:8]}"


def _ranges(params: Params) -> list[str]:
    """The ranges that are not those of their kind, as `elevation-10to30`."""
    words = []
    if params.viewpoints in RANGES:
        drawn, usual = ranges_of(params), RANGES[params.viewpoints]
        for angle in ("azimuth", "elevation", "inplane"):
            low, high = getattr(drawn, f"{angle}_deg")
            if (low, high) != getattr(usual, f"{angle}_deg"):
                words.append(f"{angle}{low:g}to{high:g}")
    default = Params()
    for name in ("distance", "solid"):
        low, high = getattr(params, f"{name}_min"), getattr(params, f"{name}_max")
        if (low, high) != (getattr(default, f"{name}_min"), getattr(default, f"{name}_max")):
            words.append(f"{name}{low:g}to{high:g}")
    return words


def _rest(params: Params) -> list[str]:
    named = {"size", "views", "viewpoints"}
    named |= {name for name in differing(params) if "_min" in name or "_max" in name}
    return [_word(k, v) for k, v in differing(params).items() if k not in named]


def _word(name: str, value: Any) -> str:
    """A parameter in a folder's name: `flat`, `supersample1`, `lightrandom`."""
    if isinstance(value, str):
        return f"{name}{value}" if name == "light" else value
    return name.removesuffix("_deg").replace("_", "") + f"{value:g}"

"""How shapes are seen and drawn: the parameters of `crossdim render`, and which go together.

Imports nothing heavy: the command line reads it for its help.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from stages.errors import UsageError
from stages.geometry.cameras import DISTANCE, FOCAL, Ranges
from stages.stage import differing, option

GRID_VIEWS = 24
MOST_SAMPLES = 8192  # a side: 1.3 GB while a view is drawn
MOST_PIXELS = 2**27  # of a shape: 1 GiB of colours, masks and depths before they are stored

# The angles of the kinds of viewpoints that are drawn from ranges.
RANGES = {
    "uniform": Ranges(elevation_deg=(-20.0, 40.0)),
    "sphere": Ranges(),
    "so3": Ranges(inplane_deg=(-180.0, 180.0)),
}


@dataclass(frozen=True)
class Params:
    """How shapes are seen and drawn."""

    size: int = option(64, "pixels a side", low=8, high=4096)
    views: int = option(GRID_VIEWS, "views a shape (all but grid24)", low=1, high=10000)
    viewpoints: Literal["grid24", "uniform", "sphere", "so3", "kde"] = option(
        "grid24",
        "24 azimuths at elevation 30; angles uniform in degrees; directions uniform on the sphere, "
        "upright; rotations uniform over SO(3); as in real pictures",
    )
    distribution: str = option("pascal3d", "fitted viewpoints (kde)")
    azimuth_min_deg: float | None = option(None, "lowest azimuth: 0", low=-180, high=180)
    azimuth_max_deg: float | None = option(None, "highest azimuth: 360", low=-180, high=360)
    elevation_min_deg: float | None = option(
        None, "lowest elevation: -20 (uniform), -90 (sphere, so3)", low=-90, high=90
    )
    elevation_max_deg: float | None = option(
        None, "highest elevation: 40 (uniform), 90 (sphere, so3)", low=-90, high=90
    )
    inplane_min_deg: float | None = option(
        None, "lowest in-plane rotation: 0 (uniform, sphere), -180 (so3)", low=-180, high=180
    )
    inplane_max_deg: float | None = option(
        None, "highest in-plane rotation: 0 (uniform, sphere), 180 (so3)", low=-180, high=180
    )
    # Below 0.6 the camera would be among the faces.
    distance_min: float = option(DISTANCE, "nearest camera, in diagonals", low=0.6, high=100)
    distance_max: float = option(DISTANCE, "farthest camera, in diagonals", low=0.6, high=100)
    focal: float = option(FOCAL, "focal length in image widths", low=0.1, high=100)
    stretch: float = option(
        1.0,
        "scale each axis by up to this factor, then to diagonal 1, for each view",
        low=1,
        high=4,
    )
    supersample: int = option(3, "samples a pixel side, odd", low=1, high=15)
    shading: Literal["smooth", "flat"] = option("smooth", "normals of the vertices or the faces")
    background: Literal["grey", "solid", "images"] = option(
        "grey", "one grey, a colour drawn for each view, or parts of pictures"
    )
    grey: int = option(255, "level of the grey background", low=0, high=255)
    solid_min: int = option(0, "least red, green and blue of the colours (solid)", low=0, high=255)
    solid_max: int = option(255, "most red, green and blue of the colours (solid)", low=0, high=255)
    images: str = option("", "name of the imported pictures (images)")
    # Together 0.9: white keeps apart from a white background.
    ambient: float = option(0.4, "strength of the light from everywhere", low=0, high=2)
    directional: float = option(0.5, "strength of the directional light", low=0, high=2)
    light_azimuth_deg: float = option(-30.0, "light right of the camera", low=-180, high=180)
    light_elevation_deg: float = option(45.0, "light above the camera", low=-90, high=90)
    light: Literal["fixed", "random"] = option("fixed", "the same, or drawn for each view")
    light_spread_deg: float = option(
        60.0, "farthest from its direction (random light)", low=0, high=180
    )
    light_strength_spread: float = option(
        0.4, "strengths are multiplied by 1 +- up to this (random light)", low=0, high=1
    )
    backend: Literal["auto", "numba", "pyrender"] = option(
        "auto", "auto: pyrender where OpenGL runs on a graphics device, else numba"
    )


# Options that only count with some values of another one.
_COUNTS_WITH: dict[str, tuple[str, tuple[str, ...]]] = {
    "views": ("viewpoints", ("uniform", "sphere", "so3", "kde")),
    "distribution": ("viewpoints", ("kde",)),
    **{
        f"{angle}_{end}_deg": ("viewpoints", tuple(RANGES))
        for angle in ("azimuth", "elevation", "inplane")
        for end in ("min", "max")
    },
    "grey": ("background", ("grey",)),
    "solid_min": ("background", ("solid",)),
    "solid_max": ("background", ("solid",)),
    "images": ("background", ("images",)),
    "light_spread_deg": ("light", ("random",)),
    "light_strength_spread": ("light", ("random",)),
}


def view_count(params: Params) -> int:
    """How many views a shape gets."""
    return GRID_VIEWS if params.viewpoints == "grid24" else params.views


def ranges_of(params: Params) -> Ranges:
    """Between which angles `uniform`, `sphere` and `so3` draw."""
    kind = RANGES[params.viewpoints]

    def limits(angle: str) -> tuple[float, float]:
        given = (getattr(params, f"{angle}_min_deg"), getattr(params, f"{angle}_max_deg"))
        low, high = (
            g if g is not None else k for g, k in zip(given, getattr(kind, f"{angle}_deg"))
        )
        return low, high

    return Ranges(limits("azimuth"), limits("elevation"), limits("inplane"))


def check(params: Params) -> None:
    """Raises UsageError where options contradict each other, EnvironmentLacks without OpenGL."""
    _check_counts(params)
    _check_sizes(params)
    _check_ranges(params)
    if params.background == "images" and not params.images:
        raise UsageError(
            "--background images needs the name of imported pictures",
            "run: crossdim backgrounds import DIR --name NAME, then add --images NAME",
        )
    if params.backend == "pyrender":
        from stages.render.backend import choose

        choose(params.backend)


def _check_counts(params: Params) -> None:
    given = set(differing(params))
    for name, (other, values) in _COUNTS_WITH.items():
        value = getattr(params, other)
        if name in given and value not in values:
            raise UsageError(
                f"{_flag(name)} does nothing with {_flag(other)} {value}",
                f"leave it out, or use {_flag(other)} {' or '.join(values)}",
            )


def _check_sizes(params: Params) -> None:
    if params.supersample % 2 == 0:
        raise UsageError(
            f"--supersample {params.supersample} is even: no sample at the centre of a pixel",
            "use 1, 3, 5, ...",
        )
    if params.size * params.supersample > MOST_SAMPLES:
        raise UsageError(
            f"--size {params.size} with --supersample {params.supersample} is too fine",
            f"their product may be {MOST_SAMPLES} at most",
        )
    most = MOST_PIXELS // params.size**2
    if view_count(params) > most:
        raise UsageError(
            f"{view_count(params)} views of --size {params.size} are too many for one shape",
            f"use --views {most} or less" if most > 1 else "use a smaller --size",
        )


def _check_ranges(params: Params) -> None:
    pairs = {
        "distance_min": (params.distance_min, params.distance_max),
        "solid_min": (params.solid_min, params.solid_max),
    }
    if params.viewpoints in RANGES:
        ranges = ranges_of(params)
        pairs["azimuth_min_deg"] = ranges.azimuth_deg
        pairs["elevation_min_deg"] = ranges.elevation_deg
        pairs["inplane_min_deg"] = ranges.inplane_deg
    for name, (low, high) in pairs.items():
        if low > high:
            raise UsageError(
                f"{_flag(name)} {low:g} is above the highest, {high:g}",
                f"lower it, or raise {_flag(name.replace('_min', '_max'))}",
            )


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"

"""What is drawn at random for each view: viewpoint, scale of the shape, light and background.

Each has a stream of random numbers of its own, so that other backgrounds leave the viewpoints as
they are. Letters: N views, S pixels a side.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from stages.errors import ItemError
from stages.geometry import cameras
from stages.geometry.frames import random_scales
from stages.geometry.mesh import Mesh
from stages.render.attach import MISSING, PICTURES
from stages.render.params import Params, ranges_of, view_count
from stages.stage import Item

# New ones go to the end: the others keep their numbers.
STREAMS = ("angles", "distance", "scale", "light", "background")
Background = Callable[[int], np.ndarray]  # view -> (S, S, 3) uint8
_LEAST_PART = 0.5  # side of the part of a picture that is seen, as a share of the whole


@dataclass(frozen=True)
class Variety:
    """What may differ from view to view, beside the viewpoint."""

    scale: np.ndarray  # (N, 3) float64 factors along x, y, z before the shape is seen
    light: np.ndarray  # (N, 4) float64 azimuth_deg, elevation_deg, directional, ambient
    background: Background


def streams(rng: np.random.Generator) -> dict[str, np.random.Generator]:
    """A generator for each of STREAMS."""
    return dict(zip(STREAMS, rng.spawn(len(STREAMS))))


def draw_viewpoints(item: Item, params: Params, rngs: dict[str, np.random.Generator]) -> np.ndarray:
    """(N, 4) float64 viewpoints, exactly as float32 holds them, azimuth in [0, 360).

    Raises ItemError where the shape's category has no fitted viewpoints.
    """
    count, rng = view_count(params), rngs["angles"]
    if params.viewpoints == "grid24":
        found = cameras.grid24()
    elif params.viewpoints == "kde":
        from stages.viewpoints import sample

        if MISSING in item.source:
            raise ItemError(f"{item.source[MISSING]}: crossdim viewpoints fit")
        found = sample(item.source, count, rng)
    else:
        draw = cameras.uniform if params.viewpoints == "uniform" else cameras.on_sphere
        found = draw(count, rng, ranges_of(params))
    found[:, 3] = rngs["distance"].uniform(params.distance_min, params.distance_max, count)
    found = _as_stored(found)
    found[:, 0] %= 360  # rounding may have made 360 of it
    return found


def draw_variety(
    item: Item, mesh: Mesh, params: Params, rngs: dict[str, np.random.Generator]
) -> Variety:
    """The variety of the views of a shape, `mesh` in the world frame."""
    count = view_count(params)
    scale = np.ones((count, 3))
    if params.stretch > 1:
        low, high = mesh.bounds().astype(np.float64)
        scale = random_scales(high - low, params.stretch, count, rngs["scale"])
    plain = fixed(params, count)
    light, background, rng = plain.light, plain.background, rngs["background"]
    if params.light == "random":
        light = draw_lights(params, count, rngs["light"])
    if params.background == "solid":
        background = draw_colours(params, count, rng)
    elif params.background == "images":
        pictures = [arrays["rgb"] for arrays in item.attached[PICTURES]]
        background = draw_parts(pictures, params.size, count, rng)
    return Variety(_as_stored(scale), _as_stored(light), background)


def fixed(params: Params, count: int) -> Variety:
    """No variety: the light of the parameters, and their grey."""
    light = (
        params.light_azimuth_deg,
        params.light_elevation_deg,
        params.directional,
        params.ambient,
    )
    grey = np.full((params.size, params.size, 3), params.grey, np.uint8)
    return Variety(np.ones((count, 3)), np.tile(np.array(light), (count, 1)), lambda view: grey)


def draw_lights(params: Params, count: int, rng: np.random.Generator) -> np.ndarray:
    """(count, 4) azimuth_deg, elevation_deg, directional and ambient strength.

    Directions are uniform over the cap of the sphere around the fixed direction, strengths uniform
    around the fixed ones; both strengths have factors of their own.
    """
    part = rng.random((count, 4))
    below = (1 - np.cos(np.radians(params.light_spread_deg))) * part[:, 0]  # the cap's height
    turn = 2 * np.pi * part[:, 1]
    ring = np.sqrt(np.clip(below * (2 - below), 0, None))
    # Of a light on the axis: right, up and towards the camera. Then up to its elevation, and right.
    local = np.stack([ring * np.cos(turn), ring * np.sin(turn), 1 - below], -1)
    a, e = np.radians([params.light_azimuth_deg, params.light_elevation_deg])
    tilt = np.array([[1, 0, 0], [0, np.cos(e), np.sin(e)], [0, -np.sin(e), np.cos(e)]])
    swing = np.array([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]])
    right, up, near = swing @ tilt @ local.T
    azimuth = np.degrees(np.arctan2(right, near))
    elevation = np.degrees(np.arcsin(np.clip(up, -1, 1)))
    factor = 1 + params.light_strength_spread * (2 * part[:, 2:] - 1)
    strengths = factor * [params.directional, params.ambient]
    return np.column_stack([azimuth, elevation, strengths])


def draw_colours(params: Params, count: int, rng: np.random.Generator) -> Background:
    """A colour for each of `count` views, its red, green and blue uniform in their range."""
    colours = rng.integers(params.solid_min, params.solid_max + 1, (count, 3), np.int64)
    shape = (params.size, params.size, 3)
    return lambda view: np.full(shape, colours[view], np.uint8)


def draw_parts(
    pictures: Sequence[np.ndarray], size: int, count: int, rng: np.random.Generator
) -> Background:
    """For each of `count` views a random square part of one of the (P, P, 3) uint8 pictures.

    Views take the pictures in turn. The side of a part is uniform from half of the picture, or from
    `size` pixels where the picture has more than that, to all of it; half of them are mirrored.
    """
    numbers = rng.random((count, 4))

    def part(view: int) -> np.ndarray:
        from PIL import Image

        picture = pictures[view % len(pictures)]
        whole = len(picture)
        least = max(_LEAST_PART * whole, min(size, whole))
        share, across, along, coin = numbers[view]
        side = round(least + share * (whole - least))
        left, top = (int(u * (whole - side + 1)) for u in (across, along))
        seen = picture[top : top + side, left : left + side]
        seen = seen[:, ::-1] if coin < 0.5 else seen
        image = Image.fromarray(np.ascontiguousarray(seen))
        return np.array(image.resize((size, size), Image.Resampling.BICUBIC))

    return part


def _as_stored(values: np.ndarray) -> np.ndarray:
    """The values as the cache will hold them, so that what is drawn is what is stored."""
    return values.astype(np.float32).astype(np.float64)

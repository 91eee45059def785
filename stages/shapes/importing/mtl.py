"""Wavefront MTL: the materials of an OBJ file. Plain text handling, nothing heavy.

Of a material only what a picture of flat colours needs is kept: diffuse colour, opacity, and the
name of the diffuse texture.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from typing import Any

# What an option of a texture line takes after it: up to three numbers, two, or one word.
_OPTION = re.compile(r"-(?:[sot](?:\s+[-+.\deE]+){1,3}|mm\s+\S+\s+\S+|\w+\s+\S+)\s+")
_TEXTURE = re.compile(r"(map_\w+|bump|disp|decal|refl|norm)\s+(.*)", re.IGNORECASE)


@dataclass(frozen=True)
class Described:
    """A material as its file describes it."""

    rgb: tuple[float, float, float] = (0.7, 0.7, 0.7)  # sRGB, 0..1
    alpha: float = 1.0
    texture: str = ""  # of the diffuse colour, as written


def decoded(data: bytes) -> str:
    """Text of unknown encoding: UTF-8, or else Latin-1, which never fails."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def parse_mtl(text: str) -> dict[str, Described]:
    """The materials of an MTL file by name; lines that make no sense are passed over."""
    materials: dict[str, Described] = {}
    name = None
    for line in text.splitlines():
        key, _, rest = line.strip().partition(" ")
        key, rest = key.lower(), rest.strip()
        if key == "newmtl":
            name = rest
            materials[name] = Described()
        elif name is not None:
            materials[name] = replace(materials[name], **_setting(key, rest))
    return materials


def _setting(key: str, rest: str) -> dict[str, Any]:
    """What one line changes of a material."""
    if key == "map_kd":
        return {"texture": texture_name(rest)}
    if key not in ("kd", "d", "tr"):
        return {}
    try:
        values = [float(word) for word in rest.replace("-halo", "").split()]
    except ValueError:  # `Kd spectral file.rfl` and the like
        return {}
    if not values or not all(map(math.isfinite, values)):
        return {}
    values = [min(max(value, 0.0), 1.0) for value in values]
    if key == "kd":
        return {"rgb": tuple((values * 3)[:3])}
    return {"alpha": values[0] if key == "d" else 1 - values[0]}


def texture_name(rest: str) -> str:
    """The file name of a texture line, its options left out; names may hold spaces."""
    rest = rest.strip()
    while match := _OPTION.match(rest):
        rest = rest[match.end() :]
    return rest.strip()


def texture_names(text: str) -> list[str]:
    """Every texture that an MTL file names, of whatever kind."""
    matches = (_TEXTURE.match(line.strip()) for line in text.splitlines())
    return [name for m in matches if m and (name := texture_name(m[2]))]

"""Templates: what the skeletons of a category are made of, as plain JSON files.

A template names N keypoints, the edges between them, K base shapes of which the first is the mean
shape, and the ranges that parameters are drawn from (3D-INN, Wu et al. 2016, sections 3.1 and 3.3).
It is `WORKSPACE/templates/NAME.json`, which `crossdim skeletons fit` writes, or one that comes with
the package (`stages/skeletons/templates/NAME.json`).

Skeleton frame, that of the published base shapes: y up, z to the front, so x to the object's own
left, which is right in a picture of its front. `TO_CANONICAL` turns it into the project's frame
(z up, front -y). Lengths are pixels of a picture of 240 x 320 (`projection`).
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from stages.errors import InputError
from stages.store.fingerprint import canonical_json, digest, safe_name
from stages.store.signed import read_signed, signed
from stages.store.texts import TextError
from stages.store.workspace import Workspace
from stages.viewpoints.categories import canonical

FORMAT = "crossdim/template"
FORMAT_VERSION = 1
_SIGNED_VERSION = 2  # of files that `crossdim skeletons fit` writes: the same, with a digest
# Rows: canonical x, y, z of skeleton coordinates (x, y, z): x_canonical = TO_CANONICAL x_skeleton.
TO_CANONICAL = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
LEAST_FOCAL = 1.0  # pixels: below it a picture is no picture
_MOST_BYTES = 1 << 20
_MOST = 256  # keypoints, bases
_SHIPPED = Path(str(resources.files("stages.skeletons"))) / "templates"


@dataclass(frozen=True)
class Ranges:
    """Between which values parameters are drawn, uniformly; pairs (low, high)."""

    scale: tuple[float, float]  # alpha_1
    alpha: tuple[tuple[float, float], ...]  # alpha_k / alpha_1 of the K - 1 others
    theta_deg: tuple[tuple[float, float], ...]  # about x, y and z; R = Rx Ry Rz
    translation: tuple[tuple[float, float], ...]  # of x and y, pixels
    focal: tuple[float, float]  # pixels

    def pairs(self) -> list[tuple[float, float]]:
        """All of them, one below the other."""
        return [self.scale, *self.alpha, *self.theta_deg, *self.translation, self.focal]


@dataclass(frozen=True)
class Template:
    """One category's skeleton; letters N keypoints, K bases."""

    name: str
    keypoints: tuple[str, ...]  # N names
    edges: tuple[tuple[int, int], ...]  # rows of keypoints
    bases: np.ndarray  # (K, N, 3) float64
    ranges: Mapping[str, Ranges]
    # What other sources call the keypoints: source -> name here -> name there
    sources: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    provenance: str = ""

    @property
    def basis_count(self) -> int:
        """K."""
        return len(self.bases)

    def range(self, name: str) -> Ranges:
        """The ranges of that name; InputError with those that there are."""
        if name not in self.ranges:
            there = ", ".join(self.ranges)
            raise InputError(
                f"template {self.name} has no ranges called {name!r}", f"there are: {there}"
            )
        return self.ranges[name]

    def to_json(self) -> dict[str, Any]:
        """Plain values, as in the file."""
        return {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "name": self.name,
            "provenance": self.provenance,
            "keypoints": list(self.keypoints),
            "edges": [list(edge) for edge in self.edges],
            "bases": self.bases.tolist(),
            "ranges": {
                name: json.loads(json.dumps(asdict(one))) for name, one in self.ranges.items()
            },
            "sources": {name: dict(one) for name, one in self.sources.items()},
        }


def to_bytes(template: Template) -> bytes:
    """The bytes of a template's file: JSON, a line for each keypoint of each base, its digest."""
    made = template.to_json() | {"format_version": _SIGNED_VERSION}
    bases = made.pop("bases")
    rows = ",\n".join(
        "  [\n" + ",\n".join(f"   {json.dumps(point)}" for point in base) + "\n  ]"
        for base in bases
    )
    lines = [f" {json.dumps(k)}: {json.dumps(v)}" for k, v in made.items()]
    lines.append(f' "bases": [\n{rows}\n ]')
    return signed(("{\n" + ",\n".join(lines) + "\n}\n").encode())


def print_of(template: Template) -> str:
    """A digest of all that skeletons depend on."""
    return digest(canonical_json(template.to_json()).encode())


def parse(values: Mapping[str, Any]) -> Template:
    """The template of plain values; ValueError, saying what, for one that cannot be used."""
    versions = (FORMAT_VERSION, _SIGNED_VERSION)
    if values.get("format") != FORMAT or values.get("format_version") not in versions:
        raise ValueError("it is of another format")
    names = tuple(str(name) for name in values["keypoints"])
    if not 3 <= len(names) <= _MOST or len(set(names)) < len(names):
        raise ValueError(f"it has {len(names)} keypoints, {len(set(names))} different ones")
    edges = tuple((int(a), int(b)) for a, b in values["edges"])
    for edge in edges:
        if not all(0 <= end < len(names) for end in edge):
            raise ValueError(f"an edge joins {edge[0]} and {edge[1]} of {len(names)} keypoints")
    bases = np.array(values["bases"], np.float64)
    if bases.ndim != 3 or bases.shape[1:] != (len(names), 3) or not 1 <= len(bases) <= _MOST:
        raise ValueError(f"its bases are {bases.shape}, not (K, {len(names)}, 3)")
    if not np.isfinite(bases).all() or not np.ptp(bases[0], axis=0).any():
        raise ValueError("its bases are not finite, or its mean shape is a point")
    ranges = {str(n): _ranges(str(n), one, len(bases)) for n, one in values["ranges"].items()}
    if not ranges:
        raise ValueError("it has no ranges")
    sources = {
        str(source): {str(k): str(v) for k, v in one.items()}
        for source, one in values.get("sources", {}).items()
    }
    for source, one in sources.items():
        if unknown := set(one) - set(names):
            raise ValueError(f"{source} names {sorted(unknown)[0]!r}, which is no keypoint of it")
    return Template(
        str(values["name"]), names, edges, bases, ranges, sources, str(values.get("provenance", ""))
    )


def _ranges(name: str, values: Mapping[str, Any], bases: int) -> Ranges:
    def pair(value: Any) -> tuple[float, float]:
        low, high = (float(v) for v in value)
        if not (np.isfinite([low, high]).all() and low <= high):
            raise ValueError(f"range {value} of {name} is none")
        return low, high

    def many(key: str, count: int) -> tuple[tuple[float, float], ...]:
        found = tuple(pair(value) for value in values[key])
        if len(found) != count:
            raise ValueError(f"{name} has {len(found)} ranges of {key}, not {count}")
        return found

    made = Ranges(
        pair(values["scale"]),
        many("alpha", bases - 1),
        many("theta_deg", 3),
        many("translation", 2),
        pair(values["focal"]),
    )
    if made.focal[0] < LEAST_FOCAL:
        raise ValueError(f"{name} has focal lengths from {made.focal[0]:g} pixels on")
    if made.scale[0] <= 0:
        raise ValueError(f"{name} has scales from {made.scale[0]:g} on")
    return made


def load(name: str, workspace: Workspace) -> Template:
    """The template of that name, or of the category that it is another name of.

    The workspace's own goes before the package's. Raises InputError when there is none, or the file
    is no template.
    """
    for known in dict.fromkeys((name, canonical(name))):
        path = path_of(known, workspace)
        if path.is_file():
            stamp = path.stat()
            return _read(path, stamp.st_mtime_ns, stamp.st_size)
    there = names_of(workspace)
    close = difflib.get_close_matches(name, there, 1)
    raise InputError(
        f"no template of a skeleton called {name!r}",
        f"did you mean {close[0]}?"
        if close
        else f"there are: {', '.join(there)}; or run: crossdim skeletons fit --category {name}",
    )


@lru_cache(maxsize=16)
def _read(path: Path, stamp: int, size: int) -> Template:
    hint = "make it again: crossdim skeletons fit (by hand: version 1, without sha256)"
    try:
        return parse(read_signed(path, _SIGNED_VERSION, _MOST_BYTES))
    except TextError as error:
        raise InputError(f"{path} {error}", hint) from None
    except (ValueError, OverflowError) as error:
        raise InputError(f"{path} is no template: {error}", hint) from None
    except (OSError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path} is damaged ({type(error).__name__}: {error})", hint) from None


def path_in(workspace: Workspace, name: str) -> Path:
    """Where a template of the workspace is, or would be; UsageError for what is no name."""
    return workspace.root / "templates" / f"{safe_name(name, 'template')}.json"


def path_of(name: str, workspace: Workspace) -> Path:
    """The file of a template, which may not be there."""
    own = path_in(workspace, name)
    return own if own.is_file() else _SHIPPED / f"{name}.json"


def names_of(workspace: Workspace) -> list[str]:
    """The names of all templates: of the workspace, and those that come with the package."""
    folders = (workspace.root / "templates", _SHIPPED)
    return sorted({p.stem for folder in folders for p in folder.glob("*.json")})

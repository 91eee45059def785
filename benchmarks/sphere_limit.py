"""How exactly rotations are found from exact features: what the image branch is measured against.

    python -m benchmarks.sphere_limit WORKSPACE [--run NAME] [--source NAME]

Shapes of the workspace (or of shapes/NAME), cast at two rotations uniform over SO(3); the frozen
network of a run of spherical-cnn embeds both maps, and `stages.evaluate.answers.aligned` finds the
rotation between them as `crossdim eval relpose` and `align` do. Errors in degrees: of the refined
peak, and of the paper's way (enlarged maps, the best of 64^3 rotations). Rows differ in

- pairs: 100 shapes with themselves (IB), or 100 pairs of different shapes of each category of 10
  or more (CB), as if they were one;

- rays: cast at 64 x 64, as the networks read them; or finer, and brought to 64 x 64 without what is
  above degree 31 (spectral pooling), so that nothing folds down;
- features: the ray lengths themselves, or the maps that pictures are embedded as, in the layer for
  "pose" or for "views", with the pooling that the run was trained with, by area, or the exactly
  equivariant one in its place, the weights being the same.

Symmetric shapes come out half a turn off, rightly; `above 15` counts those and other failures, and
medians of a category with many of them, such as round tables, mean nothing. `up to 180` is the
smaller of e and 180 - e, as the paper counts for airplanes. `equivariance` is the relative L2
error of the features of the second map, turned by the true rotation, beside those of the first,
channels without their means: of rays, layers and pooling together.

Writes benchmarks/sphere_limit.csv.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from stages.evaluate.answers import aligned
from stages.geometry.mesh import Mesh
from stages.geometry.rotations import geodesic
from stages.raycast import cast
from stages.raycast.body import prepare
from stages.sphere.pooling import spectral_pool
from stages.sphere.rotation import rotate_maps
from stages.store.workspace import Workspace, category_of
from stages.systems.spherical_cnn.data import RES, SCALE
from stages.train.run import find_run, load_model

PAIRS = 100
FINE = (1, 2, 4)  # times the rays of a side
OUTPUT = Path(__file__).with_suffix(".csv")
LEAST = 10  # shapes of a category, to pair different ones
COLUMNS = (
    *("of", "rays", "features", "pooling", "category", "pairs"),
    *("equivariance", "above 15", "above 30"),
)
METHODS = ("refined", "64^3 grid")
Pairs = list[tuple[str, str]]


def pairs_of(ids: list[str], rng: np.random.Generator) -> dict[str, Pairs]:
    """Shapes with themselves, and with others of their category."""
    own = [ids[n] for n in rng.choice(len(ids), min(PAIRS, len(ids)), replace=False)]
    other: Pairs = []
    for category in sorted({category_of(item) for item in ids}):
        kind = [item for item in ids if category_of(item) == category]
        if len(kind) >= LEAST:
            drawn = [rng.choice(len(kind), 2, replace=False) for _ in range(PAIRS)]
            other += [(kind[first], kind[second]) for first, second in drawn]
    return {"one shape": [(item, item) for item in own], "two shapes": other}


def maps_of(meshes: list[Mesh], rotations: np.ndarray, fine: int) -> torch.Tensor:
    """(2, 1, 64, 64) ray lengths of two meshes at rotations (2, 3, 3), cast finer and reduced."""
    bodies = [prepare(mesh, False, np.zeros(3)) for mesh in meshes]
    cast_ = [cast(body, fine * RES, matrix=r) for body, r in zip(bodies, rotations)]
    maps = torch.from_numpy(np.stack(cast_))
    while maps.shape[-1] > RES:
        maps = spectral_pool(maps)
    return maps * SCALE


def features(model: Any, maps: torch.Tensor) -> Iterator[tuple[str, str, torch.Tensor]]:
    """Name, pooling, and (N, 2, C, t, t) features of maps (N, 2, 1, 64, 64)."""
    yield "ray lengths", "", maps
    trained_with = model.pooling
    for layer in ("pose", "views"):
        for pooling in ("area", "spectral"):
            model.pooling = pooling
            found = model.target(maps.flatten(0, 1), layer)
            yield f"layer {layer}", pooling, found.unflatten(0, maps.shape[:2])
    model.pooling = trained_with


def unequal(found: torch.Tensor, truth: np.ndarray) -> float:
    """Median relative error over N pairs of features (N, 2, C, t, t), R1 R2^T (N, 3, 3) apart."""
    turn = torch.from_numpy(truth).to(found)[:, None]
    turned = rotate_maps(found[:, 1], turn)
    mean = found[:, 0].mean((2, 3), keepdim=True)
    error = (found[:, 0] - turned).flatten(1).norm(dim=1)
    return float((error / (found[:, 0] - mean).flatten(1).norm(dim=1)).median())


def rows(errors: np.ndarray, categories: np.ndarray) -> Iterator[dict[str, Any]]:
    """Numbers of (N, 2) errors over all pairs, and by category."""
    for category in ("all", *sorted(set(categories))):
        some = errors[categories == category] if category != "all" else errors
        row: dict[str, Any] = {"category": category, "pairs": len(some)}
        row.update({f"above {n}": round(float((some[:, 0] > n).mean()), 3) for n in (15, 30)})
        for number, method in enumerate(METHODS):
            row[f"{method} median"] = round(float(np.median(some[:, number])), 3)
            row[f"{method} p90"] = round(float(np.percentile(some[:, number], 90)), 3)
            turned = np.minimum(some[:, number], 180 - some[:, number])
            row[f"{method} median up to 180"] = round(float(np.median(turned)), 3)
        yield row


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("workspace", type=Path)
    parser.add_argument("--run")
    parser.add_argument("--source")
    options = parser.parse_args()
    workspace = Workspace(options.workspace)
    model: Any = load_model(find_run(workspace.root, "spherical-cnn", options.run)).model
    sources = [a for a in workspace.artefacts("shapes") if options.source in (None, a.variant)]
    owners = {item: a for a in sources for item in a.index.items()}
    written: list[dict[str, Any]] = []
    for of, pairs in pairs_of(sorted(owners), np.random.default_rng(0)).items():
        rotations = Rotation.random(2 * len(pairs), random_state=0).as_matrix().reshape(-1, 2, 3, 3)
        truth = rotations[:, 0] @ rotations[:, 1].transpose(0, 2, 1)
        categories = np.array([category_of(first) for first, _ in pairs])
        meshes = [[Mesh.from_arrays(owners[i].read(i)) for i in pair] for pair in pairs]
        for fine in FINE if of == "one shape" else FINE[:1]:
            maps = torch.stack([maps_of(m, r, fine) for m, r in zip(meshes, rotations)])
            for name, pooling, found in features(model, maps):
                told = aligned(found[:, 0], found[:, 1]).astype(np.float64)
                errors = np.degrees(geodesic(told, truth[:, None]))
                rays = f"{fine * RES} to {RES}" if fine > 1 else str(RES)
                same = {"of": of, "rays": rays, "features": name, "pooling": pooling}
                if of == "one shape":
                    same["equivariance"] = f"{unequal(found, truth):.3f}"
                written += [{**same, **row} for row in rows(errors, categories)]
                print(written[-1 - len(set(categories))], flush=True)
    with OUTPUT.open("w", newline="") as file:
        numbers = ("median", "p90", "median up to 180")
        columns = [*COLUMNS, *(f"{method} {what}" for method in METHODS for what in numbers)]
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(written)


if __name__ == "__main__":
    main()

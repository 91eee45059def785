"""How exactly rotations are found from exact features: what the image branch is measured against.

    python -m benchmarks.sphere_limit WORKSPACE [--run NAME]

100 shapes of the workspace, each cast at two rotations uniform over SO(3); the frozen network of a
run of spherical-cnn embeds both maps, and `stages.evaluate.answers.aligned` finds the rotation
between them as `crossdim eval relpose` and `align` do. Errors in degrees: of the refined peak, and
of the paper's way (enlarged maps, the best of 64^3 rotations). Rows differ in

- rays: cast at 64 x 64, as the networks read them; or finer, and brought to 64 x 64 without what is
  above degree 31 (spectral pooling), so that nothing folds down;
- features: the ray lengths themselves, or the maps that pictures are embedded as, in the layer for
  "pose" or for "views", with the pooling that the run was trained with, by area, or the exactly
  equivariant one in its place, the weights being the same.

Symmetric shapes come out half a turn off, rightly; `above 15` counts those and other failures, and
medians of a category with many of them, such as round tables, mean nothing. Writes
benchmarks/sphere_limit.csv.
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
from stages.store.workspace import Workspace, category_of
from stages.systems.spherical_cnn.data import RES, SCALE
from stages.train.run import find_run, load_model

PAIRS = 100
FINE = (1, 2, 4)  # times the rays of a side
OUTPUT = Path(__file__).with_suffix(".csv")
COLUMNS = ("rays", "features", "pooling", "category", "pairs", "above 15")
METHODS = ("refined", "64^3 grid")


def maps_of(mesh: Mesh, rotations: np.ndarray, fine: int) -> torch.Tensor:
    """(2, 1, 64, 64) ray lengths at two rotations (2, 3, 3), cast finer and brought down."""
    body = prepare(mesh, False, np.zeros(3))
    maps = torch.from_numpy(np.stack([cast(body, fine * RES, matrix=r) for r in rotations]))
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


def rows(errors: np.ndarray, categories: np.ndarray) -> Iterator[dict[str, Any]]:
    """Numbers of (N, 2) errors over all pairs, and by category."""
    for category in ("all", *sorted(set(categories))):
        some = errors[categories == category] if category != "all" else errors
        row: dict[str, Any] = {"category": category, "pairs": len(some)}
        row["above 15"] = round(float((some[:, 0] > 15).mean()), 3)
        for number, method in enumerate(METHODS):
            row[f"{method} median"] = round(float(np.median(some[:, number])), 3)
            row[f"{method} p90"] = round(float(np.percentile(some[:, number], 90)), 3)
        yield row


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("workspace", type=Path)
    parser.add_argument("--run")
    options = parser.parse_args()
    workspace = Workspace(options.workspace)
    model: Any = load_model(find_run(workspace.root, "spherical-cnn", options.run)).model
    owners = {item: a for a in workspace.artefacts("shapes") for item in a.index.items()}
    rng = np.random.default_rng(0)
    ids = sorted(owners)
    chosen = [ids[n] for n in rng.choice(len(ids), min(PAIRS, len(ids)), replace=False)]
    rotations = Rotation.random(2 * len(chosen), random_state=0).as_matrix().reshape(-1, 2, 3, 3)
    truth = rotations[:, 0] @ rotations[:, 1].transpose(0, 2, 1)
    categories = np.array([category_of(item) for item in chosen])
    meshes = [Mesh.from_arrays(owners[item].read(item)) for item in chosen]
    written = []
    for fine in FINE:
        maps = torch.stack([maps_of(m, r, fine) for m, r in zip(meshes, rotations)])
        for name, pooling, found in features(model, maps):
            told = aligned(found[:, 0], found[:, 1]).astype(np.float64)
            errors = np.degrees(geodesic(told, truth[:, None]))
            rays = f"{fine * RES} to {RES}" if fine > 1 else str(RES)
            same = {"rays": rays, "features": name, "pooling": pooling}
            written += [{**same, **row} for row in rows(errors, categories)]
            print(written[-1 - len(set(categories))], flush=True)
    with OUTPUT.open("w", newline="") as file:
        columns = [*COLUMNS, *(f"{m} {what}" for m in METHODS for what in ("median", "p90"))]
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(written)


if __name__ == "__main__":
    main()

"""How well do sampled viewpoints match annotations that were held out? One CSV row a rule.

    python benchmarks/viewpoints.py ../shared/data/viewpoints

Each data set is fitted on one part and compared with the other: PASCAL3D+ train and val, Stanford
Cars and FGVC-Aircraft train and test, Pix3D two random halves. Columns:

    moved           what smoothing does: L1 distance, in percentage points, of the 24-bin azimuth
                    histograms of the fitted annotations and of samples
    held_out        the same distance of samples from the annotations held out
    annotations     and of the fitted annotations from those held out: what sampling noise and the
                    difference of the parts alone come to
    log_density     mean natural logarithm of the density, per cubic degree, at the held-out
                    annotations; far-off ones count as 1e-12

Bins are centred on 0, 15, ... degrees: annotators like whole quarters, and an edge there would
count every blur of them.
"""

from __future__ import annotations

import argparse
import csv
import io
from pathlib import Path

import numpy as np

from stages.store.commit import commit_bytes
from stages.viewpoints.density import Density
from stages.viewpoints.fitted import density_of
from stages.viewpoints.fitting import Fit, fit_tables
from stages.viewpoints.sources import from_tables, viewpoints

RULES = ("cross-validation", "fixed", "silverman-linear")
SPLITS = {
    "pascal3d": ("train", "val"),
    "stanford_cars3d": ("train", "test"),
    "fgvc_aircraft3d": ("train", "test"),
    "pix3d": None,
}
SAMPLES = 200_000
HELD_OUT = 2000  # annotations whose density is taken
COLUMNS = ("data", "category", "fitted_n", "held_out_n", "rule", "azimuth_deg", "elevation_deg")
COLUMNS += ("inplane_deg", "moved", "held_out", "annotations", "log_density")


def histogram(azimuth_deg: np.ndarray) -> np.ndarray:
    """(24,) shares of the azimuths in bins centred on multiples of 15 degrees."""
    bins = np.floor(np.mod(azimuth_deg + 7.5, 360) / 15).astype(int) % 24
    return np.bincount(bins, minlength=24) / len(bins)


def distance(first: np.ndarray, second: np.ndarray) -> float:
    """L1 distance of the two histograms, in percentage points."""
    return float(100 * np.abs(histogram(first) - histogram(second)).sum())


def parts(path: Path, split: tuple[str, str] | None) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """(fitted, held out) viewpoints of each category."""
    sources = from_tables([path])
    if split is not None:
        fitted, held = (viewpoints(sources, splits=[name]) for name in split)
        return {name: (fitted[name], held[name]) for name in fitted}
    rng = np.random.default_rng(0)
    halves = {}
    for name, rows in viewpoints(sources).items():
        order = rng.permutation(len(rows))
        halves[name] = (rows[order[::2]], rows[order[1::2]])
    return halves


def fit(fitted: np.ndarray, rule: str) -> Density:
    """The density of (n, 4) viewpoints by a rule."""
    return density_of(fit_tables({"it": fitted}, Fit(rule))["it"])


def distances(density: Density, fitted: np.ndarray, held: np.ndarray) -> dict[str, float]:
    """How far samples are from the annotations, fitted and held out."""
    azimuth = density.sample(SAMPLES, np.random.default_rng(0))[:, 0]
    return {
        "moved": distance(azimuth, fitted[:, 0]),
        "held_out": distance(azimuth, held[:, 0]),
        "annotations": distance(fitted[:, 0], held[:, 0]),
    }


def log_density(density: Density, held: np.ndarray) -> float:
    """Mean logarithm of the density at annotations held out, on the axes that it smooths."""
    axes = tuple(axis for axis in range(3) if density.bandwidth_deg[axis] > 0)
    some = np.random.default_rng(0).permutation(len(held))[:HELD_OUT]
    values = density.density(held[some][:, axes], axes)
    return float(np.log(np.maximum(values, 1e-12)).mean())


def main() -> None:
    """Measure every data set by every rule, and write the CSV beside this file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="folder of the CSV files")
    folder = parser.parse_args().data
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for data, split in SPLITS.items():
        for category, (fitted, held) in parts(folder / f"{data}.csv", split).items():
            for rule in RULES:
                row = {"data": data, "category": category, "rule": rule}
                row |= {"fitted_n": len(fitted), "held_out_n": len(held)}
                density = fit(fitted, rule)
                row |= dict(zip(COLUMNS[5:8], density.bandwidth_deg))
                numbers = distances(density, fitted, held)
                numbers["log_density"] = log_density(density, held)
                row |= {name: round(value, 2) for name, value in numbers.items()}
                writer.writerow(row)
                print(*row.values())
    commit_bytes(Path(__file__).with_suffix(".csv"), text.getvalue().encode())


if __name__ == "__main__":
    main()

"""Samples look like annotations that were held out, more so than by the linear rule."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "viewpoints.py"

RULES = ("cross-validation", "silverman-linear")
# What the linear rule does to these data sets by its bandwidth, measured before and elsewhere.
KNOWN = {("stanford_cars3d", "car"): 36, ("fgvc_aircraft3d", "airplane"): 34}


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    """benchmarks/viewpoints.py, which made the table of docs/viewpoints.md."""
    spec = importlib.util.spec_from_file_location("benchmark_viewpoints", BENCHMARK)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def photographs(count: int, seed: int) -> np.ndarray:
    """(count, 4) viewpoints as people choose them: quarters of the front, straight, the rear."""
    rng = np.random.default_rng(seed)
    azimuth = rng.choice([0, 30, 330, 150, 180], count, p=[0.3, 0.25, 0.2, 0.1, 0.15])
    azimuth = (azimuth + rng.laplace(0, 5, count)) % 360
    elevation, inplane = rng.normal(5, 4, count), rng.normal(0, 2, count)
    return np.column_stack([np.round([azimuth, elevation, inplane]).T, np.full(count, np.nan)])


def test_on_synthetic_annotations(benchmark: ModuleType) -> None:
    fitted, held = photographs(800, 0), photographs(800, 1)
    circular, linear = (benchmark.fit(fitted, rule) for rule in RULES)
    near, far = (benchmark.distances(one, fitted, held) for one in (circular, linear))
    assert near["held_out"] < 0.4 * far["held_out"]
    assert near["moved"] < 0.4 * far["moved"]
    assert benchmark.log_density(circular, held) > benchmark.log_density(linear, held)


@pytest.mark.parametrize("data", ["pascal3d", "stanford_cars3d", "fgvc_aircraft3d", "pix3d"])
def test_on_real_annotations(shared_data: Path, benchmark: ModuleType, data: str) -> None:
    path = shared_data / "viewpoints" / f"{data}.csv"
    for category, (fitted, held) in benchmark.parts(path, benchmark.SPLITS[data]).items():
        circular, linear = (
            benchmark.distances(benchmark.fit(fitted, rule), fitted, held) for rule in RULES
        )
        assert circular["held_out"] < linear["held_out"], category
        assert circular["moved"] < linear["moved"] / 2, category
        if (data, category) in KNOWN:
            assert linear["moved"] == pytest.approx(KNOWN[data, category], abs=1)

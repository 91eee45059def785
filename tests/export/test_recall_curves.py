"""Curves over a threshold, of results that were made up: against naive loops and closed forms."""

from __future__ import annotations

import types
from typing import Any

import numpy as np
import pytest

from stages.errors import InputError, UsageError
from stages.evaluate.skeleton_metrics import RMSE_THRESHOLDS
from stages.export import recall_curves
from stages.export.measured import Measured, grouped
from stages.export.recall_curves import CHANCE, PCK_RANGE, Zoom, pck_panel, recall_panels

rng = np.random.default_rng(0)
ITEMS = ("chair/a", "chair/b")


class Results:
    """Arrays by item, read as those of an artefact are."""

    def __init__(self, arrays: dict[str, dict[str, np.ndarray]]) -> None:
        self._arrays = arrays
        self.index = types.SimpleNamespace(items=lambda: arrays)

    def read(self, item: str, names: tuple[str, ...] = ()) -> dict[str, np.ndarray]:
        return {name: self._arrays[item][name] for name in names}


def measured(name: str, arrays: Any, on: str = "landmarks/views") -> Measured:
    return Measured(types.SimpleNamespace(name=name), Results(arrays), on)  # type: ignore[arg-type]


def told(views: int = 7, keypoints: int = 5) -> dict[str, np.ndarray]:
    truth = rng.uniform(0, 200, (views, keypoints, 2))
    points = truth[:, None] + rng.normal(0, 12, (views, 4, keypoints, 2))
    points[:, 2:] = np.nan  # no projected skeleton, no fine level
    torso = rng.uniform(40, 90, views)
    torso[0] = np.nan
    return {
        "told": points,
        "truth": truth,
        "labelled": rng.random((views, keypoints)) < 0.8,
        "visible": rng.random((views, keypoints)) < 0.5,
        "sigma": np.full((views, keypoints), np.nan),
        "length": rng.uniform(80, 200, views),
        "torso": torso,
    }


def skeletons(views: int = 9) -> dict[str, np.ndarray]:
    rmse = rng.uniform(0, 0.35, (views, 4))
    rmse[0] = np.nan
    return {
        "rmse": rmse,
        "aligned_rmse": rmse,
        "reprojection": rmse,
        "azimuth_deg": rng.uniform(-180, 180, (views, 4)),
        "true_azimuth_deg": rng.uniform(-180, 180, views),
        "score": np.ones(views),
    }


@pytest.mark.parametrize("length", ["length", "torso"])
def test_pck_is_what_a_loop_counts(monkeypatch: pytest.MonkeyPatch, length: str) -> None:
    arrays = {item: told() for item in ITEMS}
    monkeypatch.setattr(recall_curves, "constant_answer", lambda *_: np.full((5, 2), 100.0))
    (group,) = grouped([measured("one", arrays)])
    panel = pck_panel(None, group, "labelled", length == "torso")  # type: ignore[arg-type]
    assert [c.method for c in panel.curves] == ["refined", "rough", "mean of the training"]
    for number, curve in enumerate(panel.curves):
        for place in (0, 10, 33, 60):
            within = counted = 0
            for one in arrays.values():
                for view in range(7):
                    for n in range(5):
                        if not one["labelled"][view, n] or np.isnan(one[length][view]):
                            continue
                        spot = one["told"][view, number, n] if number < 2 else [100, 100]
                        away = np.hypot(*(spot - one["truth"][view, n]))
                        within += away <= PCK_RANGE[place] * one[length][view]
                        counted += 1
            assert curve.values[place] == pytest.approx(within / counted)
    assert f"{counted} labelled keypoints" in panel.title
    assert "2 items" in panel.title


def test_recall_is_what_a_loop_counts() -> None:
    """Pictures without a truth are missed, azimuths go around the circle, chance is a line."""
    arrays = {item: skeletons() for item in ITEMS}
    structure, azimuth = recall_panels(grouped([measured("one", arrays)])[0])
    assert "2 without truth count as missed" in structure.title
    every = [
        one
        for a in arrays.values()
        for one in zip(a["rmse"], a["azimuth_deg"], a["true_azimuth_deg"])
    ]
    for m, curve in enumerate(structure.curves):
        limit = RMSE_THRESHOLDS[41]
        expected = np.mean([rmse[m] <= limit for rmse, _, _ in every])
        assert curve.values[41] == pytest.approx(expected)
        assert curve.values[0] == 0
        assert curve.values[-1] < 1  # some are beyond 0.3
    for m, curve in enumerate(azimuth.curves[:3]):
        away = [abs(np.angle(np.exp(1j * np.radians(a[m] - t)), deg=True)) for _, a, t in every]
        assert curve.values[77] == pytest.approx(np.mean(np.array(away) <= 77))
    assert azimuth.curves[3].method == CHANCE
    assert azimuth.curves[3].values[[0, 45, 90]].tolist() == [0, 0.25, 0.5]


def test_runs_are_compared_on_what_they_share() -> None:
    arrays = {item: skeletons() for item in (*ITEMS, "car/c")}
    other = {
        item: {**arrays[item], "rmse": arrays[item]["rmse"].copy()} for item in ("chair/b", "car/c")
    }
    other["chair/b"]["rmse"][:, 0] = 0.001
    groups = grouped([measured("one", arrays), measured("two", other)])
    assert [(g.category, g.ids) for g in groups] == [("car", ("car/c",)), ("chair", ("chair/b",))]
    curves = recall_panels(groups[1])[0].curves
    # the first method differs; of the others, which are the same, there is one curve
    assert [(c.method, c.run) for c in curves] == [
        ("after", "one"),
        ("after", "two"),
        ("before", None),
        ("optimisation", None),
        ("mean shape", None),
    ]
    apart = [measured("one", arrays), measured("two", other, "landmarks/cads")]
    assert len(grouped(apart)) == 4  # other pictures, other panels
    with pytest.raises(InputError, match="share no chair"):
        grouped([measured(item, {item: arrays[item]}) for item in ITEMS])


def test_where_nothing_is_known_in_3d_the_azimuth_is_drawn() -> None:
    arrays = skeletons()
    arrays["rmse"] = np.full_like(arrays["rmse"], np.nan)
    found = [measured("one", {"bed/a": arrays})]
    assert recall_panels(grouped(found)[0])[0].curves == ()
    assert recall_curves.recall_png(found, Zoom(0.05, 0.15))[:4] == b"\x89PNG"


@pytest.mark.parametrize(
    "zoom", [(0.2, 0.1), (-0.1, 0.1), (0.1, 0.4), (0.101, 0.102), (np.nan, 0.1)]
)
def test_a_part_that_is_not_there(zoom: tuple[float, float]) -> None:
    with pytest.raises(UsageError, match="there is no curve"):
        recall_curves.check(Zoom(*zoom), PCK_RANGE)

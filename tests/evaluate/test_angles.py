"""Tables of angles: what chance is, and half turns, against closed forms."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.spatial.transform import Rotation

from stages.evaluate.angles import Pair, angle_tables, arrays_of
from tests.evaluate.made import put

COUNT = 4000
TITLES = {"instance": "IB"}


def uniform(count: int, seed: int) -> np.ndarray:
    return Rotation.random(count, random_state=seed).as_matrix()


def table(
    root: Path, item: str, first: np.ndarray, truth: np.ndarray, told: np.ndarray
) -> dict[str, float]:
    """Row -> value of one item with N pairs, each of a view of its own."""
    pairs = [Pair(view, item, 0) for view in range(len(truth))]
    arrays = {
        "rotation": first.astype(np.float32),
        **arrays_of("instance", pairs, truth, told[:, None]),
        **arrays_of("category", [], np.zeros((0, 3, 3)), np.zeros((0, 1, 3, 3))),
    }
    results = put(root, "results/relpose/made", {item: arrays})
    (found,) = angle_tables(results, [item], ("told",), {**TITLES, "category": "CB"})
    return {what: value for what, values in found.rows for value in values.values()}


def share_below(degrees: float) -> float:
    """Of uniform rotations, those of a smaller angle: the density is (1 - cos t) / pi."""
    t = math.radians(degrees)
    return (t - math.sin(t)) / math.pi


MEDIAN = brentq(lambda degrees: share_below(degrees) - 0.5, 0, 180)  # 132.3


def test_chance_between_uniform_rotations(tmp_path: Path) -> None:
    first, second = uniform(COUNT, 0), uniform(COUNT, 1)
    truth = first @ second.transpose(0, 2, 1)
    rows = table(tmp_path, "chair/a", first, truth, truth)
    assert rows["told: median error"] < 0.05  # float32 matrices
    assert rows["told: acc@15"] == 1
    # 5 standard deviations, as if only the COUNT truths were independent, not the guesses
    density = (1 - math.cos(math.radians(MEDIAN))) / 180
    assert rows["chance: median error"] == pytest.approx(
        MEDIAN, abs=5 * 0.5 / math.sqrt(COUNT) / density
    )
    for limit in (15, 30):
        share = share_below(limit)
        spread = 5 * math.sqrt(share / COUNT)
        assert rows[f"chance: acc@{limit}"] == pytest.approx(share, abs=spread)


def test_no_pair_guesses_itself(tmp_path: Path) -> None:
    # two pairs, a quarter turn apart: the other one is always wrong by that
    quarter = Rotation.from_euler("z", [[0], [90]], degrees=True).as_matrix()
    rows = table(tmp_path, "chair/a", quarter, quarter, quarter)
    assert rows["chance: median error"] == pytest.approx(90, abs=1e-3)
    assert rows["chance: acc@30"] == 0
    alone = table(tmp_path, "chair/a", quarter[:1], quarter[:1], quarter[:1])
    assert "chance: median error" not in alone


def test_chance_up_to_half_turns(tmp_path: Path) -> None:
    first, second = uniform(COUNT, 2), uniform(COUNT, 3)
    rows = table(tmp_path, "airplane/a", first, first @ second.transpose(0, 2, 1), first)
    paper = share_below(30) + 1 - share_below(150)
    assert paper == pytest.approx(0.33, abs=0.01)  # a third, by chance alone
    spread = 5 * math.sqrt(paper / COUNT)
    assert rows["chance: acc@30, min(e, 180 - e)"] == pytest.approx(paper, abs=spread)
    # two balls of 30 degrees that do not meet
    exact = 2 * share_below(30)
    spread = 5 * math.sqrt(exact / COUNT)
    assert rows["chance: acc@30, up to a half turn"] == pytest.approx(exact, abs=spread)


@pytest.mark.parametrize(("axis", "forgiven"), [("z", True), ("x", False), ("y", False)])
def test_half_turns_of_the_shape(tmp_path: Path, axis: str, forgiven: bool) -> None:
    first, second = uniform(50, 4), uniform(50, 5)
    truth = first @ second.transpose(0, 2, 1)
    half = Rotation.from_euler(axis, 180, degrees=True).as_matrix()
    told = first @ half @ second.transpose(0, 2, 1)  # as if one of the shapes were turned
    rows = table(tmp_path, "aeroplane/a", first, truth, told)
    assert rows["told: median error"] == pytest.approx(180, abs=0.1)
    assert rows["told: median error, min(e, 180 - e)"] == pytest.approx(0, abs=0.1)
    expected = 0 if forgiven else 180
    assert rows["told: median error, up to a half turn"] == pytest.approx(expected, abs=0.1)
    others = table(tmp_path, "chair/a", first, truth, told)
    assert not any("half turn" in what for what in others)


def test_shares_and_medians_by_hand(tmp_path: Path) -> None:
    angles = np.array([0.0, 10, 14, 20, 29, 31, 170])
    told = Rotation.from_euler("y", angles[:, None], degrees=True).as_matrix()
    still = np.broadcast_to(np.eye(3), told.shape)
    rows = table(tmp_path, "chair/a", still, still, told)
    assert rows["told: median error"] == pytest.approx(20, abs=1e-4)
    assert rows["told: acc@15"] == pytest.approx(3 / 7)
    assert rows["told: acc@30"] == pytest.approx(5 / 7)

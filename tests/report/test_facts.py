"""Tables and curves of a page: gathered, marked and placed as plain arithmetic says."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from stages.geometry.mesh import Mesh
from stages.report import facts
from stages.report.curves import HEIGHT, WIDTH, panels
from stages.report.report import _table, direction, spread
from stages.shapes.spec import labels
from stages.store.workspace import Workspace
from tests.evaluate.made import World, put
from tests.report.made import cube

ROWS = {
    "predicted: Chamfer": {"car": 1.5, "chair": 2.5},
    "predicted: F-score at 1 %": {"car": 0.4, "chair": 0.1},
    "mean cloud: Chamfer": {"car": 1.7, "chair": 2.0},
    "mean cloud: F-score at 1 %": {"car": 0.3, "chair": 0.2},
    "true depth maps (limit): Chamfer": {"car": 0.1, "chair": float("nan")},
    "empty clouds": {"car": 12.0},
}


def test_rows_are_gathered_by_what_they_measure() -> None:
    table = facts.table_fact("clouds", ROWS)
    assert table.columns == ("car", "chair")
    found = {name: [(a.who, a.kind, a.values) for a in answers] for name, answers in table.metrics}
    assert found["Chamfer"] == [
        ("predicted", "", ("1.500", "2.500")),
        ("mean cloud", "trivial answer", ("1.700", "2.000")),
        ("true depth maps (limit)", "knows the truth", ("0.100", "–")),
    ]
    assert found[""] == [("empty clouds", "", ("12", "–"))]


def test_the_best_of_those_that_do_not_know_the_truth_is_marked() -> None:
    drawn = {m["name"]: m for m in _table(facts.table_fact("clouds", ROWS))["metrics"]}
    best = {
        (name, row["who"]): [b for _, b in row["cells"]]
        for name, metric in drawn.items()
        for row in metric["rows"]
    }
    assert best["Chamfer", "predicted"] == [True, False]  # less is better
    assert best["Chamfer", "mean cloud"] == [False, True]
    assert best["Chamfer", "true depth maps (limit)"] == [False, False]
    assert best["F-score at 1 %", "predicted"] == [True, False]  # more is better
    assert drawn["Chamfer"]["arrow"] == "↓"
    assert drawn["F-score at 1 %"]["arrow"] == "↑"
    assert best["", "empty clouds"] == [False, False]  # alone, it is not the best of anything


@pytest.mark.parametrize(
    ("metric", "sense"),
    [
        *(("recall at RMSE 0.15", 1), ("mean RMSE", -1), ("acc@30", 1), ("median error", -1)),
        *(("median rank", -1), ("mAP", 1), ("pred -> GT", -1), ("azimuth within 30 deg", 1)),
        *(("PSNR", 1), ("mean distance (px)", -1), ("points in a cloud", 0), ("AE", 0)),
    ],
)
def test_whether_more_is_better(metric: str, sense: int) -> None:
    assert direction(metric) == sense


def test_splits_are_those_of_the_training(tmp_path: Path) -> None:
    def arrays(split: str) -> dict[str, np.ndarray]:
        return {**cube().to_arrays(), **labels(split, "", "", "")}

    items = {f"car/{n}": arrays("train") for n in range(6)}
    items |= {f"car/t{n}": arrays("test") for n in range(2)} | {"bed/v": arrays("val")}
    put(tmp_path, "shapes/made", items)
    (source,) = facts.sources(Workspace(tmp_path))
    assert source.total == 9
    rows = {category: (counts, all_) for category, counts, all_ in source.rows}
    assert rows["bed"] == ({"val": 1}, 1)
    assert rows["car"] == ({"train": 5, "val": 1, "test": 2}, 8)  # 15 % go to validation


def test_a_summary_that_cannot_be_read_costs_itself(tmp_path: Path) -> None:
    world = World(tmp_path, ["chair/a"])
    world.see()
    world.run("equivariant")
    parts = {"rotation": np.eye(3, dtype=np.float32)[None]}
    from stages.evaluate.angles import arrays_of

    for base in ("instance", "category"):
        parts |= arrays_of(base, [], np.zeros((0, 3, 3)), np.zeros((0, 1, 3, 3)))
    put(tmp_path, "results/relpose/a", {"chair/a": parts}, run="equivariant-made", inputs=[])
    path = tmp_path / "results" / "relpose" / "a" / "summary.json"
    (result,) = facts.result_facts(Workspace(tmp_path))
    assert "evaluate it again" in result.note
    for text in ("{", "[]", '{"tables": 3}', '{"tables": {"x": 3}}'):
        path.write_text(text)
        (result,) = facts.result_facts(Workspace(tmp_path))
        assert "evaluate it again" in result.note, text
    path.write_text(json.dumps({"tables": {"a_b": {"x": {"chair": 1}}}}))
    (result,) = facts.result_facts(Workspace(tmp_path))
    assert (result.note, result.tables[0].title) == ("", "a b")


def test_curves_are_placed_by_their_values() -> None:
    rows = [{"step": float(n), "lr": 1.0, "loss": 8.0 - n} for n in range(1, 5)]
    rows[1]["val_loss"], rows[3]["val_iou"] = 6.5, float("nan")
    (panel,) = panels(rows)  # NaN alone is no curve
    assert (panel.name, panel.logarithmic) == ("loss", False)
    training, validation = panel.lines
    points = np.array([[float(v) for v in p.split(",")] for p in training.points.split()])
    assert np.allclose(np.diff(points, axis=0), np.diff(points, axis=0)[0], atol=0.11)  # a line
    assert (np.diff(points[:, 1]) > 0).all()  # falling: y points down
    assert points.min() >= 0
    assert points[:, 0].max() <= WIDTH
    assert points[:, 1].max() <= HEIGHT
    assert validation.dot == pytest.approx((points[1, 0], points[:2, 1].mean()), abs=0.1)
    assert panel.text == "loss against the step: training ends at 4; validation ends at 6.5"
    many = [{"step": float(n), "loss": 10.0 ** (-n / 1000)} for n in range(5000)]
    (panel,) = panels(many)
    assert panel.logarithmic
    assert len(panel.lines[0].points.split()) == 240
    assert panel.lines[0].last == "1.002e-05"
    assert panels([]) == []


def test_examples_are_spread_over_categories(tmp_path: Path) -> None:
    arrays = {**Mesh.plain(np.eye(3), np.array([[0, 1, 2]])).to_arrays(), **labels("", "", "", "")}
    ids = [f"{c}/{n:02d}" for c in ("bed", "car", "chair") for n in range(20)]
    artefact = put(tmp_path, "shapes/made", dict.fromkeys(ids, arrays))
    chosen = spread(artefact, 6)
    assert len(set(chosen)) == 6
    assert {item.split("/")[0] for item in chosen} <= {"bed", "car", "chair"}
    assert spread(artefact, 6) == chosen
    assert len(spread(artefact, 100)) == 60
    assert spread(artefact, 0) == []

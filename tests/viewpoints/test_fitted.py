"""Fitted sets: what comes out of annotations, how it is kept and found, and what ships."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from stages.errors import CrossdimError, InputError, UsageError
from stages.store.workspace import Workspace
from stages.viewpoints import sample, sources, table
from stages.viewpoints.density import wrap_signed
from stages.viewpoints.fitted import density_of, load, path_in, set_of, summary, to_bytes
from stages.viewpoints.fitting import Fit, fit_tables
from tests.viewpoints import trees

PASCAL3D = [
    *("airplane", "bicycle", "boat", "bottle", "bus", "car"),
    *("chair", "motorbike", "sofa", "table", "train", "tvmonitor"),
]


def cars(count: int = 500, turned: float = 0.0) -> np.ndarray:
    """(count, 4) annotations in whole degrees: two heaps beside the front, one behind."""
    rng = np.random.default_rng(5)
    azimuth = rng.choice([330, 25, 182], count) + rng.normal(0, 6, count)
    angles = np.stack([azimuth, rng.normal(5, 4, count), rng.normal(0, 1, count)], -1)
    views = np.column_stack([np.round(angles), rng.choice([4.0, 5.5, np.nan], count)])
    views[:, 0] = (views[:, 0] + turned) % 360
    return views


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path)


def keep(workspace: Workspace, name: str, tables: dict) -> None:
    path = path_in(workspace, name)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(to_bytes(set_of(name, tables, [])))


def test_a_table_is_the_annotations_counted() -> None:
    rows = np.array([[10, 5, 0, np.nan], [20, 5, 0, 2.5], [10, 5, 0, np.nan], [10, 5, 0, 2.5]])
    one = fit_tables({"car": rows})["car"]
    assert one["azimuth_deg"] == [10, 20, 10]  # in the order of their first appearance
    assert one["distance"] == [None, 2.5, 2.5]
    assert one["count"] == [2, 1, 1]
    assert one["n"] == 4
    json.dumps(one, allow_nan=False)


def test_counting_changes_neither_density_nor_samples() -> None:
    """The mixture over distinct rows with counts is that over all rows."""
    rows = np.repeat(cars(40), 3, axis=0)
    one = fit_tables({"car": rows}, Fit("fixed"))["car"]
    assert len(one["count"]) < len(rows)
    counted = density_of(one)
    points = np.random.default_rng(0).uniform((0, -20, -5), (360, 20, 5), (20, 3))
    each = np.zeros(20)
    for row in rows:
        alone = fit_tables({"car": row[None]}, Fit("fixed", 0.0, 5.0, 2.0, 2.0))["car"]
        each += density_of(alone).density(points) / len(rows)
    np.testing.assert_allclose(counted.density(points), each, rtol=1e-9)


def test_turning_all_annotations_turns_the_samples() -> None:
    for rule in ("cross-validation", "fixed"):
        first = fit_tables({"car": cars()}, Fit(rule))["car"]
        second = fit_tables({"car": cars(turned=180)}, Fit(rule))["car"]
        assert first["bandwidth_deg"] == second["bandwidth_deg"]
        drawn = [sample(one, 3000, np.random.default_rng(1)) for one in (first, second)]
        apart = wrap_signed(drawn[1][:, 0] - drawn[0][:, 0] - 180)
        np.testing.assert_allclose(apart, 0, atol=1e-9)
        np.testing.assert_array_equal(drawn[0][:, 1:], drawn[1][:, 1:])


def test_the_linear_rule_is_not_so_patient() -> None:
    """Cars seen from the front: a linear standard deviation takes 330 and 25 to be far apart."""
    front = cars()[np.abs(wrap_signed(cars()[:, 0])) < 90]
    behind = front.copy()
    behind[:, 0] = (behind[:, 0] + 180) % 360
    linear = Fit("silverman-linear")
    widths = [
        fit_tables({"car": rows}, linear)["car"]["bandwidth_deg"][0] for rows in (front, behind)
    ]
    assert widths[0] > 4 * widths[1]


def test_what_is_unknown() -> None:
    nan = np.nan
    rows = np.array([[nan, 5, 0, 1], [10, nan, 0, 1], [10, 5, nan, 0], [12, 6, 1, -3.0]])
    one = fit_tables({"car": rows, "cup": rows[:2]})
    assert list(one) == ["car"]  # no cup has a viewpoint
    assert one["car"]["n"] == 2
    assert one["car"]["inplane_deg"] == [0, 1]
    assert "distance" not in one["car"]
    assert np.isnan(sample(one["car"], 5, np.random.default_rng(0))[:, 3]).all()
    assert fit_tables({}) == {}


def test_options_of_a_fit() -> None:
    one = fit_tables({"car": cars()}, Fit("fixed", 0.2, elevation_deg=0.0, inplane_deg=7.5))["car"]
    assert one["bandwidth_deg"] == [5.0, 0.0, 7.5]
    outliers = one["outliers"]
    assert outliers["share"] == 0.2
    mean = cars()[:, 1].mean()
    assert outliers["elevation_deg"] == pytest.approx([mean, 20.0], abs=1e-4)
    drawn = sample(one, 50_000, np.random.default_rng(0))
    side = np.abs(wrap_signed(drawn[:, 0] - 270)) < 20  # where no car is seen from
    assert side.mean() == pytest.approx(0.2 * 40 / 360, rel=0.1)


def test_a_set_goes_through_a_file(workspace: Workspace) -> None:
    tables = fit_tables({"car": cars(), "table": cars(50)})
    keep(workspace, "mine", tables)
    assert load("mine", workspace)["categories"] == tables
    assert table("mine", "diningtable", workspace) == tables["table"]
    drawn = sample(table("mine", "car", workspace), 100, np.random.default_rng(0))
    assert drawn.shape == (100, 4)
    assert drawn.dtype == np.float64


def test_the_workspace_goes_before_the_package(workspace: Workspace) -> None:
    shipped = table("pascal3d", "car", workspace)
    own = fit_tables({"car": cars(60)})
    keep(workspace, "pascal3d", own)
    assert table("pascal3d", "car", workspace) == own["car"] != shipped


def test_a_file_that_changes_is_read_again(workspace: Workspace) -> None:
    keep(workspace, "mine", fit_tables({"car": cars(60)}))
    assert table("mine", "car", workspace)["n"] == 60
    keep(workspace, "mine", fit_tables({"car": cars(75)}))
    assert table("mine", "car", workspace)["n"] == 75


def test_what_is_not_there(workspace: Workspace) -> None:
    with pytest.raises(InputError, match="no viewpoints nothing") as error:
        table("nothing", "car", workspace)
    assert "viewpoints fit --name nothing" in error.value.hint
    assert "pascal3d" in error.value.hint
    with pytest.raises(InputError, match="no category 'sofas'") as error:
        table("pascal3d", "sofas", workspace)
    assert "did you mean sofa?" in error.value.hint
    assert "tvmonitor" in error.value.hint
    with pytest.raises(UsageError):
        table("../pascal3d", "car", workspace)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[1]",
        "[" * 100_000,
        '{"format": "crossdim/viewpoints", "format_version": 1}',
        '{"format": "crossdim/viewpoints", "format_version": 9, "categories": {}}',
        "WITH azimuth_deg TO [1]",
        "WITH count TO [0, 1]",
        "WITH bandwidth_deg TO [1, 2]",
        "WITH bandwidth_deg TO [1, -2, 3]",
        'WITH azimuth_deg TO ["north", 1]',
        "WITH elevation_deg TO [91, 0]",
        "WITH azimuth_deg TO [1e999, 0]",
    ],
)
def test_damaged_sets_are_named(workspace: Workspace, text: str) -> None:
    if text.startswith("WITH "):
        name, value = text.removeprefix("WITH ").split(" TO ")
        made = set_of("bad", fit_tables({"car": np.array([[1, 2, 3, 4], [5, 6, 7, 8.0]])}), [])
        made["categories"]["car"][name] = json.loads(value)
        text = json.dumps(made)
    path_in(workspace, "bad").parent.mkdir()
    path_in(workspace, "bad").write_text(text)
    with pytest.raises(CrossdimError, match=r"damaged|another version"):
        table("bad", "car", workspace)


def test_what_ships(workspace: Workspace) -> None:
    """The twelve classes of PASCAL3D+, compact, under the names of either side."""
    made = load("pascal3d", workspace)
    assert list(made["categories"]) == PASCAL3D
    assert made["sources"][0]["name"] == "pascal3d.csv"
    assert sum(one["n"] for one in made["categories"].values()) == made["sources"][0]["objects"]
    assert len(to_bytes(made)) < 300_000
    for ours, theirs in (("airplane", "aeroplane"), ("table", "diningtable"), ("sofa", "couch")):
        assert table("pascal3d", ours, workspace) == table("pascal3d", theirs, workspace)
    cars = summary(table("pascal3d", "car", workspace))
    assert cars["n"] == 5635
    assert cars["median"]["elevation_deg"] == 5.0


def test_what_ships_is_what_the_annotations_give(shared_data: Path, workspace: Workspace) -> None:
    """`crossdim viewpoints fit --from pascal3d.csv --name pascal3d` writes the shipped file."""
    found = sources.from_tables([shared_data / "viewpoints" / "pascal3d.csv"])
    views = sources.viewpoints(found)
    made = load("pascal3d", workspace)
    assert made["sources"] == [source.described() for source in found]
    again = fit_tables(views, Fit("fixed"))  # bandwidths of all classes would take a while
    chosen = ("rule", "bandwidth_deg")
    for name, one in made["categories"].items():
        assert {k: v for k, v in again[name].items() if k not in chosen} == {
            k: v for k, v in one.items() if k not in chosen
        }
    some = fit_tables({name: views[name] for name in ("bus", "chair", "sofa")})
    for name, one in some.items():
        # the optimum is flat: another version of SciPy may stop elsewhere within its tolerance
        shipped = made["categories"][name]["bandwidth_deg"]
        assert one["bandwidth_deg"] == pytest.approx(shipped, rel=0.05)


def test_medians_are_circular() -> None:
    rows = np.array([[350, 1, 0, 2], [10, 3, 0, 4], [358, 5, 2, np.nan]])
    found = summary(fit_tables({"car": rows})["car"])["median"]
    assert found == {
        "azimuth_deg": 358.0,
        "elevation_deg": 3.0,
        "inplane_deg": 0.0,
        "distance": 3.0,
    }


def test_sources_by_split_flag_and_category(tmp_path: Path) -> None:
    path = trees.table(
        tmp_path / "a.csv", "car,train,,1,2,,", "automobile,val,,3,4,,", "cup,val,,5,6,,"
    )
    found = sources.from_tables([path])
    assert found[0].described()["objects"] == 3
    every = sources.viewpoints(found)
    assert {name: len(rows) for name, rows in every.items()} == {"car": 2, "cup": 1}
    assert len(sources.viewpoints(found, ["car"], ["val"])["car"]) == 1
    with pytest.raises(UsageError, match="no category 'cops'") as error:
        sources.viewpoints(found, ["cops"])
    assert "cup" in error.value.hint
    with pytest.raises(UsageError, match="no viewpoints are left") as error:
        sources.viewpoints(found, [], ["test"])
    assert "train, val" in error.value.hint
    path.write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match="no column"):
        sources.from_tables([path])

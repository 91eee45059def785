"""What readers make of annotation files: the convention of each data set, and hostile pickles."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stages.errors import ItemError
from stages.geometry import cameras
from stages.geometry.frames import canonical_rotation
from stages.viewpoints.annotations import FLAGS, to_arrays
from stages.viewpoints.readers import read_finegrained, read_record, read_table
from tests.viewpoints import trees
from tests.viewpoints.trees import EMPTY, record, thing, viewpoint, write_mat

POINTS = np.random.default_rng(0).uniform(-0.4, 0.4, (30, 3))


def project_3d(points: np.ndarray, a: float, e: float, theta: float, d: float) -> np.ndarray:
    """project_3d.m of PASCAL3D+'s toolbox, restated: pixels, y downwards, focal 1, viewport 100."""
    a, e, theta = np.radians([a, e, theta])
    centre = d * np.array([np.cos(e) * np.sin(a), -np.cos(e) * np.cos(a), np.sin(e)])
    a, e = -a, -(np.pi / 2 - e)
    rz = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    rx = np.array([[1, 0, 0], [0, np.cos(e), -np.sin(e)], [0, np.sin(e), np.cos(e)]])
    rotation = rx @ rz
    x = np.diag([100, 100, -1]) @ (rotation @ points.T - (rotation @ centre)[:, None])
    flat = x[:2] / x[2]
    turn = np.array([[np.cos(theta), -np.sin(theta)], [np.sin(theta), np.cos(theta)]])
    return ((turn @ flat).T) * (1, -1)


def ours(points: np.ndarray, view: np.ndarray, focal: float) -> np.ndarray:
    """Pixels of the project's camera about the principal point."""
    lens = np.diag([focal, focal, 1.0])
    return cameras.project(points, cameras.extrinsics(view), lens)[:, :2]


@pytest.mark.parametrize("view", [(30, 10, 0, 3), (200, -20, 25, 5), (290, 50, -70, 2.5)])
def test_the_convention_of_pascal3d_is_ours(tmp_path: Path, view: tuple[float, ...]) -> None:
    """theta and the in-plane rotation have the same sign: their projection equals our camera's."""
    path = write_mat(tmp_path / "a.mat", record(thing("car", viewpoint(*view))))
    read = np.array(read_record(path)[0].viewpoint)
    np.testing.assert_array_equal(read, view)
    np.testing.assert_allclose(ours(POINTS, read, 100), project_3d(POINTS, *view), atol=1e-9)


def project_finegrained(points: np.ndarray, one: dict[str, Any]) -> np.ndarray:
    """The projection in the scripts of the fine-grained data sets, restated: y up, front +x."""
    a, e, t = one["azimuth"], one["elevation"], one["theta"]
    ry = np.array([[np.cos(a), 0, -np.sin(a)], [0, 1, 0], [np.sin(a), 0, np.cos(a)]])
    rx = np.array([[1, 0, 0], [0, np.cos(e), -np.sin(e)], [0, np.sin(e), np.cos(e)]])
    rz = np.array([[np.cos(t), -np.sin(t), 0], [np.sin(t), np.cos(t), 0], [0, 0, 1]])
    x = rz @ rx @ ry @ points.T - np.array([[0], [0], [one["distance"]]])
    return (one["f"] * x[:2] / x[2]).T


@pytest.mark.parametrize("azimuth", [0.0, 1.2, 3.3, 5.5])
def test_fine_grained_poses_show_a_symmetric_car_alike(tmp_path: Path, azimuth: float) -> None:
    """Their pixels of a point are ours of its mirror image in the plane of the car."""
    one = {"azimuth": azimuth, "elevation": 0.2, "theta": 0.15, "distance": 2.5, "f": 300.0}
    path = tmp_path / "train_anno.pkl"
    path.write_bytes(pickle.dumps({"a.jpg": one}, 0))
    read = np.array(read_finegrained(path, "car")[0].viewpoint)
    world = (POINTS * (1, 1, -1)) @ canonical_rotation("+y", "+x").T
    np.testing.assert_allclose(ours(world, read, 300), project_finegrained(POINTS, one), atol=1e-9)


def test_front_and_left_of_the_fine_grained_sets(tmp_path: Path) -> None:
    path = tmp_path / "a.pkl"
    base = {"elevation": 0.0, "theta": 0.0, "distance": 1.0}
    quarters = {f"{n}.jpg": {**base, "azimuth": n * np.pi / 2} for n in range(4)}
    path.write_bytes(pickle.dumps(quarters))
    azimuths = [one.viewpoint[0] for one in read_finegrained(path, "car")]
    assert azimuths == pytest.approx([90, 0, 270, 180])  # left, front, right, rear


def test_objects_of_a_record(tmp_path: Path) -> None:
    exact = thing("car", viewpoint(350.0, 4.5, -1.0, 9.0), occluded=np.uint8(1))
    coarse = thing("car", viewpoint(0, 0, 0, 0), truncated=np.uint8(1), difficult=np.uint8(1))
    only_coarse = thing("sofa", {"azimuth_coarse": 90.0, "elevation_coarse": 0.0, "azimuth": EMPTY})
    content = record(exact, coarse, thing("car", EMPTY), only_coarse, filename="a.JPEG")
    path = write_mat(tmp_path / "a.mat", content)
    arrays = to_arrays(read_record(path, split="val"))
    assert arrays["category"].tolist() == [b"car", b"car", b"sofa"]
    nan = np.nan
    expected = [[350, 4.5, -1, 9], [40, 10, nan, nan], [90, 0, nan, nan]]
    np.testing.assert_array_equal(arrays["viewpoint"], np.array(expected, np.float32))
    truncated, occluded, difficult, unexact = FLAGS.values()
    assert arrays["flags"].tolist() == [occluded, truncated | difficult | unexact, unexact]
    np.testing.assert_array_equal(arrays["bbox"][0], [10, 20, 110, 90.5])
    assert set(arrays["split"]) == {b"val"}
    assert set(arrays["image"]) == {b"a.JPEG"}
    assert len(read_record(path, category="sofa")) == 1


def test_records_without_objects_are_empty_not_wrong(tmp_path: Path) -> None:
    for content in (record(), {"record": {"filename": "a.jpg"}}, record(thing("car", EMPTY))):
        path = write_mat(tmp_path / "a.mat", content)
        arrays = to_arrays(read_record(path))
        assert arrays["viewpoint"].shape == (0, 4)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({"other": 1.0}, "no variable"),
        ({"record": np.arange(3.0)}, "no struct"),
        ({"record": {"objects": "many"}}, "no structs"),
        (
            record(thing("car", {"azimuth": np.inf, "elevation": 0.0, "distance": 1.0})),
            "no viewpoint",
        ),
        (record(thing("car", viewpoint(1e9, 0, 0, 1))), "no viewpoint"),
        (record(thing("", viewpoint(1, 0, 0, 1))), "no annotation"),
        (record(thing("c" * 40, viewpoint(1, 0, 0, 1))), "no annotation"),
    ],
)
def test_records_that_are_wrong(tmp_path: Path, content: dict[str, Any], reason: str) -> None:
    path = write_mat(tmp_path / "a.mat", content)
    with pytest.raises(ItemError, match=reason):
        to_arrays(read_record(path))


@pytest.mark.parametrize("protocol", range(5))
def test_pickles_of_numbers_of_any_protocol(tmp_path: Path, protocol: int) -> None:
    root = trees.finegrained(tmp_path, protocol)
    plain = read_finegrained(root / "Anno3D" / "StanfordCars" / "train_anno.pkl", "car")
    numpy = read_finegrained(root / "Anno3D" / "StanfordCars" / "test_anno.pkl", "car")
    assert [one.image for one in plain] == ["00001.jpg", "00002.jpg"]
    expected = [90 - np.degrees(1.0), np.degrees(0.1), np.degrees(0.05), 2.5]
    assert plain[0].viewpoint == pytest.approx(expected)
    assert numpy[0].viewpoint == pytest.approx(expected)


class Hostile:
    """Runs a command when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.path}",)


def test_pickles_run_nothing(tmp_path: Path) -> None:
    path, mark = tmp_path / "a.pkl", tmp_path / "mark"
    for protocol in range(5):
        path.write_bytes(pickle.dumps({"a.jpg": Hostile(mark)}, protocol))
        with pytest.raises(ItemError, match="system, which is no data"):
            read_finegrained(path, "car")
    assert not mark.exists()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "no pickle"),
        (b"azimuth", "no pickle"),
        (pickle.dumps([1, 2]), "no dictionary"),
        (pickle.dumps({"a.jpg": [1.0]}), "no dictionary"),
        (pickle.dumps({"a.jpg": {"azimuth": "north"}}), "azimuth of a.jpg is no number"),
        (pickle.dumps({"a.jpg": {"azimuth": np.arange(4.0)}}), "azimuth of a.jpg is no number"),
        (pickle.dumps({"a.jpg": {"azimuth": 1.0}}), "no viewpoint"),
        (pickle.dumps({"a.jpg": {"azimuth": 1.0}})[:-4], "no pickle"),
        (b"cbuiltins\neval\n(S'1'\ntR.", "builtins.eval"),
        (b"cnumpy\nload\n(S'x'\ntR.", "numpy.load"),
        (b"cnumpy.core.multiarray\nfromfile\n(S'x'\ntR.", "fromfile"),
    ],
)
def test_pickles_that_are_wrong(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "a.pkl"
    path.write_bytes(content)
    with pytest.raises(ItemError, match=reason):
        to_arrays(read_finegrained(path, "car"))


def test_tables(tmp_path: Path) -> None:
    path = trees.table(tmp_path / "a.csv", "car,train,a.jpg,-10,5.5,2,3", "my sofa,,b.jpg,370,0,,")
    arrays = to_arrays(read_table(path))
    nan = np.nan
    np.testing.assert_array_equal(arrays["viewpoint"], [[350, 5.5, 2, 3], [10, 0, nan, nan]])
    assert arrays["category"].tolist() == [b"car", b"my sofa"]
    assert arrays["split"].tolist() == [b"train", b""]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no column category, azimuth_deg, elevation_deg"),
        ("category,azimuth_deg\ncar,1\n", "no column elevation_deg"),
        ("category,azimuth_deg,elevation_deg\ncar,1\n", "line 2: not as many"),
        ("category,azimuth_deg,elevation_deg\ncar,1,2,3\n", "line 2: not as many"),
        ("category,azimuth_deg,elevation_deg\ncar,north,2\n", "line 2: azimuth_deg is no number"),
        ("category,azimuth_deg,elevation_deg\ncar,,2\n", "line 2: no viewpoint"),
        ("category,azimuth_deg,elevation_deg\ncar,inf,2\n", "line 2: no viewpoint"),
        ("category,azimuth_deg,elevation_deg\n,1,2\n", "line 2: no category"),
        ('category,azimuth_deg,elevation_deg\n"car,1,2\n', "no table"),
    ],
)
def test_tables_that_are_wrong(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(text)
    with pytest.raises(ItemError, match=reason):
        read_table(path)


def test_a_table_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"category,\xff\xfe")
    with pytest.raises(ItemError, match="UTF-8"):
        read_table(path)

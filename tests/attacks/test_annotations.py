"""S3, S6: annotations and pictures that are damaged, or want to do harm: refused with a reason."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from scipy.io import savemat

from stages.errors import CrossdimError, InputError, ItemError
from stages.photos.annotated import LISTING
from stages.photos.layouts import list_sources
from stages.photos.layouts.flic import read_examples
from stages.photos.layouts.keypoint5 import read_coords
from stages.photos.layouts.pascal3d import read_record
from stages.store.guarded import Refused, call_each
from tests.photos import makers
from tests.photos.test_keypoints import MAKERS, make_cub, make_pictures, processed


def listed(root: Path, format: str) -> dict[str, dict]:
    return list_sources({"kind": "keypoints", "format": format, "path": str(root)})


@pytest.fixture(scope="module")
def bomb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A megabyte that unpacks to a gigabyte."""
    path = makers.write(tmp_path_factory.mktemp("bomb") / "bomb.mat", makers.mat_bomb())
    assert path.stat().st_size < 2 << 20
    return path


def _version_7_3(path: Path) -> None:
    with h5py.File(path, "w", userblock_size=512) as file:
        file["coords"] = np.zeros(3)
    head = b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM"
    path.write_bytes(head + path.read_bytes()[128:])


MATS: dict[str, tuple[Callable[[Path], object] | bytes, str]] = {
    "empty": (b"", "MATLAB"),
    "text": (b"Dear all,\n" * 40, "MATLAB"),
    "head only": (makers.mat_head(), "no variable 'coords'"),
    "7.3": (_version_7_3, "7.3"),
    "object": (makers.mat_object(3), "it holds an object"),
    "opaque": (makers.mat_object(17), "no variable 'coords'"),
    "nested": (makers.mat_nested(5000), "nested too deeply"),
    "cell": (
        lambda path: savemat(path, {"coords": np.array([[1, "a"]], object)}),
        "no array of num",
    ),
    "text inside": (lambda path: savemat(path, {"coords": "abc"}), "no array of numbers"),
    "struct": (lambda path: savemat(path, {"coords": {"a": 1.0}}), "no array of numbers"),
    "complex": (lambda path: savemat(path, {"coords": np.ones((2, 8, 3, 1)) * 1j}), "complex"),
    "other name": (lambda path: savemat(path, {"points": np.ones(3)}), "no variable 'coords'"),
    "one axis": (
        lambda path: savemat(path, {"coords": np.ones((3, 8, 3, 1))}),
        "is 3x8x3x1, not 2",
    ),
    "nothing": (lambda path: savemat(path, {"coords": np.ones((2, 8, 3, 0))}), "is 2x8x3x0, not 2"),
    "many": (lambda path: savemat(path, {"coords": np.ones((2, 300, 3, 1))}), "300 keypoints"),
}


def test_hostile_annotations_are_refused_with_a_reason(tmp_path: Path) -> None:
    paths = [tmp_path / name / "coords.mat" for name in MATS]
    for path, (maker, _) in zip(paths, MATS.values()):
        makers.write(path, maker if isinstance(maker, bytes) else b"")
        if callable(maker):
            maker(path)
    results = call_each(read_coords, [str(path) for path in paths], LISTING)
    for name, result in zip(MATS, results):
        assert isinstance(result, Refused), name
        assert MATS[name][1] in result.reason, name
        assert "\n" not in result.reason


def test_hostile_annotations_are_two_lines(tmp_path: Path) -> None:
    path = makers.write(tmp_path / "table/coords.mat", b"Dear all,\n" * 40)
    with pytest.raises(InputError, match="MATLAB") as error:
        listed(tmp_path, "keypoint5")
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)
    assert error.value.hint
    savemat(path, {"coords": np.ones((2, 3, 3, 1))})
    with pytest.raises(InputError, match="has 3 keypoints, not 8"):
        listed(tmp_path, "keypoint5")


def test_a_bomb_is_refused_where_one_file_is_everything_and_where_it_is_one_of_many(
    tmp_path: Path, bomb: Path
) -> None:
    for format, name in (("keypoint5", "table/coords.mat"), ("flic", "examples.mat")):
        shutil.copy(bomb, makers.write(tmp_path / format / name, b""))
        with pytest.raises(InputError, match=r"unpacks to more than \d+ MiB"):
            listed(tmp_path / format, format)
    root = tmp_path / "pascal3d"
    good = makers.pascal_object("car", {"tip": (51.0, 61.0)})
    makers.record(root / "Annotations/car_pascal/good.mat", [good])
    shutil.copy(bomb, root / "Annotations/car_pascal/bomb.mat")
    make_pictures(root, "Images/car_pascal/good.jpg", "Images/car_pascal/bomb.jpg")
    sources = listed(root, "pascal3d")
    assert sorted(sources) == ["car/bomb", "car/good-1"]
    processed(sources["car/good-1"])
    with pytest.raises(ItemError, match="unpacks to more than"):
        processed(sources["car/bomb"])


def test_flipped_bytes_of_annotations_end_no_process(tmp_path: Path) -> None:
    """scipy's own reader dies of about one flip in eighty."""
    rng = np.random.default_rng(0)
    coords = rng.normal(100, 30, (2, 8, 3, 5))
    originals = {
        read_coords: makers.keypoint5(tmp_path / "a", "table", {}, coords) / "table/coords.mat",
        read_examples: makers.flic(tmp_path / "b", [makers.flic_example()] * 3) / "examples.mat",
        read_record: makers.record(
            tmp_path / "c.mat", [makers.pascal_object("car", {"tip": (51.0, 61.0)})]
        ),
    }
    for function, path in originals.items():
        data = np.frombuffer(path.read_bytes(), np.uint8)
        files = []
        for number in range(150):
            flipped = data.copy()
            places = rng.integers(0, len(data), 2)
            flipped[places] ^= rng.integers(1, 256, 2).astype(np.uint8)
            end = len(data) if number % 3 else rng.integers(0, len(data))
            files.append(str(makers.write(tmp_path / f"{number}.mat", flipped[:end].tobytes())))
        results = call_each(function, files, LISTING)  # type: ignore[arg-type]
        reasons = [r.reason for r in results if isinstance(r, Refused)]
        assert len(reasons) > 30
        for reason in reasons:
            assert "its process" not in reason
            assert "took longer" not in reason
            assert "memory" not in reason


EXAMPLES = [
    ({"filepath": "../../etc/passwd"}, "leads out of the data set's folder"),
    ({"filepath": "/etc/passwd"}, "file is missing: images//etc/passwd"),
    ({"filepath": "gone.jpg"}, "file is missing: images/gone.jpg"),
    ({"filepath": 3.0}, "filepath is no text"),
    ({"coords": np.ones((2, 5))}, "coords is 2x5, not 2x29"),
    ({"coords": np.full((2, 29), np.inf)}, "no keypoint is annotated"),
    ({"coords": np.full((2, 29), 1e300)}, "no keypoint is annotated"),
    ({"coords": np.full((2, 29), 5e5)}, "all its keypoints lie outside of the picture"),
    ({"torsobox": np.array([[1.0, 2, np.nan, 4]])}, "torsobox is not 4 numbers"),
    ({"torsobox": np.array([[9e9, 9e9, 9.1e9, 9.1e9]])}, "its box is empty or outside"),
    ({"imgdims": np.array([[1e300, 1e300]])}, "the annotated picture had"),
    ({"moviename": {"a": 1.0}}, "moviename is no text"),
]


def test_hostile_examples_fail_alone(tmp_path: Path) -> None:
    coords = np.full((2, 29), 60.0)
    root = tmp_path / "set"
    fine = [makers.flic_example(coords=coords, filepath=f"{n}.jpg") for n in range(13)]
    bad = [{**one, **fields} for one, (fields, _) in zip(fine, EXAMPLES)]
    makers.flic(root, [*bad, fine[12]])
    make_pictures(root, *(f"images/{n}.jpg" for n in range(13)))
    *sources, good = listed(root, "flic").values()
    assert len(sources) == len(EXAMPLES)
    processed(good)
    for source, (fields, reason) in zip(sources, EXAMPLES):
        with pytest.raises(ItemError) as error:
            processed(source)
        assert reason in str(error.value), fields
        assert "\n" not in str(error.value)


OBJECTS = [
    ({"class": 5.0}, "class is no text"),
    ({"bbox": np.ones((1, 3))}, "bbox is not 4 numbers"),
    ({"anchors": "abc"}, "anchors is no struct"),
    ({"anchors": {"a" * 31: {"location": np.ones((1, 3)), "status": 1.0}}}, "is 3 numbers"),
    ({"viewpoint": {"azimuth": np.ones((1, 2))}}, "viewpoint.azimuth is not one number but 2"),
]


def test_hostile_records_fail_alone(tmp_path: Path) -> None:
    folder = tmp_path / "Annotations/car_pascal"
    for number, (fields, _) in enumerate([*OBJECTS, ({}, "")]):
        one = makers.pascal_object("car", {"tip": (51.0, 61.0)}, **fields)
        makers.record(folder / f"{number}.mat", [one])
    sources = listed(tmp_path, "pascal3d")
    assert sorted(sources) == [*(f"car/{n}" for n in range(5)), "car/5-1"]
    for number, (_, reason) in enumerate(OBJECTS):
        assert reason in sources[f"car/{number}"]["problem"]


CUB = {
    "images.txt": ("1 a.jpg\n1 b.jpg", "images.txt: 1 comes twice"),
    "bounding_boxes.txt": ("1 1 2 3", "bounding_boxes.txt, line 1: not 5 columns"),
    "train_test_split.txt": ("one 1", "train_test_split.txt, line 1: not 2 columns"),
    "parts/parts.txt": ("1 eye\n2 eye", "parts.txt: two keypoints have the same name"),
    "parts/part_locs.txt": ("1 1 nan 2 1", "part_locs.txt, line 1: not 5 columns"),
    "parts/part_click_locs.txt": ("1 1 2 1e400 1 3", "part_click_locs.txt, line 1: not 6"),
}
TWICE = {
    "parts/part_locs.txt": ("7 1 2 2 1", "part_locs.txt has image 7, which is not listed"),
    "parts/part_click_locs.txt": ("1 1 2 2 1 3\n" * 101, "more than 100 annotators"),
}


@pytest.mark.parametrize(
    ("file", "text", "reason"),
    [
        *((file, *what) for table in (CUB, TWICE) for file, what in table.items()),
        ("parts/part_locs.txt", "1 9 2 2 1", "part_locs.txt has part 9, which is not listed"),
        ("parts/part_locs.txt", "1 1 2 2 1\n1 1 2 2 1", "part 1 of image 1 comes twice"),
        ("images.txt", "1 \udc80", "images.txt is not UTF-8 text"),
    ],
)
def test_hostile_tables_are_two_lines(tmp_path: Path, file: str, text: str, reason: str) -> None:
    make_cub(tmp_path, (300, 200))
    (tmp_path / file).write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(InputError) as error:
        listed(tmp_path, "cub")
    assert reason in str(error.value)
    assert error.value.hint


def test_paths_in_tables_do_not_lead_out(tmp_path: Path) -> None:
    root = tmp_path / "set"
    make_cub(root, (300, 200))
    makers.write(
        tmp_path / "secret.jpg", (root / "images/001.Albatross/Albatross_1.jpg").read_bytes()
    )
    for path, reason in (
        ("../../secret.jpg", "leads out of the data set's folder"),
        (str(tmp_path / "secret.jpg"), "file is missing: images//"),
    ):
        makers.write(root / "images.txt", f"1 {path}\n")
        [source] = listed(root, "cub").values()
        with pytest.raises(ItemError, match=reason):
            processed(source)


@pytest.mark.parametrize("format", MAKERS)
def test_what_is_not_there_is_two_lines(tmp_path: Path, format: str) -> None:
    with pytest.raises(CrossdimError) as error:
        listed(tmp_path, format)
    assert error.value.hint
    with pytest.raises(InputError, match="is no folder"):
        listed(tmp_path / "gone", format)

"""viewpoints fit and list, plot viewpoints: through the command line."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from crossdim_cli.main import run
from tests.viewpoints import trees


@pytest.fixture
def crossdim(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Any:
    """Runs a command in a workspace of its own: exit code, stdout, stderr."""

    def call(*words: object) -> tuple[int, str, str]:
        code = run([*map(str, words), "--workspace", str(tmp_path / "workspace")])
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A table of cars and cups."""
    rng = np.random.default_rng(0)
    cars = [f"car,train,,{a:.0f},{e:.0f},0,4" for a, e in rng.normal((0, 5), (20, 5), (60, 2))]
    cups = [f"cup,test,,{a:.0f},{e:.0f},0," for a, e in rng.normal((90, 30), (20, 5), (30, 2))]
    return trees.table(tmp_path / "photos.csv", *cars, *cups)


def test_from_import_to_picture(crossdim: Any, photos: Path, tmp_path: Path) -> None:
    code, _, _ = crossdim(
        "viewpoints", "import", photos, "--format", "csv", "--name", "mine", "--jobs", 1, "-q"
    )
    assert code == 0
    code, out, _ = crossdim("viewpoints", "fit", "--name", "ours", "--json")
    assert code == 0
    said = json.loads(out)
    assert [(one["category"], one["n"]) for one in said["viewpoints"]] == [("car", 60), ("cup", 30)]
    assert said["sources"][0]["name"] == "annotations/mine"
    assert Path(said["path"]).is_file()
    code, out, _ = crossdim("viewpoints", "list", "--json")
    listed = {(one["set"], one["category"]): one for one in json.loads(out)["viewpoints"]}
    assert listed["ours", "car"]["from"] == "workspace"
    assert listed["ours", "car"]["median"]["distance"] == 4.0
    assert listed["pascal3d", "airplane"]["from"] == "crossdim"
    picture = tmp_path / "a.png"
    words = ("plot", "viewpoints", "--category", "cup", "--distribution", "ours", "-o", picture)
    assert crossdim(*words)[0] == 0
    first = picture.read_bytes()
    assert Image.open(io.BytesIO(first)).size == (1386, 506)
    assert crossdim(*words)[0] == 0
    assert picture.read_bytes() == first  # the seed decides


def test_fitting_twice_gives_the_same_bytes(crossdim: Any, photos: Path, tmp_path: Path) -> None:
    paths = []
    for name in ("a", "a", "b"):
        code, out, _ = crossdim("viewpoints", "fit", "--from", photos, "--name", name, "--json")
        assert code == 0
        paths.append(Path(json.loads(out)["path"]).read_bytes())
    assert paths[0] == paths[1]
    one, other = (data.split(b"\n", 2)[2] for data in paths[1:])  # without their digests
    assert one == other.replace(b'"name": "b"', b'"name": "a"')


def test_options_reach_the_table(crossdim: Any, photos: Path) -> None:
    words = ("--from", photos, "--category", "cup", "--rule", "fixed", "--elevation-deg", 3)
    code, out, _ = crossdim("viewpoints", "fit", *words, "--outliers", 0.1, "--json")
    assert code == 0
    (one,) = json.loads(out)["viewpoints"]
    assert one["bandwidth_deg"] == [5.0, 3.0, 0.0]  # all in-plane rotations are 0
    assert one["outliers"] == 0.1
    assert one["rule"] == "fixed"


@pytest.mark.parametrize(
    ("words", "code", "message", "hint"),
    [
        (("viewpoints", "fit"), 3, "no annotations in", "crossdim viewpoints import"),
        (("viewpoints", "fit", "--annotations", "x"), 3, "no annotations x", "viewpoints import"),
        (("viewpoints", "fit", "--from", "PHOTOS", "--annotations", "x"), 2, "exclude", "import"),
        (("viewpoints", "fit", "--from", "PHOTOS", "--category", "cars"), 2, "'cars'", "mean car?"),
        (("viewpoints", "fit", "--from", "PHOTOS", "--split", "val"), 2, "left", "test, train"),
        (("viewpoints", "fit", "--from", "PHOTOS", "--skip", "blurred"), 2, "blurred", "occluded"),
        (("viewpoints", "fit", "--from", "PHOTOS", "--name", "a/b"), 2, "a/b", "characters"),
        (("viewpoints", "fit", "--from", "nothing.csv"), 3, "nothing.csv", "columns"),
        (("viewpoints", "list", "--category", "cars"), 2, "cars", "--category"),
        (("plot", "viewpoints", "--distribution", "x"), 3, "no viewpoints x", "pascal3d"),
        (("plot", "viewpoints", "--category", "cars"), 3, "'cars'", "did you mean car?"),
    ],
)
def test_errors_are_two_lines(
    crossdim: Any, photos: Path, words: tuple[str, ...], code: int, message: str, hint: str
) -> None:
    words = tuple(str(photos) if word == "PHOTOS" else word for word in words)
    found, out, err = crossdim(*words)
    lines = err.splitlines()
    assert (found, out, len(lines)) == (code, "", 2), err
    assert message in lines[0]
    assert hint in lines[1]

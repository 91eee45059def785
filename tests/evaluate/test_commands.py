"""The commands from end to end, on systems whose answers are known."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
from PIL import Image

from crossdim_cli.main import run as crossdim
from stages.shapes.spec import labels
from tests.evaluate.conftest import Answering
from tests.evaluate.made import World, equivariant, put
from tests.evaluate.test_classification import CLASSES, TOLD, run_of, shapes, system
from tests.evaluate.test_relpose import ANNOTATED, photos
from tests.systems.test_equivariant_data import letter

__all__ = ["shapes"]  # a fixture


def call(capsys: pytest.CaptureFixture[str], world: World, line: str) -> SimpleNamespace:
    capsys.readouterr()
    code = crossdim([*line.split(), "--workspace", str(world.root), "--quiet"])
    said = capsys.readouterr()
    return SimpleNamespace(code=code, out=said.out, err=said.err)


def test_relpose_and_its_pictures(
    world: World, answering: Answering, capsys: pytest.CaptureFixture[str]
) -> None:
    answering(equivariant(world))
    world.run("equivariant", layer="pose")
    dry = call(capsys, world, "eval relpose -n --json")
    assert json.loads(dry.out)["todo"] == {"results/relpose/equivariant-made-test": 5}
    shown = call(capsys, world, "eval relpose --category chair")
    assert shown.code == 0
    assert "run made of equivariant, step 7, on views/test: 5 items" in shown.out
    lines = [line.split() for line in shown.out.splitlines()]
    assert ["refined:", "acc@15", "1.000", "1.000"] in lines
    assert ["IB:", "other", "views", "of", "the", "same", "shape", "airplane", "chair"] in lines
    again = json.loads(call(capsys, world, "eval relpose --json").out)["results"]
    assert again[0]["tables"]["category"]["refined: acc@30"] == {"airplane": 1, "chair": 1}
    mesh = {**letter().to_arrays(), **labels("test", "", "", "")}
    put(world.root, "shapes/made", dict.fromkeys(world.ids, mesh))
    for what in ("alignment --pairs instance", "embedding"):
        path = world.root / "sheet.png"
        assert call(capsys, world, f"plot {what} --shapes 1 -o {path}").code == 0
        with Image.open(path) as sheet:
            assert sheet.size[0] > 600


def test_align_with_views_and_photos(
    world: World, answering: Answering, capsys: pytest.CaptureFixture[str]
) -> None:
    photos(world, ANNOTATED)
    answering(equivariant(world))
    world.run("equivariant", layer="pose")
    said = call(capsys, world, "eval align --photos real --json")
    (only,) = json.loads(said.out)["results"]  # photos alone, no views being named
    assert only["inputs"] == ["keypoints/real", "spheres/res64"]
    said = call(capsys, world, "eval align --photos real --views test")
    assert "on views/test and spheres/res64: 5 items" in said.out
    assert "on keypoints/real and spheres/res64: 3 items (1 more are not there" in said.out
    mesh = {**letter().to_arrays(), **labels("test", "", "", "")}
    put(world.root, "shapes/made", dict.fromkeys(world.ids, mesh))
    path = world.root / "sheet.png"
    for options in ("--pairs instance", "--photos real"):
        drawn = call(capsys, world, f"plot alignment --to mesh {options} --shapes 1 -o {path}")
        assert drawn.code == 0, drawn.err
        with Image.open(path) as sheet:
            assert sheet.size[0] > 600
    for options, words in [
        ("--photos real", "add --to mesh"),
        (f"--to mesh -o {path.with_suffix('.gif')}", "use .png"),
    ]:
        drawn = call(capsys, world, f"plot alignment {options}")
        assert (drawn.code, words in drawn.err) == (2, True), drawn.err
    missing = call(capsys, world, "eval align --photos reel")
    assert missing.code == 3
    assert "no keypoints/reel" in missing.err
    assert "run: crossdim keypoints import" in missing.err


def test_classification(
    shapes: World, answering: Answering, capsys: pytest.CaptureFixture[str]
) -> None:
    answering(system(shapes, TOLD))
    run_of(shapes)
    said = call(capsys, shapes, "eval classification")
    lines = [line.split() for line in said.out.splitlines()]
    for poses in ("unrotated", "rotated"):
        assert ["classification,", poses, "shapes", *CLASSES, "all"] in lines
    assert lines.count(["accuracy", "1.000", "0.333", "1.000", "0.600"]) == 2


def test_runs_for_other_things_are_not_taken(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.run("equivariant", layer="views")  # the newest, but for view synthesis
    said = call(capsys, world, "eval relpose")
    assert said.code == 3
    assert "no finished run of equivariant with layer pose" in said.err
    assert call(capsys, world, "eval relpose --run made -n").code == 0

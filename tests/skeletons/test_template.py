"""Templates: the shipped ones, names of other sources, and files that cannot be used."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from stages.errors import InputError
from stages.shapes.generate import generate
from stages.skeletons.naming import columns, mirror, wrong_sides
from stages.skeletons.template import TO_CANONICAL, load, names_of, parse, to_bytes
from stages.store.workspace import Workspace

DATA = Path(__file__).parents[3] / "shared" / "data"
GENERATED = ("chair", "sofa", "table", "bed", "car", "airplane")


@pytest.fixture
def workspace(tmp_path):
    return Workspace(tmp_path)


def test_shipped_templates_come_back_from_their_bytes(workspace):
    assert set(names_of(workspace)) >= {*GENERATED, "swivelchair"}
    for name in names_of(workspace):
        template = load(name, workspace)
        again = parse(json.loads(to_bytes(template)))
        np.testing.assert_array_equal(again.bases, template.bases)
        assert again.to_json() == template.to_json()


def test_published_numbers(workspace):
    """Against the tables as they were taken from the public repository."""
    path = DATA / "skeletons" / "3dinn_skeleton_tables.json"
    if not path.is_file():
        pytest.skip("../shared/data/skeletons is absent")
    for name, table in json.loads(path.read_text())["classes"].items():
        template = load(name, workspace)
        for k, base in table["basis"].items():
            np.testing.assert_array_equal(template.bases[int(k) - 1], base)
        assert [[a + 1, b + 1] for a, b in template.edges] == table["edges_1based"]
        ranges = template.range("published")
        assert [list(pair) for pair in ranges.alpha] == table["alphaRange"]
        np.testing.assert_allclose(np.radians(ranges.theta_deg), table["thetaRange"], atol=1e-6)
    executable = load("chair", workspace).range("executable")
    assert [high * executable.scale[1] for _, high in executable.alpha[2:]] == [100, 150]


@pytest.mark.parametrize("category", GENERATED)
def test_names_of_generated_shapes_are_on_their_sides(category, workspace):
    """Mean shape and generated shapes agree on left and right, front and back, up and down."""
    template = load(category, workspace)
    shape = generate(category, np.random.default_rng(3))
    column = columns("it", template, "generated", list(shape.keypoint_names))
    assert (column >= 0).all()
    assert wrong_sides(template, shape.keypoints, column) == []
    points = shape.keypoints[column].astype(float) @ TO_CANONICAL
    points -= points.mean(0)
    mean = template.bases[0] - template.bases[0].mean(0)
    correlation = (points * mean).sum() / np.linalg.norm(points) / np.linalg.norm(mean)
    assert correlation > 0.85  # any exchange of sides gives less, most of them less than 0.5


def test_the_convention_of_another_source_is_noticed(workspace):
    template = load("chair", workspace)
    shape = generate("chair", np.random.default_rng(3))
    column = columns("it", template, "objectnet3d", list(shape.keypoint_names))
    assert "seat_front_left" in wrong_sides(template, shape.keypoints, column)


def test_annotated_models_are_on_their_sides(workspace):
    path = DATA / "keypoint_cads" / "keypoints3d.json"
    if not path.is_file():
        pytest.skip("../shared/data/keypoint_cads is absent")
    for model, points in json.loads(path.read_text()).items():
        category = model.rstrip("0123456789")
        if model == "diningtable06":  # round: its four points have other names
            continue
        template = load(category, workspace)
        column = columns(model, template, "objectnet3d", list(points))
        assert (column >= 0).sum() >= 5
        assert wrong_sides(template, np.array(list(points.values())), column) == []


def test_mirror(workspace):
    template = load("sofa", workspace)
    partner = mirror(template.bases[0])
    swapped = [name.replace("left", "L").replace("right", "left") for name in template.keypoints]
    swapped = [name.replace("L", "right") for name in swapped]
    assert [template.keypoints[k] for k in partner] == swapped
    assert mirror(load("swivelchair", workspace).bases[0]) is None


def _without(key):
    return lambda v: v.pop(key)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda v: v["bases"][0].pop(), "no template: setting an array"),
        (lambda v: v["bases"].pop(), "ranges of alpha"),
        (lambda v: v["edges"].append([0, 99]), "joins 0 and 99"),
        (lambda v: v["keypoints"].append("leg_front_left"), "keypoints"),
        (lambda v: v["ranges"]["published"].update(focal=[0.0, 450]), "focal lengths from 0"),
        (lambda v: v["ranges"]["published"].update(scale=[50, 30]), "is none"),
        (lambda v: v["bases"][0][0].__setitem__(0, float("nan")), "not finite"),
        (lambda v: v["sources"]["generated"].update(nose="x"), "no keypoint of it"),
        (_without("bases"), "damaged"),
    ],
)
def test_a_template_that_cannot_be_used(spoil, said, workspace):
    values = load("chair", workspace).to_json()
    spoil(values)
    path = workspace.root / "templates" / "mine.json"
    path.parent.mkdir()
    path.write_text(json.dumps(values))
    with pytest.raises(InputError, match=said) as error:
        load("mine", workspace)
    assert str(path) in str(error.value)
    assert error.value.hint


def test_unknown_template_and_ranges(workspace):
    with pytest.raises(InputError, match="no template") as error:
        load("chairs", workspace)
    assert error.value.hint == "did you mean chair?"
    with pytest.raises(InputError, match="no ranges called"):
        load("chair", workspace).range("mine")

"""Keypoints: on the surface, named as in ObjectNet3D, left and right, front and back."""

from __future__ import annotations

import json
import re
from collections import defaultdict

import numpy as np
import pytest

from stages.shapes.generate import CATEGORIES
from tests.shapes.generated import OF_KINDS, SHAPES, drawn, mesh, surface_distance

CORNERS = [f"{level}_{side}" for level in ("lower", "upper") for side in ("left", "right")]
# What every shape of a category has; some have more (a chair's handles, a swivel chair's foot).
ALWAYS = {
    "airplane": {
        *("noselanding", "tail", "rudder_lower", "rudder_upper"),
        *("left_wing", "right_wing", "left_elevator", "right_elevator"),
    },
    "car": {
        f"{name.replace('*', side)}"
        for side in ("left", "right")
        for name in (
            *("*_front_wheel", "*_back_wheel", "*_front_light", "*_back_light", "*_back_trunk"),
            *("upper_*_windshield", "lower_*_windshield", "upper_*_rearwindow"),
            *("lower_*_rearwindow", "*_window_center", "*_window_up"),
        )
    },
    "chair": {
        *(f"{part}_{corner}" for part in ("leg", "seat") for corner in CORNERS),
        *("back_upper_left", "back_upper_right"),
    },
    "sofa": {
        name.replace("*", side)
        for side in ("left", "right")
        for name in (
            *("front_bottom_*", "*_bottom_back", "seat_bottom_*", "seat_top_*", "top_*_corner"),
        )
    },
    "table": {f"{part}_{corner}" for part in ("leg", "top") for corner in CORNERS},
    "bed": {
        f"{part}{k}"
        for k in range(1, 5)
        for part in ("bedpost_bottom", "bedpost_top", "frame_front", "frame_back", "mattress")
    },
}
OBJECTNET = {"aeroplane": "airplane", "diningtable": "table"}  # the others have our names


def points(category: str, number: int) -> dict[str, np.ndarray]:
    shape = mesh(category, number)
    assert len(set(shape.keypoint_names)) == len(shape.keypoint_names) == len(shape.keypoints)
    return dict(zip(shape.keypoint_names, shape.keypoints.astype(np.float64)))


@pytest.mark.parametrize(("category", "number"), SHAPES)
def test_keypoints_lie_on_the_surface(category, number):
    shape = mesh(category, number)
    assert surface_distance(shape.keypoints, shape.triangles).max() < 0.01


def test_surface_distance_itself():
    triangle = np.array([[[0, 0, 0], [1, 0, 0], [0, 1, 0]]], np.float32)
    probes = np.array([[0.2, 0.2, 0.5], [-1, 0, 0], [1, 1, 0], [0.5, -2, 0]])
    expected = [0.5, 1, np.sqrt(0.5), 2]
    np.testing.assert_allclose(surface_distance(probes, triangle), expected)


@pytest.mark.parametrize(("category", "number"), SHAPES)
def test_names(category, number):
    assert set(points(category, number)) >= ALWAYS[category]


@pytest.mark.parametrize(("category", "number"), SHAPES)
def test_left_is_plus_x_and_mirrors_right(category, number):
    """Front -y and up +z put the object's own left, as of a driver, at up x front = +x."""
    np.testing.assert_array_equal(np.cross([0, 0, 1], [0, -1, 0]), [1, 0, 0])
    found = points(category, number)
    one_sided = category == "sofa" and drawn(category, number).chaise != "none"
    for name, point in found.items():
        if "left" not in name:
            continue
        partner = found[name.replace("left", "right")]
        assert point[0] > partner[0] or name.startswith("leg_upper")  # the third foot of a table
        assert point[0] >= -1e-6
        if not one_sided:
            np.testing.assert_allclose(point, partner * [-1, 1, 1], atol=2e-6)


def check_airplane(p: dict[str, np.ndarray]) -> None:
    assert min(p, key=lambda name: p[name][1]) == "noselanding"
    assert p["left_elevator"][1] > p["left_wing"][1] - 0.05
    assert p["rudder_upper"][2] > p["rudder_lower"][2]
    assert p["tail"][1] > 0.1


def check_car(p: dict[str, np.ndarray]) -> None:
    assert p["left_front_light"][1] < p["left_front_wheel"][1] < p["left_back_wheel"][1]
    assert p["left_back_wheel"][1] < p["left_back_light"][1]
    assert p["lower_left_windshield"][1] < p["upper_left_windshield"][1]
    assert p["upper_left_windshield"][1] < p["upper_left_rearwindow"][1]
    assert p["upper_left_rearwindow"][2] > p["left_front_wheel"][2]


def check_chair(p: dict[str, np.ndarray]) -> None:
    assert p["seat_lower_left"][1] < p["seat_upper_left"][1] < p["back_upper_left"][1]
    assert p["leg_lower_left"][1] < p["leg_upper_left"][1]
    assert p["leg_lower_left"][2] < p["seat_lower_left"][2] < p["back_upper_left"][2]


def check_sofa(p: dict[str, np.ndarray]) -> None:
    assert p["seat_bottom_left"][1] < p["seat_top_left"][1] < p["top_left_corner"][1]
    assert p["front_bottom_left"][1] < p["left_bottom_back"][1]
    assert p["front_bottom_left"][2] < p["seat_bottom_left"][2] < p["top_left_corner"][2]


def check_table(p: dict[str, np.ndarray]) -> None:
    assert p["top_lower_left"][1] < p["top_upper_left"][1]
    assert p["leg_lower_left"][1] < p["leg_upper_left"][1]
    assert p["leg_lower_left"][2] < p["top_lower_left"][2]


def check_bed(p: dict[str, np.ndarray]) -> None:
    for part in ("bedpost_bottom", "bedpost_top", "mattress"):
        signs = [np.sign(p[f"{part}{k}"][:2]).tolist() for k in range(1, 5)]
        assert signs == [[-1, -1], [1, -1], [1, 1], [-1, 1]]
    assert p["frame_front1"][1] < p["frame_back1"][1]
    assert p["frame_back4"][2] > p["frame_back1"][2]


@pytest.mark.parametrize(("category", "number"), SHAPES)
def test_front_is_minus_y_and_up_is_z(category, number):
    globals()[f"check_{category}"](points(category, number))


def test_names_and_places_are_those_of_objectnet3d(shared_data):
    """All names of the real models, at their mean places but for left and right.

    ObjectNet3D's left is the viewer's in front of most objects (and behind for the rear of a car);
    ours is the object's own, so |x| is compared. 0.2 diagonals: real and generated shapes are
    different shapes, but front and back, or up and down, are twice that apart.
    """
    real = json.loads((shared_data / "keypoint_cads" / "keypoints3d.json").read_text())
    places: dict[str, dict[str, list]] = defaultdict(lambda: defaultdict(list))
    for model_name, named in real.items():
        category = re.sub(r"\d+$", "", model_name)
        for name, point in named.items():
            places[OBJECTNET.get(category, category)][name].append(point)
    assert set(places) == set(CATEGORIES)
    for category, named in places.items():
        ours: dict[str, list] = defaultdict(list)
        for number in range(5 * OF_KINDS):
            shape = mesh(category, number)
            for name, point in zip(shape.keypoint_names, shape.keypoints):
                ours[name].append(point)
        for name, found in named.items():
            if name in ("top_up", "top_down", "top_left", "top_right"):
                continue  # one round table; ours have their four corners at the diagonals
            mean, theirs = np.mean(np.abs(ours[name]), 0), np.mean(np.abs(found), 0)
            assert abs(mean[0] - theirs[0]) < 0.2, (category, name)
            gap = np.abs(np.mean(ours[name], 0) - np.mean(found, 0))[1:]
            assert gap.max() < 0.2, (category, name, gap)

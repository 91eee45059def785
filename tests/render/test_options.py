"""Options, presets and the names of view sets."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest

from stages.errors import UsageError
from stages.render import PRESETS, STAGE, Params, check, process, variant
from stages.stage import Arrays, Item, params_from_json, params_json
from stages.store.fingerprint import safe_name
from stages.store.workspace import Workspace
from stages.viewpoints import table
from tests.render.models import box

UNIFORM = Params(viewpoints="uniform", views=5, size=32, backend="numba")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"supersample": 2}, "--supersample 2 is even"),
        ({"size": 4096}, "--size 4096 with --supersample 3"),
        ({"views": 10}, "--views does nothing with --viewpoints grid24"),
        ({"elevation_max_deg": 50.0}, "--elevation-max-deg does nothing"),
        ({"viewpoints": "kde", "inplane_min_deg": 5.0}, "--inplane-min-deg does nothing"),
        ({"viewpoints": "sphere", "distribution": "cars"}, "--distribution does nothing"),
        ({"viewpoints": "uniform", "elevation_min_deg": 60.0}, "--elevation-min-deg 60 is above"),
        ({"viewpoints": "sphere", "inplane_min_deg": 5.0}, "--inplane-min-deg 5 is above"),
        ({"viewpoints": "so3", "azimuth_max_deg": -5.0}, "--azimuth-min-deg 0 is above"),
        ({"distance_min": 2.5}, "--distance-min 2.5 is above the highest, 2"),
        ({"background": "solid", "solid_min": 9, "solid_max": 8}, "--solid-min 9 is above"),
        ({"background": "solid", "grey": 0}, "--grey does nothing with --background solid"),
        ({"solid_max": 9}, "--solid-max does nothing with --background grey"),
        ({"images": "sun"}, "--images does nothing with --background grey"),
        ({"background": "images"}, "--background images needs"),
        ({"light_spread_deg": 10.0}, "--light-spread-deg does nothing with --light fixed"),
        ({"light_strength_spread": 0.1}, "--light-strength-spread does nothing"),
        ({"viewpoints": "so3", "views": 569, "size": 486}, "569 views of --size 486"),
        ({"size": 3000, "supersample": 1}, "24 views of --size 3000"),
    ],
)
def test_contradicting_options_are_errors(options: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError) as caught:
        check(Params(**options))
    assert str(caught.value).startswith(words)
    assert caught.value.hint


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_accepted_and_survive_the_cache(name: str) -> None:
    check(PRESETS[name])
    assert params_from_json(Params, params_json(PRESETS[name])) == PRESETS[name]
    assert STAGE.presets is PRESETS


def seen(name: str, tmp_path: Any = None, **changes: Any) -> Arrays:
    """The views of a box by a preset."""
    mesh = box((-0.4, -0.3, -0.2), (0.4, 0.3, 0.2), (0.9, 0.4, 0.2, 1))
    source = table("pascal3d", "car", Workspace(tmp_path)) if tmp_path else {}
    item = Item("car/one", {"shapes": mesh.to_arrays()}, source)
    params = replace(PRESETS[name], backend="numba", **changes)
    return process(item, params, np.random.default_rng(0))


def test_ptn_is_24_azimuths_at_one_elevation() -> None:
    """Azimuths 15 k, elevation 30, 64 pixels; the camera of MVC: 120 pixels at 64."""
    for name in ("ptn", "pointcloud"):
        arrays = seen(name)
        assert arrays["rgb"].shape == (24, 64, 64, 3)
        assert arrays["viewpoint"].tolist() == [[15 * k, 30, 0, 2] for k in range(24)]
        assert arrays["intrinsics"][0, 0] == 120
        assert (arrays["rgb"][:, 0, 0] == 255).all()  # white


def test_mvc_is_ten_random_views() -> None:
    arrays = seen("mvc", views=1000, size=8, supersample=1)
    _, elevation, inplane, distance = arrays["viewpoint"].T
    assert -20 <= elevation.min() < -19.5 < 39.5 < elevation.max() <= 40
    assert (inplane == 0).all()
    assert (distance == 2).all()
    assert PRESETS["mvc"].views == 10
    assert PRESETS["mvc"].size == 64


def test_r2n2_has_the_lens_distances_and_backgrounds_of_3d_r2n2() -> None:
    arrays = seen("r2n2")
    assert arrays["rgb"].shape == (24, 137, 137, 3)
    # K as published with data sets that are made of these pictures.
    assert arrays["intrinsics"].tolist() == [[149.84375, 0, 68.5], [0, 149.84375, 68.5], [0, 0, 1]]
    many = seen("r2n2", views=1000, size=8, supersample=1)
    azimuth, elevation, inplane, distance = many["viewpoint"].T
    assert azimuth.min() < 2
    assert azimuth.max() > 358
    assert 25 <= elevation.min() < 25.1 < 29.9 < elevation.max() <= 30
    assert (inplane == 0).all()
    ratio = distance / 1.75
    assert pytest.approx(ratio.min(), abs=0.002) == 0.65
    assert pytest.approx(ratio.max(), abs=0.002) == 0.95
    corners = many["rgb"][:, 0, 0][many["mask"][:, 0, 0] == 0]
    assert corners.min() == 225
    assert corners.max() == 255


def test_deep_encoding_is_486_pixels_on_random_colours(tmp_path: Any) -> None:
    arrays = seen("deep-encoding", tmp_path, views=3)
    assert arrays["rgb"].shape == (3, 486, 486, 3)
    assert len(np.unique(arrays["rgb"][:, 0, 0], axis=0)) == 3
    assert PRESETS["deep-encoding"].viewpoints == "kde"


@pytest.mark.parametrize("turned", [True, False])
def test_equivariant_views_are_of_the_whole_sphere(turned: bool) -> None:
    name = "equivariant-3dof" if turned else "equivariant-2dof"
    arrays = seen(name)
    assert arrays["rgb"].shape == (24, 128, 128, 3)
    assert (np.ptp(arrays["scale"], axis=0) > 0.05).all()
    many = seen(name, views=1000, size=8, supersample=1)["viewpoint"]
    assert many[:, 1].min() < -75
    assert many[:, 1].max() > 75
    assert (np.ptp(many[:, 2]) > 350) == turned
    test = seen(f"{name}-test")
    assert len(test["rgb"]) == 4
    assert (test["scale"] == 1).all()


def test_variants_are_named_after_presets_or_what_differs() -> None:
    assert variant(Params()) == variant(PRESETS["ptn"]) == "grid24-64px"
    for name in ("mvc", "r2n2", "deep-encoding", "equivariant-3dof", "equivariant-2dof-test"):
        assert variant(PRESETS[name]) == name
    assert variant(Params(viewpoints="uniform", size=128)) == "uniform24-128px"
    params = replace(UNIFORM, elevation_min_deg=-7.5, shading="flat", supersample=1)
    assert variant(params) == "uniform5-32px-elevation-7.5to40-supersample1-flat-numba"
    params = Params(viewpoints="kde", views=8, background="images", images="sun", distance_max=3)
    assert variant(params) == "kde8-64px-distance2to3-images-sun"
    params = Params(light="random", light_spread_deg=90.0, stretch=1.25, background="solid")
    assert variant(params) == "grid24-64px-stretch1.25-solid-lightrandom-lightspread90"
    assert STAGE.variant is variant


def test_every_option_is_in_the_name_and_no_name_is_too_long() -> None:
    other: dict[str, Any] = {
        "viewpoints": "so3",
        "shading": "flat",
        "background": "solid",
        "light": "random",
        "backend": "numba",
        "distribution": "other",
        "images": "other",
    }
    for field in fields(Params):
        value = other.get(field.name)
        if value is None:
            value = (field.default if field.default is not None else 1.0) * 2 + 1
            value = type(field.default or 1.0)(value)
        base = Params(viewpoints="so3") if field.name.endswith(("min_deg", "max_deg")) else Params()
        base = replace(base, viewpoints="uniform") if field.name == "views" else base
        changed = replace(base, **{field.name: value})
        assert variant(changed) != variant(base), field.name
    everything = Params(
        viewpoints="so3",
        azimuth_min_deg=12.345,
        elevation_min_deg=-12.345,
        inplane_max_deg=170.125,
        distance_max=3.1415,
        focal=1.2345,
        background="images",
        images="a-rather-long-name-of-a-folder",
        light="random",
        light_spread_deg=33.3,
        light_strength_spread=0.123,
        shading="flat",
    )
    assert safe_name(variant(everything), "variant")
    assert variant(everything) != variant(replace(everything, shading="smooth"))

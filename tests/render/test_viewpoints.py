"""Where the stage looks from: ranges, the sphere, SO(3), fitted viewpoints, distances."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import kstest

from stages.errors import ItemError
from stages.geometry import cameras
from stages.render import Params, process
from stages.render.attach import MISSING
from stages.stage import Arrays, Item
from stages.store.workspace import Workspace
from stages.viewpoints import table
from stages.viewpoints.fitting import Fit, fit_tables
from tests.render.models import box

MANY = Params(size=8, views=1500, supersample=1, backend="numba")
SHAPE = {"shapes": box((-0.4, -0.3, -0.2), (0.4, 0.3, 0.2)).to_arrays()}
# The largest difference of a sample of 1500 from its distribution is more than this once in e^8.
KS = 2 / np.sqrt(MANY.views)


def seen(params: Params, source: dict | None = None, seed: int = 0) -> Arrays:
    return process(Item("car/one", SHAPE, source or {}), params, np.random.default_rng(seed))


def test_so3_is_uniform_over_rotations() -> None:
    rotation = seen(replace(MANY, viewpoints="so3"))["extrinsics"][:, :, :3].astype(np.float64)
    flat = rotation.reshape(-1, 9)
    # Haar measure: E[R] = 0 and E[vec R vec R^T] = 1/3; five standard errors of 1500.
    assert np.abs(flat.mean(0)).max() < 5 * np.sqrt(1 / 3 / len(flat))
    assert np.abs(flat.T @ flat / len(flat) - np.eye(9) / 3).max() < 5 * 0.34 / np.sqrt(len(flat))
    angle = np.arccos(np.clip((np.trace(rotation, axis1=1, axis2=2) - 1) / 2, -1, 1))
    assert kstest(angle, lambda t: (t - np.sin(t)) / np.pi).statistic < KS


def test_sphere_is_uniform_over_directions_and_upright() -> None:
    arrays = seen(replace(MANY, viewpoints="sphere"))
    azimuth, elevation, inplane, distance = arrays["viewpoint"].T.astype(np.float64)
    assert kstest(azimuth / 360, "uniform").statistic < KS
    assert kstest((np.sin(np.radians(elevation)) + 1) / 2, "uniform").statistic < KS
    assert (inplane == 0).all()
    assert (distance == cameras.DISTANCE).all()
    assert 0 <= azimuth.min() < azimuth.max() < 360


def test_a_hemisphere_and_part_of_the_turns() -> None:
    params = replace(MANY, viewpoints="so3", elevation_min_deg=0.0, inplane_min_deg=-90.0)
    arrays = seen(replace(params, inplane_max_deg=90.0))
    _, elevation, inplane, _ = arrays["viewpoint"].T
    assert kstest(np.sin(np.radians(elevation)), "uniform").statistic < KS
    assert kstest(inplane / 180 + 0.5, "uniform").statistic < KS


def test_ranges_of_uniform_viewpoints_are_kept_and_filled() -> None:
    params = replace(MANY, viewpoints="uniform", azimuth_min_deg=-45.0, azimuth_max_deg=45.0)
    params = replace(params, elevation_max_deg=0.0, inplane_min_deg=-10.0)
    azimuth, elevation, inplane, _ = seen(params)["viewpoint"].T
    for values, low, high in (
        ((azimuth + 180) % 360 - 180, -45, 45),
        (elevation, -20, 0),  # -20 is the lowest of this kind
        (inplane, -10, 0),
    ):
        assert low <= values.min() < values.max() <= high
        assert kstest((values - low) / (high - low), "uniform").statistic < KS


@pytest.mark.parametrize("kind", ["grid24", "uniform", "so3"])
def test_distances_have_a_range_of_their_own(kind: str) -> None:
    near = replace(MANY, viewpoints=kind, views=300 if kind != "grid24" else 24)
    far = replace(near, distance_min=1.5, distance_max=4.0)
    fixed, free = seen(near), seen(far)
    assert np.array_equal(fixed["viewpoint"][:, :3], free["viewpoint"][:, :3])
    distance = free["viewpoint"][:, 3]
    assert 1.5 <= distance.min() < distance.max() <= 4
    assert kstest((distance - 1.5) / 2.5, "uniform").statistic < 2 / np.sqrt(len(distance))
    assert np.allclose(free["extrinsics"][:, 2, 3], distance)
    # What the middle of the picture sees of a convex shape is within 0.55 of its centre.
    depth = free["depth"][:, 4, 4]
    assert (np.abs(depth - distance) < 0.55).all()


def test_what_is_stored_is_what_was_drawn() -> None:
    arrays = seen(replace(MANY, viewpoints="so3", distance_max=3.0))
    again = cameras.extrinsics(arrays["viewpoint"].astype(np.float64)).astype(np.float32)
    assert np.array_equal(arrays["extrinsics"], again)


def test_the_focal_length_scales_the_picture() -> None:
    params = Params(size=63, viewpoints="sphere", views=1, backend="numba")
    wide = seen(replace(params, focal=cameras.FOCAL / 3))
    fine = seen(params)
    assert np.allclose(wide["intrinsics"], [[39.375, 0, 31.5], [0, 39.375, 31.5], [0, 0, 1]])
    # The middle third of the wide picture, 21 pixels, is the whole of the other one: the mask of
    # a wide pixel is the mean over 3 x 3 others, of 9 samples each instead of 81.
    mean = fine["mask"][0].reshape(21, 3, 21, 3).mean((1, 3))
    assert np.abs(wide["mask"][0, 21:42, 21:42] - mean).mean() < 4
    assert wide["mask"][0].sum() == wide["mask"][0, 21:42, 21:42].sum()


def test_fitted_viewpoints_come_from_the_table() -> None:
    """Bandwidths of 0: only what was annotated, as often as it was, at the distance of ours."""
    rows = np.array([[10, 5, -3, 7.5]] + 3 * [[200, -8, 0, 2.0]])
    narrow = Fit(azimuth_deg=0.0, elevation_deg=0.0, inplane_deg=0.0)
    made = fit_tables({"car": rows}, narrow)["car"]
    viewpoint = seen(replace(MANY, viewpoints="kde"), made)["viewpoint"]
    found, counts = np.unique(viewpoint, axis=0, return_counts=True)
    assert found.tolist() == [[10, 5, -3, 2], [200, -8, 0, 2]]
    # 1500 draws of probability 1/4: a standard deviation of 17.
    assert abs(counts[0] - 375) < 5 * 17


def test_fitted_viewpoints_of_cars_look_like_the_annotations(tmp_path: Path) -> None:
    made = table("pascal3d", "car", Workspace(tmp_path))
    azimuth, elevation, inplane, distance = seen(replace(MANY, viewpoints="kde"), made)[
        "viewpoint"
    ].T
    counts = np.array(made["count"], float)
    for values, name in ((elevation, "elevation_deg"), (inplane, "inplane_deg")):
        annotated = np.repeat(np.array(made[name], float), counts.astype(int))
        spread = annotated.std() / np.sqrt(MANY.views)
        # Kernels are symmetric and far from the limits: they leave the mean where it is.
        assert abs(values.mean() - annotated.mean()) < 5 * spread + 0.1
    assert np.median(np.abs(elevation)) < 15  # most real pictures are taken from the ground
    shares, _ = np.histogram(azimuth, 24, (0, 360))
    wanted, _ = np.histogram(made["azimuth_deg"], 24, (0, 360), weights=counts)
    # Half of the histogram would be elsewhere for uniform azimuths.
    moved = np.abs(shares / shares.sum() - wanted / wanted.sum()).sum() / 2
    even = np.abs(1 / 24 - wanted / wanted.sum()).sum() / 2
    assert moved < 0.5 * even
    assert (distance == cameras.DISTANCE).all()


def test_viewpoints_follow_from_the_seed(tmp_path: Path) -> None:
    made = table("pascal3d", "car", Workspace(tmp_path))
    for kind in ("uniform", "sphere", "so3", "kde"):
        params = replace(MANY, viewpoints=kind, views=5)
        one, same, other = (seen(params, made, seed)["viewpoint"] for seed in (1, 1, 2))
        assert np.array_equal(one, same)
        assert not np.array_equal(one, other)


def test_a_category_without_fitted_viewpoints_is_an_item_that_fails() -> None:
    with pytest.raises(ItemError, match=r"no category 'lamp'.*crossdim viewpoints fit"):
        seen(replace(MANY, viewpoints="kde"), {MISSING: "viewpoints x have no category 'lamp'"})

"""The tables of the protocol: a perfect prediction scores 1, known ones score as by hand."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from stages.evaluate import reconstruction
from stages.evaluate.baselines import Baselines, constant_viewpoint
from stages.evaluate.reconstruction import BASELINE_PAIRINGS, PAIRINGS, Params, process
from stages.evaluate.summary import best_threshold
from stages.export.pictures import picture, projection, surface
from stages.geometry.cameras import DISTANCE, grid24
from stages.geometry.rotations import camera as rotation_of
from stages.geometry.sampling import Rays, penetration
from stages.stage import Item

VIEWS = 4


@pytest.fixture
def truth() -> np.ndarray:
    """An L with a mast: no symmetry, so that a turned or mirrored one overlaps less."""
    grid = np.zeros((32, 32, 32), bool)
    grid[8:24, 10:16, 8:14] = True
    grid[8:13, 10:24, 8:14] = True
    grid[20:24, 10:14, 8:26] = True
    return grid


@pytest.fixture
def viewpoints() -> np.ndarray:
    return grid24()[::6].astype(np.float32)  # azimuths 0, 90, 180, 270


def silhouettes(grid: np.ndarray, viewpoints: np.ndarray, size: int) -> np.ndarray:
    """(V, size, size) uint8 coverage of the grid itself."""
    angles = torch.from_numpy(np.radians(viewpoints[:, :2].astype(np.float64)))
    rotation = rotation_of(angles[:, 0], angles[:, 1])[:, None]
    grids = torch.from_numpy(np.broadcast_to(grid, (len(viewpoints), *grid.shape)).copy()).double()
    passed = penetration(grids, rotation, Rays(size=size))[:, 0]
    return ((passed < 0.5).numpy() * 255).astype(np.uint8)


class Oracle:
    """A system that answers what it is told to."""

    def __init__(self, voxels: np.ndarray, viewpoints: np.ndarray, mask: np.ndarray) -> None:
        self.answer = {
            "voxels": torch.from_numpy(voxels.astype(np.float32)),
            "viewpoint": torch.from_numpy(viewpoints),
            "mask": torch.from_numpy(mask.astype(np.float32)),
        }

    def predict(self, model: object, images: torch.Tensor, params: object) -> dict:
        return self.answer


def evaluate(
    monkeypatch: pytest.MonkeyPatch,
    truth: np.ndarray,
    viewpoints: np.ndarray,
    told: np.ndarray,
    told_viewpoints: np.ndarray,
) -> dict[str, np.ndarray]:
    coverage = silhouettes(truth, viewpoints, 64)
    mask48 = silhouettes(truth, viewpoints, 48) / 255
    oracle = Oracle(np.broadcast_to(told, (VIEWS, 32, 32, 32)), told_viewpoints, mask48)
    trained = SimpleNamespace(system=oracle, model=None, params=None)
    baselines = Baselines(
        mean_shape=truth.astype(np.float32) * 0.6,
        mean_threshold=0.5,
        training=np.stack([~truth, truth]).reshape(2, -1),
        training_ids=("a/not", "a/same"),
        viewpoint=viewpoints[0],
    )
    monkeypatch.setattr(reconstruction, "_context", lambda *_: (trained, baselines))
    views = {
        "rgb": np.zeros((VIEWS, 64, 64, 3), np.uint8),
        "mask": coverage,
        "viewpoint": viewpoints,
    }
    item = Item(
        "a/shape", {"voxels": {"voxels": truth}, "views": views}, {"run": "", "device": "cpu"}
    )
    return process(item, Params(), np.random.default_rng(0))


def test_a_perfect_answer_scores_one(
    monkeypatch: pytest.MonkeyPatch, truth: np.ndarray, viewpoints: np.ndarray
) -> None:
    result = evaluate(monkeypatch, truth, viewpoints, truth, viewpoints)
    assert (result["voxel_iou"] == 1).all()
    assert (result["posed_iou"] == 1).all()
    # float32 angles: arctan2 of 1e-7 is 6e-6 degrees
    assert result["rotation_error_deg"].max() < 1e-4
    # all four pairings are the same picture, and it is the mask but for pixels at its rim,
    # where 64 px coverage averaged to 48 px and 48 px rays round differently
    assert np.ptp(result["projection_iou"], axis=1).max() == 0
    assert result["projection_iou"].min() > 0.93
    assert (result["baseline_voxel_iou"] == 1).all()
    assert result["nearest_training_shape"] == b"a/same"


def test_half_a_turn_costs_the_pose_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch, truth: np.ndarray, viewpoints: np.ndarray
) -> None:
    flipped = viewpoints + np.float32([180, 0, 0, 0])
    result = evaluate(monkeypatch, truth, viewpoints, truth, flipped)
    # a half-turn of azimuth is a rotation by 180 degrees at any elevation
    np.testing.assert_allclose(result["rotation_error_deg"], 180, atol=1e-3)
    assert (result["voxel_iou"] == 1).all()
    by_name = dict(zip(PAIRINGS, result["posed_iou"].T))
    assert (by_name["pred shape & GT pose"] == 1).all()
    assert by_name["pred shape & pred pose"].max() < 0.6
    np.testing.assert_array_equal(
        by_name["pred shape & pred pose"], by_name["GT shape & pred pose"]
    )
    constant = dict(zip(BASELINE_PAIRINGS, result["baseline_posed_iou"].T))
    # the constant viewpoint is that of the first view
    assert constant["GT shape & constant pose"][0] == 1
    assert constant["GT shape & constant pose"][1:].max() < 0.9
    np.testing.assert_allclose(result["baseline_rotation_error_deg"][[0, 2]], [0, 180], atol=1e-3)


def test_a_wrong_shape_at_the_right_pose(
    monkeypatch: pytest.MonkeyPatch, truth: np.ndarray, viewpoints: np.ndarray
) -> None:
    half = truth.copy()
    half[:, :, 14:] = False  # without its mast
    expected = half.sum() / truth.sum()
    result = evaluate(monkeypatch, truth, viewpoints, half, viewpoints)
    np.testing.assert_allclose(result["voxel_iou"][:, 49], expected, atol=1e-6)
    posed = dict(zip(PAIRINGS, result["posed_iou"].T))
    # resampled to 48^3 the share of the mast changes by its rim only
    np.testing.assert_allclose(posed["pred shape & pred pose"], expected, atol=0.03)
    assert (posed["GT shape & pred pose"] == 1).all()


def test_the_constant_viewpoint_is_the_nearest_to_all() -> None:
    rng = np.random.default_rng(0)
    around = np.column_stack(
        [
            rng.normal(40, 8, 300) % 360,
            rng.normal(15, 4, 300),
            np.zeros(300),
            np.full(300, DISTANCE),
        ]
    )
    found = constant_viewpoint(around.astype(np.float32))
    # the grid has steps of 5 degrees in azimuth, and elevations at octiles
    assert abs(found[0] - 40) <= 5
    assert abs(found[1] - 15) <= 3
    assert found[3] == DISTANCE


def test_the_threshold_is_the_best_of_the_mean() -> None:
    scores = np.zeros((2, 99), np.float32)
    scores[0, 30], scores[1, 30] = 0.5, 0.5
    scores[0, 60] = 0.9
    assert best_threshold(scores) == pytest.approx(0.31)


def test_the_projection_that_is_drawn_is_what_the_rasteriser_shows(
    truth: np.ndarray, viewpoints: np.ndarray
) -> None:
    """Of the surface around the grid; pixels at the rim, where the surface is rounded, differ."""
    mesh = surface(truth.astype(np.float32), 0.5, (0, 0, 0, 1))
    for viewpoint in viewpoints:
        expected = (picture(mesh, viewpoint, 48) < 128).any(-1)
        drawn = projection(truth, viewpoint) == 255
        assert (drawn & expected).sum() > 0.9 * (drawn | expected).sum()
    assert not projection(np.zeros_like(truth), viewpoints[0]).any()

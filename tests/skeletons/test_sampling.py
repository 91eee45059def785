"""Random skeletons: within their ranges, projected as they say, of possible perspectives."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from stages.errors import ItemError
from stages.skeletons.fitting import principal
from stages.skeletons.projection import LEAST_DIVISOR, combine, in_frame
from stages.skeletons.sampling import rotated, sample
from stages.skeletons.template import load
from stages.store.workspace import Workspace


@pytest.fixture
def chair(tmp_path):
    return load("chair", Workspace(tmp_path))


def test_parameters_are_uniform_in_their_ranges(chair):
    ranges = chair.range("published")
    drawn = sample(chair, ranges, 4000, np.random.default_rng(0), least_visible=0)
    shares = drawn.alpha[:, 1:] / drawn.alpha[:, :1]
    low, high = np.array(ranges.alpha).T
    unit = (shares - low) / (high - low)
    assert unit.min() > -1e-4
    assert unit.max() < 1 + 1e-4
    # rejection takes 0.8 % of them: the mean of a uniform variable within 4 deviations of it
    np.testing.assert_allclose(unit.mean(0), 0.5, atol=4 * np.sqrt(1 / 12 / 4000) + 0.01)
    assert np.ptp(drawn.theta[:, 2]) == 0
    assert 0 < drawn.rejected < 100


def test_keypoints_follow_from_parameters(chair):
    drawn = sample(chair, chair.range("executable"), 200, np.random.default_rng(1), 0.0)
    np.testing.assert_allclose(drawn.points, combine(drawn.alpha, chair.bases), atol=2e-3)
    turned = rotated(drawn.theta.astype(float), drawn.points.astype(float))
    divisor = 1 + turned[..., 2] / drawn.focal[:, None]
    assert divisor.min() > LEAST_DIVISOR
    expected = (turned[..., :2] + drawn.translation[:, None]) / divisor[..., None] + [120, 160]
    # float32 pixels, some of them far outside of the picture
    np.testing.assert_allclose(drawn.keypoints, expected, rtol=1e-3, atol=1e-2)
    np.testing.assert_array_equal(drawn.visible, in_frame(drawn.keypoints))
    assert drawn.visible.any(1).all()


def test_perturbation_is_a_share_of_the_diagonal(chair):
    drawn = sample(chair, chair.range("published"), 3000, np.random.default_rng(2), 0.01)
    clean = combine(drawn.alpha.astype(float), chair.bases)
    diagonal = np.linalg.norm(np.ptp(clean, axis=1), axis=1)
    relative = (drawn.points - clean) / diagonal[:, None, None]
    assert relative.std() == pytest.approx(0.01, rel=0.02)  # 90,000 numbers: 0.25 % of error


def test_inverse_focal_lengths_can_be_uniform(chair):
    rng = np.random.default_rng(3)
    drawn = sample(chair, chair.range("published"), 4000, rng, uniform="inverse", least_visible=0)
    inverse = np.sort(1 / drawn.focal)
    uniform = np.linspace(1 / 450, 1 / 120, 4000)
    # 2.4 % are rejected, of the shortest ones
    assert np.abs(inverse - uniform).max() < 0.05 * (uniform[-1] - uniform[0])


def test_ranges_that_leave_nothing(chair):
    ranges = dataclasses.replace(
        chair.range("published"), translation=((5000.0, 5001.0), (0.0, 0.0))
    )
    with pytest.raises(ItemError, match="do not fit its shapes"):
        sample(chair, ranges, 10, np.random.default_rng(0))


def test_principal_finds_the_bases_again():
    """Shapes of a symmetric mean and one symmetric mode: PCA gives that mode and its deviation."""
    rng = np.random.default_rng(4)
    mean = np.array([[-1, 0, 1], [1, 0, 1], [-1, 1, -1], [1, 1, -1.0]])
    mode = np.array([[0, -1, 0], [0, -1, 0], [0, 1, 0], [0, 1, 0.0]]) / 2
    weight = rng.normal(0, 0.2, 400)
    found, bases, weights, explained = principal(mean + weight[:, None, None] * mode, 2)
    np.testing.assert_allclose(found, mean + weight.mean() * mode, atol=1e-12)
    assert abs((bases[0] * mode).sum()) / np.linalg.norm(bases[0]) == pytest.approx(1)
    assert np.linalg.norm(bases[0]) == pytest.approx(weight.std())
    assert weights.std() == pytest.approx(1)
    assert explained.tolist() == pytest.approx([1])

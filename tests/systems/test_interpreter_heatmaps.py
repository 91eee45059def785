"""Heatmaps, contrast normalisation and the vector of parameters, against naive loops and scipy."""

from __future__ import annotations

import math

import numpy as np
import torch
from scipy.ndimage import gaussian_filter

from stages.skeletons.sampling import sample
from stages.skeletons.template import load
from stages.store.workspace import Workspace
from stages.systems.interpreter.contrast import normalised, pyramid
from stages.systems.interpreter.heatmaps import (
    draw,
    peaks,
    refined_peaks,
    rescaled,
    salt_and_pepper,
    smoothed,
)
from stages.systems.interpreter.parameters import Projection, size_of

rng = np.random.default_rng(0)


def test_a_map_is_a_gaussian_at_cell_centres():
    points = torch.tensor([[[17.0, 203.0], [120.0, 160.0]]])
    maps = draw(points, torch.tensor([[True, False]]), 1.5)
    for row in (0, 24, 25, 39):
        for column in (0, 1, 2, 29):
            away = ((column + 0.5) * 8 - 17) ** 2 + ((row + 0.5) * 8 - 203) ** 2
            expected = math.exp(-away / 64 / (2 * 1.5**2))
            assert (
                maps[0, 0, row, column].item() == np.float32(expected)
                or abs(maps[0, 0, row, column].item() - expected) < 1e-6
            )  # float32
    assert maps[0, 1].abs().sum() == 0


def test_peaks_come_back():
    points = torch.from_numpy(rng.uniform(20, 220, (8, 5, 2)).astype(np.float32))
    maps = draw(points, torch.ones(8, 5), 1.0)
    coarse, height = peaks(maps)
    assert (coarse - points).abs().max() <= 4  # half a cell
    assert height.min() > math.exp(-0.25)  # half a cell off in both directions
    # the window of 3 x 3 cuts a Gaussian that is not in its middle
    assert (refined_peaks(maps) - points).abs().max() < 2  # a quarter of a cell


def test_salt_and_pepper_shares():
    maps = torch.full((3, 10, 40, 30), 0.5)
    share = torch.tensor([0.0, 0.1, 0.2])
    noisy = salt_and_pepper(maps, share, torch.Generator().manual_seed(1))
    for value in (0.0, 1.0):
        found = (noisy == value).float().mean((1, 2, 3))
        # 12,000 cells: 4 deviations of a share of 0.1
        np.testing.assert_allclose(found, share / 2, atol=4 * math.sqrt(0.1 * 0.9 / 12000))
    again = salt_and_pepper(maps, share, torch.Generator().manual_seed(1))
    assert torch.equal(noisy, again)


def test_rescaled_has_the_sum_of_a_peak():
    maps = torch.from_numpy(rng.normal(0.05, 0.1, (2, 3, 40, 30)).astype(np.float32))
    maps[1, 2] = 1e-9
    told = rescaled(maps, 1.0)
    sums = told.sum((-2, -1))
    np.testing.assert_allclose(sums[0], 2 * math.pi, rtol=1e-5)
    assert sums[1, 2] < 1e-3  # the gain has an end
    assert told.min() >= 0


def test_smoothed_is_scipys_gaussian():
    maps = rng.random((1, 2, 40, 30))
    told = smoothed(torch.from_numpy(maps), 1.0)[0, 1]
    expected = gaussian_filter(maps[0, 1], 1.0, mode="constant", truncate=3.0)
    np.testing.assert_allclose(told, expected, atol=1e-7)  # its bell is summed in float32


def naive_contrast(image: np.ndarray, least: float) -> np.ndarray:
    """Local contrast normalisation of one channel, pixel by pixel."""
    bell = np.exp(-(np.arange(-3, 4) ** 2) / (2 * 1.75**2))

    def local(values: np.ndarray) -> np.ndarray:
        rows, columns = values.shape
        found = np.zeros_like(values)
        for r in range(rows):
            for c in range(columns):
                total = weight = 0.0
                for i in range(-3, 4):
                    for j in range(-3, 4):
                        if 0 <= r + i < rows and 0 <= c + j < columns:
                            w = bell[i + 3] * bell[j + 3]
                            total, weight = total + w * values[r + i, c + j], weight + w
                found[r, c] = total / weight
        return found

    rest = image - local(image)
    return rest / np.maximum(np.sqrt(local(rest**2)), least)


def test_contrast_against_a_naive_loop():
    image = rng.random((1, 3, 11, 9))
    for least in (1.0, 0.1):
        told = normalised(torch.from_numpy(image), least)
        for channel in range(3):
            expected = naive_contrast(image[0, channel], least)
            np.testing.assert_allclose(told[0, channel], expected, atol=1e-6)


def test_released_contrast_never_divides():
    """Pictures span 1 at most, so no local deviation is above 1."""
    image = torch.from_numpy((rng.random((1, 3, 40, 30)) > 0.5).astype(np.float64))
    released, never = normalised(image, 1.0), normalised(image, 1e6) * 1e6
    np.testing.assert_allclose(released, never, atol=1e-12)


def test_pyramid_spreads_and_halves():
    image = 0.2 + 0.3 * torch.rand(2, 3, 40, 30, generator=torch.Generator().manual_seed(0))
    levels = pyramid(image)
    assert [tuple(level.shape[2:]) for level in levels] == [(40, 30), (20, 15), (10, 8)]
    np.testing.assert_allclose(levels[0].amax((2, 3)) - levels[0].amin((2, 3)), 1, atol=1e-6)
    flat = pyramid(torch.full((1, 3, 40, 30), 0.5))[0]
    assert torch.isfinite(flat).all()


def test_vectors_mean_their_skeletons(tmp_path):
    template = load("sofa", Workspace(tmp_path))
    ranges = template.range("published")
    drawn = sample(template, ranges, 300, np.random.default_rng(1), perturbation=0.0)
    layer = Projection(template, ranges)
    names = ("alpha", "theta", "translation", "focal")
    vector = layer.encode(*(torch.from_numpy(getattr(drawn, name)) for name in names))
    assert vector.shape == (300, size_of(template)) == (300, 16)
    k = template.basis_count
    inside = torch.cat([vector[:, :k], vector[:, k : k + 1], vector[:, -2:]], 1)
    assert inside.min() > -1e-5
    assert inside.max() < 1 + 1e-5
    told = layer(vector)
    seen = drawn.visible
    np.testing.assert_allclose(told.points, drawn.points, atol=0.01)  # float32, of 300 pixels
    np.testing.assert_allclose(told.keypoints[seen], drawn.keypoints[seen], atol=0.02)
    wild = layer(torch.randn(50, 16, generator=torch.Generator().manual_seed(0)) * 1e3)
    assert torch.isfinite(wild.keypoints).all()
    assert (1 / wild.inverse_focal).min() >= ranges.focal[0] - 1e-3

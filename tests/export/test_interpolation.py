"""Codes between codes, and which shapes stand in a row."""

from __future__ import annotations

import numpy as np
import torch

from stages.export.interpolation import _from_afar, between, captioned


def test_codes_go_straight_from_one_end_to_the_other() -> None:
    first, second = torch.randn(2, 9, generator=torch.Generator().manual_seed(0))
    codes = between(first, second, 5)
    assert torch.equal(codes[0], first)
    assert torch.equal(codes[4], second)
    for step in range(5):
        expected = [(1 - step / 4) * float(a) + step / 4 * float(b) for a, b in zip(first, second)]
        np.testing.assert_allclose(codes[step], expected, atol=1e-6)  # float32


def test_rows_are_of_one_category_and_of_different_shapes() -> None:
    test = [f"chair/{n}" for n in range(7)] + [f"car/{n}" for n in range(4)] + ["bed/0"]
    rows = _from_afar(test, 4, 2)
    assert rows == [
        ["car/0", "car/2"],
        ["chair/0", "chair/3"],
        ["car/1", "car/3"],
        ["chair/1", "chair/4"],
    ]
    assert _from_afar(test, 9, 3)[0] == ["car/0", "car/1", "car/2"]
    assert len(_from_afar(test, 9, 3)) == 3
    assert _from_afar(["bed/0"], 4, 2) == []


def test_a_caption_changes_the_bottom_alone() -> None:
    tile = np.full((160, 160, 3), 255, np.uint8)
    written = captioned(tile, "1.2 and 3.4")
    assert (written[:140] == 255).all()
    assert (written[140:] < 128).any()

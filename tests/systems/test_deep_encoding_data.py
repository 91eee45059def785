"""Triplets: who is shown beside whom, other backgrounds, and what is refused."""

from __future__ import annotations

import dataclasses
import pickle
from collections import Counter
from functools import partial

import numpy as np
import pytest
import torch

from stages.errors import InputError
from stages.systems import deep_encoding
from stages.systems.deep_encoding.data import Triplets, backgrounds, recoloured
from tests.systems.pictured import drawn, stool

PARAMS = dataclasses.replace(
    deep_encoding.PRESETS["tiny"],
    voxel_res=8,
    image_size=16,
    voxel_pools=(1, 2, 2),
    image_pools=(1, 2, 2),
    recolour=False,
    jitter=0.0,
)
IDS = [f"{kind}/{n}" for kind in ("chair", "table") for n in range(3)]
VIEWS = 5


def told(item: str) -> dict[str, np.ndarray]:
    """Arrays that say which shape and which view they are."""
    number = IDS.index(item)
    rgb = np.zeros((VIEWS, 16, 16, 3), np.uint8)
    rgb[..., 0] = number
    rgb[..., 1] = np.arange(VIEWS)[:, None, None]
    voxels = np.zeros((8, 8, 8), bool)
    voxels.flat[number] = True
    return {"voxels": voxels, "rgb": rgb, "mask": np.full((VIEWS, 16, 16), 255, np.uint8)}


def shown(pictures: torch.Tensor) -> list[tuple[int, int]]:
    """Shape and view of pictures."""
    return [tuple(pixel) for pixel in pictures[:, :2, 3, 7].tolist()]


def triplets(**changes: object) -> Triplets:
    return Triplets(told, IDS, dataclasses.replace(PARAMS, **changes))


def test_a_sample_is_a_shape_with_pictures_of_it_and_of_another() -> None:
    split = triplets()
    assert len(split) == 6  # an epoch shows every shape once
    own, other, seen, unseen = Counter(), Counter(), Counter(), Counter()
    for seed in range(150):
        generator = torch.Generator().manual_seed(seed)
        indices = [4, 0, 4]
        batch = split.batch(indices, generator)
        assert batch["voxels"].dtype == torch.bool
        assert [int(v.flatten().nonzero()) for v in batch["voxels"]] == indices
        positive, negative = shown(batch["positive"]), shown(batch["negative"])
        assert [shape for shape, _ in positive] == batch["object"].tolist() == indices
        assert [shape for shape, _ in negative] == batch["other"].tolist()
        assert batch["id"] == ["table/1", "chair/0", "table/1"]
        for i, (_, view), (j, away) in zip(indices, positive, negative):
            assert i != j  # never the anchor's object
            own[i] += 1
            other[i, j] += 1
            seen[view] += 1
            unseen[away] += 1
    # 300 draws of 5 others, 450 of 5 views: within 4 standard deviations of uniform
    for i, j in [(4, 0), (4, 1), (4, 2), (4, 3), (4, 5)]:
        assert abs(other[i, j] - 60) < 4 * np.sqrt(300 * 0.2 * 0.8)
    for count in [*seen.values(), *unseen.values()]:
        assert abs(count - 90) < 4 * np.sqrt(450 * 0.2 * 0.8)
    assert len(seen) == len(unseen) == VIEWS


def test_batches_are_functions_of_the_generator() -> None:
    split = triplets(jitter=0.3)

    def batch(seed: int, of: Triplets = split) -> dict:
        return of.batch([1, 2, 5], torch.Generator().manual_seed(seed))

    again = pickle.loads(pickle.dumps(split))
    for name in ("positive", "negative", "other"):
        assert torch.equal(batch(3)[name], batch(3, again)[name])
    assert not torch.equal(batch(3)["positive"], batch(4)["positive"])
    assert batch(3)["positive"].is_floating_point()  # tinted


def test_validation_shows_the_first_views_and_others_further_on() -> None:
    split = triplets(validation_views=3, jitter=0.3)
    batch = split.batch([5, 1], None)
    assert shown(batch["positive"]) == [(5, 0), (5, 1), (5, 2), (1, 0), (1, 1), (1, 2)]
    assert shown(batch["negative"]) == [(0, 0), (1, 1), (2, 2), (2, 0), (3, 1), (4, 2)]
    assert batch["positive"].dtype == torch.uint8
    two = Triplets(told, IDS[:2], dataclasses.replace(PARAMS, validation_views=99))
    batch = two.batch([0, 1], None)
    assert shown(batch["negative"]) == [(1, v) for v in range(5)] + [(0, v) for v in range(5)]


def test_a_shape_alone_has_no_negatives() -> None:
    with pytest.raises(InputError, match="chair/0 is alone: there is no other object") as caught:
        Triplets(told, IDS[:1], PARAMS)
    assert "categories" in caught.value.hint


@pytest.mark.parametrize(
    ("name", "shape", "command"),
    [
        ("voxels", (16, 16, 16), "crossdim voxelize --res 8"),
        ("rgb", (5, 32, 32, 3), "crossdim render --preset deep-encoding --size 16"),
        ("rgb", (0, 16, 16, 3), "crossdim render --preset deep-encoding --size 16"),
    ],
)
def test_other_resolutions_are_refused(name: str, shape: tuple, command: str) -> None:
    def mixed(item: str) -> dict[str, np.ndarray]:
        arrays = told(item)
        return {**arrays, name: np.zeros(shape, arrays[name].dtype)} if item == IDS[2] else arrays

    split = Triplets(mixed, IDS, PARAMS)
    split.shape("chair/1")
    with pytest.raises(InputError, match=rf"of chair/2 have shape \({shape[0]}, ") as caught:
        split.shape("chair/2")
    assert caught.value.hint == f"run: {command}"


def test_backgrounds_are_told_from_pictures() -> None:
    seen = drawn(stool(), views=4, viewpoints="uniform", background="solid")
    behind = backgrounds(seen["rgb"], seen["mask"])
    assert behind.tolist() == seen["rgb"][:, 0, 0].tolist()
    assert len({tuple(colour) for colour in behind.tolist()}) == 4
    spotted = seen["rgb"].copy()
    spotted[1, 0, 0] += 1
    assert backgrounds(spotted, seen["mask"]).tolist()[1] == [-1, -1, -1]
    covered = np.full_like(seen["mask"], 255)
    assert (backgrounds(seen["rgb"], covered) == -1).all()


def test_recoloured_pictures_are_renders_before_other_colours() -> None:
    """But for the rounding of coverage and of colours, to 8 bits each."""
    render = partial(drawn, stool(), views=4, viewpoints="uniform", supersample=3)
    bright, dark = render(grey=240), render(grey=7)
    np.testing.assert_array_equal(bright["mask"], dark["mask"])
    behind = backgrounds(bright["rgb"], bright["mask"])
    told = recoloured(bright["rgb"], bright["mask"], behind, np.full((4, 3), 7))
    off = np.abs(told.astype(int) - dark["rgb"].astype(int))
    assert off.max() <= 2
    assert np.abs(bright["rgb"].astype(int) - dark["rgb"]).max() > 200
    colours = np.array([[1, 2, 3], [250, 0, 99], [0, 0, 0], [255, 255, 255]])
    told = recoloured(bright["rgb"], bright["mask"], behind, colours)
    assert (
        told[bright["mask"] == 0] == np.repeat(colours, (bright["mask"] == 0).sum((1, 2)), 0)
    ).all()
    inside = bright["mask"] == 255
    assert (told[inside] == bright["rgb"][inside]).all()
    kept = recoloured(bright["rgb"], bright["mask"], np.full((4, 3), -1), colours)
    np.testing.assert_array_equal(kept, bright["rgb"])


def test_training_draws_backgrounds_and_validation_keeps_them() -> None:
    seen = drawn(stool(), views=6, viewpoints="uniform", background="solid", size=16)
    arrays = {**seen, "voxels": np.ones((8, 8, 8), bool)}
    params = dataclasses.replace(PARAMS, recolour=True, validation_views=6)
    split = Triplets(lambda item: arrays, ["a/1", "a/2"], params)
    corners = {
        tuple(split.batch([0], torch.Generator().manual_seed(n))["positive"][0, :, 0, 0].tolist())
        for n in range(20)
    }
    assert len(corners) == 20  # of six views
    kept = split.batch([0], None)["positive"].permute(0, 2, 3, 1)
    np.testing.assert_array_equal(kept, seen["rgb"])

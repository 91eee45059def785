"""Batches: exact areas, mirrored views that are true views, memory that stays within its limit."""

import dataclasses
import pickle

import numpy as np
import pytest
import torch

from stages.errors import InputError
from stages.geometry import rotations
from stages.geometry.sampling import Rays, penetration
from stages.systems import pose_aware
from stages.systems.pictures import jitter_framing, tint
from stages.systems.pose_aware.data import ShapeViews, area_matrix, augment, average_masks, mirror
from tests.systems import toy

AUGMENTED = dataclasses.replace(toy.PARAMS, flip=True, jitter=0.2)


@pytest.fixture
def views() -> ShapeViews:
    return ShapeViews(toy.load, toy.IDS, AUGMENTED)


@pytest.mark.parametrize(("source", "target"), [(64, 48), (48, 16), (5, 3), (3, 5), (7, 7)])
def test_area_matrix_is_the_naive_overlap(source, target):
    """Cut each source cell into `target` equal pieces: each lies in exactly one target cell."""
    naive = np.zeros((target, source))
    for piece in range(source * target):
        naive[piece // source, piece // target] += 1 / source
    np.testing.assert_allclose(area_matrix(source, target), naive, atol=1e-7)


def test_averaged_masks_keep_their_area_and_constants():
    coverage = torch.rand(3, 64, 64, generator=torch.Generator().manual_seed(0))
    small = average_masks(coverage)
    np.testing.assert_allclose(small.mean((1, 2)), coverage.mean((1, 2)), atol=1e-6)
    np.testing.assert_allclose(average_masks(torch.ones(1, 64, 64)), 1, atol=1e-6)
    np.testing.assert_allclose(
        average_masks(coverage, 32), coverage.reshape(3, 32, 2, 32, 2).mean((2, 4)), atol=1e-6
    )


def test_thin_parts_survive_the_reduction():
    line = torch.zeros(1, 64, 64)
    line[:, 30] = 1
    assert average_masks(line).sum() == pytest.approx(64 * (48 / 64) ** 2, rel=1e-6)


def test_samples_are_the_views_in_order(views):
    assert len(views) == 24
    batch = views.batch([0, 7, 23], None)
    assert batch["id"] == ["toy/0 view 0", "toy/1 view 1", "toy/3 view 5"]
    shape = toy.load("toy/1")
    np.testing.assert_allclose(
        batch["image"][1], shape["rgb"][1].transpose(2, 0, 1) / np.float32(255)
    )
    np.testing.assert_array_equal(batch["voxels"][1], shape["voxels"])
    np.testing.assert_array_equal(batch["viewpoint"][1], shape["viewpoint"][1])
    expected = average_masks(torch.from_numpy(shape["mask"][1] / np.float32(255)))
    np.testing.assert_array_equal(batch["mask"][1], expected)
    assert {n: (tuple(batch[n].shape), batch[n].dtype) for n in ("image", "mask", "voxels")} == {
        "image": ((3, 3, 64, 64), torch.float32),
        "mask": ((3, 48, 48), torch.float32),
        "voxels": ((3, 32, 32, 32), torch.float32),
    }


def test_augmentation_follows_its_generator_alone(views):
    def drawn(seed: int) -> torch.Tensor:
        torch.manual_seed(seed + 100)  # the global generator must not matter
        return views.batch(range(24), torch.Generator().manual_seed(seed))["image"]

    assert torch.equal(drawn(1), drawn(1))
    assert not torch.equal(drawn(1), drawn(2))
    assert drawn(1).min() >= 0
    assert drawn(1).max() <= 1


def test_without_flip_and_jitter_views_stay_as_they_are(views):
    batch = views.sample_batch(["toy/2"], [3])
    same = augment(batch, toy.PARAMS, torch.Generator())
    assert all(torch.equal(batch[name], same[name]) for name in batch)


def test_about_half_of_the_views_are_mirrored(views):
    batch = views.batch([1] * 400, torch.Generator().manual_seed(0))
    share = (batch["viewpoint"][:, 0] < 0).float().mean()
    assert 0.4 < share < 0.6  # four standard deviations of 400 fair coins


def test_as_published_batches_are_what_they_were(views):
    """Mirrored, then tinted, and nothing drawn besides: the bits of a program that knew no more."""
    batch = views.sample_batch(["toy/0", "toy/1", "toy/3"], [1, 2, 0])
    assert (AUGMENTED.jitter_shift, AUGMENTED.jitter_scale) == (0, 0)
    found = augment(batch, AUGMENTED, torch.Generator().manual_seed(3))
    generator = torch.Generator().manual_seed(3)
    expected = mirror(batch, torch.rand(3, generator=generator) < 0.5)
    expected["image"] = tint(expected["image"], 0.2, generator)
    assert all(torch.equal(found[name], expected[name]) for name in expected)


@pytest.mark.parametrize("amounts", [(0.05, 0.0), (0.0, 0.35), (0.05, 0.35)])
def test_only_the_picture_is_framed_anew(views, amounts):
    batch = views.sample_batch(["toy/0", "toy/1"], [1, 2])
    shift, scale = amounts
    params = dataclasses.replace(toy.PARAMS, jitter_shift=shift, jitter_scale=scale)
    found = augment(batch, params, torch.Generator().manual_seed(3))
    targets = ("mask", "voxels", "viewpoint")
    assert all(torch.equal(found[name], batch[name]) for name in targets)
    assert not torch.equal(found["image"], batch["image"])
    generator = torch.Generator().manual_seed(3)
    assert torch.equal(found["image"], jitter_framing(batch["image"], shift, scale, generator))


def test_mirrored_views_are_projections_of_mirrored_voxels(views):
    batch = views.sample_batch(["toy/0", "toy/1"], [1, 2])
    turned = mirror(batch, torch.tensor([True, False]))
    azimuth, elevation = turned["viewpoint"][:, :2].deg2rad().T
    rotation = rotations.camera(azimuth, elevation)[:, None]
    mask = 1 - penetration(turned["voxels"], rotation, Rays(size=64))[:, 0]
    # The toy masks are such projections, rounded to 1/255.
    np.testing.assert_allclose(average_masks(mask), turned["mask"], atol=0.005)
    assert not torch.equal(turned["mask"][0], batch["mask"][0])
    assert torch.equal(turned["image"][0], batch["image"][0].flip(2))
    assert all(torch.equal(turned[n][1], batch[n][1]) for n in batch)


def test_shapes_are_loaded_on_first_use_and_dropped_when_memory_is_short():
    calls = []

    def load_large(shape_id: str) -> dict[str, np.ndarray]:  # 36 views: 0.63 MB
        calls.append(shape_id)
        arrays = toy.load(shape_id)
        return {n: a if n == "voxels" else np.concatenate([a] * 6) for n, a in arrays.items()}

    data = ShapeViews(load_large, toy.IDS, dataclasses.replace(toy.PARAMS, cache_mb=2))
    assert calls == []
    data.sample_batch(["toy/0", "toy/1", "toy/0", "toy/2"], [0, 35, 1, 2])
    assert calls == ["toy/0", "toy/1", "toy/2"]
    data.sample_batch(["toy/3", "toy/0", "toy/1"], [0, 0, 0])  # 3 drops 1: 0 was used since
    assert calls == ["toy/0", "toy/1", "toy/2", "toy/3", "toy/1"]


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("rgb", np.zeros((6, 128, 128, 3), np.uint8)),
        ("voxels", np.zeros((64, 64, 64), bool)),
        ("mask", np.zeros((5, 64, 64), np.uint8)),
        ("viewpoint", np.zeros((6, 3), np.float32)),
    ],
)
def test_arrays_of_other_sizes_are_refused(name, wrong):
    data = ShapeViews(lambda i: {**toy.load(i), name: wrong}, ["toy/0"], toy.PARAMS)
    with pytest.raises(InputError, match="toy/0 have shape"):
        data.sample_batch(["toy/0"], [0])


def test_shapes_with_other_numbers_of_views_are_refused():
    def load(shape_id: str) -> dict[str, np.ndarray]:
        arrays = toy.load(shape_id)
        few = {n: a[:3] for n, a in arrays.items() if n != "voxels"}
        return arrays if shape_id == "toy/0" else {**arrays, **few}

    data = ShapeViews(load, toy.IDS, toy.PARAMS)
    with pytest.raises(InputError, match="toy/3"):
        data.batch([len(data) - 1], None)


def test_no_shapes_are_no_samples_and_data_sets_pickle(views):
    assert len(pose_aware.dataset(toy.load, [], toy.PARAMS)) == 0
    copy = pickle.loads(pickle.dumps(views))
    assert torch.equal(copy.batch([5], None)["image"], views.batch([5], None)["image"])

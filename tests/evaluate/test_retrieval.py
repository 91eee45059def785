"""Retrieval on systems whose codes are known: perfect ones, ones far apart, and stale ones."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from scipy.spatial.distance import pdist

from stages import voxelize
from stages.errors import InputError
from stages.evaluate import retrieval
from stages.evaluate.health import results_status
from stages.evaluate.measure import Report
from stages.evaluate.retrieval_protocol import (
    choose_galleries,
    evaluate_retrieval,
    modality_gap,
)
from stages.store.commit import commit_bytes
from stages.store.workspace import Workspace
from stages.train.run import Run
from tests.evaluate import made
from tests.evaluate.conftest import Answering
from tests.evaluate.made import World, put, trained

IDS = ["chair/a", "chair/b", "chair/c", "table/d", "table/e", "table/f"]
TEST = ["chair/a", "chair/c", "table/d", "table/f"]
VIEWS = 3
made.SPECS["voxels"] = {"voxels": voxelize.SPEC["voxels"]}


class Rooms(World):
    """Shapes with voxels, too: cell n of the first row of shape number n is filled."""

    def fill(self, tag: str = "") -> None:
        items = {}
        for number, item in enumerate(self.ids):
            voxels = np.zeros((8, 8, 8), bool)
            voxels[number, 0, 0] = True
            items[item] = {"voxels": voxels}
        put(self.root, "voxels/res8", items, tag, res=8)

    def ready(self, **more: Any) -> Run:
        """A finished run on views and voxels."""
        import json

        run = self.run("deep-encoding", image_size=128, **more)
        record = run.record()
        record["data"]["variants"] = {"views": "test", "voxels": "res8"}
        record["data"]["ids"]["train"] = [i for i in self.ids if i not in TEST]
        commit_bytes(run.folder / "run.json", json.dumps(record).encode())
        return run


@pytest.fixture
def rooms(tmp_path: Path) -> Rooms:
    world = Rooms(tmp_path, IDS, views=VIEWS)
    world.see()
    world.fill()
    return world


def system(world: Rooms, code: Any, offset: float = 0.0, sha256: str = "1" * 64) -> Any:
    """Codes `code(shape, view)` of pictures, and `code(shape, None)` + `offset` of voxels."""

    def answer(images: torch.Tensor) -> torch.Tensor:
        return torch.stack([code(shape, view) for shape, view in world.shown(images)])

    def encode_voxels(voxels: torch.Tensor) -> torch.Tensor:
        number = int(voxels[0, :, 0, 0].nonzero())
        moved = code(number, None).clone()
        moved[-1] += offset
        return moved[None]

    return trained("deep-encoding", "code", answer, sha256, encode_voxels=encode_voxels)


def random_code(noise: float) -> Any:
    """A direction for each shape, and some noise for each view; the last component is 0."""

    def code(shape: int, view: int | None) -> torch.Tensor:
        base = torch.randn(6, generator=torch.Generator().manual_seed(shape))
        extra = torch.randn(
            6, generator=torch.Generator().manual_seed(100 + 10 * shape + (view or 9))
        )
        both = base + noise * extra
        both[-1] = 0
        return both

    return code


def measure(world: Rooms, run: Run, dry_run: bool = False) -> Report:
    retrieval._everything.cache_clear()
    workspace = Workspace(world.root)
    (gallery,) = choose_galleries(workspace, [], run)
    return evaluate_retrieval(workspace, run, gallery, "cpu", dry_run, lambda progress: None)


def row(report: Report, table: str, what: str) -> Mapping[str, float]:
    return report.summary["tables"][table][what]


def test_perfect_codes_find_everything(rooms: Rooms, answering: Answering) -> None:
    answering(system(rooms, random_code(0.0)))
    report = measure(rooms, rooms.ready(test=TEST))
    everything = {"chair": 1.0, "table": 1.0, "all": 1.0}
    for table in ("image_to_shape", "shape_to_image", "image_to_image"):
        assert row(report, table, "codes: recall@1") == everything
        assert row(report, table, "codes: median rank") == everything
        assert row(report, table, "codes: mAP") == pytest.approx(everything)
    assert row(report, "image_to_shape", "codes: category@1") == everything
    assert row(report, "image_to_shape", "chance: recall@1")["all"] == 0.25
    assert row(report, "image_to_shape", "chance: category@1") == dict.fromkeys(everything, 0.5)
    assert row(report, "shape_to_image", "chance: recall@1")["all"] == pytest.approx(3 / 12)
    assert row(report, "image_to_image", "chance: recall@1")["all"] == pytest.approx(2 / 11)
    assert (report.summary["items"], report.summary["pictures"]) == (4, 12)


def test_numbers_against_loops_over_the_kept_codes(rooms: Rooms, answering: Answering) -> None:
    answering(system(rooms, random_code(1.2)))
    report = measure(rooms, rooms.ready(test=TEST))
    kept = {item: report.results.read(item) for item in TEST}
    voxels = {item: one["voxel_code"] for item, one in kept.items()}
    images = {(i, v): code for i, one in kept.items() for v, code in enumerate(one["image_code"])}

    def order(query: np.ndarray, there: Mapping[Any, np.ndarray]) -> list[Any]:
        return sorted(there, key=lambda key: float(np.linalg.norm(query - there[key])))

    mixed = 0
    for (item, view), code in images.items():
        shapes = order(code, voxels)
        assert kept[item]["image_to_shape_rank"][view, 0] == 1 + shapes.index(item)
        assert kept[item]["image_to_shape_told"][view, 0].decode() == shapes[0]
        others = order(code, {key: c for key, c in images.items() if key != (item, view)})
        right = [n for n, (shape, _) in enumerate(others, 1) if shape == item]
        assert kept[item]["image_to_image_rank"][view, 0] == right[0]
        precision = np.mean([k / n for k, n in enumerate(right, 1)])
        assert kept[item]["image_to_image_ap"][view, 0] == pytest.approx(precision)
        mixed += shapes[0] != item
    assert 0 < mixed < len(images)  # some are told wrongly
    for item, code in voxels.items():
        right = [n for n, (shape, _) in enumerate(order(code, images), 1) if shape == item]
        assert kept[item]["shape_to_image_rank"][0] == right[0]
        precision = np.mean([k / n for k, n in enumerate(right, 1)])
        assert kept[item]["shape_to_image_ap"][0] == pytest.approx(precision)
    first = [r for one in kept.values() for r in one["image_to_shape_rank"][:, 0]]
    assert row(report, "image_to_shape", "codes: median rank")["all"] == np.median(first)
    assert row(report, "image_to_shape", "codes: mAP")["all"] == pytest.approx(
        np.mean([1 / r for r in first])
    )


def test_the_gap_is_told_and_is_what_it_says(rooms: Rooms, answering: Answering) -> None:
    """Voxels moved away lose shape to image; image to shape holds: all voxels moved alike."""
    tables = {}
    for offset in (0.0, 50.0):
        answering(system(rooms, random_code(0.3), offset, sha256=f"{offset:.0f}" * 32))
        run = rooms.ready(test=TEST, sha256=f"{offset:.0f}" * 32)
        tables[offset] = measure(rooms, run)
    near, far = tables[0.0], tables[50.0]
    assert row(near, "gap", "modality gap")["all"] < 0.5
    assert row(far, "gap", "modality gap")["all"] > 10
    assert row(far, "image_to_shape", "codes: recall@1") == row(
        near, "image_to_shape", "codes: recall@1"
    )
    kept = [far.results.read(item) for item in TEST]
    voxels = np.stack([one["voxel_code"] for one in kept]).astype(float)
    images = np.concatenate([one["image_code"] for one in kept]).astype(float)
    within = (pdist(voxels).mean() + pdist(images).mean()) / 2
    between = np.linalg.norm(voxels.mean(0) - images.mean(0))
    assert row(far, "gap", "modality gap")["all"] == pytest.approx(between / within, rel=1e-5)
    assert row(far, "gap", "mean distance of voxels")["all"] == pytest.approx(pdist(voxels).mean())


def test_the_gap_of_equal_codes_is_not_told() -> None:
    same = np.ones((4, 3))
    assert "modality gap" not in modality_gap(same, same)
    assert modality_gap(same, same)["distance of the means"] == 0


def test_neighbours_go_through_the_nearest_training_shape(
    rooms: Rooms, answering: Answering
) -> None:
    """Against loops, on random pictures and voxels; shapes 1 and 4 are those of training."""
    rng = np.random.default_rng(0)
    coarse = {item: rng.integers(0, 256, (VIEWS, 32, 32, 3), np.uint8) for item in IDS}
    solid = {item: rng.random((8, 8, 8)) < 0.3 for item in IDS}
    ones = np.eye(3, 4, dtype=np.float32)[None].repeat(VIEWS, 0)
    zeros = np.zeros((VIEWS, 4), np.float32)
    seen = {
        item: {"rgb": rgb.repeat(4, 1).repeat(4, 2), "viewpoint": zeros, "extrinsics": ones}
        for item, rgb in coarse.items()
    }
    put(rooms.root, "views/test", seen)
    put(rooms.root, "voxels/res8", {item: {"voxels": v} for item, v in solid.items()}, res=8)
    run = rooms.ready(test=TEST)
    asked = retrieval.Asked(
        run=str(run.folder),
        views=str(rooms.root / "views" / "test"),
        voxels=str(rooms.root / "voxels" / "res8"),
        device="cpu",
        test=tuple(TEST),
        train=("chair/b", "table/e"),
        training_views=str(rooms.root / "views" / "test"),
    )
    to_shape, to_image, alike = retrieval._by_neighbours(asked)

    def pixels(first: np.ndarray, second: np.ndarray) -> float:
        return float(((first / 255.0 - second / 255.0) ** 2).sum())

    def cells(first: str, second: str) -> int:
        return int((solid[first] != solid[second]).sum())

    pictures = [picture for item in TEST for picture in coarse[item]]
    for n, picture in enumerate(pictures):
        of_training = {
            (item, v): pixels(picture, other)
            for item in asked.train
            for v, other in enumerate(coarse[item])
        }
        taken_for, _ = min(of_training, key=of_training.__getitem__)
        np.testing.assert_allclose(to_shape[n], [cells(taken_for, i) for i in TEST], atol=1e-2)
        np.testing.assert_allclose(alike[n], [pixels(picture, p) for p in pictures], atol=1e-2)
    for n, item in enumerate(TEST):
        taken_for = min(asked.train, key=lambda one, item=item: cells(one, item))
        expected = [min(pixels(p, other) for other in coarse[taken_for]) for p in pictures]
        np.testing.assert_allclose(to_image[n], expected, atol=1e-2)  # of about 500, in float32


def test_nothing_is_measured_twice(rooms: Rooms, answering: Answering) -> None:
    answering(system(rooms, random_code(0.1)))
    run = rooms.ready(test=TEST)
    assert measure(rooms, run, dry_run=True).todo == 4
    measure(rooms, run)
    asked = len(rooms.asked)
    assert measure(rooms, run, dry_run=True).todo == 0
    measure(rooms, run)
    assert len(rooms.asked) == asked
    (record,) = results_status(Workspace(rooms.root))
    assert record["fresh"]
    rooms.fill(tag="again")
    (record,) = results_status(Workspace(rooms.root))
    assert (record["fresh"], record["why"]) == (False, "voxels/res8 has changed")
    assert measure(rooms, run, dry_run=True).todo == 4


def test_one_view_each_leaves_no_other_pictures(tmp_path: Path, answering: Answering) -> None:
    world = Rooms(tmp_path, IDS, views=1)
    world.see()
    world.fill()
    answering(system(world, random_code(0.0)))
    report = measure(world, world.ready(test=TEST))
    assert set(report.summary["tables"]) == {"image_to_shape", "shape_to_image", "gap"}
    assert (report.results.read("chair/a")["image_to_image_rank"] == 0).all()


def test_what_cannot_be_searched(rooms: Rooms) -> None:
    workspace = Workspace(rooms.root)
    run = rooms.ready(test=["chair/a", "chair/gone"])
    (gallery,) = choose_galleries(workspace, [], run)
    with pytest.raises(InputError, match="1 of the 2 test shapes of made have"):
        evaluate_retrieval(workspace, run, gallery, "cpu", False, lambda progress: None)
    rooms.see("views/large", size=256)
    with pytest.raises(InputError, match="no views at size 128 called large"):
        choose_galleries(workspace, ["large"], rooms.ready(test=TEST))
    rooms.see("views/other", seed=4)
    (gallery,) = choose_galleries(workspace, ["other"], rooms.ready(test=TEST))
    assert gallery.variant == "other"
    assert SimpleNamespace(**gallery._asdict()).voxels.variant == "res8"

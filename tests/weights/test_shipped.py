"""The weights that come with the package: whole, small, said where from, and of use."""

from __future__ import annotations

import fnmatch
import hashlib
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.spatial import cKDTree

from stages.geometry.cameras import DISTANCE
from stages.geometry.points import sample_surface
from stages.geometry.voxels import decode_binvox
from stages.predict.answering import tell
from stages.predict.images import Seen, look_at
from stages.predict.networks import SYSTEMS, Network, of_card
from stages.predict.prediction import Beside, Prediction
from stages.render import Params as RenderParams
from stages.render.views import render_views
from stages.store.guarded import Refused
from stages.weights.cards import MAX_BYTES, SHIPPED, Card, find_card, shipped, tensors
from stages.weights.packing import readable
from tests.shapes.generated import mesh

CARDS = shipped()
VIEW = np.array([[-40.0, 20.0, 0.0, DISTANCE]])


@pytest.fixture(scope="module", params=CARDS, ids=lambda card: card.name)
def card(request: pytest.FixtureRequest) -> Card:
    return request.param


@pytest.fixture(scope="module")
def network(card: Card) -> Network:
    return of_card(card)


def category(card: Card) -> str:
    return "airplane" if "airplane" in card.categories else card.categories[0]


def pictured(network: Network, of: str, folder: Path) -> Seen:
    """A generated shape, of which no network knows anything, cut out and off centre."""
    drawn = render_views(mesh(of, 0), VIEW, RenderParams(size=200, backend="numba"))
    rgba = np.dstack([drawn["rgb"][0], drawn["mask"][0]])
    Image.fromarray(rgba[:, 10:]).save(folder / "shape.png")
    (seen,) = look_at([folder / "shape.png"], network.camera, "auto", None)
    assert not isinstance(seen, Refused)
    return seen


def test_there_are_some_of_every_system() -> None:
    assert {card.system for card in CARDS} == set(SYSTEMS)
    assert find_card("pose-aware", "airplane").system == "pose-aware"


def test_they_are_part_of_the_package() -> None:
    text = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    patterns = tomllib.loads(text)["tool"]["setuptools"]["package-data"]["stages.weights"]
    for path in SHIPPED.iterdir():
        name = path.relative_to(SHIPPED.parent).as_posix()
        assert any(fnmatch.fnmatch(name, pattern) for pattern in patterns), name


def test_a_card_says_all_that_there_is_to_say(card: Card) -> None:
    data = card.weights.read_bytes()
    facts = card.facts
    assert len(data) == facts["bytes"] < MAX_BYTES
    assert hashlib.sha256(data).hexdigest() == facts["sha256"]
    assert facts["limits"]
    assert facts["metrics"]
    assert facts["licence"]
    assert facts["commands"][-1].startswith(f"crossdim train {card.system} ")
    assert all(command.startswith("crossdim train ") for command in facts["commands"])
    assert "/" not in " ".join(facts["commands"])  # no folder of one machine
    assert facts["half_precision"]["pictures"] > 0
    # answers in half precision are those of the run to 1 %, in the mean of pictures: for a single
    # one, the place of a peak may move by a cell, and a translation be next to nothing
    assert max(facts["half_precision"]["mean"].values()) < 0.01
    assert max(facts["half_precision"]["largest"].values()) < 0.1
    # drawn skeletons are no shapes of a data set
    assert sum(source["shapes"] for source in facts["data"]["sources"]) > 20
    assert card.path.with_suffix(".md").read_text() == readable(facts)
    assert not set(card.learned_from) & set(facts["data"]["shapes"]["test"])


def test_matrices_are_in_half_precision_and_all_is_finite(card: Card) -> None:
    for name, value in tensors(card).items():
        if value.is_floating_point():
            assert bool(torch.isfinite(value).all()), name
            half = value.ndim > 1 and name != "gallery"
            assert value.dtype == (torch.float16 if half else torch.float32), name


def test_a_prediction_makes_sense(card: Card, network: Network, tmp_path: Path) -> None:
    of = category(card)
    seen = pictured(network, of, tmp_path)
    told = tell(network, seen, Beside(mesh(of, 0), "itself"))
    _CHECKS[card.system](told, of, seen)
    for value in told.confidence.values():
        assert -1 <= value <= 1


def test_pose_aware_bears_pictures_that_are_framed_otherwise() -> None:
    """Generated airplanes moved up and down by 2 of 64 pixels: voxels told as of the whole frame.

    IoU of 0.70 with these weights, 0.46 with those that had learned from whole frames alone.
    """
    network = of_card(find_card("pose-aware", "airplane"))
    around = np.array([[azimuth, 20.0, 0.0, DISTANCE] for azimuth in (-40, 60, 150, -120)])
    pictures = [
        render_views(mesh("airplane", seed), around, RenderParams(size=64, backend="numba"))["rgb"]
        for seed in range(3)
    ]
    rgb = np.concatenate(pictures)

    def told(rows: int) -> np.ndarray:  # (12, 32, 32, 32) bool; beyond the rim is white, too
        images = torch.from_numpy(np.roll(rgb, rows, 1)).permute(0, 3, 1, 2).float() / 255
        trained = network.trained
        answers = trained.system.predict(trained.model, images, trained.params)["voxels"]
        return answers.numpy() >= network.threshold

    whole = told(0)
    agreement = [
        (one & other).sum() / (one | other).sum()
        for rows in (-2, 2)
        for one, other in zip(whole, told(rows), strict=True)
    ]
    assert np.mean(agreement) > 0.6


def _voxels(told: Prediction, of: str, seen: Seen) -> None:
    voxels, _, _ = decode_binvox(told.files[".binvox"])
    assert 0.002 < voxels.mean() < 0.25
    inside = (sample_surface(mesh(of, 0), 2000, np.random.default_rng(0)) + 0.5) * 32
    # most of the surface of what is seen lies in filled cells or beside them
    filled = cKDTree(np.argwhere(voxels) + 0.5)
    assert np.median(filled.query(inside)[0]) < 3
    assert told.confidence["mask"] > 0.3


def _points(told: Prediction, of: str, seen: Seen) -> None:
    assert told.facts["points"] > 300
    body = told.files[".ply"].partition(b"end_header\n")[2]
    points = np.frombuffer(body, "<f4").reshape(-1, 3)
    surface = sample_surface(mesh(of, 0), 5000, np.random.default_rng(0))
    assert cKDTree(surface).query(points)[0].mean() < 0.08  # diagonals


def _codes(told: Prediction, of: str, seen: Seen) -> None:
    found = [one["shape"].split("/")[0] for one in told.facts["nearest"]]
    assert found.count(of) >= 3


def _pose(told: Prediction, of: str, seen: Seen) -> None:
    assert told.pose is not None
    rotation = np.array(told.pose["rotation"])
    assert np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-4)
    assert np.linalg.det(rotation) == pytest.approx(1, abs=1e-4)


def _drawn(told: Prediction, of: str, seen: Seen) -> None:
    first = next(tile.rgb for tile in told.tiles if tile.title == "as it was seen").astype(int)
    assert first[:8, :8].mean() > 200  # the background of its training
    covered = seen.mask > 128 if seen.mask is not None else np.ones(first.shape[:2], bool)
    assert first[covered].mean() < first[~covered].mean() - 10  # something dark where it is


def _skeleton(told: Prediction, of: str, seen: Seen) -> None:
    _pose(told, of, seen)
    assert told.confidence["keypoints"] > 0.1
    assert told.facts["reprojection_px_of_240x320"] < 60


_CHECKS: dict[str, Any] = {
    "pose-aware": _voxels,
    "structure-generator": _points,
    "deep-encoding": _codes,
    "pose-regression": _pose,
    "equivariant": _pose,
    "view-synthesis": _drawn,
    "interpreter": _skeleton,
}

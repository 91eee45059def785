"""Sheets of embeddings and alignments: told poses are drawn as renders at those poses."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stages.errors import InputError
from stages.evaluate import answers
from stages.evaluate.angles import Pair, arrays_of
from stages.export.animation import FRAMES, alignment_gif
from stages.export.embedding import (
    ALIGNMENT,
    CHANNELS,
    EMBEDDING,
    alignment_sheet,
    choose_results,
    embedding_sheet,
)
from stages.export.mesh_alignment import COLUMNS, mesh_alignment_sheet
from stages.export.pictures import _GAP, _HEAD, _SIDE, TILE
from stages.geometry import cameras
from stages.render import Params
from stages.render.views import render_views
from stages.shapes.spec import labels
from stages.store.workspace import Artefact, Workspace
from tests.evaluate.made import World, equivariant, put
from tests.systems.test_equivariant_data import letter

ITEM, OTHER = "chair/a", "chair/b"
VIEWS = np.array([[40.0, 25, 0, 2], [200, -10, 75, 2], [300, 60, -120, 2]])
DRAWN = Params(size=TILE, backend="numba")


def tiles(png: bytes, columns: int) -> np.ndarray:
    """(rows, columns, TILE, TILE, 3) of a sheet."""
    sheet = np.asarray(Image.open(io.BytesIO(png)))
    rows = (sheet.shape[0] - _HEAD - _GAP) // (TILE + _GAP)
    step, tops = TILE + _GAP, [_HEAD + n * (TILE + _GAP) for n in range(rows)]
    lefts = [_SIDE + n * step for n in range(columns)]
    return np.array([[sheet[t : t + TILE, x : x + TILE] for x in lefts] for t in tops])


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """Two shapes of the same mesh, each rendered from its three sides."""
    mesh = letter()
    arrays = {**mesh.to_arrays(), **labels("test", "", "", "")}
    put(tmp_path, "shapes/made", {ITEM: arrays, OTHER: arrays})
    seen = render_views(mesh, VIEWS, DRAWN)
    one = {name: seen[name] for name in ("rgb", "viewpoint", "extrinsics")}
    put(tmp_path, "views/test", {ITEM: one, OTHER: one}, size=TILE)
    return Workspace(tmp_path)


def results_of(workspace: Workspace, pair: Pair, told: np.ndarray) -> Artefact:
    """Results of one pair, answered with that rotation."""
    rotation = cameras.extrinsics(VIEWS)[:, :, :3]
    truth = rotation[pair.view] @ rotation[pair.other].T
    nothing = arrays_of("instance", [], np.zeros((0, 3, 3)), np.zeros((0, 1, 3, 3)))
    found = arrays_of("category", [pair], truth[None], told[None, None])
    item = {"rotation": rotation.astype(np.float32), **nothing, **found}
    known = {"run": "equivariant-made", "inputs": ["views/test 0"]}
    return put(workspace.root, "results/relpose/made", {ITEM: item}, **known)


def test_the_second_shape_is_drawn_as_told_and_in_truth(workspace: Workspace) -> None:
    told = np.eye(3)  # as if both were seen from the same side
    results = results_of(workspace, Pair(1, OTHER, 2), told)
    ((first, second, as_told, in_truth),) = tiles(
        alignment_sheet(workspace, results, "category", 4), len(ALIGNMENT)
    )
    rendered = render_views(letter(), VIEWS, DRAWN)["rgb"]
    np.testing.assert_array_equal(first, rendered[1])
    np.testing.assert_array_equal(second, rendered[2])
    # the same picture but for samples at edges, which float32 rotations move
    for drawn, expected in ((as_told, rendered[2]), (in_truth, rendered[1])):
        assert (np.abs(drawn.astype(int) - expected).max(-1) > 8).mean() < 0.002
    assert (np.abs(in_truth.astype(int) - rendered[2]).max(-1) > 8).mean() > 0.05


def test_a_told_turn_turns_the_drawing(workspace: Workspace) -> None:
    # told: the second camera's frame a quarter turn about the optical axis from the first's
    quarter = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])  # x right goes to y down: clockwise
    results = results_of(workspace, Pair(0, OTHER, 2), quarter)
    row = tiles(alignment_sheet(workspace, results, "category", 1), len(ALIGNMENT))[0]
    flat = np.rot90(row[1], -1)
    silhouettes = [(tile < 250).any(-1) for tile in (row[2], flat)]
    assert (silhouettes[0] != silhouettes[1]).mean() < 0.005


def test_a_shape_moves_from_how_it_was_seen_to_how_it_was_told(workspace: Workspace) -> None:
    told = np.eye(3)  # as if both were seen from the same side
    results = results_of(workspace, Pair(1, OTHER, 2), told)
    rendered = render_views(letter(), VIEWS, DRAWN)["rgb"].astype(int)
    with Image.open(io.BytesIO(alignment_gif(workspace, results, "category", 3))) as moving:
        assert (moving.n_frames, moving.info["loop"]) == (FRAMES, 0)
        for frame, as_told, in_truth in ((0, 2, 2), (FRAMES - 1, 2, 1)):
            moving.seek(frame)
            png = io.BytesIO()
            moving.convert("RGB").save(png, "PNG")
            row = tiles(png.getvalue(), len(ALIGNMENT))[0].astype(int)
            for drawn, view in zip(row, (1, 2, as_told, in_truth)):
                # 255 colours for all frames: some levels off everywhere, an edge here and there
                assert (np.abs(drawn - rendered[view]).max(-1) > 40).mean() < 0.01
        moving.seek(FRAMES // 2)
        assert moving.info["duration"] < 100


def test_a_mesh_is_drawn_as_told_and_in_truth(workspace: Workspace) -> None:
    """In the pose of view 1, where that of view 2 was told."""
    rotation = cameras.extrinsics(VIEWS)[:, :, :3]
    pair = Pair(1, OTHER)
    found = arrays_of("category", [pair], rotation[1][None], rotation[2][None, None])
    nothing = arrays_of("instance", [], np.zeros((0, 3, 3)), np.zeros((0, 1, 3, 3)))
    item = {"rotation": rotation.astype(np.float32), **nothing, **found}
    known = {"run": "equivariant-made", "inputs": ["views/test 0", "spheres/res64 0"]}
    results = put(workspace.root, "results/align/made", {ITEM: item}, **known)
    run = World(workspace.root, [ITEM, OTHER]).run("equivariant")
    assert choose_results(workspace, run, "test", "align").folder == results.folder
    sheet = mesh_alignment_sheet(workspace, results, "category", 4)
    ((seen, as_told, in_truth),) = tiles(sheet, len(COLUMNS))
    rendered = render_views(letter(), VIEWS, DRAWN)["rgb"]
    np.testing.assert_array_equal(seen, rendered[1])
    # the same picture but for samples at edges, which float32 rotations move
    for drawn, expected in ((as_told, rendered[2]), (in_truth, rendered[1])):
        assert (np.abs(drawn.astype(int) - expected).max(-1) > 8).mean() < 0.002
    with pytest.raises(InputError, match="no results of alignment with meshes on keypoints/x") as e:
        choose_results(workspace, run, "x", "align", "keypoints")
    assert e.value.hint.endswith("eval align --system equivariant --run made --photos x")


def test_no_pairs_and_no_results(workspace: Workspace) -> None:
    results = results_of(workspace, Pair(0, OTHER, 2), np.eye(3))
    with pytest.raises(InputError, match="no pairs of that kind"):
        alignment_sheet(workspace, results, "instance", 3)
    world = World(workspace.root, [ITEM, OTHER])
    run = world.run("equivariant")
    assert choose_results(workspace, run, None).variant == "made"
    assert choose_results(workspace, run, "test").variant == "made"
    with pytest.raises(InputError, match="no results of relative pose on views/best") as caught:
        choose_results(workspace, run, "best")
    assert caught.value.hint.endswith("--system equivariant --run made --views best")
    with pytest.raises(InputError, match="no results of relative pose"):
        choose_results(workspace, world.run("pose-regression"), None)


def test_maps_turned_into_those_of_the_other_view(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path, [ITEM, OTHER])
    world.see()
    arrays = {**letter().to_arrays(), **labels("test", "", "", "")}
    put(tmp_path, "shapes/made", {ITEM: arrays, OTHER: arrays})
    perfect = equivariant(world)
    answers.network.cache_clear()
    monkeypatch.setattr(answers, "load_model", lambda *_, **__: perfect)
    workspace, run = Workspace(tmp_path), world.run("equivariant")
    views = workspace.artefact("views", "test")
    sheet = embedding_sheet(workspace, run, views, 2, "cpu")
    for row in tiles(sheet, len(EMBEDDING)).astype(int):
        own, turned, other = (row[1 + n * CHANNELS : 1 + (n + 1) * CHANNELS] for n in range(3))
        assert np.abs(turned - other).max() <= 3  # float32, to a level of the colours
        assert np.abs(own - other).mean() > 10


def test_one_view_is_not_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(tmp_path, [ITEM], views=1)
    world.see()
    answers.network.cache_clear()
    monkeypatch.setattr(answers, "load_model", lambda *_, **__: equivariant(world))
    workspace, run = Workspace(tmp_path), world.run("equivariant")
    with pytest.raises(InputError, match="from two sides"):
        embedding_sheet(workspace, run, workspace.artefact("views", "test"), 2, "cpu")

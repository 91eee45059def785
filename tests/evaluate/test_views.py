"""Novel views: metrics against naive formulas, other answers, and the command from end to end."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.lib.stride_tricks import sliding_window_view
from PIL import Image

from crossdim_cli.main import run as run_command
from stages.evaluate.training_views import TrainingViews, contrast, shrunk
from stages.evaluate.views import METRICS, SAME, TURNED, TURNS, Pictures, compare, rolled
from stages.export.animation import FRAMES
from stages.export.synthesis import COLUMNS, coloured, spread
from stages.geometry.rotations import about_y, about_z, exponential, geodesic
from stages.store.workspace import Artefact, Workspace
from stages.systems.pictures import rolled_pictures
from stages.train.run import find_run, load_model

VIEWS, SIZE = 5, 128
TRAIN = "--preset tiny --steps 2 --validate-every 2 --batch 4 --device cpu --threads 1"
PIPELINE = [
    "shapes generate --count 6 --category chair --category table --jobs 0",
    "raycast --poses random --count 2 --jobs 0",
    f"render --size {SIZE} --viewpoints so3 --views {VIEWS} --stretch 1.25 --supersample 1 --jobs 0"
    " --name own",
    f"render --size {SIZE} --viewpoints so3 --views {VIEWS} --supersample 1 --jobs 0 --name test",
    "raycast --poses views --views own --jobs 0",
    f"train spherical-cnn {TRAIN}",
    f"train equivariant --category chair --views own --name deep {TRAIN}",
    f"train equivariant --category chair --views own --name seen --layer views {TRAIN}",
    f"train view-synthesis --category chair --views own --name drawn {TRAIN}",
    "eval views",
]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Chairs and tables, a run of every network that view synthesis needs, and its results."""
    root = tmp_path_factory.mktemp("views") / "workspace"
    for line in PIPELINE:
        assert run_command([*line.split(), "--workspace", str(root), "--quiet"]) == 0, line
    return root


Call = Callable[[str], tuple[int, str, str]]


@pytest.fixture
def call(workspace: Path, capsys: pytest.CaptureFixture[str]) -> Call:
    """Runs a command on the workspace: exit code, stdout and stderr."""

    def of(line: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = run_command([*line.split(), "--workspace", str(workspace)])
        return code, *capsys.readouterr()

    return of


def naive_ssim(told: np.ndarray, truth: np.ndarray) -> float:
    """Wang et al. (2004), of (S, S) floats: every whole window of 11 pixels, one after another."""
    offset = np.arange(-5, 6)
    row = np.exp(-(offset**2) / (2 * 1.5**2))
    weight = np.outer(row, row) / row.sum() ** 2
    scores = []
    windows = (sliding_window_view(one, (11, 11)).reshape(-1, 11, 11) for one in (told, truth))
    for x, y in zip(*windows):
        mean_x, mean_y = (weight * x).sum(), (weight * y).sum()
        var_x, var_y = (weight * (x - mean_x) ** 2).sum(), (weight * (y - mean_y) ** 2).sum()
        both = (weight * (x - mean_x) * (y - mean_y)).sum()
        first = (2 * mean_x * mean_y + 0.01**2) / (mean_x**2 + mean_y**2 + 0.01**2)
        scores.append(first * (2 * both + 0.03**2) / (var_x + var_y + 0.03**2))
    return float(np.mean(scores))


def pictures(seed: int, count: int = 2, size: int = 24) -> Pictures:
    rng = np.random.default_rng(seed)
    rgb = rng.integers(0, 256, (count, size, size, 3), dtype=np.uint8)
    return Pictures(rgb, rng.random((count, size, size)) < 0.4)


def test_scores_are_those_of_the_formulas() -> None:
    truth, told = pictures(0), pictures(1)
    scores = compare([told, truth, told.take(np.array([0]))], truth)
    assert scores.shape == (2, 3, len(METRICS))
    for number in range(2):
        x, y = told.rgb[number] / 255, truth.rgb[number] / 255
        ssim = np.mean([naive_ssim(x[..., c], y[..., c]) for c in range(3)])
        mask, true_mask = told.mask[number], truth.mask[number]
        expected = [
            -10 * np.log10(((x - y) ** 2).mean()),
            ssim,
            (mask & true_mask).sum() / (mask | true_mask).sum(),
        ]
        np.testing.assert_allclose(scores[number, 0], expected, rtol=1e-5)
    # an answer that is the truth; one picture for all
    np.testing.assert_allclose(scores[:, 1], [[58.9226, 1, 1]] * 2, atol=1e-3)
    np.testing.assert_array_equal(scores[0, 2], scores[0, 0])


def test_ssim_of_two_greys_compares_their_means() -> None:
    grey = [
        Pictures(np.full((1, 16, 16, 3), g, np.uint8), np.ones((1, 16, 16), bool))
        for g in (51, 204)
    ]
    ssim = compare([grey[0]], grey[1])[0, 0, 1]
    assert ssim == pytest.approx((2 * 0.2 * 0.8 + 1e-4) / (0.2**2 + 0.8**2 + 1e-4), rel=1e-5)


def test_contrast_is_the_largest_difference_of_a_colour() -> None:
    rgb = np.array([[[255, 255, 255], [255, 204, 240], [0, 255, 255]]], np.uint8)[None]
    np.testing.assert_allclose(contrast(rgb, 255), [[[0, 0.2, 1]]], atol=1e-6)
    np.testing.assert_allclose(contrast(rgb[:, :, :1], 204), [[[0.2]]], atol=1e-6)


def test_a_turn_about_the_optical_axis_is_a_roll() -> None:
    seen = pictures(2, count=3, size=SIZE)
    angle = np.array([0.4, -2.0, 3.0], np.float32)
    told = rolled(seen, about_z(angle))
    image = torch.from_numpy(seen.rgb).permute(0, 3, 1, 2) / 255
    expected = rolled_pictures(image, torch.from_numpy(angle)).permute(0, 2, 3, 1).numpy()
    np.testing.assert_allclose(told.rgb / 255, expected, atol=0.51 / 255)  # rounding to 8 bits
    still = rolled(seen, about_y(np.array([0.5, 1.0, -0.5])))
    np.testing.assert_array_equal(still.mask, seen.mask)


def test_the_roll_is_the_one_nearest_to_the_turn() -> None:
    turn = exponential(np.random.default_rng(0).normal(size=(4, 3)))
    marked = np.zeros((4, SIZE, SIZE), bool)
    marked[:, 60:68, 100:108] = True  # right of the middle
    there = rolled(Pictures(np.zeros((4, SIZE, SIZE, 3), np.uint8), marked), turn).mask
    angles = np.radians(np.arange(-180, 180))
    for mask, one in zip(there, turn):
        best = angles[geodesic(about_z(angles), one[None]).argmin()]
        row, column = (np.argwhere(mask) + 0.5).mean(0) - SIZE / 2
        # a degree at 40 pixels is less than one
        np.testing.assert_allclose(
            [column, row], 40 * np.array([np.cos(best), np.sin(best)]), atol=1
        )


def training_views(workspace: Path) -> tuple[TrainingViews, Artefact, list[str]]:
    root = Workspace(workspace)
    ids = find_run(workspace, "view-synthesis").record()["data"]["ids"]
    own = root.artefact("views", "own")
    return TrainingViews.of(own, "chair", ids["train"], ids["val"]), own, ids["train"]


def test_training_views_find_themselves(workspace: Path) -> None:
    seen, own, train = training_views(workspace)
    assert len(seen.names) == len(train) * VIEWS
    arrays = own.read(train[1])
    number = seen.nearest(arrays["rgb"])
    assert [seen.names[n] for n in number] == [(train[1], view) for view in range(VIEWS)]
    rgb, mask = seen.read(number)
    np.testing.assert_array_equal(rgb, arrays["rgb"])
    np.testing.assert_array_equal(mask, arrays["mask"] >= 128)


def test_the_mean_picture_is_that_of_the_training_views(workspace: Path) -> None:
    seen, own, train = training_views(workspace)
    every = np.concatenate([own.read(item)["rgb"] for item in train])
    np.testing.assert_allclose(seen.mean, every.mean(0), atol=0.501)
    blocks = every[0][:4, 4:8].astype(float).mean((0, 1)) / 255  # the second of 4 x 4 pixels
    np.testing.assert_allclose(shrunk(every[:1])[0, 3:6], blocks, atol=1e-6)


def test_a_turned_training_view_is_the_nearest_of_its_shape(workspace: Path) -> None:
    seen, own, train = training_views(workspace)
    rotation = own.read(train[0])["extrinsics"][:, :, :3]
    number = seen.nearest(own.read(train[0])["rgb"])
    other = np.roll(np.arange(VIEWS), 1)
    turn = rotation[other] @ rotation.transpose(0, 2, 1)
    np.testing.assert_array_equal(seen.turned(number, turn), number[other])


def test_results_are_those_of_the_network(workspace: Path, call: Call) -> None:
    """Stored pictures are drawn from single inputs; scores are those of stored pictures."""
    results = Workspace(workspace).artefact("results/views", "view-synthesis-drawn-test")
    (item,) = results.index.items()
    found = results.read(item)
    views = Workspace(workspace).artefact("views", "test").read(item)
    trained = load_model(find_run(workspace, "view-synthesis"))
    image = torch.from_numpy(views["rgb"]).permute(0, 3, 1, 2) / 255
    rotation = torch.from_numpy(views["extrinsics"][:, :, :3])
    predict = trained.system.predict
    assert found["turn_score"].shape == (VIEWS, TURNS, len(TURNED), len(METRICS))
    for view, turn in ((0, 1), (3, 2)):
        other = int(found["turn_view"][view, turn])
        assert other != view
        by = (rotation[other] @ rotation[view].mT)[None]
        told = predict(trained.model, image[view : view + 1], trained.params, by)["picture"][0]
        stored = found["turn_told"][view, turn]
        # batches of other sizes are summed in another order
        np.testing.assert_allclose(stored / 255, told.permute(1, 2, 0), atol=1.1 / 255)
        error = ((stored / 255.0 - views["rgb"][other] / 255.0) ** 2).mean()
        assert found["turn_score"][view, turn, 0, 0] == pytest.approx(
            -10 * np.log10(error), rel=1e-5
        )
        plain = ((views["rgb"][view] / 255.0 - views["rgb"][other] / 255.0) ** 2).mean()
        number = TURNED.index("input as it is")
        assert found["turn_score"][view, turn, number, 0] == pytest.approx(
            -10 * np.log10(plain), rel=1e-5
        )
        degrees = geodesic(rotation[view].double(), rotation[other].double()).rad2deg()
        assert found["turn_deg"][view, turn] == pytest.approx(degrees.item(), abs=1e-3)
    same = predict(trained.model, image, trained.params)["picture"].permute(0, 2, 3, 1)
    np.testing.assert_allclose(found["told"] / 255, same, atol=1.1 / 255)


def test_tables_are_means_of_the_results(workspace: Path, call: Call) -> None:
    code, out, _ = call("eval views --json")
    assert code == 0
    (summary,) = json.loads(out)["results"]
    assert summary["inputs"] == ["views/test"]
    results = Workspace(workspace).artefact("results/views", "view-synthesis-drawn-test")
    (item,) = results.index.items()
    found = results.read(item)
    tables = summary["tables"]
    for name, key, answers in (("score", "same", SAME), ("turn_score", "turned", TURNED)):
        for number, answer in enumerate(answers):
            for metric, label in enumerate(("PSNR", "SSIM", "mask IoU")):
                mean = found[name][..., number, metric].mean()
                assert tables[key][f"{answer}: {label}"]["chair"] == pytest.approx(mean, rel=1e-5)
    counted, total = 0, 0.0
    for low, high in ((0, 60), (60, 120), (120, 180)):
        count = ((found["turn_deg"] >= low) & (found["turn_deg"] < high)).sum()
        row = tables["by_turn"][f"synthesised: mask IoU, {low} to {high} deg"]
        assert ("chair" in row) == (count > 0)
        counted, total = counted + count, total + count * row.get("chair", 0)
    mean = found["turn_score"][..., 0, 2].mean()
    assert total / counted == pytest.approx(mean, rel=1e-5)


def test_nothing_is_measured_twice(call: Call) -> None:
    code, out, _ = call("eval views --dry-run --json")
    assert code == 0
    assert json.loads(out)["todo"] == {"results/views/view-synthesis-drawn-test": 0}
    code, out, _ = call("status --json")
    records = {r["name"]: r for r in json.loads(out)["results"]}
    assert records["results/views/view-synthesis-drawn-test"]["fresh"]


def test_stretched_views_are_refused(call: Call) -> None:
    code, _, err = call("eval views --views own")
    assert code == 3
    assert "views/own stretches a shape differently in each view" in err
    assert "run: crossdim render --preset equivariant-3dof-test" in err


def test_other_backgrounds_are_refused(call: Call) -> None:
    line = "render --size 128 --viewpoints so3 --views 1 --supersample 1 --jobs 0 --grey 200"
    assert call(f"{line} --category chair --name grey")[0] == 0
    code, _, err = call("eval views --views grey")
    assert code == 3
    assert "has not the background that the run learnt from, grey 255" in err


def test_an_embedding_of_layer_pose_is_refused(call: Call) -> None:
    line = "train view-synthesis --category chair --views own --name no"
    code, _, err = call(f"{line} --embedding deep")
    assert code == 3
    assert "run deep of equivariant embeds at layer pose, not views" in err
    assert "run: crossdim train equivariant --layer views" in err


def test_a_missing_embedding_is_asked_for(workspace: Path, call: Call) -> None:
    folder = workspace / "runs" / "equivariant" / "seen"
    hidden = folder.rename(workspace / "seen")
    try:
        code, _, err = call("train view-synthesis --category chair --views own --name no")
    finally:
        hidden.rename(folder)
    assert code == 3
    assert "no finished run of equivariant with layer views" in err
    assert "run: crossdim train equivariant --layer views" in err


def test_the_sheet_has_a_row_a_view(call: Call, tmp_path: Path) -> None:
    path = tmp_path / "synthesis.png"
    code, _, _ = call(f"plot synthesis --shapes 1 --turns 2 -o {path}")
    assert code == 0
    with Image.open(io.BytesIO(path.read_bytes())) as sheet:
        width, height = sheet.size
    tile = (width - 156) // len(COLUMNS)
    assert (height - 28) // tile == 3


def test_a_full_turn_moves(call: Call, workspace: Path, tmp_path: Path) -> None:
    path = tmp_path / "around.gif"
    code, _, _ = call(f"plot synthesis --shapes 1 -o {path}")
    assert code == 0
    with Image.open(path) as moving:
        assert moving.n_frames == FRAMES
        first = np.asarray(moving.convert("RGB")).astype(int)
        moving.seek(FRAMES // 2)
        half = np.asarray(moving.convert("RGB")).astype(int)
    seen, true = (first[22:182, 150 + n * 166 : 310 + n * 166] for n in (0, 3))
    assert np.abs(seen - true).mean() < 4  # the view that it was seen from; one palette for all
    assert (np.abs(first - half)[22:182, 650:810].max(-1) > 40).mean() > 0.02
    code, _, err = call(f"plot synthesis -o {tmp_path / 'around.bmp'}")
    assert (code, err) == (2, "error: cannot draw .bmp\nuse .png, or .gif to move\n")


def test_views_to_turn_to_are_far_apart() -> None:
    rotation = about_z(np.radians([0.0, 10.0, 170.0, 90.0, 200.0]))
    assert spread(rotation, 2).tolist() == [0, 2, 3]
    assert spread(rotation, 9).tolist()[0] == 0
    assert sorted(spread(rotation, 9).tolist()) == [0, 1, 2, 3, 4]


def test_maps_are_coloured_about_zero() -> None:
    colours = coloured(np.array([[-1.0, 0.0, 1.0, 5.0]]), 1.0)
    assert colours[0, 1].tolist() == [255, 255, 255]
    assert colours[0, 0, 2] > colours[0, 0, 0]  # blue below
    assert colours[0, 2, 0] > colours[0, 2, 2]  # red above
    np.testing.assert_array_equal(colours[0, 2], colours[0, 3])

"""Deep encoding trains: on toys whose answers are known, and through the command line."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from crossdim_cli.main import run as run_command
from stages.errors import CrossdimError
from stages.store.workspace import Workspace
from stages.systems import deep_encoding
from stages.systems.deep_encoding.data import Triplets
from stages.train.context import TrainOptions
from stages.train.log import read_metrics
from stages.train.loop import train
from stages.train.run import About, create_run, find_run, load_model
from tests.systems.pictured import context

PARAMS = dataclasses.replace(
    deep_encoding.PRESETS["tiny"],
    voxel_res=8,
    image_size=16,
    voxel_pools=(1, 2, 2),
    image_pools=(1, 2, 2),
    width=4,
    hidden=32,
    code=16,
    batch=8,
    steps=120,
    lr=3e-3,
    recolour=False,
    jitter=0.0,
    precision="fp32",
)
IDS = [f"block/{n}" for n in range(8)]


def blocks(item: str) -> dict[str, np.ndarray]:
    """A block at one of eight corners; its pictures have its colour, in several brightnesses."""
    number = int(item[-1])
    corner = np.array([number >> n & 1 for n in range(3)])
    voxels = np.zeros((8, 8, 8), bool)
    x, y, z = 4 * corner
    voxels[x : x + 4, y : y + 4, z : z + 4] = True
    rgb = np.full((4, 16, 16, 3), 20, np.uint8)
    rgb[:, 4:12, 4:12] = 60 + np.arange(4)[:, None, None, None] * 5 + 130 * corner.astype(np.uint8)
    return {"voxels": voxels, "rgb": rgb, "mask": np.zeros((4, 16, 16), np.uint8)}


@pytest.mark.parametrize("loss", ["triplet", "symmetric", "lifted-safe"])
def test_it_is_learned_which_pictures_show_which_voxels(loss: str) -> None:
    """In few steps, by each loss; every weight takes part."""
    torch.manual_seed(0)
    params = dataclasses.replace(PARAMS, loss=loss)
    data, model = Triplets(blocks, IDS, params), deep_encoding.build(params)
    optimizer = deep_encoding.optimizer(model, params)
    before = deep_encoding.validate(model.eval(), data.batch(range(8), None), params)["mrr"].mean()
    for step in range(params.steps):
        batch = data.batch(range(8), torch.Generator().manual_seed(step))
        loss_now = deep_encoding.losses(model.train(), batch, params, context(step))["loss"]
        optimizer.zero_grad()
        loss_now.backward()
        optimizer.step()
    assert all(p.grad is not None for p in model.parameters())
    scores = deep_encoding.validate(model.eval(), data.batch(range(8), None), params)
    if loss == "triplet":  # which tells pictures apart by voxels, not voxels by pictures
        assert (scores["triplet"] == 0).sum() >= 6  # of eight keep the whole margin
    else:  # the right one is first of eight, mostly; by chance the mean reciprocal rank is 0.34
        assert before < 0.6
        assert scores["mrr"].mean() > 0.75
    assert scores["mrr"].shape == scores["loss"].shape == scores["triplet"].shape == (8,)


class Known(nn.Module):
    """Says codes that are given to it."""

    def __init__(self, voxel: torch.Tensor, image: torch.Tensor) -> None:
        super().__init__()
        self.voxel, self.image = voxel, image

    def forward(self, voxels: torch.Tensor, images: torch.Tensor) -> tuple:
        return self.voxel, self.image


def batch_of(shapes: int, each: int) -> dict[str, torch.Tensor]:
    pictures = torch.zeros(shapes * each, 3, 2, 2)
    return {
        "voxels": torch.zeros(shapes, 2, 2, 2),
        "positive": pictures,
        "negative": pictures,
        "object": torch.arange(shapes),
        "other": (torch.arange(shapes).repeat_interleave(each) + 1) % shapes,
    }


def test_validation_measures_ranks_both_ways() -> None:
    """Against loops over one batch of five shapes with three pictures each."""
    generator = torch.Generator().manual_seed(1)
    voxel = torch.randn(5, 4, generator=generator)
    positive = voxel.repeat_interleave(3, 0) + torch.randn(15, 4, generator=generator)
    negative = torch.randn(15, 4, generator=generator)
    model = Known(voxel, torch.cat([positive, negative]))
    scores = deep_encoding.validate(model, batch_of(5, 3), PARAMS)
    for shape in range(5):
        mine = positive[3 * shape : 3 * shape + 3]
        to_shape = []
        for picture in mine:
            away = (voxel - picture).norm(dim=1)
            to_shape.append(1 / (1 + int((away < away[shape]).sum())))
        best = (mine - voxel[shape]).norm(dim=1).min()
        others = torch.cat([positive[: 3 * shape], positive[3 * shape + 3 :]])
        back = 1 / (1 + int(((others - voxel[shape]).norm(dim=1) < best).sum()))
        assert scores["mrr"][shape].item() == pytest.approx((np.mean(to_shape) + back) / 2)


def test_codes_that_are_all_equal_score_last() -> None:
    model = Known(torch.ones(5, 4), torch.ones(30, 4))
    scores = deep_encoding.validate(model, batch_of(5, 3), PARAMS)
    torch.testing.assert_close(scores["mrr"], torch.full((5,), (1 / 5 + 1 / 13) / 2))


def test_a_loss_that_is_no_number_stops_the_training(tmp_path: Path) -> None:
    """The printed lifted structure on equal codes: a weight of NaN, then a loss of NaN."""
    params = dataclasses.replace(PARAMS, loss="lifted", batch=16)  # every shape twice in a batch
    data = SimpleNamespace(train=Triplets(blocks, IDS, params), val=Triplets(blocks, IDS, params))
    run = create_run(tmp_path, "deep-encoding", "nan", About())
    with pytest.raises(CrossdimError, match=r"is nan at step 2 \(batch: block/") as caught:
        train(deep_encoding, params, data, run, TrainOptions(device="cpu"))
    assert "the checkpoint of step 0 is kept" in caught.value.hint


def test_curves_are_logged_every_20_steps_of_the_same_training(tmp_path: Path) -> None:
    """Of one validation batch, another each time, as figure 4; it changes no weight."""
    weights = {}
    for every in (0, 20):
        params = dataclasses.replace(
            PARAMS, steps=60, validate_every=60, curve_every=every, batch=4, validation_views=2
        )
        split = Triplets(blocks, IDS, params)
        run = create_run(tmp_path, "deep-encoding", f"every{every}", About())
        data = SimpleNamespace(train=split, val=split)
        train(deep_encoding, params, data, run, TrainOptions(device="cpu", log_every=15))
        weights[every] = load_model(run, "last", deep_encoding).model.state_dict()
        rows = read_metrics(run.metrics)
        curve = {int(row["step"]): row["curve_triplet"] for row in rows if "curve_loss" in row}
        assert list(curve) == ([20, 40, 60] if every else [])
        assert {int(row["step"]) for row in rows} >= {15, 30, 45, 60}
    for name, value in weights[0].items():
        assert torch.equal(value, weights[20][name])
    model = load_model(run, "last", deep_encoding).model
    for first, expected in ((4, curve[60]),):  # the fourth look is at the second of two batches
        batch = split.batch(range(first, first + 4), None)
        found = deep_encoding.validate(model, batch, params)["triplet"].mean()
        assert found.item() == pytest.approx(expected, rel=1e-5)


# --- through the command line


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight generated chairs and eight tables, voxels, six views, a run and its results."""
    root = tmp_path_factory.mktemp("deep") / "workspace"
    small = "--width 2 --hidden 16 --code 8 --batch 4 --device cpu --threads 1"
    for line in [
        "shapes generate --count 8 --category chair --category table --jobs 0",
        "voxelize --res 32 --jobs 0",
        "render --preset deep-encoding --size 64 --views 6 --supersample 1 --backend numba "
        "--jobs 0",
        f"train deep-encoding --preset tiny --steps 20 --validate-every 10 {small}",
        "eval retrieval --device cpu",
    ]:
        assert run_command([*line.split(), "--workspace", str(root), "--quiet"]) == 0
    return root


def test_a_run_and_its_retrieval(trained: Path, crossdim) -> None:
    run = find_run(trained, "deep-encoding")
    rows = read_metrics(run.metrics)
    assert {"loss", "triplet", "gap", "val_mrr", "curve_loss"} <= {k for row in rows for k in row}
    code, out, err = crossdim("eval retrieval --json", trained)
    assert (code, err) == (0, "")
    (told,) = json.loads(out)["results"]
    tests = run.record()["data"]["ids"]["test"]
    assert told["items"] == len(tests) >= 2
    assert told["pictures"] == 6 * len(tests)
    tables = told["tables"]
    assert set(tables) == {"image_to_shape", "shape_to_image", "image_to_image", "gap"}
    for table in list(tables.values())[:3]:
        for method in ("codes", "nearest neighbour", "chance"):
            assert 0 <= table[f"{method}: recall@1"]["all"] <= table[f"{method}: recall@5"]["all"]
    assert tables["gap"]["modality gap"]["all"] > 0
    code, out, _ = crossdim("eval retrieval -n", trained)
    assert out.endswith("would measure 0 shapes\n")
    code, out, _ = crossdim("status --json", trained)
    assert "results/retrieval/" in out


def test_codes_are_exported_in_three_formats(trained: Path, crossdim, tmp_path: Path) -> None:
    found = {}
    for suffix in ("h5", "npz", "csv"):
        path = tmp_path / f"codes.{suffix}"
        code, _, err = crossdim(f"export codes {path} --split test", trained)
        assert (code, err) == (0, "")
        found[suffix] = path
    run = find_run(trained, "deep-encoding")
    best = load_model(run)
    views = next((trained / "views").iterdir())
    with h5py.File(found["h5"]) as file, np.load(found["npz"]) as arrays:
        assert file.attrs["weights"] == best.sha256
        assert set(file) == set(arrays)
        for name in file:
            np.testing.assert_array_equal(file[name][()], arrays[name])
        ids = [name.decode() for name in file["shapes"][()]]
        assert ids == sorted(run.record()["data"]["ids"]["test"])
        voxel, image = file["voxel_code"][()], file["image_code"][()]
        owner, view = file["image_shape"][()], file["image_view"][()]
    rows = list(csv.DictReader(io.StringIO(found["csv"].read_text())))
    assert [row["kind"] for row in rows] == ["voxels"] * len(voxel) + ["image"] * len(image)
    numbers = np.array([[float(row[f"c{n}"]) for n in range(8)] for row in rows], np.float32)
    np.testing.assert_array_equal(numbers, np.concatenate([voxel, image]))
    assert [row["view"] for row in rows[len(voxel) :]] == [str(n) for n in view]
    # what the network says of the arrays themselves
    place = len(image) - 2
    rgb = Workspace(trained).artefact("views", views.name).read(ids[owner[place]])["rgb"]
    picture = torch.from_numpy(rgb[view[place]]).permute(2, 0, 1)[None].float() / 255
    said = deep_encoding.predict(best.model, picture, best.params)["code"][0]
    np.testing.assert_allclose(image[place], said, atol=1e-5)
    code, _, err = crossdim(f"export codes {tmp_path / 'codes.txt'}", trained)
    assert code == 2
    assert "cannot write codes as '.txt'" in err


@pytest.mark.parametrize("encoder", ["image", "voxel"])
def test_encoders_are_exported_as_programs(
    trained: Path, crossdim, tmp_path: Path, encoder: str
) -> None:
    """And say what the network says, of other numbers of inputs, without any of our code."""
    best = load_model(find_run(trained, "deep-encoding"))
    generator = torch.Generator().manual_seed(5)
    if encoder == "image":
        inputs = torch.rand(5, 3, 64, 64, generator=generator)
        expected = best.model.encode_images(inputs)
    else:
        inputs = (torch.rand(5, 32, 32, 32, generator=generator) < 0.02).float()
        expected = best.model.encode_voxels(inputs)
    expected = expected.detach().numpy()
    tolerance = {"atol": 1e-4 * np.abs(expected).max()}  # float32, in another order
    program = tmp_path / "encoder.pt2"
    code, out, err = crossdim(f"export model {program} --encoder {encoder}", trained)
    assert (code, err) == (0, "")
    assert f"{encoder} encoder, within" in out
    with torch.no_grad():
        told = torch.export.load(program).module()(inputs).numpy()
    np.testing.assert_allclose(told, expected, **tolerance)
    onnxruntime = pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
    program = tmp_path / "encoder.onnx"
    code, out, err = crossdim(f"export model {program} --encoder {encoder} --json", trained)
    assert (code, err) == (0, "")
    assert json.loads(out)["difference"] < 1e-4
    session = onnxruntime.InferenceSession(program, providers=["CPUExecutionProvider"])
    (name,) = (one.name for one in session.get_inputs())
    np.testing.assert_allclose(session.run(None, {name: inputs.numpy()})[0], expected, **tolerance)


def test_codes_in_the_plane(trained: Path, crossdim, tmp_path: Path) -> None:
    path = tmp_path / "plane.png"
    line = f"plot tsne --objects 3 --images 15 --perplexity 4 --voxels --thumbnails -o {path}"
    code, _, err = crossdim(line, trained)
    assert (code, err) == (0, "")
    with Image.open(path) as picture:
        assert picture.size[0] > 600
    rows = list(csv.DictReader(io.StringIO(path.with_suffix(".csv").read_text())))
    assert len(rows) == 3 * (5 + 1)
    assert [row["view"] for row in rows[:6]] == ["0", "1", "2", "3", "4", ""]
    assert len({row["shape"] for row in rows}) == 3
    assert {row["shape"].split("/")[0] for row in rows} == {"chair", "table"}
    first = path.with_suffix(".csv").read_bytes()
    assert crossdim(line, trained)[0] == 0
    assert path.with_suffix(".csv").read_bytes() == first  # the same seed, the same plane
    code, _, err = crossdim("plot tsne --objects 1 --images 5", trained)
    assert code == 2
    assert "5 codes are too few for a perplexity of 30\nuse --perplexity 1 or less" in err


def test_curves_of_several_runs_side_by_side(trained: Path, crossdim, tmp_path: Path) -> None:
    name = find_run(trained, "deep-encoding").name
    single, double = tmp_path / "one.png", tmp_path / "two.png"
    base = "plot curves --system deep-encoding"
    assert crossdim(f"{base} -o {single}", trained)[0] == 0
    assert crossdim(f"{base} --run {name} --run {name} -o {double}", trained)[0] == 0
    with Image.open(single) as one, Image.open(double) as two:
        assert one.size[0] == 2 * two.size[0]  # four panels a line, and two
    code, _, err = crossdim(f"{base} --run {name} --run {name} --metric los", trained)
    assert code == 2
    assert "has no metric 'los'" in err
    assert "there are: loss, triplet, gap" in err


def test_shapes_without_views_are_named(trained: Path, crossdim, tmp_path: Path) -> None:
    """None is left out silently; and where the size is another one, the command is said."""
    workspace = shutil.copytree(trained, tmp_path / "workspace")
    for line in (
        "shapes generate --count 10 --category chair --jobs 0",
        "voxelize --res 32 --jobs 0",
    ):
        assert crossdim(line, workspace)[0] == 0
    code, _, err = crossdim("train deep-encoding --preset tiny --name more -n", workspace)
    assert code == 3
    assert "lacks 2 of 18 shapes, chair/generated-0008 first" in err
    assert "run: crossdim render --views 6 --viewpoints kde" in err
    code, _, err = crossdim("train deep-encoding --preset small -n", workspace)
    assert code == 3
    assert "no views at size 108" in err


def test_a_single_object_to_train_on_is_refused(crossdim, tmp_path: Path) -> None:
    for line in (
        "shapes generate --count 3 --category chair --jobs 0",
        "voxelize --res 32 --jobs 0",
        "render --size 64 --supersample 1 --backend numba --jobs 0",
    ):
        assert crossdim(line, tmp_path)[0] == 0
    code, _, err = crossdim("train deep-encoding --preset tiny --steps 2", tmp_path)
    assert code == 3
    assert "is alone: there is no other object to tell it from" in err
    assert "add shapes, or categories" in err

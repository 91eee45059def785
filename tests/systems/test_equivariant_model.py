"""The equivariant embedding: its sizes, its loss, the target that stays, and the command."""

from __future__ import annotations

import dataclasses
import json
import pickle
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from stages.errors import InputError
from stages.stage import params_json
from stages.store.workspace import Workspace
from stages.systems import equivariant, spherical_cnn
from stages.systems.equivariant.data import RES, SIZE
from stages.systems.equivariant.objective import embedding_loss
from stages.systems.spherical_cnn.data import SCALE
from stages.train.run import Trained, find_run, load_model
from tests.systems.pictured import context

PRESETS = equivariant.PRESETS
KNOWN = dataclasses.replace(spherical_cnn.PRESETS["tiny"], classes=("chair", "table"))
PARAMS = dataclasses.replace(
    PRESETS["tiny"],
    width=4,
    most=16,
    latent=32,
    precision="fp32",
    jitter=0.0,
    target_params=json.dumps(params_json(KNOWN)),
)


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


# --- the networks


def test_parameter_counts_are_those_of_the_published_network() -> None:
    """13.4 million to encode, 2.4 to decode 16^2 x 32; 18.8 with the decoder of 32^2 x 16."""
    known = dataclasses.replace(spherical_cnn.PRESETS["paper"], classes=("x",) * 40)
    told = json.dumps(params_json(known))
    sizes = {}
    for layer in ("pose", "views"):
        params = dataclasses.replace(PRESETS["paper"], layer=layer, target_params=told)
        with torch.device("meta"):
            model = equivariant.build(params)
        sizes[layer] = [count(model.encoder), count(model.decoder)]
        target = model.decoder(torch.empty(1, 1024, device="meta")).shape[1:]
        assert tuple(target) == {"pose": (32, 16, 16), "views": (16, 32, 32)}[layer]
        learned = sum(p.numel() for p in model.parameters() if p.requires_grad)
        assert learned == sum(sizes[layer])
    assert sizes == {"pose": [13_391_168, 2_427_936], "views": [13_391_168, 5_394_192]}


# --- the loss


@pytest.mark.parametrize("weighting", ["outside", "inside"])
@pytest.mark.parametrize("huber", [1.0, 0.3])
def test_the_loss_is_its_formula(weighting: str, huber: float) -> None:
    params = dataclasses.replace(PARAMS, weighting=weighting, huber=huber)
    rng = np.random.default_rng(0)
    told, target = rng.normal(size=(2, 2, 3, 8, 8))
    found = embedding_loss(torch.from_numpy(told), torch.from_numpy(target), params)
    weights = np.sin(np.pi * (np.arange(8) + 0.5) / 8)
    weights /= weights.mean()
    for item in range(2):
        total = 0.0
        for c, j, k in np.ndindex(3, 8, 8):
            error = abs(told[item, c, j, k] - target[item, c, j, k])
            if weighting == "inside":
                error *= weights[j]
            cost = error**2 / 2 if error < huber else huber * (error - huber / 2)
            total += cost * (weights[j] if weighting == "outside" else 1)
        assert found[item].item() == pytest.approx(total / (3 * 8 * 8), rel=1e-12)
    assert embedding_loss(*[torch.from_numpy(target)] * 2, params).abs().max() == 0


def test_the_rate_drops_where_the_paper_drops_it() -> None:
    steps = (0, 79_999, 80_000, 179_999, 180_000)
    rates = [equivariant.schedule(PRESETS["paper"], step) for step in steps]
    assert rates == pytest.approx([1, 1, 0.2, 0.2, 0.04])


# --- the target that stays


def teacher() -> Trained:
    """A spherical CNN as `find` gives it; its batch norms have seen something."""
    torch.manual_seed(3)
    model = spherical_cnn.build(KNOWN)
    with torch.no_grad():
        for _ in range(20):
            model(torch.rand(8, 1, RES, RES))
    return Trained(model.eval(), spherical_cnn, KNOWN, 1, {}, "small", "f00d")


def arrays(item: str) -> dict[str, np.ndarray]:
    """Four views whose brightness and maps go together: something to learn."""
    rng, views = np.random.default_rng(int(item[-1])), 4
    level = rng.uniform(0.2, 0.8, views)
    rotation = np.broadcast_to(np.eye(3, 4, dtype=np.float32), (views, 3, 4))
    rgb = np.broadcast_to((255 * level)[:, None, None, None], (views, SIZE, SIZE, 3))
    waves = np.sin(np.arange(RES) / 5)[:, None] * np.cos(2 * np.pi * np.arange(RES) / RES)
    maps = 0.25 + 0.2 * level[:, None, None] * waves
    return {
        "rgb": rgb.astype(np.uint8),
        "extrinsics": rotation,
        "rotation": rotation[:, :, :3],
        "scale": np.ones((views, 3), np.float32),
        "map_scale": np.ones((views, 3), np.float32),
        "map": maps[:, None].astype(np.float32),
    }


@pytest.fixture(scope="module")
def bound() -> SimpleNamespace:
    """The system bound to a teacher, its parameters and its data."""
    ids = {"train": ("a/1", "a/2", "a/3"), "val": ("a/4",)}
    found = teacher()
    asked = []

    def find(system: str, run: str) -> Trained:
        asked.append((system, run))
        return found

    start = dataclasses.replace(PARAMS, target_params="", validation_views=2, roll=False)
    system, params = equivariant.bind(start, SimpleNamespace(ids=ids), find)
    data = [system.dataset(arrays, ids[s], params) for s in ids]
    return SimpleNamespace(system=system, params=params, data=data, teacher=found, asked=asked)


def test_binding_takes_the_network_over(bound: SimpleNamespace) -> None:
    assert bound.asked == [("spherical-cnn", "")]
    assert (bound.params.target, bound.params.target_weights) == ("small", "f00d")
    assert json.loads(bound.params.target_params) == params_json(KNOWN)
    assert [len(split) for split in bound.data] == [12, 2]
    torch.manual_seed(0)
    model = bound.system.build(bound.params)
    maps = torch.rand(2, 1, RES, RES)
    with torch.no_grad():
        expected = bound.teacher.model.target(maps, "pose")
    assert torch.equal(model.embed_maps(maps), expected)
    batch = bound.data[0].batch([5], None)
    told = torch.from_numpy(arrays("a/2")["map"][1:2]) * SCALE
    torch.testing.assert_close(batch["target"], model.embed_maps(told))


def test_it_begins_with_the_encoder_of_another_run(bound: SimpleNamespace) -> None:
    """Of the other layer, with another decoder; the rest is new."""
    torch.manual_seed(5)
    deep = equivariant.build(bound.params)
    seen = Trained(deep.eval(), equivariant, bound.params, 1, {}, "deep", "beef", ("a/1", "a/9"))

    def find(system: str, run: str) -> Trained:
        return seen if system == "equivariant" else bound.teacher

    ids = {"train": ("a/1",), "val": ("a/2",), "test": ("a/3",)}
    start = dataclasses.replace(PARAMS, target_params="", layer="views", start="deep")
    system, params = equivariant.bind(start, SimpleNamespace(ids=ids), find)
    assert (params.start, params.start_weights) == ("deep", "beef")
    torch.manual_seed(6)
    model = system.build(params)
    for name, value in deep.encoder.state_dict().items():
        assert torch.equal(model.encoder.state_dict()[name], value), name
    # what is built for reading a checkpoint needs no other run
    torch.manual_seed(6)
    fresh = equivariant.build(params)
    assert torch.equal(fresh.decoder.across.weight, model.decoder.across.weight)
    assert not torch.equal(
        fresh.encoder[1].layers[0].conv.weight, deep.encoder[1].layers[0].conv.weight
    )

    wider = dataclasses.replace(start, width=8)
    with pytest.raises(InputError, match="run deep has width 4, not 8"):
        equivariant.bind(wider, SimpleNamespace(ids=ids), find)
    leaky = SimpleNamespace(ids={**ids, "test": ("a/9",)})
    with pytest.raises(InputError, match="trained on 1 of the test shapes, a/9 first"):
        equivariant.bind(start, leaky, find)


def test_batches_can_be_prepared_by_other_processes(bound: SimpleNamespace) -> None:
    other = pickle.loads(pickle.dumps(bound.data[0]))
    found, expected = (split.batch([3], None) for split in (other, bound.data[0]))
    for name in ("image", "target"):
        assert torch.equal(found[name], expected[name])


def test_training_leaves_the_target_as_it_is(bound: SimpleNamespace) -> None:
    """Neither its weights nor its statistics; everything else learns, and the loss falls."""
    torch.manual_seed(0)
    system, params = bound.system, dataclasses.replace(bound.params, lr=1e-2)
    model = system.build(params)
    before = {n: v.clone() for n, v in model.state_dict().items()}
    optimizer = system.optimizer(model, params)
    assert not {id(p) for p in model.target.parameters()} & {
        id(p) for group in optimizer.param_groups for p in group["params"]
    }
    values = []
    for step in range(25):
        model.train()
        assert not any(m.training for m in model.target.modules())
        batch = bound.data[0].batch(range(12), torch.Generator().manual_seed(step))
        loss = system.losses(model, batch, params, context(step))["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        values.append(loss.item())
    learned = {n for n, p in model.named_parameters() if p.requires_grad}
    assert all(p.grad is not None for p in model.parameters() if p.requires_grad)
    after = model.state_dict()
    for name, value in before.items():
        if name.startswith("target."):
            assert torch.equal(after[name], value), name
    assert all(not torch.equal(after[n], before[n]) for n in learned)
    assert values[-1] < 0.5 * values[0]
    batch = bound.data[0].batch(range(4), None)
    scores = system.validate(model.eval(), batch, params)
    assert {n: tuple(v.shape) for n, v in scores.items()} == dict.fromkeys(
        ("embedding_loss", "align_deg", "acc15", "acc30"), (4,)
    )
    told = system.predict(model, batch["image"], params)["embedding"]
    assert told.shape == (4, 8, 16, 16)
    expected = embedding_loss(told, batch["target"], params)
    torch.testing.assert_close(scores["embedding_loss"], expected)


# --- the command

SHORT = "--steps 4 --validate-every 2 --batch 4 --device cpu --threads 1"
TRAIN = f"train equivariant --preset tiny --width 4 --latent 16 --validation-views 2 {SHORT}"


@pytest.fixture
def workspace(pictured_workspace: Path, tmp_path: Path) -> Path:
    return shutil.copytree(pictured_workspace, tmp_path / "workspace")


def test_train_through_the_command_line(workspace: Path, crossdim) -> None:
    """Its checkpoint holds the target, which is the newest spherical CNN as it was."""
    code, out, err = crossdim(f"{TRAIN} --views seen --name run", workspace)
    assert (code, err) == (0, "")
    assert out.startswith("runs/equivariant/run: 4 steps, best validation acc15 ")
    run, target = find_run(workspace, "equivariant"), find_run(workspace, "spherical-cnn")
    trained, network = load_model(run), load_model(target)
    assert (trained.params.target, trained.params.target_weights) == (target.name, network.sha256)
    for name, value in network.model.state_dict().items():
        assert torch.equal(trained.model.target.state_dict()[name], value)
    record = run.record()["data"]
    assert record["variants"] == {"views": "seen", "spheres": "seen"}
    assert record["categories"] == ["chair", "table"]
    views = Workspace(workspace).artefact("views", "seen").read(record["ids"]["val"][0])
    images = torch.from_numpy(views["rgb"]).permute(0, 3, 1, 2).float() / 255
    told = trained.system.predict(trained.model, images, trained.params)["embedding"]
    assert told.shape == (3, 8, 16, 16)


def test_a_training_that_was_stopped_ends_with_the_same_weights(workspace: Path, crossdim) -> None:
    """`--minutes` that are over at once: a step, a checkpoint, and on from there."""
    for name, minutes in (("whole", ""), ("parts", "--minutes 0.0001"), ("parts", "")):
        code, _, err = crossdim(f"{TRAIN} --views seen --name {name} {minutes}", workspace)
        assert (code, err) == (0, "")
    digests = [
        json.loads(
            (find_run(workspace, "equivariant", name).checkpoints / "last.json").read_bytes()
        )
        for name in ("whole", "parts")
    ]
    assert digests[0]["files"] == digests[1]["files"]
    assert digests[0]["step"] == 4


def test_what_is_missing_is_named(workspace: Path, crossdim) -> None:
    """The network, the maps of the views, or those of the views that are asked for."""
    code, _, err = crossdim(f"{TRAIN} --views other", workspace)
    assert (code, err) == (
        3,
        f"error: the maps of {err.split()[4]} are not those of its views\n"
        "choose the maps of these views: --spheres NAME\n",
    )
    code, _, err = crossdim(f"{TRAIN} --views seen --target nobody", workspace)
    assert (code, err.splitlines()[0]) == (3, "error: no run nobody of spherical-cnn")
    shutil.rmtree(workspace / "runs" / "spherical-cnn")
    code, _, err = crossdim(f"{TRAIN} --views seen", workspace)
    assert (code, err) == (
        3,
        "error: no finished run of spherical-cnn\nrun: crossdim train spherical-cnn\n",
    )
    shutil.rmtree(workspace / "spheres" / "seen")
    code, _, err = crossdim(f"{TRAIN} --views seen", workspace)
    assert code == 3
    assert err.startswith("error: no spheres at res 64 poses views")
    assert "run: crossdim raycast --res 64 --poses views" in err


def test_maps_on_another_grid_are_not_taken(workspace: Path, crossdim) -> None:
    """The frozen network would read them as its own: a colatitude of half a row is no error."""
    shutil.rmtree(workspace / "spheres" / "seen")
    made = "raycast --poses views --views seen --grid driscoll-healy --jobs 0"
    assert crossdim(made, workspace)[0] == 0
    code, _, err = crossdim(f"{TRAIN} --views seen", workspace)
    assert (code, err.splitlines()[0]) == (
        3,
        f"error: no spheres at res 64 poses views in {workspace}",
    )

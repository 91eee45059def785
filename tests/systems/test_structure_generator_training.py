"""Both parts of the structure generator's training, by the command line."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from stages.systems import structure_generator as system
from stages.train.run import find_run, load_model
from tests.systems.mapped import SIZE


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six generated chairs with 32-pixel depth maps and 64-pixel pictures."""
    from crossdim_cli.main import run

    root = tmp_path_factory.mktemp("clouds") / "workspace"
    for line in [
        "shapes generate --count 6 --category chair --category table --jobs 0",
        "depths --size 32 --novel 4 --jobs 0",
        "render --size 64 --viewpoints uniform --views 3 --supersample 1 --backend numba --jobs 0",
    ]:
        assert run([*line.split(), "--workspace", str(root), "--quiet"]) == 0
    return root


SHORT = "--preset tiny --validate-every 2 --batch 4 --device cpu --threads 1 --novel 2"


def test_the_second_part_goes_on_from_the_first(workspace: Path, crossdim, tmp_path: Path) -> None:
    root = shutil.copytree(workspace, tmp_path / "workspace")
    train = f"train structure-generator {SHORT}"
    code, _, err = crossdim(f"{train} --stage joint --category chair", root)
    assert code == 3
    assert "no finished run of stage fixed of chair to go on from" in err
    assert "run: crossdim train structure-generator --stage fixed --category chair" in err
    code, out, err = crossdim(f"{train} --steps 2 --category chair", root)
    assert (code, err) == (0, "")
    assert out.startswith("runs/structure-generator/chair-tiny: 2 steps")
    assert crossdim(f"{train} --steps 2 --category table", root)[0] == 0  # newer, of others
    code, out, err = crossdim(f"{train} --steps 4 --stage joint --category chair", root)
    assert (code, err) == (0, "")
    assert out.startswith("runs/structure-generator/chair-tiny-joint: 4 steps")
    joint = find_run(root, "structure-generator", category="chair")
    first = find_run(root, "structure-generator", "chair-tiny")
    params = joint.record()["params"]
    assert (joint.name, params["start"]) == ("chair-tiny-joint", "chair-tiny")
    assert params["start_weights"] == first.best()["sha256"]
    assert params["lr"] == system.preset("tiny", {"stage": "joint"}).lr
    trained = load_model(joint)
    told = trained.system.predict(trained.model, torch.rand(1, 3, 64, 64), trained.params)
    assert told["points"].shape == (1, 3, 8 * SIZE * SIZE)
    again = f"{train} --stage joint --category chair"
    code, _, err = crossdim(f"{again} --start chair-tiny-joint", root)
    assert code == 3
    assert "run chair-tiny-joint is of stage joint and of chair" in err
    code, _, err = crossdim(f"{again} --latent 64", root)
    assert code == 3
    assert "run chair-tiny has latent 128, not 64" in err


def test_a_stopped_second_part_continues_bit_equal(
    workspace: Path, crossdim, tmp_path: Path
) -> None:
    root = shutil.copytree(workspace, tmp_path / "workspace")
    train = f"train structure-generator {SHORT} --schedule constant --category chair"
    assert crossdim(f"{train} --steps 2", root)[0] == 0
    assert crossdim(f"{train} --stage joint --steps 4 --name whole", root)[0] == 0
    assert crossdim(f"{train} --stage joint --steps 2 --name parts", root)[0] == 0
    assert crossdim(f"{train} --stage joint --steps 4 --name parts", root)[0] == 0
    models = [
        load_model(find_run(root, "structure-generator", name), "last").model.state_dict()
        for name in ("whole", "parts")
    ]
    assert all(torch.equal(models[0][name], models[1][name]) for name in models[0])
    start = load_model(find_run(root, "structure-generator", "chair-tiny")).model.state_dict()
    moved = [(models[0][n] - start[n]).abs().max() for n in start if n.endswith("weight")]
    assert 0 < max(moved) < 0.01  # four steps of 1e-3 from there, not from new weights


def test_depths_of_another_kind_are_named(workspace: Path, crossdim) -> None:
    code, _, err = crossdim("train structure-generator --preset small", workspace)
    assert code == 3
    assert "no depths at size 64" in err
    assert "run: crossdim depths --size 64" in err
    train = f"train structure-generator {SHORT}"
    code, _, err = crossdim(f"{train} --fixed-views 6 --no-flip", workspace)
    assert code == 3
    assert "run: crossdim depths --size 32 --views 6" in err
    code, _, err = crossdim(f"{train} --stage joint -n", workspace)
    assert code == 3  # no run to go on from, said before anything is trained

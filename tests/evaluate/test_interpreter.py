"""The three steps from the command line: trained, measured, drawn, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import trimesh

from crossdim_cli.main import run as run_command
from stages.store.workspace import Workspace
from stages.train.run import Run, load_model

Command = Callable[[str], tuple[int, str, str]]
TRAIN = "train interpreter --category chair --preset tiny --batch 4 --device cpu --threads 1"
SHORT = "--steps 2 --validate-every 2 --validation-views 1"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six chairs with views and landmarks, skeletons, and a run of each step."""
    path = tmp_path_factory.mktemp("interpreter") / "workspace"
    render = "render --size 64 --viewpoints uniform --views 5 --supersample 1 --backend numba"
    for line in [
        "shapes generate --count 6 --category chair --category bed --jobs 0",
        f"{render} --jobs 0",
        "landmarks --jobs 0",
        "skeletons --category chair --count 40 --val 8 --test 12 --jobs 0",
        f"{TRAIN} --step interpret {SHORT}",
        f"{TRAIN} --step keypoints {SHORT}",
        f"{TRAIN} --step joint {SHORT}",
    ]:
        assert run_command([*line.split(), "--workspace", str(path), "--quiet"]) == 0, line
    return path


@pytest.fixture
def crossdim(root, capsys) -> Command:
    def call(line: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = run_command([*line.split(), "--workspace", str(root), "--quiet"])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


def test_joint_begins_with_the_two_steps(root):
    """Its parameters name both runs, and two steps at a small rate leave their weights almost."""
    runs = root / "runs" / "interpreter"
    parts = [load_model(Run(runs / f"chair-tiny-{step}")) for step in ("keypoints", "interpret")]
    joint = load_model(Run(runs / "chair-tiny-joint"))
    assert joint.params.keypoints_weights == parts[0].sha256
    assert joint.params.interpret_weights == parts[1].sha256
    told = joint.model.state_dict()
    for part in parts:
        for name, value in part.model.state_dict().items():
            if "running" not in name and "num_batches" not in name:
                # two steps of Adam at 1e-3 move a weight by 2e-3 at most, rounding included
                assert (told[name] - value).abs().max() < 2.1e-3, name


def test_eval_keypoints(root, crossdim):
    code, out, err = crossdim("eval keypoints --json")
    assert code == 0, err
    summary = json.loads(out)["results"][0]
    table = summary["tables"]["labelled"]
    artefact = Workspace(root).artefacts("results/keypoints")[0]
    away, length = [], []
    for item in artefact.index.items():
        one = artefact.read(item)
        distance = np.linalg.norm(one["told"][:, 0] - one["truth"], axis=-1)
        away.append(np.where(one["labelled"], distance, np.nan))
        length.append(one["length"])
    relative = np.concatenate(away) / np.concatenate(length)[:, None]
    expected = (relative[np.isfinite(relative)] <= 0.1).mean()
    assert table["refined: PCK@0.1"]["chair"] == pytest.approx(expected)
    assert table["mean of the training: PCK@0.2"]["chair"] > 0
    code, out, _ = crossdim("eval keypoints --dry-run")
    assert "would measure 0 shapes" in out


def test_eval_skeleton_on_pictures(crossdim):
    code, out, err = crossdim("eval skeleton --json")
    assert code == 0, err
    tables = json.loads(out)["results"][0]["tables"]
    assert set(tables) == {"structure", "viewpoint", "avp"}
    assert 0 < tables["structure"]["mean shape: mean RMSE"]["chair"] < 0.2
    assert tables["structure"]["after: reprojection (px)"]["chair"] > 0
    code, out, err = crossdim("status --json")
    assert "results/skeleton/interpreter-chair-tiny-joint-views" in out


def test_eval_skeleton_at_levels_of_noise(crossdim):
    code, out, err = crossdim("eval skeleton --run chair-tiny-interpret --json")
    assert code == 0, err
    summary = json.loads(out)["results"][0]
    assert summary["skeletons"] == 12
    row = summary["tables"]["structure"]["optimisation: average recall of RMSE"]
    assert row["0 %"] > 0.6 > row["20 %"]  # salt outshines the peaks
    mean = summary["tables"]["structure"]["mean shape: mean RMSE"]
    assert len(set(mean.values())) == 1  # which noise does not reach


def test_exports(crossdim, root, tmp_path):
    for suffix in ("json", "obj", "glb"):
        code, _, err = crossdim(f"export skeleton {tmp_path}/chair.{suffix}")
        assert code == 0, err
    told = json.loads((tmp_path / "chair.json").read_text())
    points = np.array(told["points"])
    assert np.linalg.norm(np.ptp(points, axis=0)) == pytest.approx(1)
    lines = (tmp_path / "chair.obj").read_text().split("\n")
    vertices = [[float(v) for v in line.split()[1:]] for line in lines if line.startswith("v ")]
    np.testing.assert_allclose(vertices, points, atol=1e-6)
    assert sum(line.startswith("l ") for line in lines) == len(told["edges"]) == 11
    scene = trimesh.load(tmp_path / "chair.glb", force="mesh")
    extent = np.ptp(points[:, [0, 2, 1]], axis=0) + 2 * 0.015  # balls stick out
    np.testing.assert_allclose(np.ptp(scene.vertices, axis=0), extent, atol=2e-3)
    code, _, err = crossdim(f"export skeleton {tmp_path}/chair.stl")
    assert code == 2
    assert "use one of .json, .obj, .glb" in err


def test_pictures(crossdim, tmp_path):
    for line in ("skeletons --count 2", "neighbours --count 2", "graph"):
        crossdim("eval skeleton")
        code, _, err = crossdim(f"plot {line} -o {tmp_path}/{line.split()[0]}.png")
        assert code == 0, err
        assert (tmp_path / f"{line.split()[0]}.png").read_bytes()[:4] == b"\x89PNG"


def test_what_is_refused(crossdim, root, tmp_path):
    for line, code, said in [
        (TRAIN.replace("chair", "sofa") + " --step joint", 2, "no category 'sofa'"),
        ("train interpreter --step interpret", 2, "one skeleton does not fit all categories"),
        ("train interpreter --category chair --step interpret --template chairs", 3, "mean chair?"),
        (f"{TRAIN} --step joint --name other --ranges none", 3, "no ranges called"),
        ("eval keypoints --run chair-tiny-interpret", 2, "looks at no pictures"),
        ("eval skeleton --run chair-tiny-keypoints", 2, "tells no skeletons"),
        ("skeletons --category chairs", 3, "did you mean chair?"),
        ("skeletons --category chair --ranges mine", 3, "there are: published, executable"),
        (f"plot skeletons --images {root}/nothing.jpg -o {tmp_path}/x.png", 3, "nothing.jpg"),
    ]:
        got, _, err = crossdim(line)
        assert (got, said in err) == (code, True), (line, got, err)
        assert len(err.strip().splitlines()) == 2


def test_other_categories_only_when_asked_for(crossdim, tmp_path, root):
    render = "render --size 64 --viewpoints uniform --views 1 --supersample 1 --backend numba"
    crossdim(f"{render} --category bed --name beds --jobs 0")
    crossdim("landmarks --views beds --category bed --jobs 0 --name beds")
    line = f"plot skeletons --landmarks beds --count 1 -o {tmp_path}/beds.png"
    code, _, err = crossdim(line)
    assert code == 2
    assert "--cross-category" in err
    code, _, err = crossdim(f"{line} --cross-category")
    assert code == 0, err

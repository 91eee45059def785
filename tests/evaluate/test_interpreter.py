"""The three steps from the command line: trained, measured, drawn, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import trimesh

from crossdim_cli.main import run as run_command
from stages.evaluate import keypoints, skeleton
from stages.evaluate.health import results_status
from stages.evaluate.keypoints_protocol import CONSTANT
from stages.export import recall_curves
from stages.export.measured import grouped, measured
from stages.photos.layouts.flic import NAMES as JOINTS
from stages.store.workspace import Workspace
from stages.train.run import Run, load_model
from tests.evaluate.test_detections import written
from tests.photos import makers

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
        f"{render} --category chair --jobs 0",
        "landmarks --category chair --jobs 0",
        "skeletons --category chair --count 40 --val 8 --test 4 --jobs 0",
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
    assert summary["skeletons"] == 4
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
    crossdim("eval skeleton")
    of_estimator = "keypoints --run chair-tiny-keypoints --count 2"
    for line in (
        "skeletons --count 2",
        of_estimator,
        "keypoints --count 1",
        "neighbours --count 2",
        "graph",
    ):
        code, _, err = crossdim(f"plot {line} -o {tmp_path}/{line.split()[0]}.png")
        assert code == 0, err
        assert (tmp_path / f"{line.split()[0]}.png").read_bytes()[:4] == b"\x89PNG"


def test_curves_pass_through_the_numbers_of_the_tables(crossdim, root):
    """PCK at 0.05, 0.1 and 0.2, average recalls, and all that the titles count."""
    tables = {}
    for protocol in ("keypoints", "skeleton"):
        code, out, err = crossdim(f"eval {protocol} --json")
        assert code == 0, err
        tables |= json.loads(out)["results"][0]["tables"]
    workspace, run = Workspace(root), Run(root / "runs/interpreter/chair-tiny-joint")
    (group,) = grouped([measured(workspace, run, keypoints.STAGE)])
    for which in ("labelled", "visible"):
        panel = recall_curves.pck_panel(workspace, group, which, torso=False)
        assert {c.method for c in panel.curves} == {"refined", "rough", "projected", CONSTANT}
        for curve in panel.curves:
            for threshold in (0.05, 0.1, 0.2):
                place = panel.thresholds.tolist().index(threshold)
                said = tables[which][f"{curve.method}: PCK@{threshold:g}"]["chair"]
                assert curve.values[place] == pytest.approx(said)
    assert f"{5 * len(group.ids)} pictures" in panel.title
    (group,) = grouped([measured(workspace, run, skeleton.STAGE)])
    structure, azimuth = recall_curves.recall_panels(group)
    for curve in structure.curves:
        said = tables["structure"][f"{curve.method}: average recall of RMSE"]["chair"]
        assert curve.values.mean() == pytest.approx(said)
        at = np.interp(0.15, structure.thresholds, curve.values)
        assert at == pytest.approx(
            tables["structure"][f"{curve.method}: recall at RMSE 0.15"]["chair"]
        )
    assert len(structure.curves) == 4
    for curve in azimuth.curves[:-1]:
        said = tables["viewpoint"][f"{curve.method}: average recall of azimuth"]["chair"]
        assert curve.values.mean() == pytest.approx(said)
    assert azimuth.curves[-1].method == recall_curves.CHANCE
    for curve in (*panel.curves, *structure.curves, *azimuth.curves):
        assert (np.diff(curve.values) >= 0).all()
        assert 0 <= curve.values[0] <= curve.values[-1] <= 1


def test_curves_are_drawn_of_one_run_and_of_two(crossdim, root, tmp_path):
    crossdim("eval keypoints --run chair-tiny-keypoints")
    crossdim("eval keypoints --run chair-tiny-joint")
    crossdim("eval skeleton")
    both = "--run chair-tiny-keypoints --run chair-tiny-joint"
    for line in (f"pck {both} --keypoints visible", "pck", "recall --zoom-from 0 --zoom-to 0.3"):
        code, out, err = crossdim(f"plot {line} -o {tmp_path}/a.png")
        assert (code, err, out) == (0, "", f"{tmp_path}/a.png\n"), line
        assert (tmp_path / "a.png").read_bytes()[:4] == b"\x89PNG"


def test_curves_of_what_was_not_measured(crossdim, root, tmp_path):
    """The command that the error names mends it."""
    name = "unmeasured"
    assert crossdim(f"{TRAIN} --step keypoints --name {name} {SHORT}")[0] == 0
    code, _, err = crossdim(f"plot pck --run {name} -o {tmp_path}/a.png")
    assert (code, f"run {name} was not measured on landmarks/views yet" in err) == (3, True), err
    assert crossdim(err.splitlines()[1].removeprefix("run: crossdim "))[0] == 0
    assert crossdim(f"plot pck --run {name} -o {tmp_path}/a.png")[0] == 0
    again = f"{TRAIN} --step keypoints --name {name} --fresh --seed 1 {SHORT}"
    assert crossdim(again)[0] == 0
    code, _, err = crossdim(f"plot pck --run {name} -o {tmp_path}/b.png")
    assert (code, "is stale: its run was trained on" in err) == (3, True), err
    for line, code, said in [
        ("pck --run chair-tiny-interpret", 2, "looks at no pictures"),
        ("recall --run chair-tiny-keypoints", 2, "tells no skeletons"),
        ("recall --run chair-tiny-interpret", 2, "name a run of step joint"),
        ("recall --category sofa", 3, "no finished run of interpreter with step joint for sofa"),
        ("pck --landmarks none", 3, "--landmarks none"),
        ("pck --photos none --landmarks views", 2, "name one of them"),
        ("pck --torso", 2, "leave out --torso"),
        ("pck --zoom-from 0.3", 2, "there is no curve from 0.3 to 0.2"),
        ("recall --zoom-to 2", 2, "between 0 and 0.3"),
    ]:
        got, _, err = crossdim(f"plot {line} -o {tmp_path}/b.png")
        assert (got, said in err) == (code, True), (line, got, err)
        assert len(err.strip().splitlines()) == 2
    assert not (tmp_path / "b.png").exists()


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
    """Figure 9: drawn and measured; of beds no keypoint has a name that chairs have."""
    render = "render --size 64 --viewpoints uniform --views 1 --supersample 1 --backend numba"
    crossdim(f"{render} --category bed --name beds --jobs 0")
    crossdim("landmarks --views beds --category bed --jobs 0 --name beds")
    plot = f"plot skeletons --landmarks beds --count 1 -o {tmp_path}/beds.png"
    for line in (plot, "eval skeleton --landmarks beds", "eval keypoints --landmarks beds"):
        code, _, err = crossdim(line)
        assert (code, "--cross-category" in err) == (2, True), (line, err)
        assert len(err.strip().splitlines()) == 2
    code, _, err = crossdim(f"{plot} --cross-category")
    assert code == 0, err
    code, out, err = crossdim("eval skeleton --landmarks beds --cross-category --json")
    assert code == 0, err
    summary = json.loads(out)["results"][0]
    assert summary["items"] == 6
    assert set(summary["tables"]) == {"viewpoint", "avp"}
    assert set(summary["tables"]["viewpoint"]["after: median azimuth error (deg)"]) == {"bed"}
    states = {a["name"]: a for a in results_status(Workspace(root))}
    assert states["results/skeleton/interpreter-chair-tiny-joint-others-beds"]["fresh"]
    code, _, err = crossdim("eval keypoints --landmarks beds --cross-category")
    assert (code, "has no labelled keypoint" in err) == (3, True)
    drawn = f"--landmarks beds --cross-category -o {tmp_path}/curve.png"
    code, _, err = crossdim(f"plot recall {drawn}")  # of azimuth alone
    assert (code, err) == (0, "")
    code, _, err = crossdim(f"plot pck {drawn}")
    assert (code, "no labelled keypoint" in err) == (3, True), err


def test_boxes_of_a_detector(crossdim, root, tmp_path):
    """Silhouettes but for one, and first of all a box beside the object."""
    views = next(a for a in Workspace(root).artefacts("views") if a.variant != "beds")
    item = Run(root / "runs/interpreter/chair-tiny-joint").record()["data"]["ids"]["test"][0]
    depth = views.read(item, ("depth",))["depth"]
    rows: list[tuple[object, ...]] = [(item, 0, -30, -30, -5, -5, 0.9)]
    for view, seen in enumerate(depth > 0):
        y, x = np.nonzero(seen)  # a naive box
        rows.append((item, view, x.min(), y.min(), x.max() + 1, y.max() + 1, 0.8 - view / 10))
    path = written(tmp_path / "boxes.csv", rows[:-1])
    code, out, err = crossdim(f"eval skeleton --detections {path} --json")
    assert code == 0, err
    summary = json.loads(out)["results"][0]
    told = {name: row["chair"] for name, row in summary["tables"]["detections"].items()}
    objects = told["objects"]
    assert objects == 5 * summary["items"]
    assert told["boxes of an object"] == 4
    assert told["false positives"] == 1
    assert told["misses"] == objects - 4
    # one of the first 1 + k boxes is wrong: at best 4 of 5 are right, up to a recall of 4
    assert told["AP of the boxes"] == pytest.approx(4 / 5 * 4 / objects)
    for views_ in (4, 24):
        assert 0 <= told[f"after: AVP, {views_} views"] <= told["AP of the boxes"] + 1e-9
    assert results_status(Workspace(root))[-1]["fresh"]


def test_boxes_of_pictures_that_there_are_not(crossdim, root, tmp_path):
    item = Run(root / "runs/interpreter/chair-tiny-joint").record()["data"]["ids"]["test"][0]
    for place, said in [((item, 99), "no view 99"), (("chair/none", 0), "no 'chair/none'")]:
        path = written(tmp_path / "boxes.csv", [(*place, 1, 1, 9, 9, 1)])
        code, _, err = crossdim(f"eval skeleton --detections {path}")
        assert (code, said in err) == (3, True), err
        assert len(err.strip().splitlines()) == 2


def test_photos_from_the_import_to_the_table(crossdim, root, tmp_path):
    """Keypoint-5's chairs: learnt from in both steps, measured on those that were not."""
    rng = np.random.default_rng(0)
    spots = makers.spots((120, 160), 10).astype(float)
    clicks = spots + 1 + rng.normal(0, 1, (10, 4, 10, 2))  # (pictures, annotators, K, 2)
    pictures = {n: makers.dotted((120, 160), spots) for n in range(1, 11)}
    makers.keypoint5(tmp_path, "chair", pictures, clicks.transpose(3, 2, 1, 0))
    for line in (
        f"keypoints import {tmp_path} --name made --width 120 --height 160 --jobs 0",
        f"{TRAIN} --data photos --step keypoints --name photos {SHORT}",
        f"{TRAIN} --data photos --step joint --name of-photos --keypoints-run photos {SHORT}",
    ):
        code, _, err = crossdim(line)
        assert code == 0, (line, err)
    code, out, err = crossdim("eval keypoints --run of-photos --json")
    assert code == 0, err
    summary = json.loads(out)["results"][0]
    ids = Run(root / "runs/interpreter/of-photos").record()["data"]["ids"]
    assert summary["items"] == len(ids["test"]) == 10 - len(ids["train"]) - len(ids["val"]) > 0
    table = summary["tables"]["labelled"]
    assert {"refined: PCP", "projected: PCK@0.1", "rough: AE"} <= set(table)
    # all pictures are alike: the mean of the training is off by the annotators' medians alone
    assert table["mean of the training: mean distance (px)"]["chair"] < 4  # 2 pixels of 120 x 160
    code, _, err = crossdim("eval keypoints --run of-photos --cross-category")
    assert (code, "no other categories" in err) == (3, True), err
    code, _, err = crossdim("eval skeleton --run of-photos")
    assert (code, "has no 3D truth" in err) == (2, True)


def test_people_in_lengths_of_the_torso(crossdim, root, tmp_path):
    """FLIC's layout with the fine level: a table in torsos, by hand of the results."""
    joints = makers.spots((120, 160), len(JOINTS)).astype(float)
    coords = np.full((2, 29), np.nan)
    coords[:, list(JOINTS.values())] = joints.T + 1
    rows = [
        makers.flic_example(
            coords=coords,
            imgdims=np.array([[160, 120, 3]]),
            filepath=f"film-{n:08d}.jpg",
            moviename=f"film{n}",
            torsobox=np.array([[9.0, 9, 100, 140]]),
            istrain=n < 5,
            istest=n == 5,
        )
        for n in range(6)
    ]
    makers.flic(tmp_path, rows)
    data = makers.encode(makers.dotted((120, 160), joints), "JPEG")
    for n in range(6):
        makers.write(tmp_path / f"images/film-{n:08d}.jpg", data)
    size = "--width 120 --height 160"
    code, _, err = crossdim(
        f"keypoints import {tmp_path} --format flic --name flic {size} --jobs 0"
    )
    assert code == 0, err
    found = (a.variant for a in Workspace(root).artefacts("keypoints"))
    flic = next(variant for variant in found if variant.startswith("flic"))
    people = f"{TRAIN.replace('chair', 'person')} --data photos --keypoints {flic}"
    code, _, err = crossdim(f"{people} --step keypoints --fine 4 {SHORT}")
    assert code == 0, err
    code, out, err = crossdim("eval keypoints --run person-tiny-keypoints --json")
    assert code == 0, err
    summary = json.loads(out)["results"][0]
    name = f"interpreter-person-tiny-keypoints-photos-{flic}"
    one = Workspace(root).artefact("results/keypoints", name).read("person/film-00000005")
    torso = 2 * np.linalg.norm(joints[0] - joints[7])  # 120 x 160 to 240 x 320
    assert one["torso"][0] == pytest.approx(torso, rel=1e-5)
    table = summary["tables"]["labelled"]
    for number, method in ((0, "refined"), (3, "fine")):
        away = np.linalg.norm(one["told"][0, number] - one["truth"][0], axis=-1)
        expected = (away / one["torso"][0] <= 0.2).mean()
        assert table[f"{method}: PCK@0.2 torso"]["person"] == pytest.approx(expected)

"""View sets in a workspace: what they are made of, when they are stale, several side by side."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from crossdim_cli.main import run as crossdim
from stages.engine.plan import Plan, Selection, make_plan, wanted_from_inputs
from stages.engine.pools import Limits
from stages.engine.runner import execute
from stages.engine.status import workspace_status
from stages.errors import InputError, UsageError
from stages.render import STAGE, Params
from stages.render.attach import PICTURES
from stages.store.workspace import Workspace
from stages.train.inputs import choose_variant
from stages.viewpoints.fitted import set_of, to_bytes
from stages.viewpoints.fitting import Fit, fit_tables
from tests.faults.harness import snapshot

SMALL = Params(size=16, views=3, viewpoints="kde", distribution="mine", supersample=1)
SMALL = replace(SMALL, backend="numba", background="images", images="some-size32", light="random")
HERE = Limits(jobs=0)


def fit(root: Path, elevation: float, categories: tuple[str, ...] = ("car", "chair")) -> None:
    """A fitted set `mine` of the workspace: one annotated viewpoint for each category."""
    narrow = Fit(azimuth_deg=1.0, elevation_deg=0.0, inplane_deg=0.0)
    rows = {c: np.array([[30.0 * n, elevation, 0, 1]]) for n, c in enumerate(categories)}
    (root / "viewpoints").mkdir(exist_ok=True)
    made = to_bytes(set_of("mine", fit_tables(rows, narrow), ()))
    (root / "viewpoints" / "mine.json").write_bytes(made)


def import_pictures(folder: Path, root: Path, name: str, colours: list[int]) -> None:
    """Pictures of one colour each, `name` in the workspace."""
    folder.mkdir(exist_ok=True)
    for colour in colours:
        Image.new("RGB", (40, 30), (colour, 0, 0)).save(folder / f"{colour}.png")
    line = ["backgrounds", "import", str(folder), "--name", name, "--size", "32", "--jobs", "1"]
    assert crossdim([*line, "--workspace", str(root), "-q"]) == 0


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two cars, two chairs, two beds and five pictures; viewpoints for cars and chairs."""
    root = tmp_path_factory.mktemp("views") / "workspace"
    line = "shapes generate --count 2 --category car --category chair --category bed --jobs 0 -q"
    assert crossdim([*line.split(), "--workspace", str(root)]) == 0
    import_pictures(root.parent / "pictures", root, "some", [10, 50, 90, 130, 170])
    fit(root, 12.0)
    return root


@pytest.fixture
def root(made: Path, tmp_path: Path) -> Path:
    """A copy of it that a test may change."""
    return shutil.copytree(made, tmp_path / "workspace")


def plan(root: Path, params: Params = SMALL, name: str = "set", seed: int = 0) -> Plan:
    workspace = Workspace(root)
    wanted = wanted_from_inputs(STAGE, params, seed, workspace, Selection())
    return make_plan(STAGE, params, seed, workspace.artefact("views", name), wanted)


def render(root: Path, params: Params = SMALL, limits: Limits = HERE, name: str = "set"):
    """Make the set; what came of it and the bytes of its files."""
    todo = plan(root, params, name)
    return execute(todo, STAGE, params, limits), snapshot(todo.artefact.folder)


def state(root: Path, name: str = "views/set"):
    """What `crossdim status` says of an artefact."""
    (found,) = [s for s in workspace_status(Workspace(root)) if s.name == name]
    assert found.note == ""
    return found.state


def test_however_many_workers_the_bytes_are_the_same(root: Path) -> None:
    params = replace(SMALL, stretch=1.3, distance_max=3.0)
    results = []
    for limits in (HERE, Limits(jobs=1), Limits(jobs=2)):
        results.append(render(root, params, limits)[1])
        shutil.rmtree(root / "views")
    assert results[0] == results[1] == results[2]


def test_categories_without_a_table_fail_and_the_others_are_made(root: Path) -> None:
    outcome, _ = render(root)
    assert outcome.done == 4
    assert {i.split("/")[0] for i in outcome.failures} == {"bed"}
    (reason,) = set(outcome.failures.values())
    assert reason == "viewpoints mine have no category 'bed': crossdim viewpoints fit"
    views = Workspace(root).artefact("views", "set")
    for item in views.index.items():
        viewpoint = views.read(item, ("viewpoint",))["viewpoint"]
        where = {"car": 0, "chair": 30}[item.split("/")[0]]
        assert np.abs((viewpoint[:, 0] - where + 180) % 360 - 180).max() < 6  # 1 degree wide
        assert (viewpoint[:, 1] == 12).all()


def test_a_set_is_fresh_until_the_fitted_viewpoints_change(root: Path) -> None:
    render(root)
    before = state(root)
    assert (len(before.fresh), len(before.failed)) == (4, 2)
    fit(root, 12.0)  # the same again
    assert state(root) == before
    fit(root, 13.0, ("car", "chair", "bed"))
    after = state(root)
    assert after.fresh == ()
    assert set(after.stale.values()) == {"input changed"}
    outcome, _ = render(root)
    assert (outcome.done, outcome.failures) == (6, {})  # the beds, too
    assert len(state(root).fresh) == 6


def test_a_set_of_one_category_does_not_ask_for_the_others(root: Path) -> None:
    line = "render --viewpoints kde --distribution mine --category car --size 16 --views 2"
    words = [*line.split(), "--name", "set", "--jobs", "0", "--workspace", str(root), "-q"]
    assert crossdim(words) == 0
    assert len(state(root).fresh) == 2
    assert state(root).failed == {}


def test_a_set_whose_fitted_viewpoints_are_gone_is_not_fresh(root: Path) -> None:
    render(root)
    (root / "viewpoints" / "mine.json").unlink()
    (found,) = [s for s in workspace_status(Workspace(root)) if s.name == "views/set"]
    assert not found.is_fresh
    assert "no viewpoints mine" in found.note


def test_a_set_is_stale_when_its_pictures_change(root: Path) -> None:
    render(root)
    assert len(state(root).fresh) == 4
    import_pictures(root.parent / "pictures", root, "some", [10, 50, 90, 130, 170, 200])
    assert set(state(root).stale.values()) == {"input changed"}


def test_pictures_are_drawn_for_each_shape_by_its_own_numbers(root: Path) -> None:
    params = replace(SMALL, viewpoints="sphere", views=4)
    todo = {work.id: work for task in plan(root, params).tasks for work in task.work}
    chosen = {i: tuple(row[2] for row in work.attached[PICTURES]) for i, work in todo.items()}
    assert all(len(set(names)) == 4 for names in chosen.values())  # no picture twice in a shape
    assert len(set(chosen.values())) > 1
    other = plan(root, params, seed=1)
    assert chosen != {
        w.id: tuple(row[2] for row in w.attached[PICTURES]) for t in other.tasks for w in t.work
    }
    render(root, params)
    views = Workspace(root).artefact("views", "set")
    for item, names in chosen.items():
        arrays = views.read(item, ("rgb", "mask"))
        for view, name in enumerate(names):
            free = arrays["rgb"][view][arrays["mask"][view] == 0]
            assert (free == [int(name.split("/")[1]), 0, 0]).all()


def test_what_is_missing_is_said_before_anything_is_done(root: Path) -> None:
    with pytest.raises(InputError, match="no pictures backgrounds/other") as caught:
        plan(root, replace(SMALL, images="other"))
    assert caught.value.hint == (
        "run: crossdim backgrounds import DIR --name other   (there are: some-size32)"
    )
    with pytest.raises(InputError, match="no viewpoints theirs") as caught:
        plan(root, replace(SMALL, distribution="theirs"))
    assert "crossdim viewpoints fit" in caught.value.hint
    fit(root, 0.0, ("lamp",))
    with pytest.raises(InputError, match="no category 'bed'"):
        plan(root)
    assert not (root / "views").exists()


def test_two_sets_of_the_same_shapes_live_side_by_side(root: Path) -> None:
    first = Params(size=16, views=2, viewpoints="sphere", supersample=1, backend="numba")
    second = replace(first, viewpoints="so3")
    before = render(root, first, name="upright")[1]
    render(root, second, name="turned")
    assert snapshot(root / "views" / "upright") == before
    for name in ("views/upright", "views/turned"):
        assert len(state(root, name).fresh) == 6
    workspace = Workspace(root)
    with pytest.raises(UsageError, match="several views fit: turned, upright") as caught:
        choose_variant(workspace, "views", {"size": 16})
    assert caught.value.hint == "choose one with --views NAME"
    assert choose_variant(workspace, "views", {"size": 16}, "turned").variant == "turned"
    told = choose_variant(workspace, "views", {"size": 16, "viewpoints": "sphere"})
    assert told.variant == "upright"
    with pytest.raises(InputError, match="made with other parameters"):
        plan(root, second, "upright")


def test_the_command_takes_presets_and_flags_on_top(root: Path) -> None:
    line = "render --preset r2n2 --size 8 --views 2 --category car --name few --jobs 0 -q"
    assert crossdim([*line.split(), "--workspace", str(root)]) == 0
    arrays = Workspace(root).artefact("views", "few")
    viewpoint = np.concatenate([arrays.read(i)["viewpoint"] for i in arrays.index.items()])
    assert viewpoint.shape == (4, 4)
    assert ((viewpoint[:, 1] >= 25) & (viewpoint[:, 1] <= 30)).all()


def test_the_command_says_what_is_wrong_in_two_lines(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for line, code, first, second in (
        ("--background images", 2, "--background images needs", "crossdim backgrounds import"),
        ("--images some", 2, "--images does nothing with --background grey", "images"),
        ("--background images --images no", 3, "no pictures backgrounds/no", "backgrounds import"),
        ("--viewpoints kde --distribution no", 3, "no viewpoints no", "viewpoints fit"),
    ):
        words = ["render", *line.split(), "--workspace", str(root), "-q"]
        capsys.readouterr()
        assert crossdim(words) == code
        error = capsys.readouterr().err.splitlines()
        assert len(error) == 2
        assert error[0].startswith(f"error: {first}")
        assert second in error[1]

"""Every layout through the command line into a workspace, which is fresh afterwards."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from crossdim_cli.main import run
from stages.geometry.mesh import Mesh
from stages.store.workspace import Workspace
from tests.shapes import layouts
from tests.shapes.import_models import PICTURE, png, write


@pytest.fixture
def crossdim(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Any]:
    """Runs a command in a workspace of its own: exit code, and what it printed as JSON."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CROSSDIM_CONFIG", raising=False)

    def call(*words: str, code: int = 0) -> Any:
        given = [*words, "--workspace", str(tmp_path / "workspace"), "--json", "-q"]
        assert run(given) == code
        out, err = capsys.readouterr()
        return json.loads(out) if code in (0, 1) and out else err

    return call


def shapenet(root: Path) -> list[str]:
    layouts.shapenet_v1(root, "03001627", "1a", "1b")
    layouts.shapenet_v2(root, "02691156", "2a")
    write(root / "lists" / "03001627_trainids.txt", "03001627/1a\n")
    return ["chair/1a"]


def modelnet(root: Path) -> list[str]:
    layouts.modelnet(root)
    return [f"chair/chair_000{n}" for n in (1, 2, 3)]


def pascal3d(root: Path) -> list[str]:
    layouts.model(root / "CAD" / "aeroplane" / "01.off", "+z", "-y")
    return ["aeroplane/01"]


def folder(root: Path) -> list[str]:
    layouts.model(root / "chair" / "a.glb", "-z", "+x")
    return ["chair/a"]


def sh3f(root: Path) -> list[str]:
    corners = layouts.posed("+y", "+z")
    piece = {"id": "a#b", "name": "B", "category": "Living room", "model": "/m/b.obj"}
    members: dict[str, bytes | str] = {
        "m/b.obj": layouts.obj(corners, "b.mtl"),
        "m/b.mtl": "newmtl m\nmap_Kd b.png\n",
        "m/b.png": png(PICTURE),
    }
    write(root / "library.sh3f", layouts.library([piece], members))
    return ["living-room/a-b"]


def manifest(root: Path) -> list[str]:
    layouts.model(root / "a.stl", "-y", "-z")
    write(root / "models.csv", "id,category,file,up,front\na,chair,a.stl,-y,-z\n")
    return ["chair/a"]


CASES: dict[str, tuple[Callable[[Path], list[str]], str]] = {
    "shapenet": (shapenet, "--category 03001627 --split-file {root}/lists"),
    "modelnet": (modelnet, "--category chair --split-seed 3"),
    "pascal3d": (pascal3d, ""),
    "folder": (folder, "--up -z --front +x"),
    "sh3f": (sh3f, ""),
    "manifest": (manifest, ""),
}


@pytest.mark.parametrize("format", CASES)
def test_into_a_workspace(crossdim: Callable[..., Any], tmp_path: Path, format: str) -> None:
    root = tmp_path / "data+set"
    make, more = CASES[format]
    ids = make(root)
    before = {p: p.stat().st_mtime_ns for p in root.rglob("*")}
    words = ["shapes", "import", str(root), "--format", format, "--jobs", "1"]
    made = crossdim(*words, *more.format(root=root).split())
    assert (made["artefact"], made["made"], made["failed"]) == ("shapes/data-set", len(ids), {})
    shapes = Workspace(tmp_path / "workspace").artefact("shapes", "data-set")
    assert sorted(shapes.index.items()) == ids
    for item in ids:
        arrays = shapes.read(item)
        mesh = Mesh.from_arrays(arrays)
        assert layouts.is_canonical(mesh)
        assert bool(mesh.textures) == (format in ("shapenet", "sh3f"))
        assert arrays["notes"].size == 0
    shapes.close()
    # the data set is as it was; status lists it again, with the same options
    assert {p: p.stat().st_mtime_ns for p in root.rglob("*")} == before
    (status,) = crossdim("status", "--check")["artefacts"]
    assert (status["fresh"], status["stale"], status["extra"]) == (len(ids), {}, [])
    assert crossdim(*words, *more.format(root=root).split())["made"] == 0
    listed = crossdim("shapes", "list")["shapes"]
    assert [row["shape"] for row in listed] == ids
    wanted = {"shapenet": ["train"], "modelnet": ["train", "val", "test"]}.get(format, [""])
    assert sorted(row["split"] for row in listed) == sorted(wanted)


def test_what_changes_is_stale(crossdim: Callable[..., Any], tmp_path: Path) -> None:
    root = tmp_path / "data"
    shapenet(root)
    words = ["shapes", "import", str(root), "--format", "shapenet", "--jobs", "1"]
    crossdim(*words, "--split-file", str(root / "lists"))
    write(root / "lists" / "03001627_trainids.txt", "")
    write(root / "lists" / "03001627_testids.txt", "03001627/1a\n")
    err = crossdim("status", "--check", code=3)
    assert isinstance(err, str)
    (status,) = crossdim("status")["artefacts"]
    assert status["stale"] == {"chair/1a": "input changed"}


def test_notes_are_listed(crossdim: Callable[..., Any], tmp_path: Path) -> None:
    root = tmp_path / "data"
    layouts.shapenet_v1(root, "03001627", "1a", "1b")
    (root / "03001627" / "1b" / "images" / "texture0.png").unlink()
    write(root / "03001627" / "1c" / "readme.txt", "no mesh")
    crossdim("shapes", "import", str(root), "--format", "shapenet", "--jobs", "1", code=1)
    crossdim("shapes", "generate", "--count", "1", "--category", "table", "--jobs", "0")
    rows = crossdim("shapes", "list", "--notes")["shapes"]
    assert {row["shape"]: row["notes"] for row in rows} == {
        "chair/1a": "",
        "chair/1b": "not found: images/texture0.png",
        "chair/1c": "",
        "table/generated-0000": "",
    }
    assert rows[2]["state"] == "failed: file is missing: 03001627/1c/model.obj"
    assert "notes" not in crossdim("shapes", "list")["shapes"][0]


def test_hostile_models_cost_themselves(
    crossdim: Callable[..., Any], tmp_path: Path, shared_data: Path
) -> None:
    """Real hostile files and made ones, in one data set: named, and nothing else is touched."""
    root = tmp_path / "data"
    for name in ("draco_coupe", "meshopt_car-compact"):
        write(root / "car" / f"{name}.glb", (shared_data / "hostile" / f"{name}.glb").read_bytes())
    layouts.model(root / "car" / "good.off", "+y", "+z")
    write(root / "car" / "many.off", "OFF\n1000000000000 1000000000000 0\n0 0 0\n")
    head = "ply\nformat ascii 1.0\nelement vertex 1000000000000\nproperty float x\nend_header\n"
    write(root / "car" / "many.ply-.ply", head)
    write(root / "car" / "out" / "a.obj", layouts.obj(layouts.posed("+y", "+z"), "m.mtl"))
    write(root / "car" / "out" / "m.mtl", "newmtl m\nmap_Kd ../../../secret.png\n")
    write(tmp_path / "secret.png", png(PICTURE))
    os.mkfifo(root / "car" / "pipe.obj")
    before = {p.relative_to(tmp_path) for p in tmp_path.rglob("*")}
    made = crossdim("shapes", "import", str(root), "--format", "folder", "--jobs", "1", code=1)
    failed = {item.removeprefix("car/"): reason for item, reason in made["failed"].items()}
    says = {
        "draco_coupe": "KHR_draco_mesh_compression",
        "meshopt_car-compact": "which is not supported",
        "many": "declares 1000000000000 vertices",
        "many.ply-": "declares elements that take 1000000000000 lines",
        "out": "leads out of the model's folder",
        "pipe": "file is missing",
    }
    assert set(failed) == set(says)
    for name, part in says.items():
        assert part in failed[name]
    assert made["made"] == 1
    after = {p.relative_to(tmp_path) for p in tmp_path.rglob("*")}
    assert {p.parts[0] for p in after - before} == {"workspace"}
    assert crossdim("status", "--check")["artefacts"][0]["fresh"] == 1


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        ("--format shapenet", 3, "holds no models in this layout"),
        ("--format folder --up +y --front -y", 2, "lie along one line"),
        ("--format manifest --up +y", 2, "a manifest says the axes"),
        ("--format folder --split-file nowhere", 3, "does not exist"),
        ("--format folder --category table", 2, "no category 'table'"),
        ("--format nonsense", 2, "nonsense"),
        ("--format sh3f", 3, "holds no furniture"),
    ],
)
def test_errors_are_two_lines(
    crossdim: Callable[..., Any], tmp_path: Path, words: str, code: int, says: str
) -> None:
    layouts.model(tmp_path / "data" / "chair" / "a.off", "+y", "+z")
    err = crossdim("shapes", "import", "data", *words.split(), code=code)
    assert says in err
    if "nonsense" not in words:
        assert err.count("\n") == 2
    assert not (tmp_path / "workspace").exists()

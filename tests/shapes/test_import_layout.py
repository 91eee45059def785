"""Layouts told by the names of files: `--format auto`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from crossdim_cli.main import run
from stages.errors import InputError, UsageError
from stages.shapes.importing import FORMATS, list_sources
from stages.shapes.importing.layout import find_layout
from tests.shapes import layouts
from tests.shapes.import_models import PICTURE, png, write

HEAD = "id,category,file,up,front\n"


def _manifest(root: Path) -> None:
    layouts.model(root / "chair" / "a.off", "+z", "-y")
    write(root / "models.csv", HEAD + "a,chair,chair/a.off,+z,-y\n")


def _folder(root: Path) -> None:
    layouts.model(root / "chair" / "01.off", "+y", "+z")
    write(root / "results.csv", "name,score\na,1\n")  # no manifest


def _own_folders(root: Path) -> None:
    layouts.model(root / "chair" / "a" / "model.obj", "+y", "+z")


def _flat(root: Path) -> None:
    layouts.model(root / "a.glb", "+y", "+z")
    write(root / "textures" / "wood.png", png(PICTURE))


def _annotated(root: Path) -> None:
    layouts.model(root / "chair01.ply", "+z", "-y")
    write(root / "keypoints3d.json", "{}")


def _library(root: Path) -> None:
    piece = {"name": "Sofa", "category": "Living room", "model": "a.obj"}
    write(
        root / "a.sh3f", layouts.library([piece], {"a.obj": layouts.obj(layouts.posed("+y", "+z"))})
    )


MADE: dict[str, tuple[str, Callable[[Path], None]]] = {
    "manifest": ("manifest", _manifest),
    "folder": ("folder", _folder),
    "own folders": ("folder", _own_folders),
    "flat": ("folder", _flat),
    "annotated": ("annotated", _annotated),
    "library": ("sh3f", _library),
    "shapenet 1": ("shapenet", lambda root: layouts.shapenet_v1(root, "03001627", "a")),
    "shapenet 2": ("shapenet", lambda root: layouts.shapenet_v2(root, "02691156", "a")),
    "modelnet": ("modelnet", layouts.modelnet),
    "pascal3d": ("pascal3d", lambda root: _cad(root / "CAD" / "chair")),
    "release": ("pascal3d", lambda root: _cad(root / "PASCAL3D+" / "CAD" / "chair")),
    "objectnet3d": ("pascal3d", lambda root: _cad(root / "CAD" / "off" / "chair")),
}


def _cad(folder: Path) -> None:
    layouts.model(folder / "01.off", "+z", "-y")


@pytest.mark.parametrize("made", MADE, ids=lambda name: name.replace(" ", "_"))
def test_a_layout_is_found_and_lists_what_is_there(tmp_path: Path, made: str) -> None:
    format, make = MADE[made]
    root = tmp_path / "set"
    make(root)
    assert find_layout(root) == format
    assert list_sources({"format": format, "path": str(root)})
    assert {format for format, _ in MADE.values()} == set(FORMATS)


@pytest.mark.parametrize(
    ("make", "below", "format"),
    [
        (lambda root: layouts.shapenet_v1(root, "03001627", "a"), "03001627", "shapenet"),
        (layouts.modelnet, "chair", "modelnet"),
        (lambda root: _cad(root / "CAD" / "chair"), "CAD", "pascal3d"),
        (_folder, "chair", "folder"),
        (_library, "a.sh3f", "sh3f"),
        (_manifest, "models.csv", "manifest"),
    ],
)
def test_a_part_of_a_data_set(
    tmp_path: Path, make: Callable[[Path], None], below: str, format: str
) -> None:
    make(tmp_path / "set")
    path = tmp_path / "set" / below
    assert find_layout(path) == format
    assert list_sources({"format": format, "path": str(path)})


@pytest.mark.parametrize("head", ["", "\0\0", "id,category", '"id\n', "\xff" * 100])
def test_tables_that_are_no_manifests(tmp_path: Path, head: str) -> None:
    _own_folders(tmp_path)
    write(tmp_path / "a.csv", head.encode("latin-1"))
    (tmp_path / "b.csv").mkdir()
    assert find_layout(tmp_path) == "folder"


def test_files_that_are_no_data_sets(tmp_path: Path) -> None:
    mesh = layouts.model(tmp_path / "a.glb", "+y", "+z")
    with pytest.raises(UsageError, match="is one mesh"):
        find_layout(mesh)
    with pytest.raises(UsageError, match="is no data set"):
        find_layout(Path(write(tmp_path / "a.txt", "x")))
    with pytest.raises(InputError, match="does not exist"):
        find_layout(tmp_path / "nowhere")


def test_the_command_says_what_it_reads_and_keeps_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _flat(tmp_path / "chair")
    line = ["shapes", "import", str(tmp_path / "chair"), "--jobs", "0"]
    assert run([*line, "-w", str(tmp_path / "w")]) == 0
    told = capsys.readouterr().err.splitlines()[0]
    assert told == "read as folder, up +y, front +z; --format and its options say otherwise"
    assert run(["status", "-w", str(tmp_path / "w")]) == 0  # listed again, nothing missing
    assert "shapes/chair      1      1" in capsys.readouterr().out

"""`crossdim viewpoints import` on data sets in their true layouts, in guarded processes."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest

from crossdim_cli.main import run
from stages.errors import InputError, UsageError
from stages.store.workspace import Workspace
from stages.viewpoints.annotations import FLAGS
from stages.viewpoints.importing import list_sources, source_digest
from stages.viewpoints.layouts import FORMATS
from tests.viewpoints import trees


def listed(path: Path, format: str) -> dict[str, dict[str, object]]:
    return list_sources({"path": str(path), "format": format})


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """All four formats, imported through the command line; one file of PASCAL3D+ is damaged."""
    root = tmp_path_factory.mktemp("data")
    pascal = trees.pascal3d(root / "pascal")
    bomb = zlib.compress(bytes(1 << 30), 9)  # a megabyte for a gigabyte
    head = b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM" + struct.pack("<II", 15, len(bomb))
    (pascal / "Annotations" / "car_imagenet" / "n02814533_9.mat").write_bytes(head + bomb)
    trees.objectnet3d(root / "objects")
    trees.finegrained(root / "fine")
    trees.table(root / "tables" / "photos.csv", "cup,test,a.jpg,10,20,,", "cup,,b.jpg,12,20,1,3")
    trees.table(root / "tables" / "broken.csv", "cup,test,a.jpg,north,20,,")
    workspace = root / "workspace"
    for path, format, code in (
        ("pascal", "pascal3d", 1),
        ("objects", "objectnet3d", 0),
        ("fine", "finegrained", 0),
        ("tables", "csv", 1),
    ):
        words = ["viewpoints", "import", str(root / path), "--format", format, "--jobs", "1"]
        words += ["--item-memory-gib", "1", "--workspace", str(workspace), "--quiet"]
        assert run(words) == code, path
    return Workspace(workspace)


def test_pascal3d(imported: Workspace) -> None:
    artefact = imported.artefact("annotations", "pascal")
    assert sorted(artefact.index.items()) == [
        "car/2008_000028",
        "car/n02814533_1",
        "car/n02814533_2",
        "car/n02814533_3",
        "chair/2008_000028",
    ]
    first = artefact.read("car/n02814533_1")
    np.testing.assert_array_equal(first["viewpoint"], np.array([[30.5, 5.25, -2, 7.5]], np.float32))
    assert first["split"].tolist() == [b"train"]
    assert first["flags"].tolist() == [FLAGS["truncated"]]
    assert artefact.read("car/n02814533_2")["split"].tolist() == [b"val"]
    assert len(artefact.read("car/n02814533_3")["viewpoint"]) == 0
    # one picture, a copy of its record in the folder of each class: each object counts once
    assert artefact.read("car/2008_000028")["category"].tolist() == [b"car"]
    assert artefact.read("car/2008_000028")["split"].tolist() == [b"val"]
    assert artefact.read("chair/2008_000028")["category"].tolist() == [b"chair"]
    assert artefact.read("chair/2008_000028")["split"].tolist() == [b""]
    failed = artefact.index.failures()
    assert list(failed) == ["car/n02814533_9"]
    assert "unpacks to more than" in failed["car/n02814533_9"].reason


def test_objectnet3d(imported: Workspace) -> None:
    one = imported.artefact("annotations", "objects").read("n03147509/n03147509_12")
    assert one["category"].tolist() == [b"cup", b"fan"]
    assert one["split"].tolist() == [b"test", b"test"]
    np.testing.assert_array_equal(one["viewpoint"][1], [99, -5, 0, 4])


def test_finegrained(imported: Workspace) -> None:
    artefact = imported.artefact("annotations", "fine")
    assert sorted(artefact.index.items()) == [
        "FGVC_Aircraft/train_anno",
        "StanfordCars/test_anno",
        "StanfordCars/train_anno",
    ]
    assert artefact.read("FGVC_Aircraft/train_anno")["category"].tolist() == [b"airplane"]
    assert artefact.read("StanfordCars/test_anno")["split"].tolist() == [b"test"]


def test_tables(imported: Workspace) -> None:
    artefact = imported.artefact("annotations", "tables")
    assert len(artefact.read("tables/photos")["viewpoint"]) == 2
    assert "line 2: azimuth_deg is no number" in artefact.index.failures()["tables/broken"].reason


def test_status_knows_where_they_came_from(
    imported: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["status", "--workspace", str(imported.root)]) == 0
    text = capsys.readouterr().out
    assert "annotations/objects" in text
    assert "not known any more" not in text


def test_folders_may_be_named_in_several_ways(tmp_path: Path) -> None:
    pascal, fine = trees.pascal3d(tmp_path / "p"), trees.finegrained(tmp_path / "f")
    assert listed(pascal, "pascal3d") == listed(pascal / "Annotations", "pascal3d")
    whole = listed(fine, "finegrained")
    assert whole == listed(fine / "Anno3D", "finegrained")
    cars = listed(fine / "Anno3D" / "StanfordCars", "finegrained")
    assert cars == {k: v for k, v in whole.items() if k.startswith("StanfordCars")}
    revised = listed(fine / "Anno3D" / "StanfordCars" / "test_anno_v2.pkl", "finegrained")
    assert list(revised) == ["StanfordCars/test_anno_v2"]
    assert revised["StanfordCars/test_anno_v2"]["split"] == "test"
    moved = tmp_path / "elsewhere"
    (pascal / "Annotations").rename(moved)
    (pascal / "Annotations").symlink_to(moved)  # data sets often lie on another disk
    assert len(listed(pascal, "pascal3d")) == 5


def test_a_file_that_is_a_link_out_of_its_folder_is_not_opened(tmp_path: Path) -> None:
    root = trees.objectnet3d(tmp_path / "o")
    secret = tmp_path / "secret.mat"
    secret.write_bytes(b"secret")
    (root / "Annotations" / "n00000000_1.mat").symlink_to(secret)
    words = ["viewpoints", "import", str(root), "--format", "objectnet3d", "--jobs", "1", "--quiet"]
    assert run([*words, "--workspace", str(tmp_path / "w")]) == 1
    failed = Workspace(tmp_path / "w").artefact("annotations", "o").index.failures()
    assert "leads out of" in failed["n00000000/n00000000_1"].reason


def test_the_digest_follows_what_is_read(tmp_path: Path) -> None:
    path = trees.table(tmp_path / "a.csv", "car,,,1,2,,")
    (source,) = listed(path, "csv").values()
    first = source_digest(source)
    assert source_digest({**source, "root": str(tmp_path)}) == first
    trees.table(tmp_path / "a.csv", "car,,,1,3,,")
    assert source_digest(source) != first
    path.unlink()
    assert source_digest(source) not in (first, "")


@pytest.mark.parametrize("format", FORMATS)
def test_what_is_not_there(tmp_path: Path, format: str) -> None:
    with pytest.raises(InputError, match="does not exist"):
        listed(tmp_path / "nothing", format)
    with pytest.raises(InputError, match="holds no"):
        listed(tmp_path, format)


def test_names_and_formats_that_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="unknown format"):
        listed(tmp_path, "coco")
    trees.table(tmp_path / "my table.csv")
    with pytest.raises(InputError, match="cannot be used as a name"):
        listed(tmp_path, "csv")
    stray = tmp_path / "stray"
    stray.mkdir()
    (stray / "train_anno.pkl").write_bytes(b"")
    with pytest.raises(UsageError, match="no folder of a known data set"):
        listed(stray / "train_anno.pkl", "finegrained")
    twice = trees.pascal3d(tmp_path / "p") / "Annotations"
    (twice / "car_pascal" / "n02814533_1.mat").write_bytes(b"")
    with pytest.raises(InputError, match="is both"):
        listed(twice, "pascal3d")

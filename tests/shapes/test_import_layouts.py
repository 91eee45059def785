"""The listers of published layouts: what they find, how it is oriented, and what they refuse."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stages.errors import InputError, ItemError, UsageError
from stages.geometry.mesh import Mesh
from stages.shapes.importing import FORMATS, Params, list_sources, process
from stages.shapes.importing.files import source_digest
from stages.shapes.importing.shapenet import category_names
from stages.stage import Item
from stages.store.fingerprint import canonical_json
from tests.shapes import layouts
from tests.shapes.import_models import PICTURE, png, write


def listed(path: Path, format: str, **more: Any) -> dict[str, dict[str, Any]]:
    return list_sources({"format": format, "path": str(path), **more})


def imported(sources: dict[str, dict[str, Any]], item: str) -> tuple[Mesh, list[bytes]]:
    arrays = process(Item(item, {}, sources[item]), Params(), np.random.default_rng(0))
    return Mesh.from_arrays(arrays), arrays["notes"].tolist()


# format -> where a model lies, its id, and the axes of its layout
PLACES = {
    "folder": ("chair/a{}", "chair/a", "+y", "+z"),
    "shapenet": ("03001627/a/model{}", "chair/a", "+y", "+x"),
    "modelnet": ("chair/train/a{}", "chair/a", "+z", "-y"),
    "pascal3d": ("CAD/chair/a{}", "chair/a", "+z", "-y"),
}


@pytest.mark.parametrize("suffix", layouts.WRITERS)
@pytest.mark.parametrize("format", PLACES)
def test_every_format_of_meshes_in_every_layout(tmp_path: Path, format: str, suffix: str) -> None:
    place, item, up, front = PLACES[format]
    layouts.model(tmp_path / place.format(suffix), up, front)
    sources = listed(tmp_path, format)
    assert list(sources) == [item]
    mesh, notes = imported(sources, item)
    assert layouts.is_canonical(mesh)
    assert notes == []


@pytest.mark.parametrize("format", PLACES)
def test_axes_can_be_said(tmp_path: Path, format: str) -> None:
    place, item, *_ = PLACES[format]
    layouts.model(tmp_path / place.format(".off"), "-x", "+z")
    assert not layouts.is_canonical(imported(listed(tmp_path, format), item)[0])
    sources = listed(tmp_path, format, up="-x", front="+z")
    assert layouts.is_canonical(imported(sources, item)[0])
    with pytest.raises(UsageError, match="lie along one line"):
        listed(tmp_path, format, up="+x", front="-x")
    with pytest.raises(UsageError, match="is unknown"):
        listed(tmp_path, format, up="up")


def test_axes_of_a_manifest_are_its_own(tmp_path: Path) -> None:
    write(tmp_path / "models.csv", "id,category,file,up,front\na,b,a.off,+z,-y\n")
    with pytest.raises(UsageError, match="a manifest says the axes"):
        listed(tmp_path, "manifest", up="+y")


def test_shapenet_both_releases(tmp_path: Path) -> None:
    root = tmp_path / "ShapeNetCore"
    layouts.shapenet_v1(root, "03001627", "1a", "u3b-4")
    layouts.shapenet_v2(root, "02691156", "2b", "2c")
    layouts.shapenet_v1(root, "99999999", "3d")
    layouts.shapenet_v1(root, "lamps", "4e")
    write(root / "03001627.csv", "fullId,wnsynset\n")
    (root / "04379243").mkdir()
    names = [
        {"synsetId": "99999999", "name": "Spinning wheel,distaff", "children": []},
        {"synsetId": "03001627", "name": "seat", "children": []},
    ]
    write(root / "taxonomy.json", json.dumps(names))
    write(
        root / "all.csv",
        "id,synsetId,subSynsetId,modelId,split\n0,02691156,02690373,2b,train\n"
        "1,02691156,02690373,2c,val\n2,03001627,03001627,1a,test\n3,03001627,1,elsewhere,test\n",
    )
    sources = listed(root, "shapenet")
    splits = {item: source["split"] for item, source in sources.items()}
    assert splits == {
        "airplane/2b": "train",
        "airplane/2c": "val",
        "chair/1a": "test",
        "chair/u3b-4": "",
        "lamps/4e": "",
        "spinning_wheel/3d": "",
    }
    canonical_json(sources)
    for item in sources:
        mesh, notes = imported(sources, item)
        assert layouts.is_canonical(mesh), item
        assert notes == []
        (texture,) = mesh.textures
        assert np.array_equal(texture[..., :3], PICTURE)
    # one synset by itself is the same models
    one = listed(root / "02691156", "shapenet")
    assert one == {i: s for i, s in sources.items() if i.startswith("airplane/")}


def test_shapenet_textures_of_release_2_stay_in_the_model(tmp_path: Path) -> None:
    layouts.shapenet_v2(tmp_path, "02691156", "a", "b")
    secret = write(tmp_path / "02691156" / "b" / "images" / "secret.png", png(PICTURE))
    material = tmp_path / "02691156" / "a" / "models" / "model_normalized.mtl"
    sources = listed(tmp_path, "shapenet")
    before = source_digest(sources["airplane/a"])
    for name in ("../../b/images/secret.png", "../images/../../b/images/secret.png"):
        write(material, f"newmtl m\nmap_Kd {name}\n")
        with pytest.raises(ItemError, match="leads out of the model's folder"):
            imported(sources, "airplane/a")
        assert source_digest(sources["airplane/a"]) != before
        write(secret, png(PICTURE[::-1]))
    write(material, "newmtl m\nmap_Kd ../images/none.png\n")
    assert imported(sources, "airplane/a")[1] == [b"not found: ../images/none.png"]
    # the picture beside the mesh's folder counts
    write(material, "newmtl m\nmap_Kd ../images/texture0.png\n")
    assert source_digest(sources["airplane/a"]) == before
    write(tmp_path / "02691156" / "a" / "images" / "texture0.png", png(PICTURE[::-1]))
    assert source_digest(sources["airplane/a"]) != before


def test_shapenet_models_without_their_mesh_fail_alone(tmp_path: Path) -> None:
    (tmp_path / "03001627" / "0-empty").mkdir(parents=True)
    layouts.shapenet_v1(tmp_path, "03001627", "a")
    sources = listed(tmp_path, "shapenet")
    assert list(sources) == ["chair/0-empty", "chair/a"]
    with pytest.raises(ItemError, match=r"file is missing: 03001627/0-empty/model\.obj"):
        imported(sources, "chair/0-empty")


def test_synsets_are_all_there() -> None:
    names = category_names()
    assert len(names) == len(set(names.values())) == 57
    assert all(len(synset) == 8 and synset.isdigit() for synset in names)
    # the thirteen of 3D-R2N2, by its names
    thirteen = "airplane bench cabinet car chair display lamp speaker rifle sofa table telephone"
    assert set(thirteen.split()) | {"watercraft"} <= set(names.values())
    assert names["02958343"] == "car"


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("taxonomy.json", '[{"synsetId": 1}]', "is damaged"),
        ("taxonomy.json", "[" * 100_000, "nests too deep"),
        ("all.csv", "id,synsetId\n1,2\n", "is damaged"),
        ("all.csv", "synsetId,modelId,split\n03001627,a,dev\n", "split 'dev' is unknown"),
        ("all.csv", b"\xff\xfe", "is not UTF-8"),
    ],
)
def test_shapenet_damaged_tables(tmp_path: Path, name: str, data: str, says: str) -> None:
    layouts.shapenet_v1(tmp_path, "03001627", "a")
    write(tmp_path / name, data)
    with pytest.raises(InputError, match=says) as error:
        listed(tmp_path, "shapenet")
    assert error.value.hint


def test_modelnet_and_its_splits(tmp_path: Path) -> None:
    layouts.modelnet(tmp_path / "ModelNet40")
    sources = listed(tmp_path / "ModelNet40", "modelnet")
    splits = {item: source["split"] for item, source in sources.items()}
    assert splits == {
        f"{c}/{c}_000{n}": "test" if n == 3 else "train"
        for c in ("chair", "night_stand")
        for n in (1, 2, 3)
    }
    for item in sources:
        assert layouts.is_canonical(imported(sources, item)[0])
    one = listed(tmp_path / "ModelNet40" / "chair", "modelnet")
    assert one == {i: s for i, s in sources.items() if i.startswith("chair/")}


@pytest.mark.parametrize("below", ["PASCAL3D+_release1.1/CAD", "CAD", "CAD/off", "off", "."])
def test_pascal3d_is_found_where_it_lies(tmp_path: Path, below: str) -> None:
    for category in ("aeroplane", "diningtable"):
        for number in ("01", "02"):
            layouts.model(tmp_path / below / category / f"{number}.off", "+z", "-y")
        write(tmp_path / below / f"{category}.mat", "MATLAB 5.0 MAT-file")
    write(tmp_path / "Images" / "aeroplane_pascal" / "2008_000021.jpg", "")
    sources = listed(tmp_path, "pascal3d")
    assert list(sources) == [f"{c}/{n}" for c in ("aeroplane", "diningtable") for n in ("01", "02")]
    for item in sources:
        assert layouts.is_canonical(imported(sources, item)[0])
    assert all(s["family"] == s["split"] == "" for s in sources.values())


def test_folder_of_files_and_of_folders(tmp_path: Path) -> None:
    layouts.model(tmp_path / "chair" / "one.off", "+y", "+z")
    layouts.model(tmp_path / "chair" / "two" / "anything.ply", "+y", "+z")
    write(tmp_path / "chair" / "two" / "readme.txt", "x")
    write(tmp_path / "chair" / "notes.txt", "x")
    write(tmp_path / "chair" / ".DS_Store", "x")
    write(tmp_path / "chair" / "empty" / "photo.jpg", "x")
    write(tmp_path / "loose.off", "x")
    sources = listed(tmp_path, "folder")
    assert {i: s["path"] for i, s in sources.items()} == {
        "chair/one": "chair/one.off",
        "chair/two": "chair/two/anything.ply",
    }
    layouts.model(tmp_path / "chair" / "two" / "second.obj", "+y", "+z")
    with pytest.raises(InputError, match=r"chair/two holds 2 meshes: 'anything\.ply', 'sec"):
        listed(tmp_path, "folder")


def test_folder_of_one_category(tmp_path: Path) -> None:
    layouts.model(tmp_path / "chair" / "one.off", "+y", "+z")
    layouts.model(tmp_path / "chair" / "two.ply", "+y", "+z")
    write(tmp_path / "chair" / "textures" / "wood.png", png(PICTURE))
    sources = listed(tmp_path / "chair", "folder")
    assert sources == listed(tmp_path, "folder")
    assert list(sources) == ["chair/one", "chair/two"]


@pytest.mark.parametrize("format", FORMATS)
def test_nothing_there(tmp_path: Path, format: str) -> None:
    with pytest.raises(InputError, match="does not exist"):
        listed(tmp_path / "nowhere", format)
    write(tmp_path / "some" / "thing" / "else.txt", "x")
    with pytest.raises((InputError, UsageError)) as error:
        listed(tmp_path, format)
    assert error.value.hint
    if format not in ("manifest", "sh3f"):
        with pytest.raises(InputError, match="is no folder"):
            listed(tmp_path / "some" / "thing" / "else.txt", format)


HOSTILE = [
    "a\x1b[31m",
    "new\nline",
    "tab\t",
    "-rf",
    "a b",
    "ü",
    "%2e%2e",
    "\udcff",
    "n" * 101,
    "a\\b",
]


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("format", PLACES)
@pytest.mark.parametrize("part", ["model", "category"])
def test_names_that_are_no_ids_are_refused(
    tmp_path: Path, format: str, name: str, part: str
) -> None:
    place, _, up, front = PLACES[format]
    layouts.model(tmp_path / place.format(".off"), up, front)
    old, new = ("/a", f"/{name}") if part == "model" else ("chair/", f"{name}/")
    if format == "shapenet" and part == "category":
        old, new = "03001627/", f"{name}/"
    layouts.model(tmp_path / place.replace(old, new).format(".off"), up, front)
    with pytest.raises(InputError) as error:
        listed(tmp_path, format)
    assert "cannot be used as a name" in str(error.value)
    assert "\n" not in str(error.value)
    assert str(error.value).isprintable()
    assert "--format manifest" in error.value.hint


@pytest.mark.parametrize("name", [".tmp-x", "..evil", "...", "._a"])
def test_hidden_names_are_passed_over(tmp_path: Path, name: str) -> None:
    layouts.shapenet_v1(tmp_path, "03001627", "a", name)
    layouts.shapenet_v1(tmp_path, name, "a")
    assert list(listed(tmp_path, "shapenet")) == ["chair/a"]


def test_names_that_differ_in_case_only_are_refused(tmp_path: Path) -> None:
    layouts.shapenet_v1(tmp_path, "03001627", "abc", "ABC")
    with pytest.raises(InputError, match=r"chair/abc is both '03001627/ABC/.*' and '03001627/abc"):
        listed(tmp_path, "shapenet")
    layouts.model(tmp_path / "m" / "chair" / "a.off", "+y", "+z")
    layouts.model(tmp_path / "m" / "chair" / "a.ply", "+y", "+z")
    with pytest.raises(InputError, match=r"chair/a is both 'chair/a\.off' and 'chair/a\.ply'"):
        listed(tmp_path / "m", "folder")


def test_links_out_of_the_data_set_are_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "private"
    layouts.shapenet_v1(outside, "03001627", "secret")
    root = tmp_path / "data"
    layouts.shapenet_v1(root, "03001627", "a")
    (root / "03001627" / "b").symlink_to(outside / "03001627" / "secret")
    (root / "02691156").symlink_to(outside / "03001627")
    sources = listed(root, "shapenet")
    assert list(sources) == ["airplane/secret", "chair/a", "chair/b"]
    for item in ("airplane/secret", "chair/b"):
        with pytest.raises(ItemError, match="leads out of the model's folder"):
            imported(sources, item)
    assert layouts.is_canonical(imported(sources, "chair/a")[0])


def test_a_folder_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layouts.model(tmp_path / "chair" / "a.off", "+y", "+z")
    scandir = os.scandir

    def refuse(path: Any) -> Any:
        if str(path).endswith("chair"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(InputError, match="chair cannot be read: Permission denied"):
        listed(tmp_path, "folder")


@pytest.mark.parametrize("format", ["shapenet", "modelnet", "pascal3d"])
def test_listing_looks_at_names_only(
    tmp_path: Path, format: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No file is opened, and the number of stat calls does not grow with the models."""
    place = PLACES[format][0]
    count = 300
    for number in range(count):
        write(tmp_path / place.replace("/a", f"/a{number:04d}").format(".obj"), "")
    calls = {"stat": 0, "lstat": 0, "scandir": 0}

    def counted(name: str) -> Any:
        real = getattr(os, name)

        def call(*given: Any, **more: Any) -> Any:
            calls[name] += 1
            return real(*given, **more)

        return call

    for name in calls:
        monkeypatch.setattr(os, name, counted(name))
    monkeypatch.setattr("builtins.open", lambda *a, **k: pytest.fail(f"opened {a}"))
    assert len(listed(tmp_path, format)) == count
    assert sum(calls.values()) < 60

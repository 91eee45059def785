from __future__ import annotations

import os
import pickle
import random
import subprocess
import sys
from pathlib import Path

import pytest

from stages.engine.sources import with_digests
from stages.errors import CrossdimError, InputError, ItemError, UsageError
from stages.shapes.importing import STAGE, list_sources
from stages.shapes.importing.files import mesh_file, references, source_digest
from stages.shapes.importing.manifest import list_manifest
from stages.shapes.importing.storage import Folder, resolve_inside
from stages.store.fingerprint import canonical_json
from tests.shapes.import_models import BOX_OBJ, PICTURE, png, write

HEADER = "id,category,file,up,front,split,family,source,creator,license\n"


def read_manifest(path: Path) -> dict[str, dict]:
    return list_manifest({"path": str(path)})


def manifest(folder: Path, *rows: str, header: str = HEADER, name: str = "models.csv") -> Path:
    return write(folder / name, header + "".join(row + "\n" for row in rows))


def source(root: Path, path: str, **more: str) -> dict:
    blank = dict.fromkeys(("split", "family", "source", "licence"), "")
    return {"path": path, "root": str(root), "up": "+z", "front": "-y", **blank, **more}


def test_sources_of_a_manifest(tmp_path: Path) -> None:
    manifest(
        tmp_path,
        "a-1,car,car/a 1.glb,+y,-x,train,sedan,Some library,A. Maker,CC0-1.0",
        '"B.2",chair,"chair/b,2/model.obj",+z,-y,,,,,',
    )
    sources = list_sources({"format": "manifest", "path": str(tmp_path)})
    assert sources == {
        "car/a-1": {
            "path": "car/a 1.glb",
            "up": "+y",
            "front": "-x",
            "split": "train",
            "family": "sedan",
            "source": "Some library, A. Maker",
            "licence": "CC0-1.0",
            "root": str(tmp_path.resolve()),
        },
        "chair/B.2": source(tmp_path.resolve(), "chair/b,2/model.obj"),
    }
    canonical_json(sources)  # plain values: they travel to other processes and into digests
    assert pickle.loads(pickle.dumps(sources)) == sources


def test_only_the_required_columns_and_any_file_name(tmp_path: Path) -> None:
    table = manifest(
        tmp_path, "a,b,a.off,+z,-y", header="\ufeffid, category ,file,up,front\n", name="list.csv"
    )
    for path in (tmp_path, table):
        sources = read_manifest(path)
        assert list(sources) == ["b/a"]
    write(tmp_path / "other.csv", "x\n")
    with pytest.raises(UsageError, match=r"2 CSV files and no models\.csv"):
        read_manifest(tmp_path)
    assert list(read_manifest(table)) == ["b/a"]


ROW = "x,car,x.obj,+z,-y,,,,,"


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        (["x,car,x.obj,+z,+z,,,,,"], "line 2: up '+z' and front '+z' lie along one line"),
        ([ROW, "y,car,x.obj,up,-y,,,,,"], "line 3: up axis 'up' is unknown"),
        ([ROW, ROW], "line 3: car/x is also in line 2"),
        ([ROW, "X,car,x.obj,+z,-y,,,,,"], "line 3: car/X is also in line 2"),
        ([ROW, "x,CAR,x.obj,+z,-y,,,,,"], "line 3: CAR/x is also in line 2"),
        (["x/y,car,x.obj,+z,-y,,,,,"], "line 2: id 'x/y' cannot be used as a name"),
        (["..,car,x.obj,+z,-y,,,,,"], "line 2: id '..' cannot be used as a name"),
        ([",car,x.obj,+z,-y,,,,,"], "line 2: id '' cannot be used as a name"),
        (["x,.,x.obj,+z,-y,,,,,"], "line 2: category '.' cannot be used as a name"),
        (["a\x1bb,car,x.obj,+z,-y,,,,,"], "line 2: id 'a\\x1bb' cannot be used as a name"),
        ([f"{'n' * 101},car,x.obj,+z,-y,,,,,"], "cannot be used as a name"),
        (["stühle,car,x.obj,+z,-y,,,,,"], "cannot be used as a name"),
        (["x,car,x.obj,+z,-y,,\x1b]0;hi\x07,,,"], "line 2: it holds a control character"),
        (["x,car,,+z,-y,,,,,"], "line 2: no file"),
        (["x,car,x.obj,+z,-y,dev,,,,"], "line 2: split 'dev' is unknown"),
        ([f"x,car,x.obj,+z,-y,,{'é' * 33},,,"], "line 2: its family is longer than 64 bytes"),
        (["x,car,x.obj,+z,-y"], "line 2: not 10 columns"),
        ([ROW + ",more"], "line 2: not 10 columns"),
        (['x,car,"x.obj,+z,-y,,,,,'], "line 2:"),
        ([], "lists no models"),
        (
            ["x,car,x,+z,-y,train,f,,,", "y,bed,x,+z,-y,test,f,,,", "z,car,x,+z,-y,test,f,,,"],
            "line 4: family 'f' is in test, in line 2 in train",
        ),
    ],
)
def test_bad_rows(tmp_path: Path, rows: list[str], says: str) -> None:
    manifest(tmp_path, *rows)
    with pytest.raises(InputError) as error:
        read_manifest(tmp_path)
    assert says in str(error.value)
    assert "\n" not in str(error.value)
    assert error.value.hint


def test_bad_tables(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        read_manifest(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="no CSV file"):
        read_manifest(tmp_path)
    with pytest.raises(UsageError, match="unknown format 'nonsense'"):
        list_sources({"format": "nonsense", "path": str(tmp_path)})
    for data, says in (
        ("id,file,up\n", "line 1: no column category, front"),
        ("", "no column id, category, file, up, front"),
        (HEADER.encode() + b"\xff\xfe,car,x,+z,-y,,,,,\n", "is not UTF-8"),
        ((HEADER + "x,car," + "y" * 200_000 + ",+z,-y,,,,,\n").encode(), "line 2: field larger"),
    ):
        write(tmp_path / "models.csv", data)
        with pytest.raises(InputError, match=says):
            read_manifest(tmp_path)


def test_hostile_ids_never_become_paths(tmp_path: Path) -> None:
    random.seed(1)
    pieces = ["..", "/", "\\", "a", "A", "\x00", "\n", "é", " ", ".", "nul", "-", "\u202e", "%2e"]
    out = tmp_path / "out"
    for _ in range(500):
        name = "".join(random.choices(pieces, k=random.randint(0, 4)))
        quoted = name.replace('"', '""')
        manifest(tmp_path, f'"{quoted}",car,x.obj,+z,-y,,,,,')
        try:
            sources = read_manifest(tmp_path)
        except CrossdimError:
            continue
        (item,) = sources
        category, _, rest = item.partition("/")
        assert category == "car"
        assert "/" not in rest
        assert (out / item).resolve().parent == out.resolve() / "car"
        assert item.isascii()
        assert item.isprintable()


def test_names_inside_and_outside_of_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    inside = write(folder / "textures" / "oak.png", "x")
    outside = write(tmp_path / "secret.png", "x")
    write(folder / "oak two.png", "x")
    (folder / "out.png").symlink_to(outside)
    (folder / "in.png").symlink_to(inside)
    (folder / "loop.png").symlink_to("loop.png")
    (folder / "up").symlink_to(tmp_path)
    os.mkfifo(folder / "pipe.png")
    for name in (
        "textures/oak.png",
        r"textures\oak.png",
        "./textures/../textures/oak.png",
        "in.png",
    ):
        assert resolve_inside(folder, name) == inside.resolve()
    assert resolve_inside(folder, r"C:\Users\me\oak two.png") == (folder / "oak two.png").resolve()
    for name in (
        "none.png",
        r"C:\none.png",
        "",
        "loop.png",
        "pipe.png",
        "textures",
        "a\0b",
        "\ud800.png",
        "n" * 5000,
    ):
        assert resolve_inside(folder, name) is None
    escapes = (
        "../secret.png",
        r"..\secret.png",
        str(outside),
        "out.png",
        "up/secret.png",
        "//h/s/x",
    )
    for name in (*escapes, "textures/../../secret.png", "none/../../secret.png"):
        with pytest.raises(ItemError, match="leads out of the model's folder"):
            resolve_inside(folder, name)


def test_the_mesh_itself_must_lie_in_the_root(tmp_path: Path) -> None:
    root = tmp_path / "data"
    write(root / "a.obj", BOX_OBJ)
    write(tmp_path / "b.obj", BOX_OBJ)
    (root / "link.obj").symlink_to(tmp_path / "b.obj")
    assert mesh_file(source(root, "a.obj")) == (root / "a.obj").resolve()
    for name in ("../b.obj", str(tmp_path / "b.obj"), "link.obj"):
        with pytest.raises(ItemError, match="leads out"):
            mesh_file(source(root, name))
        assert len(source_digest(source(root, name))) == 32  # an item that fails, not a crash
    with pytest.raises(ItemError, match=r"file is missing: c\.obj"):
        mesh_file(source(root, "c.obj"))


def textured(root: Path) -> None:
    write(root / "m" / "model.obj", "mtllib a.mtl b.mtl\n" + BOX_OBJ)
    write(root / "m" / "a.mtl", "newmtl x\nmap_Kd -s 1 1 1 oak two.png\n")
    write(root / "m" / "b.mtl", "newmtl y\nmap_Bump -bm 0.5 bump.png\nMap_Kd\tc.png\n")
    for name in ("oak two.png", "bump.png", "c.png"):
        write(root / "m" / name, png(PICTURE))


def test_references_of_an_obj_file(tmp_path: Path) -> None:
    textured(tmp_path)
    path = tmp_path / "m" / "model.obj"
    assert references(Folder(path)) == ["a.mtl", "oak two.png", "b.mtl", "bump.png", "c.png"]
    write(tmp_path / "m" / "my materials.mtl", "newmtl x\n")
    write(path, BOX_OBJ + "  mtllib   my materials.mtl  \r\n")
    assert references(Folder(path)) == ["my materials.mtl"]


def test_references_are_found_wherever_a_large_file_has_them(tmp_path: Path) -> None:
    # the line lies across, just before and just after the border of two pieces of 1 MiB
    line = "mtllib the one with a long name.mtl\n"
    write(tmp_path / "the one with a long name.mtl", "")
    for shift in (*range(-len(line) - 2, 3, 5), -1, 0):
        filler = "v 1 2 3\n" * ((1 << 17) - 8)
        padding = "#" * ((1 << 20) - len(filler) + shift - 1) + "\n"
        path = write(tmp_path / "m.obj", filler + padding + line + BOX_OBJ)
        assert references(Folder(path)) == ["the one with a long name.mtl"]


def test_references_of_gltf_and_ply(tmp_path: Path) -> None:
    text = (
        r'{"images":[{"uri":"a%20b.png"},{"uri" : "c\u0064\/.png"}],"buffers":[{"uri":"data:,x"}]}'
    )
    assert references(Folder(write(tmp_path / "a.gltf", text))) == ["a b.png", "cd/.png"]
    binary = b"glTF" + bytes(8) + text.encode() + bytes(100)
    assert references(Folder(write(tmp_path / "a.glb", binary))) == ["a b.png", "cd/.png"]
    ply = "ply\nformat ascii 1.0\ncomment TextureFile my picture.png\nend_header\n"
    assert references(Folder(write(tmp_path / "a.ply", ply))) == ["my picture.png"]
    assert references(Folder(write(tmp_path / "a.stl", "mtllib x.mtl"))) == []


def test_digest_follows_everything_that_matters(tmp_path: Path) -> None:
    textured(tmp_path)
    one = source(tmp_path, "m/model.obj")
    first = source_digest(one)
    assert first == source_digest(one)
    assert len(first) == 32
    seen = {first}

    def changed(**more: str) -> None:
        digest = source_digest({**one, **more})
        assert digest not in seen
        seen.add(digest)

    for name, data in (
        ("model.obj", "mtllib a.mtl b.mtl\n" + BOX_OBJ + "\n"),
        ("a.mtl", "newmtl x\nmap_Kd oak two.png\n"),
        ("c.png", png(PICTURE[::-1])),
        ("bump.png", ""),
    ):
        write(tmp_path / "m" / name, data)
        changed()
    (tmp_path / "m" / "c.png").unlink()
    changed()
    changed(up="+y")
    changed(split="test")
    changed(family="f")
    (tmp_path / "m" / "model.obj").unlink()
    changed()
    # where the data set lies does not count
    os.rename(tmp_path / "m", tmp_path / "n")
    textured(tmp_path / "moved")
    assert source_digest({**one, "root": str(tmp_path / "moved")}) == first
    digests = with_digests(STAGE, {"car/a": {**one, "root": str(tmp_path / "moved")}})
    assert digests["car/a"]["digest"] == first


def test_digest_opens_nothing_outside_and_ends(tmp_path: Path) -> None:
    root = tmp_path / "data"
    secret = write(tmp_path / "secret.png", png(PICTURE))
    write(root / "m.obj", "mtllib m.mtl\n" + BOX_OBJ)
    write(root / "m.mtl", "newmtl x\nmap_Kd ../secret.png\n")
    before = source_digest(source(root, "m.obj"))
    write(secret, png(PICTURE[::-1]))
    assert source_digest(source(root, "m.obj")) == before
    write(root / "half.gltf", r'{"images":[{"uri":"\ud800.png"}]}')
    assert len(source_digest(source(root, "half.gltf"))) == 32
    os.mkfifo(root / "pipe.mtl")
    write(root / "m.obj", "mtllib pipe.mtl\nmtllib /dev/zero\n" + BOX_OBJ)
    assert source_digest(source(root, "m.obj")) != before
    os.mkfifo(root / "pipe.obj")
    assert len(source_digest(source(root, "pipe.obj"))) == 32
    write(root / "many.obj", "".join(f"mtllib {n}.mtl\n" for n in range(2002)))
    assert len(source_digest(source(root, "many.obj"))) == 32
    with pytest.raises(ItemError, match="more than 2000 files"):
        references(Folder(root / "many.obj"))


def test_listing_sources_imports_nothing_heavy(tmp_path: Path) -> None:
    manifest(tmp_path, "x,car,x.obj,+z,-y,,,,,")
    code = (
        "import sys; from stages.shapes.importing import STAGE, list_sources\n"
        f"sources = list_sources({{'format': 'manifest', 'path': {str(tmp_path)!r}}})\n"
        "assert all(STAGE.digest(one) for one in sources.values())\n"
        "print([m for m in ('trimesh', 'PIL', 'scipy', 'torch', 'numba') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"

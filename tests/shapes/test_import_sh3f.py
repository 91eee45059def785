"""Furniture libraries: their catalogue, how pieces are turned, and archives that are hostile."""

from __future__ import annotations

import os
import stat
import struct
import time
import tracemalloc
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stages.errors import InputError, ItemError
from stages.geometry.mesh import Mesh
from stages.shapes.importing import Params, archive, list_sources, process
from stages.shapes.importing.files import source_digest
from stages.shapes.importing.sh3f import CATALOGUE, parse_properties, slug
from stages.stage import Item
from tests.shapes import layouts
from tests.shapes.import_models import PICTURE, png, unit, write
from tests.shapes.layouts import library, zipped

OBJ = layouts.obj(layouts.posed("+y", "+z"), "m.mtl")
MTL = "newmtl m\nmap_Kd oak.png\n"
PARTS = {"chair.obj": OBJ, "m.mtl": MTL, "oak.png": png(PICTURE)}
CHAIR = {"id": "Maker#Chair", "name": "Chair", "category": "Living room", "model": "/a/chair.obj"}
ITEM = "living-room/maker-chair"


def inside(folder: str) -> dict[str, bytes | str]:
    return {f"{folder}{name}": data for name, data in PARTS.items()}


def listed(path: Path) -> dict[str, dict[str, Any]]:
    return list_sources({"format": "sh3f", "path": str(path)})


def imported(sources: dict[str, dict[str, Any]], item: str = ITEM) -> Mesh:
    arrays = process(Item(item, {}, sources[item]), Params(), np.random.default_rng(0))
    assert len(arrays["notes"]) == 0
    return Mesh.from_arrays(arrays)


def test_a_catalogue_in_full(tmp_path: Path) -> None:
    pieces = [
        {**CHAIR, "creator": "A. Maker", "license": "CC-BY 3.0"},
        {"name": "Caf\\u00e9 table", "category": "K\xfcche", "model": "b/chair.obj"},
        {"name": "Caf\\u00e9 table", "category": "K\xfcche", "model": "b/chair.obj"},
        {"name": "\\u6905", "category": "", "model": "c.zip"},
        {"name": "No model", "category": "Kitchen"},
    ]
    members = {
        **inside("a/"),
        **inside("b/"),
        "c.zip": zipped(inside("")),
        "LICENSE.TXT": "\nCC0\n",
    }
    french = {"PluginFurnitureCatalog_fr.properties": "name#1=Chaise\n"}
    data = library(pieces, {**members, **french}, name="Some library", version="1.8")
    write(tmp_path / "some.sh3f", data)
    sources = listed(tmp_path / "some.sh3f")
    kitchen = [item for item in sources if item.startswith("kuche/cafe-table")]
    assert len(kitchen) == 2
    assert set(sources) == {ITEM, *kitchen, "furniture/piece-4", "kitchen/no-model"}
    assert sources[ITEM]["source"] == "Some library 1.8, A. Maker"
    assert sources[ITEM]["licence"] == "CC-BY 3.0"
    assert sources[kitchen[0]]["licence"] == "CC0"
    for item in (ITEM, *kitchen, "furniture/piece-4"):
        mesh = imported(sources, item)
        assert layouts.is_canonical(mesh)
        assert np.array_equal(mesh.textures[0][..., :3], PICTURE)
    with pytest.raises(ItemError, match="its model is not named"):
        imported(sources, "kitchen/no-model")
    # a folder of libraries; ids that are there twice are told apart
    write(tmp_path / "two.sh3f", library([CHAIR], inside("a/")))
    write(tmp_path / "notes.txt", "x")
    both = listed(tmp_path)
    assert len(both) == len(sources) + 1
    assert set(sources) < set(both)
    assert set(listed(tmp_path)) == set(both)


def test_properties_of_java() -> None:
    text = "# a=1\n! b=2\n  c : 3\nd 4 = 5\ne\\ f\\=g=h\\tj\\\\\nk=l\\\n   m\n"
    text += "\nk\\u0041=\\u00e9x\\q\nn\nn=\r\no=p "
    assert parse_properties(text) == {
        "c": "3",
        "d": "4 = 5",
        "e f=g": "h\tj\\",
        "k": "lm",
        "kA": "éxq",
        "n": "",
        "o": "p ",
    }
    assert parse_properties("id#1=a#b\nx\\") == {"id#1": "a#b"}
    assert [slug(t) for t in ("Living room", "Été  #2", "--", "\u6905")] == [
        "living-room",
        "ete-2",
        "",
        "",
    ]


ROTATIONS = {
    "": np.eye(3),
    "0 0 1 0 1 0 -1 0 0": [[0, 0, 1], [0, 1, 0], [-1, 0, 0]],
    "1 0 0 0 0 -1 0 1 0": [[1, 0, 0], [0, 0, -1], [0, 1, 0]],
    "-1 0 0 0 1 0 0 0 1": np.diag([-1, 1, 1]),  # a mirror
}


@pytest.mark.parametrize("rotation", ROTATIONS)
@pytest.mark.parametrize("size", ["", "50 80 120"])
def test_rotation_and_size(tmp_path: Path, rotation: str, size: str) -> None:
    width, height, depth = size.split() or ("", "", "")
    piece = {**CHAIR, "modelRotation": rotation, "width": width, "depth": depth, "height": height}
    write(tmp_path / "l.sh3f", library([piece], inside("a/")))
    mesh = imported(listed(tmp_path))
    corners = layouts.posed("+y", "+z") @ np.array(ROTATIONS[rotation], float).T
    if size:
        corners *= np.array([50, 80, 120]) / np.ptp(corners, axis=0)
    wanted = unit(corners[:, [0, 2, 1]] * (1, -1, 1))  # left +x, front +z to -y, up +y to +z
    found = np.unique(np.round(mesh.vertices, 4) + 0.0, axis=0)
    assert found == pytest.approx(np.unique(np.round(wanted, 4) + 0.0, axis=0), abs=2e-4)
    # also of a mirrored piece the outside is outside
    a, b, c = np.moveaxis(mesh.triangles.astype(float), 1, 0)
    assert np.einsum("ij,ij->i", a, np.cross(b, c)).sum() > 0
    turned = np.einsum("ij,ij->i", np.cross(b - a, c - a), mesh.normals[mesh.faces[:, 0]])
    assert (turned > 0).all()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("modelRotation", "1 0 0"),
        ("modelRotation", "1 0 0 0 nan 0 0 0 1"),
        ("modelRotation", "a b c d e f g h i"),
        ("width", "-3"),
        ("width", "1e999"),
        ("width", "12,5"),
    ],
)
def test_bad_numbers_fail_the_piece(tmp_path: Path, key: str, value: str) -> None:
    piece = {**CHAIR, "width": "1", "depth": "1", "height": "1", key: value}
    write(tmp_path / "l.sh3f", library([piece], inside("a/")))
    with pytest.raises(ItemError, match=r"its catalogue gives the (rotation|size)"):
        imported(listed(tmp_path))


def test_flat_pieces_and_singular_rotations(tmp_path: Path) -> None:
    square = "v 0 0 0\nv 1 0 0\nv 1 0 1\nv 0 0 1\nf 4 3 2 1\n"
    rug = {**CHAIR, "width": "200", "depth": "100", "height": "1", "model": "rug.obj"}
    flat = {**rug, "id": "flat", "modelRotation": "0 0 0 0 1 0 0 0 0"}
    write(tmp_path / "l.sh3f", library([rug, flat], {"rug.obj": square}))
    sources = listed(tmp_path)
    assert np.ptp(imported(sources).vertices, axis=0) == pytest.approx(
        np.array([2, 1, 0]) / np.sqrt(5), abs=1e-6
    )
    with pytest.raises(ItemError, match="no extent"):
        imported(sources, "living-room/flat")


def test_digest_follows_the_archive(tmp_path: Path) -> None:
    pieces = [CHAIR, {**CHAIR, "id": "two", "model": "two.zip"}]
    other = {"two.zip": zipped(inside(""))}
    path = write(tmp_path / "l.sh3f", library(pieces, {**inside("a/"), **other}))

    def digests() -> list[str]:
        sources = listed(path)
        return [source_digest(sources[i]) for i in (ITEM, "living-room/two")]

    before = digests()
    assert before == digests()
    changed = {**inside("a/"), "a/oak.png": png(PICTURE[::-1]), **other}
    write(path, library(pieces, changed))
    after = digests()
    assert after[0] != before[0]
    assert after[1] == before[1]
    write(path, library(pieces, {**changed, "two.zip": zipped({"chair.obj": OBJ})}))
    last = digests()
    assert last[0] == after[0]
    assert last[1] != before[1]
    turned = [{**CHAIR, "modelRotation": "0 0 1 0 1 0 -1 0 0"}, pieces[1]]
    write(path, library(turned, {**changed, **other}))
    assert digests()[0] != after[0]


def test_digest_inflates_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "l.sh3f", library([CHAIR], inside("a/")))
    sources = listed(tmp_path)
    monkeypatch.setattr(archive.Archive, "read", lambda *a: pytest.fail("inflated"))
    assert len(source_digest(sources[ITEM])) == 32


# -- hostile archives ------------------------------------------------------------------------


def patched(data: bytes, name: str, offset: int, value: bytes) -> bytes:
    """An archive whose directory says something else of a member, `offset` bytes into its entry."""
    result = bytearray(data)
    start = -1
    while (start := data.find(b"PK\1\2", start + 1)) >= 0:
        length = struct.unpack_from("<H", data, start + 28)[0]
        if data[start + 46 : start + 46 + length] == name.encode():
            result[start + offset : start + offset + len(value)] = value
            return bytes(result)
    raise AssertionError(name)


def bomb(size: int) -> bytes:
    """An archive with one member of `size` zeros."""
    buffer = BytesIO()
    with (
        zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file,
        file.open("chair.obj", "w") as member,
    ):
        for _ in range(size >> 20):
            member.write(bytes(1 << 20))
    return buffer.getvalue()


PLAIN = library([CHAIR], inside("a/"))
ENTRY = "a/chair.obj"
LINK = bytearray(4)
LINK[2:] = struct.pack("<H", stat.S_IFLNK | 0o777)
MEMBERS = {
    "encrypted": (patched(PLAIN, ENTRY, 8, b"\1"), "is encrypted"),
    "symlink": (patched(PLAIN, ENTRY, 38, bytes(LINK)), "is a symbolic link"),
    "lzma": (patched(PLAIN, ENTRY, 10, b"\x0e"), "packed in a way"),
    "declares more": (patched(PLAIN, ENTRY, 24, struct.pack("<I", 9999)), "and holds"),
    "declares less": (patched(PLAIN, ENTRY, 24, struct.pack("<I", 7)), "is damaged: Bad CRC-32"),
    "declares a bomb": (
        patched(PLAIN, ENTRY, 24, struct.pack("<I", 0xFFFFFFF0)),
        "declares 4294967280 bytes",
    ),
    "wrong sum": (patched(PLAIN, ENTRY, 16, b"1234"), "is damaged: Bad CRC-32"),
    "wrong place": (patched(PLAIN, ENTRY, 42, struct.pack("<I", 3)), "is damaged"),
    "place outside": (patched(PLAIN, ENTRY, 42, struct.pack("<I", 1 << 31)), "is damaged"),
    "gone": (library([{**CHAIR, "model": "b/chair.obj"}], inside("a/")), "is not in the archive"),
    "parent": (
        library([{**CHAIR, "model": "../../etc/passwd"}], {"../../etc/passwd": OBJ}),
        "leads out of the archive",
    ),
    "absolute": (
        library([{**CHAIR, "model": "//etc/passwd.obj"}], {"/etc/passwd.obj": OBJ}),
        "is not in the archive",
    ),
    "texture outside": (
        library([CHAIR], {**inside("a/"), "a/m.mtl": "newmtl m\nmap_Kd ../../oak.png\n"}),
        "leads out of the archive",
    ),
    "absolute texture": (
        library([CHAIR], {**inside("a/"), "a/m.mtl": "newmtl m\nmap_Kd /etc/passwd\n"}),
        "leads out of the archive",
    ),
    "other format": (
        library([{**CHAIR, "model": "a.3ds"}], {"a.3ds": b"MM"}),
        ".3ds files are not read",
    ),
    "zip of others": (
        library([{**CHAIR, "model": "a.zip"}], {"a.zip": zipped({"a.dae": "x", "b.kmz": "x"})}),
        "holds no mesh that is read",
    ),
    "no zip": (library([{**CHAIR, "model": "a.zip"}], {"a.zip": b"hello"}), "is no zip archive"),
    "nested": (
        library([{**CHAIR, "model": "a.zip"}], {"a.zip": zipped({"b.zip": zipped(inside(""))})}),
        "holds no mesh that is read",
    ),
    "bomb inside": (
        library([{**CHAIR, "model": "a.zip"}], {"a.zip": bomb(300 << 20)}),
        "declares 314572800 bytes, at most",
    ),
    "no mesh": (library([CHAIR], {"a/chair.obj": "hello"}), "it is no OBJ file"),
}


@pytest.mark.parametrize("name", MEMBERS)
def test_hostile_members_fail_their_piece(tmp_path: Path, name: str) -> None:
    data, reason = MEMBERS[name]
    root = tmp_path / "data"
    write(root / "l.sh3f", data)
    sources = listed(root)
    assert list(sources) == [ITEM]
    assert len(source_digest(sources[ITEM])) == 32
    with pytest.raises(ItemError) as error:
        imported(sources)
    assert reason in str(error.value)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 300
    assert [p.name for p in tmp_path.rglob("*")] == ["data", "l.sh3f"]  # nothing was unpacked


def zip64() -> bytes:
    """A small archive that says it has the directory of a large one."""
    data = bytearray(PLAIN)
    end = data.rfind(b"PK\5\6")
    record = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, 1, 1, 1 << 40, 0)
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, end, 1)
    return bytes(data[:end] + record + locator + data[end:])


def directory_of(size: int) -> bytes:
    data = bytearray(PLAIN)
    end = data.rfind(b"PK\5\6")
    struct.pack_into("<I", data, end + 12, size)
    return bytes(data)


LIBRARIES = {
    "text": (b"hello", "is no zip archive"),
    "empty": (b"", "is no zip archive"),
    "cut": (PLAIN[: len(PLAIN) // 2], "is no zip archive"),
    "no catalogue": (zipped(inside("")), f"has no {CATALOGUE}"),
    "nothing listed": (library([], inside("")), "holds no furniture"),
    "zip64": (zip64(), "more than 4 GiB"),
    "huge directory": (directory_of(1 << 31), "declares a directory of 2147483648 bytes"),
    "wrong directory": (directory_of(1 << 20), "is damaged"),
    "encrypted catalogue": (patched(PLAIN, CATALOGUE, 8, b"\1"), "is encrypted"),
    "damaged catalogue": (patched(PLAIN, CATALOGUE, 16, b"1234"), "is damaged"),
    "bomb": (zipped({CATALOGUE: bytes(40 << 20)}), "declares 41943040 bytes, at most"),
}


@pytest.mark.parametrize("name", LIBRARIES)
def test_hostile_libraries_are_refused(tmp_path: Path, name: str) -> None:
    data, reason = LIBRARIES[name]
    path = write(tmp_path / "l.sh3f", data)
    tracemalloc.start()
    start = time.process_time()
    try:
        with pytest.raises(InputError) as error:
            listed(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert reason in str(error.value)
    assert error.value.hint
    assert peak < 64 << 20
    assert time.process_time() - start < 5


def test_too_many_members(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MOST_ENTRIES", 20)
    members = {f"{n}.obj": "" for n in range(21)}
    path = write(tmp_path / "l.sh3f", library([CHAIR], members))
    with pytest.raises(InputError, match="more than 20 members"):
        listed(path)


def test_many_pieces_in_one_folder_take_linear_time(tmp_path: Path) -> None:
    # of the library Contributions all models lie in one folder
    count = 3000
    pieces = [{**CHAIR, "id": f"c{n}", "model": f"a/{n}.obj"} for n in range(count)]
    write(tmp_path / "l.sh3f", library(pieces, {f"a/{n}.obj": f"# {n}" for n in range(count)}))
    start = time.process_time()
    sources = listed(tmp_path)
    assert len({source_digest(source) for source in sources.values()}) == count
    assert time.process_time() - start < 10  # about 1 s


def test_flipped_bytes_are_refused_or_read_never_worse(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(300):
        data = np.frombuffer(PLAIN, np.uint8).copy()
        # half of them in the directory
        low = len(data) - 400 if rng.random() < 0.5 else 0
        places = rng.integers(low, len(data), 2)
        data[places] ^= rng.integers(1, 256, 2).astype(np.uint8)
        path = write(tmp_path / "l.sh3f", data[: rng.integers(1, 2 * len(data))].tobytes())
        try:
            sources = listed(path)
            for item, source in sources.items():
                assert len(source_digest(source)) == 32
                arrays = process(Item(item, {}, source), Params(), rng)
                assert np.isfinite(arrays["vertices"]).all()
        except (InputError, ItemError):
            refused += 1
    assert refused > 100
    assert os.listdir(tmp_path) == ["l.sh3f"]

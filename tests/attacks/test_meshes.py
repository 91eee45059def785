"""S4, S5: meshes of others are refused with a reason, or read as what they are."""

from __future__ import annotations

import logging
import time
from pathlib import Path

import numpy as np
import pytest
import trimesh  # noqa: F401  (says at import which optional packages it lacks)

from stages.errors import ItemError
from stages.shapes.importing import Params, process
from stages.stage import Item
from tests.attacks.make_meshes import (
    HOSTILE,
    OBJ,
    PLY_BODY,
    PLY_TEXTURED,
    SECRET,
    glb,
    gltf_textured,
    huge_png,
    ply,
    stl,
)
from tests.shapes.import_models import (
    BOX_OBJ,
    PICTURE,
    Glb,
    png,
    read,
    read_mesh,
    write,
)


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_meshes_fail_with_a_reason(
    tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    data, reason = HOSTILE[name]
    path = write(tmp_path / name, data)
    start = time.process_time()
    with caplog.at_level(logging.DEBUG), pytest.raises(ItemError) as error:
        read_mesh(path, 512)
    assert reason in str(error.value)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 400
    assert [r for r in caplog.records if r.name.startswith("trimesh")] == []
    # the first one imports trimesh; all others take milliseconds
    assert time.process_time() - start < 5


@pytest.mark.parametrize("kind", ["mtl", "mtllib", "ply", "glb", "bump"])
@pytest.mark.parametrize("way", ["parent", "absolute", "symlink", "folder link", "backslash"])
def test_textures_outside_of_the_folder_are_never_read(tmp_path: Path, kind: str, way: str) -> None:
    folder = tmp_path / "model"
    secret = write(tmp_path / "private" / "secret.png", png(SECRET))
    write(tmp_path / "private" / "secret.mtl", "newmtl x\nmap_Kd secret.png\n")
    folder.mkdir()
    (folder / "out").symlink_to(secret.parent)
    name = "secret.mtl" if kind == "mtllib" else "secret.png"
    (folder / name).symlink_to(secret.parent / name)
    where = {
        "parent": f"../private/{name}",
        "absolute": str(secret.parent / name),
        "symlink": name,
        "folder link": f"out/{name}",
        "backslash": f"..\\private\\{name}",
    }[way]
    if kind in ("mtl", "bump"):
        write(folder / "m.mtl", f"newmtl x\n{'map_Kd' if kind == 'mtl' else 'bump'} {where}\n")
        path = write(folder / "a.obj", OBJ)
    elif kind == "mtllib":
        path = write(folder / "a.obj", OBJ.replace("m.mtl", where))
    elif kind == "ply":
        path = write(folder / "a.ply", PLY_TEXTURED.format(where))
    else:
        path = write(folder / "a.glb", gltf_textured(where).encode("latin-1"))
    source = dict.fromkeys(("split", "family", "source", "licence"), "")
    source |= {"path": path.name, "root": str(folder), "up": "+y", "front": "+z"}
    with pytest.raises(ItemError, match="leads out of the model's folder"):
        process(Item("a/b", {}, source), Params(), np.random.default_rng(0))
    # and the same model with that picture in its own folder is read: the test would notice
    for link in (folder / "out", folder / name):
        link.unlink()
    inside = write(folder / "secret.png", png(SECRET))
    if kind == "mtl":
        write(folder / "m.mtl", f"newmtl x\nmap_Kd {inside.name}\n")
        assert np.array_equal(read(path).textures[0][..., :3], SECRET)


def test_a_damaged_texture_fails_the_mesh(tmp_path: Path) -> None:
    whole = png(np.kron(PICTURE, np.ones((40, 40, 1), np.uint8)), "JPEG")
    for data, reason in (
        (b"", r"texture t\.jpg is empty"),
        (b"GIF89a nonsense", r"texture t\.jpg is damaged"),
        (whole[: len(whole) // 2], r"texture t\.jpg is damaged"),
        (huge_png(9000, 9000), r"texture t\.jpg has 9000x9000 pixels"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", r"none of PNG, JPEG"),
    ):
        write(tmp_path / "t.jpg", data)
        write(tmp_path / "m.mtl", "newmtl x\nmap_Kd t.jpg\n")
        with pytest.raises(ItemError, match=reason):
            read_mesh(write(tmp_path / "a.obj", OBJ), 512)


def test_many_materials_and_objects_take_linear_time(tmp_path: Path) -> None:
    count = 20_000
    body = "".join(
        f"o part{n}\nv {n} 0 0\nv {n} 1 0\nv {n} 0 1\nusemtl m{n}\nf -3 -2 -1\n"
        for n in range(count)
    )
    write(tmp_path / "m.mtl", "".join(f"newmtl m{n}\nKd {n / count} 0 0\n" for n in range(count)))
    start = time.process_time()
    mesh = read(write(tmp_path / "a.obj", "mtllib m.mtl\n" + body))
    assert len(mesh.faces) == len(mesh.material_rgba) == count
    assert time.process_time() - start < 5  # about 1 s; trimesh takes more than 40


def test_instances_cannot_multiply_without_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from stages.shapes.importing import scenes

    monkeypatch.setattr(scenes, "MAX_FACES", 100)
    nodes = [{"mesh": 0, "translation": [n, 0, 0]} for n in range(9)]
    file = Glb(nodes=nodes, scenes=[{"nodes": list(range(9))}])
    file.header["meshes"] = [{"primitives": [file.box()]}]
    with pytest.raises(ItemError, match="more than 100 faces"):
        read_mesh(write(tmp_path / "a.glb", file.glb()), 512)


def test_damaged_bytes_are_refused_or_read_never_worse(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    obj = "mtllib m.mtl\n" + BOX_OBJ.replace("f ", "usemtl x\nf ", 1)
    write(tmp_path / "m.mtl", "newmtl x\nKd 1 0 0\n")
    originals = {
        "a.obj": obj.encode(),
        "a.ply": ply(3, 1, PLY_BODY),
        "a.stl": stl(2, 2),
        "a.glb": glb(),
    }
    refused = 0
    for name, data in originals.items():
        for _ in range(60):
            flipped = np.frombuffer(data, np.uint8).copy()
            places = rng.integers(0, len(flipped), 3)
            flipped[places] ^= rng.integers(1, 256, 3).astype(np.uint8)
            write(tmp_path / name, flipped[: rng.integers(1, 2 * len(flipped))].tobytes())
            try:
                mesh, _ = read_mesh(tmp_path / name, 512)
            except ItemError:
                refused += 1
                continue
            assert np.isfinite(mesh.vertices).all()
            assert np.isfinite(mesh.normals).all()
            assert np.isfinite(mesh.uv).all()
            assert mesh.faces.max() < len(mesh.vertices)
            assert mesh.faces.min() >= 0
    assert refused > 60

from __future__ import annotations

import base64
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stages.geometry.mesh import Mesh
from stages.shapes.importing import STAGE, Params, process
from stages.shapes.importing.parts import MAX_COLOURS, fan, from_colours
from stages.stage import Item
from stages.store.shard import encode_item
from tests.shapes.import_models import (
    BOX,
    BOX_OBJ,
    PICTURE,
    QUADS,
    TRIANGLES,
    Glb,
    corner_set,
    png,
    read,
    read_mesh,
    unit,
    volume,
    write,
)

BOX_SURFACE = corner_set(unit(BOX)[TRIANGLES])
SQUARE = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], float)


def colour_at(mesh: Mesh, point: tuple[float, float]) -> tuple[int, ...]:
    """The texel at a point (x, y) of a flat mesh, by the convention in the docstring of Mesh."""
    for face, corners in enumerate(mesh.triangles.astype(float)):
        weights = np.linalg.solve(np.vstack([corners[:, :2].T, np.ones(3)]), [*point, 1])
        if weights.min() > -1e-9:
            texture = mesh.textures[mesh.material_texture[mesh.face_material[face]]]
            u, v = weights @ mesh.uv[mesh.faces[face]]
            height, width = texture.shape[:2]
            return tuple(texture[int((1 - v % 1) * height), int(u % 1 * width), :3].tolist())
    raise AssertionError(f"no face at {point}")


def rgba_at(mesh: Mesh, z: float) -> list[float]:
    """The colour of the face whose middle is at this height."""
    middle = mesh.triangles.mean(1)[:, 2]
    return mesh.material_rgba[mesh.face_material[np.abs(middle - z).argmin()]].tolist()


def off(header: str = "OFF\n8 6 0\n") -> str:
    rows = [f"{x} {y} {z}" for x, y, z in BOX] + [f"4 {a} {b} {c} {d}" for a, b, c, d in QUADS]
    return header + "\n".join(rows) + "\n"


def ply(colours: str = "") -> bytes:
    head = (
        f"ply\nformat ascii 1.0\nelement vertex 8\nproperty float x\nproperty float y\n"
        f"property float z\n{colours}element face 12\nproperty list uchar int vertex_indices\n"
        "end_header\n"
    )
    paint = " 255 0 0" if colours else ""
    rows = [f"{x} {y} {z}{paint}" for x, y, z in BOX] + [f"3 {a} {b} {c}" for a, b, c in TRIANGLES]
    return (head + "\n".join(rows) + "\n").encode()


def ply_binary(order: str) -> bytes:
    endian = {"<": "little", ">": "big"}[order]
    head = f"ply\nformat binary_{endian}_endian 1.0\nelement vertex 8\nproperty double x\n"
    head += "property double y\nproperty double z\nelement face 12\n"
    head += "property list uchar int vertex_index\nend_header\n"
    rows = b"".join(struct.pack(f"{order}B3i", 3, *map(int, t)) for t in TRIANGLES)
    return head.encode() + BOX.astype(f"{order}f8").tobytes() + rows


def stl(trailing: bytes = b"") -> bytes:
    rows = b"".join(struct.pack("<12fH", 0, 0, 0, *BOX[t].reshape(-1), 0) for t in TRIANGLES)
    return b"solid but binary".ljust(80) + struct.pack("<I", 12) + rows + trailing


def stl_text() -> str:
    faces = [
        "facet normal 0 0 0\nouter loop\n"
        + "".join(f"vertex {x} {y} {z}\n" for x, y, z in BOX[t])
        + "endloop\nendfacet\n"
        for t in TRIANGLES
    ]
    return "solid box\n" + "".join(faces) + "endsolid box\n"


def glb() -> bytes:
    file = Glb(nodes=[{"mesh": 0}])
    file.header["meshes"] = [{"primitives": [file.box()]}]
    return file.glb()


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.obj", BOX_OBJ),
        ("crlf.obj", BOX_OBJ.replace("\n", "\r\n")),
        ("latin.OBJ", ("# " + "\xe9\xfc\n" + BOX_OBJ).encode("latin-1")),
        ("tabs.obj", BOX_OBJ.replace("v ", "  v\t").replace(" ", "   ")),
        ("joined.obj", BOX_OBJ.replace("f 1 2", "f 1 \\\n2")),
        ("a.off", off()),
        ("glued.off", off("OFF8 6 0\n")),
        ("same-line.off", off("OFF 8 6 0\n")),
        ("comments.off", off("# made by hand\n\nOFF # yes\n# n\n8 6 12\n\n")),
        ("a.ply", ply()),
        ("little.ply", ply_binary("<")),
        ("big.ply", ply_binary(">")),
        ("a.stl", stl()),
        ("trailing.stl", stl(b"\0" * 7)),
        ("text.stl", stl_text()),
        ("a.glb", glb()),
    ],
)
def test_every_format_gives_the_same_box(tmp_path: Path, name: str, data: str | bytes) -> None:
    mesh = read(write(tmp_path / name, data))
    assert corner_set(mesh.triangles) == BOX_SURFACE
    assert volume(mesh) == pytest.approx(6 / 14**1.5, rel=1e-5)
    # edges of 90 degrees are sharp: three corners at each of the eight places
    assert len(mesh.vertices) == 24
    assert np.abs(np.abs(mesh.normals).max(1) - 1).max() < 1e-6
    outside = (mesh.normals * mesh.vertices).sum(1)
    assert outside.min() > 0
    for array, dtype in (
        (mesh.vertices, "f4"),
        (mesh.faces, "i4"),
        (mesh.normals, "f4"),
        (mesh.uv, "f4"),
        (mesh.face_material, "i4"),
        (mesh.material_texture, "i4"),
    ):
        assert array.dtype == np.dtype(dtype)
    assert mesh.material_rgba.shape == (1, 4)


def test_polygons_are_cut_as_fans() -> None:
    triangles, polygon = fan(np.array([3, 5, 4]))
    assert triangles.tolist() == [
        [0, 1, 2],
        [3, 4, 5],
        [3, 5, 6],
        [3, 6, 7],
        [8, 9, 10],
        [8, 10, 11],
    ]
    assert polygon.tolist() == [0, 1, 1, 1, 2, 2]


def test_obj_references_of_every_kind(tmp_path: Path) -> None:
    vertices = "v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\n"
    extra = "vt 0 0\nvt 1 0\nvt 1 1\nvt 0 1\nvn 0 0 1\n"
    expected = corner_set(unit(SQUARE)[[[0, 1, 2], [0, 2, 3]]])
    for faces in (
        "f 1 2 3 4",
        "f 1/1 2/2 3/3 4/4",
        "f 1//1 2//1 3//1 4//1",
        "f 1/1/1 2/2/1 3/3/1 4/4/1 # square",
        "f -4 -3 -2 -1",
        "f -4/-4/-1 2/2/1 -2/3/1 4/-1/1",
        "f 1 2 3\nf 1/1 3/3 4/4",
        "f 1/1/ 2/2/ 3/3/ 4/4/",
        "l 1 2\np 1\ng a b\ns 1\no c\nf 1 2 3 4\nf 1 2",
    ):
        mesh = read(write(tmp_path / "a.obj", vertices + extra + faces + "\n"))
        assert corner_set(mesh.triangles) == expected, faces
        if "/4" in faces.split("\n")[-1]:
            lower_left = np.abs(mesh.vertices - unit(SQUARE)[0]).sum(1).argmin()
            assert mesh.uv[lower_left].tolist() == [0, 0]


def test_negative_indices_count_back_from_their_line(tmp_path: Path) -> None:
    text = "v 0 0 0\nv 1 0 0\nv 0 1 0\nf -3 -2 -1\nv 0 0 5\nv 1 0 5\nv 0 1 5\nf -3 -2 -1\n"
    mesh = read(write(tmp_path / "a.obj", text))
    heights = np.sort(np.round(mesh.triangles[:, :, 2].mean(1) * np.sqrt(27), 3))
    assert heights.tolist() == [-2.5, 2.5]


def test_obj_groups_and_several_materials(tmp_path: Path) -> None:
    squares = "".join(f"v {x} {y} {z}\n" for z in range(5) for x, y, _ in SQUARE)
    faces = "".join(
        f"g part{n}\nusemtl {name}\nf {4 * n + 1} {4 * n + 2} {4 * n + 3} {4 * n + 4}\n"
        for n, name in enumerate(["red", "my glass", "unknown", "red", "grey"])
    )
    write(
        tmp_path / "one.mtl",
        "newmtl red\nKd 1 0.5 0\nKa 0 0 0\nnewmtl my glass\nKd 0 0 1\nd 0.25\n",
    )
    write(tmp_path / "two.mtl", "newmtl grey\n  kd 0.5\nTr 0.9\nKs nonsense\n")
    text = "mtllib one.mtl\nmtllib two.mtl\n" + squares + faces
    mesh = read(write(tmp_path / "a.obj", text))
    scale = np.sqrt(18)
    assert rgba_at(mesh, -2 / scale) == pytest.approx([1, 0.5, 0, 1])
    assert rgba_at(mesh, -1 / scale) == pytest.approx([0, 0, 1, 0.25])
    assert rgba_at(mesh, 0) == pytest.approx([0.7, 0.7, 0.7, 1])
    assert rgba_at(mesh, 1 / scale) == pytest.approx([1, 0.5, 0, 1])
    assert rgba_at(mesh, 2 / scale) == pytest.approx([0.5, 0.5, 0.5, 0.1])
    assert len(mesh.material_rgba) == 4  # red once


OBJ_SQUARE = (
    "mtllib m.mtl\nv 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nvt 0 0\nvt 1 0\nvt 1 1\nvt 0 1\n"
    "usemtl picture\nf 1/1 2/2 3/3 4/4\n"
)


def gltf_square(file: Glb, **material: object) -> None:
    # glTF: (0, 0) is the upper left corner of the image, the square is seen from +z
    picture = {"TEXCOORD_0": [[0, 1], [1, 1], [1, 0], [0, 0]], "material": 0}
    faces = [[0, 1, 2], [0, 2, 3]]
    file.header["meshes"] = [{"primitives": [file.primitive(SQUARE, faces, **picture)]}]
    texture = {"baseColorTexture": {"index": 0}}
    file.header["materials"] = [{"pbrMetallicRoughness": texture, **material}]
    file.header["textures"] = [{"source": 0}]


@pytest.mark.parametrize("kind", ["obj", "glb", "gltf", "ply"])
def test_texture_orientation(tmp_path: Path, kind: str) -> None:
    write(tmp_path / "pic ture.png", png(PICTURE))
    if kind == "obj":
        write(tmp_path / "m.mtl", "newmtl picture\nKd 0 0 0\nmap_Kd -clamp on pic ture.png\n")
        path = write(tmp_path / "a.obj", OBJ_SQUARE)
    elif kind == "ply":
        head = "ply\nformat ascii 1.0\ncomment TextureFile pic ture.png\nelement vertex 4\n"
        head += "".join(f"property float {n}\n" for n in ("x", "y", "z", "s", "t"))
        head += "element face 2\nproperty list uchar int vertex_indices\nend_header\n"
        rows = "0 0 0 0 0\n1 0 0 1 0\n1 1 0 1 1\n0 1 0 0 1\n3 0 1 2\n3 0 2 3\n"
        path = write(tmp_path / "a.ply", head + rows)
    else:
        file = Glb(nodes=[{"mesh": 0}])
        gltf_square(file)
        if kind == "glb":
            file.header["images"] = [
                {"bufferView": file.view(png(PICTURE)), "mimeType": "image/png"}
            ]
            path = write(tmp_path / "a.glb", file.glb())
        else:
            file.header["images"] = [{"uri": "pic%20ture.png"}]
            write(tmp_path / "a.bin", file.binary)
            path = write(tmp_path / "a.gltf", file.gltf("a.bin"))
    mesh = read(path)
    assert np.array_equal(mesh.textures[0][..., :3], PICTURE)  # rows as in the file
    assert mesh.material_rgba[0, :3].tolist() == [1, 1, 1]
    for (x, y), colour in {
        (-1, 1): (255, 0, 0),
        (1, 1): (0, 255, 0),
        (-1, -1): (0, 0, 255),
        (1, -1): (255, 255, 0),
    }.items():
        # half way from the middle of the square to one of its corners
        assert colour_at(mesh, (x / np.sqrt(32), y / np.sqrt(32))) == colour


def test_textures_are_reduced_and_shared(tmp_path: Path) -> None:
    big = np.kron(PICTURE, np.ones((50, 50, 1), np.uint8))  # 200 x 300
    write(tmp_path / "big.jpg", png(big, "JPEG"))
    write(
        tmp_path / "m.mtl", "newmtl picture\nmap_Kd big.jpg\nnewmtl twin\nd 0.5\nmap_Kd big.jpg\n"
    )
    text = OBJ_SQUARE + "v 0 0 1\nusemtl twin\nf 1/1 2/2 5/3\n"
    path = write(tmp_path / "a.obj", text)
    mesh = read(path, texture_size=60)
    assert [t.shape for t in mesh.textures] == [(40, 60, 4)]
    assert mesh.material_texture.tolist() == [0, 0]
    assert mesh.material_rgba[:, 3].tolist() == [1, 0.5]
    # JPEG and Lanczos leave the middle of each quarter as it was, to a few levels
    for row, column in ((10, 15), (10, 45), (30, 15), (30, 45)):
        want = PICTURE[row // 10, column // 10]
        assert np.abs(mesh.textures[0][row, column, :3].astype(int) - want).max() <= 6
    assert read(path).textures[0].shape == (200, 300, 4)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "I;16", "CMYK"])
def test_images_of_every_mode(tmp_path: Path, mode: str) -> None:
    grey = np.array([[0, 255], [255, 0]], np.uint8)
    if mode == "I;16":
        image = Image.fromarray(grey.astype(np.uint16) * 257)
    else:
        image = Image.fromarray(grey).convert("RGB").convert(mode)
    suffix = "jpg" if mode == "CMYK" else "png"
    image.save(tmp_path / f"t.{suffix}", quality=100)
    write(tmp_path / "m.mtl", f"newmtl picture\nmap_Kd t.{suffix}\n")
    texture = read(write(tmp_path / "a.obj", OBJ_SQUARE)).textures[0]
    assert texture.shape == (2, 2, 4)
    assert np.abs(texture[..., 0].astype(int) - grey).max() <= 3  # JPEG
    assert (texture[..., 3] == 255).all()


def test_missing_textures_leave_the_plain_colour(tmp_path: Path) -> None:
    mtl = "newmtl picture\nKd 0.2 0.4 0.6\nmap_Kd C:\\me\\none.png\nmap_Bump gone.png\n"
    write(tmp_path / "m.mtl", mtl)
    mesh, missing = read_mesh(write(tmp_path / "a.obj", OBJ_SQUARE), 512)
    assert missing == ["C:\\me\\none.png", "gone.png"]
    assert mesh.textures == ()
    assert mesh.material_rgba.tolist() == [pytest.approx([0.2, 0.4, 0.6, 1])]
    (tmp_path / "m.mtl").unlink()
    mesh, missing = read_mesh(tmp_path / "a.obj", 512)
    assert missing == ["m.mtl"]
    assert mesh.material_rgba.tolist() == [pytest.approx([0.7, 0.7, 0.7, 1])]
    file = Glb(nodes=[{"mesh": 0}], images=[{"uri": "none.png"}])
    gltf_square(file)
    mesh, missing = read_mesh(write(tmp_path / "a.glb", file.glb()), 512)
    assert missing == ["none.png"]
    assert mesh.textures == ()


def test_scene_of_nested_nodes(tmp_path: Path) -> None:
    # y up; by hand: the child's point p ends at T(5, 0, 0) Rz(90) S(2) T(0, 1, 0) p
    turn = [0, 0, np.sqrt(0.5), np.sqrt(0.5)]
    file = Glb(
        scenes=[{"nodes": [0, 2]}],
        nodes=[
            {"translation": [5, 0, 0], "rotation": turn, "scale": [2, 2, 2], "children": [1]},
            {"mesh": 0, "translation": [0, 1, 0]},
            {"mesh": 0},  # the same geometry again, where it is
            {"mesh": 0, "translation": [100, 100, 100]},  # in no scene
        ],
    )
    file.header["meshes"] = [{"primitives": [file.box()]}]
    mesh = read(write(tmp_path / "a.glb", file.glb()))
    by_hand = np.stack([5 - 2 * (BOX[:, 1] + 1), 2 * BOX[:, 0], 2 * BOX[:, 2]], -1)
    both = unit(np.concatenate([by_hand, BOX]))
    assert corner_set(mesh.triangles) == corner_set(
        both[np.concatenate([TRIANGLES, TRIANGLES + 8])]
    )
    assert len(mesh.material_rgba) == 1


def test_column_major_matrices(tmp_path: Path) -> None:
    matrix = np.array([[1, 2, 0, 7], [0, 1, 0, 0], [0, 0, 3, 0], [0, 0, 0, 1.0]])
    file = Glb(nodes=[{"mesh": 0, "matrix": matrix.T.reshape(-1).tolist()}])
    file.header["meshes"] = [{"primitives": [file.box()]}]
    mesh = read(write(tmp_path / "a.glb", file.glb()))
    by_hand = np.stack([BOX[:, 0] + 2 * BOX[:, 1] + 7, BOX[:, 1], 3 * BOX[:, 2]], -1)
    assert corner_set(mesh.triangles) == corner_set(unit(by_hand)[TRIANGLES])


@pytest.mark.parametrize("with_normals", [False, True])
def test_mirrored_nodes_keep_the_outside_outside(tmp_path: Path, with_normals: bool) -> None:
    # a prism whose normals are given, at an angle that uneven scales change
    nodes = [{"mesh": 0}, {"mesh": 0, "scale": [-1, 1, 1], "translation": [-1, 0, 0]}]
    nodes.append({"mesh": 0, "scale": [-3, -1, -0.5], "translation": [-9, 0, 0]})
    file = Glb(nodes=nodes, scenes=[{"nodes": [0, 1, 2]}])
    corners = BOX[TRIANGLES]
    corners = np.stack([corners[..., 0] + corners[..., 1], *np.moveaxis(corners, -1, 0)[1:]], -1)
    out = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    out = np.repeat(out / np.linalg.norm(out, axis=1, keepdims=True), 3, axis=0)
    more = {"NORMAL": out} if with_normals else {}
    flat, faces = corners.reshape(-1, 3), np.arange(36).reshape(-1, 3)
    file.header["meshes"] = [{"primitives": [file.primitive(flat, faces, **more)]}]
    mesh = read(write(tmp_path / "a.glb", file.glb()))
    a, b, c = np.moveaxis(mesh.triangles.astype(float), 1, 0)
    out = np.cross(b - a, c - a)
    out /= np.linalg.norm(out, axis=1, keepdims=True)
    assert len(mesh.faces) == 36
    agree = np.einsum("ij,ikj->ik", out, mesh.normals[mesh.faces].astype(float))
    # computed ones may lean over to a neighbour that bends by less than 40 degrees
    assert agree.min() > (1 - 1e-5 if with_normals else np.cos(np.radians(40)))
    points = np.concatenate([BOX, BOX * [-1, 1, 1] - [1, 0, 0], BOX * [-3, -1, -0.5] - [9, 0, 0]])
    assert volume(mesh) > 0
    shear = points[:, 1] * np.repeat([1, -1, 3], 8)
    size = np.stack([points[:, 0] + shear, points[:, 1], points[:, 2]], -1)
    scale = np.linalg.norm(size.max(0) - size.min(0))
    assert volume(mesh) * scale**3 == pytest.approx(6 + 6 + 6 * 1.5, rel=1e-4)


def test_gltf_colours(tmp_path: Path) -> None:
    file = Glb(nodes=[{"mesh": 0}])
    up, one = SQUARE + np.array([0, 0, 1]), np.array([0, 0, 1])
    painted = np.tile([[0.5, 1, 1, 1]], (4, 1))
    faces = [[0, 1, 2], [0, 2, 3]]
    file.header["meshes"] = [
        {
            "primitives": [
                file.primitive(SQUARE, faces, material=0),
                file.primitive(up, faces, material=1),
                file.primitive(up + one, faces, material=0, COLOR_0=painted),
                file.primitive(up + 2 * one, faces, COLOR_0=painted),
            ]
        }
    ]
    base = {"baseColorFactor": [0.5, 0.0, 1.0, 0.25]}
    file.header["materials"] = [
        {"pbrMetallicRoughness": base},
        {"pbrMetallicRoughness": base, "alphaMode": "BLEND"},
    ]
    mesh = read(write(tmp_path / "a.glb", file.glb()))
    scale = np.sqrt(11)
    # linear 0.5 is 0.735 in sRGB, 0.25 is 0.537 (IEC 61966-2-1); factors have 8 bits in trimesh
    near = {"abs": 0.005}
    assert rgba_at(mesh, -1.5 / scale) == pytest.approx([0.735, 0, 1, 1], **near)  # opaque
    assert rgba_at(mesh, -0.5 / scale) == pytest.approx([0.735, 0, 1, 0.25], **near)
    assert rgba_at(mesh, 0.5 / scale) == pytest.approx([0.537, 0, 1, 1], **near)
    assert rgba_at(mesh, 1.5 / scale) == pytest.approx([0.735, 1, 1, 1], **near)


@pytest.mark.parametrize(
    ("mode", "expected"), [("OPAQUE", 255), ("MASK", 255), ("MASK high", 0), ("BLEND", 128)]
)
def test_gltf_alpha_modes(tmp_path: Path, mode: str, expected: int) -> None:
    pixels = np.full((2, 2, 4), 128, np.uint8)
    file = Glb(nodes=[{"mesh": 0}])
    high = {"alphaCutoff": 0.8} if mode == "MASK high" else {}
    gltf_square(file, alphaMode=mode.split()[0], **high)
    file.header["images"] = [{"bufferView": file.view(png(pixels)), "mimeType": "image/png"}]
    mesh = read(write(tmp_path / "a.glb", file.glb()))
    assert (mesh.textures[0][..., 3] == expected).all()


def test_gltf_with_embedded_buffers_and_strips(tmp_path: Path) -> None:
    file = Glb(nodes=[{"mesh": 0}])
    strip = {"attributes": {"POSITION": file.array(SQUARE[[0, 1, 3, 2]])}, "mode": 5}
    file.header["meshes"] = [{"primitives": [strip]}]
    uri = "data:application/octet-stream;base64," + base64.b64encode(file.binary).decode()
    mesh = read(write(tmp_path / "a.gltf", file.gltf(uri)))
    assert corner_set(mesh.triangles) == corner_set(unit(SQUARE)[[[0, 1, 3], [1, 2, 3]]])


def test_vertex_colours_of_ply(tmp_path: Path) -> None:
    colours = "".join(f"property uchar {c}\n" for c in ("red", "green", "blue"))
    mesh = read(write(tmp_path / "a.ply", ply(colours)))
    assert mesh.material_rgba.tolist() == [[1, 0, 0, 1]]
    # one blue vertex: the faces that it belongs to take a third of it
    data = ply(colours).replace(b"0.0 0.0 0.0 255 0 0", b"0.0 0.0 0.0 0 0 255")
    mesh = read(write(tmp_path / "a.ply", data))
    at = (np.abs(mesh.triangles - unit(BOX)[0]).sum(-1) < 1e-5).any(1)
    colours_of_faces = mesh.material_rgba[mesh.face_material]
    assert colours_of_faces[at] == pytest.approx(np.tile([2 / 3, 0, 1 / 3, 1], (at.sum(), 1)))
    assert colours_of_faces[~at] == pytest.approx(np.tile([1, 0, 0, 1], ((~at).sum(), 1)))
    assert 0 < at.sum() < 12


def test_colours_of_off_and_obj(tmp_path: Path) -> None:
    lines = off().splitlines()
    painted = [*lines[:10], *(f"{row} 0 128 255" for row in lines[10:])]
    mesh = read(write(tmp_path / "faces.off", "\n".join(painted)))
    assert mesh.material_rgba.tolist() == [pytest.approx([0, 128 / 255, 1, 1])]
    painted = ["COFF", lines[1], *(f"{row} 1.0 0.5 0.0 1.0" for row in lines[2:10]), *lines[10:]]
    mesh = read(write(tmp_path / "vertices.off", "\n".join(painted)))
    assert mesh.material_rgba.tolist() == [pytest.approx([1, 128 / 255, 0, 1])]
    rows = BOX_OBJ.splitlines()
    painted = [f"{row} 0.2 0.4 1" if row.startswith("v") else row for row in rows]
    mesh = read(write(tmp_path / "a.obj", "\n".join(painted)))
    assert mesh.material_rgba.tolist() == [pytest.approx([0.2, 0.4, 1, 1])]


def test_many_colours_become_few_materials() -> None:
    rng = np.random.default_rng(0)
    few = np.array([[1, 2, 3, 255], [9, 8, 7, 128]], np.uint8)[rng.integers(0, 2, 50)]
    materials, index = from_colours(few)
    made = np.array([m.rgba for m in materials])[index] * 255
    assert made == pytest.approx(few)
    for alpha, tolerance in ((255, 20), (None, 40)):
        many = rng.integers(0, 256, (5000, 4)).astype(np.uint8)
        if alpha:
            many[:, 3] = alpha
        materials, index = from_colours(many)
        assert len(materials) <= MAX_COLOURS
        made = np.array([m.rgba for m in materials])[index] * 255
        # 256 boxes in a cube of 256 levels are about 40 wide, in four dimensions 64
        assert np.abs(made - many).mean() < tolerance


def test_normals_of_the_file_are_kept_and_holes_in_them_filled(tmp_path: Path) -> None:
    text = "v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nvn 0 3 4\nvn 0 0 0\n"
    mesh = read(write(tmp_path / "a.obj", text + "f 1//1 2//1 3//2\nf 1//1 3//2 4//1\n"))
    given = np.abs(mesh.vertices - unit(SQUARE)[2]).sum(1) > 1e-5
    assert mesh.normals[given] == pytest.approx(np.tile([0, 0.6, 0.8], (3, 1)))
    assert mesh.normals[~given] == pytest.approx(np.array([[0, 0, 1]]))


def test_process_gives_the_arrays_of_the_spec(tmp_path: Path) -> None:
    write(tmp_path / "m.mtl", "newmtl picture\nmap_Kd p.png\nmap_Ks none.png\n")
    write(tmp_path / "p.png", png(PICTURE))
    write(tmp_path / "a.obj", OBJ_SQUARE)
    source = {
        "path": "a.obj",
        "root": str(tmp_path),
        "up": "+y",
        "front": "+z",
        "split": "test",
        "family": "squares",
        "source": "By hand",
        "licence": "©" * 40,
    }
    item = Item("table/a", {}, source)
    arrays = process(item, Params(), np.random.default_rng(0))
    assert len(encode_item(STAGE.spec, arrays)) > 0  # names, types and axes as declared
    assert encode_item(
        STAGE.spec, process(item, Params(), np.random.default_rng(1))
    ) == encode_item(STAGE.spec, arrays)
    mesh = Mesh.from_arrays(arrays)
    # up +y is z now, and the square that lay in x and y stands, its face to the front
    assert mesh.bounds() == pytest.approx(np.array([[-1, 0, -1], [1, 0, 1]]) / np.sqrt(8), abs=1e-6)
    assert mesh.normals == pytest.approx(np.tile([0, -1, 0], (4, 1)), abs=1e-6)
    assert arrays["split"] == b"test"
    assert arrays["family"] == b"squares"
    assert arrays["source"] == b"By hand"
    assert arrays["notes"].tolist() == [b"not found: none.png"]
    assert arrays["licence"].item().decode() == "©" * 32  # of 64 bytes, none cut in two
    assert STAGE.untrusted
    assert STAGE.variant(Params()) == "imported"
    assert STAGE.variant(Params(texture_size=64)) == "imported-texture_size64"

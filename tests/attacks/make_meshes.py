"""Makers of meshes (S4) that declare more than they hold, hold what is no number, or are not what
they are called, each with the reason for which it is refused; and of models (S5) whose textures may
be anywhere.
"""

from __future__ import annotations

import json
import struct
import zlib

import numpy as np

from tests.shapes.import_models import BOX, BOX_OBJ, PICTURE, TRIANGLES, Glb, png

TRIANGLE = "v 0 0 0\nv 1 0 0\nv 0 1 0\n"
OFF_TRIANGLE = "0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n"


def ply(vertices: int, faces: int, body: bytes, form: str = "ascii") -> bytes:
    head = f"ply\nformat {form} 1.0\nelement vertex {vertices}\nproperty float x\n"
    head += f"property float y\nproperty float z\nelement face {faces}\n"
    return (head + "property list uchar int vertex_indices\nend_header\n").encode() + body


PLY_BODY = b"0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n"
POINTS = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], "<f4").tobytes()


def stl(count: int, rows: int) -> bytes:
    row = struct.pack("<12fH", 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0)
    return bytes(80) + struct.pack("<I", count) + row * rows


def box_file(**extra: object) -> Glb:
    file = Glb(nodes=[{"mesh": 0}], **extra)
    file.header["meshes"] = [{"primitives": [file.box()]}]
    return file


def glb(vertices: object = BOX, **extra: object) -> bytes:
    file = Glb(nodes=[{"mesh": 0}], **extra)
    file.header["meshes"] = [{"primitives": [file.primitive(vertices, TRIANGLES)]}]
    return file.glb()


def glb_with(change: dict, part: str = "accessors", number: int = 0, drop: str = "") -> bytes:
    file = box_file()
    file.header[part][number].update(change)
    file.header[part][number].pop(drop, None)
    return file.glb()


def glb_with_image(data: bytes) -> bytes:
    file = box_file()
    file.header["images"] = [{"bufferView": file.view(data), "name": "skin"}]
    return file.glb()


def huge_png(width: int, height: int) -> bytes:
    """A few bytes that declare an image of any size."""
    head = struct.pack(">2I5B", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(bytes(100))), (b"IEND", b""))
    body = b"".join(
        struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + body


HOSTILE = {
    "nan.obj": ("v nan 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n", "vertex 0 is not finite"),
    "infinite.obj": ("v 0 0 0\nv 1 0 inf\nv 0 1 0\nf 1 2 3\n", "vertex 1 is not finite"),
    "huge.obj": ("v 1e308 0 0\nv -1e308 0 0\nv 0 1e308 0\nf 1 2 3\n", "beyond 1e+100"),
    "overflow.obj": ("v 1e999 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n", "vertex 0 is not finite"),
    "no-faces.obj": (TRIANGLE, "it has no faces"),
    "text.obj": ("Dear all,\nplease find attached.\n", "it is no OBJ file"),
    "binary.obj": (bytes(range(256)) * 40, "it is no OBJ file"),
    "empty.obj": ("", "the file is empty"),
    "no-vertices.obj": ("f 1 2 3\n", "a face names vertex 3, there are 0"),
    "range.obj": (TRIANGLE + "f 1 2 4\n", "a face names vertex 4, there are 3"),
    "range-vt.obj": (TRIANGLE + "vt 0 0\nf 1/1 2/2 3/1\n", "a face names vt 2, there are 1"),
    "range-vn.obj": (TRIANGLE + "f 1//1 2//1 3//1\n", "a face names vn 1, there are 0"),
    "zero.obj": (TRIANGLE + "f 0 1 2\n", "a face has the index 0"),
    "negative.obj": (TRIANGLE + "f -4 -2 -1\n", "a face has the corner '-4'"),
    "overlong.obj": (TRIANGLE + f"f 1 2 {'9' * 30}\n", "a line of faces is damaged"),
    "words.obj": (TRIANGLE + "f one two three\n", "a line of faces is damaged"),
    "short.obj": ("v 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n", "a line of vertices is damaged"),
    "flat-list.obj": ("v 0 0\nv 1 0\nv 0 1\nf 1 2 3\n", "a line of vertices is damaged"),
    "point.obj": ("v 3 3 3\n" * 3 + "f 1 2 3\n", "all its vertices are one point"),
    "line.obj": ("v 0 0 0\nv 1 1 1\nv 3 3 3\nf 1 2 3\n", "all its faces lie on one line"),
    "repeated.obj": (TRIANGLE + "f 1 2 2\n", "all its faces lie on one line"),
    "faces.off": ("OFF\n3 1000000000000 0\n" + OFF_TRIANGLE, "1000000000000 faces in 4 further"),
    "vertices.off": ("OFF\n1000000000000 1 0\n" + OFF_TRIANGLE, "declares 1000000000000 vertices"),
    "minus.off": ("OFF\n-3 1 0\n" + OFF_TRIANGLE, "declares -3 vertices"),
    "polygon.off": ("OFF\n3 1 0\n" + OFF_TRIANGLE.replace("3 0", "999999999 0"), "fewer corners"),
    "counts.off": ("OFF\nthree one\n" + OFF_TRIANGLE, "does not say how many"),
    "fraction.off": ("OFF\n3.5 1 0\n" + OFF_TRIANGLE, "does not say how many"),
    "only.off": ("OFF\n", "does not say how many"),
    "text.off": ("hello\n", "it is no OFF file"),
    "four.off": ("4OFF\n3 1 0\n" + OFF_TRIANGLE, "4OFF files are not read"),
    "range.off": ("OFF\n3 1 0\n" + OFF_TRIANGLE.replace("1 2\n", "1 3\n"), "none of the 3"),
    "minus-index.off": ("OFF\n3 1 0\n" + OFF_TRIANGLE.replace("1 2\n", "1 -1\n"), "none of the 3"),
    "nan.off": (
        "OFF\n3 1 0\n" + OFF_TRIANGLE.replace("1 0 0", "1 nan 0"),
        "vertex 1 is not finite",
    ),
    "two.off": ("OFF\n3 1 0\n" + OFF_TRIANGLE.replace("1 0 0", "1 0"), "of vertices is damaged"),
    "no-faces.off": ("OFF\n3 0 0\n" + OFF_TRIANGLE, "it has no faces"),
    "vertices.ply": (ply(10**12, 1, PLY_BODY), "take 1000000000001 lines, and holds 5"),
    "faces.ply": (ply(3, 10**12, PLY_BODY), "and holds 5"),
    "binary.ply": (ply(10**12, 1, POINTS, "binary_little_endian"), "and holds 48"),
    "minus.ply": (ply(-3, 1, PLY_BODY), "it declares -3 times vertex"),
    "header.ply": (b"ply\nformat ascii 1.0\nelement vertex many\nend_header\n", "has the line"),
    "type.ply": (PLY_BODY and ply(3, 1, PLY_BODY).replace(b"float x", b"wide x"), "has the line"),
    "endless.ply": (b"ply\nformat ascii 1.0\n" + b"comment x\n" * 99, "it is no PLY file"),
    "text.ply": ("plywood\n", "it is no PLY file"),
    "no-faces.ply": (ply(3, 0, PLY_BODY), "it has no faces"),
    "range.ply": (ply(3, 1, PLY_BODY.replace(b"1 2\n", b"1 9\n")), "a face names vertex 9"),
    "nan.ply": (ply(3, 1, PLY_BODY.replace(b"1 0 0", b"1 nan 0")), "vertex 1 is not finite"),
    "mixed.ply": (
        ply(
            4,
            2,
            POINTS + struct.pack("<B3i", 3, 0, 1, 2) + struct.pack("<B4i", 4, 0, 1, 2, 3),
            "binary_little_endian",
        ),
        "cannot be read as PLY",
    ),
    "many.stl": (stl(4_000_000_000, 2), "declares 4000000000 triangles, and holds at most 2"),
    "cut.stl": (stl(3, 2), "declares 3 triangles, and holds at most 2"),
    "none.stl": (stl(0, 0), "it has no faces"),
    "text.stl": ("Dear all,\n", "it is no STL file"),
    "solid.stl": ("solid x\nfacet normal 0 0 0\nouter loop\nvertex 1 2\nendsolid\n", ""),
    "text.glb": ("Dear all, please find attached.", "it is no GLB file"),
    "old.glb": (b"glTF" + struct.pack("<4I", 1, 20, 0, 0), "it is glTF of version 1"),
    "cut.glb": (glb()[:400], "bytes, and holds 400"),
    "chunk.glb": (
        glb()[:12] + struct.pack("<I", 1 << 31) + glb()[16:],
        "it declares 2147483668 bytes",
    ),
    "json.glb": (glb().replace(b'{"asset"', b'["asset"'), "is no JSON"),
    "deep.gltf": ("[" * 100_000, "is no JSON"),
    "list.gltf": ("[]", "is no JSON object"),
    "other.gltf": ("{}", "it has no asset"),
    "count.glb": (glb_with({"count": 10**9}, drop="bufferView"), "an array of 1000000000"),
    "bomb.glb": (glb_with({"count": 10**11}, drop="bufferView"), "an array of 100000000000"),
    "more.glb": (glb_with({"count": 9}), "declares an array of 9, and holds 96 bytes"),
    "minus.glb": (glb_with({"count": -1}), "declares an array of -1"),
    "kind.glb": (glb_with({"componentType": 1}), "header is damaged"),
    "view.glb": (glb_with({"bufferView": 99}), "header is damaged"),
    "sparse.glb": (glb_with({"sparse": {"count": 1}}), "sparse arrays"),
    "quantised.glb": (glb_with({"normalized": True}), "quantised vertices"),
    "fan.glb": (glb().replace(b'"indices": 1', b'"mode":6    '), "triangle fans"),
    "draco.glb": (
        glb(extensionsRequired=["KHR_draco_mesh_compression"]),
        "it needs the glTF extension KHR_draco_mesh_compression",
    ),
    "zero.glb": (glb(np.zeros((8, 3))), "all its vertices are one point"),
    "nan.glb": (glb(np.where(BOX == 3, np.nan, BOX)), "vertex 1 is not finite"),
    "range.glb": (glb(BOX[:4]), "a face names vertex 7, there are 4"),
    "unused.glb": (glb(scenes=[{"nodes": []}]), "it has no faces"),
    "flattened.glb": (glb_with({"scale": [0, 0, 0]}, "nodes"), "all its vertices are one point"),
    "nan-node.glb": (glb_with({"translation": [1, 2, float("nan")]}, "nodes"), "not finite"),
    "image.glb": (glb_with_image(b"not an image"), "texture skin is damaged, or none of PNG"),
    "cut-image.glb": (glb_with_image(png(PICTURE)[:20]), "texture skin is damaged"),
    "image-bomb.glb": (glb_with_image(huge_png(60_000, 60_000)), "texture skin is too large"),
    "image-large.glb": (glb_with_image(huge_png(9000, 9000)), "has 9000x9000 pixels"),
    "buffer.gltf": (box_file().gltf("gone.bin"), "its file gone.bin is missing"),
    "http.gltf": (box_file().gltf("http://127.0.0.1/a.bin"), "is missing"),
    "base64.gltf": (box_file().gltf("data:;base64,AAA"), "embedded data that are damaged"),
    "mesh.zip": (b"PK\3\4", ".zip files are not read"),
    "mesh.3mf": (b"PK\3\4", ".3mf files are not read"),
    "mesh": (BOX_OBJ, "a file without a suffix is not read"),
}

SECRET = np.arange(7 * 5 * 3, dtype=np.uint8).reshape(5, 7, 3)
OBJ = "mtllib m.mtl\n" + TRIANGLE + "vt 0 0\nusemtl x\nf 1/1 2/1 3/1\n"
PLY_TEXTURED = (
    "ply\nformat ascii 1.0\ncomment TextureFile {}\nelement vertex 3\n"
    + "".join(f"property float {n}\n" for n in ("x", "y", "z", "s", "t"))
    + "element face 1\nproperty list uchar int vertex_indices\nend_header\n"
    + "0 0 0 0 0\n1 0 0 1 0\n0 1 0 0 1\n3 0 1 2\n"
)


def gltf_textured(uri: str) -> str:
    file = Glb(nodes=[{"mesh": 0}], images=[{"uri": uri}], textures=[{"source": 0}])
    more = {"TEXCOORD_0": np.zeros((8, 2)), "material": 0}
    file.header["meshes"] = [{"primitives": [file.box(**more)]}]
    texture = {"baseColorTexture": {"index": 0}}
    file.header["materials"] = [{"pbrMetallicRoughness": texture}]
    text = json.loads(file.glb()[20:].split(b"BIN\0")[0][:-4])
    return json.dumps({**text, "buffers": []}) if not file.binary else file.glb().decode("latin-1")

"""Small data sets in the true layouts of the published ones, of a model whose pose can be told."""

from __future__ import annotations

import zipfile
from io import BytesIO
from pathlib import Path

import numpy as np

from stages.geometry.mesh import Mesh
from tests.shapes.import_models import PICTURE, Glb, png, unit, write

# Corners by (to the object's left, to its front, up): a nose, two unequal wings, a fin at the back.
NOSE, LEFT, RIGHT, FIN = (0, 1, 0), (0.4, -0.5, 0), (-0.2, -0.5, 0), (0, -0.5, 0.6)
CORNERS = np.array([NOSE, LEFT, RIGHT, FIN], float)
FACES = np.array([(0, 1, 3), (0, 3, 2), (0, 2, 1), (1, 2, 3)])
# What the importer makes of it: left +x, front -y, up +z.
CANONICAL = unit(CORNERS * (1, -1, 1))
AXIS = {
    sign + name: (1 if sign == "+" else -1) * np.eye(3)[k]
    for k, name in enumerate("xyz")
    for sign in "+-"
}


def posed(up: str, front: str) -> np.ndarray:
    """(4, 3) the corners in a file with these axes."""
    left = np.cross(AXIS[up], AXIS[front])
    return CORNERS @ np.stack([left, AXIS[front], AXIS[up]])


def is_canonical(mesh: Mesh) -> bool:
    """Whether a mesh is the model in the canonical frame."""
    found = np.unique(np.round(mesh.vertices, 4) + 0.0, axis=0)
    wanted = np.unique(np.round(CANONICAL, 4) + 0.0, axis=0)
    return found.shape == wanted.shape and bool(np.abs(found - wanted).max() < 2e-4)


def obj(vertices: np.ndarray, library: str = "") -> str:
    """An OBJ file, textured by the material `m` of a library where one is named."""
    text = f"mtllib {library}\nusemtl m\nvt 0 0\nvt 1 0\nvt 0 1\n" if library else ""
    text += "".join(f"v {x} {y} {z}\n" for x, y, z in vertices)
    corner = "{}/{}" if library else "{}"
    for face in FACES + 1:
        text += "f " + " ".join(corner.format(v, t) for t, v in enumerate(face, 1)) + "\n"
    return text


def off(vertices: np.ndarray, header: str = "OFF\n") -> str:
    """An OFF file; ModelNet has some with the header `OFF` and the counts in one word."""
    text = f"{header}{len(vertices)} {len(FACES)} 0\n"
    text += "".join(f"{x} {y} {z}\n" for x, y, z in vertices)
    return text + "".join(f"3 {a} {b} {c}\n" for a, b, c in FACES)


def ply(vertices: np.ndarray) -> str:
    """A PLY file."""
    head = "".join(f"property float {name}\n" for name in "xyz")
    text = f"ply\nformat ascii 1.0\nelement vertex {len(vertices)}\n{head}"
    text += f"element face {len(FACES)}\nproperty list uchar int vertex_indices\nend_header\n"
    return text + off(vertices).split("\n", 2)[2]


def stl(vertices: np.ndarray) -> bytes:
    """A binary STL file."""
    row = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("extra", "<u2")])
    rows = np.zeros(len(FACES), row)
    rows["corners"] = vertices[FACES]
    return bytes(80) + len(FACES).to_bytes(4, "little") + rows.tobytes()


def glb(vertices: np.ndarray) -> bytes:
    """A binary glTF file."""
    file = Glb(nodes=[{"mesh": 0}])
    file.header["meshes"] = [{"primitives": [file.primitive(vertices, FACES)]}]
    return file.glb()


def gltf(vertices: np.ndarray) -> str:
    """A glTF file with its buffer inside."""
    import base64

    file = Glb(nodes=[{"mesh": 0}])
    file.header["meshes"] = [{"primitives": [file.primitive(vertices, FACES)]}]
    data = base64.b64encode(file.binary).decode()
    return file.gltf(f"data:application/octet-stream;base64,{data}")


WRITERS = {".obj": obj, ".off": off, ".ply": ply, ".stl": stl, ".glb": glb, ".gltf": gltf}


def model(path: Path, up: str, front: str) -> Path:
    """The model as a file of any format, in a pose."""
    return write(path, WRITERS[path.suffix](posed(up, front)))


def shapenet_v1(root: Path, synset: str, *ids: str) -> None:
    """Models as in release 1, with a texture."""
    for name in ids:
        folder = root / synset / name
        write(folder / "model.obj", obj(posed("+y", "+x"), "model.mtl"))
        write(folder / "model.mtl", "newmtl m\nmap_Kd images/texture0.png\n")
        write(folder / "images" / "texture0.png", png(PICTURE))


def shapenet_v2(root: Path, synset: str, *ids: str) -> None:
    """Models as in release 2: textures lie beside the folder of the mesh."""
    for name in ids:
        folder = root / synset / name
        path = folder / "models" / "model_normalized.obj"
        write(path, obj(posed("+y", "-z"), "model_normalized.mtl"))
        write(path.with_suffix(".mtl"), "newmtl m\nmap_Kd ../images/texture0.png\n")
        write(path.with_suffix(".json"), '{"numVertices": 4}')
        write(folder / "images" / "texture0.png", png(PICTURE))


def modelnet(root: Path) -> None:
    """Two categories with two splits, one file with the broken header."""
    for category in ("night_stand", "chair"):
        for number, split in enumerate(("train", "train", "test"), 1):
            name = f"{category}_{number:04d}.off"
            header = "OFF" if number == 1 else "OFF\n"
            write(root / category / split / name, off(posed("+z", "-y"), header))
    write(root / "README.txt", "about")
    write(root.parent / "__MACOSX" / "chair" / "._x.off", "x")


def library(pieces: list[dict[str, str]], members: dict[str, bytes | str], **head: str) -> bytes:
    """A Sweet Home 3D library: a zip with a catalogue of these pieces, and these members."""
    lines = ["# made by a test", *(f"{key}={value}" for key, value in head.items())]
    for number, piece in enumerate(pieces, 1):
        lines += [f"{key}#{number}={value}" for key, value in piece.items()]
    catalogue = "\n".join(lines) + "\n"
    return zipped({"PluginFurnitureCatalog.properties": catalogue.encode("latin-1"), **members})


def zipped(members: dict[str, bytes | str]) -> bytes:
    """A zip archive."""
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in members.items():
            file.writestr(name, data)
    return buffer.getvalue()

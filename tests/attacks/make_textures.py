"""Models whose textures, libraries or buffers lie outside of their folder (S5).

In every way that a format can name a file, a secret is named in every way that a path can lead to
it. The secret picture is of a size and of colours that nothing else has.
"""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tests.shapes import layouts
from tests.shapes.import_models import Glb, png, write

# 7 x 5 pixels, all odd; whatever is made of it holds rows of it
SECRET = (np.arange(7 * 5 * 3).reshape(5, 7, 3) * 2 + 41).astype(np.uint8)

OBJ = (
    "mtllib {library}\nv 0 0 0\nv 1 0 0\nv 0 1 0\nvt 0 0\nvt 1 0\nvt 0 1\nusemtl x\nf 1/1 2/2 3/3\n"
)
PLY = (
    "ply\nformat ascii 1.0\ncomment TextureFile {uri}\nelement vertex 3\n"
    + "".join(f"property float {name}\n" for name in ("x", "y", "z", "s", "t"))
    + "element face 1\nproperty list uchar int vertex_indices\nend_header\n"
    + "0 0 0 0 0\n1 0 0 1 0\n0 1 0 0 1\n3 0 1 2\n"
)


def map_kd(folder: Path, uri: str) -> None:
    """OBJ whose material names the secret as its colour."""
    write(folder / "model.obj", OBJ.format(library="m.mtl"))
    write(folder / "m.mtl", f"newmtl x\nmap_Kd {uri}\n")


def bump(folder: Path, uri: str) -> None:
    """OBJ whose material names it as something that is never shown."""
    write(folder / "model.obj", OBJ.format(library="m.mtl"))
    write(folder / "m.mtl", f"newmtl x\nbump -bm 0.5 {uri}\n")


def mtllib(folder: Path, uri: str) -> None:
    """OBJ whose material library is elsewhere."""
    write(folder / "model.obj", OBJ.format(library=uri.replace(".png", ".mtl")))


def ply(folder: Path, uri: str) -> None:
    """PLY with a comment that names a texture."""
    write(folder / "model.ply", PLY.format(uri=uri))


def _textured(uri: str) -> Glb:
    file = Glb(nodes=[{"mesh": 0}], images=[{"uri": uri}], textures=[{"source": 0}])
    more = {"TEXCOORD_0": np.zeros((8, 2)), "material": 0}
    file.header["meshes"] = [{"primitives": [file.box(**more)]}]
    file.header["materials"] = [{"pbrMetallicRoughness": {"baseColorTexture": {"index": 0}}}]
    return file


def glb(folder: Path, uri: str) -> None:
    """Binary glTF with an image that is no part of it."""
    write(folder / "model.glb", _textured(uri).glb())


def gltf(folder: Path, uri: str) -> None:
    """glTF, its buffer inside and its image elsewhere."""
    file = _textured(uri)
    inside = base64.b64encode(file.binary).decode()
    write(folder / "model.gltf", file.gltf(f"data:application/octet-stream;base64,{inside}"))


def buffer(folder: Path, uri: str) -> None:
    """glTF whose vertices are the bytes of the secret."""
    file = Glb(nodes=[{"mesh": 0}])
    file.header["meshes"] = [{"primitives": [file.box()]}]
    write(folder / "model.gltf", file.gltf(uri.replace(".png", ".mtl")))


KINDS: tuple[Callable[[Path, str], None], ...] = (map_kd, bump, mtllib, ply, glb, gltf, buffer)


def _ways(secret: Path) -> dict[str, str]:
    """How a path can lead out of the folder of a model that lies in DATASET/chair/NAME."""
    return {
        "parent": f"../../../private/{secret.name}",
        "around": f"gone/../../../../private/{secret.name}",
        "absolute": str(secret),
        "symlink": secret.name,
        "folder-link": f"out/{secret.name}",
        "backslash": f"..\\..\\..\\private\\{secret.name}",
        "escaped": f"%2e%2e/%2e%2e/%2e%2e/private/{secret.name}",
        "url": f"file://{secret}",
    }


def make(root: Path) -> Path:
    """DATASET/chair/<kind>-<way>/model.*, one honest model, and the secrets beside DATASET."""
    secret = write(root / "private" / "secret.png", png(SECRET))
    # as a material library, as a buffer: long enough for either
    library = b"newmtl x\nKd 0.1640 0.1719 0.1797\n" + struct.pack("<f", 41.5) * 200
    hidden = write(secret.with_suffix(".mtl"), library)
    dataset = root / "dataset"
    for kind in KINDS:
        for way, uri in _ways(secret).items():
            folder = dataset / "chair" / f"{kind.__name__}-{way}"
            folder.mkdir(parents=True)
            if way == "symlink":
                for file in (secret, hidden):
                    (folder / file.name).symlink_to(file)
            if way == "folder-link":
                (folder / "out").symlink_to(secret.parent)
            kind(folder, uri)
    honest = dataset / "chair" / "honest"
    map_kd(honest, "skin.png")
    write(honest / "skin.png", png(255 - SECRET))
    return dataset


def make_library(root: Path) -> Path:
    """A .sh3f library whose members' names, models and textures lead out of it."""
    write(root / "private" / "secret.png", png(SECRET))
    pieces, members = [], {}
    for number, uri in enumerate(_ways(root / "private" / "secret.png").values()):
        members[f"{number}/a.obj"] = OBJ.format(library="a.mtl")
        members[f"{number}/a.mtl"] = f"newmtl x\nmap_Kd {uri}\n"
        pieces.append(
            {"id": f"texture-{number}", "name": "x", "category": "c", "model": f"/{number}/a.obj"}
        )
        pieces.append({"id": f"model-{number}", "name": "x", "category": "c", "model": uri})
    for number, name in enumerate(("../../slipped.obj", "/tmp/slipped.obj", "..\\slipped.obj")):
        members[name] = OBJ.format(library="a.mtl")
        # a back slash in a properties file stands for itself only when it is doubled
        model = name.replace("\\", "\\\\")
        pieces.append({"id": f"slip-{number}", "name": "x", "category": "c", "model": model})
    return write(root / "library" / "furniture.sh3f", layouts.library(pieces, members))


def as_json(path: Path) -> object:
    """A glTF file, for tests of the makers."""
    return json.loads(path.read_text())

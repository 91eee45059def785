"""One mesh file, whatever its format, as one Mesh.

Only ever called in a guarded process, with limits of memory and time: these files come from others.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from stages.errors import ItemError
from stages.geometry.mesh import Mesh
from stages.shapes.importing.declared import check_gltf, check_ply, check_stl
from stages.shapes.importing.files import (
    SUFFIXES,
    library_names,
    model_files,
    mtllibs,
    references,
)
from stages.shapes.importing.images import open_image, to_rgba
from stages.shapes.importing.mtl import Described, decoded, parse_mtl
from stages.shapes.importing.parts import PLAIN, Material, Part, join
from stages.shapes.importing.placing import as_catalogued, with_keypoints
from stages.shapes.importing.storage import Folder
from stages.shapes.importing.text import read_obj, read_off


def read_model(source: Mapping[str, Any], texture_size: int) -> tuple[Mesh, list[str]]:
    """The mesh of a source (`model_files`), and the names of files that it refers to in vain.

    The mesh keeps the axes of its file; its box is centred, its diagonal 1. What is read:

    - OBJ with its material libraries, OFF, PLY, STL, GLB and glTF; all geometries of a scene, each
      where its nodes place it; turned and stretched as a catalogue says (`as_catalogued`).
    - Materials: the diffuse or base colour (glTF's linear factors become sRGB), opacity, and the
      texture, reduced to `texture_size` pixels on its longer side. In OBJ a texture stands instead
      of `Kd`, as in Blender: exporters write any grey beside it, also black. glTF multiplies.
    - Colours of vertices or faces become at most 256 materials, by the mean colour of each face;
      they give way to a texture. STL has no colours.
    - Keypoints where the source names them.
    - Normals of the file; where there are none, see `complete_normals`.

    A texture that is not there leaves the plain colour. A texture that is damaged, or that lies
    outside of the model's folder, fails the mesh, as does everything else that is wrong with it.

    Raises ItemError with the reason.
    """
    with model_files(source) as folder:
        suffix = PurePosixPath(folder.name).suffix.lower()
        if suffix not in SUFFIXES:
            kind = f"{suffix} files are" if suffix else "a file without a suffix is"
            raise ItemError(f"{kind} not read, only {', '.join(SUFFIXES)}")
        folder.missing.update({n: None for n in references(folder) if folder.find(n) is None})
        data = folder.read(folder.mesh, folder.name)
        if not data:
            raise ItemError("the file is empty")
        parts = _parts(data, suffix, folder, texture_size)
        parts = as_catalogued(parts, source)
        return with_keypoints(join(parts), parts, source), list(folder.missing)


def _parts(data: bytes, suffix: str, folder: Folder, texture_size: int) -> list[Part]:
    if suffix == ".obj":
        return read_obj(decoded(data), _Materials(data, folder, texture_size))
    if suffix == ".off":
        return read_off(decoded(data))
    if suffix == ".stl":
        data = check_stl(data)
    elif suffix == ".ply":
        check_ply(data)
    else:
        try:
            check_gltf(data, suffix == ".glb", folder.get)
        except FileNotFoundError as error:
            raise ItemError(f"its file {error} is missing") from None
    from stages.shapes.importing.scenes import read_scene

    return read_scene(data, suffix, folder, texture_size)


class _Materials:
    """The materials of an OBJ file by name, each and its texture read once."""

    def __init__(self, data: bytes, folder: Folder, texture_size: int) -> None:
        self._folder = folder
        self._size = texture_size
        self._described: dict[str, Described] = {}
        self._textures: dict[str, np.ndarray | None] = {}
        for line in mtllibs(data):
            for name in library_names(line, folder):
                try:
                    self._described.update(parse_mtl(decoded(folder.get(name))))
                except FileNotFoundError:
                    continue

    def __call__(self, name: str) -> Material:
        described = self._described.get(name)
        if described is None:
            return PLAIN
        texture = self._texture(described.texture) if described.texture else None
        rgb = described.rgb if texture is None else (1.0, 1.0, 1.0)
        return Material((*rgb, described.alpha), texture)

    def _texture(self, name: str) -> np.ndarray | None:
        if name not in self._textures:
            try:
                image = open_image(self._folder.get(name), name)
                self._textures[name] = to_rgba(image, self._size, name)
            except FileNotFoundError:
                self._textures[name] = None
        return self._textures[name]

"""GLB, glTF, PLY and STL through trimesh: the parts of a scene in one frame.

Only ever called in a guarded process: these files come from others.
"""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import trimesh
from PIL import Image

from stages.errors import ItemError
from stages.shapes.importing.images import copied, to_rgba
from stages.shapes.importing.parts import (
    MAX_FACES,
    PLAIN,
    Material,
    Part,
    check,
    face_colours,
    painted,
    placed,
)
from stages.shapes.importing.storage import Folder

_OPAQUE, _MASK = "OPAQUE", "MASK"


class _Resolver(trimesh.resolvers.Resolver):
    """Gives trimesh the files of a model's folder, and nothing else.

    `refused` is why a file was not given that must not be read: some of trimesh's readers go on.
    """

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self.refused: ItemError | None = None

    def get(self, key: str) -> bytes:
        try:
            return self._folder.get(key)
        except ItemError as error:
            self.refused = error
            raise

    def keys(self) -> list[str]:
        return []

    def write(self, name: str, data: Any) -> None:
        raise NotImplementedError("a model's folder is only read")

    def namespaced(self, namespace: str) -> _Resolver:
        raise NotImplementedError("a model is not read from an archive")


def read_scene(data: bytes, suffix: str, folder: Folder, texture_size: int) -> list[Part]:
    """The parts of a scene, each instance of a geometry by itself, in the scene's frame.

    Mirrored instances keep their outside outside. Raises ItemError when trimesh cannot read the
    file, or when the instances come to more than MAX_FACES.
    """
    resolver = _Resolver(folder)
    with _quiet():
        try:
            scene = trimesh.load_scene(
                io.BytesIO(data), file_type=suffix[1:], resolver=resolver, process=False
            )
            if resolver.refused is not None:
                raise resolver.refused
            order = {name: n for n, name in enumerate(scene.geometry)}
            nodes = [scene.graph[node] for node in scene.graph.nodes_geometry]
        except (ItemError, MemoryError):
            raise
        except Exception as error:  # whatever the parser stumbles over
            raise ItemError(f"it cannot be read as {suffix[1:].upper()}: {_line(error)}") from error
        # Names of nodes are partly random: this order is not.
        nodes.sort(key=lambda node: (order[node[1]], np.asarray(node[0]).tobytes()))
        meshes = [(g, m) for m, name in nodes if _is_mesh(g := scene.geometry[name])]
        if sum(len(mesh.faces) for mesh, _ in meshes) > MAX_FACES:
            raise ItemError(f"it has more than {MAX_FACES} faces")
        is_linear = suffix in (".glb", ".gltf")
        textures = _Textures(texture_size)
        parts = {id(g): _part(g, is_linear, textures) for g, _ in meshes}
        return [placed(parts[id(g)], np.asarray(matrix, np.float64)) for g, matrix in meshes]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Neither log lines nor warnings; numbers that end early are an error, not a short array."""
    log = logging.getLogger("trimesh")  # its modules have loggers of their own below this one
    level = log.level
    log.setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            warnings.filterwarnings("error", message="string or file could not be read")
            yield
    finally:
        log.setLevel(level)


def _line(error: Exception) -> str:
    text = str(error).strip()
    return text.splitlines()[0][:200] if text else type(error).__name__


def _is_mesh(geometry: Any) -> bool:
    return isinstance(geometry, trimesh.Trimesh) and len(geometry.faces) > 0


def _part(mesh: trimesh.Trimesh, is_linear: bool, textures: _Textures) -> Part:
    """A geometry in its own frame."""
    part = check(Part(np.array(mesh.vertices, np.float64), np.array(mesh.faces, np.int64)))
    if "vertex_normals" in mesh._cache:  # those of the file; nothing has computed any yet
        normals = np.array(mesh._cache["vertex_normals"], np.float64)
        part = replace(part, normals=normals if normals.shape == part.vertices.shape else None)
    visual: Any = mesh.visual
    if visual.kind == "texture":
        return _textured(part, visual, is_linear, textures)
    if visual.kind == "face":
        rgba = np.asarray(visual.face_colors)
    elif visual.kind == "vertex":
        rgba = face_colours(np.asarray(visual.vertex_colors, np.float64), part.faces)
    else:
        return part
    if len(rgba) != len(part.faces):
        return part
    return _coloured(part, rgba / 255.0, is_linear)


def _coloured(part: Part, rgba: np.ndarray, is_linear: bool) -> Part:
    """The part with a colour for each face, (F, 4) in 0..1."""
    if is_linear:
        rgba = np.concatenate([_srgb(rgba[:, :3]), rgba[:, 3:]], 1)
    return painted(part, np.rint(rgba * 255).astype(np.uint8))


def _textured(part: Part, visual: Any, is_linear: bool, textures: _Textures) -> Part:
    """The part with its material; colours of vertices multiply it unless it has a texture."""
    material = visual.material
    if hasattr(material, "to_pbr") and not hasattr(material, "baseColorFactor"):
        material = material.to_pbr()
    # PLY has no material: what trimesh makes up for one is left aside
    factor = material.baseColorFactor if is_linear else None
    rgba = np.ones(4) if factor is None else np.asarray(factor, np.float64) / 255
    mode = (material.alphaMode or _OPAQUE) if is_linear else "BLEND"
    if mode == _OPAQUE:
        rgba[3] = 1
    image, uv = material.baseColorTexture, visual.uv
    if image is not None and np.shape(uv) == (len(part.vertices), 2):
        texture = textures.get(image, mode, float(material.alphaCutoff or 0.5))
        colour = _srgb(rgba[:3]) if is_linear else rgba[:3]
        made = Material((*colour.tolist(), float(rgba[3])), texture)
        return replace(part, materials=(made,), uv=np.array(uv, np.float64))
    colours = np.asarray(visual.vertex_attributes.get("color", ()))
    if colours.shape in [(len(part.vertices), channels) for channels in (3, 4)]:
        return _coloured(part, rgba * _face_factors(colours, part.faces), is_linear)
    if not is_linear:
        return replace(part, materials=(PLAIN,))
    return replace(part, materials=(Material((*_srgb(rgba[:3]).tolist(), float(rgba[3]))),))


def _face_factors(colours: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(F, 4) 0..1: mean colours of faces, of (V, 3 or 4) vertex colours of any type."""
    largest = np.iinfo(colours.dtype).max if colours.dtype.kind in "ui" else 1
    rgba = np.ones((len(colours), 4))
    rgba[:, : colours.shape[1]] = np.clip(np.nan_to_num(colours / largest), 0, 1)
    return rgba[faces].mean(1)


def _srgb(linear: np.ndarray) -> np.ndarray:
    """sRGB of linear colours 0..1 (IEC 61966-2-1); factors of glTF are linear, images are not."""
    linear = np.clip(linear, 0, 1)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


class _Textures:
    """Images as arrays, each read once."""

    def __init__(self, longest: int) -> None:
        self._longest = longest
        self._known: dict[tuple[int, str, float], np.ndarray] = {}
        self._images: list[Image.Image] = []  # kept, so that an id stays one image's

    def get(self, image: Image.Image, mode: str, cutoff: float) -> np.ndarray:
        """(h, w, 4) uint8, its alpha as the material's alpha mode has it."""
        key = (id(image), mode, cutoff if mode == _MASK else 0.0)
        if key not in self._known:
            rgba = to_rgba(copied(image, "in the file"), self._longest, "in the file").copy()
            if mode == _OPAQUE:
                rgba[..., 3] = 255
            elif mode == _MASK:
                rgba[..., 3] = np.where(rgba[..., 3] >= 255 * cutoff, 255, 0)
            self._known[key] = rgba
            self._images.append(image)
        return self._known[key]

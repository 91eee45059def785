"""Meshes for the tests of the renderers: real ones, and simple ones whose pictures are known."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import trimesh

from stages.geometry.mesh import Mesh

AXES = {"x": (1, 0, 0), "y": (0, 1, 0), "z": (0, 0, 1)}


def open_model_rows(folder: Path) -> dict[str, dict[str, str]]:
    """The rows of models.csv by id."""
    with open(folder / "models.csv", newline="", encoding="utf-8") as file:
        return {row["id"]: row for row in csv.DictReader(file)}


def load_open_model(folder: Path, row: dict[str, str]) -> Mesh:
    """The model of a row: all its parts in the canonical frame, centred, with diagonal 1."""
    scene = trimesh.load_scene(folder / row["file"])
    parts = [part for part in scene.dump() if isinstance(part, trimesh.Trimesh)]
    textures: list[np.ndarray] = []
    arrays = [_part(part, textures) for part in parts]
    vertices = np.concatenate([a["vertices"] for a in arrays]).astype(np.float64)
    counts = np.cumsum([0] + [len(a["vertices"]) for a in arrays])
    mesh = Mesh(
        vertices=vertices,
        faces=np.concatenate([a["faces"] + n for a, n in zip(arrays, counts)]).astype(np.int32),
        normals=np.concatenate([a["normals"] for a in arrays]).astype(np.float32),
        uv=np.concatenate([a["uv"] for a in arrays]).astype(np.float32),
        face_material=np.repeat(np.arange(len(parts)), [len(a["faces"]) for a in arrays]),
        material_rgba=np.stack([a["rgba"] for a in arrays]).astype(np.float32),
        material_texture=np.array([a["texture"] for a in arrays], np.int32),
        textures=tuple(textures),
    )
    up, front = _axis(row["up"]), _axis(row["front"])
    rotation = np.stack([np.cross(-front, up), -front, up])
    low, high = mesh.bounds().astype(np.float64)
    scale = float(1 / np.linalg.norm(high - low))
    return mesh.moved(rotation, scale, -scale * rotation @ (low + high) / 2)


def _axis(name: str) -> np.ndarray:
    return np.array(AXES[name[1]]) * (1.0 if name[0] == "+" else -1.0)


def _part(part: trimesh.Trimesh, textures: list[np.ndarray]) -> dict:
    """The arrays of one part; a texture it has is added to the list."""
    material = getattr(part.visual, "material", None)
    image = getattr(material, "image", None) or getattr(material, "baseColorTexture", None)
    rgba = np.ones(4)
    if image is None:
        rgba = np.asarray(getattr(material, "main_color", [178, 178, 178, 255])) / 255
    else:
        textures.append(np.asarray(image.convert("RGBA")))
    uv = getattr(part.visual, "uv", None)
    return {
        "vertices": part.vertices,
        "faces": part.faces,
        "normals": part.vertex_normals,
        "uv": np.zeros((len(part.vertices), 2)) if uv is None else uv,
        "rgba": rgba,
        "texture": -1 if image is None else len(textures) - 1,
    }


def box(low: tuple[float, ...], high: tuple[float, ...], rgba=(0.7, 0.7, 0.7, 1.0)) -> Mesh:
    """A box of one colour, corners not shared between its sides."""
    cuboid = trimesh.creation.box(bounds=[low, high])
    return Mesh.plain(cuboid.triangles.reshape(-1, 3), np.arange(36).reshape(12, 3), rgba)


def joined(*meshes: Mesh) -> Mesh:
    """Meshes without textures as one."""
    vertices = np.cumsum([0] + [len(m.vertices) for m in meshes])
    materials = np.cumsum([0] + [len(m.material_rgba) for m in meshes])
    faces = [m.faces + n for m, n in zip(meshes, vertices)]
    face_material = [m.face_material + n for m, n in zip(meshes, materials)]
    return Mesh(
        vertices=np.concatenate([m.vertices for m in meshes]),
        faces=np.concatenate(faces).astype(np.int32),
        normals=np.concatenate([m.normals for m in meshes]),
        uv=np.concatenate([m.uv for m in meshes]),
        face_material=np.concatenate(face_material).astype(np.int32),
        material_rgba=np.concatenate([m.material_rgba for m in meshes]),
        material_texture=np.full(materials[-1], -1, np.int32),
    )


def textured_quad(image: np.ndarray, repeat: float = 1.0) -> Mesh:
    """A square of side 0.8 in the plane y = 0 that faces the front, `repeat` textures a side."""
    corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float32)
    return Mesh(
        vertices=np.stack([0.8 * corners[:, 0] - 0.4, np.zeros(4), 0.8 * corners[:, 1] - 0.4], -1),
        faces=np.array([[0, 1, 2], [0, 2, 3]], np.int32),
        normals=np.tile(np.array([0, -1, 0], np.float32), (4, 1)),
        uv=corners * np.float32(repeat),
        face_material=np.zeros(2, np.int32),
        material_rgba=np.ones((1, 4), np.float32),
        material_texture=np.zeros(1, np.int32),
        textures=(image,),
    )

"""A mesh made ready for drawing, and what a view of it is: shared by both renderers.

Whatever the two renderers could do differently is settled here once, so that the rasteriser and
OpenGL draw the same picture: which side a normal is on, which faces are holes, in what order faces
are drawn, how finely a texture is sampled.

- Two-sided: corner normals are turned to the side from which the corners run counter-clockwise. A
  renderer then only negates them where it sees the other side, and flipped faces do not matter.
- Holes: texture alpha below 0.5, and materials that cannot be seen at all, are not drawn; the rest
  is opaque. Glass is drawn, so that tops of glass tables, which the voxels have, are in the masks.
- Order: by texture, then as in the mesh. Of faces at the same place the rasteriser shows the
  first, OpenGL the first or a pattern made by rounding.
- Scale: a view may see the shape scaled along x, y and z, as if the mesh had been scaled before:
  the normals of the corners are divided by the factors (the inverse transpose) and made unit again.
- Textures: bilinear, repeated, rows top to bottom, `uv` (0, 0) at the lower left. Each is first
  shrunk (box filter, a power of two per side) until a pixel steps over less than two texels.

Shading is Lambert's law on sRGB values as stored in files (not linearised): the colour times
`ambient + directional * max(0, n . l)`, cut at white.

Letters: V vertices, F faces, T textures, B texels of all textures.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from stages.geometry.mesh import Mesh

ALPHA_CUT = 0.5  # texels less opaque than this are holes
GLASS_CUT = 0.02  # materials less opaque than this cannot be seen
NEAR = 0.05  # depth in world units below which nothing is drawn

# Compiled loops read arrays by scalar index and pass tuples of numbers: a row taken as an array of
# its own, or arrays handed to a function on every pixel, cost more than the arithmetic.
compiled = njit(cache=True, nogil=True, error_model="numpy")


class Surface(NamedTuple):
    """What the renderers draw; a named tuple of arrays, so that compiled code takes it whole."""

    vertices: np.ndarray  # (V, 3) float32
    faces: np.ndarray  # (F, 3) int32
    normals: np.ndarray  # (F, 3, 3) float32, of each corner, on the counter-clockwise side
    uv: np.ndarray  # (V, 2) float32
    rgba: np.ndarray  # (F, 4) float32, sRGB 0..1
    texture: np.ndarray  # (F,) int32, ascending, -1 for none
    cutout: np.ndarray  # (F,) bool, the texture may leave holes in it
    texels: np.ndarray  # (B, 4) uint8
    layout: np.ndarray  # (T, 3) int64, first texel, height, width


class Light(NamedTuple):
    """A directional light at a fixed place beside the camera, and an ambient one."""

    towards: np.ndarray  # (3,) float64, to the light in the camera frame, as long as it is strong
    ambient: float


class Shot(NamedTuple):
    """One view of a surface."""

    extrinsics: np.ndarray  # (3, 4) float64 [R | t], x_cam = R (scale * x_world) + t
    lens: np.ndarray  # (3, 3) float64 intrinsic matrix in pixels
    size: int  # pixels a side
    light: Light
    scale: np.ndarray = np.ones(3)  # factors along x, y, z, all positive


def light(azimuth_deg: float, elevation_deg: float, directional: float, ambient: float) -> Light:
    """The light seen from the object at so many degrees right of and above the camera.

    The last two are strengths: a face turned to a directional light of 1 has its own colour.
    """
    a, e = np.radians([azimuth_deg, elevation_deg])
    direction = np.array([np.cos(e) * np.sin(a), -np.sin(e), -np.cos(e) * np.cos(a)])
    return Light(directional * direction, ambient)


def prepare(mesh: Mesh, smooth: bool, pixels_per_unit: float) -> Surface:
    """The mesh ready for drawing.

    smooth: use the normals of the mesh, else those of the faces. pixels_per_unit: size in the
    picture of one world unit at the object, which says how far textures are shrunk.
    """
    rgba = np.clip(mesh.material_rgba[mesh.face_material], 0, 1)  # (F, 4)
    rgba[:, 3] = rgba[:, 3] >= GLASS_CUT
    texture = mesh.material_texture[mesh.face_material]
    alpha_low = np.array([t[..., 3].min(initial=255) / 255 for t in mesh.textures] + [1.0])
    cutout = alpha_low[texture] < ALPHA_CUT  # texture -1 reads the last entry
    keep = np.flatnonzero(rgba[:, 3])
    keep = keep[np.argsort(texture[keep], kind="stable")]
    vertices = np.ascontiguousarray(mesh.vertices, np.float32)
    faces = np.ascontiguousarray(mesh.faces[keep], np.int32)
    uv = np.nan_to_num(mesh.uv, nan=0.0, posinf=0.0, neginf=0.0)
    textures = []
    for t, image in enumerate(mesh.textures):
        used = faces[texture[keep] == t]
        texels_per_unit = _texel_density(mesh.vertices[used], uv[used], image.shape)
        textures.append(_shrunk(image, texels_per_unit / pixels_per_unit))
    sizes = np.array([t.shape[:2] for t in textures], np.int64).reshape(-1, 2)
    starts = np.cumsum(sizes.prod(1)) - sizes.prod(1)
    return Surface(
        vertices=vertices,
        faces=faces,
        normals=_corner_normals(vertices, faces, mesh.normals, smooth),
        uv=np.ascontiguousarray(uv, np.float32),
        rgba=np.ascontiguousarray(rgba[keep], np.float32),
        texture=np.ascontiguousarray(texture[keep], np.int32),
        cutout=cutout[keep],
        texels=np.concatenate([np.zeros((0, 4), np.uint8), *(t.reshape(-1, 4) for t in textures)]),
        layout=np.column_stack([starts, sizes]),
    )


@compiled
def _corner_normals(vertices, faces, normals, smooth):
    """(F, 3, 3) float32 unit normals of the corners, on the side that runs counter-clockwise.

    Those of the face where not smooth, or where the normal of a vertex is zero or not a number.
    """
    out = np.empty((len(faces), 3, 3), np.float32)
    for f in range(len(faces)):
        i, j, k = faces[f, 0], faces[f, 1], faces[f, 2]
        p = (
            vertices[j, 0] - vertices[i, 0],
            vertices[j, 1] - vertices[i, 1],
            vertices[j, 2] - vertices[i, 2],
        )
        q = (
            vertices[k, 0] - vertices[i, 0],
            vertices[k, 1] - vertices[i, 1],
            vertices[k, 2] - vertices[i, 2],
        )
        face = _unit(
            p[1] * q[2] - p[2] * q[1], p[2] * q[0] - p[0] * q[2], p[0] * q[1] - p[1] * q[0]
        )
        for corner in range(3):
            n, side = face, 1.0
            if smooth:
                v = faces[f, corner]
                n = _unit(normals[v, 0], normals[v, 1], normals[v, 2])
                along = n[0] * face[0] + n[1] * face[1] + n[2] * face[2]
                if not n[0] * n[0] + n[1] * n[1] + n[2] * n[2] > 0:
                    n = face
                elif along < 0:
                    side = -1.0
            for axis in range(3):
                out[f, corner, axis] = side * n[axis]
    return out


@compiled
def _unit(x, y, z):
    x, y, z = np.float64(x), np.float64(y), np.float64(z)
    length = np.sqrt(x * x + y * y + z * z)
    return (x / length, y / length, z / length) if length > 0 else (0.0, 0.0, 0.0)


def _texel_density(corners: np.ndarray, uv: np.ndarray, shape: tuple[int, ...]) -> float:
    """Texels a world unit, the median over the area of (n, 3, 3) corners with (n, 3, 2) uv."""
    edges, uv_edges = corners[:, 1:] - corners[:, :1], uv[:, 1:] - uv[:, :1]
    area = np.linalg.norm(np.cross(edges[:, 0], edges[:, 1]), axis=-1)  # (n,)
    texels = np.abs(np.linalg.det(uv_edges.astype(np.float64))) * shape[0] * shape[1]
    density = np.sqrt(texels / np.where(area > 0, area, np.inf))
    order = np.argsort(density)
    heaviest = np.cumsum(area[order])
    middle = np.searchsorted(heaviest, heaviest[-1] / 2) if len(order) else 0
    return float(density[order[middle]]) if len(order) else 0.0


def _shrunk(image: np.ndarray, texels_per_pixel: float) -> np.ndarray:
    """The (h, w, 4) texture box-filtered until a pixel steps over less than two texels."""
    from PIL import Image

    halvings = int(np.log2(max(1.0, texels_per_pixel)))
    if not halvings:
        return image
    height, width = (max(1, side >> halvings) for side in image.shape[:2])
    # Colour and alpha apart: Pillow would weigh colour by alpha, which bilinear sampling does not.
    parts = (Image.fromarray(np.ascontiguousarray(p)) for p in (image[..., :3], image[..., 3]))
    return np.dstack([np.asarray(p.resize((width, height), Image.Resampling.BOX)) for p in parts])

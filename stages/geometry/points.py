"""Point clouds: from depth maps, from the surface of a mesh, and how far apart two of them are.

Letters: V views, H W picture, N M points.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from stages.errors import ItemError
from stages.geometry import orthographic
from stages.geometry.mesh import Mesh

Array = Any  # np.ndarray or torch.Tensor


def fuse(depth: Array, mask: Array, extrinsics: Array) -> Array:
    """(N, 3) world points of the pixels in the mask, view by view and row by row.

    depth: (V, H, W) orthographic depth maps (`stages.geometry.orthographic`); mask: (V, H, W)
    booleans; extrinsics: (V, 3, 4). NumPy arrays or Torch tensors, differentiable in the depths.
    """
    return orthographic.xyz_maps(depth, extrinsics)[mask]


def sample_surface(mesh: Mesh, count: int, rng: np.random.Generator) -> np.ndarray:
    """(count, 3) float64 points drawn uniformly over the area of a mesh, in its frame.

    Raises ItemError for a mesh without area.
    """
    corners = mesh.triangles.astype(np.float64)  # (F, 3, 3)
    edges = corners[:, 1:] - corners[:, :1]  # (F, 2, 3)
    area = np.linalg.norm(np.cross(edges[:, 0], edges[:, 1]), axis=-1)
    if not area.sum() > 0:
        raise ItemError("the surface of the mesh has no area")
    chosen = rng.choice(len(area), count, p=area / area.sum())
    weights = rng.random((count, 2))
    outside = weights.sum(1) > 1  # the other half of the parallelogram, folded back
    weights[outside] = 1 - weights[outside]
    return corners[chosen, 0] + np.einsum("nk,nkd->nd", weights, edges[chosen])


def filled_cells(points: np.ndarray, res: int) -> np.ndarray:
    """(res, res, res) bool [x, y, z]: cells of the unit cube around the origin that hold points of
    (N, 3), holes filled.

    A hole is what no path between faces of cells leaves: a cloud of a closed surface becomes solid.
    """
    from scipy.ndimage import binary_fill_holes

    cells = np.floor((points + 0.5) * res).astype(int)
    cells = cells[((cells >= 0) & (cells < res)).all(1)]
    filled = np.zeros((res, res, res), bool)
    filled[tuple(cells.T)] = True
    return binary_fill_holes(filled)


def nearest(points: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """(N,) float64 distances from points (N, 3) to the nearest of targets (M, 3).

    Infinite where there are no targets.
    """
    from scipy.spatial import cKDTree

    return cKDTree(targets).query(points)[0]

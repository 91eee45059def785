"""Normals for meshes whose files give none: smooth over curved surfaces, sharp at edges."""

from __future__ import annotations

import numpy as np

CREASE_DEG = 40.0  # faces that meet at a sharper angle are shaded apart


def complete_normals(
    vertices: np.ndarray, faces: np.ndarray, given: np.ndarray, crease_deg: float = CREASE_DEG
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Unit normals for every corner of (F, 3) `faces` over (V, 3) `vertices`.

    `given` (V, 3) are the file's; rows that are NaN, infinite or zero are computed: the
    area-weighted mean over the faces that one can walk to around that point, across edges that
    bend by less than `crease_deg`. Points are the same where their coordinates are, whatever their
    index, so texture seams do not show; faces turned inside out do not mix with their neighbours.

    Returns (W,) the rows of `vertices` (and of whatever goes with them) in their new order, split
    where normals differ, unused ones left out; (F, 3) the faces over them; (W, 3) the normals.
    """
    length = np.linalg.norm(given, axis=1)
    is_given = np.isfinite(length) & (length > 1e-12)
    group, means = _smooth_groups(vertices, faces, crease_deg)  # (3F,), (G, 3)
    corners = faces.reshape(-1)
    group = np.where(is_given[corners], 0, group + 1)
    key = corners.astype(np.int64) * (len(means) + 1) + group
    _, first, inverse = np.unique(key, return_index=True, return_inverse=True)
    rows = corners[first]
    normals = np.where(is_given[rows, None], given[rows], means[group[first] - 1])
    normals = normals / np.linalg.norm(normals, axis=1, keepdims=True)
    return rows, inverse.reshape(-1, 3), normals


def _smooth_groups(
    vertices: np.ndarray, faces: np.ndarray, crease_deg: float
) -> tuple[np.ndarray, np.ndarray]:
    """(3F,) the group of each corner, and (G, 3) the unit normal of each group."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    a, b, c = (vertices[faces[:, k]] for k in range(3))
    area = np.cross(b - a, c - a)  # (F, 3) twice the area long
    length = np.linalg.norm(area, axis=1, keepdims=True)
    unit = area / np.where(length > 0, length, 1)
    place = places(vertices)[faces]  # (F, 3)
    one, two = _neighbours(place)  # half-edges 3f + k, from corner k to corner k + 1
    bend = np.einsum("ij,ij->i", unit[one // 3], unit[two // 3])
    smooth = bend > np.cos(np.radians(crease_deg))
    one, two = one[smooth], two[smooth]
    flat = place.reshape(-1)
    # Two faces on one edge may run along it in opposite directions or, inside out, in the same one.
    after_one, after_two = _next(one), _next(two)
    same = flat[one] == flat[two]
    rows = np.concatenate([one, after_one])
    columns = np.concatenate([np.where(same, two, after_two), np.where(same, after_two, two)])
    count = 3 * len(faces)
    graph = coo_array((np.ones(len(rows), bool), (rows, columns)), shape=(count, count))
    groups, label = connected_components(graph, directed=False)
    weights = np.repeat(area, 3, axis=0)
    total = np.stack([np.bincount(label, weights[:, k], minlength=groups) for k in range(3)], -1)
    # A group that cancels out takes the normal of its first face.
    size = np.linalg.norm(total, axis=1, keepdims=True)
    _, first = np.unique(label, return_index=True)
    total = np.where(size > 1e-9 * length[first // 3], total, unit[first // 3])
    return label, total / np.linalg.norm(total, axis=1, keepdims=True)


def _next(half_edge: np.ndarray) -> np.ndarray:
    """The corner at the far end of each half-edge."""
    return half_edge + np.where(half_edge % 3 == 2, -2, 1)


def places(table: np.ndarray) -> np.ndarray:
    """(V,) a number for each row of a (V, n) table, equal where the rows are."""
    rows = np.ascontiguousarray(table + 0.0)  # -0.0 becomes 0.0
    _, place = np.unique(rows.view(np.dtype((np.void, rows[0].nbytes))), return_inverse=True)
    return place.reshape(-1)


def _neighbours(place: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of half-edges between the same two places.

    Where more than two faces share an edge, each meets the three after it: surfaces that were
    modelled twice, once for each side, still find their neighbours.
    """
    tail = place.reshape(-1)
    head = np.roll(place, -1, axis=1).reshape(-1)
    key = np.minimum(tail, head) * (int(place.max(initial=0)) + 1) + np.maximum(tail, head)
    order = np.argsort(key, kind="stable")
    key = key[order]
    ones, twos = [], []
    for step in (1, 2, 3):
        match = np.flatnonzero(key[step:] == key[:-step])
        ones.append(order[match])
        twos.append(order[match + step])
    return np.concatenate(ones), np.concatenate(twos)

"""The text formats OBJ and OFF.

Read here rather than through trimesh (5.2), which takes the negative indices of OBJ from the end
of the file instead of from the line they stand in, reads index 0 as 1, knows one material library
only, takes time quadratic in the number of materials, believes the counts of OFF and drops its
colours.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain

import numpy as np

from stages.errors import ItemError
from stages.shapes.importing.parts import PLAIN, Material, Part, face_colours, fan, painted

_OFF_COLUMNS = {"OFF": 3, "COFF": 3, "NOFF": 6, "CNOFF": 6}  # of a vertex before its colour


def _numbers(rows: Sequence[Sequence[str]], dtype: type, what: str) -> np.ndarray:
    """(n, k) numbers of words; ItemError when one is no number, or rows differ in length."""
    try:
        return np.array(rows, dtype=dtype)
    except (ValueError, OverflowError):
        raise ItemError(f"a line of {what} is damaged") from None


@dataclass
class _Obj:
    """The lines of an OBJ file by kind, words split."""

    v: list[list[str]] = field(default_factory=list)
    vt: list[list[str]] = field(default_factory=list)
    vn: list[list[str]] = field(default_factory=list)
    corners: list[str] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    runs: list[tuple[int, str]] = field(default_factory=lambda: [(0, "")])  # from polygon, material


def read_obj(text: str, material: Callable[[str], Material]) -> list[Part]:
    """The part of an OBJ file, one vertex for each combination of position, texture and normal.

    `material` gives the material of a name in `usemtl`. Polygons are cut as fans; lines, points,
    curves and groups are passed over. Raises ItemError for a damaged line and an index that is 0.
    """
    lines = _collect(text)
    if not lines.v and not lines.sizes:
        raise ItemError("it is no OBJ file: it has neither vertices nor faces")
    if not lines.sizes:
        return []
    v, vt, vn = _corner_indices(lines.corners).T  # (C,) from 0, -1 for none
    positions = _numbers([row[:3] for row in lines.v], np.float64, "vertices")
    polygons, polygon = fan(np.array(lines.sizes))
    counts = (len(lines.v), len(lines.vt), len(lines.vn))
    for index, count, what in zip((v, vt, vn), counts, ("vertex", "vt", "vn")):
        if len(index) and index.max() >= count:
            raise ItemError(f"a face names {what} {index.max() + 1}, there are {count}")
    if positions.shape[1] != 3:
        raise ItemError("a line of vertices is damaged")
    used, faces = _combined(v, vt, vn, counts)
    v, vt, vn = v[used], vt[used], vn[used]
    faces = faces[polygons]
    part = Part(
        vertices=positions[v],
        faces=faces,
        normals=_chosen(lines.vn, vn, 3, "vn"),
        uv=_chosen(lines.vt, vt, 2, "vt"),
    )
    names = {name: n for n, name in enumerate(dict.fromkeys(name for _, name in lines.runs))}
    materials = [material(name) for name in names]
    if all(m is PLAIN for m in materials) and all(len(row) >= 6 for row in lines.v):
        rgb = _numbers([row[3:6] for row in lines.v], np.float64, "vertices")
        scale = 1 if rgb.max() > 1 else 255  # some write 0..255
        rgba = np.concatenate([rgb * scale, np.full((len(rgb), 1), 255)], 1)
        return [painted(part, face_colours(rgba[v], faces))]
    run = np.searchsorted([start for start, _ in lines.runs], polygon, side="right") - 1
    rows = np.array([names[name] for _, name in lines.runs])[run]
    return [replace(part, materials=materials, face_material=rows)]


def _collect(text: str) -> _Obj:
    lines = _Obj()
    kinds = {"v": lines.v, "vt": lines.vt, "vn": lines.vn}
    for line in text.replace("\\\r\n", " ").replace("\\\n", " ").splitlines():
        words = line.split()
        if not words:
            continue
        kind = words[0]
        if kind in kinds:
            kinds[kind].append(words[1:])
        elif kind == "f":
            corners = words[1:]
            if "#" in line:
                corners = line.split("#", 1)[0].split()[1:]
            if "-" in line:
                counts = (len(lines.v), len(lines.vt), len(lines.vn))
                corners = [_absolute(corner, counts) for corner in corners]
            if len(corners) >= 3:
                lines.corners += corners
                lines.sizes.append(len(corners))
        elif kind == "usemtl":
            lines.runs.append((len(lines.sizes), line.strip()[6:].strip()))
    return lines


def _absolute(corner: str, counts: tuple[int, int, int]) -> str:
    """A corner whose negative indices, counted back from this line, are made positive."""
    words = corner.split("/")
    try:
        found = [
            str(count + int(word) + 1) if word.startswith("-") else word
            for word, count in zip(words, counts)
        ]
    except ValueError:
        raise ItemError(f"a face has the corner {corner!r}") from None
    if any(word.startswith("-") or word == "0" for word in found):
        raise ItemError(f"a face has the corner {corner!r}, before the first vertex")
    return "/".join(found)


def _corner_indices(corners: list[str]) -> np.ndarray:
    """(C, 3) int64 rows of v, vt and vn from 0; -1 where a corner names none."""
    joined = " ".join(corners)
    slashes, doubles, count = joined.count("/"), joined.count("//"), len(corners)
    result = np.full((count, 3), -1, np.int64)
    columns = None
    if slashes == 0:
        columns = [0]
    elif slashes == 2 * count and doubles == count:
        columns = [0, 2]
    elif slashes == count and doubles == 0:
        columns = [0, 1]
    elif slashes == 2 * count and doubles == 0:
        columns = [0, 1, 2]
    words = joined.replace("/", " ").split() if columns else []
    if columns and len(words) == count * len(columns):
        values = _numbers(words, np.int64, "faces").reshape(count, -1)
        if (values < 1).any():
            raise ItemError("a face has the index 0")
        result[:, columns] = values - 1
        return result
    padded = [(*(word or "0" for word in c.split("/")), "0", "0")[:3] for c in corners]
    result[:] = _numbers(padded, np.int64, "faces") - 1
    if (result[:, 0] < 0).any() or (result < -1).any():
        raise ItemError("a face has the index 0")
    return result


def _combined(
    v: np.ndarray, vt: np.ndarray, vn: np.ndarray, counts: tuple[int, int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """One corner of each combination of indices, and (C,) the combination of every corner."""
    spans = (counts[1] + 1, counts[2] + 1)
    if counts[0] * spans[0] * spans[1] < 1 << 62:
        key = (v * spans[0] + vt + 1) * spans[1] + vn + 1
        _, first, inverse = np.unique(key, return_index=True, return_inverse=True)
    else:
        table = np.stack([v, vt, vn], -1)
        _, first, inverse = np.unique(table, axis=0, return_index=True, return_inverse=True)
    return first, inverse.reshape(-1)


def _chosen(rows: list[list[str]], index: np.ndarray, width: int, what: str) -> np.ndarray | None:
    """(V, width) the rows of vt or vn that vertices name, NaN for none; None if none does."""
    if not (index >= 0).any():
        return None
    padded = [(*row[:width], "0")[:width] for row in rows]  # a vt may have one coordinate
    table = np.concatenate([_numbers(padded, np.float64, what), np.full((1, width), np.nan)])
    return table[index]  # -1 is the last row


def read_off(text: str) -> list[Part]:
    """The part of an OFF, COFF (vertex colours), NOFF or CNOFF file; also with a broken header
    (`OFF8 12 0`). Colours of faces count if there are no vertex colours.

    Raises ItemError for anything else, and for counts that the file does not hold.
    """
    lines = [words for line in text.splitlines() if (words := line.split("#", 1)[0].split())]
    kind, counts, start = _off_header(lines)
    n_vertices, n_faces = counts
    held = len(lines) - start
    if n_vertices < 0 or n_faces < 0 or n_vertices + n_faces > held:
        raise ItemError(
            f"it declares {n_vertices} vertices and {n_faces} faces in {held} further lines"
        )
    rows = lines[start : start + n_vertices]
    if n_vertices == 0 or n_faces == 0:
        return []
    vertices = _numbers([row[:3] for row in rows], np.float64, "vertices")
    if vertices.shape != (n_vertices, 3):
        raise ItemError("a line of vertices is damaged")
    polygons = lines[start + n_vertices : start + n_vertices + n_faces]
    sizes = _numbers([row[0] for row in polygons], np.int64, "faces")
    if any(size < 0 or len(row) <= size for row, size in zip(polygons, sizes)):
        raise ItemError("a face has fewer corners than it declares")
    keep = sizes >= 3
    polygons, sizes = [p for p, k in zip(polygons, keep) if k], sizes[keep]
    words = list(chain.from_iterable(row[1 : 1 + size] for row, size in zip(polygons, sizes)))
    triangles, polygon = fan(sizes)
    faces = _numbers(words, np.int64, "faces")[triangles]
    if faces.size and (faces.min() < 0 or faces.max() >= n_vertices):
        raise ItemError(f"a face names a vertex that is none of the {n_vertices}")
    normals = _numbers([row[3:6] for row in rows], np.float64, "vertices") if "N" in kind else None
    part = Part(vertices, faces, normals=normals)
    first = _OFF_COLUMNS[kind]
    if "C" in kind and all(len(row) >= first + 3 for row in rows):
        return [painted(part, face_colours(_rgba([row[first : first + 4] for row in rows]), faces))]
    if polygons and all(len(row) >= size + 4 for row, size in zip(polygons, sizes)):
        rgba = _rgba([row[1 + size : 5 + size] for row, size in zip(polygons, sizes)])
        return [painted(part, np.rint(rgba).astype(np.uint8)[polygon])]
    return [part]


def _off_header(lines: list[list[str]]) -> tuple[str, tuple[int, int], int]:
    """The kind of OFF file, the counts of vertices and faces, and the line where data begin."""
    if not lines or "OFF" not in lines[0][0]:
        raise ItemError("it is no OFF file: it does not begin with OFF")
    kind, glued = lines[0][0].split("OFF", 1)
    kind += "OFF"
    if kind not in _OFF_COLUMNS:
        raise ItemError(f"{kind} files are not read, only {', '.join(_OFF_COLUMNS)}")
    counts, start = [*([glued] if glued else []), *lines[0][1:]], 1
    if not counts and len(lines) > 1:
        counts, start = lines[1], 2
    try:
        return kind, (int(counts[0]), int(counts[1])), start
    except (ValueError, IndexError):
        raise ItemError("it does not say how many vertices and faces it has") from None


def _rgba(rows: list[list[str]]) -> np.ndarray:
    """(n, 4) colours 0..255; words with a point are 0..1."""
    scale = 255 if any("." in word for word in rows[0]) else 1
    padded = [(*row[:3], row[3] if len(row) > 3 else str(255 / scale)) for row in rows]
    return np.clip(np.nan_to_num(_numbers(padded, np.float64, "colours") * scale), 0, 255)

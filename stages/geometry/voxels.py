"""Voxel grids as points, as surfaces and as `.binvox` files.

Grids are `[x, y, z]`; the centre of voxel i is at `(i + 0.5) / res * extent + origin`.
"""

from __future__ import annotations

import numpy as np

from stages.errors import ItemError
from stages.geometry.mesh import Mesh

_LONGEST_RUN = 255  # counts are bytes
_LONGEST_HEADER = 1000


def centres(res: int, origin: np.ndarray, extent: float) -> np.ndarray:
    """(res, res, res, 3) float64 world positions of the voxel centres."""
    steps = (np.arange(res) + 0.5) / res * _number(extent)
    return np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), -1) + np.asarray(origin)


def to_mesh(values: np.ndarray, origin: np.ndarray, extent: float, threshold: float = 0.5) -> Mesh:
    """The closed surface around the voxels that reach the threshold, in world coordinates.

    `values` is (res, res, res), occupied or not, or a number for each voxel, taken to lie at its
    centre; outside of the grid it is 0. Marching cubes (Lewiner et al. 2003), outside faces out.
    Raises ItemError if no voxel reaches the threshold, which must be above 0.
    """
    from skimage.measure import marching_cubes

    padded = np.pad(np.asarray(values, np.float32), 1)
    if not 0 < threshold < padded.max():
        raise ItemError(f"no surface: the largest value is {padded.max():g}, wanted {threshold:g}")
    # "ascent" is what turns counter-clockwise faces outwards where the inside is higher
    places, faces, _, _ = marching_cubes(padded, threshold, gradient_direction="ascent")
    scale = _number(extent) / len(values)
    return Mesh.plain((places - 0.5) * scale + np.asarray(origin), faces)


def encode_binvox(voxels: np.ndarray, origin: np.ndarray, extent: float) -> bytes:
    """The bytes of a `.binvox` file: origin becomes its `translate`, extent its `scale`.

    Runs of (value, count) bytes with y fastest, then z, then x.
    """
    flat = np.asarray(voxels, bool).transpose(0, 2, 1).reshape(-1)
    starts = np.flatnonzero(np.concatenate([[True], flat[1:] != flat[:-1]]))
    lengths = np.diff(starts, append=len(flat))
    pieces = -(-lengths // _LONGEST_RUN)  # a long run is split: full pieces, then the rest
    counts = np.full(pieces.sum(), _LONGEST_RUN, np.uint8)
    counts[np.cumsum(pieces) - 1] = lengths - _LONGEST_RUN * (pieces - 1)
    runs = np.stack([np.repeat(flat[starts], pieces).astype(np.uint8), counts], -1)
    translate = " ".join(f"{v:.9g}" for v in origin)
    size = " ".join(str(n) for n in voxels.shape)
    header = f"#binvox 1\ndim {size}\ntranslate {translate}\nscale {_number(extent):.9g}\ndata\n"
    return header.encode() + runs.tobytes()


def decode_binvox(data: bytes) -> tuple[np.ndarray, np.ndarray, float]:
    """(d, d, d) bool voxels [x, y, z], (3,) float64 origin and extent of a `.binvox` file.

    The frame is the file's own; many programs write y up. Raises ItemError unless every byte of
    the file is as it must be.
    """
    lines, runs = _binvox_parts(data)
    size = _numbers(lines, "dim", 3)
    if (size < 1).any() or (size != np.floor(size)).any() or (size != size[0]).any():
        raise ItemError(f"binvox: dim {' '.join(f'{n:g}' for n in size)} is no cube")
    side, extent = int(size[0]), float(_numbers(lines, "scale", 1)[0])
    if extent <= 0:
        raise ItemError(f"binvox: scale {extent:g} is not above 0")
    if len(runs) % 2:
        raise ItemError("binvox: the last run has no count")
    values, counts = np.frombuffer(runs, np.uint8).reshape(-1, 2).T
    if values.max(initial=0) > 1:
        raise ItemError(f"binvox: a voxel has the value {values.max()}")
    total = int(counts.sum(dtype=np.int64))
    if total != side**3:  # before anything of that size is made
        raise ItemError(f"binvox: {total} voxels in a grid of {side}^3")
    voxels = np.repeat(values.astype(bool), counts).reshape(side, side, side)
    return voxels.transpose(0, 2, 1).copy(), _numbers(lines, "translate", 3), extent


def _binvox_parts(data: bytes) -> tuple[dict[str, str], bytes]:
    """What the header says, by its first words, and the runs behind it."""
    header, separator, _ = data[:_LONGEST_HEADER].partition(b"\ndata")
    end = data.find(b"\n", len(header) + 1)
    lines = [line.strip().partition(" ") for line in header.decode("latin-1").splitlines()]
    if not separator or end < 0 or lines[0] != ("#binvox", " ", "1"):
        raise ItemError("no binvox file: it has no proper header")
    return {name: rest for name, _, rest in lines}, data[end + 1 :]


def _numbers(lines: dict[str, str], name: str, count: int) -> np.ndarray:
    """(count,) finite float64 numbers of a line of the header."""
    try:
        numbers = np.array([float(word) for word in lines[name].split()])
    except (KeyError, ValueError):
        numbers = np.empty(0)
    if len(numbers) != count or not np.isfinite(numbers).all():
        raise ItemError(f"binvox: the header has no proper {name}")
    return numbers


def _number(extent: float | np.ndarray) -> float:
    """A side, as number or as array of one number."""
    return float(np.asarray(extent).reshape(()))

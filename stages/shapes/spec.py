"""The arrays of a shape in the cache: one SPEC for the importer and for the generator.

Letters: V vertices, F faces, M materials, T textures, K keypoints. `Mesh.to_arrays` gives the
mesh part, `labels` the rest; `Mesh.from_arrays` reads it back.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from stages.stage import Arrays, ArraySpec

# World: z up, front -y, bounding box centred, diagonal 1 (the object's own left is +x).
FRAME = "canonical"
UNITS = "bounding box diagonals"

SPEC: dict[str, ArraySpec] = {
    "vertices": ArraySpec("float32", ("vertex", "xyz"), UNITS, FRAME, shape=(None, 3), ragged=True),
    "faces": ArraySpec(
        "int32", ("face", "corner"), "row of vertices", shape=(None, 3), ragged=True
    ),
    "normals": ArraySpec("float32", ("vertex", "xyz"), "1", FRAME, shape=(None, 3), ragged=True),
    "uv": ArraySpec(
        "float32", ("vertex", "uv"), "texture widths and heights", shape=(None, 2), ragged=True
    ),
    "face_material": ArraySpec("int32", ("face",), "row of material_rgba", ragged=True),
    "material_rgba": ArraySpec(
        "float32", ("material", "rgba"), "sRGB, 0..1", shape=(None, 4), ragged=True
    ),
    "material_texture": ArraySpec("int32", ("material",), "texture, -1 for none", ragged=True),
    "texture_shapes": ArraySpec(
        "int32", ("texture", "hwc"), "pixels", shape=(None, 3), ragged=True
    ),
    "texture_bytes": ArraySpec("uint8", ("byte",), "sRGB and alpha, 0..255", ragged=True),
    "keypoints": ArraySpec(
        "float32", ("keypoint", "xyz"), UNITS, FRAME, shape=(None, 3), ragged=True
    ),
    "keypoint_names": ArraySpec("S32", ("keypoint",), ragged=True),
    "split": ArraySpec("S16", label=True),  # train, val, test; empty: not assigned
    "family": ArraySpec("S64", label=True),  # shapes of one family never straddle a split
    "source": ArraySpec("S200"),
    "licence": ArraySpec("S64"),
    "notes": ArraySpec("S160", ("note",), ragged=True),  # what was not quite right with the file
}
_MOST_NOTES = 20


def labels(split: str, family: str, source: str, licence: str, notes: Sequence[str] = ()) -> Arrays:
    """The labels of a shape as 0-d byte strings, and its notes as an (n,) array of them.

    Texts are cut at the lengths in SPEC, no character in two; of many notes the first are kept.
    """
    values = {"split": split, "family": family, "source": source, "licence": licence}
    if len(notes) > _MOST_NOTES:
        notes = [*notes[: _MOST_NOTES - 1], f"and {len(notes) - _MOST_NOTES + 1} more"]
    return {
        **{name: np.array(_cut(name, value)) for name, value in values.items()},
        "notes": np.array([_cut("notes", note) for note in notes], SPEC["notes"].dtype),
    }


def _cut(name: str, text: str) -> bytes:
    data = text.encode("utf-8", "replace")[: np.dtype(SPEC[name].dtype).itemsize]
    return data.decode(errors="ignore").encode()

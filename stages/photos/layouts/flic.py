"""FLIC (Sapp and Taskar 2013): people in frames of films, upper-body joints.

    examples.mat   examples, a struct array: filepath, moviename, coords (2, 29), torsobox (1, 4),
                   istrain, istest, imgdims (height, width, channels)
    images/        the pictures that filepath names

Coordinates are medians of five annotators, counted from 1; NaN is not annotated. Of the 29 columns
those of NAMES are annotated. The box of an item is torsobox; PCK measures in units of the torso,
from lsho to rhip. The film is the family: its frames are near-copies. Whose left is meant is not
said; the names are taken as they are. FLIC-full is of the same layout.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any

from stages.errors import InputError, ItemError
from stages.photos.annotated import LISTING, Annotated, Entry, to_points
from stages.photos.annotated import result_or_error as checked
from stages.photos.values import number, numbers, structs, text, vector
from stages.store.guarded import call_each
from stages.viewpoints.matfile import read_mat

_FROM_ONE = -0.5  # pixel 1 has its centre at 0.5
_COLUMNS = 29
_MOST = 1_000_000
# name -> column of coords
NAMES = {
    "lsho": 0,
    "lelb": 1,
    "lwri": 2,
    "rsho": 3,
    "relb": 4,
    "rwri": 5,
    "lhip": 6,
    "rhip": 9,
    "leye": 12,
    "reye": 13,
    "nose": 16,
}


def read_flic(root: Path) -> list[Entry]:
    """Every person of examples.mat; raises InputError when that cannot be read."""
    path = root / "examples.mat"
    if not path.is_file():
        raise InputError(f"{root} holds no examples.mat", "name the folder FLIC")
    result = call_each(read_examples, [str(path)], LISTING)[0]
    people = checked(result, path)
    return [Entry("person", PurePosixPath(one.path).stem, one) for one in people]


def read_examples(path: str) -> list[Annotated]:
    """The people of an examples.mat; only in a guarded process. Raises ItemError.

    One that is not as it should be carries that as its `problem`.
    """
    examples = structs(read_mat(Path(path), "examples"), "examples")
    if len(examples) > _MOST:
        raise ItemError(f"it has {len(examples)} examples, at most {_MOST} are read")
    people = []
    for count, example in enumerate(examples, 1):
        file = f"example_{count}"
        try:
            file = f"images/{text(_field(example, 'filepath'), 'filepath')}"
            people.append(_person(file, example))
        except ItemError as error:
            people.append(Annotated(file, problem=f"example {count}: {error}"))
    return people


def _person(path: str, example: dict[str, Any]) -> Annotated:
    coords = numbers(_field(example, "coords"), "coords")
    if coords.shape != (2, _COLUMNS):
        raise ItemError(f"coords is {'x'.join(map(str, coords.shape))}, not 2x{_COLUMNS}")
    box = vector(_field(example, "torsobox"), 4, "torsobox")
    size = None
    if "imgdims" in example:
        height, width = vector(numbers(example["imgdims"], "imgdims").ravel()[:2], 2, "imgdims")
        size = [int(width), int(height)]
    flags = {"train": "istrain", "test": "istest"}
    split = [name for name, flag in flags.items() if number(example.get(flag), flag) == 1]
    return Annotated(
        path,
        tuple(NAMES),
        to_points(coords[:, list(NAMES.values())].T, _FROM_ONE),
        bbox=[float(edge) for edge in box - [1, 1, 0, 0]],  # pixels 1 to n are edges 0 to n
        split=split[0] if split else "",
        family=text(example.get("moviename", ""), "moviename"),
        size=size,
    )


def _field(example: dict[str, Any], name: str) -> Any:
    if name not in example:
        raise ItemError(f"there is no {name}")
    return example[name]

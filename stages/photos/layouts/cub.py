"""CUB-200-2011 (Wah et al. 2011): birds of 200 species, 15 parts, one bird a picture.

    images.txt                 <image id> <path in images/>
    train_test_split.txt       <image id> <1 train, 0 test>
    bounding_boxes.txt         <image id> <x> <y> <width> <height>
    parts/parts.txt            <part id> <name>
    parts/part_locs.txt        <image id> <part id> <x> <y> <visible>
    parts/part_click_locs.txt  <image id> <part id> <x> <y> <visible> <time>, one row an annotator;
                               may be missing, sigma is 0 then

The truth is part_locs. Its README does not say where pixels are counted from; the authors' own
toolkit is C++ on OpenCV, so it is taken to be 0. Nor does it say whose left is meant; the names are
taken as they are. All are of the category bird, the species is the family.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from stages.errors import InputError, ItemError
from stages.photos.annotated import Annotated, Entry, Point, checked_names
from stages.photos.layouts.tables import coordinate, read_table

_FROM_ZERO = 0.5  # pixel 0 has its centre at 0.5
_MOST_CLICKS = 100  # of one part in one picture


def read_cub(root: Path) -> list[Entry]:
    """Every picture of images.txt; raises InputError, naming file and line."""
    if not (root / "images.txt").is_file() and (root / "CUB_200_2011").is_dir():
        root, prefix = root / "CUB_200_2011", "CUB_200_2011/images"
    else:
        prefix = "images"
    images = _unique(root / "images.txt", int, str)
    parts = _unique(root / "parts" / "parts.txt", int, str)
    try:
        names = checked_names([row[0] for row in parts.values()])
    except ItemError as error:
        raise InputError(f"parts.txt: {error}", "mend the file") from None
    column = {part: number for number, part in enumerate(parts)}
    train = _unique(root / "train_test_split.txt", int, int)
    boxes = _unique(root / "bounding_boxes.txt", int, *[coordinate] * 4)
    points = _points(root / "parts" / "part_locs.txt", images, column)
    clicks = _clicks(root / "parts" / "part_click_locs.txt", images, column)
    entries = []
    for image, (path,) in images.items():
        bird: dict[str, Any] = {"path": f"{prefix}/{path}", "names": names}
        bird["points"] = points.get(image, [None] * len(names))
        bird["clicks"] = clicks.get(image, [])
        bird["family"] = Path(path).parent.name
        if image in train:
            bird["split"] = "train" if train[image][0] else "test"
        if image in boxes:
            x, y, width, height = boxes[image]
            bird["bbox"] = [x, y, x + width, y + height]
        entries.append(Entry("bird", Path(path).stem, Annotated(**bird)))
    return entries


def _unique(path: Path, *kinds: Any) -> dict[int, list[Any]]:
    """The rows of a table by their first column; InputError for one that comes twice."""
    rows: dict[int, list[Any]] = {}
    for number, *values in read_table(path, *kinds):
        if number in rows:
            raise InputError(f"{path.name}: {number} comes twice", "leave one of the lines")
        rows[number] = values
    return rows


def _points(path: Path, images: dict[int, Any], column: dict[int, int]) -> dict[int, list[Point]]:
    """For every picture its points, in the order of the parts."""
    points: dict[int, list[Point]] = {}
    seen = set()
    for image, part, x, y, visible in read_table(path, int, int, coordinate, coordinate, int):
        _check_row(path, image, part, images, column)
        if (image, part) in seen:
            raise InputError(
                f"{path.name}: part {part} of image {image} comes twice", "leave one of the lines"
            )
        seen.add((image, part))
        row = points.setdefault(image, [None] * len(column))
        row[column[part]] = [x + _FROM_ZERO, y + _FROM_ZERO] if visible else None
    return points


def _clicks(
    path: Path, images: dict[int, Any], column: dict[int, int]
) -> dict[int, list[list[Point]]]:
    """For every picture the points of its annotators: the n-th row of a part is of the n-th."""
    clicks: dict[int, list[list[Point]]] = {}
    if not path.is_file():
        return clicks
    count: dict[tuple[int, int], int] = {}
    for image, part, x, y, visible, _ in read_table(
        path, int, int, coordinate, coordinate, int, str
    ):
        _check_row(path, image, part, images, column)
        number = count[image, part] = count.get((image, part), -1) + 1
        rows = clicks.setdefault(image, [])
        if number == len(rows):
            if number == _MOST_CLICKS:
                raise InputError(
                    f"{path.name}: image {image} has more than {_MOST_CLICKS} annotators",
                    "check it",
                )
            rows.append([None] * len(column))
        if visible:
            rows[number][column[part]] = [x + _FROM_ZERO, y + _FROM_ZERO]
    return clicks


def _check_row(
    path: Path, image: int, part: int, images: dict[int, Any], column: dict[int, int]
) -> None:
    if image not in images or part not in column:
        what = f"image {image}" if image not in images else f"part {part}"
        raise InputError(f"{path.name} has {what}, which is not listed", "mend the file")

"""Which annotation files a data set holds: names only, nothing is opened but its lists of splits.

A source is plain values: `root` and `path` of the file, `format`, and `category` and `split` where
the layout says them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from stages.errors import InputError, UsageError
from stages.store.fingerprint import safe_name
from stages.store.texts import TextError, lines_of, read_whole

Sources = dict[str, dict[str, Any]]

_SYNSET = re.compile(r"n\d{8}(?=_)")
# The folders of the fine-grained data sets, and what they show.
FINEGRAINED = {"StanfordCars": "car", "CompCars": "car", "FGVC_Aircraft": "airplane"}


def pascal3d(path: Path) -> Sources:
    """PASCAL3D+: Annotations/<class>_imagenet and _pascal/*.mat, one file a picture and class.

    Splits are those of Image_sets/<class>_imagenet_<split>.txt and, for the pictures of PASCAL, of
    PASCAL/VOCdevkit/VOC2012/ImageSets/Main/<class>_<split>.txt, where they are there.
    """
    root = _root(path, "Annotations")
    sources: Sources = {}
    for folder in sorted(p for p in (root / "Annotations").iterdir() if p.is_dir()):
        category, _, database = folder.name.rpartition("_")
        if not category or database not in ("imagenet", "pascal"):
            continue
        splits: dict[str, str] = {}
        for split in ("train", "val", "test"):
            name = root / "Image_sets" / f"{folder.name}_{split}.txt"
            if database == "pascal":
                voc = root / "PASCAL" / "VOCdevkit" / "VOC2012" / "ImageSets" / "Main"
                name = voc / f"{category}_{split}.txt"
            splits.update(dict.fromkeys(_listed(name), split))
        for file in _files(folder, ".mat"):
            source = {"category": category, "split": splits.get(file.stem, "")}
            _add(sources, category, file, {"format": "pascal3d", **source})
    return _found(sources, root, "Annotations/<class>_imagenet/*.mat")


def objectnet3d(path: Path) -> Sources:
    """ObjectNet3D: Annotations/*.mat, one file a picture; Image_sets/<split>.txt."""
    root = _root(path, "Annotations")
    splits: dict[str, str] = {}
    for split in ("train", "val", "test"):
        splits.update(dict.fromkeys(_listed(root / "Image_sets" / f"{split}.txt"), split))
    sources: Sources = {}
    for file in _files(root / "Annotations", ".mat"):
        synset = _SYNSET.match(file.stem)
        more = {"format": "objectnet3d", "split": splits.get(file.stem, "")}
        _add(sources, synset[0] if synset else "image", file, more)
    return _found(sources, root, "Annotations/*.mat")


def finegrained(path: Path) -> Sources:
    """StanfordCars3D, CompCars3D, FGVC-Aircraft3D: Anno3D/<data set>/<split>_anno.pkl.

    `path` is the folder that holds Anno3D, Anno3D, the folder of one data set, or one file. Later
    revisions of the same pictures (`_v2`) are taken only when they are named themselves.
    """
    if path.is_file():
        files = [path]
    else:
        base = path / "Anno3D" if (path / "Anno3D").is_dir() else path
        folders = [base] if base.name in FINEGRAINED else [base / name for name in FINEGRAINED]
        every = [f for folder in folders if folder.is_dir() for f in _files(folder, ".pkl")]
        files = [f for f in every if f.stem in ("train_anno", "test_anno", "val_anno")]
    sources: Sources = {}
    for file in files:
        group = file.resolve().parent.name
        if group not in FINEGRAINED:
            raise UsageError(
                f"{file} is in no folder of a known data set", f"known: {', '.join(FINEGRAINED)}"
            )
        split = file.stem.split("_")[0]
        split = split if split in ("train", "val", "test") else ""
        more = {"format": "finegrained", "category": FINEGRAINED[group], "split": split}
        _add(sources, group, file, more)
    return _found(sources, path, "Anno3D/<data set>/<split>_anno.pkl")


def tables(path: Path) -> Sources:
    """A CSV file, or a folder of them."""
    files = [path] if path.is_file() else _files(path, ".csv") if path.is_dir() else []
    sources: Sources = {}
    for file in files:
        _add(sources, file.resolve().parent.name or "tables", file, {"format": "csv"})
    return _found(sources, path, "*.csv")


FORMATS: dict[str, Callable[[Path], Sources]] = {
    "pascal3d": pascal3d,
    "objectnet3d": objectnet3d,
    "finegrained": finegrained,
    "csv": tables,
}


def _root(path: Path, folder: str) -> Path:
    """The folder that holds `folder`: `path`, or what is above it."""
    for root in (path, path.parent):
        if (root / folder).is_dir() and (root == path or path.name == folder):
            return root
    raise InputError(f"{path} holds no folder {folder}", "name the folder of the data set")


def _files(folder: Path, suffix: str) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.suffix.lower() == suffix)


def _listed(path: Path) -> Iterator[str]:
    """The first word of each line of a list of pictures; VOC's lists have -1 in the second.

    Those pictures are of the split, too: the class is not what the list is asked for.
    """
    try:
        if path.is_file():
            for line in lines_of(read_whole(path)):
                yield from line.split(maxsplit=1)[:1]
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}", "check it") from None
    except TextError as error:
        raise InputError(f"{path} {error}", "mend the list of pictures") from None


def _add(sources: Sources, group: str, file: Path, more: dict[str, Any]) -> None:
    try:
        item = f"{safe_name(group, 'folder')}/{safe_name(file.stem, 'file')}"
    except UsageError as error:
        raise InputError(f"{file}: {error}", error.hint) from None
    if item in sources:
        first = Path(sources[item]["root"]) / sources[item]["path"]
        raise InputError(f"{item} is both {first} and {file}", "leave one of them out")
    # the folder as it is named may be a link to where the data are; the file must not be one
    sources[item] = {"root": str(file.parent.resolve()), "path": file.name, **more}


def _found(sources: Sources, path: Path, layout: str) -> Sources:
    if not sources:
        raise InputError(f"{path} holds no {layout}", "check the path and --format")
    seen: dict[str, str] = {}
    for item in sources:
        other = seen.setdefault(item.casefold(), item)
        if other != item:
            raise InputError(f"{other} and {item} differ in case alone", "rename one of them")
    return sources

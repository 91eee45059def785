"""Which files of a data set there are, and that none is read that lies outside of its folder."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from stages.errors import InputError, ItemError
from stages.stage import ArraySpec
from stages.store.fingerprint import (
    DIGEST_BYTES,
    canonical_json,
    digest,
    file_digest,
    is_safe_name,
)

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".ppm", ".pgm")
_NAME = 80  # characters of a name before its digest: an id takes 100


def walk_pictures(root: Path) -> Iterator[str]:
    """The paths, relative to `root` and in order, of all files that are named like pictures.

    Folders that are symbolic links are not entered, hidden files and folders left out. Raises
    InputError when `root` is no folder that can be read.
    """
    if not root.is_dir():
        raise InputError(f"{root} is no folder", "name the folder of the data set")

    def fail(error: OSError) -> None:
        raise InputError(f"{error.filename} cannot be read: {error.strerror}", "check its rights")

    for folder, folders, names in os.walk(root, onerror=fail):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith(".") and name.lower().endswith(SUFFIXES):
                yield (Path(folder) / name).relative_to(root).as_posix()


def file_inside(root: Path, path: str) -> Path:
    """The regular file `path` of the data set in `root`.

    Raises ItemError when there is none, and when the path leads out of the folder: by `..`, as an
    absolute path, or through a symbolic link.
    """
    try:
        folder = root.resolve()
        target = (folder / path).resolve()
        inside, regular = target.is_relative_to(folder), target.is_file()
    except (OSError, RuntimeError, ValueError):  # too long, links in a circle, a zero byte
        inside, regular = True, False
    if not inside:
        raise ItemError(f"{path[:200]!r} leads out of the data set's folder")
    if not regular:
        raise ItemError(f"file is missing: {path[:200]}")
    return target


def distinct_names(wanted: Mapping[str, str]) -> dict[str, str]:
    """For every key a name that can be part of an id, as near to the wanted one as can be.

    No two are alike, even with cases folded. A wanted name of A-Z a-z 0-9 . _ - is taken as it is,
    for the first key that wants it; else eight hex digits of the key's digest are added.
    """
    names: dict[str, str] = {}
    taken: set[str] = set()
    for key, text in wanted.items():
        plain = re.sub(r"[^A-Za-z0-9._-]", "_", text)[:_NAME].strip("-.") or "_"
        if not is_safe_name(plain):  # the name of a device
            plain = f"_{plain}"
        name, length = plain, 8
        if plain != text or plain.casefold() in taken:
            print_ = digest(key.encode("utf-8", "surrogatepass"))
            while (name := f"{plain}-{print_[:length]}").casefold() in taken:
                length += 1
        taken.add(name.casefold())
        names[key] = name
    return names


def text_array(text: str, spec: ArraySpec) -> np.ndarray:
    """Text as the byte string of an array, cut to its length between two characters."""
    length = np.dtype(spec.dtype).itemsize
    data = text.encode("utf-8", "replace")[:length].decode(errors="ignore")
    return np.array(data.encode())


def source_digest(source: Mapping[str, Any]) -> str:
    """32 hex digits over what a source says of itself, and the bytes of its picture.

    A picture that is missing, or lies where it must not be opened, counts by that: its item then
    fails, and comes anew when the file is there.
    """
    described = {k: v for k, v in source.items() if k not in ("root", "digest")}
    try:
        held = file_digest(file_inside(Path(source["root"]), source["path"]))
    except (ItemError, OSError) as error:
        held = f"failed: {error if isinstance(error, ItemError) else error.strerror}"
    hasher = hashlib.blake2b(digest_size=DIGEST_BYTES)
    hasher.update(f"{canonical_json(described)}\0".encode())
    hasher.update(held.encode("utf-8", "replace"))
    return hasher.hexdigest()

"""Which files a model consists of, what they hold, and that none lies outside its folder.

Files of others say which further files belong to them: an OBJ its material library, that one its
textures. Nothing is opened here that lies outside of the model's own folder, and nothing is parsed:
names are found by pattern, so that this may run in the main process.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote

from stages.errors import ItemError
from stages.shapes.importing.mtl import decoded, texture_names
from stages.store.fingerprint import DIGEST_BYTES, canonical_json

_CHUNK = 1 << 20
_NAME = 1024  # longest name of a file that is looked for, in bytes
_MTL_BYTES = 16 << 20
_MOST = 2000  # files that one model may refer to
_PATTERNS = {
    ".obj": re.compile(rb"^[ \t]*mtllib[ \t]+([^\r\n]{1,1024})", re.MULTILINE),
    ".ply": re.compile(rb"^comment[ \t]+texturefile[ \t]+([^\r\n]{1,1024})", re.M | re.I),
    ".gltf": re.compile(rb'"uri"\s{0,64}:\s{0,64}"((?:[^"\\]|\\.){1,1024})"'),
}
_PATTERNS[".glb"] = _PATTERNS[".gltf"]


def resolve_inside(folder: Path, name: str) -> Path | None:
    """The regular file that `name` means to a model in `folder`; None if there is none.

    Back slashes count as slashes. A name with a drive letter is a path on its author's computer:
    the file of that name beside the model is meant. Raises ItemError for a name that leads out of
    the folder: by `..`, as an absolute path, or through a symbolic link.
    """
    text = name.strip().replace("\\", "/")
    if re.match(r"[A-Za-z]:", text):
        text = PurePosixPath(text[2:]).name
    if not text or "\0" in text or len(text) > _NAME:
        return None
    try:
        root = folder.resolve()
        target = (root / text).resolve()
    except (OSError, RuntimeError, ValueError):  # too long, links in a circle, half a character
        return None
    if not target.is_relative_to(root):
        raise ItemError(f"{name!r} leads out of the model's folder")
    try:
        return target if stat.S_ISREG(target.stat().st_mode) else None
    except OSError:
        return None


def mesh_file(source: Mapping[str, Any]) -> Path:
    """The mesh file of a source (`path`, relative to `root`); ItemError if it cannot be had."""
    path = resolve_inside(Path(source["root"]), source["path"])
    if path is None:
        raise ItemError(f"file is missing: {source['path']}")
    return path


def mtllibs(data: bytes) -> list[str]:
    """What follows each `mtllib` of an OBJ file."""
    return [decoded(match[1]) for match in _PATTERNS[".obj"].finditer(data)]


def library_names(line: str, folder: Path) -> list[str]:
    """The material libraries in the rest of an `mtllib` line: one name with spaces, or several."""
    whole = line.strip()
    return [whole] if resolve_inside(folder, whole) else whole.split()


def references(path: Path) -> list[str]:
    """The names of all files that a mesh file refers to, and that those refer to, in order.

    Raises ItemError when a material library lies outside of the folder, or there is no end of them.
    """
    suffix = path.suffix.lower()
    names: dict[str, None] = {}
    for found in _find(path, suffix):
        if suffix == ".obj":
            for library in library_names(found, path.parent):
                names[library] = None
                if target := resolve_inside(path.parent, library):
                    names.update(dict.fromkeys(texture_names(read_text(target))))
        elif not found.startswith("data:"):
            names[found if suffix == ".ply" else unquote(found)] = None
        if len(names) > _MOST:
            raise ItemError(f"it refers to more than {_MOST} files")
    return list(names)


def read_text(path: Path) -> str:
    """The text of a material library; ItemError if it is too big to be one."""
    with path.open("rb") as file:
        data = file.read(_MTL_BYTES + 1)
    if len(data) > _MTL_BYTES:
        raise ItemError(f"{path.name} is larger than any material library")
    return decoded(data)


def _find(path: Path, suffix: str) -> Iterator[str]:
    """What the pattern of a format finds in a file, read piece by piece."""
    if suffix not in _PATTERNS:
        return
    is_json = suffix in (".glb", ".gltf")
    tail = b""
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            data = tail + chunk
            for match in _PATTERNS[suffix].finditer(data):
                # a name that ends where the piece ends may be cut: it comes again with the next
                if match.end() < len(data) or len(chunk) < _CHUNK:
                    yield _unescaped(match[1]) if is_json else decoded(match[1])
            tail = data[-2 * _NAME :]
            if not is_json:  # begin where a line does
                tail = tail[tail.find(b"\n") + 1 :]


def _unescaped(text: bytes) -> str:
    try:
        return json.loads(b'"' + text + b'"')
    except ValueError:
        return decoded(text)


def source_digest(source: Mapping[str, Any]) -> str:
    """32 hex digits over what a source says of itself, its mesh and every file that belongs to it.

    A file that is missing, or lies where it must not be opened, counts by its name alone: the item
    then fails with that reason, and comes anew when the file is there.
    """
    hasher = hashlib.blake2b(digest_size=DIGEST_BYTES)
    described = {k: v for k, v in source.items() if k not in ("root", "digest")}
    hasher.update(canonical_json(described).encode())
    try:
        path = mesh_file(source)
        _add(hasher, path.name, path)
        for name in references(path):
            _add(hasher, name, resolve_inside(path.parent, name))
    except (ItemError, OSError) as error:
        reason = error if isinstance(error, ItemError) else error.strerror
        hasher.update(f"\0failed: {reason}".encode("utf-8", "replace"))
    return hasher.hexdigest()


def _add(hasher: Any, name: str, path: Path | None) -> None:
    """One file: its name, its length (so that no two lists of files read the same), its bytes."""
    encoded = name.encode("utf-8", "replace")
    size = -1 if path is None else os.stat(path).st_size
    hasher.update(f"\0{len(encoded)} {size} ".encode() + encoded)
    if path is not None:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                hasher.update(chunk)

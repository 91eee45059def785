"""Which files a model consists of, and what they hold.

Nothing is parsed here: names are found by pattern, so that this may run in the main process.
"""

from __future__ import annotations

import hashlib
import io
import json
import posixpath
import re
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote

from stages.errors import ItemError
from stages.shapes.importing.archive import Archive, ZippedFolder, open_archive
from stages.shapes.importing.mtl import decoded, texture_names
from stages.shapes.importing.storage import Folder, plain_name, resolve_inside
from stages.store.fingerprint import DIGEST_BYTES, canonical_json, digest

SUFFIXES = (".obj", ".off", ".ply", ".stl", ".glb", ".gltf")

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


def mesh_file(source: Mapping[str, Any]) -> Path:
    """The file at `path`, relative to `root`, of a source; ItemError if it cannot be had."""
    path = resolve_inside(Path(source["root"]), source["path"])
    if path is None:
        raise ItemError(f"file is missing: {source['path']}")
    return path


@contextmanager
def model_files(source: Mapping[str, Any]) -> Iterator[Folder]:
    """The files of a model, open to be read.

    A source names its mesh as `path`, relative to `root`; textures lie in the folder of the mesh,
    or in `folder`, where that is a wider one. With `archive`, `path` is a member of that archive
    in `root`; where the member is an archive itself, the first mesh in it is meant.

    Raises ItemError when the mesh cannot be had.
    """
    if "archive" in source:
        with closing(open_archive(mesh_file({**source, "path": source["archive"]}))) as archive:
            yield _member_files(archive, source["path"])
    else:
        path = mesh_file(source)
        yield Folder(path, Path(source["root"]) / source["folder"] if "folder" in source else None)


def _member_files(archive: Archive, path: str) -> Folder:
    found = archive.find(path.lstrip("/"))
    if found is None:
        raise ItemError(f"{path} is not in the archive" if path else "its model is not named")
    if not found.lower().endswith(".zip"):
        return ZippedFolder(archive, found)
    inner = Archive(io.BytesIO(archive.read(found)), found)
    names = [n for n in inner.members if n.lower().endswith(SUFFIXES) and "__MACOSX" not in n]
    if not names:
        raise ItemError(f"{found} holds no mesh that is read, only {', '.join(SUFFIXES)}")
    return ZippedFolder(inner, min(names, key=lambda n: not n.lower().endswith(".obj")))


def mtllibs(data: bytes) -> list[str]:
    """What follows each `mtllib` of an OBJ file."""
    return [decoded(match[1]) for match in _PATTERNS[".obj"].finditer(data)]


def library_names(line: str, folder: Folder) -> list[str]:
    """The material libraries in the rest of an `mtllib` line: one name with spaces, or several."""
    whole = line.strip()
    return [whole] if folder.find(whole) else whole.split()


def references(folder: Folder) -> list[str]:
    """The names of all files that a mesh file refers to, and that those refer to, in order.

    Raises ItemError when a material library lies outside of the folder, or there is no end of them.
    """
    suffix = PurePosixPath(folder.name).suffix.lower()
    names: dict[str, None] = {}
    for found in _find(folder, suffix):
        if suffix == ".obj":
            for library in library_names(found, folder):
                names[library] = None
                if target := folder.find(library):
                    text = _library_text(folder, target, library)
                    names.update(dict.fromkeys(texture_names(text)))
        elif not found.startswith("data:"):
            names[found if suffix == ".ply" else unquote(found)] = None
        if len(names) > _MOST:
            raise ItemError(f"it refers to more than {_MOST} files")
    return list(names)


def _library_text(folder: Folder, target: Any, name: str) -> str:
    with folder.stream(target) as file:
        data = file.read(_MTL_BYTES + 1)
    if len(data) > _MTL_BYTES:
        raise ItemError(f"{name} is larger than any material library")
    return decoded(data)


def _find(folder: Folder, suffix: str) -> Iterator[str]:
    """What the pattern of a format finds in a file, read piece by piece."""
    if suffix not in _PATTERNS:
        return
    is_json = suffix in (".glb", ".gltf")
    tail = b""
    with folder.stream(folder.mesh) as file:
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
    then fails with that reason, and comes anew when the file is there. Of an archive nothing is
    inflated: names, lengths and checksums in its directory stand for its members.
    """
    hasher = hashlib.blake2b(digest_size=DIGEST_BYTES)
    described = {k: v for k, v in source.items() if k not in ("root", "digest")}
    hasher.update(canonical_json(described).encode())
    try:
        if "archive" in source:
            hasher.update(_members_digest(source).encode())
            return hasher.hexdigest()
        with model_files(source) as folder:
            _add(hasher, folder.name, folder.mesh, folder)
            for name in references(folder):
                _add(hasher, name, folder.find(name), folder)
    except (ItemError, OSError) as error:
        reason = error if isinstance(error, ItemError) else error.strerror
        hasher.update(f"\0failed: {reason}".encode("utf-8", "replace"))
    return hasher.hexdigest()


def _add(hasher: Any, name: str, found: Any, folder: Folder) -> None:
    """One file: its name, its length (so that no two lists of files read the same), its bytes."""
    encoded = name.encode("utf-8", "replace")
    size = -1 if found is None else folder.size(found)
    hasher.update(f"\0{len(encoded)} {size} ".encode() + encoded)
    if found is not None:
        with folder.stream(found) as file:
            while chunk := file.read(_CHUNK):
                hasher.update(chunk)


def _members_digest(source: Mapping[str, Any]) -> str:
    """What the directory of an archive says of a member and of all that lie in its folder."""
    path = mesh_file({**source, "path": source["archive"]})
    state = path.stat()
    digests = _folder_digests(path, state.st_mtime_ns, state.st_size)
    member = plain_name(source["path"]).lstrip("/")
    return digests.get(posixpath.dirname(member), "") + digests.get(member + "\0", "")


@lru_cache(maxsize=4)
def _folder_digests(path: Path, changed_ns: int, size: int) -> dict[str, str]:
    """Of every folder of an archive a digest of its members, and of every member, as NAME\\0.

    The time only says when to look again within one process.
    """
    lines: dict[str, list[str]] = {}
    with closing(open_archive(path)) as archive:
        for name, entry in sorted(archive.members.items()):
            line = canonical_json([name, entry.CRC, entry.file_size])
            lines.setdefault(posixpath.dirname(name), []).append(line)
            lines[name + "\0"] = [line]
    return {key: digest("\n".join(found).encode()) for key, found in lines.items()}

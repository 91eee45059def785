"""The files of one model, as whoever reads the model may see them: in a folder, or in an archive.

Files of others say which further files belong to them: an OBJ its material library, that one its
textures. Nothing is given out that lies outside of the model's own folder.
"""

from __future__ import annotations

import re
import stat
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO
from urllib.parse import unquote

from stages.errors import ItemError

_NAME = 1024  # longest name of a file that is looked for, in bytes


def plain_name(name: str) -> str:
    """A name as a relative path with slashes, "" if it can be none.

    Back slashes count as slashes. A name with a drive letter is a path on its author's computer:
    the file of that name beside the model is meant.
    """
    text = name.strip().replace("\\", "/")
    if re.match(r"[A-Za-z]:", text):
        text = PurePosixPath(text[2:]).name
    return "" if "\0" in text or len(text) > _NAME else text


def resolve_inside(folder: Path, name: str) -> Path | None:
    """The regular file that `name` means in `folder`, links resolved; None if there is none.

    Raises ItemError for a name that leads out of the folder: by `..`, as an absolute path, or
    through a symbolic link.
    """
    try:
        base = folder.resolve()
    except (OSError, RuntimeError):  # links in a circle
        return None
    return _inside(base, base, name)


def _inside(base: Path, root: Path, name: str) -> Path | None:
    """As `resolve_inside`, of a name relative to `base` that must lie in `root`; both resolved."""
    text = plain_name(name)
    if not text:
        return None
    try:
        target = (base / text).resolve()
    except (OSError, RuntimeError, ValueError):  # too long, links in a circle, half a character
        return None
    if not target.is_relative_to(root):
        raise ItemError(f"{name!r} leads out of the model's folder")
    try:
        return target if stat.S_ISREG(target.stat().st_mode) else None
    except OSError:
        return None


class Folder:
    """Gives out the files of a model's folder, and remembers what was asked for in vain.

    `mesh` is the mesh itself, as `stream` takes it: a path without links. Names are relative to
    where it lies; all must lie in `root`, by default the folder of the mesh.
    """

    def __init__(self, mesh: Any, root: Path | None = None) -> None:
        self.mesh = mesh
        self.missing: dict[str, None] = {}
        self._root = root.resolve() if root else None

    @property
    def name(self) -> str:
        """The file name of the mesh."""
        return PurePosixPath(self.mesh).name

    def find(self, name: str) -> Any | None:
        """What `stream` and `size` take for a file of that name; None if there is no such file.

        Raises ItemError when the name leads out of the folder.
        """
        base = self.mesh.parent
        return _inside(base, self._root or base, name)

    def size(self, found: Any) -> int:
        """How many bytes a file has."""
        return found.stat().st_size

    def stream(self, found: Any) -> BinaryIO:
        """The file, open to be read."""
        return found.open("rb")

    def get(self, name: str) -> bytes:
        """The bytes of a file of the folder.

        Raises ItemError when the name leads out of the folder, FileNotFoundError when there is no
        such file.
        """
        found = self.find(name) or self.find(unquote(name))
        if found is None:
            self.missing[name] = None
            raise FileNotFoundError(name)
        return self.read(found, name)

    def read(self, found: Any, name: str) -> bytes:
        """The bytes of a file; ItemError if it cannot be read."""
        try:
            with self.stream(found) as file:
                return file.read()
        except OSError as error:
            raise ItemError(f"{name} cannot be read: {error.strerror}") from error

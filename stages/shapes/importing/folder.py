"""The folder of one model, as whoever parses the model may see it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

from stages.errors import ItemError
from stages.shapes.importing.files import resolve_inside


@dataclass
class Folder:
    """Gives out the files of a model's folder, and remembers what was asked for in vain."""

    path: Path
    missing: dict[str, None] = field(default_factory=dict)

    def get(self, name: str) -> bytes:
        """The bytes of a file of the folder.

        Raises ItemError when the name leads out of the folder, FileNotFoundError when there is no
        such file.
        """
        target = resolve_inside(self.path, name) or resolve_inside(self.path, unquote(name))
        if target is None:
            self.missing[name] = None
            raise FileNotFoundError(name)
        try:
            return target.read_bytes()
        except OSError as error:
            raise ItemError(f"{name} cannot be read: {error.strerror}") from error

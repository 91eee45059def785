"""Zip archives of others: their directories, and their members one by one, never written to disk.

The directory is looked at in any process, within MOST_ENTRIES; what a member holds is inflated only
where a model is parsed, but for the short texts of a catalogue, and never beyond a limit.
"""

from __future__ import annotations

import io
import os
import posixpath
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from stages.errors import ItemError
from stages.shapes.importing.storage import Folder, plain_name

MOST_ENTRIES = 50_000
MOST_DIRECTORY = 8 << 20  # bytes of the directory at the end of an archive
MOST_MEMBER = 256 << 20  # bytes that a member of a model may hold
_ENCRYPTED = 0x1
_END = struct.Struct("<4s4H2LH")  # "end of central directory record"
_END_TAG, _ZIP64_TAG = b"PK\5\6", b"PK\6\7"
_ZIP64_BYTES = 20
_BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, struct.error)


@contextmanager
def _damaged(what: str) -> Iterator[None]:
    try:
        yield
    except (*_BROKEN, NotImplementedError, RuntimeError) as error:
        text = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
        raise ItemError(f"{what} is damaged: {text}") from None


class Archive:
    """A zip archive by the names of its members; raises ItemError if it is damaged or no such."""

    def __init__(self, file: BinaryIO, what: str) -> None:
        self._file = file
        self._what = what
        with _damaged(what):
            _check_end(file, what)
            self._zip = zipfile.ZipFile(file)
        entries = self._zip.infolist()
        if len(entries) > MOST_ENTRIES:
            raise ItemError(f"{what} has more than {MOST_ENTRIES} members")
        self.members: Mapping[str, zipfile.ZipInfo] = {
            entry.filename.replace("\\", "/"): entry
            for entry in entries
            if entry.filename and not entry.is_dir()
        }

    def find(self, name: str, folder: str = "") -> str | None:
        """The member that `name` means in a folder of the archive; None if there is none.

        Raises ItemError when it leads out of the archive.
        """
        text = plain_name(name)
        if not text:
            return None
        path = posixpath.normpath(posixpath.join(folder, text))
        if path.startswith(("/", "../")) or path == "..":
            raise ItemError(f"{name!r} leads out of the archive")
        return path if path in self.members else None

    def read(self, name: str, most: int = MOST_MEMBER) -> bytes:
        """The bytes of a member.

        Raises ItemError when it is encrypted, a link, packed in another way than by deflate,
        damaged, or declares more than `most` bytes. It never holds more than it declares.
        """
        entry = self.members[name]
        what = f"{name} in {self._what}"
        if entry.flag_bits & _ENCRYPTED:
            raise ItemError(f"{what} is encrypted")
        if stat.S_ISLNK(entry.external_attr >> 16):
            raise ItemError(f"{what} is a symbolic link")
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ItemError(f"{what} is packed in a way that is not read")
        if entry.file_size > most:
            raise ItemError(f"{what} declares {entry.file_size} bytes, at most {most} are read")
        with _damaged(what), self._zip.open(name=entry) as member:
            data = member.read(most + 1)
        if len(data) != entry.file_size:
            raise ItemError(f"{what} declares {entry.file_size} bytes, and holds {len(data)}")
        return data

    def close(self) -> None:
        """Close the file."""
        self._zip.close()
        self._file.close()


def open_archive(path: Path) -> Archive:
    """The archive in a file; ItemError if it cannot be read or is damaged."""
    try:
        file = path.open("rb")
    except OSError as error:
        raise ItemError(f"{path.name} cannot be read: {error.strerror}") from None
    try:
        return Archive(file, path.name)
    except BaseException:
        file.close()
        raise


def _check_end(file: BinaryIO, what: str) -> None:
    """Raise ItemError for a directory that would take more memory than any honest one."""
    size = file.seek(0, os.SEEK_END)
    start = max(0, size - _END.size - 0xFFFF - _ZIP64_BYTES)
    file.seek(start)
    tail = file.read()
    place = tail.rfind(_END_TAG)
    if place < 0 or len(tail) - place < _END.size:
        raise ItemError(f"{what} is no zip archive")
    if _ZIP64_TAG in tail[max(0, place - _ZIP64_BYTES) : place]:
        raise ItemError(f"{what} is a zip archive of more than 4 GiB, which is not read")
    length = _END.unpack_from(tail, place)[5]
    if length > MOST_DIRECTORY:
        raise ItemError(f"{what} declares a directory of {length} bytes")


class ZippedFolder(Folder):
    """The files of a model inside an archive; `mesh` is the name of a member."""

    def __init__(self, archive: Archive, mesh: str) -> None:
        super().__init__(mesh)
        self._archive = archive

    def find(self, name: str) -> str | None:
        """The member that `name` means; None if there is none. ItemError for one outside."""
        return self._archive.find(name, posixpath.dirname(self.mesh))

    def size(self, found: str) -> int:
        """How many bytes a member declares."""
        return self._archive.members[found].file_size

    def stream(self, found: str) -> BinaryIO:
        """The member, inflated within the limit of `Archive.read`."""
        return io.BytesIO(self._archive.read(found))

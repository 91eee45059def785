"""Commits, the removal of what is damaged, and folders; the faults are in tests/faults."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path
from unittest import mock

import pytest

from stages.errors import CrossdimError
from stages.store import commit
from stages.store.commit import TEMPORARY, commit_bytes, discard, make_folder, sweep


def test_commit_replaces(tmp_path: Path) -> None:
    path = tmp_path / "file"
    commit_bytes(path, b"one")
    commit_bytes(path, b"")
    commit_bytes(path, b"three")
    assert path.read_bytes() == b"three"
    assert list(tmp_path.iterdir()) == [path]


def test_short_writes_are_completed(tmp_path: Path) -> None:
    write = os.write
    with mock.patch.object(os, "write", lambda handle, data: write(handle, data[:3])):
        commit_bytes(tmp_path / "file", b"0123456789")
    assert (tmp_path / "file").read_bytes() == b"0123456789"


def test_ctrl_c_in_a_commit_leaves_nothing(tmp_path: Path) -> None:
    with (
        mock.patch.object(os, "fsync", side_effect=KeyboardInterrupt),
        pytest.raises(KeyboardInterrupt),
    ):
        commit_bytes(tmp_path / "file", b"data")
    assert list(tmp_path.iterdir()) == []


def test_a_link_is_replaced_not_followed(tmp_path: Path) -> None:
    (tmp_path / "mine").write_bytes(b"mine")
    (tmp_path / "file").symlink_to(tmp_path / "mine")
    commit_bytes(tmp_path / "file", b"new")
    assert (tmp_path / "mine").read_bytes() == b"mine"
    assert not (tmp_path / "file").is_symlink()


def test_a_planted_temporary_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "mine").write_bytes(b"mine")
    planted = tmp_path / f"{TEMPORARY}file-{os.getpid()}-00000000"
    planted.symlink_to(tmp_path / "mine")
    with (
        mock.patch.object(commit.secrets, "token_hex", return_value="0" * 8),  # type: ignore[attr-defined]
        pytest.raises(CrossdimError),
    ):
        commit_bytes(tmp_path / "file", b"new")
    assert (tmp_path / "mine").read_bytes() == b"mine"


def test_old_temporaries_are_swept(tmp_path: Path) -> None:
    old, new = tmp_path / f"{TEMPORARY}old", tmp_path / f"{TEMPORARY}new"
    for path in (old, new, tmp_path / "shard"):
        path.write_bytes(b"")
    yesterday = time.time() - 25 * 3600
    os.utime(old, (yesterday, yesterday))
    os.utime(tmp_path / "shard", (yesterday, yesterday))
    assert sweep(tmp_path) == [old]
    assert sorted(p.name for p in tmp_path.iterdir()) == [new.name, "shard"]


def test_discard_removes_only_what_it_looked_at(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"bad")
    discard(path, unless=lambda aside: aside.read_bytes() == b"good")
    assert list(tmp_path.iterdir()) == []
    path.write_bytes(b"good")
    discard(path, unless=lambda aside: aside.read_bytes() == b"good")
    assert path.read_bytes() == b"good"
    discard(tmp_path / "none", unless=lambda aside: False)
    assert list(tmp_path.iterdir()) == [path]


def test_discard_puts_back_what_cannot_be_looked_at(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"?")
    with pytest.raises(ZeroDivisionError):
        discard(path, unless=lambda aside: bool(1 / 0))
    assert list(tmp_path.iterdir()) == [path]


def test_folders_that_cannot_be_used_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(CrossdimError, match="in the way"):
        make_folder(tmp_path / "file")
    with pytest.raises(CrossdimError, match="Not a directory"):
        make_folder(tmp_path / "file" / "below")
    with (
        mock.patch.object(os, "access", return_value=False),  # root may write everywhere
        pytest.raises(CrossdimError, match="Permission denied") as caught,
    ):
        make_folder(tmp_path / "folder")
    assert "--workspace" in caught.value.hint


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO])
def test_errors_name_the_file_and_the_remedy(tmp_path: Path, code: int) -> None:
    failing = OSError(code, os.strerror(code))
    with (
        mock.patch.object(os, "fsync", side_effect=failing),
        pytest.raises(CrossdimError) as caught,
    ):
        commit_bytes(tmp_path / "file", b"data")
    assert str(caught.value) == f"cannot write {tmp_path / 'file'}: {os.strerror(code)}"
    assert caught.value.hint
    assert list(tmp_path.iterdir()) == []

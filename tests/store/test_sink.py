"""R2. The file of a streamed commit: what is written is read, whatever fails meanwhile."""

from __future__ import annotations

import errno
import os
import random
from pathlib import Path
from unittest import mock

import h5py
import numpy as np
import pytest

from stages.errors import CrossdimError
from stages.store import commit
from stages.store.commit import Sink, commit_stream
from tests.faults.faulty_os import ALWAYS, DEADLY, MODES, TEAR, FaultyOs


def scribble(sink: Sink, seed: int, steps: int) -> bytearray:
    """Random seeks, writes, reads and cuts, each compared with a plain array of bytes."""
    chance, mirror = random.Random(seed), bytearray()
    for _ in range(steps):
        place, length = chance.randrange(300), chance.randrange(1, 60)
        sink.seek(place)
        if chance.random() < 0.5:
            data = chance.randbytes(length)
            mirror.extend(bytes(max(0, place + length - len(mirror))))
            mirror[place : place + length] = data
            assert sink.write(data) == length
        else:
            buffer = bytearray(length)
            count = sink.readinto(buffer)
            assert buffer[:count] == mirror[place : place + length]
            assert count == max(0, min(length, len(mirror) - place))
        assert sink.seek(0, os.SEEK_END) == len(mirror)
    return mirror


def test_it_is_a_file(tmp_path: Path) -> None:
    mirrors: list[bytearray] = []
    for seed in range(20):
        commit_stream(tmp_path / "file", lambda sink, s=seed: mirrors.append(scribble(sink, s, 60)))
        assert (tmp_path / "file").read_bytes() == mirrors[-1]


@pytest.mark.parametrize("kind", [OSError(errno.ENOSPC, "full"), KeyboardInterrupt()])
def test_after_an_error_it_is_still_a_file(tmp_path: Path, kind: BaseException) -> None:
    """Whoever writes to it must not notice: HDF5 could not bear it."""
    write = os.write
    for seed in range(20):
        writes = 0

        def failing(handle: int, data: memoryview) -> int:
            nonlocal writes
            writes += 1
            if writes == 10:
                write(handle, data[: len(data) // 2])
                raise kind
            return write(handle, data)

        filled: list[bytearray] = []
        wanted = CrossdimError if isinstance(kind, OSError) else KeyboardInterrupt
        with mock.patch.object(os, "write", failing), pytest.raises(wanted):
            commit_stream(
                tmp_path / "file", lambda sink, s=seed, f=filled: f.append(scribble(sink, s, 60))
            )
        assert len(filled) == 1
        assert list(tmp_path.iterdir()) == []


def test_whoever_fills_it_can_ask(tmp_path: Path) -> None:
    reached = []

    def fill(sink: Sink) -> None:
        sink.write(b"fits")
        sink.check()
        with mock.patch.object(os, "write", side_effect=OSError(errno.ENOSPC, "full")):
            sink.write(b"does not")
        reached.append(True)
        sink.check()
        reached.append(False)

    with pytest.raises(CrossdimError, match="full"):
        commit_stream(tmp_path / "file", fill)
    assert reached == [True]


def fill_hdf5(sink: Sink) -> None:
    with h5py.File(sink, "w", libver=("v110", "v110")) as file:
        values = file.create_dataset("values", (8, 500), "f8", chunks=(1, 500), fletcher32=True)
        for row in range(8):
            values[row] = np.arange(500) * row
            file.create_dataset(f"rows/{row}", data=np.arange(row + 1), chunks=(row + 1,))
            sink.check()


def test_every_step_of_writing_hdf5_may_fail(tmp_path: Path) -> None:
    """Each fault at each step: the file before or the file after, no crash, nothing left over."""
    undisturbed = tmp_path / "undisturbed.h5"
    commit_stream(undisturbed, fill_hdf5)
    counting = FaultyOs()
    with mock.patch.object(commit, "os", counting):
        commit_stream(undisturbed, fill_hdf5)
    steps = len(counting.trace)
    assert steps > 30
    root = tmp_path / "here"
    root.mkdir()
    path = root / "file.h5"
    for mode in MODES:
        for at in range(1, steps + 1):
            if mode == TEAR and counting.trace[at - 1] != "write":
                continue  # the same as a kill
            path.write_bytes(b"before")
            status = _in_child(path, FaultyOs(mode, at))
            assert status in (0, -9) if mode in DEADLY else status in (0, 3), (mode, at, status)
            content = path.read_bytes()
            assert content in (b"before", undisturbed.read_bytes()), (mode, at)
            if mode not in DEADLY and mode != ALWAYS:
                assert list(root.iterdir()) == [path]
            for left in root.glob(f"{commit.TEMPORARY}*"):
                left.unlink()


def _in_child(path: Path, faulty: FaultyOs) -> int:
    child = os.fork()
    if child == 0:
        code = 4
        try:
            with mock.patch.object(commit, "os", faulty):
                commit_stream(path, fill_hdf5)
            code = 0
        except CrossdimError:
            code = 3
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
